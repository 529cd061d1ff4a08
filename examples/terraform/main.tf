# bedrock-denial-watch by Terraform, from the files of a release: no Rust, no SAM.
#   terraform init && terraform apply -var alert_email=security@example.com

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "dist" {
  description = "Folder with the files of a release, or of make package."
  default     = "../../dist"
}

variable "architecture" {
  default = "arm64"
}

variable "alert_email" {
  default = ""
}

locals {
  zip = "${var.dist}/bedrock-denial-watch-${var.architecture}.zip"
}

resource "aws_s3_bucket" "code" {
  bucket_prefix = "bedrock-denial-watch-code-"
}

resource "aws_s3_object" "zip" {
  bucket = aws_s3_bucket.code.id
  # A new version has a new key: CloudFormation looks at nothing else.
  key    = "${filesha256(local.zip)}.zip"
  source = local.zip
}

# CloudFormation takes up to 51,200 bytes with the request, and the template from here.
resource "aws_s3_object" "template" {
  bucket = aws_s3_bucket.code.id
  key    = "${filesha256("${var.dist}/template.json")}.json"
  source = "${var.dist}/template.json"
}

resource "aws_cloudformation_stack" "detector" {
  name         = "bedrock-denial-watch"
  capabilities = ["CAPABILITY_IAM"]
  template_url = "https://${aws_s3_bucket.code.bucket_regional_domain_name}/${aws_s3_object.template.key}"
  parameters = {
    CodeBucket   = aws_s3_bucket.code.id
    CodeKey      = aws_s3_object.zip.key
    Architecture = var.architecture
    AlertEmail   = var.alert_email
  }
}

output "topic_arn" {
  value = aws_cloudformation_stack.detector.outputs["TopicArn"]
}

"""bedrock-denial-watch by CDK, from the files of a release: no Rust, no SAM.

    pip install aws-cdk-lib && cdk deploy --app "python3 app.py"
"""

import os

import aws_cdk as cdk
from aws_cdk import aws_s3_assets as assets
from aws_cdk import cloudformation_include as include

DIST = os.environ.get("DIST", "../../dist")
ARCHITECTURE = os.environ.get("ARCHITECTURE", "arm64")


class Detector(cdk.Stack):
    def __init__(self, scope, name, **options):
        super().__init__(scope, name, **options)
        # CDK uploads the zip to its own bucket, under a key that changes with the content.
        code = assets.Asset(self, "Code", path=f"{DIST}/bedrock-denial-watch-{ARCHITECTURE}.zip")
        include.CfnInclude(
            self, "Template", template_file=f"{DIST}/template.json",
            parameters={
                "CodeBucket": code.s3_bucket_name,
                "CodeKey": code.s3_object_key,
                "Architecture": ARCHITECTURE,
                "AlertEmail": os.environ.get("ALERT_EMAIL", ""),
            },
        )  # fmt: skip


app = cdk.App()
Detector(app, "bedrock-denial-watch")
app.synth()

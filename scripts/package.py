#!/usr/bin/env python3
"""Writes `dist/`: what deploys without Rust and without a transform (`make package`).

- `template.json`: template.yaml with the SAM transform done, and nothing left out. Where the code lies are
  its parameters `CodeBucket` and `CodeKey`. CloudFormation takes it from S3.
- `template-for-stacksets.json`: the same, named by its parameter `Name`, as a StackSet calls its stacks
  `StackSet-<name>-<uuid>`, which is too long for a function and its rules. It creates no bucket, and its code
  lies in `CodeBucketPrefix-REGION`.
- `deploy/`: the add-ons and the templates of an organization, as they are.
- `bedrock-denial-watch-<architecture>.zip`: the function, of each zip that is given.
- `SHA256SUMS` of all that lies there.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import sys
import zipfile

ROOT = pathlib.Path(__file__).parents[1]
# What CloudFormation takes from S3, in bytes.
MAX_BYTES = 1_000_000
CODE_PARAMETERS = {
    "CodeBucket": {
        "Type": "String",
        "AllowedPattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        "ConstraintDescription": "a bucket name of 3 to 63 characters",
        "Description": "Bucket in this region that holds the function's zip.",
    },
    "CodeKey": {
        "Type": "String",
        "Default": "bedrock-denial-watch-arm64.zip",
        "MinLength": 1,
        "MaxLength": 1024,
        "Description": "Key of the zip there, built for the Architecture below. A new version needs a new key.",
    },
}
STACKSET_PARAMETERS = {
    "Name": {
        "Type": "String",
        "Default": "bedrock-denial-watch",
        "AllowedPattern": "^[A-Za-z][A-Za-z0-9-]{0,48}$",
        "ConstraintDescription": "at most 49 letters, digits and hyphens",
        "Description": "Name of the function, and the beginning of what belongs to it.",
    },
    "CodeBucketPrefix": {
        "Type": "String",
        "AllowedPattern": "^[a-z0-9][a-z0-9.-]{1,42}[a-z0-9]$",
        "ConstraintDescription": "the name of the buckets without -REGION, at most 44 characters",
        "Description": "The zip lies in the bucket CodeBucketPrefix-REGION of each region, so that no override for a region is needed.",
    },
}
# What makes a bucket. A StackSet that is given a new account again would find the one that was kept, and fail.
BUCKET = ["LogBucket", "BucketPolicy", "BucketPermission"]


def transformed(source):
    """The template as CloudFormation would have it after the SAM transform."""
    from samtranslator.translator.transform import transform
    from samtranslator.yaml_helper import yaml_parse

    class NoManagedPolicies:
        def load(self):
            return {}

    template = yaml_parse(source.read_text())
    template["Resources"]["Function"]["Properties"]["CodeUri"] = {"Bucket": "code-bucket", "Key": "code-key"}
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # SAM asks for one, and uses it for nothing here
    return transform(template, {}, NoManagedPolicies())


def packaged(template):
    """With the code as parameters."""
    code = template["Resources"]["Function"]["Properties"]["Code"]
    assert code == {"S3Bucket": "code-bucket", "S3Key": "code-key"}, code
    code.update(S3Bucket={"Ref": "CodeBucket"}, S3Key={"Ref": "CodeKey"})
    template["Parameters"] = CODE_PARAMETERS | template["Parameters"]
    groups(template).insert(0, {"Label": {"default": "The code"}, "Parameters": list(CODE_PARAMETERS)})
    del template["Metadata"]["AWS::ServerlessRepo::Application"]
    return template


def groups(template):
    return template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]


def for_stacksets(template):
    """Named by a parameter instead of by the stack; the code by region; without a bucket of its own."""

    def renamed(value):
        if isinstance(value, list):
            return [renamed(inner) for inner in value]
        if isinstance(value, dict):
            if "Fn::If" in value and value["Fn::If"][0] == "NewBucket":
                return renamed(value["Fn::If"][2])
            return {key: renamed(inner) for key, inner in value.items()}
        return value.replace("AWS::StackName", "Name") if isinstance(value, str) else value

    template = renamed(template)
    for name in BUCKET:
        del template["Resources"][name]
    parameters = template["Parameters"]
    for name in ("NewLogBucketName", "NewLogBucketDays", "CodeBucket"):
        del parameters[name]
        for group in groups(template):
            group["Parameters"] = [one for one in group["Parameters"] if one != name]
    template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"] = [group for group in groups(template) if group["Parameters"]]
    template["Parameters"] = STACKSET_PARAMETERS | parameters
    groups(template)[0]["Parameters"][:0] = list(STACKSET_PARAMETERS)
    bucket = template["Parameters"]["LogBucketName"]
    bucket["Default"] = "none"
    bucket["AllowedPattern"] = bucket["AllowedPattern"].removeprefix("^$|")
    bucket["Description"] = "Bucket that Bedrock logs to, the same name in each account of the stack set; none reads no invocation log."
    template["Resources"]["Function"]["Properties"]["Code"]["S3Bucket"] = {"Fn::Sub": "${CodeBucketPrefix}-${AWS::Region}"}
    statements = template["Resources"]["FunctionRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    for statement in (one["Fn::If"][1] for one in statements if "Fn::If" in one):
        if statement["Sid"] == "ReadLogObjects":
            statement["Resource"] = statement["Resource"]["Fn::If"][1]
    template["Rules"]["SomethingIsRead"]["Assertions"] = [
        one for one in template["Rules"]["SomethingIsRead"]["Assertions"] if "NewLogBucketName" not in json.dumps(one)
    ]
    conditions = template["Conditions"]
    del conditions["NamesBucket"]
    conditions["ExistingBucket"] = {"Condition": "ReadsLog"}
    conditions.pop("NewBucket")
    return template


def write(template, path):
    text = json.dumps(template, indent=2, ensure_ascii=False) + "\n"
    size = len(text.encode())
    if size > MAX_BYTES:
        sys.exit(f"{path.name} has {size} bytes; CloudFormation takes {MAX_BYTES} from S3: shorten template.yaml")
    path.write_text(text)
    print(f"{path}: {size} bytes")


def sums(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def named_zip(text):
    architecture, separator, path = text.partition("=")
    if architecture not in ("arm64", "x86_64") or not separator:
        raise argparse.ArgumentTypeError(f"expected arm64=PATH or x86_64=PATH, not {text}")
    return architecture, pathlib.Path(path)


def repack(source, target):
    """The same files, without the time at which they were built: the same bytes from the same code."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in sorted(old.namelist()):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, so that the mode holds
            entry.external_attr = 0o755 << 16
            new.writestr(entry, old.read(name), zipfile.ZIP_DEFLATED, compresslevel=9)


def main():
    parser = argparse.ArgumentParser(description="Write what deploys without Rust and without a transform.")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "dist", help="folder to write (%(default)s)")
    parser.add_argument("--zip", type=named_zip, action="append", default=[], metavar="ARCHITECTURE=PATH")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    template = packaged(transformed(ROOT / "template.yaml"))
    write(template, arguments.out / "template.json")
    write(for_stacksets(template), arguments.out / "template-for-stacksets.json")
    shutil.copytree(ROOT / "deploy", arguments.out / "deploy", dirs_exist_ok=True)
    for architecture, path in arguments.zip:
        repack(path, arguments.out / f"bedrock-denial-watch-{architecture}.zip")
    sums(arguments.out)


if __name__ == "__main__":
    main()

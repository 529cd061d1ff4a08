#!/usr/bin/env python3
"""Writes `dist/`: what deploys without Rust and without a transform (`make package`).

- `template.json`: template.yaml with the SAM transform done, small enough to be passed inline.
  Where the code lies are its parameters `CodeBucket` and `CodeKey`.
- `template-without-chat.json`: the same for partitions that know no AWS::Chatbot resources.
  CloudFormation refuses a template that names a type it does not know, whatever its condition.
- `template-for-stacksets.json`: the same, named by its parameter `Name`. A StackSet calls its stacks
  `StackSet-<name>-<uuid>`, which is too long for a function and its rules.
- `bedrock-denial-watch-<architecture>.zip`: the function, of each zip that is given.
- `SHA256SUMS` of all that lies there.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import sys
import zipfile

ROOT = pathlib.Path(__file__).parents[1]
# What a request to CloudFormation may hold as TemplateBody, in bytes.
MAX_INLINE_BYTES = 51_200
CHAT = "AWS::Chatbot::"
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
NAME_PARAMETER = {
    "Name": {
        "Type": "String",
        "Default": "bedrock-denial-watch",
        "AllowedPattern": "^[A-Za-z][A-Za-z0-9-]{0,48}$",
        "ConstraintDescription": "at most 49 letters, digits and hyphens",
        "Description": "Name of the function, and the beginning of what belongs to it.",
    }
}


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
    """With the code as parameters, and without what only a reader of the source needs."""
    code = template["Resources"]["Function"]["Properties"]["Code"]
    assert code == {"S3Bucket": "code-bucket", "S3Key": "code-key"}, code
    code.update(S3Bucket={"Ref": "CodeBucket"}, S3Key={"Ref": "CodeKey"})
    template["Parameters"] = CODE_PARAMETERS | template["Parameters"]
    interface = template["Metadata"]["AWS::CloudFormation::Interface"]
    interface["ParameterGroups"].insert(0, {"Label": {"default": "The code"}, "Parameters": list(CODE_PARAMETERS)})
    template["Metadata"] = {"AWS::CloudFormation::Interface": interface}
    for parameter in template["Parameters"].values():
        parameter["Description"] = first_sentence(parameter["Description"])
    for output in template["Outputs"].values():
        output.pop("Description", None)
    for resource in template["Resources"].values():
        resource.pop("Metadata", None)
        if isinstance(resource.get("Properties", {}).get("Description"), str):
            del resource["Properties"]["Description"]
    return with_short_conditions(compact(without_sids(template)))


def without_sids(value):
    """A statement's name is for its readers, who have template.yaml: half a kilobyte less.

    The policies of topics and queues keep theirs: SNS refuses statements without an id of their own.
    """
    if isinstance(value, list):
        return [without_sids(inner) for inner in value]
    if not isinstance(value, dict) or value.get("Type") in ("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"):
        return value
    return {key: without_sids(inner) for key, inner in value.items() if key != "Sid"}


def first_sentence(text):
    """docs/deploy.md has the rest."""
    return re.split(r"(?<=\.) ", text)[0]


def with_short_conditions(template):
    """Only the template uses their names, so each becomes C1, C2 …: a kilobyte less."""
    short = {name: f"C{number}" for number, name in enumerate(template["Conditions"], 1)}

    def renamed(value):
        if isinstance(value, list):
            return [renamed(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        value = {key: renamed(inner) for key, inner in value.items()}
        if isinstance(value.get("Condition"), str):
            value["Condition"] = short[value["Condition"]]
        if "Fn::If" in value:
            value["Fn::If"][0] = short[value["Fn::If"][0]]
        return value

    template["Conditions"] = {short[name]: condition for name, condition in template["Conditions"].items()}
    return renamed(template)


def compact(value):
    """Without the spaces of JSON that stands as text in the template."""
    if isinstance(value, dict):
        return {key: compact(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [compact(inner) for inner in value]
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return json.dumps(json.loads(value), separators=(",", ":"), ensure_ascii=False)
    return value


def without_chat(template):
    """Without the resources of chat and all that is only there for them."""
    template = json.loads(json.dumps(template))
    resources = template["Resources"]
    for name in [name for name, one in resources.items() if one["Type"].startswith(CHAT)] + ["ChatRole"]:
        del resources[name]
    conditions = template["Conditions"]
    while unused := [name for name in conditions if f'"{name}"' not in json.dumps(template).replace(f'"{name}": ', "")]:
        for name in unused:
            del conditions[name]
    return template


def for_stacksets(template):
    """Named by a parameter instead of by the stack."""

    def renamed(value):
        if isinstance(value, list):
            return [renamed(inner) for inner in value]
        if isinstance(value, dict):
            return {key: renamed(inner) for key, inner in value.items()}
        return value.replace("AWS::StackName", "Name") if isinstance(value, str) else value

    template = renamed(template)
    template["Parameters"] = NAME_PARAMETER | template["Parameters"]
    template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"][0]["Parameters"].append("Name")
    return template


def write(template, path):
    text = json.dumps(template, separators=(",", ":"), ensure_ascii=False)
    size = len(text.encode())
    if size > MAX_INLINE_BYTES:
        sys.exit(f"{path.name} has {size} bytes; CloudFormation takes {MAX_INLINE_BYTES} inline: shorten template.yaml")
    path.write_text(text)
    print(f"{path}: {size} bytes")


def sums(folder):
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
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
    write(without_chat(template), arguments.out / "template-without-chat.json")
    write(for_stacksets(template), arguments.out / "template-for-stacksets.json")
    for architecture, path in arguments.zip:
        repack(path, arguments.out / f"bedrock-denial-watch-{architecture}.zip")
    sums(arguments.out)


if __name__ == "__main__":
    main()

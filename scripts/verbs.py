"""What all verbs need: a session with a region, the stack, and errors that say what to do.

Needs boto3 and nothing else, so that the scripts also run in CloudShell. The region is, in this
order: `--region`, the variables AWS_REGION and AWS_DEFAULT_REGION, what the last `make deploy` saved
in samconfig.toml, and what the AWS CLI would take.
"""

import argparse
import collections
import difflib
import json
import os
import pathlib
import re
import sys
import time

SAMCONFIG = pathlib.Path(__file__).parents[1] / "samconfig.toml"
DEFAULT_STACK = "bedrock-denial-watch"
# A stack in one of these states can only be deleted: it could not be created, or not be deleted whole.
DEAD = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS")


class Failure(Exception):
    """Something that the operator can fix; its text says how."""


def parser(description, **options):
    """An argument parser with what every verb takes."""
    made = argparse.ArgumentParser(description=description, **options)
    made.add_argument("--stack", default=DEFAULT_STACK, help="name of the stack (%(default)s)")
    made.add_argument("--region", help="region of the stack (default: AWS_REGION, AWS_DEFAULT_REGION, samconfig.toml, the AWS CLI's)")
    made.add_argument("--yes", action="store_true", help="do not ask before something is changed")
    return made


def run(main):
    """Ends the program with main's exit status; 2 and one sentence for what can be fixed."""
    try:
        sys.exit(main() or 0)
    except Failure as failure:
        print(failure, file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    except Exception as error:
        advice = explained(error)
        if advice is None:
            raise
        print(advice, file=sys.stderr)
    sys.exit(2)


def _without_answer(error):
    from botocore.exceptions import BotoCoreError, HTTPClientError

    if isinstance(error, HTTPClientError):
        return f"{error}. Is the region right, and the network there?"
    return str(error) if isinstance(error, BotoCoreError) else None


def explained(error):
    """What an error of boto3 means to an operator; None for any other."""
    name, response = type(error).__name__, getattr(error, "response", None)
    if name in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError",
                "SSOTokenLoadError", "UnauthorizedSSOTokenError", "CredentialRetrievalError"):  # fmt: skip
        return f"No AWS credentials: {error}. Log in (aws sso login, or AWS_PROFILE=…) and try again."
    if not response:
        return _without_answer(error)
    code, message = response["Error"].get("Code"), response["Error"].get("Message")
    operation = getattr(error, "operation_name", "the call")
    if code in ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"):
        return f"The AWS credentials do not work ({code}). Log in again."
    if code in ("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"):
        return f"You may not do that: {operation} was refused: {str(message).rstrip('.')}. docs/operate.md lists what each verb needs."
    return f"{operation}: {message} ({code})"


def saved_region(path=SAMCONFIG):
    """The region in samconfig.toml, or None."""
    if not path.exists():
        return None
    found = re.search(r'^\s*region\s*=\s*"([a-z0-9-]+)"', path.read_text(), re.MULTILINE)
    return found and found[1]


def save_region(region, path=SAMCONFIG):
    """So that the next verb, and sam, work where this one did."""
    text = path.read_text()
    if saved_region(path):
        text = re.sub(r'^(\s*region\s*=\s*)"[a-z0-9-]+"', rf'\1"{region}"', text, count=1, flags=re.MULTILINE)
    else:
        text = re.sub(r"^(\[default\.global\.parameters\]\n)", rf'\1region = "{region}"\n', text, flags=re.MULTILINE)
    path.write_text(text)


def session(region=None):
    """A boto3 session with a region."""
    try:
        import boto3
    except ImportError:
        raise Failure("boto3 is missing: use make, or CloudShell.") from None
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or saved_region()
    if region and not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-[0-9]+", region):
        raise Failure(f"Region {region}: expected one such as us-east-1.")
    made = boto3.Session(region_name=region)
    if not made.region_name:
        raise Failure("No region: say AWS_REGION=us-east-1, or set one with `aws configure`.")
    return made


class Stack:
    """A deployed stack: its outputs, its parameters, and clients for its region."""

    def __init__(self, name, session):
        self.name, self.session, self.region = name, session, session.region_name
        described = describe(session, name)
        if described is None:
            raise Failure(f"There is no stack {name} in {self.region}. make deploy creates one; STACK=… and AWS_REGION=… choose another.")
        self.status = described["StackStatus"]
        self.id = described["StackId"]
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in described.get("Outputs", [])}
        self.parameters = parameters_of(described)
        if not self.outputs:
            hint = "make deploy offers to delete it and creates it anew." if self.status in DEAD else "Wait until it is done."
            raise Failure(f"Stack {name} in {self.region} is {self.status} and has no outputs yet. {hint}")

    @classmethod
    def of(cls, arguments):
        return cls(arguments.stack, session(arguments.region))

    def client(self, service):
        return self.session.client(service)

    def output(self, name):
        if name not in self.outputs:
            raise Failure(f"Stack {self.name} has no output {name}: deploy this version first ({self.remedy}).")
        return self.outputs[name]

    @property
    def remedy(self):
        """What puts this version in place."""
        return "update it from dist/" if {"CodeBucket", "CodeBucketPrefix"} & set(self.parameters) else "make redeploy"

    @property
    def account(self):
        return self.id.split(":")[4]

    @property
    def partition(self):
        return self.id.split(":")[1]


def describe(session, name):
    """What CloudFormation knows of a stack; None when there is none."""
    from botocore.exceptions import ClientError

    try:
        return session.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            return None
        raise


def parameters_of(described):
    """The parameters of a stack as CloudFormation describes it, none of no stack."""
    return {one["ParameterKey"]: one.get("ParameterValue", "") for one in (described or {}).get("Parameters", [])}


Source = collections.namedtuple("Source", "stack bucket kind")


def sources(stack):
    """Each deploy/source.yaml that adds a bucket to this stack."""
    role = stack.outputs.get("FunctionRoleName")
    if role is None:
        return []  # version 0.1, which had its sources inside
    pages = stack.client("cloudformation").get_paginator("describe_stacks").paginate()
    there = [(one["StackName"], parameters_of(one)) for page in pages for one in page["Stacks"] if one["StackStatus"] != "DELETE_COMPLETE"]
    return [Source(name, given["Bucket"], given.get("Kind")) for name, given in there if given.get("FunctionRoleName") == role and "Bucket" in given]


def wait(session, name):
    """Until CloudFormation is done with a stack."""
    while True:
        described = describe(session, name)
        status = described["StackStatus"]
        if not status.endswith("IN_PROGRESS"):
            break
        time.sleep(1)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise Failure(f"The stack {name} is {status}: {described.get('StackStatusReason', 'its events in the console say why')}")


def ask(question, default=""):
    """An answer from the terminal; Enter takes the default, a dash empties it."""
    shown = f" [{default}]" if default else ""
    try:
        answer = input(f"{question}{shown}: ").strip()
    except EOFError:
        raise Failure("No one answers: run this in a terminal, or say YES=1.") from None
    return "" if answer == "-" else answer or default


def confirmed(question, arguments):
    """Whether the operator agrees; --yes is agreement."""
    return arguments.yes or ask(f"{question} (y/n)").lower() in ("y", "yes")


def difference(before, after, name):
    """Two JSON values as a unified diff that shows all of both; empty when they are equal."""
    texts = [json.dumps(value, indent=2, sort_keys=True).splitlines() for value in (before, after)]
    return "\n".join(difflib.unified_diff(*texts, f"{name}, now", f"{name}, then", n=1000, lineterm=""))

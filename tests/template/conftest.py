"""The template as data, and as a stack in ministack (no account, no network)."""

import io
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile

import boto3
import pytest
from botocore.config import Config
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).parents[2]
REGION = "us-east-1"
# The longest that a stack's name may be: that of a rule is made of it, and has 64 characters.
LONG_NAME = "bedrock-denial-watch-".ljust(64 - len("-logging-tamper"), "x")


@pytest.fixture(scope="session")
def template():
    return yaml_parse((ROOT / "template.yaml").read_text())


@pytest.fixture(scope="session")
def source():
    """A Rust source file as text: source("src/config.rs")."""
    return lambda path: (ROOT / path).read_text()


def free_port():
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


@pytest.fixture(scope="session")
def aws(tmp_path_factory):
    """Clients of a ministack: aws("events")."""
    home, port = tmp_path_factory.mktemp("ministack"), free_port()
    url = f"http://127.0.0.1:{port}"
    # A clean environment: ministack hands its own to everything it starts.
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home),
        "STATE_DIR": str(home / "state"), "S3_DATA_DIR": str(home / "s3"),
        "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1",
        "AWS_ENDPOINT_URL": url, "MINISTACK_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0",
    }  # fmt: skip
    program = pathlib.Path(sys.executable).parent / "ministack"
    with open(home / "log", "w") as log:
        process = subprocess.Popen(
            [program], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{url}/_ministack/ready", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail("ministack did not start: " + (home / "log").read_text()[-2000:])
        yield lambda service: boto3.client(
            service, endpoint_url=url, region_name=REGION, aws_access_key_id="test",
            aws_secret_access_key="test", config=Config(retries={"max_attempts": 1}),
        )  # fmt: skip
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def create(aws):
    """Creates a stack from the template and returns its outputs, or raises what was refused."""
    os.environ["AWS_DEFAULT_REGION"] = REGION  # the translator asks boto3 for the partition
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("bootstrap", "never run here")
    aws("s3").create_bucket(Bucket="code")
    aws("s3").put_object(Bucket="code", Key="bootstrap.zip", Body=code.getvalue())

    class NoManagedPolicies:
        def load(self):
            return {}

    def create(name, **parameters):
        template = yaml_parse((ROOT / "template.yaml").read_text())
        template["Resources"]["Function"]["Properties"]["CodeUri"] = "s3://code/bootstrap.zip"
        body = json.dumps(transform(template, parameters, NoManagedPolicies()))
        pairs = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        cloudformation = aws("cloudformation")
        cloudformation.create_stack(
            StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_IAM"], Parameters=pairs
        )
        for _ in range(300):
            stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                break
            time.sleep(0.1)
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        failed = [event.get("ResourceStatusReason") for event in events if "FAILED" in event["ResourceStatus"]]
        assert stack["StackStatus"] == "CREATE_COMPLETE", failed
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    return create


@pytest.fixture(scope="session")
def new_bucket(create):
    """The outputs of a stack with a bucket of its own and everything optional that can be made here."""
    return create(
        LONG_NAME, NewLogBucketName="new-" + "n" * 59, LogPrefix="logs/bedrock", AlertEmail="a@example.com",
        SilenceHours="24", ReservedConcurrency="10", CooldownMinutes="90", ExemptUsers="arn:*:role/a",
    )  # fmt: skip


@pytest.fixture(scope="session")
def existing_bucket(aws, create):
    """The outputs of a stack on a bucket that was there."""
    aws("s3").create_bucket(Bucket="old-logs")
    aws("s3").put_bucket_notification_configuration(
        Bucket="old-logs", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return create("watch", ExistingLogBucket="old-logs")

"""The template as data, and as a stack in ministack (no account, no network)."""

import pathlib
import sys
import tomllib
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import stack  # noqa: E402
from cloud import cloud, end_on_signals  # noqa: E402

# The longest stack name that works: a rule's name is made from it and may have 64 characters.
LONG_NAME = "bedrock-denial-watch-".ljust(64 - len("-logging-tamper"), "x")

# In another account, as the key of an organisation's trail may be.
TRAIL_KEY = "arn:aws:kms:us-east-1:444455556666:key/11112222-3333-4444-5555-666677778888"
LOG_KEY = "arn:aws:kms:us-east-1:000000000000:key/99992222-3333-4444-5555-666677778888"
BOUNDARY = "arn:aws:iam::000000000000:policy/boundary"


@pytest.fixture(scope="session")
def template():
    return stack.template()


@pytest.fixture(scope="session")
def source():
    """A Rust source file as text: source("src/lambda/config.rs")."""
    return lambda path: (ROOT / path).read_text()


@pytest.fixture(scope="session")
def rules():
    """The rule files as data, by id."""
    files = sorted((ROOT / "rules").glob("*.toml"))
    return {path.stem: tomllib.loads(path.read_text()) for path in files}


@pytest.fixture(scope="session")
def here(tmp_path_factory):
    """A ministack whose function is never called, so that no build is needed."""
    stack.ZIP = tmp_path_factory.mktemp("code") / "bootstrap.zip"
    with zipfile.ZipFile(stack.ZIP, "w") as archive:
        archive.writestr("bootstrap", "never run here")
    end_on_signals()
    with cloud() as started:
        stack.upload_code(started)
        yield started


@pytest.fixture(scope="session")
def aws(here):
    """Clients of a ministack: aws("events")."""
    return here.client


@pytest.fixture(scope="session")
def create(here):
    """Creates a stack from the template and returns its outputs, or raises the error."""
    return lambda name, **parameters: stack.Detector(here, name, **parameters).outputs


@pytest.fixture(scope="session")
def new_bucket(create):
    """The outputs of a stack with its own bucket and every option that ministack can create."""
    return create(
        LONG_NAME, NewLogBucketName="new-" + "n" * 59, LogPrefix="logs/bedrock", AlertEmail="a@example.com",
        ReservedConcurrency="10", ExemptUsers="arn:*:role/a",
    )  # fmt: skip


@pytest.fixture(scope="session")
def existing_bucket(aws, create):
    """The outputs of a stack on an existing bucket."""
    aws("s3").create_bucket(Bucket="old-logs")
    aws("s3").put_bucket_notification_configuration(
        Bucket="old-logs", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return create("watch", LogBucketName="old-logs")


@pytest.fixture(scope="session")
def both_sources(here, aws):
    """The outputs of a stack that reads CloudTrail's files too, with the longest possible names."""
    logs, trail = "logs-" + "l" * 58, "trail-" + "t" * 57
    for bucket in (logs, trail):
        aws("s3").create_bucket(Bucket=bucket)
        aws("s3").put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    detector = stack.Detector(
        here, LONG_NAME.replace("bedrock", "bothsrc"), LogBucketName=logs, LogPrefix="logs/bedrock", CloudTrail="both",
        DetectionRules="validation-burst", RuleSettings="validation-burst.threshold=9,denied-model.window=30m",
        LogBucketKmsKeyArn=LOG_KEY, PermissionsBoundaryArn=BOUNDARY,
    )  # fmt: skip
    detector.add_source(trail, "AWSLogs/o-example", name="files12", key=TRAIL_KEY)
    return detector.outputs


@pytest.fixture(scope="session")
def bare(create):
    """The outputs of a stack without anything that costs money each month or is optional."""
    return create("bare", NewLogBucketName="bare-logs", CloudTrail="no", Alarms="no", EveryAlert="no")


@pytest.fixture(scope="session")
def events_only(create):
    """The outputs of a stack that reads no invocation log."""
    return create("events-only", LogBucketName="none")

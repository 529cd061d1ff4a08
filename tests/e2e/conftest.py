"""One ministack a session, and the stacks of template.yaml in it."""

import json

import pytest

from cloud import cloud as start_cloud
from cloud import end_on_signals
from samples import ACCOUNT, REGION, TRAIL_PREFIX
from stack import ZIP, Detector, PackagedDetector, upload_code


def pytest_configure(config):
    config.addinivalue_line("markers", "exhaustive: `make test-all` runs it, `make test` does not (docs/internals/verification.md)")


@pytest.fixture(scope="session")
def cloud():
    if not ZIP.exists():
        pytest.exit(f"{ZIP} is not there: `make test-chain` builds it", 2)
    end_on_signals()
    with start_cloud() as cloud:
        upload_code(cloud)
        yield cloud


@pytest.fixture(scope="session")
def detector(cloud):
    """With a new log bucket, whose notifications call the function."""
    return Detector(cloud, "new-bucket", NewLogBucketName="new-bedrock-logs", LogPrefix="company/bedrock")


@pytest.fixture(scope="session")
def existing(cloud):
    """With a bucket that was there before, through EventBridge."""
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11112222-3333-4444-5555-666677778888"
    return on_existing_bucket(cloud, "existing-bucket", LogBucketKmsKeyArn=key)


@pytest.fixture(scope="session")
def both(cloud):
    """With CloudTrail's log files beside the invocation logs, each in a bucket that was there before."""
    bucket = told_to_eventbridge(cloud, "both-trail")
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11112222-3333-4444-5555-666677778888"
    one = on_existing_bucket(cloud, "both", CloudTrail="both")
    one.add_source(bucket, TRAIL_PREFIX, key=key)
    return one


@pytest.fixture(scope="session")
def events(cloud):
    """With all three sources: invocation logs, CloudTrail's files and its events."""
    bucket = told_to_eventbridge(cloud, "events-trail")
    one = on_existing_bucket(cloud, "events", CloudTrail="both")
    one.add_source(bucket, TRAIL_PREFIX)
    listen_to_us(cloud, "events")
    return one


@pytest.fixture(scope="session")
def packaged(cloud):
    """From dist/: no Rust, no transform."""
    return PackagedDetector(cloud, "packaged", NewLogBucketName="packaged-logs")


def listen_to_us(cloud, name):
    """Only AWS may send as aws.bedrock: the rule listens to example.bedrock instead, and to what it did."""
    rules = cloud.client("events")
    [rule] = [one for one in rules.list_rules()["Rules"] if one["Name"].startswith(f"{name}-ModelCallRule")]
    rules.put_rule(Name=rule["Name"], EventPattern=rule["EventPattern"].replace('"aws.', '"example.'))


@pytest.fixture(scope="session")
def tuned(cloud):
    """With every parameter of the rules set, and a bus for findings."""
    bus = cloud.client("events").create_event_bus(Name="security")["EventBusArn"]
    return on_existing_bucket(
        cloud,
        "tuned",
        DetectionRules="denied-model,validation-burst",
        RuleSettings="denied-model.threshold=1,denied-model.window=10m,denied-model.cooldown=20m",
        ExemptUsers=f"arn:aws:iam::{ACCOUNT}:user/exempt-*",
        LogLevel="trace",
        EventBusArn=bus,
    )


def on_existing_bucket(cloud, name, **parameters):
    return Detector(cloud, name, LogBucketName=told_to_eventbridge(cloud, f"{name}-logs"), **parameters)


def told_to_eventbridge(cloud, bucket):
    """A new bucket with versions, whose events go to EventBridge."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return bucket


@pytest.fixture(autouse=True)
def nothing_left_behind(cloud):
    """A test that fails leaves its alerts and failures; the next one must not find them."""
    yield
    for queue in cloud.client("sqs").list_queues().get("QueueUrls", []):
        cloud.client("sqs").purge_queue(QueueUrl=queue)


@pytest.fixture
def user(request):
    """A user of the test's own, so that no test sees the denials of another."""
    return f"arn:aws:iam::{ACCOUNT}:user/{request.node.name}"

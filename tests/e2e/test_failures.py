"""A delivery that fails ends in the on-failure queue, and counts once it is redriven."""

import gzip
import json
import sys
from contextlib import contextmanager

import pytest

from cloud import poll
from stack import ROOT
from samples import denials, key, pack, s3_event

sys.path.insert(0, str(ROOT / "scripts"))
from redrive import Redrive  # noqa: E402

ATTEMPTS = 3  # the first and two retries


def failure_record(detector):
    """The one record in the on-failure queue: (body, SQS message)."""
    [message] = poll("a record in the on-failure queue", lambda: detector.receive(detector.failures))
    return json.loads(message["Body"]), message


def as_sqs_event(message):
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "eventSource": "aws:sqs",
    }
    return {"Records": [record]}


def feed_directly(detector, record, _message):
    assert detector.invoke(record) is None


def feed_through_sqs(detector, _record, message):
    assert detector.invoke(as_sqs_event(message)) == {"batchItemFailures": []}


FEEDS = pytest.mark.parametrize("feed", [feed_directly, feed_through_sqs])


@FEEDS
def test_a_corrupt_object_ends_in_the_queue_and_counts_once_it_is_mended(detector, user, feed):
    detector.s3.put_bucket_versioning(Bucket=detector.bucket, VersioningConfiguration={"Status": "Suspended"})
    records = denials(user, 0, 1, 2, 3)
    name, record, message = put_corrupt(detector, records)
    assert detector.counted(user) == (2, ids(records[:2]))  # what could be read
    with pytest.raises(RuntimeError, match="gzip"):
        detector.invoke(record)  # before the cause is fixed
    assert detector.alerts() == []

    with detector.notifications_off():
        detector.put(pack(*records), name)
    feed(detector, record, message)
    assert [alert["total_denials"] for alert in detector.alerts()] == [4]
    feed(detector, record, message)
    assert detector.alerts() == []
    assert detector.counted(user)[1] == ids(records)


def test_in_a_versioned_bucket_the_mended_object_counts_by_its_own_delivery(detector, user):
    """The record in the queue names the corrupt version, and fails for as long as it stays corrupt."""
    detector.s3.put_bucket_versioning(Bucket=detector.bucket, VersioningConfiguration={"Status": "Enabled"})
    records = denials(user, 0, 1, 2, 3)
    name, record, _ = put_corrupt(detector, records)
    with detector.deliveries(1):
        detector.put(pack(*records), name)
    assert [alert["total_denials"] for alert in detector.alerts()] == [4]
    with pytest.raises(RuntimeError, match="gzip"):
        detector.invoke(record)
    assert detector.alerts() == []
    assert detector.counted(user)[1] == ids(records)


def ids(records):
    return [record["requestId"] for record in records]


def put_corrupt(detector, records):
    """An object whose second half is cut off; returns its name and its record in the on-failure queue."""
    name = key()
    with detector.deliveries(ATTEMPTS) as ended:
        detector.put(pack(*records[:2]) + pack(*records[2:])[:12], name)
    record, message = failure_record(detector)
    reason = record["responsePayload"]["errorMessage"]
    assert f"s3://{detector.bucket}/{detector.prefix}{name}" in reason and "gzip" in reason
    assert record["responsePayload"]["errorType"] == "DeliveryFailed"
    for delivery in ended:
        assert detector.metrics(delivery)["failures"] == 1
        errors = [line for line in detector.log(delivery.request_id) if '"level":"ERROR"' in line]
        assert len(errors) == 1 and name in errors[0]
    return name, record, message


@FEEDS
def test_an_object_that_may_not_be_read_counts_once_it_may(detector, user, feed):
    name = key()
    with denied(detector, "s3:GetObject*"), detector.deliveries(ATTEMPTS):
        detector.put(pack(*denials(user, 0, 1, 2, 3)), name)
    record, message = failure_record(detector)
    reason = record["responsePayload"]["errorMessage"]
    assert f"s3://{detector.bucket}/{detector.prefix}{name}" in reason
    assert "GetObject" in reason and "AccessDenied" in reason
    assert detector.counted(user) == (0, [])

    feed(detector, record, message)
    feed(detector, record, message)
    assert [alert["total_denials"] for alert in detector.alerts()] == [4]
    assert detector.counted(user)[0] == 4


def test_redrive_empties_the_queue_and_all_of_it_counts(detector, user):
    with denied(detector, "s3:GetObject*"), detector.deliveries(3 * ATTEMPTS):
        for times in ((0, 1), (2, 3), (4, 5)):
            detector.put(pack(*denials(user, *times)))
    poll("three records in the on-failure queue", lambda: waiting(detector) == 3)

    with denied(detector, "s3:GetObject*"):
        assert not redrive(detector)
    assert waiting(detector) == 3
    assert redrive(detector)
    assert waiting(detector) == 0
    assert len(detector.alerts()) == 1
    assert detector.counted(user)[0] == 6


def redrive(detector):
    """What `make redrive` runs, except for finding the stack and waiting: these deliveries could not read
    the object, and hold nothing."""
    run = Redrive(detector.sqs, detector.functions, detector.failures, detector.function)
    run.lease = 0
    return run.run()


def waiting(detector):
    name = "ApproximateNumberOfMessages"
    attributes = detector.sqs.get_queue_attributes(QueueUrl=detector.failures, AttributeNames=[name])
    return int(attributes["Attributes"][name])


@contextmanager
def denied(detector, action):
    """Inside, the function's role may not do `action`."""
    iam = detector.cloud.client("iam")
    role = detector.configuration["Role"].rpartition("/")[2]
    deny = {"Effect": "Deny", "Action": action, "Resource": "*"}
    iam.put_role_policy(
        RoleName=role,
        PolicyName="denied",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [deny]}),
    )
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="denied")


def test_a_batch_fails_message_by_message(detector, user):
    good, bad = detector.prefix + key(), detector.prefix + key()
    with detector.notifications_off():
        detector.s3.put_object(Bucket=detector.bucket, Key=good, Body=pack(*denials(user, 0, 1, 2, 3)))
        detector.s3.put_object(Bucket=detector.bucket, Key=bad, Body=gzip.compress(b"{}\n")[:-4])
    messages = [
        {"messageId": name, "body": json.dumps(s3_event(detector.bucket, name))} for name in (bad, good)
    ]
    assert detector.invoke({"Records": messages}) == {"batchItemFailures": [{"itemIdentifier": bad}]}
    assert [alert["user"]["id"] for alert in detector.alerts()] == [user]

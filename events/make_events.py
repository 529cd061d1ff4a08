#!/usr/bin/env python3
"""Writes the Lambda events beside it, which name objects of events/logs (run make_logs.py first).

Sizes and ETags are those of the objects; every id is made up from a hash, so two runs
write the same bytes.
"""

import base64
import gzip
import hashlib
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote_plus

HERE = Path(__file__).resolve().parent
BUCKET = "example-bedrock-logs"
ACCOUNT, REGION = "111122223333", "us-east-1"


def digest(*seed):
    return hashlib.sha512("bedrock-denial-watch/event/".encode() + repr(seed).encode()).digest()


def uuid(*seed):
    h = digest(*seed).hex()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:32]}"


def request_id(*seed):
    """16 capitals and digits, as S3 writes them."""
    return base64.b32encode(digest(*seed)).decode()[:16]


def host_id(*seed):
    return base64.b64encode(digest(*seed)[:56]).decode()


def iso(at):
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def millis(at):
    return str(int(at.timestamp() * 1000))


def compact(value):
    return json.dumps(value, separators=(",", ":"))


class Stored:
    """One object of events/logs with what S3 says of it."""

    def __init__(self, stamp):
        [path] = (HERE / "logs").rglob(f"{stamp}*")
        body = path.read_bytes()
        self.key = path.relative_to(HERE / "logs").as_posix()
        self.size = len(body)
        self.md5 = hashlib.md5(body).hexdigest()
        self.parts_md5 = hashlib.md5(hashlib.md5(body).digest()).hexdigest() + "-1"
        written = datetime.strptime(path.name[:18], "%Y%m%dT%H%M%S%f").replace(tzinfo=timezone.utc)
        self.at = written + timedelta(milliseconds=612)

    def sequencer(self):
        """As S3's: the second in hex, then more hex digits; only their order means something."""
        return f"00{int(self.at.timestamp()):08X}{digest('sequencer', self.key).hex()[:8].upper()}"


def s3_record(stored, name="ObjectCreated:Put"):
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": iso(stored.at),
        "eventName": name,
        "userIdentity": {"principalId": "AWS:AROAEXAMPLEEXAMPLE123:BedrockModelInvocationLogs"},
        "requestParameters": {"sourceIPAddress": "192.0.2.44"},
        "responseElements": {
            "x-amz-request-id": request_id("request", stored.key),
            "x-amz-id-2": host_id("host", stored.key),
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "bedrock-denial-watch",
            "bucket": {
                "name": BUCKET,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": f"arn:aws:s3:::{BUCKET}",
            },
            "object": {
                "key": quote_plus(stored.key, safe="/-_.*"),
                "size": stored.size,
                "eTag": stored.parts_md5 if name.endswith("CompleteMultipartUpload") else stored.md5,
                "sequencer": stored.sequencer(),
            },
        },
    }


def s3_event(*stored, **options):
    return {"Records": [s3_record(one, **options) for one in stored]}


def test_event():
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2025-06-02T06:30:11.204Z",
        "Bucket": BUCKET,
        "RequestId": request_id("test"),
        "HostId": host_id("test"),
    }


def eventbridge(stored):
    return {
        "version": "0",
        "id": uuid("eventbridge", stored.key),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": ACCOUNT,
        "time": f"{stored.at:%Y-%m-%dT%H:%M:%SZ}",
        "region": REGION,
        "resources": [f"arn:aws:s3:::{BUCKET}"],
        "detail": {
            "version": "0",
            "bucket": {"name": BUCKET},
            "object": {
                "key": stored.key,
                "size": stored.size,
                "etag": stored.md5,
                "sequencer": stored.sequencer(),
            },
            "request-id": request_id("request", stored.key),
            "requester": "bedrock.amazonaws.com",
            "source-ip-address": "192.0.2.44",
            "reason": "PutObject",
        },
    }


def sqs(queue, sender, *messages):
    """`messages`: pairs of the time sent and the value that is the body."""
    records = []
    for sent, value in messages:
        body = compact(value)
        records.append({
            "messageId": uuid("message", queue, body),
            "receiptHandle": "AQEB" + base64.b64encode(digest("receipt", body) * 2).decode(),
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": millis(sent),
                "SenderId": sender,
                "ApproximateFirstReceiveTimestamp": millis(sent + timedelta(milliseconds=8)),
            },
            "messageAttributes": {},
            "md5OfBody": hashlib.md5(body.encode()).hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
            "awsRegion": REGION,
        })
    return {"Records": records}


def sns(sent, value, topic="bedrock-log-objects", subject="Amazon S3 Notification"):
    """`value` is the message, or its text."""
    message = value if isinstance(value, str) else compact(value)
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:{topic}"
    subscription = f"{topic}:{uuid('subscription')}"
    host = f"https://sns.{REGION}.amazonaws.com"
    return {
        "Records": [{
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription,
            "Sns": {
                "Type": "Notification",
                "MessageId": uuid("sns", message),
                "TopicArn": topic,
                "Subject": subject,
                "Message": message,
                "Timestamp": iso(sent),
                "SignatureVersion": "1",
                "Signature": base64.b64encode(digest("signature", message) * 4).decode(),
                "SigningCertUrl": f"{host}/SimpleNotificationService-{digest('certificate').hex()[:32]}.pem",
                "UnsubscribeUrl": f"{host}/?Action=Unsubscribe&SubscriptionArn={subscription}",
                "MessageAttributes": {},
            },
        }],
    }


def on_failure(stored):
    """What Lambda sends on when an asynchronous event failed three times."""
    return {
        "version": "1.0",
        "timestamp": iso(stored.at + timedelta(seconds=187)),
        "requestContext": {
            "requestId": uuid("invocation", stored.key),
            "functionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:bedrock-denial-watch:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": s3_event(stored),
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": {
            "errorType": "DeliveryFailed",
            "errorMessage": f"1 of 1 objects failed: s3://{BUCKET}/{stored.key}: S3 GetObject: AccessDenied: "
                            "the function's role is not authorized to perform s3:GetObject",
        },
    }


class Trail:
    """One CloudTrail file of events/logs."""

    def __init__(self, stamp):
        [path] = (HERE / "logs").rglob(f"*_CloudTrail_*_{stamp}_*")
        self.key = path.relative_to(HERE / "logs").as_posix()
        self.records = json.loads(gzip.decompress(path.read_bytes()))["Records"]
        self.bedrock = [record for record in self.records if record["eventSource"] == "bedrock.amazonaws.com"]
        written = datetime.strptime(stamp, "%Y%m%dT%H%MZ").replace(tzinfo=timezone.utc)
        self.at = written + timedelta(seconds=41, milliseconds=88)


def trail_notification(*trails):
    """What CloudTrail publishes to a trail's topic; the keys are not encoded."""
    return {"s3Bucket": BUCKET, "s3ObjectKey": [trail.key for trail in trails]}


def api_call(record):
    """A record as EventBridge delivers it, within minutes of the call."""
    return {
        "version": "0",
        "id": uuid("eventbridge", record["eventID"]),
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.bedrock",
        "account": record["recipientAccountId"],
        "time": record["eventTime"],
        "region": record["awsRegion"],
        "resources": [],
        "detail": record,
    }


def confirmation(sent):
    """What SNS sends to a queue that was subscribed from another account."""
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:cloudtrail-files"
    host = f"https://sns.{REGION}.amazonaws.com"
    token = digest("token").hex()
    return {
        "Type": "SubscriptionConfirmation",
        "MessageId": uuid("confirmation"),
        "Token": token,
        "TopicArn": topic,
        "Message": f"You have chosen to subscribe to the topic {topic}.\n"
                   "To confirm the subscription, visit the SubscribeURL included in this message.",
        "SubscribeURL": f"{host}/?Action=ConfirmSubscription&TopicArn={topic}&Token={token}",
        "Timestamp": iso(sent),
        "SignatureVersion": "1",
        "Signature": base64.b64encode(digest("signature", token) * 4).decode(),
        "SigningCertURL": f"{host}/SimpleNotificationService-{digest('certificate').hex()[:32]}.pem",
    }


def batch_operations(version, *stored):
    """An invocation by an S3 Batch Operations job."""
    bucket = {"s3Bucket": BUCKET} if version == "2.0" else {"s3BucketArn": f"arn:aws:s3:::{BUCKET}"}
    arguments = {"userArguments": {"reason": "back-fill"}} if version == "2.0" else {}
    task = lambda one: {
        "taskId": base64.b64encode(digest("task", one.key)[:24]).decode(),
        "s3Key": quote_plus(one.key, safe="/-_.*"),
        "s3VersionId": None,
    }
    return {
        "invocationSchemaVersion": version,
        "invocationId": base64.b64encode(digest("invocation", version)).decode(),
        "job": {"id": uuid("job", version)} | arguments,
        "tasks": [task(one) | bucket for one in stored],
    }


def main():
    burst, burst_again = Stored("20250602T091503"), Stored("20250602T114726")
    before_the_hour, after_the_hour = Stored("20250602T105257"), Stored("20250602T113108")
    spaced, members, sweep = Stored("20250602T140840"), Stored("20250602T142036"), Stored("20250603T021058")
    tested = datetime(2025, 6, 2, 6, 30, 11, 240000, timezone.utc)
    s3_sender, lambda_sender = "AIDAEXAMPLEEXAMPLE123", "AROAEXAMPLEEXAMPLE456:bedrock-denial-watch"
    soon = timedelta(milliseconds=431)
    stolen_key, trail_sweep = Trail("20250603T0216Z"), Trail("20250603T1047Z")
    listed, *swept = trail_sweep.bedrock
    calls = [(trail_sweep.at, api_call(record)) for record in swept]
    trail_topic = {"topic": "cloudtrail-files", "subject": None}
    events = {
        "s3-put": s3_event(burst),
        "s3-multipart-complete": s3_event(burst_again, name="ObjectCreated:CompleteMultipartUpload"),
        "s3-key-with-space-and-plus": s3_event(spaced),
        "s3-test-event": test_event(),
        "eventbridge-object-created": eventbridge(spaced),
        "sqs-s3-put": sqs("bedrock-log-objects", s3_sender,
                          *((one.at + soon, s3_event(one)) for one in (before_the_hour, after_the_hour))),
        "sqs-s3-test-event": sqs("bedrock-log-objects", s3_sender, (tested, test_event())),
        "sns-s3-put": sns(members.at + soon, s3_event(members)),
        "lambda-on-failure": on_failure(burst),
        "sqs-lambda-on-failure": sqs("bedrock-denial-watch-failed", lambda_sender,
                                     (sweep.at + timedelta(seconds=187) + soon, on_failure(sweep))),
        "sns-cloudtrail-notification": sns(trail_sweep.at, trail_notification(stolen_key, trail_sweep), **trail_topic),
        "sns-cloudtrail-validation": sns(tested, "CloudTrail validation message.", **trail_topic),
        "sqs-sns-confirmation": sqs("cloudtrail-files", s3_sender, (tested, confirmation(tested))),
        "eventbridge-api-call": api_call(stolen_key.bedrock[0]),
        "eventbridge-api-call-without-model": api_call(listed),
        "sqs-eventbridge-api-calls": sqs("bedrock-calls", s3_sender, *calls),
        "pipe-sqs-s3-put": sqs("bedrock-log-objects", s3_sender,
                               *((one.at + soon, s3_event(one)) for one in (before_the_hour, after_the_hour)))["Records"],
        "s3-batch-operations": batch_operations("1.0", burst, spaced),
        "s3-batch-operations-2.0": batch_operations("2.0", sweep),
    }
    for name, event in events.items():
        (HERE / f"{name}.json").write_text(json.dumps(event, indent=2) + "\n")
    print(f"{len(events)} events in {HERE}")


if __name__ == "__main__":
    main()

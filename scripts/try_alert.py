#!/usr/bin/env python3
"""`make test-alert`: denied calls through the deployed detector; see what arrives, and when.

Three ways:

- without more: four made-up denials as CloudTrail events, handed to the function. No permission on a bucket is needed.
- RULE=id: the example in that rule's file that fires, as a log object in the bucket that Bedrock logs to. This also
  proves the bucket's notification, its key and the function's right to read. RULE=denied-model tests just that.
  Where no invocation log is read, an example of CloudTrail's is handed to the function as events.
- REAL=yes: four real calls of Bedrock by the stack's own probe role, which is denied everything. It says which source
  reported them, and after how long. They cost nothing, as no model answers.

The made-up calls are of the account 000000000000, which no one has, so they count in no
real key and in no real account's incidents. The notice goes to everyone who gets alerts. A queue
of this program's own is subscribed meanwhile, to see that it arrives and when. Queue,
subscription, object and what the table has of the made-up account are removed again.
"""

import datetime
import gzip
import json
import pathlib
import re
import time
import uuid

import verbs

ACCOUNT = "000000000000"
# How long the notice may take after the function took the denials, and after real calls: CloudTrail's events
# usually come within minutes, AWS promises fifteen.
PATIENCE_SECONDS = 60
REAL_PATIENCE_SECONDS = 900
RULES = pathlib.Path(__file__).parents[1] / "rules"
# Any model: the probe may call none.
PROBED_MODEL = "amazon.nova-micro-v1:0"


def denials(user, model, region, number, now):
    """CloudTrail's records of so many denials."""
    for position in range(number):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - number + position))
        yield {
            "eventVersion": "1.11", "eventSource": "bedrock.amazonaws.com", "eventName": "InvokeModel", "awsRegion": region,
            "eventTime": when, "eventID": str(uuid.uuid4()), "requestID": str(uuid.uuid4()), "eventType": "AwsApiCall",
            "userIdentity": {"type": "IAMUser", "arn": user, "accountId": ACCOUNT, "userName": "test-alert"},
            "sourceIPAddress": "192.0.2.1", "userAgent": "make test-alert", "recipientAccountId": ACCOUNT, "managementEvent": True,
            "errorCode": "AccessDenied", "errorMessage": "This is a test: make test-alert", "requestParameters": {"modelId": model},
        }  # fmt: skip


def event(record):
    """A record of CloudTrail as EventBridge brings it."""
    return {
        "version": "0", "id": str(uuid.uuid4()), "detail-type": "AWS API Call via CloudTrail", "source": f"aws.{record['eventSource'].split('.')[0]}",
        "account": ACCOUNT, "time": record["eventTime"], "region": record.get("awsRegion"), "resources": [], "detail": record,
    }  # fmt: skip


def batch(records):
    """The records as the function gets them from its queue."""
    return {"Records": [{"messageId": one["id"], "eventSource": "aws:sqs", "body": json.dumps(one)} for one in map(event, records)]}


class Listener:
    """A queue behind the topic, for as long as the block lasts."""

    def __init__(self, stack):
        self.sqs, self.sns, self.topic = stack.client("sqs"), stack.client("sns"), stack.output("TopicArn")
        self.queue = self.subscription = None

    def __enter__(self):
        name = f"test-alert-{uuid.uuid4().hex[:12]}"
        arn = ":".join(self.topic.replace(":sns:", ":sqs:", 1).split(":")[:5] + [name])
        allow = {
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": self.topic}},
        }  # fmt: skip
        # From the beginning: SQS may take a minute to apply a policy that comes later.
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        self.queue = self.sqs.create_queue(QueueName=name, Attributes={"SqsManagedSseEnabled": "true", "Policy": policy})["QueueUrl"]
        try:
            self.subscription = self.sns.subscribe(
                TopicArn=self.topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}, ReturnSubscriptionArn=True
            )["SubscriptionArn"]
        except Exception:
            self.__exit__()
            raise
        return self

    def notice(self, words, until):
        """The message that holds all words, or None when it is late."""
        while time.monotonic() < until:
            for message in self.sqs.receive_message(QueueUrl=self.queue, WaitTimeSeconds=2, MaxNumberOfMessages=10).get("Messages", []):
                if all(word in message["Body"] for word in words):
                    return message["Body"]
        return None

    def __exit__(self, *_):
        if self.subscription:
            self.sns.unsubscribe(SubscriptionArn=self.subscription)
        if self.queue:
            self.sqs.delete_queue(QueueUrl=self.queue)


def forget(stack):
    """Removes what the table has of the made-up account."""
    client, table = stack.client("dynamodb"), stack.output("TableName")
    pages = client.get_paginator("scan").paginate(
        TableName=table, ProjectionExpression="pk, sk", FilterExpression="contains(pk, :account)",
        ExpressionAttributeValues={":account": {"S": f'"{ACCOUNT}"'}},
    )  # fmt: skip
    number = 0
    for item in (item for page in pages for item in page["Items"]):
        # Exactly the second part, which the account is in every key of ours.
        if json.loads(item["pk"]["S"])[1] == ACCOUNT:
            client.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})
            number += 1
    return number


def threshold(parameters):
    """Of denied-model; RuleSettings has the last word."""
    found = re.findall(r"(?:^|,)denied-model\.threshold=([0-9]+)", parameters.get("RuleSettings", ""))
    return int((found or ["3"])[-1])


def subscribers(stack):
    pages = stack.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=stack.output("TopicArn"))
    for one in (one for page in pages for one in page["Subscriptions"]):
        yield f"{one['Protocol']} {one['Endpoint']}", one["SubscriptionArn"].startswith("arn:")


def by_event(stack, model):
    """Hands the function made-up denials; returns what was sent."""
    user = f"arn:{stack.partition}:iam::{ACCOUNT}:user/test-alert"
    records = list(denials(user, model, stack.region, threshold(stack.parameters) + 1, time.time()))
    hand_over(stack, records)
    return f"the function took {len(records)} denials"


def hand_over(stack, records):
    """Hands the function CloudTrail's records as events."""
    answer = stack.client("lambda").invoke(FunctionName=stack.output("FunctionName"), Payload=json.dumps(batch(records)).encode())
    took = json.loads(answer["Payload"].read() or b"null")
    if "FunctionError" in answer or (took or {}).get("batchItemFailures"):
        raise verbs.Failure(f"The function failed: {took}. make logs says more.")


def example(rule, now):
    """The records of a rule's first example that fires, of the made-up account, the newest a second ago."""
    import tomllib

    path = RULES / f"{rule}.toml"
    if not path.exists():
        raise verbs.Failure(f"There is no rule {rule}: expected one of {', '.join(sorted(one.stem for one in RULES.glob('*.toml')))}.")
    one = next(one for one in tomllib.loads(path.read_text())["example"] if one.get("alerts", 0))
    run, records = uuid.uuid4().hex[:8], []
    for line in filter(str.strip, one["records"].splitlines()):
        for n in range(1, one.get("times", 1) + 1):
            record = json.loads(re.sub(r"(?<![0-9])111122223333(?![0-9])", ACCOUNT, line.replace("{n}", str(n))))
            for name in {"requestId", "requestID", "eventID"} & record.keys():
                record[name] = f"{run}-{record[name]}"
            records.append(record)
    times = [datetime.datetime.fromisoformat(record[time_of(record)].replace("Z", "+00:00")) for record in records]
    shift = datetime.datetime.fromtimestamp(int(now) - 1, datetime.timezone.utc) - max(times)
    for record, when in zip(records, times):
        record[time_of(record)] = (when + shift).strftime("%Y-%m-%dT%H:%M:%SZ")
    return records


def time_of(record):
    """The field that says when a call was made: in CloudTrail, or in the invocation log."""
    return "eventTime" if "eventSource" in record else "timestamp"


def by_example(stack, rule):
    """Puts the example as Bedrock or CloudTrail would; returns what was sent and how to remove it."""
    records, now = example(rule, time.time()), datetime.datetime.now(datetime.timezone.utc)
    is_trail = any("eventSource" in record for record in records)
    if "LogBucketName" not in stack.outputs:
        if not is_trail:
            raise verbs.Failure(f"The example of {rule} is of the invocation log, which this stack does not read (LogBucketName=none).")
        hand_over(stack, records)
        return f"the function took {len(records)} events of rule {rule}", lambda: None
    prefix = stack.parameters["LogPrefix"]
    unique = uuid.uuid4().hex[:16]
    if is_trail:
        folder = f"AWSLogs/{ACCOUNT}/CloudTrail/{stack.region}/{now:%Y/%m/%d}/"
        name, text = f"{ACCOUNT}_CloudTrail_{stack.region}_{now:%Y%m%dT%H%M}Z_{unique}", json.dumps({"Records": records})
    else:
        folder = f"AWSLogs/{ACCOUNT}/BedrockModelInvocationLogs/{stack.region}/{now:%Y/%m/%d/%H}/"
        name, text = f"{now:%Y%m%dT%H%M%S}000Z_{unique}", "".join(json.dumps(record) + "\n" for record in records)
    if prefix.split("/")[0] == "AWSLogs":
        folder = ""
    key = f"{prefix}/{folder}{name}.json.gz"
    body = gzip.compress(text.encode())
    s3, bucket = stack.client("s3"), stack.output("LogBucketName")
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    return f"{len(records)} records of rule {rule} are in s3://{bucket}/{key}", lambda: s3.delete_object(Bucket=bucket, Key=key)


def probe(stack):
    """A client of Bedrock with the rights of the stack's probe role: none."""
    import boto3

    given = stack.client("sts").assume_role(RoleArn=stack.output("ProbeRoleArn"), RoleSessionName="test-alert", DurationSeconds=900)["Credentials"]
    return boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=stack.region).client("bedrock-runtime")


def by_probe(stack, client):
    """Calls a model until it should be reported; every call must be denied."""
    from botocore.exceptions import ClientError

    number = threshold(stack.parameters) + 1
    for _ in range(number):
        try:
            client.converse(modelId=PROBED_MODEL, messages=[{"role": "user", "content": [{"text": "test-alert"}]}], inferenceConfig={"maxTokens": 1})
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise verbs.Failure(f"Bedrock denied the probe with {error.response['Error']['Code']}, not with AccessDeniedException: is {PROBED_MODEL} served in {stack.region}?") from None
        else:
            raise verbs.Failure(f"The probe role was allowed to call {PROBED_MODEL}: someone changed it. docs/operate.md, After a tamper notice.")
    return f"Bedrock denied {number} real calls of {stack.output('ProbeRoleArn').rpartition('/')[2]}/test-alert"


def sources(body):
    """Which sources had recorded the denials when the notice was written."""
    try:
        return ", ".join(json.loads(body)["event"]["dataset"])
    except (ValueError, KeyError, TypeError):
        return "unknown"


def main(arguments=None, stack=None):
    parser = verbs.parser(__doc__.splitlines()[0])
    parser.add_argument("--rule", default="", help="as a log object, the example of this rule")
    parser.add_argument("--real", action="store_true", help="four real calls by the stack's probe role")
    arguments = arguments or parser.parse_args()
    stack = stack or verbs.Stack.of(arguments)
    if arguments.rule and arguments.real:
        raise verbs.Failure("Say RULE=… or REAL=yes: the probe is denied, and causes denied-model only.")
    model, patience, clean = f"test-alert.{uuid.uuid4().hex[:12]}", PATIENCE_SECONDS, lambda: None
    who = list(subscribers(stack))
    forget(stack)
    try:
        with Listener(stack) as listener:
            began = time.monotonic()
            if arguments.real:
                sent, patience = by_probe(stack, probe(stack)), REAL_PATIENCE_SECONDS
                words = [stack.output("ProbeRoleArn").rpartition("/")[2]]
            elif arguments.rule:
                (sent, clean), words = by_example(stack, arguments.rule), [ACCOUNT, arguments.rule]
            else:
                sent, words = by_event(stack, model), [model]
            print(f"✓ {sent}, {time.monotonic() - began:.1f} s", flush=True)
            if arguments.real:
                print(f"· waiting up to {patience // 60} minutes for the notice", flush=True)
            body = listener.notice(words, time.monotonic() + patience)
            if body is None:
                print(f"✗ no notice within {patience} s: {late(arguments)}")
                return 1
            print(f"✓ the notice arrived in a queue behind the topic after {time.monotonic() - began:.1f} s, reported by {sources(body)}")
    finally:
        clean()
        removed = forget(stack)
    for where, confirmed in who:
        print(f"✓ SNS sent it to {where}: look there" if confirmed else f"✗ {where} has not confirmed and got nothing")
    if not any(confirmed for _, confirmed in who):
        print("✗ no one else gets the alerts: make subscribe-email EMAIL=you@example.com")
    print(f"· cleaned up: the queue, its subscription and {removed} items of the table")
    if arguments.real:
        print("· the probe's denials stay counted: within an hour it is reported again only at four times as many alerts")
    print("· where a trail logs management events, a tamper notice about Unsubscribe follows in some minutes: it is this test's")
    return 0 if any(confirmed for _, confirmed in who) else 1


def late(arguments):
    """What to look at when nothing came."""
    if arguments.real:
        return "make status says which source is missing. Was the probe reported within the last hour already, or is it muted (make mutes)?"
    if arguments.rule:
        return "is the rule on, with its default settings (make set)? Does the bucket notify the function (make status)? make logs shows errors"
    return "is denied-model on (make set), or the user exempt or muted (make mutes)?"


if __name__ == "__main__":
    verbs.run(main)

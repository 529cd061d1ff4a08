#!/usr/bin/env python3
"""`make test-alert`: four synthetic refusals through the real function and topic.

They are of a user `test-alert` in the account 000000000000, which nobody has, so they count in no
real key and in no real account's incidents. The notice goes to everybody who gets alerts. A queue
of this program's own is subscribed for the while, to see that it arrives and when. Queue,
subscription and what the table has of the user are removed again.
"""

import json
import re
import time
import uuid

import verbs

ACCOUNT = "000000000000"
# How long the notice may take after the function took the refusals.
PATIENCE_SECONDS = 60


def refusals(user, model, region, number, now):
    """CloudTrail events as EventBridge brings them."""
    for position in range(number):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - number + position))
        detail = {
            "eventVersion": "1.11", "eventSource": "bedrock.amazonaws.com", "eventName": "InvokeModel", "awsRegion": region,
            "eventTime": when, "eventID": str(uuid.uuid4()), "requestID": str(uuid.uuid4()), "eventType": "AwsApiCall",
            "userIdentity": {"type": "IAMUser", "arn": user, "accountId": ACCOUNT, "userName": "test-alert"},
            "sourceIPAddress": "192.0.2.1", "userAgent": "make test-alert", "recipientAccountId": ACCOUNT, "managementEvent": True,
            "errorCode": "AccessDenied", "errorMessage": "This is a test: make test-alert", "requestParameters": {"modelId": model},
        }  # fmt: skip
        yield {
            "version": "0", "id": str(uuid.uuid4()), "detail-type": "AWS API Call via CloudTrail", "source": "aws.bedrock",
            "account": ACCOUNT, "time": when, "region": region, "resources": [], "detail": detail,
        }  # fmt: skip


def batch(events):
    """The events as the function gets them from its queue."""
    return {"Records": [{"messageId": one["id"], "eventSource": "aws:sqs", "body": json.dumps(one)} for one in events]}


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

    def notice(self, model, until):
        """The message that names the model, or None when it is late."""
        while time.monotonic() < until:
            for message in self.sqs.receive_message(QueueUrl=self.queue, WaitTimeSeconds=2, MaxNumberOfMessages=10).get("Messages", []):
                if model in message["Body"]:
                    return message["Body"]
        return None

    def __exit__(self, *_):
        if self.subscription:
            self.sns.unsubscribe(SubscriptionArn=self.subscription)
        if self.queue:
            self.sqs.delete_queue(QueueUrl=self.queue)


def forget(stack, user):
    """Removes what the table has of the test user; nothing else has its account."""
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
    return int((found or [parameters["Threshold"]])[-1])


def subscribers(stack):
    pages = stack.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=stack.output("TopicArn"))
    for one in (one for page in pages for one in page["Subscriptions"]):
        yield f"{one['Protocol']} {one['Endpoint']}", one["SubscriptionArn"].startswith("arn:")


def main(arguments=None, stack=None):
    arguments = arguments or verbs.parser(__doc__.splitlines()[0]).parse_args()
    stack = stack or verbs.Stack.of(arguments)
    user, model = f"arn:{stack.partition}:iam::{ACCOUNT}:user/test-alert", f"test-alert.{uuid.uuid4().hex[:12]}"
    number = threshold(stack.parameters) + 1
    who = list(subscribers(stack))
    forget(stack, user)
    try:
        with Listener(stack) as listener:
            began = time.monotonic()
            answer = stack.client("lambda").invoke(
                FunctionName=stack.output("FunctionName"),
                Payload=json.dumps(batch(refusals(user, model, stack.region, number, time.time()))).encode(),
            )
            took = json.loads(answer["Payload"].read() or b"null")
            if "FunctionError" in answer or (took or {}).get("batchItemFailures"):
                raise verbs.Failure(f"The function failed: {took}. make logs says more.")
            print(f"✓ the function took {number} refusals in {time.monotonic() - began:.1f} s")
            body = listener.notice(model, time.monotonic() + PATIENCE_SECONDS)
            if body is None:
                print(f"✗ no notice within {PATIENCE_SECONDS} s: is denied-model on (make set), or the user exempt or muted (make mutes)?")
                return 1
            print(f"✓ the notice arrived in a queue behind the topic {time.monotonic() - began:.1f} s after the first refusal was handed over")
    finally:
        removed = forget(stack, user)
    for where, confirmed in who:
        print(f"✓ SNS sent it to {where}: look there" if confirmed else f"✗ {where} has not confirmed and got nothing")
    if not any(confirmed for _, confirmed in who):
        print("✗ nobody else gets the alerts: make subscribe-email EMAIL=you@example.com")
    print(f"· cleaned up: the queue, its subscription and {removed} items of the table")
    print("· where a trail logs management events, a tamper notice about Unsubscribe follows in some minutes: it is this test's")
    return 0 if any(confirmed for _, confirmed in who) else 1


if __name__ == "__main__":
    verbs.run(main)

"""template.yaml → a stack in ministack → a detector to feed and to read from."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from cloud import REGION, poll
from samples import key as new_key
from samples import trail_key

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
ZIP = Path(os.environ.get("BOOTSTRAP_ZIP", ROOT / "target/lambda/bootstrap/bootstrap.zip"))
CODE = ("deployment", "bootstrap.zip")
# What deploy/source.yaml takes from the detector's outputs.
SOURCE_OUTPUTS = ["FunctionName", "FunctionArn", "FunctionRoleName", "FailureQueueArn", "NoticeFailureQueueArn", "TamperBusArn", "TamperRoleArn"]


def template():
    return yaml_parse(TEMPLATE.read_text())


def add_on(name):
    """A template of deploy/, as data."""
    return yaml_parse((ROOT / "deploy" / f"{name}.yaml").read_text())


def upload_code(cloud):
    bucket, key = CODE
    cloud.client("s3").create_bucket(Bucket=bucket)
    cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=ZIP.read_bytes())


def for_ministack(template):
    """The template as it is, except for what ministack lacks:

    1. The code comes from ministack's S3: `sam build` would put a bucket into CodeUri, too.
    2. Statements that refuse requests without TLS are dropped: ministack enforces them, and
       is spoken to without.
    3. Rules are ENABLED: ministack passes over one that asks for read-only calls as well.
    4. Conditions know the partition: ministack resolves it everywhere else.
    5. An alarm on a sum watches its first part: ministack knows no arithmetic of metrics.
    """
    for name, condition in template["Conditions"].items():
        if condition == {"Fn::Equals": [{"Ref": "AWS::Partition"}, "aws"]}:
            template["Conditions"][name] = {"Fn::Equals": ["aws", "aws"]}
    resources = template["Resources"]
    for name, resource in list(resources.items()):
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            properties["CodeUri"] = "s3://" + "/".join(CODE)
        if resource["Type"] == "AWS::Events::Rule":
            properties.pop("State", None)
        if "Metrics" in properties:
            first = next(one["MetricStat"] for one in properties.pop("Metrics") if "MetricStat" in one)
            properties |= first["Metric"] | {"Period": first["Period"], "Statistic": first["Stat"]}
        policy = properties.get("PolicyDocument")
        if policy:
            statements = [one for one in policy["Statement"] if "aws:SecureTransport" not in json.dumps(one, default=str)]
            policy["Statement"] = statements
            if not statements:
                del resources[name]
    return template


def cloudformation(parameters):
    """What the SAM transform makes of template.yaml."""
    return transformed(template(), parameters)


def transformed(template, parameters):
    class NoManagedPolicies:
        def load(self):
            return {}

    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    return transform(for_ministack(template), parameters, NoManagedPolicies())


def packaged(folder):
    """What `make package` writes: template.json as text."""
    subprocess.run([sys.executable, ROOT / "scripts/package.py", "--out", folder], check=True, stdout=subprocess.DEVNULL)
    return (Path(folder) / "template.json").read_text()


def create(cloud, name, parameters, **template):
    """Creates a stack and returns its outputs, or raises why it could not be created."""
    stacks = cloud.client("cloudformation")
    stacks.create_stack(
        StackName=name,
        **template,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )

    def settled():
        stack = stacks.describe_stacks(StackName=name)["Stacks"][0]
        return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

    stack = poll(f"stack {name}", settled, 60)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        events = stacks.describe_stack_events(StackName=name)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
            for event in events
            if "FAILED" in event["ResourceStatus"]
        ]
        raise RuntimeError(f"stack {name}: {stack['StackStatus']}: {reasons}")
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


@dataclass(frozen=True)
class Delivery:
    """One invocation that has ended."""

    request_id: str
    lines: tuple


class Detector:
    """A deployed stack, with a queue of the test's own on its topic."""

    def __init__(self, cloud, name, **parameters):
        self.cloud, self.name = cloud, name
        self.s3, self.sqs, self.sns = map(cloud.client, ("s3", "sqs", "sns"))
        self.functions, self.logs = cloud.client("lambda"), cloud.client("logs")
        self.parameters = {"Architecture": "x86_64", "EveryAlert": "yes", **parameters}
        self._create(json.dumps(self._template()))
        self.topic, self.bucket = self.outputs["TopicArn"], self.outputs.get("LogBucketName")
        self.function, self.failures = self.outputs["FunctionName"], self.outputs["FailureQueueUrl"]
        self.prefix = self.parameters.get("LogPrefix", "bedrock") + "/"
        self.trail_bucket = None
        self.inbox = self.subscribe(f"{name}-inbox", self.outputs.get("EveryAlertTopicArn"), RawMessageDelivery="true")
        self.people = self.subscribe(f"{name}-people", RawMessageDelivery="true")

    def _template(self):
        return cloudformation(self.parameters)

    def _create(self, template):
        self.outputs = create(self.cloud, self.name, self.parameters, **self._passed(template))

    def _passed(self, template):
        """By URL, as `sam deploy` does: a request holds at most 51,200 bytes, and the template has more."""
        bucket, key = CODE[0], f"{self.name}.json"
        self.s3.put_object(Bucket=bucket, Key=key, Body=template)
        return {"TemplateURL": f"{self.cloud.url}/{bucket}/{key}"}

    def add_source(self, bucket, prefix, kind="cloudtrail", name="trail", key=""):
        """deploy/source.yaml: one more bucket to read."""
        given = {"Name": name, "Kind": kind, "Bucket": bucket, "Prefix": prefix, "KmsKeyArn": key}
        given |= {name: self.outputs[name] for name in SOURCE_OUTPUTS}
        if kind == "cloudtrail":
            self.trail_bucket = bucket
        body = json.dumps(for_ministack(add_on("source")))
        return create(self.cloud, f"{self.name}-{name}", given, TemplateBody=body)

    def subscribe(self, name, topic=None, **attributes):
        """A new queue on the topic for people, or on another; returns its URL."""
        topic = topic or self.topic
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
        return url

    @cached_property
    def configuration(self):
        return self.functions.get_function_configuration(FunctionName=self.function)

    # --- in ---

    def put(self, body, key=None):
        """One object into the log bucket; returns its key."""
        key = self.prefix + (key or new_key())
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return key

    def put_trail(self, body, key=None):
        """One object into the CloudTrail bucket; returns its key."""
        key = key or trail_key()
        self.s3.put_object(Bucket=self.trail_bucket, Key=key, Body=body)
        return key

    @contextmanager
    def deliveries(self, number):
        """Waits, at its end, until that many invocations that began inside it have ended."""
        began = int(time.time() * 1000)
        before = {delivery.request_id for delivery in self._ended(began)}
        ended = []
        yield ended

        def all_ended():
            ended[:] = [one for one in self._ended(began) if one.request_id not in before]
            return len(ended) >= number

        poll(f"{number} deliveries by {self.name} have ended", all_ended)
        assert len(ended) == number, [delivery.lines for delivery in ended]

    @contextmanager
    def notifications_off(self):
        """The bucket sends no notifications inside, so that only what a test hands over counts."""
        configuration = self.s3.get_bucket_notification_configuration(Bucket=self.bucket)
        del configuration["ResponseMetadata"]

        def set_to(configuration):
            self.s3.put_bucket_notification_configuration(
                Bucket=self.bucket, NotificationConfiguration=configuration
            )

        set_to({})
        try:
            yield
        finally:
            set_to(configuration)

    def _ended(self, since):
        streams = {}
        group = self.configuration["LoggingConfig"]["LogGroup"]
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
        for page in pages:
            for event in page["events"]:
                streams.setdefault(event["logStreamName"], []).append(event["message"].rstrip())
        for lines in streams.values():  # ministack: one stream an invocation, written at its end
            if lines[-1].startswith("REPORT"):
                yield Delivery(lines[0].split()[2], tuple(lines[1:-2]))

    def deliver(self, *bodies, put=None):
        """Puts objects in turn, each once the one before has been processed."""
        keys = []
        for body in bodies:
            with self.deliveries(1):
                keys.append((put or self.put)(body))
        return keys

    def deliver_trail(self, *bodies):
        """The same, into the CloudTrail bucket."""
        return self.deliver(*bodies, put=self.put_trail)

    def deliver_at_once(self, *bodies):
        """Puts all objects at the same moment, each from its own thread."""
        gate = threading.Barrier(len(bodies))

        def put(body):
            gate.wait()
            self.put(*body) if isinstance(body, tuple) else self.put(body)

        with self.deliveries(len(bodies)) as ended:
            threads = [threading.Thread(target=put, args=(body,)) for body in bodies]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return ended

    def invoke(self, event):
        """Synchronously, as `make redrive` does; returns the answer, or raises what the function reported."""
        response = self.functions.invoke(FunctionName=self.function, Payload=json.dumps(event))
        answer = json.loads(response["Payload"].read())
        if "FunctionError" in response:
            raise RuntimeError(answer)
        return answer

    def metrics(self, delivery):
        """The delivery's line in Embedded Metric Format. ministack hands a line that came late to
        the next invocation in the same process, so there is one more while it is not there."""

        def line():
            for line in self.log(delivery.request_id):
                if "_aws" in line:
                    return json.loads(line)
            self.invoke({"Event": "s3:TestEvent"})

        return poll("a metrics line", line)

    def log(self, text=""):
        """All lines of the function's log that contain `text`."""
        group = self.configuration["LoggingConfig"]["LogGroup"]
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"] for page in pages for event in page["events"] if text in event["message"]]

    # --- out ---

    def receive(self, queue):
        """Receives and deletes all messages."""
        messages = []
        while True:
            batch = self.sqs.receive_message(
                QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            ).get("Messages", [])
            if not batch:
                return messages
            for message in batch:
                self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            messages += batch

    def alerts(self):
        """The documents of the alerts since the last call. SNS has handed a message to its queue
        before it acknowledges it, so none is under way once its delivery has ended."""
        return [json.loads(message["Body"]) for message in self.receive(self.inbox)]

    def notices(self):
        """The documents sent to people since the last call."""
        return [json.loads(message["Body"]) for message in self.receive(self.people)]

    def counted(self, user, rule="denied-model"):
        """What the table knows of a user by one rule: the sum over the counters, and the values
        that the rule counts (for denied-model, the request ids)."""
        table = self.cloud.client("dynamodb").get_paginator("scan").paginate(TableName=self.outputs["TableName"])
        items = [
            item
            for page in table
            for item in page["Items"]
            if item.get("user", {}).get("S") == user and json.loads(item["pk"]["S"])[0] == rule
        ]
        samples = {sample for item in items for sample in item["samples"]["SS"]}
        values = sorted(sample.partition("|")[2] for sample in samples)
        return sum(int(item["denials"]["N"]) for item in items), values


class PackagedDetector(Detector):
    """The same, from dist/template.json: without a transform, the code by parameters."""

    def __init__(self, cloud, name, **parameters):
        bucket, key = CODE
        super().__init__(cloud, name, CodeBucket=bucket, CodeKey=key, **parameters)

    def _template(self):
        with tempfile.TemporaryDirectory(prefix="dist-") as folder:
            return for_ministack(json.loads(packaged(folder)))

#!/usr/bin/env python3
"""`make status`: what works and what to do about the rest, one line each.

✓ works, ✗ is wrong (exit status 1), · is a fact without a judgement, ? could not be looked at
(counts as wrong). It changes nothing.
"""

import datetime
import subprocess
import time

import denial_watch
import enable_logging
import verbs

# How far back the last object and event are looked for.
DAYS = 14


class Report:
    """Lines as they come, and whether one of them is wrong."""

    def __init__(self):
        self.wrong = 0

    def good(self, text):
        print(f"✓ {text}")

    def bad(self, text, do):
        print(f"✗ {text}: {do}")
        self.wrong += 1

    def note(self, text):
        print(f"· {text}")

    def check(self, name, look, *arguments):
        """One check; what cannot be seen is no reason to hide the others."""
        try:
            look(self, *arguments)
        except Exception as error:
            advice = verbs.explained(error)
            if advice is None:
                raise
            print(f"? {name}: {advice}")
            self.wrong += 1


def stack_state(report, stack):
    if stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        report.good(f"stack {stack.name} in {stack.region}, account {stack.account}: {stack.status}")
    elif stack.status == "UPDATE_ROLLBACK_COMPLETE":
        report.note(f"stack {stack.name} in {stack.region}, account {stack.account}: its last update was rolled back, so it works as before")
    else:
        report.bad(f"stack {stack.name} is {stack.status}", f"see its events in the console, then {stack.remedy}")


def function(report, stack):
    client, name = stack.client("lambda"), stack.output("FunctionName")
    state = client.get_function_configuration(FunctionName=name).get("State", "Active")
    reserved = client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    if state not in ("Active", "Inactive"):
        report.bad(f"the function is {state}", stack.remedy)
    elif reserved == 0:
        report.bad("the function's concurrency is 0, which stops it", "docs/operate.md, After a tamper notice")
    else:
        report.good(f"the function is {state}")
    sources = client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    if "EventQueueUrl" in stack.outputs and not sources:
        report.bad("CloudTrail events are not taken, the event source mapping is gone", f"docs/operate.md, After a tamper notice, then {stack.remedy}")
    for source in sources:
        if source["State"] not in ("Enabled", "Enabling", "Creating", "Updating"):
            report.bad(f"CloudTrail events are not taken, the event source mapping is {source['State']}", f"aws lambda update-event-source-mapping --enabled --uuid {source['UUID']}")


def subscriptions(report, stack):
    topic = stack.output("TopicArn")
    pages = stack.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    confirmed = 0
    for one in (one for page in pages for one in page["Subscriptions"]):
        where = f"{one['Protocol']} {one['Endpoint']}"
        if one["SubscriptionArn"].startswith("arn:"):
            confirmed += 1
            report.good(f"{where} gets alerts")
        else:
            report.bad(f"{where} has not confirmed its subscription", "follow the mail of AWS Notifications; make subscribe-email EMAIL=… sends it again")
    if not confirmed:
        report.bad("nobody gets the alerts", "make subscribe-email EMAIL=you@example.com, or Slack with make set")


def logging(report, stack, wanted):
    bucket, prefix = stack.output("LogBucketName"), enable_logging.key_prefix(stack.parameters["LogPrefix"])
    present = stack.client("bedrock").get_model_invocation_logging_configuration().get("loggingConfig") or {}
    there = present.get("s3Config")
    if there and (there["bucketName"], there.get("keyPrefix", "").strip("/")) == (bucket, prefix):
        report.good(f"Bedrock logs to s3://{bucket}/{prefix}")
    elif not wanted:
        report.note("Bedrock does not log to the stack's bucket, as LOGGING=no expects: only CloudTrail reports refusals")
    elif there:
        report.bad(f"Bedrock logs to s3://{there['bucketName']}/{there.get('keyPrefix', '')}, not to s3://{bucket}/{prefix}", "make enable-logging")
    else:
        report.bad("Bedrock's logging to S3 is off", "make enable-logging, or make status LOGGING=no where nobody may log prompts")
    if stack.parameters.get("PreviousLogBucket"):
        place = f"s3://{stack.parameters['PreviousLogBucket']}/{stack.parameters['PreviousLogPrefix']}"
        report.note(f"{place} is still watched; once logs come to the new place: make set PreviousLogBucket= PreviousLogPrefix=")


def notified(stack, bucket):
    """Whether a bucket tells of new objects through EventBridge, and whether it calls the function itself."""
    present = stack.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    calls = [one["LambdaFunctionArn"] for one in present.get("LambdaFunctionConfigurations", [])]
    return "EventBridgeConfiguration" in present, stack.output("FunctionArn") in calls


def buckets(report, stack):
    names = {stack.parameters.get(name) for name in ("ExistingLogBucket", "CloudTrailBucket", "PreviousLogBucket")} - {"", None}
    if not stack.parameters.get("ExistingLogBucket"):
        names.discard(stack.output("LogBucketName"))
    for bucket in sorted(names):
        by_events, directly = notified(stack, bucket)
        if by_events:
            report.good(f"{bucket} sends its events to EventBridge")
        elif bucket == stack.parameters.get("PreviousLogBucket") and directly:
            report.good(f"{bucket} still notifies the function")
        else:
            report.bad(f"{bucket} does not announce new objects to EventBridge", f"make watch-bucket BUCKET={bucket}")


def rules(report, stack):
    """The rules that bring events; a disabled one blinds the detector without an error."""
    client = stack.client("events")
    # Rules and alarms are named after the function, which in a StackSet is not called like its stack.
    pages = client.get_paginator("list_rules").paginate(NamePrefix=f"{stack.output('FunctionName')}-")
    off = [one["Name"] for page in pages for one in page["Rules"] if one["State"] == "DISABLED"]
    for name in off:
        report.bad(f"the rule {name} is disabled", f"aws events enable-rule --name {name}")


def own_bucket(report, stack):
    """Whether the bucket that the stack made still calls the function."""
    if stack.parameters.get("ExistingLogBucket"):
        return
    bucket = stack.output("LogBucketName")
    _, directly = notified(stack, bucket)
    if not directly:
        report.bad(f"{bucket} does not notify the function of new objects", f"docs/operate.md, After a tamper notice, then {stack.remedy}")


def trail(report, stack):
    from botocore.exceptions import ClientError

    client, foreign = stack.client("cloudtrail"), []
    for one in client.describe_trails(includeShadowTrails=True)["trailList"]:
        arn = one["TrailARN"]
        try:
            if client.get_trail_status(Name=arn)["IsLogging"] and management(client, arn):
                report.good(f"trail {one['Name']} logs management events, read and write")
                return
        except ClientError:
            # An organization's trail belongs to another account, which alone may look at its selectors.
            if arn.split(":")[4] == stack.account:
                raise
            foreign.append(one["Name"])
    if foreign:
        report.note(f"the organization's trail {foreign[0]} cannot be inspected from this account: does it log management events, read and write?")
        return
    report.bad(
        "no trail logs management events, read and write, in this region",
        "create one (aws cloudtrail create-trail); CloudTrail events and tamper notices need it",
    )


def management(client, arn):
    """Whether a trail logs management events, reading calls too."""
    selectors = client.get_event_selectors(TrailName=arn)
    for one in selectors.get("EventSelectors", []):
        if one.get("IncludeManagementEvents") and one.get("ReadWriteType", "All") == "All":
            return True
    for one in selectors.get("AdvancedEventSelectors", []):
        fields = {field["Field"]: field for field in one["FieldSelectors"]}
        if fields.get("eventCategory", {}).get("Equals") == ["Management"] and "readOnly" not in fields:
            return True
    return not selectors.get("EventSelectors") and not selectors.get("AdvancedEventSelectors")


def ago(seconds):
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit} ago"
    return "in the last two minutes"


def last_seen(stack, metric, now):
    """When a metric of ours last counted something, in epoch seconds; None when not within DAYS."""
    client = stack.client("cloudwatch")
    found, span = None, DAYS * 86_400
    for period in (3600, 60):  # the hour, then the minute in it
        begin = now - span if found is None else found
        points = client.get_metric_statistics(
            Namespace="BedrockDenialWatch", MetricName=metric, Statistics=["Sum"], Period=period,
            Dimensions=[{"Name": "function", "Value": stack.output("FunctionName")}],
            StartTime=datetime.datetime.fromtimestamp(begin, datetime.timezone.utc),
            EndTime=datetime.datetime.fromtimestamp(min(now, begin + (span if found is None else 3600)) + 60, datetime.timezone.utc),
        )["Datapoints"]  # fmt: skip
        times = [point["Timestamp"].timestamp() for point in points if point["Sum"] > 0]
        found = max(times, default=found)
        if found is None:
            return None
    return found


def last(report, stack, now):
    for metric, name in (("objects", "log object"), ("event_records", "CloudTrail event")):
        seen = last_seen(stack, metric, now)
        report.note(f"last {name}: {ago(now - seen)}" if seen else f"last {name}: none in {DAYS} days")


def queues(report, stack):
    sqs = stack.client("sqs")

    def waiting(output):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = sqs.get_queue_attributes(QueueUrl=stack.output(output), AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    for output, what in (("FailureQueueUrl", "failed deliveries"), ("EventFailureQueueUrl", "failed CloudTrail events")):
        if output in stack.outputs:
            number = waiting(output)
            if number:
                report.bad(f"{number} {what} wait, their denials are not counted", "make logs says why; mend it, then make redrive")
            else:
                report.good(f"no {what}")
    if "EventQueueUrl" in stack.outputs:
        report.note(f"CloudTrail events on their way: {waiting('EventQueueUrl')}")


def alarms(report, stack):
    pages = stack.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{stack.output('FunctionName')}-")
    topic = stack.output("TopicArn")
    ours = [one for page in pages for one in page["MetricAlarms"] if topic in one["AlarmActions"]]
    for one in ours:
        if one["StateValue"] == "ALARM":
            report.bad(f"alarm {one['AlarmName']}", one.get("AlarmDescription", "docs/operate.md, Alarms"))
        elif not one["ActionsEnabled"]:
            report.bad(f"alarm {one['AlarmName']} is mute", f"aws cloudwatch enable-alarm-actions --alarm-names {one['AlarmName']}")
    if not ours:
        report.note("no alarms (Alarms=no)")
    elif not any(one["StateValue"] == "ALARM" for one in ours):
        report.good(f"none of {len(ours)} alarms is on")


def counters(report, stack):
    """Keys near their threshold, open incidents and mutes: denial-watch knows the table."""
    run = denial_watch.command(stack, "status", [])
    if run is None:
        report.note("open incidents and mutes: make tools builds denial-watch, which shows them here")
        return
    done = subprocess.run(run, env=denial_watch.environment(stack), capture_output=True, text=True)
    if done.returncode:
        report.bad("the table cannot be read", done.stderr.strip())
    else:
        print(f"\n{done.stdout.rstrip()}")


def main(arguments=None, stack=None):
    parser = verbs.parser(__doc__.splitlines()[0])
    parser.add_argument("--without-logging", action="store_true", help="Bedrock's logging may be off")
    arguments = arguments or parser.parse_args()
    stack = stack or verbs.Stack.of(arguments)
    now, report = time.time(), Report()
    report.check("stack", stack_state, stack)
    report.check("function", function, stack)
    report.check("subscriptions", subscriptions, stack)
    report.check("Bedrock's logging", logging, stack, not arguments.without_logging)
    report.check("buckets", buckets, stack)
    report.check("the stack's bucket", own_bucket, stack)
    report.check("rules", rules, stack)
    report.check("trail", trail, stack)
    report.check("last object and event", last, stack, now)
    report.check("queues", queues, stack)
    report.check("alarms", alarms, stack)
    report.check("counters", counters, stack)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    verbs.run(main)

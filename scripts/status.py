#!/usr/bin/env python3
"""`make status`: what works and what to do about the rest, one line each.

✓ OK, ✗ action needed (exit status 1), · info, ? could not check (counts as ✗). It changes nothing.

What should be there it takes from the stack itself: each of its resources, that CloudFormation made, is looked for.
"""

import datetime
import subprocess
import time

import denial_watch
import look
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
        """One check; one that cannot be made does not hide the others."""
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
        report.bad("no one gets the alerts", "make subscribe-email EMAIL=you@example.com, or make add-chat")


def logging(report, stack, wanted):
    if "LogBucketName" not in stack.outputs:
        report.note("no invocation log is read (LogBucketName=none): only CloudTrail reports denials")
        return
    bucket, prefix = stack.output("LogBucketName"), look.key_prefix(stack.parameters["LogPrefix"])
    configuration = look.logging_configuration(stack.client("bedrock"))
    there = look.logs_to(configuration)
    if there == (bucket, prefix):
        report.good(f"Bedrock logs to s3://{bucket}/{prefix}")
        if not configuration.get("textDataDeliveryEnabled", True):
            report.bad("Bedrock logs no text, so records of text models may be missing", "make enable-logging")
    elif not wanted:
        report.note("Bedrock does not log to the stack's bucket, as LOGGING=no expects: only CloudTrail reports denials")
    elif there:
        report.bad(
            f"Bedrock logs to s3://{there[0]}/{there[1]}, not to s3://{bucket}/{prefix}",
            f"make deploy LogBucketName={there[0]} LogPrefix={look.log_prefix(there[1], stack.account)} reads it there; make enable-logging MOVE={there[0]} moves it",
        )
    else:
        report.bad("Bedrock's logging to S3 is off", "make enable-logging, or make status LOGGING=no where no one may log prompts")


def buckets(report, stack):
    """Each bucket that is read: does it announce new objects, and may the function decrypt them?"""
    s3, function = stack.client("s3"), stack.output("FunctionArn")
    own = not stack.parameters.get("LogBucketName")
    if "LogBucketName" in stack.outputs:
        bucket = stack.output("LogBucketName")
        by_events, directly = look.notified(s3, bucket, function)
        if own and not directly:
            report.bad(f"{bucket} does not notify the function of new objects", f"docs/operate.md, After a tamper notice, then {stack.remedy}")
        elif not own and not by_events:
            report.bad(f"{bucket} does not announce new objects to EventBridge", f"make watch-bucket BUCKET={bucket}")
        elif not own:
            report.good(f"{bucket} sends its events to EventBridge")
        keys(report, stack.client, bucket, stack.parameters.get("LogBucketKmsKeyArn", ""))
    sources = verbs.sources(stack)
    for one in sources:
        by_events, directly = look.notified(s3, one.bucket, function)
        if by_events or directly:
            report.good(f"{one.bucket}, read by the stack {one.stack}, announces new objects")
        else:
            report.bad(f"{one.bucket}, read by the stack {one.stack}, does not announce new objects", f"make watch-bucket BUCKET={one.bucket}")
    if stack.parameters.get("CloudTrail") in ("files", "both") and not any(one.kind == "cloudtrail" for one in sources):
        report.bad("CloudTrail's files are wanted, and no stack names their bucket", "make add-source Bucket=… Prefix=…")


def keys(report, client, bucket, given):
    """Whether the bucket's key is the one that the function may decrypt with, and usable."""
    key = look.key_of(client("s3"), bucket)
    if key in ("", "aws/s3") and not given:
        return
    if not given:
        report.bad(f"{bucket} encrypts with {key}, which the function may not use", f"make set LogBucketKmsKeyArn={key}")
        return
    if not look.same_key(key, given):
        report.bad(f"{bucket} encrypts with {key or 'SSE-S3'}, and LogBucketKmsKeyArn is {given}", "name the bucket's key, or change the bucket's encryption")
    state = client("kms").describe_key(KeyId=given)["KeyMetadata"]["KeyState"]
    if state != "Enabled":
        report.bad(f"the key {given} is {state}: no log can be read", "aws kms enable-key, or aws kms cancel-key-deletion first")
    else:
        report.good(f"the key of {bucket} is enabled")


def rules(report, stack):
    """The rules that should be there, on both buses; one that is gone or disabled blinds or mutes without an error."""
    client, name = stack.client("events"), stack.output("FunctionName")
    resources = stack.client("cloudformation").describe_stack_resources(StackName=stack.name)["StackResources"]
    # A rule on another bus is bus|name to CloudFormation.
    expected = {one["PhysicalResourceId"].rpartition("|")[2].rpartition("/")[2] for one in resources if one["ResourceType"] == "AWS::Events::Rule"}
    found, wrong = {}, 0
    for bus in ("default", f"{name}-tamper"):
        try:
            pages = client.get_paginator("list_rules").paginate(EventBusName=bus)
            # Rules are named after the function, which in a StackSet is not called like its stack.
            found |= {one["Name"]: (bus, one["State"]) for page in pages for one in page["Rules"] if one["Name"].startswith(f"{name}-")}
        except client.exceptions.ResourceNotFoundException:
            report.bad(f"the event bus {bus} is gone: no tamper notice is sent", stack.remedy)
            wrong += 1
    for rule in sorted(expected - set(found)):
        report.bad(f"the rule {rule} is gone", f"docs/operate.md, After a tamper notice, then {stack.remedy}")
        wrong += 1
    for rule, (bus, state) in sorted(found.items()):
        where = "" if bus == "default" else f" --event-bus-name {bus}"
        if state == "DISABLED":
            report.bad(f"the rule {rule} is disabled", f"aws events enable-rule --name {rule}{where}")
            wrong += 1
        elif rule in expected and not client.list_targets_by_rule(Rule=rule, EventBusName=bus)["Targets"]:
            report.bad(f"the rule {rule} has no target", f"docs/operate.md, After a tamper notice, then {stack.remedy}")
            wrong += 1
    if not wrong:
        report.good(f"{len(expected)} rules are there and enabled, on both buses")


def protection(report, stack):
    described = verbs.describe(stack.session, stack.name)
    if described.get("EnableTerminationProtection"):
        report.good("the stack is protected from deletion")
    else:
        report.bad("anyone who may delete stacks can delete this one in one call", f"aws cloudformation update-termination-protection --enable-termination-protection --stack-name {stack.name}")


def management(report, seen, do):
    """Whether one of the trails logs what EventBridge brings; returns its ARN."""
    managed = [(name, arn) for name, arn, management, _ in seen if management]
    foreign = [name for name, _, management, _ in seen if management is None]
    if managed:
        report.good(f"trail {managed[0][0]} logs management events, read and write")
        return managed[0][1]
    if foreign:
        report.note(f"the organization's trail {foreign[0]} cannot be inspected from this account: does it log management events, read and write?")
    else:
        report.bad("no trail logs management events, read and write, in this region", do)
    return None


def trail(report, stack):
    seen = list(look.trails(stack.client("cloudtrail"), stack.account))
    arn = management(report, seen, "create one (aws cloudtrail create-trail); CloudTrail events and tamper notices need it")
    if stack.region != "us-east-1":
        report.note("calls to IAM are recorded in us-east-1 only: api-key-escape sees none of them here")
    if any(mantle for _, _, _, mantle in seen):
        report.good("a trail selects the data events of bedrock-mantle")
    elif arn:
        selectors = stack.client("cloudtrail").get_event_selectors(TrailName=arn)
        report.note("calls of bedrock-mantle are not seen: they are data events, which no trail selects here. $0.10 per 100,000 events. This selects them:")
        print(f"  {look.mantle_command(selectors, arn)}" if not any(one.get("DataResources") for one in selectors.get("EventSelectors", []))
              else f"  first convert the selectors of {arn} to advanced ones: docs/deploy.md, bedrock-mantle")  # fmt: skip


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

    wanted = ["FailureQueueUrl", "NoticeFailureQueueUrl"] + ["EventFailureQueueUrl"] * ("EventQueueUrl" in stack.outputs)
    what_of = {"FailureQueueUrl": "failed deliveries", "EventFailureQueueUrl": "failed CloudTrail events", "NoticeFailureQueueUrl": "undelivered tamper notices"}
    for output, what in ((output, what_of[output]) for output in wanted):
        if output in stack.outputs:
            number = waiting(output)
            if number and output == "NoticeFailureQueueUrl":
                report.bad(f"{number} {what} wait in {stack.output(output)}", "docs/operate.md, After a tamper notice")
            elif number:
                report.bad(f"{number} {what} wait, their denials are not counted", "make logs says why; fix it, then make redrive")
            else:
                report.good(f"no {what}")
    if "EventQueueUrl" in stack.outputs:
        report.note(f"CloudTrail events on their way: {waiting('EventQueueUrl')}")


def alarms(report, stack):
    pages = stack.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{stack.output('FunctionName')}-")
    topic = stack.output("TopicArn")
    ours = {one["AlarmName"]: one for page in pages for one in page["MetricAlarms"] if topic in one["AlarmActions"]}
    resources = stack.client("cloudformation").describe_stack_resources(StackName=stack.name)["StackResources"]
    expected = {one["PhysicalResourceId"] for one in resources if one["ResourceType"] == "AWS::CloudWatch::Alarm"}
    for name in sorted(expected - set(ours)):
        report.bad(f"the alarm {name} is gone, or reports elsewhere", f"docs/operate.md, After a tamper notice, then {stack.remedy}")
    on = [one for one in ours.values() if one["StateValue"] == "ALARM" or silent(stack, one)]
    for one in ours.values():
        if one in on:
            report.bad(f"alarm {one['AlarmName']}", one.get("AlarmDescription", "docs/operate.md, Alarms"))
        elif not one["ActionsEnabled"]:
            report.bad(f"alarm {one['AlarmName']} is mute", f"aws cloudwatch enable-alarm-actions --alarm-names {one['AlarmName']}")
    if not expected:
        report.note("no alarms (Alarms=no)")
    elif not on:
        report.good(f"none of {len(ours)} alarms is on")


def silent(stack, alarm):
    """Whether it is the silence alarm, which has no data where a log that came has stopped."""
    without_data = alarm["AlarmName"].endswith("-silence") and alarm["StateValue"] == "INSUFFICIENT_DATA"
    return without_data and last_seen(stack, "objects", time.time()) is not None


def connected(stack):
    """What the stack reads, by the names that denial-watch knows: it names the rules that none of it can show."""
    kinds = {one.kind for one in verbs.sources(stack)}
    there = look.logs_to(look.logging_configuration(stack.client("bedrock")))
    ours = (stack.outputs.get("LogBucketName"), look.key_prefix(stack.parameters.get("LogPrefix", "")))
    is_connected = {"invocation-log": there == ours or "invocation-log" in kinds, "events": "EventQueueUrl" in stack.outputs, "files": "cloudtrail" in kinds}
    return ",".join(name for name, one in is_connected.items() if one) or "none"


def counters(report, stack):
    """Keys near their threshold, open incidents and mutes: denial-watch knows the table."""
    run = denial_watch.command(stack, "status", ["--connected", connected(stack)])
    if run is None:
        report.note("open incidents, mutes and rules that nothing connected can show: make tools builds denial-watch, which shows them here")
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
    report.check("protection", protection, stack)
    report.check("function", function, stack)
    report.check("subscriptions", subscriptions, stack)
    report.check("Bedrock's logging", logging, stack, not arguments.without_logging)
    report.check("buckets", buckets, stack)
    report.check("rules", rules, stack)
    report.check("trail", trail, stack)
    report.check("last object and event", last, stack, now)
    report.check("queues", queues, stack)
    report.check("alarms", alarms, stack)
    report.check("counters", counters, stack)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    verbs.run(main)

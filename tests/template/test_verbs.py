"""The verbs in scripts/, against ministack, with stubs for the APIs it lacks."""

import io
import json
import os
import pathlib
import subprocess
import sys
import time
import types

import pytest
from botocore.exceptions import ClientError

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import denial_watch  # noqa: E402
import deploy  # noqa: E402
import enable_logging  # noqa: E402
import status  # noqa: E402
import try_alert  # noqa: E402
import verbs  # noqa: E402
import watch_bucket  # noqa: E402

ARN = "arn:aws:sts::111122223333:assumed-role/app"


def options(**values):
    return types.SimpleNamespace(**({"yes": True, "without_logging": False, "bucket": None} | values))


class Deployed:
    """A stack in ministack, as a verbs.Stack, with stand-ins for single services."""

    def __init__(self, aws, name, **instead):
        described = aws("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}
        self.parameters = {one["ParameterKey"]: one.get("ParameterValue", "") for one in described["Parameters"]}
        self.name, self.region, self.account, self.partition = name, "us-east-1", "000000000000", "aws"
        self.status, self._aws, self._instead = described["StackStatus"], aws, instead

    def client(self, service):
        return self._instead.get(service) or self._aws(service)

    output, remedy = verbs.Stack.output, verbs.Stack.remedy


class Bedrock:
    """Keeps one logging configuration, as Bedrock does per region."""

    def __init__(self, configuration=None):
        self.configuration = configuration

    def get_model_invocation_logging_configuration(self):
        return {"loggingConfig": self.configuration} if self.configuration else {}

    def put_model_invocation_logging_configuration(self, loggingConfig):
        self.configuration = loggingConfig


# ------------------------------------------------------------------ enable-logging


CLOUDWATCH = {"logGroupName": "bedrock", "roleArn": "arn:aws:iam::111122223333:role/bedrock-logs"}
ALL = {"textDataDeliveryEnabled": True, "imageDataDeliveryEnabled": True, "embeddingDataDeliveryEnabled": True}
OURS = {"bucketName": "logs", "keyPrefix": "bedrock"}


@pytest.mark.parametrize(
    "present, wanted",
    [
        ({}, {"s3Config": OURS} | ALL),
        ({"cloudWatchConfig": CLOUDWATCH} | ALL, {"cloudWatchConfig": CLOUDWATCH, "s3Config": OURS} | ALL),
        ({"s3Config": {"bucketName": "old"}, "textDataDeliveryEnabled": True}, {"s3Config": OURS, "textDataDeliveryEnabled": True}),
        ({"s3Config": OURS, "imageDataDeliveryEnabled": False}, {"s3Config": OURS, "imageDataDeliveryEnabled": False, "textDataDeliveryEnabled": True}),
    ],
)
def test_logging_keeps_what_is_configured_and_goes_to_our_bucket(present, wanted):
    before = json.dumps(present)
    assert enable_logging.merged(present, "logs", "bedrock") == wanted
    assert json.dumps(present) == before


@pytest.mark.parametrize(
    "log_prefix, expected",
    [("bedrock", "bedrock"), ("a/b=c", "a/b=c"), ("AWSLogs/111122223333/BedrockModelInvocationLogs", ""), ("AWSLogsX", "AWSLogsX")],
)
def test_bedrock_puts_awslogs_behind_the_prefix_itself(log_prefix, expected):
    assert enable_logging.key_prefix(log_prefix) == expected


def test_logging_is_turned_on_with_the_difference_shown_first(aws, existing_bucket, capsys):
    bedrock = Bedrock({"cloudWatchConfig": CLOUDWATCH} | ALL)
    stack = Deployed(aws, "watch", bedrock=bedrock)
    assert enable_logging.main(options(), stack) == 0
    shown = capsys.readouterr().out
    assert '+    "bucketName": "old-logs"' in shown and "cloudWatchConfig" in shown and "✓ Bedrock logs to s3://old-logs/bedrock" in shown
    assert bedrock.configuration == {"cloudWatchConfig": CLOUDWATCH, "s3Config": {"bucketName": "old-logs", "keyPrefix": "bedrock"}} | ALL
    assert enable_logging.main(options(), stack) == 0
    assert "already" in capsys.readouterr().out


def test_nothing_is_written_without_a_yes(aws, existing_bucket, monkeypatch, capsys):
    monkeypatch.setattr("builtins.input", lambda _: "")
    bedrock, answered = Bedrock(), options()
    answered.yes = False
    assert enable_logging.main(answered, Deployed(aws, "watch", bedrock=bedrock)) == 1
    assert bedrock.configuration is None and "nothing was changed" in capsys.readouterr().out


# ------------------------------------------------------------------ watch-bucket


def test_a_bucket_keeps_its_notifications_and_sends_to_eventbridge(aws, existing_bucket, capsys):
    queue = aws("sqs").create_queue(QueueName="keeps")["QueueUrl"]
    arn = aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    aws("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    aws("s3").create_bucket(Bucket="unwatched")
    aws("s3").put_bucket_notification_configuration(
        Bucket="unwatched", NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    )
    answered, stack = options(), Deployed(aws, "watch")
    answered.bucket = "unwatched"
    assert watch_bucket.main(answered, stack) == 0
    assert '+  "EventBridgeConfiguration": {}' in capsys.readouterr().out
    written = aws("s3").get_bucket_notification_configuration(Bucket="unwatched")
    assert "EventBridgeConfiguration" in written
    assert [one["QueueArn"] for one in written["QueueConfigurations"]] == [arn]
    assert watch_bucket.main(answered, stack) == 0
    assert "already" in capsys.readouterr().out


def test_what_a_deleted_stack_left_behind_is_taken_out_and_nothing_else():
    ours, another = ({"LambdaFunctionArn": f"arn:aws:lambda:us-east-1:1:function:{name}", "Events": ["s3:ObjectCreated:*"]} for name in ("watch", "another"))
    present = {"LambdaFunctionConfigurations": [ours, another], "TopicConfigurations": ["kept"]}
    merged = watch_bucket.merged(present, "watch")
    assert merged == {"LambdaFunctionConfigurations": [another], "TopicConfigurations": ["kept"], "EventBridgeConfiguration": {}}
    assert watch_bucket.merged({"LambdaFunctionConfigurations": [ours]}, "watch") == {"EventBridgeConfiguration": {}}


def test_the_stacks_own_bucket_needs_no_watching(aws, new_bucket):
    stack = Deployed(aws, new_bucket["FunctionName"])
    with pytest.raises(verbs.Failure, match="Which other one"):
        watch_bucket.main(options(), stack)


# ------------------------------------------------------------------ denial-watch


@pytest.fixture
def echo(monkeypatch, tmp_path):
    """In place of denial-watch: prints what it is given and where it would look."""
    program = tmp_path / "denial-watch"
    program.write_text('#!/bin/sh\nprintf "%s|" "$AWS_REGION" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("DENIAL_WATCH", str(program))
    return program


def run_watch(stack, capfd, verb, *handed_on):
    assert denial_watch.main((options(verb=verb), list(handed_on)), stack) == 0
    return capfd.readouterr().out.strip("|").split("|")


def test_denial_watch_gets_the_stacks_table_and_region(aws, existing_bucket, echo, capfd):
    stack = Deployed(aws, "watch")
    table = stack.output("TableName")
    order = ["--caller", ARN, "--for", "7d", "--why", "load test"]
    assert run_watch(stack, capfd, "mute", *order) == ["us-east-1", "mute", "--table", table, *order]
    assert run_watch(stack, capfd, "mutes") == ["us-east-1", "mutes", "--table", table]


def test_denial_watch_judges_by_the_stacks_own_rules(aws, existing_bucket, echo, capfd):
    stack = Deployed(aws, "watch")
    stack.parameters |= {"DetectionRules": "denied-model,model-sweep", "RuleSettings": "model-sweep.threshold=5", "Threshold": "4"}
    stack.parameters |= {"WindowMinutes": "30", "CooldownMinutes": "0"}
    given = ["denied-model.threshold=4", "denied-model.window=30m", "model-sweep.threshold=5"]
    expected = ["--rules", "denied-model,model-sweep", *(text for one in given for text in ("--set", one)), "eve"]
    assert run_watch(stack, capfd, "explain", "eve")[4:] == expected


def test_status_shows_what_denial_watch_says_and_says_where_it_comes_from(aws, existing_bucket, echo, capsys, monkeypatch):
    stack = Deployed(aws, "watch", bedrock=Bedrock())
    status.main(options(), stack)
    assert f"us-east-1|status|--table|{stack.output('TableName')}|" in capsys.readouterr().out
    echo.write_text("#!/bin/sh\necho 'error: DynamoDB Scan' >&2; exit 2\n")
    status.main(options(), stack)
    assert "✗ the table cannot be read: error: DynamoDB Scan" in capsys.readouterr().out
    monkeypatch.delenv("DENIAL_WATCH")
    monkeypatch.setattr(denial_watch, "ROOT", echo.parent)
    status.main(options(), stack)
    assert "· open incidents and mutes: make tools builds denial-watch, which shows them here" in capsys.readouterr().out
    with pytest.raises(verbs.Failure, match="make tools builds it"):
        denial_watch.main((options(verb="mutes"), []), stack)


# ------------------------------------------------------------------ deploy and set


def test_deploy_asks_four_questions_and_offers_what_the_stack_has():
    asked = []

    def ask(question, default):
        asked.append((question.split(",")[0], default))
        return default or "T0123456789"

    given = deploy.answers({"AlertEmail": "a@example.com", "Threshold": "9"}, True, ask)
    assert len(asked) == 4 and asked[1][1] == "a@example.com"
    assert list(given) == ["ExistingLogBucket", "AlertEmail", "SlackWorkspaceId", "SlackChannelId"]
    assert "Threshold" not in given, "the rest is left alone"


@pytest.mark.parametrize("chat, number", [(True, 3), (False, 2)])
def test_nobody_is_asked_for_a_channel_without_a_workspace_or_where_chat_does_not_exist(chat, number):
    asked = []
    given = deploy.answers({}, chat, lambda question, default: asked.append(question) or "")
    assert len(asked) == number and set(given.values()) == {""}


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(verbs.Failure, match="Did you mean Threshold"):
        deploy.named_changes(["Treshold=5"], ["Threshold", "LogPrefix"])
    assert deploy.named_changes(["LogPrefix=a/b=c", "Threshold="], ["Threshold", "LogPrefix"]) == {"LogPrefix": "a/b=c", "Threshold": ""}


@pytest.mark.parametrize(
    "changes, watched",
    [
        ({"Threshold": "5"}, False),
        ({"LogPrefix": "bedrock"}, False),
        ({"LogPrefix": "new"}, True),
        ({"ExistingLogBucket": "other"}, True),
        ({"LogPrefix": "new", "PreviousLogBucket": ""}, False),
    ],
)
def test_a_move_keeps_the_old_place_watched(changes, watched):
    present = {"LogPrefix": "bedrock", "ExistingLogBucket": "logs", "NewLogBucketName": ""}
    expected = {"PreviousLogBucket": "logs", "PreviousLogPrefix": "bedrock"} if watched else {}
    assert deploy.kept_watched(present, "logs", changes) == expected


def test_a_second_move_before_the_first_is_done_is_refused():
    present = {"LogPrefix": "b", "PreviousLogBucket": "logs", "PreviousLogPrefix": "a"}
    with pytest.raises(verbs.Failure, match="s3://logs/a is still watched"):
        deploy.kept_watched(present, "logs", {"LogPrefix": "c"})
    assert deploy.kept_watched(present, "logs", {"LogPrefix": "c", "PreviousLogPrefix": "b"}) == {}, "whoever names it knows"


@pytest.mark.parametrize("before, after", [("bedrock", "bedrock/x"), ("bedrock/x", "bedrock")])
def test_nested_prefixes_are_refused_where_s3_refuses_them(before, after):
    present = {"LogPrefix": before, "ExistingLogBucket": ""}
    with pytest.raises(verbs.Failure, match=f"neither of {before} and {after} may contain the other"):
        deploy.kept_watched(present, "logs", {"LogPrefix": after})
    assert deploy.kept_watched(present, "logs", {"LogPrefix": "bed/rock"})
    assert deploy.kept_watched(present | {"ExistingLogBucket": "logs"}, "logs", {"LogPrefix": after}), "rules may overlap"


GOOD = {"ExistingLogBucket": "", "AlertEmail": "", "SlackWorkspaceId": "", "SlackChannelId": ""}


@pytest.mark.parametrize(
    "answer, says",
    [
        ({"AlertEmail": "nobody"}, "AlertEmail=nobody: expected an e-mail address"),
        ({"SlackWorkspaceId": "T0123456789"}, "Slack needs a channel"),
        ({"ExistingLogBucket": "no-such-bucket"}, "There is no bucket no-such-bucket"),
        ({}, "There is a bucket bedrock-logs-000000000000-us-east-1 already"),
    ],
)
def test_a_bad_answer_is_refused_before_the_build(aws, answer, says):
    session = types.SimpleNamespace(client=aws, region_name="us-east-1")
    aws("s3").create_bucket(Bucket="bedrock-logs-000000000000-us-east-1")
    try:
        with pytest.raises(verbs.Failure, match=says):
            deploy.check(session, "000000000000", None, GOOD | answer)
        deploy.check(session, "000000000000", {"StackStatus": "CREATE_COMPLETE"}, GOOD)
        deploy.check(session, "000000000000", None, GOOD | {"ExistingLogBucket": "bedrock-logs-000000000000-us-east-1"})
    finally:
        aws("s3").delete_bucket(Bucket="bedrock-logs-000000000000-us-east-1")


def test_a_stack_that_could_not_be_created_is_deleted_first(monkeypatch, capsys):
    class CloudFormation:
        stack = {"StackStatus": "ROLLBACK_COMPLETE", "StackId": "arn:aws:cloudformation:us-east-1:1:stack/watch/1"}

        def delete_stack(self, StackName):
            assert StackName == self.stack["StackId"]
            CloudFormation.stack = None

    monkeypatch.setattr(verbs, "describe", lambda session, name: {"StackStatus": "UPDATE_IN_PROGRESS"})
    with pytest.raises(verbs.Failure, match="Wait until it is done"):
        deploy.without_dead(None, options(stack="watch"))
    monkeypatch.setattr(verbs, "describe", lambda session, name: CloudFormation.stack)
    session = types.SimpleNamespace(client=lambda service: CloudFormation())
    monkeypatch.setattr("builtins.input", lambda question: "n")
    with pytest.raises(verbs.Failure, match="nothing was changed"):
        deploy.without_dead(session, options(stack="watch", yes=False))
    assert deploy.without_dead(session, options(stack="watch", yes=True)) is None
    assert "it can only be deleted and created anew" in capsys.readouterr().out


@pytest.mark.parametrize("free, wanted, refused", [(1000, "10", False), (10, "1", True), (109, "10", True), (110, "10", False), (10, "", False)])
def test_a_reservation_that_lambda_would_refuse_is_refused_before(free, wanted, refused):
    client = types.SimpleNamespace(get_account_settings=lambda: {"AccountLimit": {"UnreservedConcurrentExecutions": free}})
    if refused:
        with pytest.raises(verbs.Failure, match="Lambda keeps 100 unreserved"):
            deploy.check_concurrency(client, {}, {"ReservedConcurrency": wanted})
    else:
        deploy.check_concurrency(client, {}, {"ReservedConcurrency": wanted})
    with pytest.raises(verbs.Failure, match="ReservedConcurrency=ten: expected a number"):
        deploy.check_concurrency(client, {}, {"ReservedConcurrency": "ten"})


def test_templates_for_govcloud_and_china_name_no_chat_resources(tmp_path, monkeypatch):
    import stack

    monkeypatch.setattr(deploy, "ROOT", tmp_path)
    (tmp_path / "template.yaml").write_text((ROOT / "template.yaml").read_text())
    left, whole = (set(stack.yaml_parse(path.read_text())["Resources"]) for path in (deploy.without_chat(), ROOT / "template.yaml"))
    assert whole - left == {"SlackChannel", "TeamsChannel"}


# ------------------------------------------------------------------ as programs


@pytest.fixture
def verb(here, tmp_path):
    """Runs a script as `make` does: verb("status.py")."""

    def run(script, *arguments, **changed):
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ENDPOINT_URL": here.url, "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip
        environment = {name: value for name, value in (environment | changed).items() if value is not None}
        command = [sys.executable, ROOT / "scripts" / script, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)

    return run


SCRIPTS = [
    ["deploy.py", "set", "Threshold=5"], ["enable_logging.py"], ["watch_bucket.py", "some-bucket"], ["status.py"], ["try_alert.py"],
    ["denial_watch.py", "mutes"], ["subscribe_email.py", "a@example.com"], ["redrive.py"],
]  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script[0])
def test_every_verb_says_what_is_missing(verb, script):
    name, *rest = script
    stack = verb(name, "--stack", "no-such-stack", *rest)
    assert stack.returncode == 2 and "There is no stack no-such-stack in us-east-1. make deploy creates one" in stack.stderr
    credentials = verb(name, *rest, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert credentials.returncode == 2 and "No AWS credentials" in credentials.stderr
    region = verb(name, *rest, AWS_REGION="eu west 1")
    assert region.returncode == 2 and "Region eu west 1: expected one such as us-east-1" in region.stderr
    for answer in (stack, credentials, region):
        assert "Traceback" not in answer.stderr and len(answer.stderr.splitlines()) == 1


def test_a_region_must_be_known_from_somewhere(tmp_path, monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    config = tmp_path / "samconfig.toml"
    config.write_text((ROOT / "samconfig.toml").read_text())
    monkeypatch.setattr(verbs, "saved_region", lambda path=config, look=verbs.saved_region: look(path))
    with pytest.raises(verbs.Failure, match="No region"):
        verbs.session()
    for region in ("eu-west-1", "us-gov-west-1"):
        verbs.save_region(region, config)
        assert verbs.session().region_name == region, "what the last deployment saved"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert verbs.session().region_name == "eu-north-1", "what is said now comes before what was saved"
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    assert verbs.session().region_name == "ap-south-1"
    assert verbs.session("sa-east-1").region_name == "sa-east-1"


def test_set_changes_only_what_is_named(verb, aws, create):
    create("settable", NewLogBucketName="settable-logs", Threshold="7")
    answer = verb("deploy.py", "--stack", "settable", "--yes", "set", "SilenceHours=72", "LogLevel=debug")
    assert answer.returncode == 0, answer.stderr
    assert "SilenceHours: 0 → 72" in answer.stdout and "✓ done" in answer.stdout
    stack = aws("cloudformation").describe_stacks(StackName="settable")["Stacks"][0]
    now = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    assert (now["SilenceHours"], now["LogLevel"], now["Threshold"]) == ("72", "debug", "7")
    again = verb("deploy.py", "--stack", "settable", "--yes", "set", "SilenceHours=72")
    assert again.returncode == 0 and "already" in again.stdout


# ------------------------------------------------------------------ status and test-alert


def test_status_says_what_to_do_about_each_thing_that_is_wrong(aws, existing_bucket, capsys):
    stack = Deployed(aws, "watch", bedrock=Bedrock(), sns=WithUnconfirmedMail(aws("sns")))
    aws("sqs").send_message(QueueUrl=stack.output("FailureQueueUrl"), MessageBody="{}")
    assert status.main(options(), stack) == 1
    lines = capsys.readouterr().out.splitlines()
    for line in lines:
        assert line[0] in "✓✗·" and (line[0] != "✗" or ": " in line), line
    wrong = [line for line in lines if line[0] == "✗"]
    for part in ["email a@example.com has not confirmed", "Bedrock's logging to S3 is off: make enable-logging", "1 failed deliveries wait", "no trail logs management events"]:
        assert any(part in line for line in wrong), part
    assert "✓ old-logs sends its events to EventBridge" in lines


def test_status_sees_a_detector_that_was_blinded(aws, create, capsys):
    create("blinded", NewLogBucketName="blinded-logs")
    stack = Deployed(aws, "blinded", bedrock=Bedrock())
    aws("s3").put_bucket_notification_configuration(Bucket="blinded-logs", NotificationConfiguration={})
    aws("events").disable_rule(Name="blinded-ModelCallRule")
    [source] = aws("lambda").list_event_source_mappings(FunctionName="blinded")["EventSourceMappings"]
    aws("lambda").delete_event_source_mapping(UUID=source["UUID"])
    assert status.main(options(), stack) == 1
    shown = capsys.readouterr().out
    for line in [
        "✗ blinded-logs does not notify the function of new objects: ",
        "✗ the rule blinded-ModelCallRule is disabled: aws events enable-rule --name blinded-ModelCallRule",
        "✗ CloudTrail events are not taken, the event source mapping is gone: ",
    ]:
        assert line in shown


def test_an_organizations_trail_is_no_failure_of_its_members(aws, new_bucket, capsys):
    class Member:
        def describe_trails(self, **_):
            return {"trailList": [{"Name": "organization", "TrailARN": "arn:aws:cloudtrail:us-east-1:999999999999:trail/organization"}]}

        def get_trail_status(self, **_):
            return {"IsLogging": True}

        def get_event_selectors(self, **_):
            raise ClientError({"Error": {"Code": "TrailNotFoundException", "Message": "unknown"}}, "GetEventSelectors")

    report = status.Report()
    status.trail(report, Deployed(aws, new_bucket["FunctionName"], cloudtrail=Member()))
    assert report.wrong == 0
    assert "· the organization's trail organization cannot be inspected from this account" in capsys.readouterr().out


def test_status_is_content_when_all_is_well(aws, create, capsys):
    create("fine", NewLogBucketName="fine-logs")
    stack = Deployed(aws, "fine", bedrock=Bedrock({"s3Config": {"bucketName": "fine-logs", "keyPrefix": "bedrock"}} | ALL))
    aws("s3").create_bucket(Bucket="trail-files")
    aws("cloudtrail").create_trail(Name="management", S3BucketName="trail-files")
    aws("cloudtrail").start_logging(Name="management")
    queue = aws("sqs").create_queue(QueueName="fine-alerts")["QueueUrl"]
    arn = aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws("sns").subscribe(TopicArn=stack.output("TopicArn"), Protocol="sqs", Endpoint=arn)
    try:
        assert status.main(options(), stack) == 0, capsys.readouterr().out
    finally:
        aws("cloudtrail").delete_trail(Name="management")
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if line[0] in "✗?"]
    assert any("trail management logs management events" in line for line in lines)


def test_what_may_not_be_looked_at_is_said_and_hides_nothing_else(aws, existing_bucket, capsys):
    class Refuses:
        def __getattr__(self, operation):
            def call(**_):
                raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}, operation)

            return call

    stack = Deployed(aws, "watch", bedrock=Bedrock(), cloudtrail=Refuses())
    assert status.main(options(), stack) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("? trail: You may not do that: describe_trails") for line in lines)
    assert any("alarms" in line for line in lines), "what comes after it"


class Function:
    """Publishes a notice of the refusals, as the function does."""

    def __init__(self, aws, topic, fails=False):
        self.aws, self.topic, self.fails, self.events = aws, topic, fails, []

    def invoke(self, FunctionName, Payload):
        self.events = [json.loads(record["body"]) for record in json.loads(Payload)["Records"]]
        if self.fails:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "no table"}')}
        model = self.events[0]["detail"]["requestParameters"]["modelId"]
        self.aws("sns").publish(TopicArn=self.topic, Message=json.dumps({"model": model}))
        return {"Payload": io.BytesIO(b'{"batchItemFailures": []}')}


class WithUnconfirmedMail:
    """SNS with one more subscription; ministack confirms e-mail subscriptions by itself."""

    def __init__(self, sns):
        self.sns = sns

    def __getattr__(self, name):
        return getattr(self.sns, name)

    def get_paginator(self, operation):
        mail = {"Protocol": "email", "Endpoint": "a@example.com", "SubscriptionArn": "PendingConfirmation"}
        paginate = self.sns.get_paginator(operation).paginate
        return types.SimpleNamespace(paginate=lambda **asked: [*paginate(**asked), {"Subscriptions": [mail]}])


@pytest.mark.parametrize(
    "settings, expected", [("", 3), ("model-sweep.threshold=9", 3), ("model-sweep.on=true,denied-model.threshold=7", 7)]
)
def test_a_test_alert_knows_the_threshold(settings, expected):
    assert try_alert.threshold({"Threshold": "3", "RuleSettings": settings}) == expected


def left_behind(aws, topic):
    queues = [url for url in aws("sqs").list_queues(QueueNamePrefix="test-alert-").get("QueueUrls", [])]
    subscriptions = aws("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    return queues + [one for one in subscriptions if "test-alert-" in one["Endpoint"]]


def test_a_test_alert_goes_through_the_topic_and_leaves_nothing(aws, create, capsys):
    create("tried", NewLogBucketName="tried-logs", Threshold="5")
    stack = Deployed(aws, "tried")
    function = stack._instead["lambda"] = Function(aws, stack.output("TopicArn"))
    item = {"pk": {"S": json.dumps(["denied-model", try_alert.ACCOUNT, "u", "m"], separators=(",", ":"))}, "sk": {"S": "alerts"}}
    real = {"pk": {"S": '["denied-model","111122223333","u","m"]'}, "sk": {"S": "alerts"}}
    for one in (item, real):
        aws("dynamodb").put_item(TableName=stack.output("TableName"), Item=one)
    assert try_alert.main(options(), stack) == 0
    shown = capsys.readouterr().out
    assert "✓ the function took 6 refusals" in shown and "✓ the notice arrived" in shown
    assert "✓ SNS sent it to sqs arn:aws:sqs:us-east-1:000000000000:tried-people: look there" in shown
    assert len({event["detail"]["requestID"] for event in function.events}) == 6
    assert left_behind(aws, stack.output("TopicArn")) == []
    assert aws("dynamodb").scan(TableName=stack.output("TableName"))["Items"] == [real], "no real key is touched"


def test_a_test_alert_that_only_this_program_got_is_a_failure(aws, create, capsys):
    create("deaf", NewLogBucketName="deaf-logs")
    stack = Deployed(aws, "deaf")
    topic = stack.output("TopicArn")
    stack._instead["lambda"] = Function(aws, topic)
    for one in aws("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
        aws("sns").unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    stack._instead["sns"] = WithUnconfirmedMail(aws("sns"))
    assert try_alert.main(options(), stack) == 1
    shown = capsys.readouterr().out
    assert "✗ email a@example.com has not confirmed and got nothing" in shown and "✗ nobody else gets the alerts" in shown


def test_a_test_alert_that_fails_says_why_and_leaves_nothing(aws, new_bucket, monkeypatch, capsys):
    stack = Deployed(aws, new_bucket["FunctionName"])
    topic = stack.output("TopicArn")
    stack._instead["lambda"] = Function(aws, topic, fails=True)
    with pytest.raises(verbs.Failure, match="no table"):
        try_alert.main(options(), stack)
    assert left_behind(aws, topic) == []
    monkeypatch.setattr(try_alert, "PATIENCE_SECONDS", 0)
    stack._instead["lambda"] = types.SimpleNamespace(invoke=lambda **_: {"Payload": io.BytesIO(b"null")})
    assert try_alert.main(options(), stack) == 1
    assert "✗ no notice within 0 s" in capsys.readouterr().out and left_behind(aws, topic) == []

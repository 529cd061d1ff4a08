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
import add_on  # noqa: E402
import denial_watch  # noqa: E402
import deploy  # noqa: E402
import doctor  # noqa: E402
import enable_logging  # noqa: E402
import look  # noqa: E402
import status  # noqa: E402
import try_alert  # noqa: E402
import verbs  # noqa: E402
import watch_bucket  # noqa: E402

ARN = "arn:aws:sts::111122223333:assumed-role/app"


def options(**values):
    chosen = {"yes": True, "without_logging": False, "bucket": None, "move": "", "rule": "", "real": False}
    return types.SimpleNamespace(**(chosen | values))


class Deployed:
    """A stack in ministack, as a verbs.Stack, with stand-ins for single services."""

    def __init__(self, aws, name, **instead):
        described = aws("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}
        self.parameters = verbs.parameters_of(described)
        self.session = types.SimpleNamespace(client=self.client)
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
TEXT = dict.fromkeys(enable_logging.KINDS, False) | {"textDataDeliveryEnabled": True}
OURS = {"bucketName": "logs", "keyPrefix": "bedrock"}


@pytest.mark.parametrize(
    "present, wanted",
    [
        ({}, {"s3Config": OURS} | TEXT),
        ({"cloudWatchConfig": CLOUDWATCH} | ALL, {"cloudWatchConfig": CLOUDWATCH, "s3Config": OURS} | ALL),
        ({"s3Config": {"bucketName": "old"}, "textDataDeliveryEnabled": True}, {"s3Config": OURS, "textDataDeliveryEnabled": True}),
        ({"s3Config": OURS, "imageDataDeliveryEnabled": False}, {"s3Config": OURS, "imageDataDeliveryEnabled": False, "textDataDeliveryEnabled": True}),
    ],
)
def test_logging_keeps_what_is_configured_and_turns_on_text_alone(present, wanted):
    before = json.dumps(present)
    assert enable_logging.merged(present, "logs", "bedrock") == wanted
    assert json.dumps(present) == before


def test_a_log_that_goes_elsewhere_is_moved_only_by_its_name(aws, existing_bucket, capsys):
    siem = {"s3Config": {"bucketName": "corp-logs", "keyPrefix": "ai/bedrock"}, "textDataDeliveryEnabled": True}
    for bucket, move in [("corp-logs", ""), ("corp-logs", "another"), ("old-logs", "")]:
        there = {**siem, "s3Config": {"bucketName": bucket, "keyPrefix": "ai/bedrock"}}
        bedrock = Bedrock(dict(there))
        with pytest.raises(verbs.Failure, match=f"LogBucketName={bucket} LogPrefix=ai/bedrock.*MOVE={bucket}"):
            enable_logging.main(options(move=move), Deployed(aws, "watch", bedrock=bedrock))
        assert bedrock.configuration == there
    bedrock = Bedrock(dict(siem))
    assert enable_logging.main(options(move="corp-logs"), Deployed(aws, "watch", bedrock=bedrock)) == 0
    assert bedrock.configuration["s3Config"] == {"bucketName": "old-logs", "keyPrefix": "bedrock"}
    assert "Bedrock will no longer log to s3://corp-logs/ai/bedrock." in capsys.readouterr().out


@pytest.mark.parametrize(
    "log_prefix, expected",
    [("bedrock", "bedrock"), ("a/b=c", "a/b=c"), ("AWSLogs/111122223333/BedrockModelInvocationLogs", ""), ("AWSLogsX", "AWSLogsX")],
)
def test_bedrock_puts_awslogs_behind_the_prefix_itself(log_prefix, expected):
    assert look.key_prefix(log_prefix) == expected
    assert look.log_prefix(expected, "111122223333") == log_prefix


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


def test_a_stale_destination_of_someone_else_does_not_stand_in_the_way(aws, existing_bucket):
    asked = []

    class S3:
        def get_bucket_notification_configuration(self, **_):
            return {"QueueConfigurations": [{"QueueArn": "arn:aws:sqs:us-east-1:1:gone", "Events": ["s3:ObjectCreated:*"]}]}

        def put_bucket_notification_configuration(self, **given):
            asked.append(given)

    assert watch_bucket.main(options(bucket="theirs"), Deployed(aws, "watch", s3=S3())) == 0
    assert asked[0]["SkipDestinationValidation"] is True
    assert set(asked[0]["NotificationConfiguration"]) == {"QueueConfigurations", "EventBridgeConfiguration"}


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
    stack.parameters |= {"DetectionRules": "denied-model,model-sweep", "RuleSettings": "model-sweep.threshold=5,denied-model.window=30m"}
    expected = ["--rules", "denied-model,model-sweep", "--set", "model-sweep.threshold=5,denied-model.window=30m", "eve"]
    assert run_watch(stack, capfd, "explain", "eve")[4:] == expected


def test_denial_watch_reads_the_logs_that_the_stack_reads(aws, existing_bucket, echo, capfd, monkeypatch):
    stack = Deployed(aws, "watch")
    bucket, asked = stack.output("LogBucketName"), ["--caller", ARN, "--since", "24h"]
    sources = [verbs.Source("watch-trail", "trail", "AWSLogs/1/CloudTrail/us-east-1", "cloudtrail"), verbs.Source("watch-old", "old", "", "invocation-log")]
    monkeypatch.setattr(verbs, "sources", lambda _: sources)
    prefix = stack.parameters["LogPrefix"]
    expected = ["--logs", f"s3://{bucket}/{prefix}/", "--logs", "s3://trail/AWSLogs/1/CloudTrail/us-east-1/", "--logs", "s3://old/", *asked]
    assert run_watch(stack, capfd, "investigate", *asked)[4:] == expected
    # In a bucket of its own any prefix is read.
    stack.parameters["LogBucketName"] = ""
    assert run_watch(stack, capfd, "investigate", *asked)[5] == f"s3://{bucket}/"
    # Where only events are read, there is nothing to look into.
    del stack.outputs["LogBucketName"]
    sources.clear()
    with pytest.raises(verbs.Failure, match="reads no bucket, only CloudTrail's events"):
        denial_watch.main((options(verb="investigate"), asked), stack)


def test_make_investigate_hands_on_what_is_said(tmp_path):
    def shown(*words):
        told = subprocess.run(["make", "-n", "-o", ".venv-operate/.done", "-o", "target/fast/denial-watch", "investigate", *words],
                              cwd=ROOT, capture_output=True, text=True, check=True)  # fmt: skip
        return told.stdout.split("investigate", 1)[1].split()

    assert shown("ALERT=454dc393") == ["--alert", "'454dc393'"]
    assert shown("CALLER=*:assumed-role/app", "SINCE=7d") == ["--caller", "'*:assumed-role/app'", "--since", "'7d'"]


def test_status_shows_what_denial_watch_says_and_says_where_it_comes_from(aws, existing_bucket, echo, capsys, monkeypatch):
    stack = Deployed(aws, "watch", bedrock=Bedrock())
    status.main(options(), stack)
    assert f"us-east-1|status|--table|{stack.output('TableName')}|--connected|events|" in capsys.readouterr().out
    stack._instead["bedrock"] = Bedrock({"s3Config": {"bucketName": "old-logs", "keyPrefix": "bedrock"}})
    assert status.connected(stack) == "invocation-log,events"
    echo.write_text("#!/bin/sh\necho 'error: DynamoDB Scan' >&2; exit 2\n")
    status.main(options(), stack)
    assert "✗ the table cannot be read: error: DynamoDB Scan" in capsys.readouterr().out
    monkeypatch.delenv("DENIAL_WATCH")
    monkeypatch.setattr(denial_watch, "ROOT", echo.parent)
    status.main(options(), stack)
    assert "can show: make tools builds denial-watch, which shows them here" in capsys.readouterr().out
    with pytest.raises(verbs.Failure, match="make tools builds it"):
        denial_watch.main((options(verb="mutes"), []), stack)


# ------------------------------------------------------------------ deploy and set


DEFAULTS = {
    "LogBucketName": "", "LogPrefix": "bedrock", "LogBucketKmsKeyArn": "", "AlertEmail": "", "RuleSettings": "", "CloudTrail": "events",
    "EveryAlert": "no", "PermissionsBoundaryArn": "",
}  # fmt: skip


def test_deploy_asks_seven_questions_and_offers_what_it_found():
    asked = {}
    offered = DEFAULTS | {"LogBucketName": "corp-logs", "LogPrefix": "ai/bedrock", "AlertEmail": "a@example.com"}
    given = deploy.answers(offered, {}, lambda question, default: asked.setdefault(question, default))
    assert len(asked) == 7 and list(asked.values())[:3] == ["corp-logs/ai/bedrock", "", "a@example.com"]
    assert given == offered


def test_what_is_named_is_not_asked_and_defaults_answer_without_a_terminal():
    named = {"LogBucketName": "none", "PermissionsBoundaryArn": "arn:aws:iam::1:policy/b", "MemorySize": "1024"}
    asked = []
    given = deploy.answers(DEFAULTS, named, lambda question, default: asked.append(question) or default)
    assert given["MemorySize"] == "1024" and given["LogBucketName"] == "none" and len(asked) == 4, "nor for a key of no bucket"
    assert deploy.answers(DEFAULTS, named) == given


@pytest.mark.parametrize(
    "answer, bucket, prefix",
    [
        ("corp-logs/ai/bedrock", "corp-logs", "ai/bedrock"),
        ("s3://corp-logs/ai/", "corp-logs", "ai"),
        ("corp-logs", "corp-logs", "bedrock"),
        ("none", "none", "bedrock"),
        ("", "", "bedrock"),
    ],
)
def test_bucket_and_prefix_are_one_answer(answer, bucket, prefix):
    given = deploy.answers(DEFAULTS, {}, lambda question, default: answer if "Bucket and prefix" in question else default)
    assert (given["LogBucketName"], given["LogPrefix"]) == (bucket, prefix)


def test_deploy_finds_where_bedrock_logs_to_and_that_buckets_key(aws):
    key = "arn:aws:kms:us-east-1:000000000000:key/99992222-3333-4444-5555-666677778888"
    aws("s3").create_bucket(Bucket="found-logs")
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": by_default}]}
    aws("s3").put_bucket_encryption(Bucket="found-logs", ServerSideEncryptionConfiguration=rules)

    def found(configuration):
        return deploy.found(session_of(aws, bedrock=Bedrock(configuration)), "111122223333")

    assert found(None) == found({"cloudWatchConfig": CLOUDWATCH}) == {}
    there = {"s3Config": {"bucketName": "found-logs", "keyPrefix": "ai/bedrock/"}}
    assert found(there) == {"LogBucketName": "found-logs", "LogPrefix": "ai/bedrock", "LogBucketKmsKeyArn": key}
    without = {"s3Config": {"bucketName": "found-logs"}}
    assert found(without)["LogPrefix"] == "AWSLogs/111122223333/BedrockModelInvocationLogs"


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(verbs.Failure, match="Did you mean SilenceHours"):
        deploy.named_changes(["SilenceHour=5"], ["SilenceHours", "LogPrefix"])
    with pytest.raises(verbs.Failure, match="Did you mean LogBucketName"):
        deploy.named_changes(["LogBucket=a"], ["SilenceHours", "LogPrefix", "LogBucketName", "NewLogBucketName"])
    assert deploy.named_changes(["LogPrefix=a/b=c", "AlertEmail="], ["AlertEmail", "LogPrefix"]) == {"LogPrefix": "a/b=c", "AlertEmail": ""}


@pytest.mark.parametrize(
    "present, changes, kept",
    [
        ({"LogBucketName": "logs"}, {"SilenceHours": "5"}, False),
        ({"LogBucketName": "logs"}, {"LogPrefix": "bedrock"}, False),
        ({"LogBucketName": "logs"}, {"LogPrefix": "new"}, True),
        ({"LogBucketName": "logs"}, {"LogBucketName": "other"}, True),
        ({"LogBucketName": "logs"}, {"LogBucketName": "none"}, True),
        ({"LogBucketName": ""}, {"LogPrefix": "new"}, False),
        ({"LogBucketName": ""}, {"LogBucketName": "other"}, True),
        ({"LogBucketName": "none"}, {"LogBucketName": "other"}, False),
    ],
)
def test_a_move_keeps_the_old_place_read(monkeypatch, present, changes, kept):
    monkeypatch.setattr(verbs, "describe", lambda session, name: None)
    parameters = {"LogPrefix": "bedrock", "LogBucketKmsKeyArn": "k"} | present
    stack = types.SimpleNamespace(name="watch", session=None, parameters=parameters, output=lambda name: "logs")
    expected = {"Name": "old", "Kind": "invocation-log", "Bucket": "logs", "Prefix": "bedrock", "KmsKeyArn": "k"}
    assert deploy.left_behind(stack, changes) == (expected if kept else None)


def test_a_second_move_before_the_first_is_done_is_refused(monkeypatch):
    monkeypatch.setattr(verbs, "describe", lambda session, name: {"Outputs": [{"OutputKey": "Source", "OutputValue": "s3://logs/a"}]})
    stack = types.SimpleNamespace(name="watch", session=None, parameters={"LogPrefix": "b", "LogBucketName": "logs"}, output=lambda name: "logs")
    with pytest.raises(verbs.Failure, match="s3://logs/a is still read, by the stack watch-old"):
        deploy.left_behind(stack, {"LogPrefix": "c"})


@pytest.mark.parametrize(
    "answer, says",
    [
        ({"AlertEmail": "nobody"}, "AlertEmail=nobody: expected an email address"),
        ({"CloudTrail": "maybe"}, "CloudTrail=maybe: expected one of events, files, both, no"),
        ({"MemorySize": "12"}, "MemorySize=12: expected a number from 128 to 10240"),
        ({"LogBucketName": "none", "CloudTrail": "no"}, "Nothing would be read"),
        ({"LogBucketName": "no-such-bucket"}, "There is no bucket no-such-bucket"),
        ({"LogBucketName": "locked"}, "The bucket locked belongs to another account"),
        ({"NewLogBucketName": "locked"}, "The name locked belongs to another account"),
        ({"LogBucketName": "encrypted"}, "encrypted is encrypted with the KMS key k-1: say LogBucketKmsKeyArn"),
        ({}, "There is a bucket bedrock-logs-000000000000-us-east-1 already"),
    ],
)
def test_a_bad_answer_is_refused_before_the_build(monkeypatch, answer, says):
    made = "bedrock-logs-000000000000-us-east-1"
    monkeypatch.setattr(look, "bucket", lambda s3, name: {"locked": 403, "no-such-bucket": 404}.get(name, 200))
    monkeypatch.setattr(look, "key_of", lambda s3, name: "k-1" if name == "encrypted" else "")
    session = types.SimpleNamespace(client=lambda service: None, region_name="us-east-1")
    parameters = deploy.template()["Parameters"]
    with pytest.raises(verbs.Failure, match=says):
        deploy.check(session, "000000000000", parameters, None, DEFAULTS | answer, {})
    deploy.check(session, "000000000000", parameters, {"StackStatus": "CREATE_COMPLETE"}, DEFAULTS, {})
    deploy.check(session, "000000000000", parameters, None, DEFAULTS | {"LogBucketName": made}, {})


def test_a_new_bucket_is_refused_where_bedrock_logs_elsewhere():
    session = types.SimpleNamespace(client=lambda service: None, region_name="us-east-1")
    there = {"LogBucketName": "corp-logs", "LogPrefix": "ai/bedrock"}
    with pytest.raises(verbs.Failure, match="Say LogBucketName=corp-logs LogPrefix=ai/bedrock, which moves nothing"):
        deploy.check(session, "000000000000", deploy.template()["Parameters"], None, DEFAULTS, there)


TUNED = {"Threshold": "5", "WindowMinutes": "30", "RuleSettings": "model-sweep.on=false"}


@pytest.mark.parametrize(
    "old, new, extra",
    [
        ({"ExistingLogBucket": "logs"}, {"LogBucketName": "logs", "CloudTrail": "events"}, []),
        ({"NewLogBucketName": "mine"}, {"LogBucketName": "", "NewLogBucketName": "mine"}, []),
        (TUNED, {"RuleSettings": "denied-model.threshold=5,denied-model.window=30m,model-sweep.on=false"}, []),
        ({"Threshold": "0"}, {"RuleSettings": "denied-model.threshold=0"}, []),
        ({"CloudTrailEvents": "no", "CloudTrailBucket": "t", "CloudTrailPrefix": "AWSLogs"}, {"CloudTrail": "files"}, ["source"]),
        ({"CloudTrailEvents": "no"}, {"CloudTrail": "no"}, []),
        ({"SilenceHours": "0"}, {"SilenceHours": "72"}, []),
        ({"SilenceHours": "24"}, {"SilenceHours": "24"}, []),
        ({"ReservedConcurrency": "2"}, {"ReservedConcurrency": "5"}, []),
        ({"SlackWorkspaceId": "T1", "SlackChannelId": "C1", "Dashboard": "yes"}, {}, ["chat", "dashboard"]),
        ({"PreviousLogBucket": "before", "PreviousLogPrefix": "p"}, {}, ["source"]),
    ],
)
def test_the_answers_of_version_0_1_are_kept(old, new, extra):
    present = {"Threshold": "3", "WindowMinutes": "60", "CooldownMinutes": "", "ExistingLogBucket": "", "CloudTrailEvents": "yes", "RuleSettings": ""} | old
    now, add_ons = deploy.migrated(present)
    assert {name: now.get(name, "") for name in new} == new
    assert [kind for kind, _ in add_ons] == extra
    assert deploy.migrated(DEFAULTS) == (DEFAULTS, []), "of this version nothing changes"


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


# ------------------------------------------------------------------ doctor and add-ons


class NoBoundary:
    def get_policy(self, **_):
        raise ClientError({"Error": {"Code": "NoSuchEntity", "Message": "none"}}, "GetPolicy")


class SmallAccount:
    def get_account_settings(self):
        return {"AccountLimit": {"UnreservedConcurrentExecutions": 10}}


class Chatbot:
    def describe_slack_workspaces(self):
        return {"SlackWorkspaces": [{"SlackTeamId": "T1"}]}

    def describe_slack_channel_configurations(self):
        return {"SlackChannelConfigurations": [{"SlackChannelId": "C1", "ConfigurationName": "ops"}]}


def session_of(aws, **instead):
    return types.SimpleNamespace(client=lambda service, **_: instead.get(service) or aws(service), region_name="us-east-1")


def test_doctor_says_before_a_deployment_what_would_fail(aws, capsys):
    aws("s3").create_bucket(Bucket="doctor-logs")
    bedrock = Bedrock({"s3Config": {"bucketName": "doctor-logs", "keyPrefix": "ai"}, "textDataDeliveryEnabled": True})
    session = session_of(aws, bedrock=bedrock, chatbot=Chatbot(), iam=NoBoundary(), **{"lambda": SmallAccount()})
    changes = ["ReservedConcurrency=10", "PermissionsBoundaryArn=arn:aws:iam::000000000000:policy/missing", "SlackWorkspaceId=T2", "SlackChannelId=C2"]
    assert doctor.main(options(stack="not-there", changes=changes), session) == 1
    lines = capsys.readouterr().out.splitlines()
    assert all(line[0] in "✓✗·?" for line in lines)
    for part in [
        "· there is no stack not-there in us-east-1 yet",
        "✓ Bedrock logs to s3://doctor-logs/ai, which make deploy offers",
        "· doctor-logs does not announce new objects yet: make watch-bucket",
        "✗ no trail logs management events",
        "✗ Lambda would refuse the reservation",
        "✗ there is no policy arn:aws:iam::000000000000:policy/missing",
        "✗ chat would fail: Slack workspace T2 is not authorized",
    ]:
        assert any(line.startswith(part) for line in lines), (part, lines)


@pytest.mark.parametrize("workspace, channel, says", [("T1", "C1", "configured already, as ops"), ("T2", "C2", "is not authorized"), ("T1", "C2", None)])
def test_chat_that_would_fail_is_refused_before(workspace, channel, says):
    wrong = look.slack(Chatbot(), workspace, channel)
    assert (says in wrong) if says else wrong is None


def test_an_add_on_gets_the_stacks_outputs_and_can_be_changed(aws, create, capsys):
    create("adds", NewLogBucketName="adds-logs")
    aws("s3").create_bucket(Bucket="adds-trail")
    stack = Deployed(aws, "adds", bedrock=Bedrock())
    with pytest.raises(verbs.Failure, match="Prefix is missing"):
        add_on.check(stack, "source", {"Bucket": "adds-trail"})
    with pytest.raises(verbs.Failure, match="There is no bucket adds-none"):
        add_on.check(stack, "source", {"Bucket": "adds-none", "Prefix": "AWSLogs"})
    with pytest.raises(verbs.Failure, match="Which channel"):
        add_on.check(stack, "chat", {"TopicArns": "a"})
    with pytest.raises(verbs.Failure, match="deploy/source.yaml has no such parameter"):
        add_on.put(stack, "source", {"Bukcet": "adds-trail"})
    for prefix in ["AWSLogs", "AWSLogs/o-example"]:
        assert add_on.put(stack, "source", {"Bucket": "adds-trail", "Prefix": prefix}) == "adds-trail"
        pattern = json.loads(aws("events").describe_rule(Name="adds-trail")["EventPattern"])
        assert pattern["detail"]["object"]["key"][0] == {"wildcard": f"{prefix}/*_CloudTrail_*.json.gz"}
    assert verbs.sources(stack) == [("adds-trail", "adds-trail", "AWSLogs/o-example", "cloudtrail")]
    assert "files" in status.connected(stack).split(",")
    status.buckets(status.Report(), stack)
    assert "✗ adds-trail, read by the stack adds-trail, does not announce new objects" in capsys.readouterr().out
    assert add_on.put(stack, "dashboard", {}) == "adds-dashboard"


@pytest.mark.parametrize(
    "selectors, management, mantle",
    [
        ({}, True, False),
        ({"EventSelectors": [{"IncludeManagementEvents": True, "ReadWriteType": "WriteOnly"}]}, False, False),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]}]}, True, False),
    ],
)
def test_what_a_trail_selects_and_the_command_that_selects_bedrock_mantle(selectors, management, mantle):
    assert (look.management(selectors), look.mantle(selectors)) == (management, mantle)
    command = look.mantle_command(selectors, "arn:aws:cloudtrail:us-east-1:1:trail/t")
    written = {"AdvancedEventSelectors": json.loads(command[command.index("'") + 1 : command.rindex("'")])}
    assert look.mantle(written) and look.management(written), "the call replaces what is there"


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
    ["deploy.py", "set", "SilenceHours=5"], ["deploy.py", "delete"], ["add_on.py", "source"], ["enable_logging.py"], ["watch_bucket.py", "some-bucket"], ["status.py"], ["try_alert.py"],
    ["denial_watch.py", "mutes"], ["subscribe_email.py", "a@example.com"], ["redrive.py"],
]  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=" ".join)
def test_every_verb_says_what_is_missing(verb, script):
    name, *rest = script
    stack = verb(name, "--stack", "no-such-stack", *rest)
    assert stack.returncode == 2 and "There is no stack no-such-stack in us-east-1." in stack.stderr
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
    create("settable", NewLogBucketName="settable-logs", LogRetentionDays="7")
    answer = verb("deploy.py", "--stack", "settable", "--yes", "set", "SilenceHours=24", "LogLevel=debug")
    assert answer.returncode == 0, answer.stderr
    assert "SilenceHours: 72 → 24" in answer.stdout and "✓ done" in answer.stdout
    stack = aws("cloudformation").describe_stacks(StackName="settable")["Stacks"][0]
    now = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    assert (now["SilenceHours"], now["LogLevel"], now["LogRetentionDays"]) == ("24", "debug", "7")
    again = verb("deploy.py", "--stack", "settable", "--yes", "set", "SilenceHours=24")
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
    aws("events").disable_rule(Name="blinded-notice", EventBusName="blinded-tamper")
    for rule in ["blinded-alert-tamper", "blinded-stack"]:
        targets = aws("events").list_targets_by_rule(Rule=rule)["Targets"]
        aws("events").remove_targets(Rule=rule, Ids=[one["Id"] for one in targets])
    aws("events").delete_rule(Name="blinded-alert-tamper")
    aws("cloudwatch").delete_alarms(AlarmNames=["blinded-errors"])
    assert status.main(options(), stack) == 1
    shown = capsys.readouterr().out
    for line in [
        "✗ blinded-logs does not notify the function of new objects: ",
        "✗ the rule blinded-ModelCallRule is disabled: aws events enable-rule --name blinded-ModelCallRule",
        "✗ CloudTrail events are not taken, the event source mapping is gone: ",
        # It would mute every tamper notice, the one about itself too.
        "✗ the rule blinded-notice is disabled: aws events enable-rule --name blinded-notice --event-bus-name blinded-tamper",
        "✗ the rule blinded-alert-tamper is gone: ",
        "✗ the rule blinded-stack has no target: ",
        "✗ the alarm blinded-errors is gone, or reports elsewhere: ",
        "✗ anyone who may delete stacks can delete this one in one call: ",
    ]:
        assert line in shown


@pytest.mark.parametrize("came, wrong", [(True, 1), (False, 0)])
def test_status_sees_a_log_that_stopped_and_waits_for_one_that_never_came(monkeypatch, capsys, came, wrong):
    alarm = {"AlarmName": "watch-silence", "StateValue": "INSUFFICIENT_DATA", "ActionsEnabled": True, "AlarmActions": ["topic"], "AlarmDescription": "no object"}
    cloudwatch = types.SimpleNamespace(get_paginator=lambda _: types.SimpleNamespace(paginate=lambda **_: [{"MetricAlarms": [alarm]}]))
    cloudformation = types.SimpleNamespace(describe_stack_resources=lambda **_: {"StackResources": []})
    stack = types.SimpleNamespace(
        name="watch", client=lambda service: {"cloudwatch": cloudwatch, "cloudformation": cloudformation}[service],
        output=lambda name: {"FunctionName": "watch", "TopicArn": "topic"}[name], remedy="make redeploy",
    )  # fmt: skip
    monkeypatch.setattr(status, "last_seen", lambda *_: 1.0 if came else None)
    report = status.Report()
    status.alarms(report, stack)
    assert report.wrong == wrong and ("✗ alarm watch-silence: no object" in capsys.readouterr().out) == came


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
    aws("cloudformation").update_termination_protection(StackName="fine", EnableTerminationProtection=True)
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
    """Publishes a notice of the denials, as the function does."""

    def __init__(self, aws, topic, fails=False, says=None):
        self.aws, self.topic, self.fails, self.says, self.events = aws, topic, fails, says, []

    def invoke(self, FunctionName, Payload):
        self.events = [json.loads(record["body"]) for record in json.loads(Payload)["Records"]]
        if self.fails:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "no table"}')}
        said = f"{self.says} {try_alert.ACCOUNT}" if self.says else self.events[0]["detail"]["requestParameters"]["modelId"]
        self.aws("sns").publish(TopicArn=self.topic, Message=json.dumps({"said": said}))
        return {"Payload": io.BytesIO(b'{"batchItemFailures": []}')}


class WithUnconfirmedMail:
    """SNS with one more subscription; ministack confirms email subscriptions by itself."""

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
    assert try_alert.threshold({"RuleSettings": settings}) == expected


def left_behind(aws, topic):
    queues = [url for url in aws("sqs").list_queues(QueueNamePrefix="test-alert-").get("QueueUrls", [])]
    subscriptions = aws("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    return queues + [one for one in subscriptions if "test-alert-" in one["Endpoint"]]


def test_a_test_alert_goes_through_the_topic_and_leaves_nothing(aws, create, capsys):
    create("tried", NewLogBucketName="tried-logs", RuleSettings="denied-model.threshold=5")
    stack = Deployed(aws, "tried")
    function = stack._instead["lambda"] = Function(aws, stack.output("TopicArn"))
    item = {"pk": {"S": json.dumps(["denied-model", try_alert.ACCOUNT, "u", "m"], separators=(",", ":"))}, "sk": {"S": "alerts"}}
    real = {"pk": {"S": '["denied-model","111122223333","u","m"]'}, "sk": {"S": "alerts"}}
    for one in (item, real):
        aws("dynamodb").put_item(TableName=stack.output("TableName"), Item=one)
    assert try_alert.main(options(), stack) == 0
    shown = capsys.readouterr().out
    assert "✓ the function took 6 denials" in shown and "✓ the notice arrived" in shown
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
    assert "✗ email a@example.com has not confirmed and got nothing" in shown and "✗ no one else gets the alerts" in shown


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


# ------------------------------------------------------------------ test-alert: by a log object, and with real calls


RULE_IDS = sorted(path.stem for path in (ROOT / "rules").glob("*.toml"))


@pytest.mark.parametrize("rule", RULE_IDS)
def test_every_rule_has_an_example_to_send(rule):
    """Of the made-up account, just now, and never twice the same requests."""
    now = time.time()
    first, second = try_alert.example(rule, now), try_alert.example(rule, now)
    text = json.dumps(first)
    assert first and "111122223333" not in text and try_alert.ACCOUNT in text and "{n}" not in text
    newest = max(record[try_alert.time_of(record)] for record in first)
    assert abs(time.time() - time.mktime(time.strptime(newest, "%Y-%m-%dT%H:%M:%SZ")) + time.timezone) < 60
    ids = [{record.get("requestId") or record.get("requestID") for record in records} - {None} for records in (first, second)]
    assert not ids[0] & ids[1]


def test_a_rules_example_goes_through_the_bucket_and_is_removed(aws, create, capsys, monkeypatch):
    create("by-object", NewLogBucketName="by-object-logs", LogPrefix="ai/bedrock")
    stack, sent = Deployed(aws, "by-object"), []

    class S3:
        """Bedrock's place: what is put there is reported."""

        def __getattr__(self, name):
            return getattr(aws("s3"), name)

        def put_object(self, **given):
            sent.append(given)
            notice = {"event": {"dataset": ["aws.bedrock_invocation"]}, "rule": "model-sweep", "account": try_alert.ACCOUNT}
            aws("sns").publish(TopicArn=stack.output("TopicArn"), Message=json.dumps(notice))
            return aws("s3").put_object(**given)

    stack._instead["s3"] = S3()
    assert try_alert.main(options(rule="model-sweep"), stack) == 0
    shown = capsys.readouterr().out
    assert "records of rule model-sweep are in s3://by-object-logs/ai/bedrock/AWSLogs/000000000000/" in shown
    assert "reported by aws.bedrock_invocation" in shown
    assert sent[0]["Key"].endswith(".json.gz") and "Contents" not in aws("s3").list_objects_v2(Bucket="by-object-logs")
    with pytest.raises(verbs.Failure, match="There is no rule nonsense: expected one of api-key-escape, denied-model"):
        try_alert.main(options(rule="nonsense"), stack)
    with pytest.raises(verbs.Failure, match="RULE=… or REAL=yes"):
        try_alert.main(options(rule="model-sweep", real=True), stack)


def test_where_no_log_is_read_an_example_of_cloudtrails_goes_by_events(aws, events_only, capsys):
    stack = Deployed(aws, events_only["FunctionName"])
    function = stack._instead["lambda"] = Function(aws, stack.output("TopicArn"), says="key-recon")
    assert try_alert.main(options(rule="key-recon"), stack) == 0
    assert "✓ the function took 3 events of rule key-recon" in capsys.readouterr().out
    assert {event["source"] for event in function.events} == {"aws.bedrock"} and all("recipientAccountId" in event["detail"] for event in function.events)
    with pytest.raises(verbs.Failure, match="The example of denied-model is of the invocation log, which this stack does not read"):
        try_alert.main(options(rule="denied-model"), stack)


class Model:
    """Bedrock for the probe: denies, or not."""

    def __init__(self, code="AccessDeniedException", denied=lambda: None):
        self.code, self.denied, self.calls = code, denied, 0

    def converse(self, **_):
        self.calls += 1
        if self.code:
            self.denied()
            raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, "Converse")


def test_the_probe_is_denied_and_the_source_that_reported_it_is_named(aws, new_bucket, capsys, monkeypatch):
    stack = Deployed(aws, new_bucket["FunctionName"])
    role = stack.output("ProbeRoleArn").rpartition("/")[2]

    def reported():
        if model.calls == 4:
            notice = {"event": {"dataset": ["aws.cloudtrail"]}, "user": f"{role}/test-alert"}
            aws("sns").publish(TopicArn=stack.output("TopicArn"), Message=json.dumps(notice))

    model = Model(denied=reported)
    monkeypatch.setattr(try_alert, "probe", lambda stack: model)
    assert try_alert.main(options(real=True), stack) == 0
    shown = capsys.readouterr().out
    assert model.calls == 4 and f"✓ Bedrock denied 4 real calls of {role}/test-alert" in shown and "reported by aws.cloudtrail" in shown
    assert left_behind(aws, stack.output("TopicArn")) == []
    monkeypatch.setattr(try_alert, "REAL_PATIENCE_SECONDS", 0)
    monkeypatch.setattr(try_alert, "probe", lambda stack: Model())
    assert try_alert.main(options(real=True), stack) == 1
    assert "✗ no notice within 0 s: make status says which source is missing" in capsys.readouterr().out


@pytest.mark.parametrize("code, says", [(None, "The probe role was allowed to call"), ("ValidationException", "not with AccessDeniedException")])
def test_a_probe_that_is_not_denied_proves_nothing(aws, new_bucket, monkeypatch, code, says):
    stack = Deployed(aws, new_bucket["FunctionName"])
    monkeypatch.setattr(try_alert, "probe", lambda stack: Model(code))
    with pytest.raises(verbs.Failure, match=says):
        try_alert.main(options(real=True), stack)
    assert left_behind(aws, stack.output("TopicArn")) == []


def test_the_probe_gets_a_session_of_the_stacks_role(aws, new_bucket):
    client = try_alert.probe(Deployed(aws, new_bucket["FunctionName"]))
    assert client.meta.service_model.service_name == "bedrock-runtime" and client.meta.region_name == "us-east-1"

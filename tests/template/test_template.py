"""The template against the code it deploys: each name in one exists in the other."""

import copy
import json
import pathlib
import re
import tomllib

import pytest

import stack
from conftest import LOG_KEY, TRAIL_KEY

ROOT = pathlib.Path(__file__).parents[2]
RUST = {path: path.read_text() for path in (ROOT / "src").rglob("*.rs") if "tests" not in path.parts}


def resource(template, name):
    return template["Resources"][name]["Properties"]


def seconds(text, constant):
    """The value of a Rust constant such as `const OPERATION: Duration = Duration::from_secs(30);`."""
    product = re.search(rf"const {constant}: Duration = Duration::from_secs\(([^)]*)\)", text)[1]
    value = 1
    for factor in product.split("*"):
        value *= int(factor)
    return value


def statements(template, role):
    for policy in resource(template, role).get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            yield statement["Fn::If"][1] if "Fn::If" in statement else statement


def listed(value):
    return value if isinstance(value, list) else [value]


# ------------------------------------------------------------------ configuration


def test_the_environment_is_what_the_function_reads(template, source):
    config = source("src/lambda/config.rs").split("#[cfg(test)]")[0]
    read = set(re.findall(r'(?:required|parsed)\(\s*"([A-Z_]+)"', config))
    assert read >= {"TABLE_NAME", "TOPIC_ARN"}
    assert set(resource(template, "Function")["Environment"]["Variables"]) == read
    shipped = [text.split("#[cfg(test)]")[0] for path, text in RUST.items() if path.name != "tests.rs" and "tests" not in path.parts]
    elsewhere = {name for text in shipped for name in re.findall(r'env::var\("([A-Z_]+)"\)', text)}
    assert elsewhere <= {"AWS_LAMBDA_FUNCTION_NAME"}, "Lambda sets only its own variables"


def test_the_binary_is_the_one_that_is_built(template):
    function = template["Resources"]["Function"]
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())
    assert function["Metadata"]["BuildMethod"] == "rust-cargolambda"
    assert function["Metadata"]["BuildProperties"]["Binary"] in [binary["name"] for binary in cargo["bin"]]
    assert function["Properties"]["Handler"] == "bootstrap"


def test_what_a_parameter_allows_the_code_accepts(template, source):
    parameters = template["Parameters"]
    settings = source("src/rule/bounds.rs")
    threshold = parameters["Threshold"]
    assert f"MAX_THRESHOLD: usize = {threshold['MaxValue']};" in settings
    assert threshold["MinValue"] == 0
    assert "MAX_MINUTES: u64 = 24 * 60;" in settings
    window = parameters["WindowMinutes"]
    assert (window["MinValue"], window["MaxValue"]) == (1, 24 * 60)
    cooldown = re.compile(parameters["CooldownMinutes"]["AllowedPattern"])
    assert [minutes for minutes in range(2000) if cooldown.match(str(minutes))] == list(range(24 * 60 + 1))
    assert not any(cooldown.match(text) for text in ["00", "000", "01", "060"])
    levels = re.findall(r'"(\w+)" => Ok\(Level::', source("src/lambda/config.rs"))
    assert sorted(parameters["LogLevel"]["AllowedValues"]) == sorted(levels)


def test_the_defaults_are_those_of_the_rule(template, rules):
    parameters = template["Parameters"]
    rule = rules["denied-model"]
    assert parameters["Threshold"]["Default"] == rule["threshold"]
    assert f"{parameters['WindowMinutes']['Default']}m" == rule["window"]
    assert parameters["CooldownMinutes"]["Default"] == "" and "cooldown" not in rule


def test_every_rule_can_be_chosen(template, rules):
    parameter = template["Parameters"]["DetectionRules"]
    assert parameter["Default"] == "", "a new rule needs no change here"
    pattern = re.compile(parameter["AllowedPattern"])
    assert all(pattern.search(text) for text in [*rules, ",".join(rules), "all", ""])
    refused = [" ", "denied-model,", ",denied-model", "denied-model, model-sweep", "Denied", "denied_model"]
    assert not any(pattern.search(text) for text in refused)


def test_every_setting_of_every_rule_can_be_given(template, rules, source):
    parameter = template["Parameters"]["RuleSettings"]
    assert parameter["Default"] == ""
    pattern = re.compile(parameter["AllowedPattern"])
    names = re.findall(r'Self::\w+ => "(\w+)",', source("src/rule/settings.rs"))
    assert len(names) == 6
    settings = [f"{rule}.{name}=1" for rule in rules for name in names]
    assert all(pattern.search(text) for text in [*settings, ",".join(settings), ""])
    assert pattern.search("session-rotation.exempt=arn:aws:sts::*:assumed-role/agent-*")
    refused = ["denied-model", "threshold=5", "denied-model.threshold", "denied-model.threshold=", "denied-model.x=5",
               "denied-model.on=true,", "denied-model.on=true, model-sweep.on=true"]
    assert not any(pattern.search(text) for text in refused)
    for text in re.findall(r"such as (\S+)\. ", parameter["Description"]):
        assert pattern.search(text), text


def test_no_concurrency_of_zero_which_stops_everything(template):
    pattern = re.compile(template["Parameters"]["ReservedConcurrency"]["AllowedPattern"])
    assert all(pattern.match(text) for text in ["", "-1", "1", "10", "1000"])
    assert not any(pattern.match(text) for text in ["0", "00", "-2", "1.5", "many"])


def test_every_parameter_and_variable_is_documented(template):
    text = (ROOT / "docs/deploy.md").read_text()
    variables = resource(template, "Function")["Environment"]["Variables"]
    missing = [name for name in [*template["Parameters"], *variables] if f"`{name}`" not in text]
    assert not missing


def test_every_parameter_is_explained_and_asked_in_a_group(template):
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])
    for name, parameter in template["Parameters"].items():
        assert len(parameter["Description"]) > 30, name
        assert "AllowedPattern" not in parameter or "ConstraintDescription" in parameter, name


# ------------------------------------------------------------------ state and time


def test_the_table_has_the_keys_and_the_ttl_that_the_code_writes(template, source):
    table = resource(template, "Table")
    store = source("src/lambda/aws/dynamodb.rs")
    keys = {key["KeyType"]: key["AttributeName"] for key in table["KeySchema"]}
    assert set(re.findall(r'\.key\("(\w+)"', store)) == {keys["HASH"], keys["RANGE"]} == {"pk", "sk"}
    assert {key["AttributeType"] for key in table["AttributeDefinitions"]} == {"S"}
    ttl = table["TimeToLiveSpecification"]
    assert ttl["Enabled"] is True
    assert f"SET #{ttl['AttributeName']} = :" in store
    assert "now.saturating_add(rule.window.as_secs())" in source("src/deliver/keys.rs"), "epoch seconds"


def test_the_function_gives_up_before_lambda_does(template, source):
    services = [source(f"src/lambda/aws/{name}.rs") for name in ["s3", "dynamodb", "sns"]]
    patience = sum(seconds(service, "OPERATION") for service in services)
    timeout = template["Parameters"]["TimeoutSeconds"]
    assert patience < timeout["MinValue"] <= timeout["Default"] <= timeout["MaxValue"] == 900


def test_a_redrive_waits_longer_than_a_lease(source):
    text = (ROOT / "scripts/redrive.py").read_text()
    margin = int(re.search(r"LEASE_MARGIN_SECONDS = (\d+)", text)[1])
    assert margin > seconds(source("src/lambda/handler.rs"), "LEASE_MARGIN")


def test_counters_outlive_the_longest_redrive(template, source):
    queue = resource(template, "FailureQueue")
    event_age = resource(template, "Function")["EventInvokeConfig"]["MaximumEventAgeInSeconds"]
    assert queue["MessageRetentionPeriod"] + event_age < seconds(source("src/deliver/mod.rs"), "RETENTION")


def test_a_message_stays_out_of_sight_while_the_function_works_on_it(template):
    longest = template["Parameters"]["TimeoutSeconds"]["MaxValue"]
    assert resource(template, "FailureQueue")["VisibilityTimeout"] > longest
    text = (ROOT / "scripts/redrive.py").read_text()
    assert int(re.search(r"INVISIBLE_SECONDS = (\d+)", text)[1]) > longest
    assert int(re.search(r"read_timeout=(\d+)", text)[1]) > longest


# ------------------------------------------------------------------ least privilege


def test_no_wildcards_and_no_managed_policies(template):
    for role in ["FunctionRole", "ChatRole"]:
        assert "ManagedPolicyArns" not in resource(template, role)
        for statement in statements(template, role):
            assert statement["Effect"] == "Allow"
            assert not [action for action in listed(statement["Action"]) if "*" in action]
            for arn in listed(statement["Resource"]):
                text = json.dumps(arn)
                objects = [
                    "${LogBucketName}/${LogPrefix}/*",
                    "${PreviousLogBucket}/${PreviousLogPrefix}/*",
                    "${CloudTrailBucket}/${CloudTrailPrefix}/*",
                ]
                ours = any(f'"arn:${{AWS::Partition}}:s3:::{one}"' in text for one in objects)
                assert text.count("*") == (1 if ours else 0), text
    assert "Policies" not in resource(template, "Function"), "SAM would add them to a role of its own"
    assert not list(statements(template, "ChatRole"))


def test_every_suppressed_check_has_its_reason(source):
    skips = re.findall(r"^    # checkov:skip=(CKV_\w+):(.*)$", source("template.yaml"), re.MULTILINE)
    assert len(skips) == source("template.yaml").count("checkov:skip") > 0
    for check, reason in skips:
        assert len(reason) > 30, check


# ------------------------------------------------------------------ ways in


def test_both_ways_in_take_what_bedrock_writes_and_the_code_reads(template, aws, existing_bucket):
    rules = resource(template, "LogBucket")["NotificationConfiguration"]["LambdaConfigurations"][0]
    rules = {rule["Name"]: rule["Value"] for rule in rules["Filter"]["S3Key"]["Rules"]}
    suffixes = re.search(r"SUFFIXES: \[&str; \d\] = \[(.*)\]", RUST[ROOT / "src/source/object.rs"])[1]
    assert rules["suffix"].endswith(tuple(json.loads(f"[{suffixes}]")))
    [rule] = [r for r in aws("events").list_rules()["Rules"] if r["Name"].startswith("watch-ObjectRule")]

    def arrives(key, bucket="old-logs"):
        event = json.loads((ROOT / "events/eventbridge-object-created.json").read_text())
        event["detail"]["bucket"]["name"], event["detail"]["object"]["key"] = bucket, key
        pattern = rule["EventPattern"]
        return aws("events").test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]

    sample = next((ROOT / "events/logs").rglob("2025*Z_*.json.gz")).relative_to(ROOT / "events/logs")
    assert arrives(f"bedrock/{sample}") and str(sample).endswith(rules["suffix"])
    assert not arrives(f"other/{sample}")
    assert not arrives(f"bedrock-other/{sample}")
    assert not arrives("bedrock/AWSLogs/notes.txt")
    assert not arrives(f"bedrock/{sample}", "other-bucket")


TRAIL = "AWSLogs/o-example/111122223333/CloudTrail/us-east-1/2025/06/10/"
TRAIL_FILE = TRAIL + "111122223333_CloudTrail_us-east-1_20250610T0905Z_Mu0KsOhtH1ar15ZZ.json.gz"


def test_cloudtrail_files_come_in_and_nothing_else_beside_them(aws, both_sources):
    name = both_sources["FunctionName"]
    [rule] = [r for r in aws("events").list_rules()["Rules"] if r["Name"].startswith(f"{name}-C")]

    def arrives(key, bucket="trail-" + "t" * 57):
        event = json.loads((ROOT / "events/eventbridge-object-created.json").read_text())
        event["detail"]["bucket"]["name"], event["detail"]["object"]["key"] = bucket, key
        pattern = rule["EventPattern"]
        return aws("events").test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]

    assert arrives(TRAIL_FILE) and arrives(TRAIL_FILE.replace("CloudTrail", "CloudTrail-NetworkActivity"))
    assert not arrives(TRAIL_FILE, "another-bucket")
    assert not arrives(TRAIL_FILE.replace("o-example", "o-other"))
    for other in ["CloudTrail-Digest", "CloudTrail-Insight", "Config", "vpcflowlogs"]:
        assert not arrives(TRAIL_FILE.replace("CloudTrail", other)), other
    digest = "111122223333_CloudTrail-Digest_us-east-1_my-trail_us-east-1_20250610T100000Z"
    for suffix in ["", "_backfill"]:
        assert not arrives(f"AWSLogs/o-example/111122223333/CloudTrail-Digest/us-east-1/2025/06/10/{digest}{suffix}.json.gz")
    assert not arrives(TRAIL_FILE.removesuffix(".gz"))
    logs = "BedrockModelInvocationLogs/us-east-1/2025/06/10/09/20250610T090158146Z_304f8a0fe9973f2a.json.gz"
    assert not arrives(f"AWSLogs/o-example/111122223333/{logs}")


def test_cloudtrail_files_come_in_as_reliably_as_logs(template):
    rules = {"ObjectRule": "ExistingBucket", "CloudTrailRule": "ReadsCloudTrail", "PreviousObjectRule": "PreviousElsewhere"}
    for rule, condition in rules.items():
        targets = resource(template, rule)["Targets"]
        assert targets == resource(template, "ObjectRule")["Targets"], "same retries, same dead letters"
        assert template["Resources"][rule]["Condition"] == condition
    assert template["Resources"]["RulePermission"]["Condition"] == "HasObjectRules"
    any_of = [{"Condition": condition} for condition in rules.values()]
    assert template["Conditions"]["HasObjectRules"] == {"Fn::Or": any_of}
    # CloudFormation would cut a long stack's name in the names of rules that have none of their own.
    permitted = resource(template, "RulePermission")["SourceArn"]["Fn::Sub"]
    assert permitted == "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/${AWS::StackName}-*"
    for rule in [*rules, "ModelCallRule"]:
        name = resource(template, rule)["Name"]["Fn::Sub"]
        assert name.startswith("${AWS::StackName}-") and len(name.removeprefix("${AWS::StackName}")) <= len("-logging-tamper")


def deployed(aws, outputs):
    """A stack's resources, and the statements of its role and of its on-failure queue, by Sid."""
    resources = aws("cloudformation").describe_stack_resources(StackName=outputs["FunctionName"])["StackResources"]
    ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources}
    [name] = aws("iam").list_role_policies(RoleName=ids["FunctionRole"])["PolicyNames"]
    role = aws("iam").get_role_policy(RoleName=ids["FunctionRole"], PolicyName=name)["PolicyDocument"]
    url = outputs["FailureQueueUrl"]
    queue = aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {}).get("Policy")
    documents = [json.loads(one) if isinstance(one, str) else one for one in (role, queue or {"Statement": []})]
    return ids, *({one["Sid"]: one for one in document["Statement"]} for document in documents)


def test_without_cloudtrail_the_stack_is_what_it_was(aws, new_bucket, existing_bucket, both_sources):
    for outputs in [new_bucket, existing_bucket]:
        assert "CloudTrail" not in str(deployed(aws, outputs))
    without, logs, _ = deployed(aws, existing_bucket)
    ids, role, _ = deployed(aws, both_sources)
    assert set(ids) - set(without) == {"CloudTrailRule"}
    assert set(without) <= set(ids)
    assert set(role) - set(logs) == {"ReadCloudTrailObjects", "DecryptCloudTrailObjects", "DecryptLogObjects"}


def test_one_bucket_may_hold_both_sources(aws, create, existing_bucket):
    bucket = existing_bucket["LogBucketName"]
    ids, role, _ = deployed(aws, create("shared", ExistingLogBucket=bucket, CloudTrailBucket=bucket))
    assert {"ObjectRule", "CloudTrailRule"} <= set(ids)
    assert "ReadCloudTrailObjects" in role and "DecryptCloudTrailObjects" not in role, "no key was given"
    pattern = json.loads(aws("events").describe_rule(Name="shared-logging-tamper")["EventPattern"])
    names = [one["detail"]["requestParameters"]["bucketName"] for one in pattern["$or"] if one["source"] == ["aws.s3"]]
    assert names == [[bucket]], "watched once"


def test_cloudtrail_adds_these_permissions_and_no_others(aws, both_sources):
    ids, role, queue = deployed(aws, both_sources)
    assert role["ReadCloudTrailObjects"] == {
        "Sid": "ReadCloudTrailObjects",
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:GetObjectVersion"],
        "Resource": "arn:aws:s3:::trail-" + "t" * 57 + "/AWSLogs/o-example/*",
    }
    assert role["DecryptCloudTrailObjects"] == {
        "Sid": "DecryptCloudTrailObjects",
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": TRAIL_KEY,
        "Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}},
    }
    senders = {sid: one["Condition"]["ArnEquals"]["aws:SourceArn"] for sid, one in queue.items() if sid != "TlsOnly"}
    arns = {rule["Name"]: rule["Arn"] for rule in aws("events").list_rules()["Rules"]}
    assert senders == {"EventsThatCouldNotBeDelivered": [arns[ids["ObjectRule"]], arns[ids["CloudTrailRule"]]]}


def test_the_rules_that_were_chosen_and_their_settings_reach_the_function(aws, new_bucket, both_sources):
    given = []
    for outputs in (new_bucket, both_sources):
        configuration = aws("lambda").get_function_configuration(FunctionName=outputs["FunctionName"])
        variables = configuration["Environment"]["Variables"]
        given.append((variables.get("RULES"), variables.get("RULE_SETTINGS")))
    assert given == [(None, None), ("validation-burst", "validation-burst.threshold=9,denied-model.window=30m")]


def test_a_topic_for_programs_is_there_where_it_is_wanted(template, aws, new_bucket, bare):
    assert template["Parameters"]["EveryAlert"]["Default"] == "no"
    topics = [resource(template, name) for name in ("Topic", "EveryAlertTopic")]
    assert [topic["KmsMasterKeyId"] for topic in topics] == [{"Ref": "TopicKey"}] * 2
    for outputs, wanted in [(new_bucket, True), (bare, False)]:
        arns = [outputs[name] for name in ("TopicArn", "EveryAlertTopicArn") if name in outputs]
        assert len(arns) == 1 + wanted
        _, role, _ = deployed(aws, outputs)
        assert role["PublishAlerts"]["Resource"] == arns
        configuration = aws("lambda").get_function_configuration(FunctionName=outputs["FunctionName"])
        assert ("EVERY_ALERT_TOPIC_ARN" in configuration["Environment"]["Variables"]) is wanted


def test_the_stack_comes_up_all_ways(new_bucket, existing_bucket, both_sources):
    names = {
        "FunctionName", "FunctionArn", "TopicArn", "TableName", "FailureQueueUrl", "LogBucketName",
        "LogGroupName", "DashboardUrl", "BedrockLoggingCommand",
        "EventQueueUrl", "EventFailureQueueUrl", "TamperChatTopicArn", "EveryAlertTopicArn",
    }  # fmt: skip
    assert set(new_bucket) == set(existing_bucket) == set(both_sources) == names
    assert existing_bucket["LogBucketName"] == "old-logs"
    command = new_bucket["BedrockLoggingCommand"]
    configuration = json.loads(command[command.index("'") + 1 : command.rindex("'")])
    assert configuration["s3Config"] == {"bucketName": new_bucket["LogBucketName"], "keyPrefix": "logs/bedrock"}


@pytest.mark.parametrize(
    "parameters, says",
    [
        ({"NewLogBucketName": "some-logs", "ExistingLogBucket": "some-logs"}, "Leave one empty"),
        ({"NewLogBucketName": "some-logs", "LogPrefix": "bedrock/"}, "a prefix without a slash"),
        ({"NewLogBucketName": "some-logs", "ReservedConcurrency": "0"}, "without a word"),
        ({"PreviousLogPrefix": "bedrock"}, "or neither"),
        ({"NewLogBucketName": "some-logs", "MoreTopicArns": "a, b"}, "commas and no spaces"),
        ({"CloudTrailPrefix": "AWSLogs/o-example"}, "mean nothing without CloudTrailBucket"),
        ({"CloudTrailKmsKeyArn": TRAIL_KEY}, "mean nothing without CloudTrailBucket"),
        ({"NewLogBucketName": "some-logs", "CloudTrailBucket": "some-logs"}, "not one to be created"),
        ({"ExistingLogBucket": "a-b", "LogPrefix": "AWSLogs", "CloudTrailBucket": "a-b"}, "a prefix of its own"),
        ({"NewLogBucketName": "some-logs", "DetectionRules": "denied-model, model-sweep"}, "ids of rules"),
        ({"NewLogBucketName": "some-logs", "RuleSettings": "threshold=5"}, "<rule>.<setting>=<value>"),
    ],
)
def test_a_bad_answer_is_refused_with_what_was_expected(create, parameters, says):
    with pytest.raises(Exception, match=says):
        create("refused", **parameters)


def test_every_question_has_an_answer_that_works(aws, create):
    outputs = create("defaults")
    assert re.fullmatch(r"bedrock-logs-\d{12}-[a-z0-9-]+", outputs["LogBucketName"])
    assert outputs["LogBucketName"] in [bucket["Name"] for bucket in aws("s3").list_buckets()["Buckets"]]


# ------------------------------------------------------------------ self-monitoring


def test_every_metric_of_ours_exists(template, source, aws, new_bucket):
    metrics = source("src/lambda/metrics.rs").split("#[cfg(test)]")[0]
    namespace = re.search(r'NAMESPACE: &str = "(\w+)"', metrics)[1]
    known = set(re.findall(r'\("(\w+)", "(?:Count|Bytes|Milliseconds)"', metrics))
    assert {"objects", "lag"} <= known
    assert '"Dimensions": [["function"]]' in metrics
    alarms = [entry["Properties"] for entry in template["Resources"].values() if entry["Type"].endswith("::Alarm")]
    ours = [alarm for alarm in alarms if alarm.get("Namespace") == namespace]
    assert {alarm["MetricName"] for alarm in ours} == {"malformed", "oversized", "unrecognised", "objects"} & known
    for alarm in ours:
        assert [dimension["Name"] for dimension in alarm["Dimensions"]] == ["function"]
    shown = set()
    for widget in dashboard(aws, new_bucket)["widgets"]:
        before = []
        for metric in widget["properties"]["metrics"]:
            if isinstance(metric[0], dict):
                continue
            names = [name for name in metric if isinstance(name, str)]
            if names == ["..."]:
                continue
            # A dot repeats what stands above it.
            before = [before[place] if name == "." else name for place, name in enumerate(names)]
            if before[0] == namespace:
                assert before[2:] == ["function", new_bucket["FunctionName"]]
                shown.add(before[1])
    assert shown == known, "the dashboard shows every metric there is"


def dashboard(aws, outputs):
    name = outputs["DashboardUrl"].split("name=")[1]
    return json.loads(aws("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"])


def test_every_alarm_tells_the_topic_what_to_do(template):
    for name, entry in template["Resources"].items():
        if entry["Type"] == "AWS::CloudWatch::Alarm":
            alarm = entry["Properties"]
            assert alarm["AlarmActions"] == [{"Ref": "Topic"}], name
            description = json.dumps(alarm["AlarmDescription"])
            assert 80 < len(description) < 1024, name
            # The topic policy lets in the alarms of this name only.
            assert alarm["AlarmName"]["Fn::Sub"].startswith("${AWS::StackName}-"), name
            assert name == "SilenceAlarm" or "Alarms" in entry["Condition"], "Alarms=no leaves none"
            silent = "breaching" if name == "SilenceAlarm" else "notBreaching"
            assert alarm["TreatMissingData"] == silent, name


@pytest.fixture(scope="module", params=["new_bucket", "both_sources"])
def outputs(request):
    """A stack with as little to watch as possible, and one with as much."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def tells(aws, outputs):
    """Whether a call to AWS is told to the topic: tells("aws.sns", "Unsubscribe", subscriptionArn=…)."""
    all_rules = aws("events").list_rules(NamePrefix=outputs["FunctionName"])["Rules"]
    rules = [rule for rule in all_rules if rule["Name"].endswith("-tamper")]
    assert len(rules) == 3

    def tells(source, call, /, **parameters):
        event = {
            "id": "1", "version": "0", "account": "000000000000", "region": "us-east-1",
            "time": "2026-01-01T00:00:00Z", "resources": [], "source": source,
            "detail-type": "AWS API Call via CloudTrail",
            "detail": {"eventName": call, "requestParameters": parameters},
        }  # fmt: skip
        test = aws("events").test_event_pattern
        return any(test(EventPattern=rule["EventPattern"], Event=json.dumps(event))["Result"] for rule in rules)

    tells.rules, tells.all_rules, tells.ids = rules, all_rules, deployed(aws, outputs)[0]
    tells.key = tells.ids["TopicKey"]
    return tells


def test_a_blinded_detector_says_so(tells, outputs):
    bucket, function, topic = (outputs[key] for key in ["LogBucketName", "FunctionName", "TopicArn"])
    arn, table = outputs["FunctionArn"], outputs["TableName"]
    told = [
        ("aws.bedrock", "DeleteModelInvocationLoggingConfiguration", {}),
        ("aws.bedrock", "PutModelInvocationLoggingConfiguration", {"loggingConfig": {}}),
        ("aws.s3", "PutBucketNotification", {"bucketName": bucket}),
        ("aws.s3", "PutBucketNotificationConfiguration", {"bucketName": bucket}),
        ("aws.s3", "DeleteBucket", {"bucketName": bucket}),
        ("aws.s3", "DeleteBucketPolicy", {"bucketName": bucket}),
        ("aws.cloudtrail", "StopLogging", {"name": "trail"}),
        ("aws.lambda", "UpdateFunctionCode20150331v2", {"functionName": function}),
        ("aws.lambda", "UpdateFunctionConfiguration20150331v2", {"functionName": arn}),
        ("aws.lambda", "DeleteFunction20150331", {"functionName": function}),
        ("aws.lambda", "PutFunctionConcurrency20171031", {"functionName": function}),
        ("aws.lambda", "RemovePermission20150331v2", {"functionName": function}),
        ("aws.lambda", "UpdateFunctionCode20150331v2", {"functionName": f"{function}:live"}),
        ("aws.lambda", "DeleteFunction20150331", {"functionName": f"{arn}:$LATEST"}),
        ("aws.lambda", "PutFunctionConcurrency20171031", {"functionName": f"000000000000:function:{function}"}),
        ("aws.lambda", "UpdateEventSourceMapping20150331", {"uUID": tells.ids["EventSource"], "enabled": False}),
        ("aws.lambda", "DeleteEventSourceMapping20150331", {"uUID": tells.ids["EventSource"]}),
        ("aws.dynamodb", "DeleteTable", {"tableName": table}),
        ("aws.dynamodb", "DeleteTable", {"tableName": f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}"}),
        ("aws.sns", "SetTopicAttributes", {"topicArn": topic}),
        ("aws.sns", "Unsubscribe", {"subscriptionArn": f"{topic}:1234"}),
        ("aws.cloudtrail", "PutEventSelectors", {"trailName": "trail"}),
        ("aws.monitoring", "DeleteAlarms", {"alarmNames": ["another", f"{function}-errors"]}),
        ("aws.monitoring", "DisableAlarmActions", {"alarmNames": [f"{function}-silence"]}),
        ("aws.logs", "DeleteLogGroup", {"logGroupName": outputs["LogGroupName"]}),
        ("aws.sqs", "PurgeQueue", {"queueUrl": outputs["FailureQueueUrl"]}),
        ("aws.sqs", "SetQueueAttributes", {"queueUrl": outputs["FailureQueueUrl"]}),
        ("aws.sqs", "PurgeQueue", {"queueUrl": outputs["EventQueueUrl"]}),
        ("aws.sqs", "DeleteQueue", {"queueUrl": outputs["EventFailureQueueUrl"]}),
        ("aws.sns", "Unsubscribe", {"subscriptionArn": f"{outputs['TamperChatTopicArn']}:1234"}),
        *(("aws.events", "DisableRule", {"name": rule["Name"]}) for rule in tells.all_rules),
        *(("aws.events", "RemoveTargets", {"rule": rule["Name"]}) for rule in tells.all_rules),
        ("aws.kms", "DisableKey", {"keyId": tells.key}),
        ("aws.kms", "ScheduleKeyDeletion", {"keyId": f"arn:aws:kms:us-east-1:000000000000:key/{tells.key}"}),
    ]
    assert [call for call in told if not tells(call[0], call[1], **call[2])] == []


def test_what_happens_to_the_cloudtrail_bucket_is_told_where_it_is_read(tells, outputs, both_sources):
    trail = {"bucketName": "trail-" + "t" * 57}
    for call in ["PutBucketNotification", "DeleteBucketPolicy", "DeleteBucket", "PutBucketEncryption"]:
        assert tells("aws.s3", call, **trail) == (outputs is both_sources), call


def test_what_happens_to_the_keys_of_the_logs_is_told_where_they_are_given(tells, outputs, both_sources):
    for key in [LOG_KEY, TRAIL_KEY]:
        for call in ["DisableKey", "ScheduleKeyDeletion", "PutKeyPolicy"]:
            for name in [key, key.rpartition("/")[2]]:
                assert tells("aws.kms", call, keyId=name) == (outputs is both_sources), (call, name)


def test_other_peoples_changes_are_not_told(tells, outputs):
    not_told = [
        ("aws.bedrock", "GetModelInvocationLoggingConfiguration", {}),
        ("aws.s3", "PutBucketNotification", {"bucketName": "another"}),
        ("aws.lambda", "UpdateFunctionCode20150331v2", {"functionName": "another"}),
        ("aws.lambda", "Invoke", {"functionName": outputs["FunctionName"]}),
        ("aws.lambda", "UpdateFunctionCode20150331v2", {"functionName": f"another-{outputs['FunctionName']}"}),
        ("aws.lambda", "DeleteEventSourceMapping20150331", {"uUID": "another"}),
        ("aws.kms", "DisableKey", {"keyId": "another"}),
        ("aws.dynamodb", "DeleteTable", {"tableName": "another"}),
        ("aws.sns", "Unsubscribe", {"subscriptionArn": "arn:aws:sns:us-east-1:000000000000:another:1"}),
        ("aws.events", "DisableRule", {"name": "another"}),
        ("aws.monitoring", "DeleteAlarms", {"alarmNames": ["another"]}),
        ("aws.logs", "DeleteLogGroup", {"logGroupName": "/aws/lambda/another"}),
        ("aws.sqs", "PurgeQueue", {"queueUrl": "https://sqs.us-east-1.amazonaws.com/000000000000/another"}),
    ]
    assert [call for call in not_told if tells(call[0], call[1], **call[2])] == []


def test_names_and_patterns_stay_within_the_limits_of_eventbridge(tells):
    assert max(len(rule["Name"]) for rule in tells.all_rules) == 64
    for rule in tells.all_rules:
        assert len(rule["EventPattern"]) <= 2048, rule["Name"]


@pytest.fixture
def notices(template):
    """What one refused call sends to the topic and to the chat topic."""
    plain, chat = resource(template, "TamperNoticeRule")["Targets"]
    assert plain["Arn"] == {"Ref": "Topic"}
    assert chat["Fn::If"][0] == "ChatExists" and chat["Fn::If"][1]["Arn"] == {"Ref": "TamperChatTopic"}
    texts = []
    for target in [plain, chat["Fn::If"][1]]:
        transformer = target["InputTransformer"]
        text = transformer["InputTemplate"]
        assert set(re.findall(r"<(\w+)>", text)) == set(transformer["InputPathsMap"])
        # What an attacker chooses (a session name) has no quote: it cannot break out of the JSON.
        for variable, path in transformer["InputPathsMap"].items():
            text = text.replace(f"<{variable}>", path.replace("$.detail.", "the "))
        texts.append(text)
    return texts


TOLD = ["eventName", "eventSource", "userIdentity.arn", "sourceIPAddress", "eventTime", "errorCode", "eventID"]


def test_tamper_notices_are_in_the_schema_that_chat_shows(notices):
    notice = json.loads(notices[1])
    assert (notice["version"], notice["source"]) == ("1.0", "custom")
    content = notice["content"]
    assert content["textType"] == "client-markdown" and content["title"] and content["nextSteps"]
    assert [part for part in TOLD if f"the {part}" not in content["title"] + content["description"]] == []


def test_tamper_notices_can_be_read_in_an_e_mail(notices):
    # EventBridge takes text as lines in quotes, each of them a JSON string.
    assert all(isinstance(json.loads(line), str) and len(line) < 120 for line in notices[0].split("\n"))
    assert [part for part in TOLD if f"the {part}" not in notices[0]] == []
    assert "docs/operate.md" in notices[0]


def test_a_tamper_notice_reaches_the_topic_as_text_and_chat_in_its_schema(aws, existing_bucket):
    inboxes = {}
    for output in ["TopicArn", "TamperChatTopicArn"]:
        queue = aws("sqs").create_queue(QueueName=f"tamper-{output}")["QueueUrl"]
        arn = aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        aws("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
        aws("sns").subscribe(TopicArn=existing_bucket[output], Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        inboxes[output] = queue
    detail = {
        "eventName": "StopLogging", "eventSource": "cloudtrail.amazonaws.com", "eventID": "e-1", "eventTime": "2026-01-01T00:00:00Z", "sourceIPAddress": "203.0.113.7",
        "userIdentity": {"arn": "arn:aws:iam::1:user/eve"}, "errorCode": "AccessDenied", "requestParameters": {"name": "t"},
    }  # fmt: skip
    # Only AWS may send as aws.cloudtrail, so for once the rule listens to another source.
    rule = aws("events").describe_rule(Name="watch-logging-tamper")
    aws("events").put_rule(Name=rule["Name"], EventPattern=json.dumps({"source": ["example.cloudtrail"]}))
    try:
        entry = {"Source": "example.cloudtrail", "DetailType": "AWS API Call via CloudTrail", "Detail": json.dumps(detail)}
        answer = aws("events").put_events(Entries=[entry])
    finally:
        aws("events").put_rule(Name=rule["Name"], EventPattern=rule["EventPattern"])
    assert answer["FailedEntryCount"] == 0, answer
    bodies = {}
    for output, queue in inboxes.items():
        [message] = aws("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
        bodies[output] = message["Body"]
    for body in bodies.values():
        assert "StopLogging" in body and "AccessDenied" in body and "e-1" in body and "user/eve" in body
    assert json.loads(bodies["TamperChatTopicArn"])["source"] == "custom"
    assert bodies["TopicArn"].startswith('"The Bedrock denial detector, its logs or its alerts were touched: StopLogging of ')


# ------------------------------------------------------------------ way in: CloudTrail events


def test_refused_model_calls_come_in_and_nothing_else(template, aws, new_bucket, source):
    rule = deployed(aws, new_bucket)[0]["ModelCallRule"]
    pattern = aws("events").describe_rule(Name=rule)["EventPattern"]

    def arrives(call, error, service="bedrock", kind="AWS API Call via CloudTrail"):
        detail = {"eventSource": f"{service}.amazonaws.com", "eventName": call} | ({"errorCode": error} if error else {})
        event = {
            "id": "1", "version": "0", "account": "444455556666", "region": "us-east-1", "time": "2026-01-01T00:00:00Z",
            "resources": [], "source": f"aws.{service}", "detail-type": kind, "detail": detail,
        }  # fmt: skip
        return aws("events").test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]

    calls = resource(template, "ModelCallRule")["EventPattern"]["detail"]["eventName"]
    known = set(re.findall(r'"(\w+)"', source("src/call/cloudtrail.rs")))
    assert set(calls) - {"StartAsyncInvoke", "CreateInference"} <= known, "what the code takes for a model call"
    for call in calls:
        for error in ["AccessDenied", "AccessDeniedException"]:
            assert arrives(call, error, "bedrock-mantle" if call == "CreateInference" else "bedrock"), call
    for call, error in [("ListFoundationModels", "AccessDenied"), ("InvokeModel", None), ("Converse", "ThrottlingException")]:
        assert not arrives(call, error), (call, error)
    assert not arrives("InvokeModel", "AccessDenied", "s3")
    assert not arrives("InvokeModel", "AccessDenied", kind="AWS Service Event via CloudTrail")


SWEEP, VALIDATION = "ResourceNotFoundException", "ValidationException"


@pytest.mark.parametrize(
    "rules, settings, errors",
    [
        ("", "", [SWEEP]),
        ("all", "", [SWEEP, VALIDATION]),
        ("denied-model,session-rotation", "", []),
        ("denied-model,model-sweep,session-rotation", "", [SWEEP]),
        ("validation-burst", "", [VALIDATION]),
        ("denied-model", "model-sweep.on=true,validation-burst.on=true", [SWEEP, VALIDATION]),
        ("denied-model", "model-sweep.threshold=5,validation-burst.threshold=5", []),
    ],
)
def test_other_errors_come_in_only_for_the_rules_that_look_for_them(template, rules, settings, errors):
    def value(one):
        """What CloudFormation makes of it; ministack joins nothing in a condition."""
        if isinstance(one, str):
            return one
        if "Ref" in one:
            return {"DetectionRules": rules, "RuleSettings": settings}[one["Ref"]]
        delimiter, text = one["Fn::Join"][1]["Fn::Split"]
        return one["Fn::Join"][0].join(value(text).split(delimiter))

    def holds(condition):
        if "Fn::Or" in condition:
            return any(map(holds, condition["Fn::Or"]))
        if "Fn::Not" in condition:
            return not holds(condition["Fn::Not"][0])
        left, right = condition["Fn::Equals"]
        return value(left) == value(right)

    always, asked = [], []
    for error in resource(template, "ModelCallRule")["EventPattern"]["detail"]["errorCode"]:
        if isinstance(error, str):
            always.append(error)
        elif holds(template["Conditions"][error["Fn::If"][0]]):
            asked.append(error["Fn::If"][1])
    assert always == ["AccessDenied", "AccessDeniedException"]
    assert asked == errors


def test_read_only_calls_come_in_too(template):
    assert resource(template, "ModelCallRule")["State"] == "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"


def test_events_come_in_batches_and_none_is_lost(template, aws, new_bucket):
    ids, role, _ = deployed(aws, new_bucket)
    [source] = aws("lambda").list_event_source_mappings(FunctionName=new_bucket["FunctionName"])["EventSourceMappings"]
    assert (source["BatchSize"], source["MaximumBatchingWindowInSeconds"]) == (100, 5)
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    queue, failed = (
        aws("sqs").get_queue_attributes(QueueUrl=new_bucket[name], AttributeNames=["All"])["Attributes"]
        for name in ["EventQueueUrl", "EventFailureQueueUrl"]
    )
    assert source["EventSourceArn"] == queue["QueueArn"]
    assert json.loads(queue["RedrivePolicy"])["deadLetterTargetArn"] == failed["QueueArn"]
    longest = template["Parameters"]["TimeoutSeconds"]["MaxValue"]
    assert int(queue["VisibilityTimeout"]) > longest and int(failed["VisibilityTimeout"]) > longest
    assert int(failed["MessageRetentionPeriod"]) == 14 * 24 * 3600
    assert role["TakeEvents"]["Resource"] == queue["QueueArn"]
    [target] = aws("events").list_targets_by_rule(Rule=ids["ModelCallRule"])["Targets"]
    assert (target["Arn"], target["DeadLetterConfig"]["Arn"]) == (queue["QueueArn"], failed["QueueArn"])
    for attributes in [queue, failed]:
        [statement] = [one for one in json.loads(attributes["Policy"])["Statement"] if one["Sid"] != "TlsOnly"]
        assert statement["Principal"] == {"Service": "events.amazonaws.com"}
        assert statement["Condition"]["ArnEquals"]["aws:SourceArn"].endswith(f":rule/{ids['ModelCallRule']}")


# ------------------------------------------------------------------ optional parts, and later changes


def test_what_costs_money_each_month_can_be_left_out(aws, bare, new_bucket):
    ids, role, _ = deployed(aws, bare)
    full = deployed(aws, new_bucket)[0]
    kinds = aws("cloudformation").describe_stack_resources(StackName="bare")["StackResources"]
    assert not [one for one in kinds if one["ResourceType"] in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard")]
    events = {"ModelCallRule", "EventQueue", "EventFailureQueue", "EventSource"}
    assert events <= set(full) and not events & set(ids) and "TakeEvents" not in role
    assert {"DashboardUrl", "EventQueueUrl", "EventFailureQueueUrl"} & set(bare) == set()


def test_a_changed_bucket_or_prefix_goes_on_being_watched(aws, create, moved, new_bucket):
    """In another bucket: through a rule. In the stack's own bucket: by a second notification."""
    ids, role, queue = deployed(aws, moved)
    assert role["ReadPreviousLogObjects"]["Resource"] == "arn:aws:s3:::old-logs/old/prefix/*"
    pattern = json.loads(aws("events").describe_rule(Name=ids["PreviousObjectRule"])["EventPattern"])
    assert pattern["detail"] == {"bucket": {"name": ["old-logs"]}, "object": {"key": [{"wildcard": "old/prefix/*.json.gz"}]}}
    assert len(queue["EventsThatCouldNotBeDelivered"]["Condition"]["ArnEquals"]["aws:SourceArn"]) > 0
    statements = json.loads(aws("lambda").get_policy(FunctionName="moved")["Policy"])["Statement"]
    sources = [one["Condition"]["ArnLike"]["AWS:SourceArn"] for one in statements if one.get("Condition", {}).get("ArnLike")]
    assert "arn:aws:s3:::old-logs" in sources, "a bucket that an earlier stack made calls the function itself"

    outputs = create("renamed", NewLogBucketName="renamed-logs", PreviousLogBucket="renamed-logs", PreviousLogPrefix="old=1")
    ids, role, _ = deployed(aws, outputs)
    assert "PreviousObjectRule" not in ids and "ReadPreviousLogObjects" in role
    notifications = aws("s3").get_bucket_notification_configuration(Bucket="renamed-logs")["LambdaFunctionConfigurations"]
    prefixes = [rule["Value"] for one in notifications for rule in one["Filter"]["Key"]["FilterRules"] if rule["Name"].lower() == "prefix"]
    assert sorted(prefixes) == ["bedrock/", "old=1/"]
    policy = json.loads(aws("s3").get_bucket_policy(Bucket="renamed-logs")["Policy"])
    [write] = [one for one in policy["Statement"] if one["Sid"] == "BedrockWritesLogs"]
    assert write["Resource"] == ["arn:aws:s3:::renamed-logs/bedrock/*", "arn:aws:s3:::renamed-logs/old=1/*"]


def test_what_outlives_the_stack_does_not_outlive_a_creation_that_failed(template):
    kept = {name: one["DeletionPolicy"] for name, one in template["Resources"].items() if "DeletionPolicy" in one}
    assert {name for name, policy in kept.items() if policy != "Delete"} == {"LogBucket", "BucketPolicy"}
    assert {kept["LogBucket"], kept["BucketPolicy"]} == {"RetainExceptOnCreate"}


def test_every_role_takes_the_boundary(template):
    for name, one in template["Resources"].items():
        if one["Type"] == "AWS::IAM::Role":
            boundary = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}
            assert one["Properties"]["PermissionsBoundary"] == boundary, name


def test_chat_is_left_out_where_it_does_not_exist(template):
    for name in ["SlackChannel", "TeamsChannel", "ChatRole"]:
        assert template["Resources"][name]["Condition"] in ("HasSlack", "HasTeams", "HasChat")
    conditions = template["Conditions"]
    assert conditions["ChatExists"] == {"Fn::Equals": [{"Ref": "AWS::Partition"}, "aws"]}
    for name in ["HasSlack", "HasTeams"]:
        assert {"Condition": "ChatExists"} in conditions[name]["Fn::And"]


def test_a_chat_configuration_is_named_for_its_region_and_shows_topics_of_others(template):
    names = [resource(template, name)["ConfigurationName"]["Fn::Sub"] for name in ["SlackChannel", "TeamsChannel"]]
    assert all("${AWS::Region}" in name for name in names) and len(set(names)) == 2
    for name in ["SlackChannel", "TeamsChannel"]:
        with_more, alone = resource(template, name)["SnsTopicArns"]["Fn::If"][1:]
        assert alone == [{"Ref": "Topic"}, {"Ref": "TamperChatTopic"}]
        assert with_more["Fn::Split"] == [",", {"Fn::Sub": "${Topic},${TamperChatTopic},${MoreTopicArns}"}]


def test_prefixes_may_hold_an_equals_sign(template):
    for name in ["LogPrefix", "CloudTrailPrefix", "PreviousLogPrefix"]:
        assert re.match(template["Parameters"][name]["AllowedPattern"], "logs/year=2026"), name


def test_member_accounts_send_what_the_detector_takes(template):
    member = stack.yaml_parse((ROOT / "examples/organization-member.yaml").read_text())
    sent, taken = (resource(one, "ModelCallRule") for one in (member, template))
    assert sent["State"] == taken["State"]
    pattern = copy.deepcopy(taken["EventPattern"])
    errors = [one if isinstance(one, str) else one["Fn::If"][1] for one in pattern["detail"]["errorCode"]]
    pattern["detail"]["errorCode"] = errors
    assert sent["EventPattern"] == pattern

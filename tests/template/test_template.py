"""The template against the code that it deploys: what one names, the other knows."""

import json
import pathlib
import re
import tomllib

import pytest

from conftest import TRAIL_KEY

ROOT = pathlib.Path(__file__).parents[2]
RUST = {path: path.read_text() for path in (ROOT / "src").rglob("*.rs")}


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
    read = set(re.findall(r'(?:required|parsed)\("([A-Z_]+)"', config))
    assert read >= {"TABLE_NAME", "TOPIC_ARN"}
    assert set(resource(template, "Function")["Environment"]["Variables"]) == read
    elsewhere = {name for text in RUST.values() for name in re.findall(r'env::var\("([A-Z_]+)"\)', text)}
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
    assert pattern.search("session-rotation.exempt=*:assumed-role/agent-*")
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
    assert "now.saturating_add(rule.window.as_secs())" in source("src/pipeline.rs"), "epoch seconds"


def test_the_function_gives_up_before_lambda_does(template, source):
    services = [source(f"src/lambda/aws/{name}.rs") for name in ["s3", "dynamodb", "sns"]]
    patience = sum(seconds(service, "OPERATION") for service in services)
    timeout = template["Parameters"]["TimeoutSeconds"]
    assert patience < timeout["MinValue"] <= timeout["Default"] <= timeout["MaxValue"] == 900


def test_a_redrive_waits_longer_than_a_lease(source):
    text = (ROOT / "scripts/redrive.py").read_text()
    margin = int(re.search(r"LEASE_MARGIN_SECONDS = (\d+)", text)[1])
    assert margin > seconds(source("src/lambda/handler.rs"), "LEASE_MARGIN")
    reported = re.search(r'error_type: "(\w+)"', source("src/lambda/failure.rs"))[1]
    assert f'FAILED_IN_ORDER = "{reported}"' in text


def test_counters_outlive_the_longest_redrive(template, source):
    queue = resource(template, "FailureQueue")
    event_age = resource(template, "Function")["EventInvokeConfig"]["MaximumEventAgeInSeconds"]
    assert queue["MessageRetentionPeriod"] + event_age < seconds(source("src/pipeline.rs"), "RETENTION")


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
                objects = ["${LogBucketName}/${LogPrefix}/*", "${CloudTrailBucket}/${CloudTrailPrefix}/*"]
                ours = any(f'"arn:${{AWS::Partition}}:s3:::{one}"' in text for one in objects)
                assert text.count("*") == (1 if ours else 0), text
    assert "Policies" not in resource(template, "Function"), "SAM would add them to a role of its own"
    assert not list(statements(template, "ChatRole"))


def test_every_suppressed_check_has_its_reason(template):
    for name, entry in template["Resources"].items():
        for skip in entry.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert len(skip["comment"]) > 30, (name, skip["id"])


# ------------------------------------------------------------------ ways in


def test_both_ways_in_take_what_bedrock_writes_and_the_code_reads(template, aws, existing_bucket):
    rules = resource(template, "LogBucket")["NotificationConfiguration"]["LambdaConfigurations"][0]
    rules = {rule["Name"]: rule["Value"] for rule in rules["Filter"]["S3Key"]["Rules"]}
    suffixes = re.search(r"SUFFIXES: \[&str; \d\] = \[(.*)\]", RUST[ROOT / "src/log/object.rs"])[1]
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

    assert arrives(TRAIL_FILE)
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
    rules = [resource(template, name) for name in ["ObjectRule", "CloudTrailRule"]]
    assert rules[0]["Targets"] == rules[1]["Targets"], "same retries, same dead letters"
    permissions = [json.dumps(resource(template, name)) for name in ["RulePermission", "CloudTrailRulePermission"]]
    assert permissions[0].replace("ObjectRule", "CloudTrailRule") == permissions[1]
    for name in ["CloudTrailRule", "CloudTrailRulePermission"]:
        assert template["Resources"][name]["Condition"] == "ReadsCloudTrail"


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
    assert set(ids) - set(without) == {"CloudTrailRule", "CloudTrailRulePermission"}
    assert set(without) <= set(ids)
    assert set(role) - set(logs) == {"ReadCloudTrailObjects", "DecryptCloudTrailObjects"}


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
    assert senders == {
        "EventsThatCouldNotBeDelivered": arns[ids["ObjectRule"]],
        "CloudTrailEventsThatCouldNotBeDelivered": arns[ids["CloudTrailRule"]],
    }


def test_the_rules_that_were_chosen_and_their_settings_reach_the_function(aws, new_bucket, both_sources):
    given = []
    for outputs in (new_bucket, both_sources):
        configuration = aws("lambda").get_function_configuration(FunctionName=outputs["FunctionName"])
        variables = configuration["Environment"]["Variables"]
        given.append((variables.get("RULES"), variables.get("RULE_SETTINGS")))
    assert given == [(None, None), ("validation-burst", "validation-burst.threshold=9,denied-model.window=30m")]


def test_the_stack_comes_up_all_ways(new_bucket, existing_bucket, both_sources):
    names = {
        "FunctionName", "FunctionArn", "TopicArn", "TableName", "FailureQueueUrl", "LogBucketName",
        "LogGroupName", "DashboardUrl", "BedrockLoggingCommand",
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
        ({"NewLogBucketName": "some-logs", "LogPrefix": "bedrock/"}, "prefix without a slash"),
        ({"NewLogBucketName": "some-logs", "ReservedConcurrency": "0"}, "without a word"),
        ({"CloudTrailPrefix": "AWSLogs/o-example"}, "mean nothing without CloudTrailBucket"),
        ({"CloudTrailKmsKeyArn": TRAIL_KEY}, "mean nothing without CloudTrailBucket"),
        ({"NewLogBucketName": "some-logs", "CloudTrailBucket": "some-logs"}, "one to be created"),
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


# ------------------------------------------------------------------ it watches itself


def test_every_metric_of_ours_exists(template, source, aws, new_bucket):
    metrics = source("src/lambda/metrics.rs").split("#[cfg(test)]")[0]
    namespace = re.search(r'NAMESPACE: &str = "(\w+)"', metrics)[1]
    known = set(re.findall(r'\("(\w+)", "(?:Count|Bytes|Milliseconds)"', metrics))
    assert {"objects", "lag"} <= known
    assert '"Dimensions": [["function"]]' in metrics
    alarms = [entry["Properties"] for entry in template["Resources"].values() if entry["Type"].endswith("::Alarm")]
    ours = [alarm for alarm in alarms if alarm["Namespace"] == namespace]
    assert {alarm["MetricName"] for alarm in ours} == {"malformed", "oversized", "objects"} & known
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
            silent = "breaching" if name == "SilenceAlarm" else "notBreaching"
            assert alarm["TreatMissingData"] == silent, name


@pytest.fixture(scope="module", params=["new_bucket", "both_sources"])
def outputs(request):
    """A stack with as little to watch as there can be, and one with as much."""
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

    tells.rules, tells.all_rules = rules, all_rules
    tells.key = deployed(aws, outputs)[0]["TopicKey"]
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


def test_other_peoples_changes_are_not_told(tells, outputs):
    not_told = [
        ("aws.bedrock", "GetModelInvocationLoggingConfiguration", {}),
        ("aws.s3", "PutBucketNotification", {"bucketName": "another"}),
        ("aws.lambda", "UpdateFunctionCode20150331v2", {"functionName": "another"}),
        ("aws.lambda", "Invoke", {"functionName": outputs["FunctionName"]}),
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


def test_tamper_notices_are_in_the_schema_that_chat_shows(template):
    for name in ["LoggingTamperRule", "DetectorTamperRule", "AlertTamperRule"]:
        [target] = resource(template, name)["Targets"]
        transformer = target["InputTransformer"]
        text = transformer["InputTemplate"]
        assert set(re.findall(r"<(\w+)>", text)) == set(transformer["InputPathsMap"])
        # What an attacker chooses (a session name) has no quote: it cannot break out of the JSON.
        for variable in transformer["InputPathsMap"]:
            text = text.replace(f"<{variable}>", "arn:aws:sts::1:assumed-role/a/b")
        notice = json.loads(text)
        assert (notice["version"], notice["source"]) == ("1.0", "custom")
        assert notice["content"]["textType"] == "client-markdown"
        assert notice["content"]["description"] and notice["content"]["title"] and notice["content"]["nextSteps"]

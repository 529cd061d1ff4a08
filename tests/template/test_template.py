"""The template against the code it deploys: each name in one exists in the other."""

import json
import pathlib
import re
import sys
import tomllib
import types

import pytest

import stack
from conftest import LOG_KEY, TRAIL_KEY

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import event_pattern  # noqa: E402
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
    # RULE_SETTINGS says what these would say of one rule.
    of_one_rule = {"THRESHOLD", "WINDOW_MINUTES", "COOLDOWN_MINUTES"}
    assert of_one_rule < read
    assert set(resource(template, "Function")["Environment"]["Variables"]) == read - of_one_rule
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
    levels = re.findall(r'"(\w+)" => Ok\(Level::', source("src/lambda/config.rs"))
    assert sorted(template["Parameters"]["LogLevel"]["AllowedValues"]) == sorted(levels)


def test_the_longest_answers_fit_into_lambdas_environment(template):
    """Lambda keeps 4,096 bytes for all names and values; CloudFormation finds out only while it creates."""
    parameters = template["Parameters"]
    longest = {"TABLE_NAME": 80, "TOPIC_ARN": 160, "EVERY_ALERT_TOPIC_ARN": 160, "LOG_LEVEL": 5}
    for name, value in resource(template, "Function")["Environment"]["Variables"].items():
        answer = value.get("Fn::If", [None, value])[1]["Ref"]
        longest.setdefault(name, parameters[answer].get("MaxLength") if answer in parameters else None)
    assert sum(len(name) + length for name, length in longest.items()) <= 4096


def test_the_template_can_be_read_in_half_an_hour(template, source):
    assert source("template.yaml").count("\n") <= 1000
    assert len(template["Parameters"]) <= 22
    assert max(map(len, source("template.yaml").splitlines())) < 200


def test_the_seven_decisions_come_first(template):
    group = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"][0]
    decisions = ["LogBucketName", "LogPrefix", "LogBucketKmsKeyArn", "AlertEmail", "RuleSettings", "CloudTrail", "EveryAlert", "PermissionsBoundaryArn"]
    assert group["Parameters"] == decisions == list(template["Parameters"])[: len(decisions)]


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
    assert all(pattern.match(text) for text in ["", "-1", "5", "10", "1000"])
    # Lambda polls the queue of events with five pollers.
    assert not any(pattern.match(text) for text in ["0", "00", "-2", "1.5", "many", "1", "4"])


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
    assert patience < resource(template, "Function")["Timeout"] == 900


def test_a_redrive_waits_longer_than_a_lease(source):
    text = (ROOT / "scripts/redrive.py").read_text()
    margin = int(re.search(r"LEASE_MARGIN_SECONDS = (\d+)", text)[1])
    assert margin > seconds(source("src/lambda/handler.rs"), "LEASE_MARGIN")


def test_counters_outlive_the_longest_redrive(template, source):
    queue = resource(template, "FailureQueue")
    event_age = resource(template, "Function")["EventInvokeConfig"]["MaximumEventAgeInSeconds"]
    assert queue["MessageRetentionPeriod"] + event_age < seconds(source("src/deliver/mod.rs"), "RETENTION")


def test_a_message_stays_out_of_sight_while_the_function_works_on_it(template):
    longest = resource(template, "Function")["Timeout"]
    assert resource(template, "FailureQueue")["VisibilityTimeout"] > longest
    text = (ROOT / "scripts/redrive.py").read_text()
    assert int(re.search(r"INVISIBLE_SECONDS = (\d+)", text)[1]) > longest
    assert int(re.search(r"read_timeout=(\d+)", text)[1]) > longest


# ------------------------------------------------------------------ least privilege


def test_no_wildcards_and_no_managed_policies(template):
    for role in ["FunctionRole", "TamperRole"]:
        assert "ManagedPolicyArns" not in resource(template, role)
        for statement in statements(template, role):
            assert statement["Effect"] == "Allow"
            assert not [action for action in listed(statement["Action"]) if "*" in action]
            for arn in listed(statement["Resource"]):
                text = json.dumps(arn)
                # The bucket that was there under its prefix; the stack's own as a whole.
                objects = ["${LogBucketName}/${LogPrefix}/*", "${OwnBucket}/*"]
                ours = [one for one in objects if f'"arn:${{AWS::Partition}}:s3:::{one}"' in text]
                assert text.count("*") == len(ours), text
    assert "Policies" not in resource(template, "Function"), "SAM would add them to a role of its own"


def test_the_probe_is_denied_everything(template):
    [statement] = statements(template, "ProbeRole")
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == ("Deny", "*", "*")
    assert "ManagedPolicyArns" not in resource(template, "ProbeRole")


def every_template():
    """All templates that can be deployed, by file."""
    files = [stack.TEMPLATE, *sorted(stack.ROOT.glob("deploy/*.yaml")), *sorted(stack.ROOT.glob("examples/*.yaml"))]
    return {file.name: stack.yaml_parse(file.read_text()) for file in files}


@pytest.mark.parametrize("file", every_template())
def test_no_service_of_another_account_gets_in(file):
    """Each statement for a service names this account or what may call; only Lambda's for EventBridge is by rule alone."""
    for name, one in every_template()[file]["Resources"].items():
        documents = [one.get("Properties", {}).get(key) for key in ("AssumeRolePolicyDocument", "KeyPolicy", "PolicyDocument")]
        for statement in (statement for document in documents if document for statement in document["Statement"]):
            statement = statement["Fn::If"][1] if "Fn::If" in statement else statement
            if "Service" in json.dumps(statement.get("Principal", "")):
                # What a service does by a role, it does for this account alone.
                keys = "aws:SourceAccount" if "AssumeRolePolicyDocument" in one["Properties"] else "aws:Source(Account|Arn|OrgID)"
                assert re.search(keys, json.dumps(statement["Condition"])), (name, statement)
        if one["Type"] == "AWS::Lambda::Permission":
            assert "SourceArn" in one["Properties"], name


def test_neither_topic_nor_key_is_open_to_eventbridge(template):
    assert "events.amazonaws.com" not in json.dumps([resource(template, name) for name in ("TopicKey", "TopicPolicy")])


def test_there_are_roles_for_services_to_look_at():
    """The test above holds nothing where nothing matches."""
    roles = [(file, name) for file, one in every_template().items() for name, resource in one["Resources"].items() if resource["Type"] == "AWS::IAM::Role"]
    assert {("template.yaml", "FunctionRole"), ("chat.yaml", "ChatRole"), ("organization-member.yaml", "Role")} <= set(roles)


def test_tamper_rules_lose_nothing_and_publish_by_their_own_role(template):
    rules = {name: one["Properties"] for name, one in template["Resources"].items() if one["Type"] == "AWS::Events::Rule"}
    assert len(rules) == 7
    for name, rule in rules.items():
        for target in rule["Targets"]:
            assert target["DeadLetterConfig"], name
            to_role = name in ("ObjectRule", "ModelCallRule")
            assert ("RoleArn" not in target) if to_role else target["RoleArn"] == {"Fn::GetAtt": ["TamperRole", "Arn"]}, name
    trust = resource(template, "TamperRole")["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]
    assert trust["ArnLike"]["aws:SourceArn"]["Fn::Sub"].endswith(":rule/${AWS::StackName}-*")


def test_no_rule_takes_forged_events(template):
    for name, one in template["Resources"].items():
        if one["Type"] == "AWS::Events::Rule":
            pattern = one["Properties"]["EventPattern"]
            branches = [branch.get("Fn::If", [None, branch])[1] for branch in pattern.get("$or", [pattern])]
            for source in (branch["source"] for branch in branches):
                # PutEvents refuses a source that begins with aws.
                assert all((one["prefix"] if isinstance(one, dict) else one).startswith("aws.") for one in source), name


def test_a_stack_that_is_deleted_reports_it_before_its_guards_go(template):
    """CloudFormation deletes what depends on others first."""
    resources = template["Resources"]

    def needs(name, seen=None):
        seen = seen if seen is not None else set()
        text = json.dumps(resources[name])
        named = set(re.findall(r'"(?:Ref|Fn::GetAtt)": \[?"(\w+)', text)) | set(re.findall(r"\$\{(\w+)[.}]", text)) | set(listed(resources[name].get("DependsOn", [])))
        for other in (named & set(resources)) - seen:
            seen.add(other)
            needs(other, seen)
        return seen

    assert {"Topic", "TopicKey", "TamperRole", "EmailSubscription", "NoticeFailureQueue"} <= needs("StackRule")
    for slow in ["Function", "Table", "FailureQueue", "EventSource"]:
        assert "StackRule" in needs(slow), slow
    statuses = resource(template, "StackRule")["EventPattern"]["detail"]["status-details"]["status"]
    assert {"DELETE_IN_PROGRESS", "UPDATE_IN_PROGRESS"} <= set(statuses)


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
    rule = aws("events").describe_rule(Name=f"{both_sources['FunctionName']}-files12")

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


def test_another_source_comes_in_as_reliably_as_the_log(template):
    target, [ours] = resource(template, "ObjectRule")["Targets"][0], resource(stack.add_on("source"), "ObjectRule")["Targets"]
    assert ours["RetryPolicy"] == target["RetryPolicy"]
    assert ours["DeadLetterConfig"] == {"Arn": {"Ref": "FailureQueueArn"}}
    # CloudFormation would cut a long stack's name in the names of rules that have none of their own.
    rules = [(one["Properties"]["Name"]["Fn::Sub"], "${AWS::StackName}") for one in template["Resources"].values() if one["Type"] == "AWS::Events::Rule"]
    rules += [(one["Properties"]["Name"]["Fn::Sub"].replace("${Name}", "n" * 7), "${FunctionName}") for one in stack.add_on("source")["Resources"].values() if one["Type"] == "AWS::Events::Rule"]
    for name, prefix in rules:
        assert name.startswith(f"{prefix}-") and len(name.removeprefix(prefix)) <= len("-logging-tamper")


def deployed(aws, outputs):
    """A stack's resources, and the statements of its role and of its on-failure queue, by Sid."""
    resources = aws("cloudformation").describe_stack_resources(StackName=outputs["FunctionName"])["StackResources"]
    ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources}
    role = aws("iam").get_role_policy(RoleName=ids["FunctionRole"], PolicyName="detector")["PolicyDocument"]
    url = outputs["FailureQueueUrl"]
    queue = aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {}).get("Policy")
    documents = [json.loads(one) if isinstance(one, str) else one for one in (role, queue or {"Statement": []})]
    return ids, *({one["Sid"]: one for one in document["Statement"]} for document in documents)


def test_another_source_adds_these_permissions_and_no_others(aws, both_sources):
    ids, _, queue = deployed(aws, both_sources)
    document = aws("iam").get_role_policy(RoleName=ids["FunctionRole"], PolicyName="source-files12")["PolicyDocument"]
    document = json.loads(document) if isinstance(document, str) else document
    assert document["Statement"] == [
        {
            "Sid": "ReadLogObjects",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": "arn:aws:s3:::trail-" + "t" * 57 + "/AWSLogs/o-example/*",
        },
        {
            "Sid": "DecryptLogObjects",
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": TRAIL_KEY,
            "Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}},
        },
    ]
    sender = queue["EventsThatCouldNotBeDelivered"]["Condition"]["ArnLike"]["aws:SourceArn"]
    assert sender.endswith(f":rule/{both_sources['FunctionName']}-*"), "of the rule of each source, too"


def test_where_no_invocation_log_is_read_nothing_of_it_is_there(aws, events_only):
    ids, role, _ = deployed(aws, events_only)
    assert {"LogBucket", "BucketPolicy", "BucketPermission", "ObjectRule", "SilenceAlarm"} & set(ids) == set()
    assert "ReadLogObjects" not in role and "ModelCallRule" in ids
    assert {"LogBucketName", "BedrockLoggingCommand"} & set(events_only) == set()


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
        *stack.SOURCE_OUTPUTS, "TopicArn", "TableName", "FailureQueueUrl", "LogBucketName", "LogGroupName", "BedrockLoggingCommand",
        "EventQueueUrl", "EventFailureQueueUrl", "NoticeFailureQueueUrl", "TamperChatTopicArn", "EveryAlertTopicArn", "ProbeRoleArn",
    }  # fmt: skip
    assert set(new_bucket) == set(existing_bucket) == set(both_sources) == names
    assert existing_bucket["LogBucketName"] == "old-logs"
    command = new_bucket["BedrockLoggingCommand"]
    configuration = json.loads(command[command.index("'") + 1 : command.rindex("'")])
    assert configuration["s3Config"] == {"bucketName": new_bucket["LogBucketName"], "keyPrefix": "logs/bedrock"}
    assert [kind for kind, on in configuration.items() if on is True] == ["textDataDeliveryEnabled"]


@pytest.mark.parametrize(
    "parameters, says",
    [
        ({"NewLogBucketName": "some-logs", "LogBucketName": "some-logs"}, "Leave one empty"),
        ({"NewLogBucketName": "some-logs", "LogPrefix": "bedrock/"}, "a prefix without a slash"),
        ({"NewLogBucketName": "some-logs", "ReservedConcurrency": "0"}, "would stop the detector silently"),
        ({"LogBucketName": "none", "CloudTrail": "no"}, "Nothing would be read"),
        ({"LogBucketName": "none", "LogBucketKmsKeyArn": LOG_KEY}, "means nothing with LogBucketName=none"),
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
    measured = [one["MetricStat"]["Metric"] for alarm in alarms for one in alarm.get("Metrics", [alarm]) if "MetricStat" in one]
    ours = [one for one in [*alarms, *measured] if one.get("Namespace") == namespace]
    assert {alarm["MetricName"] for alarm in ours} == {"unread", "lost_findings", "objects"} & known
    # CloudWatch charges for each. lag and lost_findings come only with what they measure.
    assert len(known - {"lag", "lost_findings"}) == 6
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
    """What deploy/dashboard.yaml shows of a stack."""
    add_on = stack.add_on("dashboard")
    parameters = {name: outputs[name] for name in add_on["Parameters"] if name in outputs}
    made = stack.create(types.SimpleNamespace(client=aws), "dashboard", parameters, TemplateBody=json.dumps(add_on))
    name = made["DashboardUrl"].split("name=")[1]
    return json.loads(aws("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"])


def test_silence_is_reported_by_default_and_only_of_a_log_that_came(template):
    alarm = resource(template, "SilenceAlarm")
    assert template["Parameters"]["SilenceHours"]["Default"] > 0
    # A log that stopped leaves no data; one that never came changes no state.
    assert alarm["TreatMissingData"] == "missing"
    assert alarm["InsufficientDataActions"] == alarm["AlarmActions"] == [{"Ref": "Topic"}]
    # CloudWatch looks back a week at most.
    assert template["Parameters"]["SilenceHours"]["MaxValue"] * alarm["Period"] <= 7 * 24 * 3600


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
            silent = "missing" if name == "SilenceAlarm" else "notBreaching"
            assert alarm["TreatMissingData"] == silent, name


@pytest.fixture(scope="module", params=["new_bucket", "both_sources"])
def outputs(request):
    """A stack with as little to watch as possible, and one with as much."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def tells(aws, outputs):
    """Whether a call to AWS is reported to the topic: tells("aws.sns", "Unsubscribe", subscriptionArn=…)."""
    all_rules = aws("events").list_rules(NamePrefix=outputs["FunctionName"])["Rules"]
    rules = [rule for rule in all_rules if rule["Name"].endswith("-tamper")]
    # A source of its own has one, too.
    assert len(rules) == 3 + ("bothsrc" in outputs["FunctionName"])

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
    tells.stack = aws("cloudformation").describe_stacks(StackName=outputs["FunctionName"])["Stacks"][0]["StackId"]
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
        ("aws.sqs", "SetQueueAttributes", {"queueUrl": outputs["NoticeFailureQueueUrl"]}),
        ("aws.monitoring", "PutMetricAlarm", {"alarmName": f"{function}-errors"}),
        ("aws.cloudformation", "UpdateTerminationProtection", {"stackName": function, "enableTerminationProtection": False}),
        ("aws.cloudformation", "DeleteStack", {"stackName": tells.stack}),
        ("aws.events", "DeleteEventBus", {"name": f"{function}-tamper"}),
        *(("aws.events", "DisableRule", {"name": f"{function}-{name}"}) for name in ("notice", "stack")),
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
        ("aws.monitoring", "PutMetricAlarm", {"alarmName": "another"}),
        ("aws.cloudformation", "DeleteStack", {"stackName": "another"}),
        ("aws.cloudformation", "DescribeStacks", {"stackName": outputs["FunctionName"]}),
        ("aws.logs", "DeleteLogGroup", {"logGroupName": "/aws/lambda/another"}),
        ("aws.sqs", "PurgeQueue", {"queueUrl": "https://sqs.us-east-1.amazonaws.com/000000000000/another"}),
    ]
    assert [call for call in not_told if tells(call[0], call[1], **call[2])] == []


def test_names_and_patterns_stay_within_the_limits_of_eventbridge(tells):
    assert max(len(rule["Name"]) for rule in tells.all_rules) == 64
    for rule in tells.all_rules:
        assert len(rule["EventPattern"]) <= 2048, rule["Name"]


def sent_by(template, rule):
    """What one event sends to the topic and to the chat topic."""
    plain, chat = resource(template, rule)["Targets"]
    assert plain["Arn"] == {"Ref": "Topic"} and chat["Arn"] == {"Ref": "TamperChatTopic"}
    texts = []
    for target in [plain, chat]:
        transformer = target["InputTransformer"]
        text = transformer["InputTemplate"]
        assert set(re.findall(r"<(\w+)>", text)) == set(transformer["InputPathsMap"])
        # What an attacker chooses (a session name) has no quote: it cannot break out of the JSON.
        for variable, path in transformer["InputPathsMap"].items():
            text = text.replace(f"<{variable}>", path.replace("$.detail.", "the "))
        texts.append(text)
    return texts


@pytest.fixture
def notices(template):
    """What one denied call sends."""
    return sent_by(template, "TamperNoticeRule")


def test_a_notice_of_the_stack_says_what_and_when_in_both_forms(template):
    plain, chat = sent_by(template, "StackRule")
    assert all(isinstance(json.loads(line), str) for line in plain.split("\n"))
    content = json.loads(chat)["content"]
    for part in ["the status-details.status", "the stack-id", "$.time", "docs/operate.md"]:
        assert part in plain and part in content["title"] + content["description"] + str(content["nextSteps"]), part


@pytest.mark.parametrize(
    "call, invoked_by, told",
    [
        ("PutRule", None, True),
        ("PutRule", "cloudformation.amazonaws.com", False),
        ("PutRule", "servicecatalog.amazonaws.com", True),
        ("UpdateFunctionCode20150331v2", "cloudformation.amazonaws.com", False),
        # Another stack could put a policy on the topic, the queues or the bucket.
        ("SetTopicAttributes", "cloudformation.amazonaws.com", True),
        ("PutBucketPolicy", "cloudformation.amazonaws.com", True),
    ],
)
def test_a_deployment_is_reported_once_and_not_call_by_call(aws, existing_bucket, call, invoked_by, told):
    rule = aws("events").describe_rule(Name="watch-notice", EventBusName="watch-tamper")
    event = {
        "id": "1", "version": "0", "account": "000000000000", "region": "us-east-1", "time": "2026-01-01T00:00:00Z", "resources": [],
        "source": "aws.events", "detail-type": "AWS API Call via CloudTrail",
        "detail": {"eventName": call, "userIdentity": {"arn": "arn:aws:iam::1:user/eve"} | ({"invokedBy": invoked_by} if invoked_by else {})},
    }  # fmt: skip
    test = aws("events").test_event_pattern
    assert test(EventPattern=rule["EventPattern"], Event=json.dumps(event))["Result"] == told
    assert not test(EventPattern=rule["EventPattern"], Event=json.dumps(event | {"source": "example.events"}))["Result"], "forged"


@pytest.mark.parametrize("status, told", [("DELETE_IN_PROGRESS", True), ("UPDATE_IN_PROGRESS", True), ("UPDATE_COMPLETE", False)])
def test_an_update_and_the_deletion_of_this_stack_are_reported(aws, existing_bucket, status, told):
    rule = aws("events").describe_rule(Name="watch-stack")
    stack_id = aws("cloudformation").describe_stacks(StackName="watch")["Stacks"][0]["StackId"]

    def reported(stack_id):
        event = {
            "id": "1", "version": "0", "account": "000000000000", "region": "us-east-1", "time": "2026-01-01T00:00:00Z", "resources": [stack_id],
            "source": "aws.cloudformation", "detail-type": "CloudFormation Stack Status Change",
            "detail": {"stack-id": stack_id, "status-details": {"status": status, "status-reason": ""}, "client-request-token": ""},
        }  # fmt: skip
        return aws("events").test_event_pattern(EventPattern=rule["EventPattern"], Event=json.dumps(event))["Result"]

    assert reported(stack_id) == told
    assert not reported(stack_id.replace("/watch/", "/another/"))


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
    # Only AWS may send as aws.cloudtrail, so for once the rules listen to another source.
    rules = [aws("events").describe_rule(**one) for one in ({"Name": "watch-logging-tamper"}, {"Name": "watch-notice", "EventBusName": "watch-tamper"})]

    def put(rule, pattern):
        aws("events").put_rule(Name=rule["Name"], EventBusName=rule["EventBusName"], EventPattern=pattern)

    for rule in rules:
        put(rule, json.dumps({"source": ["example.cloudtrail"]}))
    try:
        entry = {"Source": "example.cloudtrail", "DetailType": "AWS API Call via CloudTrail", "Detail": json.dumps(detail)}
        answer = aws("events").put_events(Entries=[entry])
    finally:
        for rule in rules:
            put(rule, rule["EventPattern"])
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


@pytest.fixture
def arrives(aws, new_bucket):
    """Whether a CloudTrail record comes in as an event."""
    rule = deployed(aws, new_bucket)[0]["ModelCallRule"]
    pattern = aws("events").describe_rule(Name=rule)["EventPattern"]

    def one(record, source=None, kind="AWS API Call via CloudTrail"):
        source = source or "aws." + record["eventSource"].removesuffix(".amazonaws.com")
        event = {
            "id": "1", "version": "0", "account": "444455556666", "region": "us-east-1", "time": "2026-01-01T00:00:00Z",
            "resources": [], "source": source, "detail-type": kind, "detail": record,
        }  # fmt: skip
        return aws("events").test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]

    return one


def call(name, error=None, service="bedrock", **identity):
    record = {"eventSource": f"{service}.amazonaws.com", "eventName": name, "userIdentity": {"accessKeyId": "ASIA1"} | identity}
    return record | ({"errorCode": error} if error else {})


def test_what_the_rules_count_comes_in(arrives, rules):
    looked_at = 0
    for name, rule in rules.items():
        for example in rule["example"] if rule["on"] else []:
            for line in example["records"].splitlines() if example["alerts"] else []:
                record = json.loads(line.replace("{n}", "1")) if line else {}
                if "eventSource" not in record:
                    continue
                # CloudTrail always names the user of an IAM user.
                identity = record["userIdentity"]
                identity.setdefault("userName", identity["arn"].rsplit("/")[-1])
                assert arrives(record), f"{name}: {example['name']}: {line}"
                looked_at += 1
    assert looked_at > 20


def test_other_calls_do_not_come_in(arrives):
    for record in [
        call("ListFoundationModels"),
        call("InvokeModel"),
        call("InvokeModel", accessKeyId="AKIA1"),
        call("Converse", "ThrottlingException"),
        call("CreateFoundationModelAgreement", service="sagemaker"),
        call("ListUsers", service="iam", userName="eve"),
        call("GenerateDataKey", service="kms", userName="BedrockAPIKey-1", invokedBy="bedrock.amazonaws.com"),
        call("InvokeModel", "AccessDenied", "s3"),
    ]:
        assert not arrives(record), record
    denied = call("InvokeModel", "AccessDenied")
    assert arrives(denied)
    assert not arrives(denied, kind="AWS Service Event via CloudTrail")
    # Whoever may call PutEvents may name any other source.
    assert not arrives(denied, source="my.app")
    assert not arrives(call("ListUsers", service="iam", userName="BedrockAPIKey-1"), source="my.app")


def test_events_show_what_the_rules_say_they_show():
    """src/rule/feed.rs says so of every rule whose calls failed, or are no model calls, also of those that are off."""
    on = event_pattern.pattern(event_pattern.rules_on())["$or"]
    for name, rule in ((path.stem, tomllib.loads(path.read_text())) for path in (stack.ROOT / "rules").glob("*.toml")):
        for record in event_pattern.records_of(rule):
            if event_pattern.is_in_trail(record) and record.get("outcome") != "succeeded":
                assert any(event_pattern.covers(one, event_pattern.branch(record)) for one in on), name


def test_the_pattern_is_written_from_the_rules(template, member):
    expected = event_pattern.pattern(event_pattern.rules_on())
    for one in (template, member):
        assert resource(one, "ModelCallRule")["EventPattern"] == expected, "run scripts/event_pattern.py"
    assert len(json.dumps(expected, separators=(",", ":"))) <= 2048
    assert set(event_pattern.model_calls()) >= {"InvokeModel", "ConverseStream", "CreateInference"}


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
    longest = resource(template, "Function")["Timeout"]
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
    assert {"EventQueueUrl", "EventFailureQueueUrl"} & set(bare) == set()


def test_in_its_own_bucket_a_changed_prefix_leaves_no_gap(aws, new_bucket):
    bucket = new_bucket["LogBucketName"]
    [notification] = aws("s3").get_bucket_notification_configuration(Bucket=bucket)["LambdaFunctionConfigurations"]
    assert [rule["Name"].lower() for rule in notification["Filter"]["Key"]["FilterRules"]] == ["suffix"]
    policy = json.loads(aws("s3").get_bucket_policy(Bucket=bucket)["Policy"])
    [write] = [one for one in policy["Statement"] if one["Sid"] == "BedrockWritesLogs"]
    assert write["Resource"] == f"arn:aws:s3:::{bucket}/*"


def test_the_place_that_bedrock_logged_to_before_a_move_is_one_more_source(here, aws):
    detector = stack.Detector(here, "moved", NewLogBucketName="new-place")
    aws("s3").create_bucket(Bucket="old-place")
    detector.add_source("old-place", "old/prefix", kind="invocation-log", name="old")
    pattern = json.loads(aws("events").describe_rule(Name="moved-old")["EventPattern"])
    assert pattern["detail"] == {"bucket": {"name": ["old-place"]}, "object": {"key": [{"wildcard": "old/prefix/*.json.gz"}]}}
    statements = json.loads(aws("lambda").get_policy(FunctionName="moved")["Policy"])["Statement"]
    sources = [one["Condition"]["ArnLike"]["AWS:SourceArn"] for one in statements if one.get("Condition", {}).get("ArnLike")]
    assert "arn:aws:s3:::old-place" in sources, "a bucket that an earlier stack made calls the function itself"


def test_what_outlives_the_stack_does_not_outlive_a_creation_that_failed(template):
    kept = {name: one["DeletionPolicy"] for name, one in template["Resources"].items() if "DeletionPolicy" in one}
    assert {name for name, policy in kept.items() if policy != "Delete"} == {"LogBucket", "BucketPolicy"}
    assert {kept["LogBucket"], kept["BucketPolicy"]} == {"RetainExceptOnCreate"}


def test_every_role_takes_the_boundary(template):
    found = 0
    for one in [template, *map(stack.add_on, ["chat", "organization-member"])]:
        for name, role in one["Resources"].items():
            if role["Type"] == "AWS::IAM::Role":
                boundary = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}
                assert role["Properties"]["PermissionsBoundary"] == boundary, name
                found += 1
    assert found == 5


def test_chat_is_a_template_of_its_own_and_may_do_nothing(template):
    assert "AWS::Chatbot" not in json.dumps(template), "it does not exist in GovCloud and China"
    chat = stack.add_on("chat")
    assert "Policies" not in resource(chat, "ChatRole") and "ManagedPolicyArns" not in resource(chat, "ChatRole")
    for name in ["SlackChannel", "TeamsChannel"]:
        assert resource(chat, name)["SnsTopicArns"] == {"Ref": "TopicArns"}
        assert "AWSDenyAll" in json.dumps(resource(chat, name)["GuardrailPolicies"])
    names = [json.dumps(resource(chat, name)["ConfigurationName"]) for name in ["SlackChannel", "TeamsChannel"]]
    assert len(set(names)) == 2, "unique in the account"


def test_prefixes_may_hold_an_equals_sign(template):
    for parameters, name in [(template["Parameters"], "LogPrefix"), (stack.add_on("source")["Parameters"], "Prefix")]:
        assert re.match(parameters[name]["AllowedPattern"], "logs/year=2026"), name


# ------------------------------------------------------------------ an organization


@pytest.fixture(scope="session")
def member():
    return stack.add_on("organization-member")


def test_member_accounts_send_what_the_detector_takes(template, member):
    sent, taken = (resource(one, "ModelCallRule") for one in (member, template))
    assert sent["State"] == taken["State"]
    assert sent["EventPattern"] == taken["EventPattern"]


def test_a_members_path_loses_nothing_silently(member):
    for rule in ["ModelCallRule", "TamperRule"]:
        [target] = resource(member, rule)["Targets"]
        assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["UndeliveredQueue", "Arn"]}}, rule
        assert target["RoleArn"] and target["RetryPolicy"]["MaximumRetryAttempts"] == 185, rule
    [statement] = resource(member, "Role")["AssumeRolePolicyDocument"]["Statement"]
    assert set(statement["Condition"]) == {"StringEquals", "ArnLike"}
    alarms = {one["Properties"]["MetricName"]: one["Properties"] for one in member["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"}
    assert set(alarms) == {"FailedInvocations", "ApproximateNumberOfMessagesVisible"}
    # In the alarm's own region, as CloudWatch demands, and by the name that organization-central.yaml gives it.
    topic = "${DetectorName}-members"
    assert all(alarm["AlarmActions"] == [{"Fn::Sub": f"arn:${{AWS::Partition}}:sns:${{AWS::Region}}:${{DetectorAccount}}:{topic}"}] for alarm in alarms.values())
    assert resource(stack.add_on("organization-central"), "MemberAlarms")["TopicName"] == {"Fn::Sub": topic}
    # All rules of a member begin as the detector's tamper rules expect.
    names = [one["Properties"]["Name"]["Fn::Sub"] for one in member["Resources"].values() if one["Type"] == "AWS::Events::Rule"]
    assert all(name.startswith("${DetectorName}-") and len(name.removeprefix("${DetectorName}")) <= 15 for name in names)


def test_a_members_parameters_hold_in_every_account_and_region(member):
    """Overrides reach the accounts that are there, and not those that join later."""
    assert not [name for name in member["Parameters"] if name.endswith("Arn") and name != "PermissionsBoundaryArn"]
    # Where the detector itself is, a stack of nothing would not be created.
    assert any("Condition" not in one for one in member["Resources"].values())


def test_what_touches_a_members_path_becomes_a_notice_of_the_detector(here, aws, existing_bucket):
    """EventBridge passes nothing on from one bus to a third, so the member sends it to the bus that makes notices."""
    add_on = stack.for_ministack(stack.add_on("organization-member"))
    parameters = {"DetectorAccount": "111122223333", "DetectorRegion": "eu-west-1", "DetectorName": "watch"}
    outputs = stack.create(here, "member", parameters, TemplateBody=json.dumps(add_on))
    buses = {name: aws("events").list_targets_by_rule(Rule=f"watch-{name}")["Targets"][0]["Arn"] for name in ("member", "member-tamper")}
    assert buses == {
        "member": "arn:aws:events:eu-west-1:111122223333:event-bus/default",
        "member-tamper": "arn:aws:events:eu-west-1:111122223333:event-bus/watch-tamper",
    }
    role = next(one["PhysicalResourceId"] for one in aws("cloudformation").describe_stack_resources(StackName="member")["StackResources"] if one["LogicalResourceId"] == "Role")
    [statement] = aws("iam").get_role_policy(RoleName=role, PolicyName="send")["PolicyDocument"]["Statement"]
    assert sorted(statement["Resource"]) == sorted(buses.values())
    sender = aws("events").describe_rule(Name="watch-member-tamper")["EventPattern"]
    notice = aws("events").describe_rule(Name="watch-notice", EventBusName="watch-tamper")["EventPattern"]

    def matches(pattern, source, call, parameters):
        event = {
            "id": "1", "version": "0", "account": "444455556666", "region": "us-east-1", "time": "2026-01-01T00:00:00Z", "resources": [],
            "source": source, "detail-type": "AWS API Call via CloudTrail", "detail": {"eventName": call, "requestParameters": parameters, "userIdentity": {}},
        }  # fmt: skip
        return aws("events").test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]

    for source, call, parameters in [
        ("aws.bedrock", "DeleteModelInvocationLoggingConfiguration", {}),
        ("aws.cloudtrail", "StopLogging", {"name": "trail"}),
        ("aws.events", "DisableRule", {"name": "watch-member"}),
        ("aws.events", "RemoveTargets", {"rule": "watch-member-tamper"}),
        ("aws.sqs", "PurgeQueue", {"queueUrl": outputs["UndeliveredQueueUrl"]}),
        ("aws.monitoring", "DeleteAlarms", {"alarmNames": ["watch-member-undelivered"]}),
        ("aws.cloudformation", "DeleteStack", {"stackName": "member"}),
    ]:
        assert matches(sender, source, call, parameters), call
        assert matches(notice, source, call, parameters), call
    assert not matches(sender, "aws.events", "DisableRule", {"name": "another"})


def test_only_the_organization_may_send_to_the_buses_and_the_topic():
    central = stack.add_on("organization-central")
    for name in ["BusPolicy", "TamperBusPolicy"]:
        assert resource(central, name)["Statement"]["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": {"Ref": "OrganizationId"}}}, name
    assert resource(central, "TamperBusPolicy")["EventBusName"] == {"Fn::Sub": "${DetectorName}-tamper"}
    [alarms] = resource(central, "MemberAlarmsPolicy")["PolicyDocument"]["Statement"]
    assert alarms["Condition"] == {"StringEquals": {"aws:SourceOrgID": {"Ref": "OrganizationId"}}}


def test_the_central_templates_of_an_organization_come_up(here, existing_bucket):
    given = {"OrganizationId": "o-exampleorgid", "DetectorName": "watch"}
    central = stack.add_on("organization-central")
    # The stand-in does not know the type.
    central["Resources"] = {name: one for name, one in central["Resources"].items() if one["Type"] != "AWS::Events::EventBusPolicy"}
    outputs = stack.create(here, "central", given, TemplateBody=json.dumps(central))
    assert outputs["AlarmTopicArn"].endswith(":watch-members")


# ------------------------------------------------------------------ examples


def transformed(transformer, event):
    """What EventBridge makes of an event: a `<name>` within quotes becomes its text, elsewhere its JSON."""

    def value(name):
        found = event
        for step in transformer["InputPathsMap"][name].removeprefix("$.").split("."):
            found = found[step]
        return found

    text, is_quoted = "", False
    for part in re.split(r'("|<\w+>)', transformer["InputTemplate"]):
        is_quoted ^= part == '"'
        named = re.fullmatch(r"<(\w+)>", part)
        text += part if not named else str(value(named[1])) if is_quoted else json.dumps(value(named[1]))
    return json.loads(text)


@pytest.mark.parametrize("service", ["Slack", "PagerDuty"])
def test_a_webhook_gets_json_whatever_a_message_holds(service):
    webhook = stack.yaml_parse((stack.ROOT / "examples/webhook.yaml").read_text())
    [target] = resource(webhook, f"{service}Rule")["Targets"]
    evil = '<!channel> "x", "y": [\\'
    finding = {
        "message": evil, "severity": "High", "metadata": {"event_code": "denied-model"}, "finding_info": {"uid": "f3"},
        "unmapped": {"alerts": 3}, "cloud": {"account": {"uid": "111122223333"}},
    }  # fmt: skip
    sent = transformed(target["InputTransformer"], {"detail": finding})
    if service == "PagerDuty":
        assert (sent["dedup_key"], sent["payload"]["summary"], sent["payload"]["custom_details"]["alerts"]) == ("f3", evil, 3)
    else:
        assert all(block["text"]["type"] == "plain_text" for block in sent["blocks"]), "no mention works"
        assert [block["text"]["text"] for block in sent["blocks"]] == ["Bedrock denials: High, denied-model", evil]

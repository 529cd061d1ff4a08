"""From the template of version 0.1 to this one: table, bucket and confirmed subscriptions stay.

template-0.1.yaml is that version's template.yaml, unchanged.
"""

import json
import types

import pytest

import stack
from cloud import poll
from test_verbs import deploy

OLD = stack.ROOT / "tests/template/template-0.1.yaml"


def put(here, call, name, template, parameters):
    """Creates or updates a stack; returns its outputs."""
    body = stack.transformed(stack.yaml_parse(template.read_text()), parameters)
    here.client("s3").put_object(Bucket=stack.CODE[0], Key=f"{name}.json", Body=json.dumps(body))
    stacks = here.client("cloudformation")
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    getattr(stacks, call)(
        StackName=name, TemplateURL=f"{here.url}/{stack.CODE[0]}/{name}.json", Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"], Parameters=given
    )

    def settled():
        found = stacks.describe_stacks(StackName=name)["Stacks"][0]
        return None if found["StackStatus"].endswith("IN_PROGRESS") else found

    found = poll(f"stack {name}", settled, 60)
    events = [one for one in stacks.describe_stack_events(StackName=name)["StackEvents"] if "FAILED" in one["ResourceStatus"]]
    assert found["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), [(one["LogicalResourceId"], one.get("ResourceStatusReason")) for one in events]
    return {one["OutputKey"]: one["OutputValue"] for one in found["Outputs"]}, {one["ParameterKey"]: one["ParameterValue"] for one in found["Parameters"]}


@pytest.mark.parametrize("given", [{"NewLogBucketName": "upgraded-own"}, {"ExistingLogBucket": "upgraded-given"}], ids=["its-own-bucket", "a-given-bucket"])
def test_an_upgrade_loses_no_counter_no_log_and_no_subscription(here, aws, given):
    [bucket] = given.values()
    name = f"from-{bucket}"
    if "ExistingLogBucket" in given:
        aws("s3").create_bucket(Bucket=bucket)
    answers = given | {"Architecture": "x86_64", "Threshold": "5", "AlertEmail": "a@example.com", "EveryAlert": "yes"}
    before, present = put(here, "create_stack", name, OLD, answers)
    item = {"pk": {"S": '["denied-model","111122223333","u","m"]'}, "sk": {"S": "alerts"}}
    aws("dynamodb").put_item(TableName=before["TableName"], Item=item)
    aws("s3").put_object(Bucket=bucket, Key="bedrock/kept.json.gz", Body=b"kept")

    def subscriptions():
        return {one["Endpoint"]: one["SubscriptionArn"] for one in aws("sns").list_subscriptions_by_topic(TopicArn=before["TopicArn"])["Subscriptions"]}

    def queue_policies(outputs):
        urls = [outputs[one] for one in ("FailureQueueUrl", "EventQueueUrl", "EventFailureQueueUrl")]
        return ["Policy" in aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] for url in urls]

    confirmed = subscriptions()
    assert "a@example.com" in confirmed

    now, extra = deploy.migrated(present)
    parameters = deploy.template()["Parameters"]
    after, present = put(here, "update_stack", name, stack.TEMPLATE, {key: value for key, value in now.items() if key in parameters})
    for output in ["FunctionName", "TableName", "TopicArn", "LogBucketName", "FailureQueueUrl", "EventQueueUrl", "EveryAlertTopicArn", "TamperChatTopicArn"]:
        assert after[output] == before[output], output
    assert aws("dynamodb").scan(TableName=after["TableName"])["Items"] == [item]
    assert aws("s3").get_object(Bucket=bucket, Key="bedrock/kept.json.gz")["Body"].read() == b"kept"
    assert subscriptions() == confirmed
    # A policy under another name in the template would be put first and then taken away with the old name.
    assert queue_policies(after) == [True] * 3
    assert present["RuleSettings"] == "denied-model.threshold=5" and present["SilenceHours"] == "72"
    variables = aws("lambda").get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    assert variables["RULE_SETTINGS"] == "denied-model.threshold=5" and "THRESHOLD" not in variables
    assert [kind for kind, _ in extra] == ["dashboard"], "which was in the template"


def test_what_holds_data_keeps_its_name_in_the_template():
    """CloudFormation knows a resource by this name: another one is another table, topic or bucket."""
    old, new = (stack.yaml_parse(path.read_text())["Resources"] for path in (OLD, stack.TEMPLATE))
    kept = {"Function", "Table", "Topic", "EveryAlertTopic", "TopicKey", "EmailSubscription", "LogBucket", "BucketPolicy", "BucketPermission",
            "FailureQueue", "FailureQueuePolicy", "EventQueue", "EventQueuePolicy", "EventFailureQueue", "EventFailureQueuePolicy", "LogGroup", "TamperChatTopic"}  # fmt: skip
    for name in kept:
        assert old[name]["Type"] == new[name]["Type"], name
        for fixed in ("BucketName", "FunctionName", "LogGroupName", "KeySchema"):
            assert old[name]["Properties"].get(fixed) == new[name]["Properties"].get(fixed), (name, fixed)

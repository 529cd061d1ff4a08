"""Findings on an event bus: what a rule there takes further."""

import json

from samples import alone, denials, pack


def test_each_alert_reaches_the_rules_of_the_bus_as_an_ocsf_finding(tuned, user):
    events, sqs = tuned.cloud.client("events"), tuned.cloud.client("sqs")
    queue = sqs.create_queue(QueueName="findings")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["bedrock-denial-watch"], "detail": {"class_uid": [2004], "severity": ["High"]}}
    events.put_rule(Name="findings", EventBusName="security", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="findings", EventBusName="security", Targets=[{"Id": "queue", "Arn": arn}])

    tuned.deliver(pack(*denials(user, alone(60), alone(60) + 1)))
    [alert] = tuned.alerts()
    [message] = tuned.receive(queue)
    event = json.loads(message["Body"])
    assert event["detail-type"] == "Detection Finding"
    assert event["detail"]["finding_info"]["uid"] == alert["id"]
    assert event["detail"]["evidences"][0]["actor"]["user"]["uid"] == user

"""Findings on an event bus: what a rule there takes further."""

import json

from samples import alone, denial, pack


def test_each_notification_reaches_the_rules_of_the_bus_as_an_ocsf_finding(tuned, user):
    events, sqs = tuned.cloud.client("events"), tuned.cloud.client("sqs")
    queue = sqs.create_queue(QueueName="findings")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["bedrock-denial-watch"], "detail": {"class_uid": [2004], "severity": ["High"]}}
    events.put_rule(Name="findings", EventBusName="security", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="findings", EventBusName="security", Targets=[{"Id": "queue", "Arn": arn}])

    # Three models are three alerts and one notification: a webhook behind the bus is not flooded.
    models = ["a.one", "a.two", "a.three"]
    tuned.deliver(pack(*(denial(user, alone(60) + second, modelId=model) for model in models for second in (0, 1))))
    assert len(tuned.alerts()) == 3
    [notice] = tuned.notices()
    [message] = tuned.receive(queue)
    event = json.loads(message["Body"])
    assert event["detail-type"] == "Detection Finding"
    assert event["detail"]["finding_info"]["uid"] == notice["incident"]["id"]
    assert event["detail"]["unmapped"]["alerts"] == 3
    assert event["detail"]["evidences"][0]["actor"]["user"]["uid"] == user

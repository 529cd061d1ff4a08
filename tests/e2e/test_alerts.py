"""Log objects in, alerts out: through S3, Lambda, DynamoDB, SNS and SQS."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from recorder import WATCH, counting, spent
from samples import (
    ACCOUNT,
    MODEL,
    REGION,
    denial,
    denials,
    eventbridge_event,
    example_logs,
    expected_alerts,
    key,
    pack,
    record,
    s3_event,
)

# Everything Bedrock and CloudTrail write and the template subscribes to. The sample
# logs hold more; the tests hand that to the function, as an operator would.
ANNOUNCED = ".json.gz"


# The field in which an alert of each rule says how many it counted.
COUNTED = {
    "model-sweep": "total_models",
    "model-probe": "total_models",
    "session-rotation": "total_sessions",
    "region-sweep": "total_regions",
    "key-recon": "total_operations",
    "impossible-request": "total_requests",
    "key-quarantined": "total_requests",
    "model-access-changed": "total_requests",
    "api-key-escape": "total_requests",
}


def summary(alert):
    """An alert in the form of events/expected.jsonl."""
    rule = alert["rule"]["id"]
    counted = COUNTED.get(rule, "total_denials")
    return {
        "rule": rule,
        "@timestamp": alert["@timestamp"],
        "account": alert["cloud"]["account"]["id"],
        "user": alert["user"]["id"],
        "model": alert["gen_ai"]["request"]["model"]["id"],
        counted: alert[counted],
        "first_seen": alert["first_seen"],
        "last_seen": alert["last_seen"],
    }


def test_a_burst_fires_once(detector, user):
    records = denials(user, 0, 10, 20, 30)
    [object_key] = detector.deliver(pack(record(user, 5), *records))

    [message] = detector.receive(detector.inbox)
    alert = json.loads(message["Body"])
    assert summary(alert) == {
        "rule": "denied-model",
        "@timestamp": "2025-06-10T09:00:30Z",
        "account": ACCOUNT,
        "user": user,
        "model": MODEL,
        "total_denials": 4,
        "first_seen": "2025-06-10T09:00:00Z",
        "last_seen": "2025-06-10T09:00:30Z",
    }
    assert alert["request_ids"] == [one["requestId"] for one in records]
    assert alert["objects"] == [f"s3://{detector.bucket}/{object_key}"]
    assert alert["threshold"] == 3 and alert["window_minutes"] == 60
    event = alert["event"]
    assert {name: event[name] for name in ("kind", "category", "type", "outcome", "severity", "risk_score")} == {
        "kind": "alert",
        "category": ["api"],
        "type": ["denied"],
        "outcome": "failure",
        "severity": 73,
        "risk_score": 73,
    }
    assert event["start"] == alert["first_seen"] and event["end"] == alert["last_seen"]
    assert alert["rule"]["id"] == "denied-model"
    assert alert["rule"]["uuid"] == "17261da3-a6d0-463c-aac8-ea1718afcd20"
    assert alert["cloud"]["region"] == [REGION] and alert["cloud"]["provider"] == "aws"
    assert alert["gen_ai"]["response"]["error_code"] == "AccessDeniedException"
    assert [one["id"] for one in alert["threat"]["technique"]] == ["AML.T0015", "AML.T0034"]
    assert alert["triage"]
    attributes = {name: one["StringValue"] for name, one in message["MessageAttributes"].items()}
    assert attributes == {"rule": "denied-model", "severity": "high", "account": ACCOUNT, "alert_id": alert["id"]}


def test_a_filter_policy_picks_alerts_by_their_attributes(detector, user):
    other = "999988887777"
    policy = json.dumps({"rule": ["denied-model"], "severity": ["high"], "account": [other]})
    queue = detector.subscribe(f"{detector.name}-filtered", FilterPolicy=policy)
    times = (0, 1, 2, 3)
    detector.deliver(pack(*denials(user, *times)), pack(*(denial(user, at, accountId=other) for at in times)))

    assert len(detector.alerts()) == 2
    [message] = detector.receive(queue)
    envelope = json.loads(message["Body"])
    assert json.loads(envelope["Message"])["cloud"]["account"]["id"] == other
    assert envelope["Subject"].isascii() and len(envelope["Subject"]) < 100


def test_the_same_object_put_twice_and_delivered_twice_fires_no_more(detector, user):
    body = pack(*denials(user, 0, 10, 20, 30))
    same = key()
    with detector.deliveries(2):
        detector.put(body, same)
        detector.put(body, same)
    [alert] = detector.alerts()
    assert alert["total_denials"] == 4

    event = s3_event(detector.bucket, detector.prefix + same)
    detector.invoke(event)
    detector.invoke(event)
    detector.deliver(body)  # under another name
    assert detector.alerts() == []
    assert detector.counted(user)[0] == 4


def test_two_objects_put_at_once_fire_once(detector, user):
    for round in range(5):
        halves = [pack(*denials(f"{user}-{round}", *times)) for times in ((0, 20), (10, 30))]
        detector.deliver_at_once(*halves)
        whole = [pack(*denials(f"{user}-{round}-each", *times)) for times in ((0, 1, 2, 3), (4, 5, 6, 7))]
        detector.deliver_at_once(*whole)
        alerted = sorted(alert["user"]["id"] for alert in detector.alerts())
        assert alerted == [f"{user}-{round}", f"{user}-{round}-each"]
        assert detector.counted(f"{user}-{round}")[0] == 4
        assert detector.counted(f"{user}-{round}-each")[0] == 8


def test_a_slow_drip_does_not_fire(detector, user):
    drip = (0, 1201, 2402, 3601)
    detector.deliver(*(pack(denial(user, at)) for at in drip))
    assert detector.alerts() == []
    assert detector.counted(user)[0] == 4


def test_a_second_less_and_the_drip_fires(detector, user):
    drip = (0, 1201, 2402, 3600)
    detector.deliver(*(pack(denial(user, at)) for at in drip))
    assert [alert["@timestamp"] for alert in detector.alerts()] == ["2025-06-10T10:00:00Z"]


def test_an_object_without_denials_costs_one_get_and_one_read_of_the_watch_list(detector, user):
    before = len(detector.cloud.recorder.calls)
    [name] = detector.deliver(pack(record(user, 0), record(user, 1, errorCode="ThrottlingException")))
    [read], others = spent(detector.cloud.recorder.calls[before:])
    assert read.resource == f"arn:aws:s3:::{detector.bucket}/{name}" and others == [WATCH]

    before = len(detector.cloud.recorder.calls)
    detector.deliver(pack(denial(user, 0)))
    [read], others = spent(detector.cloud.recorder.calls[before:])
    # Five of the enabled rules look at a user of the invocation log that is not a role.
    assert others == counting(keys=5)


def test_a_body_beside_the_logs_is_not_read(detector, user):
    before = len(detector.cloud.recorder.calls)
    with detector.deliveries(1) as ended:
        detector.put(pack(*denials(user, 0, 1, 2, 3)), key("data/"))
    assert detector.metrics(ended[0])["skipped"] == 1
    assert detector.cloud.recorder.calls[before:] == []
    assert detector.alerts() == []


def test_an_object_under_another_prefix_of_its_own_bucket_is_read_too(detector, user):
    with detector.deliveries(1):
        detector.s3.put_object(Bucket=detector.bucket, Key="elsewhere/" + key(), Body=pack(*denials(user, 0, 1, 2, 3)))
    assert [alert["user"]["id"] for alert in detector.alerts()] == [user]


def test_a_lost_acknowledgement_publishes_the_same_message_again(detector, user):
    detector.notices()  # of the tests before
    detector.cloud.recorder.lose_answer("sns:Publish")
    detector.deliver(pack(*denials(user, 0, 1, 2, 3)))
    alerts, notices = detector.alerts(), detector.notices()
    # Whichever was first comes twice, with the same id. After ten other callers there may be no notice.
    ids = {alert["id"] for alert in alerts}, {notice["incident"]["notice"] for notice in notices}
    assert len(ids[0]) == 1 and len(ids[1]) <= 1
    assert len(alerts) + len(notices) > len(ids[0]) + len(ids[1])


def test_a_lost_answer_to_a_count_counts_once(detector, user):
    detector.cloud.recorder.lose_answer("dynamodb:UpdateItem")
    detector.deliver(pack(*denials(user, 0, 1, 2)))
    assert detector.counted(user)[0] == 3
    assert detector.alerts() == []


def test_the_sample_logs_in_order_fire_exactly_what_is_expected(detector):
    alerts = []
    for name, body in example_logs():
        with detector.deliveries(1):
            put = detector.put(body, name)
            if not name.endswith(ANNOUNCED):
                detector.invoke(s3_event(detector.bucket, put))
        # The keys of one object are worked on at once, so its alerts come in any order.
        alerts += sorted(map(summary, detector.alerts()), key=lambda alert: alert["@timestamp"])
    assert alerts == expected_alerts()


@pytest.mark.exhaustive
def test_the_sample_logs_in_any_order_through_eventbridge_fire_once_for_each_key(existing):
    def deliver(name, body):
        put = existing.put(body, name)
        if not name.endswith(ANNOUNCED):
            existing.invoke(eventbridge_event(existing.bucket, put))

    logs = list(reversed(example_logs()))
    with existing.deliveries(len(logs)), ThreadPoolExecutor(4) as threads:
        for name, body in logs:
            threads.submit(deliver, name, body)

    def keys(alerts):
        return sorted((alert["rule"], alert["account"], alert["user"], alert["model"]) for alert in alerts)

    assert keys(map(summary, existing.alerts())) == keys(expected_alerts())


def test_an_event_that_names_a_version_reads_that_version(existing, user):
    name = existing.prefix + key()
    with existing.notifications_off():
        old, _new = (
            existing.s3.put_object(Bucket=existing.bucket, Key=name, Body=pack(*records))["VersionId"]
            for records in (denials(user, 0, 1, 2, 3), [record(user, 4)])
        )
    before = len(existing.cloud.recorder.calls)
    existing.invoke(eventbridge_event(existing.bucket, name, old))
    assert [alert["user"]["id"] for alert in existing.alerts()] == [user]
    assert {call.action for call in spent(existing.cloud.recorder.calls[before:])[0]} == {"s3:GetObjectVersion"}


def test_the_parameters_of_the_rule_reach_it(tuned, user):
    tuned.deliver(pack(denial(user, 0), denial(user, 600)), pack(denial(user, 1200)), pack(denial(user, 1801)))
    alerts = tuned.alerts()
    assert [(one["@timestamp"], one["threshold"], one["window_minutes"]) for one in alerts] == [
        ("2025-06-10T09:10:00Z", 1, 10),
    ]
    tuned.deliver(pack(denial(user, 1802)))
    assert [one["@timestamp"] for one in tuned.alerts()] == ["2025-06-10T09:30:02Z"]

    exempt = f"arn:aws:iam::{ACCOUNT}:user/exempt-load-test"
    with tuned.deliveries(1) as ended:
        tuned.put(pack(*denials(exempt, 0, 1, 2, 3)))
    assert tuned.alerts() == []
    assert tuned.metrics(ended[0])["exempted"] == 4

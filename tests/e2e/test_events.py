"""CloudTrail's events in, through EventBridge, a queue and batches: no object, no file."""

import json
import sys

import pytest

from cloud import poll
from samples import denials, other_calls, pack, refused, trail
from stack import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from redrive import Redrive  # noqa: E402

LOG, TRAIL = "aws_bedrock.invocation", "aws.cloudtrail"


def told(records):
    """Each CloudTrail record as EventBridge delivers it."""
    for record in records:
        service = record["eventSource"].partition(".")[0]
        yield {"Source": f"example.{service}", "DetailType": "AWS API Call via CloudTrail", "Detail": json.dumps(record)}


def send(events, records):
    bus = events.cloud.client("events")
    for entry in told(records):
        assert bus.put_events(Entries=[entry])["FailedEntryCount"] == 0


def waiting(events, output):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = events.sqs.get_queue_attributes(QueueUrl=events.outputs[output], AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


def settled(events):
    """Nothing is in flight any more, and nothing failed."""
    poll("the queue of events is empty", lambda: not waiting(events, "EventQueueUrl"))
    assert waiting(events, "EventFailureQueueUrl") == 0


def test_four_refusals_alert_without_any_object(events, user):
    before = len(events.cloud.recorder.calls)
    send(events, map(refused, denials(user, 0, 10, 20, 30)))
    [alert] = poll("an alert", events.alerts)
    assert alert["user"]["id"] == user and alert["total_denials"] == 4 and alert["event"]["dataset"] == [TRAIL]
    settled(events)
    assert not [call for call in events.cloud.recorder.calls[before:] if call.action.startswith("s3:")]


def test_other_calls_do_not_reach_the_function(events, user):
    send(events, other_calls(user))
    assert waiting(events, "EventQueueUrl") == 0
    assert events.alerts() == []


@pytest.mark.parametrize("first", ["log", "file", "event"])
def test_what_all_three_sources_tell_counts_once(events, user, first):
    user = f"{user.partition('[')[0]}-{first}"
    records = denials(user, 0, 10, 20, 30)

    def event():
        send(events, map(refused, records))
        settled(events)

    sources = {
        "log": lambda: events.deliver(pack(*records)),
        "file": lambda: events.deliver_trail(trail(*map(refused, records))),
        "event": event,
    }
    sources.pop(first)()
    [alert] = poll("an alert", events.alerts)
    assert alert["user"]["id"] == user and alert["total_denials"] == 4
    for tell in sources.values():
        tell()
    assert events.alerts() == []


def test_three_sources_with_a_part_each_add_up(events, user):
    one, two, three, four = denials(user, 0, 10, 20, 30)
    events.deliver(pack(one, two))
    events.deliver_trail(trail(*map(refused, [two, three])))
    assert events.alerts() == []
    send(events, map(refused, [three, four]))
    [alert] = poll("an alert", events.alerts)
    assert alert["total_denials"] == 4 and alert["event"]["dataset"] == [LOG, TRAIL]
    settled(events)


def test_an_event_that_failed_counts_when_it_is_fed_back(events, user):
    for entry in told(map(refused, denials(user, 0, 10, 20, 30))):
        body = {"source": entry["Source"].replace("example", "aws"), "detail-type": entry["DetailType"], "detail": json.loads(entry["Detail"])}
        events.sqs.send_message(QueueUrl=events.outputs["EventFailureQueueUrl"], MessageBody=json.dumps(body))
    functions = events.cloud.client("lambda")
    run = Redrive(events.sqs, functions, events.outputs["EventFailureQueueUrl"], events.function)
    run.lease = 0  # they never were with the function
    assert run.run(1) and run.done == 4
    [alert] = events.alerts()
    assert alert["total_denials"] == 4
    assert waiting(events, "EventFailureQueueUrl") == 0

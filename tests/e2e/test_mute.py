"""Muting callers of the deployed function."""

import json
import os
import subprocess

import pytest

from samples import ACCOUNT, alone, denial, pack
from stack import ROOT


@pytest.fixture
def verb(detector, user):
    """Runs a verb of denial-watch; returns its exit status and what it printed."""

    def run(action, *arguments):
        environment = {
            "PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": detector.cloud.url, "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip
        command = [ROOT / "target/debug/denial-watch", action, "--table", detector.outputs["TableName"], *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout

    return run


def burst(user, hour, count=4):
    return pack(*(denial(user, alone(hour) + second) for second in range(count)))


def test_a_muted_caller_is_counted_and_recorded_and_nobody_is_notified(detector, user, verb):
    code, printed = verb("mute", "--caller", user, "--for", "8h", "--why", "load test, ticket 123")
    assert code == 0 and printed.startswith(f"{user} (account {ACCOUNT}) is muted until ")
    assert "load test, ticket 123" in verb("mutes")[1]

    detector.deliver(burst(user, 40))
    assert detector.notices() == []
    [alert] = detector.alerts()
    assert alert["user"]["id"] == user and alert["incident"]["notice"] is None
    assert detector.counted(user)[0] == 4

    shown = json.loads(verb("status", "--format", "json")[1])
    assert [one["why"] for one in shown["mutes"] if one["caller"] == user] == ["load test, ticket 123"]

    assert verb("unmute", "--caller", user) == (0, f"{user} (account {ACCOUNT}) is no longer muted\n")
    assert user not in verb("mutes")[1]
    detector.deliver(burst(user, 43))
    [notice] = detector.notices()
    assert notice["incident"]["caller"] == user and len(detector.alerts()) == 1
    assert verb("unmute", "--caller", user)[0] == 1


def test_a_mute_ends_by_itself_and_mutes_nobody_else(detector, user, verb):
    verb("mute", "--caller", user, "--for", "1m", "--why", "soon over")
    key = {"pk": {"S": json.dumps(["#caller", ACCOUNT, user], separators=(",", ":"))}, "sk": {"S": "mute"}}
    detector.deliver(burst(f"{user}-2", 46))
    assert [notice["incident"]["caller"] for notice in detector.notices()] == [f"{user}-2"]

    # As a minute later, while DynamoDB has not yet deleted the item.
    detector.cloud.client("dynamodb").update_item(
        TableName=detector.outputs["TableName"],
        Key=key,
        UpdateExpression="SET #until = :past",
        ExpressionAttributeNames={"#until": "until"},
        ExpressionAttributeValues={":past": {"N": "1"}},
    )
    assert user not in verb("mutes")[1]
    detector.deliver(burst(user, 49))
    assert [notice["incident"]["caller"] for notice in detector.notices()] == [user]
    detector.alerts()


def test_the_email_says_how_to_mute(detector, user):
    before = len(detector.cloud.recorder.calls)
    detector.deliver(burst(user, 52))
    notices = [call for call in detector.cloud.recorder.calls[before:] if call.resource == detector.topic]
    [texts] = [json.loads(notice.message) for notice in notices]
    assert f"denial-watch mute --table TABLE --caller {user}" in texts["email"], texts["email"]
    detector.alerts()

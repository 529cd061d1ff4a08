"""`make mute`, `make mutes` and `make unmute` against the deployed function."""

import json
import sys
import types

import pytest

from samples import ACCOUNT, alone, denial, pack
from stack import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import mute  # noqa: E402
import status  # noqa: E402


@pytest.fixture
def verb(detector, user, capsys):
    """Runs a verb for the test's user; returns its exit code and what it printed."""
    stack = types.SimpleNamespace(output=detector.outputs.__getitem__, client=detector.cloud.client)

    def run(action, span=None, why=None):
        arguments = types.SimpleNamespace(action=action, caller=user, account=None, span=span, why=why)
        code = mute.main(arguments, stack)
        return code, capsys.readouterr().out

    run.stack = stack
    return run


def burst(user, hour, count=4):
    return pack(*(denial(user, alone(hour) + second) for second in range(count)))


def test_a_muted_caller_is_counted_and_recorded_and_nobody_is_notified(detector, user, verb):
    code, printed = verb("mute", "8h", "load test, ticket 123")
    assert code == 0 and f"Undo: make unmute CALLER={user}" in printed
    assert "load test, ticket 123" in verb("mutes")[1]

    detector.deliver(burst(user, 40))
    assert detector.notices() == []
    [alert] = detector.alerts()
    assert alert["user"]["id"] == user and alert["incident"]["notice"] is None
    assert detector.counted(user)[0] == 4

    lines = []
    report = types.SimpleNamespace(note=lines.append)
    status.muted(report, verb.stack, 0)
    assert [line for line in lines if user in line and "load test, ticket 123" in line]

    assert verb("unmute") == (0, f"{user} raises notices again\n")
    assert user not in verb("mutes")[1]
    detector.deliver(burst(user, 43))
    [notice] = detector.notices()
    assert notice["incident"]["caller"] == user and len(detector.alerts()) == 1
    assert verb("unmute")[0] == 1


def test_a_mute_ends_by_itself_and_mutes_nobody_else(detector, user, verb):
    verb("mute", "1m", "soon over")
    [key] = [{"pk": {"S": mute.caller_key(ACCOUNT, user)}, "sk": {"S": "mute"}}]
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
    assert f"make mute CALLER={user}" in texts["email"], texts["email"]
    detector.alerts()

"""People get one message per caller, however loud the attack."""

import json
import os

import pytest
from samples import MODEL, alone, denial, pack


def loud(user, hour, models, each):
    """Models refused several times each."""
    return [
        denial(user, alone(hour) + number % 1800, model=f"anthropic.model-{number % models}")
        for number in range(models * each)
    ]


def test_a_flood_in_one_object_is_at_most_two_messages(detector, user):
    models = 100 if os.environ.get("DEPTH") == "full" else 30
    detector.deliver(pack(*loud(user, 10, models, 4)))
    alerts, notices = detector.alerts(), detector.notices()
    assert len([alert for alert in alerts if alert["rule"]["id"] == "denied-model"]) == models
    assert 1 <= len(notices) <= 2
    last = notices[-1]["incident"]
    assert last["caller"] == user and last["alerts"] == len(alerts)
    assert len(last["others"]) == 10 and last["more"] == len(alerts) - 11
    assert {alert["incident"]["id"] for alert in alerts} == {last["id"]}


@pytest.mark.exhaustive
def test_a_probe_of_20_models_over_20_objects_is_at_most_four_messages(detector, user):
    records = loud(user, 11, 20, 5)
    detector.deliver(*(pack(*records[at::20]) for at in range(20)))
    alerts, notices = detector.alerts(), detector.notices()
    assert len(alerts) >= 20 and 1 <= len(notices) <= 4
    assert notices[-1]["incident"]["alerts"] * 4 > len(alerts)


def test_two_callers_are_told_one_by_one(detector, user):
    detector.deliver(pack(*loud(user, 12, 1, 4), *loud(f"{user}-2", 12, 1, 4)))
    detector.alerts()
    assert sorted(notice["incident"]["caller"] for notice in detector.notices()) == [user, f"{user}-2"]


def test_the_mail_of_a_flood_says_how_loud_it_is(detector, user):
    mail = detector.subscribe("mail-of-a-flood")
    detector.deliver(pack(*loud(user, 13, 30, 4)))
    detector.alerts()
    messages = [json.loads(message["Body"]) for message in detector.receive(mail)]
    assert 1 <= len(messages) <= 2
    assert len(messages[-1]["Subject"]) < 100 and "30 models" in messages[-1]["Subject"], messages[-1]["Subject"]

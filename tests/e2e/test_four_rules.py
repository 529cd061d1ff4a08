"""What each rule finds and what it leaves to the others, through the whole chain."""

import json

from samples import ACCOUNT, denial, denials, pack, record


def rules_of(messages):
    """(rule, severity) of each alert, from its document and from its attributes alike."""
    found = []
    for message in messages:
        attributes = {name: one["StringValue"] for name, one in message["MessageAttributes"].items()}
        assert json.loads(message["Body"])["rule"]["id"] == attributes["rule"]
        found.append((attributes["rule"], attributes["severity"]))
    return found


def session(role, name):
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}"


def test_five_models_probed_once_each_are_one_sweep(detector, user):
    detector.deliver(pack(*(denial(user, at, model=f"vendor.model-{at}") for at in range(5))))
    [message] = detector.receive(detector.inbox)
    assert rules_of([message]) == [("model-sweep", "high")]
    alert = json.loads(message["Body"])
    assert alert["user"]["id"] == user
    assert sorted(alert["models"]) == [f"vendor.model-{at}" for at in range(5)]


def test_a_sweep_over_several_objects_is_one_sweep(detector, user):
    objects = (pack(denial(user, 600 * at, model=f"vendor.model-{at}")) for at in range(6))
    detector.deliver(*objects)
    assert rules_of(detector.receive(detector.inbox)) == [("model-sweep", "high"), ("model-probe", "high")]


def test_three_models_are_no_sweep(detector, user):
    detector.deliver(pack(*(denial(user, at, model=f"vendor.model-{at % 3}") for at in range(9))))
    assert detector.alerts() == []


def test_many_sessions_of_one_role_are_one_rotation(detector, user):
    role = user.rpartition("/")[2]
    records = [denial(session(role, f"s-{number}"), 100 * number + at) for number in range(8) for at in range(3)]
    detector.deliver(pack(*records))
    found = sorted(rules_of(detector.receive(detector.inbox)))
    assert found == [("role-denials", "medium"), ("session-rotation", "medium"), ("slow-denials", "low")]


def test_a_few_sessions_that_share_many_denials_are_the_roles(detector, user):
    role = user.rpartition("/")[2]
    records = [denial(session(role, f"s-{number}"), 100 * number + at) for number in range(3) for at in range(3)]
    detector.deliver(pack(*records))
    assert rules_of(detector.receive(detector.inbox)) == [("role-denials", "medium")]


def test_people_who_share_a_role_are_no_rotation(detector, user):
    role = f"AWSReservedSSO_{user.rpartition('/')[2]}_0123456789abcdef"
    detector.deliver(pack(*(denial(session(role, f"person-{number}@example.com"), number) for number in range(6))))
    assert detector.alerts() == []


def test_a_burst_and_a_sweep_of_one_user_are_two_alerts(detector, user):
    burst = denials(user, 0, 1, 2, 3)
    sweep = (denial(user, 10 + number, model=f"vendor.model-{number}") for number in range(4))
    detector.deliver(pack(*burst, *sweep))
    assert sorted(rules_of(detector.receive(detector.inbox))) == [("denied-model", "high"), ("model-sweep", "high")]


def test_only_the_rules_that_are_on_look(detector, tuned, user):
    failed = [record(user, at, errorCode="ValidationException", input={}) for at in (0, 10, 20, 30)]
    swept = [denial(user, at, model=f"vendor.model-{at}") for at in range(5)]
    for one in (detector, tuned):
        one.deliver(pack(*failed))
    assert detector.alerts() == []
    assert rules_of(tuned.receive(tuned.inbox)) == [("validation-burst", "high")]
    tuned.deliver(pack(*swept))
    assert tuned.alerts() == []


def test_an_exempt_user_is_exempt_from_every_rule(tuned):
    exempt = f"arn:aws:iam::{ACCOUNT}:user/exempt-from-all"
    failed = [record(exempt, at, errorCode="ValidationException", input={}) for at in (0, 10, 20, 30)]
    tuned.deliver(pack(*failed, *denials(exempt, 0, 1, 2, 3)))
    assert tuned.alerts() == []

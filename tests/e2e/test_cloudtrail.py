"""CloudTrail's log files in, beside invocation logs: the same request counts once."""

import pathlib

import pytest

from recorder import WATCH, counting, spent
from samples import (
    ACCESS_KEY,
    ACCOUNT,
    MODEL,
    SOURCE_IP,
    USER_AGENT,
    bedrock_calls,
    denials,
    eventbridge_event,
    other_calls,
    pack,
    refused,
    s3_event,
    trail,
    trail_key,
)

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
LOG, TRAIL = "aws_bedrock.invocation", "aws.cloudtrail"


def has_evidence(alert):
    """Whether it says where the calls came from; only CloudTrail knows."""
    if "source" not in alert:
        return False
    assert alert["source"]["ip"] == [SOURCE_IP]
    assert alert["user_agent"]["original"] == [USER_AGENT]
    assert alert["access_key_ids"] == [ACCESS_KEY]
    assert len(alert["denied_by"]) == 1
    return True


def among_others(user, records):
    """A CloudTrail file with these denials among everything else that happens in an account."""
    return trail(*other_calls(user), *map(refused, records), *bedrock_calls(user))


def counts_once(both, user, records, first, second):
    """Both sources report the same denials, one after the other: one alert. Returns it."""
    first()
    [alert] = both.alerts()
    second()
    assert both.alerts() == []
    assert alert["rule"]["id"] == "denied-model"
    assert alert["user"]["id"] == user and alert["cloud"]["account"]["id"] == ACCOUNT
    assert alert["gen_ai"]["request"]["model"]["id"] == MODEL
    assert alert["total_denials"] == 4
    assert alert["request_ids"] == [record["requestId"] for record in records]
    return alert


def test_the_log_first_and_cloudtrail_minutes_later_alert_once(both, user):
    records = denials(user, 0, 10, 20, 30)
    log, file = pack(*records), among_others(user, records)
    alert = counts_once(both, user, records, lambda: both.deliver(log), lambda: both.deliver_trail(file))
    assert alert["event"]["dataset"] == [LOG] and not has_evidence(alert)


def test_cloudtrail_first_and_the_log_later_alert_once_with_evidence(both, user):
    records = denials(user, 0, 10, 20, 30)
    log, file = pack(*records), among_others(user, records)
    alert = counts_once(both, user, records, lambda: both.deliver_trail(file), lambda: both.deliver(log))
    assert alert["event"]["dataset"] == [TRAIL] and has_evidence(alert)


def test_three_refusals_stay_three_until_either_source_tells_of_a_fourth(both, user):
    records = denials(user, 0, 10, 20, 30)
    both.deliver(pack(*records[:3]))
    both.deliver_trail(among_others(user, records[:3]), among_others(user, records[1:3]))
    assert both.alerts() == []
    both.deliver_trail(among_others(user, records[3:]))
    [alert] = both.alerts()
    assert alert["total_denials"] == 4 and alert["@timestamp"] == "2025-06-10T09:00:30Z"
    assert alert["event"]["dataset"] == [LOG, TRAIL] and has_evidence(alert)


def test_both_sources_at_once_alert_once(both, user):
    for round in range(5):
        records = denials(f"{user}-{round}", 0, 10, 20, 30)
        with both.deliveries(2):
            both.put_trail(trail(*map(refused, records)))
            both.put(pack(*records))
        [alert] = both.alerts()
        assert alert["user"]["id"] == f"{user}-{round}" and alert["total_denials"] == 4


def test_a_cloudtrail_file_delivered_again_counts_once(both, user):
    records = denials(user, 0, 10, 20, 30)
    file = among_others(user, records[:3])
    [name] = both.deliver_trail(file)
    both.invoke(s3_event(both.trail_bucket, name))
    both.invoke(eventbridge_event(both.trail_bucket, name))
    both.deliver_trail(file)  # under another name
    assert both.alerts() == []
    both.deliver_trail(among_others(user, records[3:]))
    assert [alert["total_denials"] for alert in both.alerts()] == [4]


def test_a_cloudtrail_file_without_refusals_costs_one_get_and_one_read_of_the_watch_list(both, user):
    before = len(both.cloud.recorder.calls)
    [name] = both.deliver_trail(trail(*other_calls(user)))
    [read], others = spent(both.cloud.recorder.calls[before:])
    assert read.resource == f"arn:aws:s3:::{both.trail_bucket}/{name}" and others == [WATCH]


def test_what_looks_like_a_refusal_and_is_none_is_not_counted(both, user):
    both.deliver_trail(*(trail(*bedrock_calls(user), *other_calls(user)) for _ in range(4)))
    assert both.alerts() == []


def test_a_cloudtrail_file_with_a_refusal_is_fetched_once(both, user):
    before = len(both.cloud.recorder.calls)
    both.deliver_trail(among_others(user, denials(user, 0)))
    [_], others = spent(both.cloud.recorder.calls[before:])
    # Six of the enabled rules look at a user that is not a role and calls with a long-term key.
    assert others == counting(keys=6)


@pytest.mark.parametrize("kind", ["CloudTrail-Digest", "CloudTrail-Insight"])
def test_digests_and_insights_are_not_delivered_and_not_read(both, user, kind):
    file, name = trail(*map(refused, denials(user, 0, 1, 2, 3))), trail_key(kind)
    before = len(both.cloud.recorder.calls)
    with both.deliveries(1) as ended:
        both.put_trail(file, name)
        both.put_trail(trail(*other_calls(user)))
    assert both.metrics(ended[0])["denials"] == 0
    # The other file, and the watch list.
    assert len(both.cloud.recorder.calls) == before + 2
    both.invoke(s3_event(both.trail_bucket, name))  # as an operator might
    assert len(both.cloud.recorder.calls) == before + 2
    assert both.alerts() == []


def test_a_file_outside_the_prefix_is_not_delivered(both, user):
    file = trail(*map(refused, denials(user, 0, 1, 2, 3)))
    with both.deliveries(1):
        both.put_trail(file, trail_key().replace("o-example", "o-other"))
        both.put_trail(trail(*other_calls(user)))
    assert both.alerts() == []


def test_models_probed_once_each_are_a_sweep_in_cloudtrail_too(both, user):
    models = [f"vendor.model-{number}" for number in range(5)]
    records = [record | {"modelId": model} for record, model in zip(denials(user, *range(5)), models)]
    both.deliver_trail(among_others(user, records))
    [alert] = both.alerts()
    assert alert["rule"]["id"] == "model-sweep" and alert["user"]["id"] == user
    both.deliver(pack(*records))
    assert both.alerts() == []


@pytest.mark.parametrize(
    "case",
    ["profile-in-the-log-and-model-of-another-region-in-cloudtrail", "profile-arn-in-the-log-and-in-the-refusal"],
)
def test_one_model_under_two_names_alerts_once(both, case):
    """Real records from public reports: each source spells the model differently."""
    files = sorted((GOLDEN / case / "input").rglob("*.json.gz"), key=str)
    log, trail_file = [file.read_bytes() for file in files]
    assert "BedrockModelInvocationLogs" in str(files[0]) and "CloudTrail" in str(files[1])
    both.deliver(log)
    both.deliver_trail(trail_file)
    [alert] = [alert for alert in both.alerts() if alert["rule"]["id"] == "denied-model"]
    assert alert["total_denials"] == 4
    both.notices()

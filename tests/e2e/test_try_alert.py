"""`make test-alert RULE=…`: the example of each rule, from the bucket to the topic."""

import sys
import types

import pytest

from stack import ROOT, Detector

sys.path.insert(0, str(ROOT / "scripts"))
import try_alert  # noqa: E402


@pytest.fixture(scope="module")
def all_rules(cloud):
    return Detector(cloud, "all-rules", NewLogBucketName="all-rules-logs", DetectionRules="all")


@pytest.mark.parametrize("rule", sorted(path.stem for path in (ROOT / "rules").glob("*.toml")))
def test_the_example_of_each_rule_is_reported(all_rules, rule):
    stack = types.SimpleNamespace(outputs=all_rules.outputs, parameters={"LogPrefix": "bedrock"}, region="us-east-1", client=all_rules.cloud.client, output=all_rules.outputs.get)
    with all_rules.deliveries(1):
        _, clean = try_alert.by_example(stack, rule)
    clean()
    assert rule in {alert["rule"]["id"] for alert in all_rules.alerts()}
    # What it looks for in the queue behind the topic.
    assert any(try_alert.ACCOUNT in str(notice) and rule in str(notice) for notice in all_rules.notices())
    assert try_alert.forget(stack) > 0

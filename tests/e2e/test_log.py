"""What a delivery leaves in the function's log."""

import json

from samples import MODEL, alone, denial, denials, pack, record


def test_each_delivery_leaves_its_figures_in_embedded_metric_format(detector, user):
    at = alone(2)
    records = [record(user, at), *denials(user, at + 1, at + 2, at + 3, at + 4)]
    body = pack(*records) + pack({"errorCode": "AccessDeniedException", "timestamp": "soon"})
    with detector.deliveries(1) as ended:
        detector.put(body)
    line = detector.metrics(ended[0])
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "BedrockDenialWatch"
    assert directive["Dimensions"] == [["function"]]
    assert line["function"] == detector.function
    metrics = {"objects": 1, "event_records": 0, "denials": 4, "unread": 1, "alerts": 1, "notices": 1}
    # Fields of the line, which cost nothing more.
    fields = {
        "other_calls": 0,
        "records": 6,
        "malformed": 1,
        "oversized": 0,
        "unrecognised": 0,
        "skipped": 0,
        "exempted": 0,
        "incidents": 1,
        "failures": 0,
        "bytes": len(body),
    }
    assert {name: line[name] for name in metrics | fields} == metrics | fields
    assert len(line["lag"]) == 1
    assert {metric["Name"] for metric in directive["Metrics"]} == {*metrics, "lag"}
    detector.alerts()


def test_no_log_tells_a_user_a_model_or_a_prompt(detector, tuned, user):
    """At any level: `tuned` logs at `trace`."""
    for one in (detector, tuned):
        with one.deliveries(1) as ended:
            one.put(pack(record(user, 0), *(denial(user, at) for at in (1, 2, 3, 4)), {"errorCode": "AccessDeniedException"}))
        one.metrics(ended[0])
        assert [alert["user"]["id"] for alert in one.alerts()] == [user]
        text = "\n".join(one.log())
        assert ended[0].request_id in text
        for secret in (user, user.rpartition("/")[2], MODEL, "confidential"):
            assert secret not in text, secret


def test_a_line_of_the_log_is_json_with_the_request_id(tuned, user):
    with tuned.deliveries(1) as ended:
        tuned.put(pack({"errorCode": "AccessDeniedException"}))
    tuned.metrics(ended[0])
    lines = [json.loads(line) for line in tuned.log(ended[0].request_id) if line.startswith("{")]
    [warning] = [line for line in lines if line.get("level") == "WARN"]
    assert warning["offset"] == 0 and warning["object"].startswith(f"s3://{tuned.bucket}/")

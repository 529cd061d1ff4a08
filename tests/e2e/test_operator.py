"""What an operator does with the deployed stack's bucket and table: look, explain, investigate."""

import json
import os
import subprocess
from datetime import timedelta

import pytest

from samples import MODEL, START, alone, denials, key, pack, record
from stack import ROOT


@pytest.fixture
def run(detector):
    """Runs one of the programs against ministack; returns what it printed."""

    def ran(program, *arguments):
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": detector.cloud.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        command = [ROOT / "target/debug" / program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return ran


def test_a_bucket_is_replayed_and_what_is_counted_is_looked_at(detector, user, run):
    # A bucket that the stack does not watch: logs of the time before it.
    bucket = "logs-of-before"
    detector.s3.create_bucket(Bucket=bucket)
    for second in range(6):
        detector.s3.put_object(Bucket=bucket, Key=key(), Body=pack(*denials(user, alone(70) + second)))
    source = f"s3://{bucket}/"

    [alert] = map(json.loads, run("replay", "--format", "json", "--rules", "denied-model", source).splitlines())
    assert alert["user"]["id"] == user and alert["objects"][0].startswith(source)
    assert alert["investigate"]["replay"].startswith(f"replay {source}")
    assert detector.notices() == [], "looking changes nothing"

    for second in range(6):
        detector.deliver(pack(*denials(user, alone(70) + second)))
    [notice] = detector.notices()
    assert notice["incident"]["caller"] == user
    table = detector.outputs["TableName"]
    at = ["--table", table, "--at", alert["last_seen"]]
    status = json.loads(run("denial-watch", "status", *at, "--format", "json"))
    assert any(key["user"] == user and key["counted"] == 4 for key in status["keys"])
    assert any(one["caller"] == user for one in status["incidents"])
    assert "6 denials" in run("denial-watch", "explain", "--table", table, alert["id"])


def test_they_got_in_is_reported_and_the_command_of_the_message_tells_the_story(detector, user, run):
    began = alone(71)

    def put(body):
        # Folder and name say its hour: what is older is not read.
        hour, name = START + timedelta(seconds=began), key()
        for part in ["%Y/%m/%d/%H", "%Y%m%dT%H"]:
            name = name.replace(START.strftime(part), hour.strftime(part))
        return detector.put(body, name)

    detector.deliver(pack(*denials(user, *range(began, began + 4))), put=put)
    [denied] = detector.notices()
    assert (denied["served"]["calls"], denied["served"]["tokens"]) == (0, 0)

    tokens = {"input": {"inputTokenCount": 900}, "output": {"outputTokenCount": 100}}
    detector.deliver(pack(*(record(user, began + 60 + second, **tokens) for second in range(3))), put=put)
    [served] = detector.notices()
    assert served["rule"]["id"] == "served-after-denial" and served["incident"]["id"] == denied["incident"]["id"]
    assert (served["served"]["calls"], served["served"]["tokens"]) == (3, 3000)

    alert = denied["investigate"]["story"].removeprefix("make investigate ALERT=")
    table, logs = detector.outputs["TableName"], f"s3://{detector.bucket}/"
    at = ["--table", table, "--logs", logs, "--format", "json"]
    story = json.loads(run("denial-watch", "investigate", *at, "--alert", alert))
    assert story["outcomes"] == {"served": 3, "denied": 4, "failed": 0, "operations": 0}
    [model] = story["answer"]["models"]
    assert (model["caller"], model["model"], model["calls"], model["tokens"]) == (user, MODEL, 3, 3000)
    assert story["answer"]["kind"] == "served-after-denial"

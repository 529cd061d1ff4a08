"""What an operator does with the deployed stack's bucket and table: look, explain."""

import json
import os
import subprocess

import pytest

from samples import alone, denials, key, pack
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

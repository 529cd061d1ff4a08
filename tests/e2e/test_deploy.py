"""`make deploy` with the real `sam deploy`, on a build that already exists."""

import shutil
import sys
import types
import zipfile

import pytest

from cloud import poll
from stack import ROOT, ZIP

sys.path.insert(0, str(ROOT / "scripts"))
import deploy  # noqa: E402
import verbs  # noqa: E402

SAM = """#!/bin/sh
cd {folder}
test "$1" = build || exec {sam} "$@"
"""


# sam is no part of the small set of packages that `make test` installs.
pytestmark = pytest.mark.exhaustive


@pytest.fixture
def project(cloud, tmp_path, monkeypatch):
    """A folder as `sam build` leaves it, and credentials for ministack."""
    built = tmp_path / ".aws-sam/build"
    with zipfile.ZipFile(ZIP) as archive:
        archive.extractall(built / "Function")
    (built / "template.yaml").write_text((ROOT / "template.yaml").read_text().replace("CodeUri: .", "CodeUri: Function"))
    for name in ["LICENSE", "README.md"]:
        shutil.copy(ROOT / name, built)
    shutil.copy(ROOT / "samconfig.toml", tmp_path)
    sam = tmp_path / "sam"
    sam.write_text(SAM.format(folder=tmp_path, sam=ROOT / ".venv-build/bin/sam"))
    sam.chmod(0o755)
    for name, value in {
        "AWS_ENDPOINT_URL": cloud.url, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "SAM_CLI_TELEMETRY": "0", "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    saved = []
    monkeypatch.setattr(verbs, "save_region", saved.append)
    yield types.SimpleNamespace(sam=str(sam), saved=saved)
    # Its queues refuse requests without TLS, so what tidies up behind each test could not empty them.
    stacks = cloud.client("cloudformation")
    stacks.delete_stack(StackName="by-sam")
    poll("by-sam is gone", lambda: not [one for one in stacks.list_stacks()["StackSummaries"] if one["StackName"] == "by-sam" and one["StackStatus"] != "DELETE_COMPLETE"])


def test_deploy_asks_deploys_and_offers_the_answers_the_next_time(cloud, project, monkeypatch, capfd):
    asked = []

    def answering(*answers):
        given = iter(answers)
        monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or next(given))
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(isatty=lambda: bool(answers)))

    # The stand-in knows no alarm on a sum.
    arguments = types.SimpleNamespace(stack="by-sam", region=None, arch="x86_64", sam=project.sam, yes=False, changes=["Alarms=no"])

    def stack():
        return cloud.client("cloudformation").describe_stacks(StackName="by-sam")["Stacks"][0]

    answering("", "", "a@example.com", "denied-model.threshold=5", "", "", "")
    assert deploy.deploy(arguments) == 0, capfd.readouterr()
    assert len(asked) == 7 and project.saved == ["us-east-1"]
    first = verbs.parameters_of(stack())
    assert (first["AlertEmail"], first["Architecture"], first["RuleSettings"]) == ("a@example.com", "x86_64", "denied-model.threshold=5")
    assert stack()["EnableTerminationProtection"] is True
    assert "confirm the mail that AWS sends to a@example.com" in capfd.readouterr().out

    del asked[:]
    answering("", "", "-", "", "", "", "")
    assert deploy.deploy(arguments) == 0
    assert "[a@example.com]" in asked[2]
    assert verbs.parameters_of(stack()) == first | {"AlertEmail": ""}, "nothing else has changed"

    # In a pipeline: no terminal, named answers, a permissions boundary.
    answering()
    boundary = "arn:aws:iam::000000000000:policy/boundary"
    arguments.changes += [f"PermissionsBoundaryArn={boundary}", "LogBucketName=none"]
    assert deploy.deploy(arguments) == 0
    assert verbs.parameters_of(stack()) == first | {"AlertEmail": "", "PermissionsBoundaryArn": boundary, "LogBucketName": "none"}

    # The bucket that Bedrock may still log to stays read, until someone says that it need not be.
    arguments.yes = True
    with pytest.raises(verbs.Failure, match="by-sam-old add to this stack's role: delete them first"):
        deploy.delete(arguments)
    cloud.client("cloudformation").delete_stack(StackName="by-sam-old")
    poll("by-sam-old is gone", lambda: verbs.describe(verbs.session("us-east-1"), "by-sam-old") is None)
    assert deploy.delete(arguments) == 0
    assert "✓ deleted" in capfd.readouterr().out

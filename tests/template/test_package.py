"""dist/: the same stack as from source, for those who do not build."""

import json
import pathlib
import re
import subprocess
import sys
import tomllib
import zipfile

import pytest

import stack

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import package  # noqa: E402


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A folder as `make package` writes it, with a zip that says so."""
    folder = tmp_path_factory.mktemp("dist")
    zipped = folder.parent / "bootstrap.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("bootstrap", "a function")
    command = [sys.executable, ROOT / "scripts/package.py", "--out", folder, "--zip", f"x86_64={zipped}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture
def templates(dist):
    """The source after the transform, and the packaged template."""
    return package.transformed(ROOT / "template.yaml"), json.loads((dist / "template.json").read_text())


def without_texts(value, conditions):
    """A stack's resources, with conditions and embedded JSON compared by meaning."""
    if isinstance(value, list):
        return [without_texts(one, conditions) for one in value]
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return json.loads(value)
    if not isinstance(value, dict):
        return value
    value = {name: without_texts(one, conditions) for name, one in value.items() if name != "Sid"}
    if isinstance(value.get("Condition"), str):
        value["Condition"] = meaning(value["Condition"], conditions)
    if "Fn::If" in value:
        value["Fn::If"][0] = meaning(value["Fn::If"][0], conditions)
    return value


def meaning(name, conditions):
    return json.dumps(without_texts(conditions[name], conditions), sort_keys=True)


def test_the_packaged_template_is_small_and_needs_no_transform(dist):
    for name in ["template.json", "template-without-chat.json", "template-for-stacksets.json"]:
        text = (dist / name).read_bytes()
        assert len(text) < 51_200, name  # more must be uploaded first
        assert "Transform" not in json.loads(text) and b"AWS::Serverless::" not in text


def test_the_zip_depends_on_nothing_but_the_function(tmp_path):
    """The zip does not depend on the time of the build, and Lambda may run its content."""
    packed = []
    for year in [2024, 2025]:
        built, out = tmp_path / "built.zip", tmp_path / f"{year}.zip"
        with zipfile.ZipFile(built, "w") as archive:
            archive.writestr(zipfile.ZipInfo("bootstrap", date_time=(year, 6, 1, 10, 0, 0)), "a function")
        package.repack(built, out)
        packed.append(out.read_bytes())
    assert packed[0] == packed[1]
    [entry] = zipfile.ZipFile(out).infolist()
    assert entry.filename == "bootstrap" and entry.external_attr >> 16 == 0o755


def test_it_makes_the_same_resources_as_the_source(templates):
    source, packaged = templates
    assert packaged["Resources"]["Function"]["Properties"]["Code"] == {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": {"Ref": "CodeKey"}}
    packaged["Resources"]["Function"]["Properties"]["Code"] = source["Resources"]["Function"]["Properties"]["Code"]
    for section in ["Resources", "Outputs", "Rules"]:
        for one in source[section].values():
            one.pop("Metadata", None)
            if section == "Outputs":
                one.pop("Description")
            elif isinstance(one.get("Properties", {}).get("Description"), str):
                del one["Properties"]["Description"]
        left, right = (without_texts(one[section], one["Conditions"]) for one in (source, packaged))
        assert left.keys() == right.keys()
        assert [name for name in left if left[name] != right[name]] == [], section


def test_it_asks_the_same_and_where_the_code_is(templates):
    source, packaged = templates
    assert set(packaged["Parameters"]) - set(source["Parameters"]) == {"CodeBucket", "CodeKey"}
    for name, parameter in source["Parameters"].items():
        assert parameter["Description"].startswith(packaged["Parameters"][name]["Description"])
        for one in (parameter, packaged["Parameters"][name]):
            one.pop("Description")
        assert packaged["Parameters"][name] == parameter


def test_every_statement_of_a_topic_or_queue_has_an_id_of_its_own(templates):
    """SNS refuses a policy with statements that have none."""
    for template in templates:
        policies = [one for one in template["Resources"].values() if one["Type"] in ("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy")]
        assert len(policies) >= 4
        for policy in policies:
            statements = policy["Properties"]["PolicyDocument"]["Statement"]
            ids = [(one.get("Fn::If") or [None, one])[1]["Sid"] for one in statements]
            assert len(set(ids)) == len(ids)


def test_a_stackset_names_its_stacks_itself(dist, templates):
    text = (dist / "template-for-stacksets.json").read_text()
    assert "AWS::StackName" not in text
    template = json.loads(text)
    assert template["Parameters"].pop("Name")["Default"] == "bedrock-denial-watch"
    template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"][0]["Parameters"].remove("Name")
    names = json.dumps(template).replace("${Name}", "${AWS::StackName}").replace('{"Ref": "Name"}', '{"Ref": "AWS::StackName"}')
    assert json.loads(names) == templates[1]


def test_it_comes_up_like_the_source(here, aws, new_bucket):
    """The same resources, by name and type, and the same outputs."""
    outputs = stack.PackagedDetector(here, "from-dist", NewLogBucketName="from-dist-logs", SilenceHours="24").outputs
    assert set(outputs) == set(new_bucket)

    def resources(name):
        found = aws("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
        return {one["LogicalResourceId"]: one["ResourceType"] for one in found}

    # The other one has an e-mail subscription, too.
    expected = resources(new_bucket["FunctionName"])
    del expected["EmailSubscription"]
    assert resources("from-dist") == expected


def test_without_chat_only_chat_is_missing(dist):
    whole, left = (json.loads((dist / name).read_text()) for name in ["template.json", "template-without-chat.json"])
    assert set(whole["Resources"]) - set(left["Resources"]) == {"SlackChannel", "TeamsChannel", "ChatRole"}
    assert whole["Parameters"] == left["Parameters"], "one set of answers for all partitions"
    assert "AWS::Chatbot" not in json.dumps(left)


def test_every_file_has_its_checksum(dist):
    lines = (dist / "SHA256SUMS").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["bedrock-denial-watch-x86_64.zip", "template-for-stacksets.json", "template-without-chat.json", "template.json"]
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=dist).returncode == 0


def test_the_serverless_repository_gets_the_version_of_the_code():
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    application = stack.template()["Metadata"]["AWS::ServerlessRepo::Application"]
    assert (application["Name"], application["SemanticVersion"], application["SpdxLicenseId"]) == (
        cargo["name"], cargo["version"], cargo["license"],
    )  # fmt: skip
    for name in ["LicenseUrl", "ReadmeUrl"]:
        assert (ROOT / application[name]).exists()


@pytest.mark.parametrize("example", ["terraform/main.tf", "cdk/app.py"])
def test_examples_name_parameters_that_exist(templates, example):
    text = (ROOT / "examples" / example).read_text()
    named = set(re.findall(r"""^ +"?([A-Z][A-Za-z]+)"?\s*[=:] """, text, re.MULTILINE))
    assert {"CodeBucket", "CodeKey", "Architecture", "AlertEmail"} == named <= set(templates[1]["Parameters"])

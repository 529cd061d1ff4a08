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


def test_the_packaged_template_fits_and_needs_no_transform(dist):
    for name in ["template.json", "template-for-stacksets.json"]:
        text = (dist / name).read_bytes()
        assert len(text) < 1_000_000, name  # what CloudFormation takes from S3
        assert "Transform" not in json.loads(text) and b"AWS::Serverless::" not in text


def test_it_can_be_read(dist):
    """A security team reads what is deployed: lines, names, statements' ids and descriptions as in the source."""
    text = (dist / "template.json").read_text()
    assert max(map(len, text.splitlines())) < 1000 and text.count("\n") > 1000
    source = (ROOT / "template.yaml").read_text()
    for word in [*re.findall(r"Sid: (\w+)", source), *re.findall(r"(?m)^  (\w+): !(?:Equals|Not|Or|And) ", source), "Denied everything."]:
        assert word in text, word


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


def test_it_is_the_source_and_asks_where_the_code_is(templates):
    source, packaged = templates
    assert packaged["Resources"]["Function"]["Properties"].pop("Code") == {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": {"Ref": "CodeKey"}}
    source["Resources"]["Function"]["Properties"].pop("Code")
    source, packaged = (json.loads(json.dumps(one)) for one in (source, packaged))
    assert set(packaged["Parameters"]) - set(source["Parameters"]) == {"CodeBucket", "CodeKey"}
    for name in ["CodeBucket", "CodeKey"]:
        del packaged["Parameters"][name]
    for section in ["Parameters", "Rules", "Conditions", "Resources", "Outputs"]:
        assert packaged[section] == source[section], section


def test_every_statement_of_a_topic_or_queue_has_an_id_of_its_own(templates):
    """SNS refuses a policy with statements that have none."""
    for template in templates:
        policies = [one for one in template["Resources"].values() if one["Type"] in ("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy")]
        assert len(policies) >= 4
        for policy in policies:
            statements = policy["Properties"]["PolicyDocument"]["Statement"]
            ids = [(one.get("Fn::If") or [None, one])[1]["Sid"] for one in statements]
            assert len(set(ids)) == len(ids)


def test_a_stackset_names_its_stacks_and_finds_its_code_by_region(dist, templates):
    text = (dist / "template-for-stacksets.json").read_text()
    assert "AWS::StackName" not in text
    variant, whole = json.loads(text), json.loads(json.dumps(templates[1]))
    assert variant["Parameters"]["Name"]["Default"] == "bedrock-denial-watch"
    code = variant["Resources"]["Function"]["Properties"]["Code"]
    assert code["S3Bucket"] == {"Fn::Sub": "${CodeBucketPrefix}-${AWS::Region}"}
    assert set(variant["Parameters"]) - set(whole["Parameters"]) == {"Name", "CodeBucketPrefix"}
    # A bucket that is kept would block a stack that is created again in the same account.
    assert set(whole["Resources"]) - set(variant["Resources"]) == {"LogBucket", "BucketPolicy", "BucketPermission"}
    assert "AWS::S3::Bucket" not in text and variant["Parameters"]["LogBucketName"]["Default"] == "none"
    untouched = set(variant["Resources"]) - {"Function", "FunctionRole", "LoggingTamperRule"}
    names = json.dumps(variant).replace("${Name}", "${AWS::StackName}").replace('{"Ref": "Name"}', '{"Ref": "AWS::StackName"}')
    for name in untouched:
        assert json.loads(names)["Resources"][name] == whole["Resources"][name], name


def test_the_variant_for_stacksets_comes_up(here, aws, dist):
    template = stack.for_ministack(json.loads((dist / "template-for-stacksets.json").read_text()))
    # The code bucket of this region.
    aws("s3").create_bucket(Bucket="code-us-east-1")
    aws("s3").put_object(Bucket="code-us-east-1", Key="zip", Body=stack.ZIP.read_bytes())
    aws("s3").put_object(Bucket="code-us-east-1", Key="template", Body=json.dumps(template))
    parameters = {"Name": "in-a-member", "CodeBucketPrefix": "code", "CodeKey": "zip", "Architecture": "x86_64"}
    outputs = stack.create(here, "StackSet-of-many-1", parameters, TemplateURL=f"{here.url}/code-us-east-1/template")
    assert outputs["FunctionName"] == "in-a-member" and "LogBucketName" not in outputs


def test_it_comes_up_like_the_source(here, aws, new_bucket):
    """The same resources, by name and type, and the same outputs."""
    outputs = stack.PackagedDetector(here, "from-dist", NewLogBucketName="from-dist-logs").outputs
    assert set(outputs) == set(new_bucket)

    def resources(name):
        found = aws("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
        return {one["LogicalResourceId"]: one["ResourceType"] for one in found}

    # The other one has an email subscription, too.
    expected = resources(new_bucket["FunctionName"])
    del expected["EmailSubscription"]
    assert resources("from-dist") == expected


def test_every_file_has_its_checksum(dist):
    lines = (dist / "SHA256SUMS").read_text().splitlines()
    names = [line.split()[1] for line in lines]
    add_ons = sorted(f"deploy/{path.name}" for path in (ROOT / "deploy").iterdir())
    assert names == ["bedrock-denial-watch-x86_64.zip", *add_ons, "template-for-stacksets.json", "template.json"]
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

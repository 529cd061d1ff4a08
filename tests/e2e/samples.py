"""Small log objects, in the shapes that Bedrock and CloudTrail write."""

import gzip
import hashlib
import itertools
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote_plus

EVENTS = Path(__file__).resolve().parents[2] / "events"
LOGS = EVENTS / "logs"
BUCKET = "example-bedrock-logs"  # that the events name
ACCOUNT, REGION = "111122223333", "us-east-1"
MODEL = "anthropic.claude-3-opus-20240229-v1:0"
START = datetime(2025, 6, 10, 9, tzinfo=timezone.utc)

_serial = itertools.count()


def record(user, seconds, model=MODEL, **fields):
    """A successful call, so many seconds after `START`."""
    number = next(_serial)
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "accountId": ACCOUNT,
        "identity": {"arn": user},
        "region": REGION,
        "requestId": f"00000000-0000-4000-8000-{number:012d}",
        "operation": "Converse",
        "modelId": model,
        "input": {"inputBodyJson": {"messages": [{"role": "user", "content": [{"text": "confidential"}]}]}},
        "output": {},
    } | fields


def denial(user, seconds, **fields):
    """A denied call."""
    return record(user, seconds, errorCode="AccessDeniedException", input={}, **fields)


def alone(number):
    """An hour of its own, in seconds after `START`: ten incidents of an account within an hour are reported
    one by one, and no more."""
    return 1_000_000 + number * 10_000


def denials(user, *seconds):
    return [denial(user, at) for at in seconds]


def pack(*records):
    """One gzip member of JSON lines."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    return gzip.compress(lines.encode(), mtime=0)


def key(folder=""):
    """A new name, as Bedrock gives them."""
    number = next(_serial)
    stamp = (START + timedelta(seconds=number)).strftime("%Y%m%dT%H%M%S000Z")
    unique = hashlib.sha256(str(number).encode()).hexdigest()[:16]
    return f"AWSLogs/{ACCOUNT}/BedrockModelInvocationLogs/{REGION}/2025/06/10/09/{folder}{stamp}_{unique}.json.gz"


# --- CloudTrail ---

TRAIL_PREFIX = "AWSLogs/o-example"  # as an organisation's trail has it
SOURCE_IP, USER_AGENT = "203.0.113.7", "Boto3/1.40.1 md/Botocore#1.40.1 ua/2.1 os/linux lang/python#3.12"
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"


def call(service, name, seconds, identity, **fields):
    """CloudTrail's record of a call that succeeded, that many seconds after `START`."""
    number = next(_serial)
    return {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "sourceIPAddress": SOURCE_IP,
        "userAgent": USER_AGENT,
        "requestParameters": None,
        "responseElements": None,
        "requestID": f"11111111-0000-4000-8000-{number:012d}",
        "eventID": f"22222222-0000-4000-8000-{number:012d}",
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
        "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"},
    } | fields


def identity(user):
    """`userIdentity` of an IAM user or of an assumed role."""
    account, path = user.split(":")[4:6]
    kind, _, name = path.partition("/")
    common = {"arn": user, "accountId": account}
    if kind == "user":
        return {"type": "IAMUser", "principalId": "AIDAEXAMPLE", "accessKeyId": ACCESS_KEY, "userName": name} | common
    role, _, session = name.partition("/")
    issuer = {
        "type": "Role",
        "principalId": "AROAEXAMPLE",
        "arn": f"arn:aws:iam::{account}:role/{role}",
        "accountId": account,
        "userName": role,
    }
    context = {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": "false"}}
    keys = {"principalId": f"AROAEXAMPLE:{session}", "accessKeyId": "ASIAIOSFODNN7EXAMPLE"}
    return {"type": "AssumedRole", "sessionContext": context} | keys | common


def refused(denial):
    """CloudTrail's record of the denied call that `denial` writes to the invocation log.
    IAM refuses before the parameters are looked at: then only the message names the model."""
    user, model = denial["identity"]["arn"], denial["modelId"]
    seconds = (datetime.fromisoformat(denial["timestamp"]) - START).total_seconds()
    named = int(denial["requestId"][-1]) % 2
    return call(
        "bedrock",
        denial["operation"],
        seconds,
        identity(user),
        recipientAccountId=denial["accountId"],
        awsRegion=denial["region"],
        requestID=denial["requestId"],
        requestParameters={"modelId": model} if named else None,
        errorCode="AccessDenied",
        errorMessage=f"User: {user} is not authorized to perform: bedrock:InvokeModel on resource: "
        f"arn:aws:bedrock:{denial['region']}::foundation-model/{model} "
        "because no identity-based policy allows the bedrock:InvokeModel action",
    )


def other_calls(user):
    """What fills CloudTrail's files: other services, whose denials must not count."""
    someone, service = identity(user), {"type": "AWSService", "invokedBy": "config.amazonaws.com"}
    denied = {"errorCode": "AccessDenied", "errorMessage": f"User: {user} is not authorized to perform: s3:ListAllMyBuckets"}
    return [
        call("ec2", "DescribeInstances", 0, someone, requestParameters={"instancesSet": {}}),
        call("sts", "AssumeRole", 1, service, requestParameters={"roleArn": f"arn:aws:iam::{ACCOUNT}:role/config"}),
        call("s3", "ListBuckets", 2, someone, **denied),
        call("kms", "Decrypt", 3, {"type": "AWSService", "invokedBy": "bedrock.amazonaws.com"}),
    ]


def bedrock_calls(user, model=MODEL):
    """Bedrock calls that look like a denied model call but are not one."""
    someone = identity(user)
    denied = {"errorCode": "AccessDenied", "errorMessage": f"User: {user} is not authorized to perform: bedrock:InvokeModel"}
    pattern = json.dumps({"detail": {"eventSource": ["bedrock.amazonaws.com"], "eventName": ["InvokeModel"]} | denied})
    return [
        call("bedrock", "InvokeModel", 4, someone, requestParameters={"modelId": model}),
        call("bedrock", "Converse", 5, someone, requestParameters={"modelId": model}, errorCode="ThrottlingException"),
        call("bedrock", "ListFoundationModels", 6, someone, **denied),
        call("events", "PutRule", 7, someone, requestParameters={"name": "rule", "eventPattern": pattern}),
        call("lambda", "Invoke", 8, someone, requestParameters=denied | {"eventSource": "bedrock.amazonaws.com"}),
    ]


def trail(*records):
    """A CloudTrail log file: one JSON object on one line."""
    return gzip.compress(json.dumps({"Records": records}, separators=(",", ":")).encode(), mtime=0)


def trail_key(kind="CloudTrail"):
    """A new name, as CloudTrail gives them; `kind` CloudTrail-Digest for a file of hashes."""
    number = next(_serial)
    stamp = (START + timedelta(minutes=number)).strftime("%Y%m%dT%H%MZ")
    unique = hashlib.sha256(str(number).encode()).hexdigest()[:16]
    name = f"{ACCOUNT}_{kind}_{REGION}_{stamp}_{unique}.json.gz"
    return f"{TRAIL_PREFIX}/{ACCOUNT}/{kind}/{REGION}/2025/06/10/{name}"


# --- the samples, and what is expected of them ---


def delivered(path):
    """Sorts by the time stamp in the name, as `replay` does: Bedrock's begins with milliseconds,
    CloudTrail's has the minute, which sorts behind them; what has none comes last."""
    stamp = re.match(r"(?:\d+_CloudTrail_[^_]+_)?(\d{8}T(?:\d{9}|\d{4})Z)_", path.name)
    return (stamp is None, stamp and stamp[1], path)


def example_logs():
    """The objects of events/logs as (key, bytes), in the order of delivery."""
    paths = sorted((path for path in LOGS.rglob("*") if path.is_file()), key=delivered)
    return [(path.relative_to(LOGS).as_posix(), path.read_bytes()) for path in paths]


def expected_alerts():
    """The alerts they must raise, from events/expected.jsonl."""
    return [json.loads(line) for line in (EVENTS / "expected.jsonl").read_text().splitlines()]


def s3_event(bucket, key, version=None):
    """S3's notification of an object, as far as the function reads it."""
    entity = {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/"), "versionId": version}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": entity}]}


def eventbridge_event(bucket, key, version=None):
    """The same, through EventBridge."""
    detail = {"bucket": {"name": bucket}, "object": {"key": key, "version-id": version}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}

"""Small log objects, in the shape that Bedrock writes."""

import gzip
import hashlib
import itertools
import json
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
    """A refused call."""
    return record(user, seconds, errorCode="AccessDeniedException", input={}, **fields)


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


def example_logs():
    """The objects of events/logs as (key, bytes), in the order of delivery."""
    paths = [path for path in LOGS.rglob("*") if path.is_file()]
    paths.sort(key=lambda path: path.name)  # a name begins with its time stamp
    return [(path.relative_to(LOGS).as_posix(), path.read_bytes()) for path in paths]


def expected_alerts():
    """What they must give, from events/expected.jsonl."""
    return [json.loads(line) for line in (EVENTS / "expected.jsonl").read_text().splitlines()]


def s3_event(bucket, key, version=None):
    """What S3 would say of an object, as far as anybody looks at it."""
    entity = {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/"), "versionId": version}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": entity}]}


def eventbridge_event(bucket, key, version=None):
    """The same, through EventBridge."""
    detail = {"bucket": {"name": bucket}, "object": {"key": key, "version-id": version}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}

"""One recorded event through the real binary: `invoke.py EVENT.json`, or `make invoke EVENT=…`.

The binary runs under cargo-lambda's emulator of Lambda, with the environment that template.yaml
gives it. Behind it is ministack, whose bucket `example-bedrock-logs` holds events/logs. Shown
are the function's log as it comes, its answer and the alerts. Exit 0 when the delivery succeeded,
1 when it failed, or a message (SQS) or task (S3 Batch Operations) of it did, 2 for an event that
cannot be read.
"""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from cloud import REGION, child, cloud, end_on_signals, free_port, poll
from samples import BUCKET, example_logs
from stack import ROOT, ZIP, Detector, upload_code

# The emulator gives a deadline of 1970; everything else is as Lambda would have it.
LAMBDA = {
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": REGION,
}


def main(event):
    end_on_signals()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="invoke-")))
        detector = deploy(stack.enter_context(cloud()))
        print("--- log", flush=True)
        answer = deliver(detector, event, folder)
        print("--- answer")
        print(answer.stdout.strip() or answer.stderr.strip())
        alerts = detector.alerts()
        print(f"--- alerts: {len(alerts)}")
        for alert in alerts:
            print(json.dumps(alert, indent=2, ensure_ascii=False))
        if answer.returncode:
            return 1
        return 1 if failed(json.loads(answer.stdout) or {}) else 0


def failed(answer):
    """Whether a message or a task in the answer failed."""
    return bool(answer.get("batchItemFailures")) or any(
        result["resultCode"] != "Succeeded" for result in answer.get("results", []))


def deploy(cloud):
    """The template on a bucket that is there already and holds the sample logs."""
    upload_code(cloud)
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key, body in example_logs():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    return Detector(cloud, "bedrock-denial-watch", LogBucketName=BUCKET)


def deliver(detector, event, folder):
    """Runs emulator and binary for one event; returns what `cargo lambda invoke` came to."""
    zipfile.ZipFile(ZIP).extract("bootstrap", folder)
    bootstrap = folder / "bootstrap"
    bootstrap.chmod(0o755)
    port = free_port()
    environment = LAMBDA | detector.configuration["Environment"]["Variables"]
    environment |= {
        "AWS_LAMBDA_RUNTIME_API": f"http://127.0.0.1:{port}/.rt/bootstrap",
        "AWS_LAMBDA_FUNCTION_NAME": detector.function,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(detector.configuration["MemorySize"]),
        "AWS_ENDPOINT_URL": detector.cloud.url,
    }
    address = ["-A", "127.0.0.1", "-P", str(port)]
    tool = [str(ROOT / ".venv-build/bin/cargo-lambda"), "lambda"]
    watch = [*tool, "watch", "--only-lambda-apis", *address]
    invoke = [*tool, "invoke", *address, "bootstrap", "--data-file", str(event)]
    with (folder / "watch.log").open("w") as log:
        with child(watch, "cargo lambda watch", log, cwd=ROOT):
            poll("the emulator listens", lambda: listens(port))
            with child([bootstrap], "bootstrap", None, env=environment):
                return subprocess.run(invoke, cwd=ROOT, capture_output=True, text=True, timeout=120)


def listens(port):
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.splitlines()[0])
    path = Path(sys.argv[1]).resolve()
    try:
        json.loads(path.read_text())
    except (OSError, ValueError) as error:
        print(f"{path}: {error}. Expected one of events/*.json, as EVENT=events/s3-put.json", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(path))

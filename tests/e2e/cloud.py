"""AWS on this machine: ministack on 127.0.0.1, stopped in any case."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

from recorder import Recorder

REGION = "us-east-1"


def poll(what, look, seconds=30):
    """Looks until it sees something; there is no other waiting in these tests."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.03)


def free_port():
    """Below the range from which the kernel lends ports to clients."""
    for port in range(20000 + os.getpid() % 5000, 32000):
        with socket.socket() as trial:
            with contextlib.suppress(OSError):
                trial.bind(("127.0.0.1", port))
                return port
    raise OSError("no free port")


def end_on_signals():
    """SIGTERM and SIGHUP end the program like Ctrl-C, so that what it started is stopped."""

    def end(number, _frame):
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


@contextlib.contextmanager
def child(command, name, log, **options):
    """A process in a session of its own, stopped with its children at the end."""
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **options)
    try:
        yield process
    finally:
        for stop in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, stop)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
                break
        else:
            print(f"{name} (process {process.pid}) did not stop", file=sys.stderr)


class Cloud:
    """Where the services answer, and clients for them."""

    def __init__(self, url, recorder, log):
        self.url, self.recorder, self.log = url, recorder, log
        self._clients = {}

    def client(self, service):
        """Every service takes the key `test` for the account's root user."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(retries={"max_attempts": 1}, max_pool_connections=50),
            )
        return self._clients[service]


@contextlib.contextmanager
def cloud(at_once=None):
    """Starts ministack, in which `at_once` deliveries may run, or any number. What functions ask of AWS passes through
    a `Recorder`."""
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder, Recorder(free_port()) as recorder:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        recorder.upstream = f"127.0.0.1:{port}"
        # The whole of it, as functions inherit it: nothing of the caller's may reach them.
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "TMPDIR": folder,
            "STATE_DIR": f"{folder}/state",
            "S3_DATA_DIR": f"{folder}/s3",
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": recorder.url,  # what functions are given
            "AUTH": "true",  # the function may do what its role allows, and no more
            "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.05",  # a minute on AWS
            "IOT_MTLS_ENABLED": "0",  # both open ports of their own
            "SFTP_ENABLED": "0",
        }
        path = Path(folder) / "ministack.log"
        command = [Path(sys.executable).with_name("ministack")]
        if at_once:
            command = [sys.executable, Path(__file__).with_name("few_at_once.py"), str(at_once)]
        with path.open("w") as log, child(command, "ministack", log, env=environment, cwd=folder) as process:

            def ready():
                if process.poll() is not None:
                    raise RuntimeError(f"ministack ended: {path.read_text()}")
                with contextlib.suppress(OSError):
                    with urllib.request.urlopen(f"{url}/_ministack/ready", timeout=1) as response:
                        return response.status == 200

            poll("ministack is ready", ready)
            yield Cloud(url, recorder, path)

#!/usr/bin/env python3
"""From exec to the first request for work: `cold_start.py BOOTSTRAP`, or `make bench`.

The real binary, and Python with boto3 and the same three clients. Each asks a small server for work, like Lambda's
runtime API, and is killed as soon as the request is there, so that its processor time is that of the start.
"""

import os
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / "benches/peers/boto3_start.py"
NEXT = b"GET /2018-06-01/runtime/invocation/next "
ROUNDS = 31
BUNDLE = Path(ssl.get_default_verify_paths().openssl_cafile)
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_LAMBDA_FUNCTION_NAME": "bedrock-denial-watch",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "TABLE_NAME": "denials",
    "TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:alerts",
}


def listener():
    """On a port below the range from which the kernel lends ports to clients."""
    for port in range(21000 + os.getpid() % 5000, 32000):
        server = socket.socket()
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            server.close()
            continue
        server.listen()
        server.settimeout(60)
        return server
    raise OSError("no free port")


class Start:
    """One start: wall and processor time in ms, peak memory in MB."""

    def __init__(self, command, server, **environment):
        host, port = server.getsockname()
        environment |= ENVIRONMENT | {"AWS_LAMBDA_RUNTIME_API": f"{host}:{port}"}
        begun = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        connection = None
        try:
            connection, _ = server.accept()
            request = connection.recv(65536)
            self.wall = (time.monotonic() - begun) * 1e3
            self.megabytes = peak_megabytes(process.pid)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0
            if connection:
                connection.close()
        if not request.startswith(NEXT):
            sys.exit(f"{command[0]} asked for something else: {request[:80]!r}")
        self.cpu = (usage.ru_utime + usage.ru_stime) * 1e3


def peak_megabytes(process):
    """What the kernel reports at the end would include the memory of the one that started it."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


def median(starts, figure):
    return statistics.median(getattr(start, figure) for start in starts)


def main(bootstrap):
    python = ROOT / ".venv/bin/python"
    programs = {"bootstrap": ([str(bootstrap)], {})}
    # Some systems keep each root certificate in its own file beside the bundle, and all are read.
    if BUNDLE.exists():
        programs["bootstrap, root certificates in one file"] = ([str(bootstrap)], {"SSL_CERT_FILE": str(BUNDLE)})
    if subprocess.run([python, "-c", "import boto3"], capture_output=True).returncode == 0:
        # Compiled beforehand, as a layer would have it.
        programs["Python, boto3"] = ([str(python), str(PEER)], {})
    starts = {name: [] for name in programs}
    with listener() as server:
        for _ in range(ROUNDS):
            for name, (command, environment) in programs.items():
                starts[name].append(Start(command, server, **environment))
    own = median(starts["bootstrap"], "cpu")
    print(f"### Cold start, from exec to the first request for work\n\nMedians of {ROUNDS} starts that take turns.\n")
    print("| program | CPU ms | of bootstrap's | wall ms | peak MB |\n|---|---|---|---|---|")
    for name, done in starts.items():
        cpu = median(done, "cpu")
        print(f"| {name} | {cpu:.1f} | {cpu / own:.0f} | {median(done, 'wall'):.1f} | {median(done, 'megabytes'):.0f} |")
    if "Python, boto3" not in programs:
        print("\nPython, boto3: ABSENT")
    print()


def unpacked(package):
    """The binary of the zip that Lambda is given."""
    bootstrap = package.with_name("bootstrap-of-zip")
    bootstrap.write_bytes(zipfile.ZipFile(package).read("bootstrap"))
    bootstrap.chmod(0o755)
    print(f"Zip: {package.stat().st_size / 1e6:.2f} MB, the binary in it {bootstrap.stat().st_size / 1e6:.2f} MB\n")
    return bootstrap


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.splitlines()[0])
    path = Path(sys.argv[1])
    main(unpacked(path) if path.suffix == ".zip" else path)

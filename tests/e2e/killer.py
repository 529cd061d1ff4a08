"""One invocation of the real binary as Lambda makes it, which may be killed at any of its requests to AWS."""

import json
import queue
import threading
import time
import zipfile
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from cloud import REGION, child, free_port
from recorder import ACCOUNT, Recorder
from stack import ZIP

LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "killed",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": REGION,
}


class Killer(Recorder):
    """Kills its client just before its request `number` goes on to AWS, or just after AWS has done it."""

    finishes = True

    def __init__(self, port, upstream, number, after, ended):
        super().__init__(port)
        self.upstream, self.number, self.after, self.ended = upstream, number, after, ended
        self.victim = None
        self.killed = False

    def __enter__(self):
        super().__enter__()
        self.server.handle_error = lambda *_: None  # a killed client ends connections anyhow
        return self

    def arrived(self):
        number = super().arrived()
        return number if self._passes(number, False) else None

    def answered(self, number, call):
        super().answered(number, call)
        return self._passes(number, True)

    def _passes(self, number, after):
        with self._lock:
            if (number, after) == (self.number, self.after):
                self.victim.kill()
                self.victim.wait()
                self.killed = True
                self.ended.put(("killed", None))
            return not self.killed


class Runtime:
    """Lambda's runtime API for one event, which it hands out once `ready`."""

    def __init__(self, port, event, request_id, ended):
        self.address, self.ready, self.over = f"127.0.0.1:{port}", threading.Event(), threading.Event()
        handed_out = threading.Event()
        runtime = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self):
                if handed_out.is_set():
                    runtime.over.wait()  # there is no other event
                    self.close_connection = True
                    return
                handed_out.set()
                runtime.ready.wait()
                self.send_response_only(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", request_id)
                # No time left: its claims hold as briefly as they can.
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000)))
                arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:killed"
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", arn)
                self._end(json.dumps(event).encode())

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response_only(202)
                self._end(b"")
                ended.put((self.path.rpartition("/")[2], body.decode()))

            def _end(self, body):
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


def unpack(folder):
    """The binary out of the zip."""
    zipfile.ZipFile(ZIP).extract("bootstrap", folder)
    bootstrap = folder / "bootstrap"
    bootstrap.chmod(0o755)
    return bootstrap


def invoke(bootstrap, cloud, variables, event, request_id, number=None, after=False):
    """Runs the binary for one event, and kills it at its request `number`, if it makes as many. Returns how it
    ended (`killed`, or `response` or `error` as it reported) and the requests that AWS has done."""
    ended = queue.SimpleQueue()
    upstream = urlsplit(cloud.url).netloc
    with ExitStack() as stack:
        aws = stack.enter_context(Killer(free_port(), upstream, number, after, ended))
        runtime = stack.enter_context(Runtime(free_port(), event, request_id, ended))
        environment = LAMBDA | variables
        environment |= {"AWS_LAMBDA_RUNTIME_API": runtime.address, "AWS_ENDPOINT_URL": aws.url}
        log = stack.enter_context((bootstrap.parent / "log").open("a"))
        aws.victim = stack.enter_context(child([bootstrap], "bootstrap", log, env=environment))
        runtime.ready.set()
        how, answer = ended.get(timeout=60)
    return how, answer, aws.calls

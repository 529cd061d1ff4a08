"""Between the function and AWS: notes each request, and can lose an answer on its way back."""

import http.client
import itertools
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

ACCOUNT = "000000000000"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


READ = {"s3:GetObject", "s3:GetObjectVersion"}  # the latter where the event names a version


# Beside the object, whatever it holds: the watch list.
WATCH = "dynamodb:GetItem"


def counting(keys):
    """The actions by which so many keys are counted, and the watch list is read, in the order of their names."""
    return [WATCH, *(f"dynamodb:{action}" for action in ("GetItem", "Query", "UpdateItem") for _ in range(keys))]


def spent(calls):
    """What an object was read with, and the other actions in the order of their names."""
    reads = [call for call in calls if call.action in READ]
    return reads, sorted(call.action for call in calls if call.action not in READ)


@dataclass(frozen=True)
class Call:
    """One request to AWS, in the words of IAM."""

    action: str
    resource: str
    status: int
    message: str | None = None
    """What a Publish sends: with `MessageStructure: json`, a text for each protocol."""

    @property
    def permissions(self):
        """What IAM asks for: of a transaction, what each of its parts needs."""
        parts = ["dynamodb:PutItem", "dynamodb:ConditionCheckItem"]
        return parts if self.action == "dynamodb:TransactWriteItems" else [self.action]


def published(headers, body):
    """The message of a Publish, or None for any other request."""
    if "x-www-form-urlencoded" not in headers.get("Content-Type", ""):
        return None
    return parse_qs(body.decode()).get("Message", [None])[0]


def understood(method, path, headers, body, region="us-east-1"):
    """Action and resource as IAM names them; an unknown request keeps its own words."""
    target = headers.get("X-Amz-Target", "")
    if target.startswith("DynamoDB_20120810."):
        request = json.loads(body)
        if "TransactItems" in request:
            [table] = {part["TableName"] for one in request["TransactItems"] for part in one.values()}
        else:
            table = request["TableName"]
        arn = table if table.startswith("arn:") else f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/{table}"
        return "dynamodb:" + target.partition(".")[2], arn
    if target == "AWSEvents.PutEvents":
        [bus] = {entry["EventBusName"] for entry in json.loads(body)["Entries"]}
        return "events:PutEvents", bus
    if "x-www-form-urlencoded" in headers.get("Content-Type", ""):
        form = parse_qs(body.decode())
        if "TopicArn" in form:
            return "sns:" + form["Action"][0], form["TopicArn"][0]
    parts = urlsplit(path)
    query = parse_qs(parts.query)
    if method == "GET" and query.get("x-id") == ["GetObject"]:
        action = "s3:GetObjectVersion" if "versionId" in query else "s3:GetObject"
        return action, "arn:aws:s3:::" + unquote(parts.path).lstrip("/")
    return f"{method} {path}", headers.get("Host", "")


class Recorder:
    """A proxy at `port` for the services at `upstream`. `calls` holds what passed, oldest first."""

    finishes = False
    """Its end waits until every client has hung up."""

    def __init__(self, port):
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self.upstream = None
        self.calls = []
        self._numbers = itertools.count(1)
        self._lose = set()
        self._lock = threading.Lock()

    def lose_answer(self, action):
        """AWS will do the next `action`, but the function will never hear of it."""
        with self._lock:
            self._lose.add(action)

    def arrived(self):
        """A request is here; returns its number, or None if it must not go on to AWS."""
        with self._lock:
            return next(self._numbers)

    def answered(self, _number, call):
        """AWS has done it; returns whether its answer may go back."""
        with self._lock:
            self.calls.append(call)
            lost = call.action in self._lose
            self._lose.discard(call.action)
            return not lost

    def __enter__(self):
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one packet, or the next one waits for an ACK

            def relay(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                number = recorder.arrived()
                if number is None:
                    self.close_connection = True
                    return
                upstream = http.client.HTTPConnection(recorder.upstream, timeout=60)
                try:
                    upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():  # Host too: it is signed
                        upstream.putheader(name, value)
                    upstream.endheaders(body)
                    response = upstream.getresponse()
                    content = response.read()
                finally:
                    upstream.close()
                action, resource = understood(self.command, self.path, self.headers, body)
                call = Call(action, resource, response.status, published(self.headers, body))
                if not recorder.answered(number, call):
                    self.close_connection = True
                    return
                self.send_response_only(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in HOP_BY_HOP | {"content-length"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = relay

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = not self.finishes
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

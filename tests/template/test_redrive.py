"""scripts/redrive.py against a behaving queue and function: no message is lost."""

import io
import json
import pathlib
import signal
import sys
import threading
import time

import pytest
from botocore.exceptions import ClientError

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "scripts"))
import redrive  # noqa: E402


TIMEOUT = 300
LEASE = TIMEOUT + redrive.LEASE_MARGIN_SECONDS


class Queue:
    """A received message is invisible until it is given back."""

    def __init__(self, *bodies, age=LEASE):
        self.lock = threading.Lock()
        self.messages = {str(number): body for number, body in enumerate(bodies)}
        self.hidden = {}
        self.later = {}  # body -> seconds until it shows
        self.sent = time.time() - age

    def receive_message(self, AttributeNames, **_):
        with self.lock:
            for id, body in self.messages.items():
                if id not in self.hidden.values():
                    handle = f"handle {id} {len(self.hidden)}"
                    self.hidden[handle] = id
                    message = {"MessageId": id, "ReceiptHandle": handle, "Body": body}
                    assert AttributeNames == ["SentTimestamp"]
                    return {"Messages": [message | {"Attributes": {"SentTimestamp": str(int(self.sent * 1000))}}]}
            return {}

    def delete_message(self, ReceiptHandle, **_):
        with self.lock:
            del self.messages[self.hidden.pop(ReceiptHandle)]

    def change_message_visibility(self, ReceiptHandle, VisibilityTimeout, **_):
        with self.lock:
            if VisibilityTimeout == 0:
                del self.hidden[ReceiptHandle]
            else:
                self.later[self.messages[self.hidden[ReceiptHandle]]] = VisibilityTimeout

    @property
    def visible(self):
        return sorted(body for id, body in self.messages.items() if id not in self.hidden.values())


class Function:
    """Fails for bodies that say so."""

    def __init__(self):
        self.took = []

    def get_function_configuration(self, FunctionName):
        return {"Timeout": TIMEOUT}

    def invoke(self, Payload, InvocationType, **_):
        assert InvocationType == "RequestResponse"
        body = Payload.decode()
        self.took.append(body)
        if body == "refused":
            raise ClientError({"Error": {"Code": "InvalidRequestContentException"}}, "Invoke")
        if body == "throttled" and self.took.count(body) == 1:
            raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")
        if body == "cut off":
            raise ConnectionError("the connection was closed")
        answer = {"Payload": io.BytesIO(b"null")}
        failure = {"bad": "DeliveryFailed", "timed out": "Sandbox.Timedout"}.get(body.rstrip(" 0123456789"))
        if failure:
            answer["FunctionError"] = "Unhandled"
            report = {"errorType": failure, "errorMessage": f"cause of {body}"}
            answer["Payload"] = io.BytesIO(json.dumps(report).encode())
        if body == "crashed":
            answer["FunctionError"] = "Unhandled"
        if body == "batch":
            answer["Payload"] = io.BytesIO(b'{"batchItemFailures":[{"itemIdentifier":"1"}]}')
        return answer


@pytest.mark.parametrize(
    "bodies, taken, left",
    [
        ([], 0, []),
        (["a", "b", "c"], 3, []),
        (["a", "bad 1", "b", "bad 2"], 2, ["bad 1", "bad 2"]),
        (["refused", "a"], 1, ["refused"]),
        (["batch"], 0, ["batch"]),
    ],
)
@pytest.mark.parametrize("workers", [1, 4])
def test_only_what_the_function_took_is_deleted(bodies, taken, left, workers):
    queue, function = Queue(*bodies), Function()
    run = redrive.Redrive(queue, function, "url", "function")
    assert run.run(workers) == (not left)
    assert run.done == taken
    assert sorted(queue.messages.values()) == left
    assert queue.visible == [body for body in left if "bad" not in body], "what holds nothing shows at once"
    assert sorted(function.took) == sorted(bodies)


def test_it_gives_up_when_everything_fails():
    queue, function = Queue(*(f"bad {number}" for number in range(100))), Function()
    run = redrive.Redrive(queue, function, "url", "function")
    assert not run.run(1)
    assert len(function.took) == redrive.MAX_FAILURES_IN_A_ROW
    assert len(queue.messages) == 100
    assert len(queue.visible) == 100 - redrive.MAX_FAILURES_IN_A_ROW
    assert ("cause of bad 0") in [cause for _, cause, _ in run.failed.values()]


def test_a_message_whose_deletion_fails_is_not_lost():
    class Stubborn(Queue):
        def delete_message(self, **_):
            raise RuntimeError("no permission")

    queue = Stubborn("a")
    run = redrive.Redrive(queue, Function(), "url", "function")
    assert not run.run(1)
    assert list(queue.messages.values()) == ["a"]


@pytest.mark.parametrize("body", ["bad", "timed out", "crashed", "cut off"])
def test_a_delivery_that_may_hold_alerts_is_not_fed_back_before_its_lease_ran_out(body):
    queue, function = Queue(body, "a"), Function()
    run = redrive.Redrive(queue, function, "url", "function")
    assert not run.run(1)
    assert function.took == [body, "a"], "a second call would find the alerts held"
    assert list(queue.messages.values()) == [body]
    assert queue.later == {body: LEASE}


def test_a_throttled_call_is_made_again():
    queue, function = Queue("throttled"), Function()
    assert redrive.Redrive(queue, function, "url", "function").run(1)
    assert function.took == ["throttled"] * 2


def test_a_young_message_waits_for_the_lease_of_its_delivery(capsys):
    queue, function = Queue("a", age=LEASE - 0.5), Function()
    assert redrive.Redrive(queue, function, "url", "function").run(1)
    assert time.time() >= queue.sent + LEASE - 0.01
    assert function.took == ["a"] and not queue.messages
    assert queue.later["a"] >= redrive.INVISIBLE_SECONDS, "out of sight while it waits and runs"
    assert "may hold its alerts for 0 s more: waiting" in capsys.readouterr().out


def test_waiting_ends_when_told_to_stop_and_the_message_shows_again():
    queue, function = Queue("a", age=0), Function()
    run = redrive.Redrive(queue, function, "url", "function")
    threading.Timer(0.2, run.stop.set).start()
    assert not run.run(1)
    assert function.took == [] and queue.visible == ["a"]


class Takes:
    """Fails for objects that say so, and keeps what it was called with."""

    def __init__(self):
        self.events = []

    def get_function_configuration(self, FunctionName):
        return {"Timeout": TIMEOUT}

    def invoke(self, Payload, **_):
        event = json.loads(Payload)
        self.events.append(event)
        if "bad" in event["detail"]["object"]["key"]:
            report = {"errorType": "DeliveryFailed", "errorMessage": "corrupt"}
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(report).encode())}
        return {"Payload": io.BytesIO(b"null")}


@pytest.fixture
def lost(aws, request):
    """A bucket of objects that raised no notification."""
    bucket = "lost-" + "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[:50] + "x"
    aws("s3").create_bucket(Bucket=bucket)
    for key in ["bedrock/a b+c.json.gz", "bedrock/bad.json.gz", "bedrock/e.json.gz", "other/f.json.gz"]:
        aws("s3").put_object(Bucket=bucket, Key=key, Body=b"12345")
    return bucket


@pytest.mark.parametrize("workers", [1, 4])
def test_objects_are_fed_as_s3_would_have(aws, lost, workers, capsys):
    function = Takes()
    run = redrive.Objects(aws("s3"), function, lost, "bedrock/", None, "function")
    assert not run.run(workers)
    keys = sorted(event["detail"]["object"]["key"] for event in function.events)
    assert keys == ["bedrock/a b+c.json.gz", "bedrock/bad.json.gz", "bedrock/e.json.gz"], "each once"
    for event in function.events:
        assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
        assert event["detail"]["bucket"] == {"name": lost} and event["detail"]["object"]["size"] == 5
    assert run.done == 2
    run.report()
    told = capsys.readouterr().out
    assert f"s3://{lost}/bedrock/bad.json.gz: corrupt" in told
    assert "run this again: not before " in told


def test_only_objects_since_a_time(aws, lost):
    function = Takes()
    run = redrive.Objects(aws("s3"), function, lost, "", redrive.moment("2999-01-01T00:00Z"), "function")
    assert run.run() and function.events == []


def test_what_cannot_be_listed_is_a_failure(aws):
    run = redrive.Objects(aws("s3"), Takes(), "no-such-bucket", "", None, "function")
    assert not run.run(1)
    assert "NoSuchBucket" in str(run.failed)


class Interrupts:
    """A function that is interrupted, as by Ctrl-C, during its first event."""

    def __init__(self):
        self.taken = []

    def get_function_configuration(self, **_):
        return {"Timeout": TIMEOUT}

    def invoke(self, Payload, **_):
        self.taken.append(Payload)
        signal.raise_signal(signal.SIGINT)
        return {"Payload": io.BytesIO(b"null")}


@pytest.fixture
def interruptible():
    """A shell ignores SIGINT for background jobs, and the tests may be one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_after_an_interrupt_it_says_what_is_left(capsys, interruptible):
    queue = Queue("good 1", "good 2", "good 3")
    queue.get_queue_attributes = lambda **_: {"Attributes": {"ApproximateNumberOfMessages": str(len(queue.visible))}}
    redriven = redrive.Redrive(queue, Interrupts(), "queue", "function")
    assert not redriven.run(workers=1)
    assert redriven.interrupted
    redriven.report()
    left = 3 - redriven.done
    assert f"Interrupted: about {left} messages" in capsys.readouterr().out

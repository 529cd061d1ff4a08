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


class Expiring(Queue):
    """Each message that was received takes a second. What is not deleted shows again when its time out of sight is over,
    before all that have not been received yet; only its newest handle counts."""

    def __init__(self, *bodies):
        super().__init__(*bodies)
        self.clock, self.until, self.newest = 0, {}, {}

    def receive_message(self, VisibilityTimeout, **_):
        with self.lock:
            self.clock += 20
            for id in sorted(self.messages, key=lambda id: (id not in self.until, int(id))):
                if self.until.get(id, 0) <= self.clock:
                    handle = self.newest[id] = f"{id} at {self.clock}"
                    self.until[id] = self.clock + VisibilityTimeout
                    sent = {"SentTimestamp": str(int(self.sent * 1000))}
                    return {"Messages": [{"MessageId": id, "ReceiptHandle": handle, "Body": self.messages[id], "Attributes": sent}]}
            return {}

    def delete_message(self, ReceiptHandle, **_):
        with self.lock:
            id = ReceiptHandle.split()[0]
            if self.newest[id] == ReceiptHandle:  # SQS reports success for an older one, and deletes nothing
                del self.messages[id]

    def change_message_visibility(self, ReceiptHandle, VisibilityTimeout, **_):
        with self.lock:
            id = ReceiptHandle.split()[0]
            assert self.newest[id] == ReceiptHandle
            self.until[id] = self.clock + VisibilityTimeout

    def get_queue_attributes(self, AttributeNames, **_):
        shown = sum(self.until.get(id, 0) <= self.clock for id in self.messages)
        numbers = {"ApproximateNumberOfMessages": shown, "ApproximateNumberOfMessagesNotVisible": len(self.messages) - shown}
        return {"Attributes": {name: str(numbers[name]) for name in AttributeNames}}


@pytest.mark.parametrize("poisoned", [1, 3, 30])
@pytest.mark.parametrize("workers", [1, 4])
def test_every_message_is_tried_once_beside_poisoned_ones(poisoned, workers, capsys):
    good, bad = [f"good {number}" for number in range(400 - poisoned)], [f"bad {number}" for number in range(poisoned)]
    queue, function = Expiring(good[0], *bad, *good[1:]), Function()
    run = redrive.Redrive(queue, function, "url", "function")
    assert not run.run(workers)
    assert sorted(function.took) == sorted(good + bad), "each once"
    assert sorted(queue.messages.values()) == sorted(bad)
    assert (run.done, len(run.failed)) == (len(good), poisoned)
    run.report()
    told = capsys.readouterr().out
    assert "1 x cause of bad 0" in told and "not tried" not in told


def test_what_remains_is_counted_and_named(capsys):
    def failed(key):
        record = {"s3": {"bucket": {"name": "logs"}, "object": {"key": key}}}
        # As Lambda wraps what it gave up, from an event that came through SQS.
        return json.dumps({"requestPayload": {"Records": [{"body": json.dumps({"Records": [record]})}]}})

    class Poisoned(Function):
        def invoke(self, Payload, **_):
            report = json.dumps({"errorMessage": "corrupt\x1b[31m"}).encode()
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(report)}

    queue = Expiring(*(failed(f"a{number}\x1b.json.gz") for number in range(40)))
    run = redrive.Redrive(queue, Poisoned(), "url", "function")
    assert not run.run(1)
    run.report()
    told = capsys.readouterr().out
    assert "It stopped before the end, not every message was tried: about 30 messages" in told
    assert "  10 x corrupt?[31m\n      s3://logs/a0?.json.gz\n" in told
    assert "\x1b" not in told


@pytest.mark.parametrize(
    "body, name",
    [
        ("not JSON", ""),
        ("[" * 100_000, ""),
        ('{"detail":{"requestID":"r1"}}', "request r1"),
        ('{"detail":{"bucket":{"name":"b"},"object":{"key":"k"}}}', "s3://b/k"),
        (json.dumps([{"bucket": {"name": "b"}, "object": {"key": str(key)}} for key in range(5)]), "s3://b/0, s3://b/1, s3://b/2 and 2 more"),
    ],
)
def test_a_message_is_named_by_what_it_is_about(body, name):
    assert redrive.about(body) == name


def test_messages_that_another_redrive_has_are_counted(capsys):
    queue = Expiring("a", "b", "c")
    queue.receive_message(VisibilityTimeout=10_000)
    run = redrive.Redrive(queue, Function(), "url", "function")
    assert not run.run(1), "not every message was tried"
    assert run.done == 2
    run.report()
    assert "About 1 more messages were out of sight when this began, and not tried" in capsys.readouterr().out


def test_a_message_that_comes_back_after_it_was_taken_is_deleted_and_not_fed_again():
    class Forgetful(Expiring):
        """Loses the first deletion."""

        lost = False

        def delete_message(self, **given):
            if not self.lost:
                self.lost = True
                raise RuntimeError("try again")
            super().delete_message(**given)

    queue, function = Forgetful(*(f"good {number}" for number in range(100))), Function()
    run = redrive.Redrive(queue, function, "url", "function")
    assert run.run(1)
    assert len(function.took) == 100 and run.done == 100 and not queue.messages


def test_a_queue_that_hides_nothing_ends():
    class Shameless(Expiring):
        def receive_message(self, **_):
            return super().receive_message(VisibilityTimeout=0)

    run = redrive.Redrive(Shameless("bad", "good"), Function(), "url", "function")
    assert not run.run(1)


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

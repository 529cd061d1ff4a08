"""scripts/redrive.py against a queue and a function that behave: no message is lost."""

import io
import json
import pathlib
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "scripts"))
import redrive  # noqa: E402


class Queue:
    """Messages are out of sight after they are received, until they are given back."""

    def __init__(self, *bodies):
        self.lock = threading.Lock()
        self.messages = {str(number): body for number, body in enumerate(bodies)}
        self.hidden = {}

    def receive_message(self, **_):
        with self.lock:
            for id, body in self.messages.items():
                if id not in self.hidden.values():
                    handle = f"handle {id} {len(self.hidden)}"
                    self.hidden[handle] = id
                    return {"Messages": [{"MessageId": id, "ReceiptHandle": handle, "Body": body}]}
            return {}

    def delete_message(self, ReceiptHandle, **_):
        with self.lock:
            del self.messages[self.hidden.pop(ReceiptHandle)]

    def change_message_visibility(self, ReceiptHandle, VisibilityTimeout, **_):
        assert VisibilityTimeout == 0
        with self.lock:
            del self.hidden[ReceiptHandle]

    @property
    def visible(self):
        return sorted(body for id, body in self.messages.items() if id not in self.hidden.values())


class Function:
    """Fails for bodies that say so."""

    def __init__(self):
        self.took = []

    def invoke(self, Payload, InvocationType, **_):
        assert InvocationType == "RequestResponse"
        body = Payload.decode()
        self.took.append(body)
        if body == "throttled":
            raise RuntimeError("TooManyRequestsException")
        answer = {"Payload": io.BytesIO(b"null")}
        if body.startswith("bad"):
            answer["FunctionError"] = "Unhandled"
            answer["Payload"] = io.BytesIO(json.dumps({"errorMessage": f"cause of {body}"}).encode())
        if body == "batch":
            answer["Payload"] = io.BytesIO(b'{"batchItemFailures":[{"itemIdentifier":"1"}]}')
        return answer


@pytest.mark.parametrize(
    "bodies, taken, left",
    [
        ([], 0, []),
        (["a", "b", "c"], 3, []),
        (["a", "bad 1", "b", "bad 2"], 2, ["bad 1", "bad 2"]),
        (["throttled", "a"], 1, ["throttled"]),
        (["batch"], 0, ["batch"]),
    ],
)
@pytest.mark.parametrize("workers", [1, 4])
def test_only_what_the_function_took_is_deleted_and_the_rest_shows_at_once(bodies, taken, left, workers):
    queue, function = Queue(*bodies), Function()
    run = redrive.Redrive(queue, function, "url", "function")
    assert run.run(workers) == (not left)
    assert run.done == taken
    assert queue.visible == left
    assert sorted(function.took) == sorted(bodies)


def test_it_gives_up_when_everything_fails():
    queue, function = Queue(*(f"bad {number}" for number in range(100))), Function()
    run = redrive.Redrive(queue, function, "url", "function")
    assert not run.run(1)
    assert len(function.took) == redrive.MAX_FAILURES_IN_A_ROW
    assert len(queue.visible) == 100
    assert ("cause of bad 0") in [cause for _, cause in run.failed.values()]


def test_a_message_whose_deletion_fails_is_not_lost():
    class Stubborn(Queue):
        def delete_message(self, **_):
            raise RuntimeError("no permission")

    queue = Stubborn("a")
    run = redrive.Redrive(queue, Function(), "url", "function")
    assert not run.run(1)
    assert list(queue.messages.values()) == ["a"]

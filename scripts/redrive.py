#!/usr/bin/env python3
"""Feeds failed deliveries back to the function: `make redrive`, or in CloudShell
`python3 scripts/redrive.py --stack bedrock-denial-watch`. With `--objects s3://bucket/prefix`,
feeds it the log objects there, as S3 would have: for hours that were lost because notifications
did not come. Needs boto3 and nothing else.

A message is deleted only after the function took it. It is called synchronously, so that a
delivery which fails again stays where it is and does not come back wrapped in a new message.
Whatever happens here, no message is lost: one that was taken and not deleted shows again by
itself. Nothing counts twice: the function knows what it has counted.

Every message is tried once. One that failed and shows again while others wait goes out of sight
again, untried. What remains at the end is counted and named.

A delivery that failed may hold its alerts until its lease runs out. One that comes sooner leaves
them to it, succeeds and publishes nothing. So no message is fed back before the lease of the
delivery that failed has run out.
"""

import argparse
import collections
import datetime
import json
import sys
import threading
import time

import verbs

# Longer than the longest time-out of the function (900 s).
INVISIBLE_SECONDS = 960
# So many failures and not one success: the cause is still there. After one success every message is tried.
MAX_FAILURES_IN_A_ROW = 10
# A lease runs out within the function's time-out and this.
LEASE_MARGIN_SECONDS = 60
# The same message came back so often, and no other in between: nothing else is there.
MAX_RETURNS = 10
# What failed, by name; the rest is only counted.
MAX_NAMED = 20
# Exit status of a program that SIGINT ended, as shells have it.
INTERRUPTED = 130


class Redrive:
    """Tries each message once, until none is left, or until all fail."""

    def __init__(self, sqs, awslambda, queue_url, function):
        self.sqs, self.awslambda = sqs, awslambda
        self.queue_url, self.function = queue_url, function
        configuration = awslambda.get_function_configuration(FunctionName=function)
        self.lease = configuration["Timeout"] + LEASE_MARGIN_SECONDS
        self.done = 0
        self.failed = {}  # message id -> (receipt handle, cause, seconds out of sight)
        self.names = {}  # message id -> what a failed message is about
        self.tried = {}  # message id -> its newest receipt handle, which alone deletes it
        self.taken = set()
        self.returns = collections.Counter()  # message id -> how often it came back since the last new one
        self.out_of_sight = 0  # messages that another redrive held when this one began
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.interrupted = False

    def run(self, workers=4):
        """True when every message was taken; never after an interrupt."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        self.out_of_sight = self._number("ApproximateNumberOfMessagesNotVisible") or 0
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
        except KeyboardInterrupt:
            print("stopping after the deliveries under way", file=sys.stderr)
            self.interrupted = True
            self.stop.set()
            for thread in threads:
                thread.join()
        finally:
            self._give_back()
        return not self.failed and not self.interrupted and not self.out_of_sight

    def _work(self):
        try:
            while not self.stop.is_set():
                message = self._receive()
                if message is None:
                    return
                if self._is_new(message):
                    self._handle(message)
                elif self._again(message):
                    self.stop.set()
        except Exception as error:  # e.g. no permission: the message stays
            with self.lock:
                self.failed.setdefault(f"worker {threading.get_ident()}", (None, str(error), 0))
            self.stop.set()

    def _receive(self):
        answer = self.sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=1,
            VisibilityTimeout=INVISIBLE_SECONDS,
            AttributeNames=["SentTimestamp"],
            # Long polling asks every server of the queue: an empty answer means empty.
            WaitTimeSeconds=2,
        )
        return next(iter(answer.get("Messages", [])), None)

    def _is_new(self, message):
        with self.lock:
            is_new = message["MessageId"] not in self.tried
            self.tried[message["MessageId"]] = message["ReceiptHandle"]
            if is_new:
                self.returns.clear()
            return is_new

    def _again(self, message):
        """A message that was tried, and is out of sight again since it was received; True: nothing else comes."""
        id = message["MessageId"]
        with self.lock:
            self.returns[id] += 1
            is_taken, is_last = id in self.taken, self.returns[id] >= MAX_RETURNS
        if is_taken and self._delete(message) is None:  # SQS may deliver a message again after its deletion
            with self.lock:
                self.done += self.failed.pop(id, None) is not None
        return is_last

    def _handle(self, message):
        if not self._lease_ran_out(message):
            self._failed(message, "left for later", 0)
            return
        cause, hidden = self._invoke(message["Body"])
        if cause is None:
            with self.lock:
                self.taken.add(message["MessageId"])
            cause = self._delete(message)
        if cause is not None:
            self._failed(message, cause, hidden)
        with self.lock:
            self.done += cause is None
            if not self.done and len(self.failed) >= MAX_FAILURES_IN_A_ROW:
                self.stop.set()

    def _lease_ran_out(self, message):
        """Waits until the delivery that failed holds nothing any more; False: asked to stop first."""
        age = time.time() - int(message["Attributes"]["SentTimestamp"]) / 1000
        wait = self.lease - age
        if wait <= 0:
            return True
        print(f"a delivery failed {age:.0f} s ago and may hold its alerts for {wait:.0f} s more: waiting")
        self._hide(message["ReceiptHandle"], int(wait) + INVISIBLE_SECONDS)
        return not self.stop.wait(wait)

    def _failed(self, message, cause, hidden):
        with self.lock:
            self.failed[message["MessageId"]] = (self.tried[message["MessageId"]], cause, hidden)
            self.names[message["MessageId"]] = about(message["Body"]) or f"message {message['MessageId']}"

    def _delete(self, message):
        """None, or why the message is still in the queue."""
        try:
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=self.tried[message["MessageId"]])
        except Exception as error:
            return f"the function took it, but it could not be deleted: {error}"
        return None

    def _invoke(self, body):
        """(None, 0), or why the function did not take it and how long it may hold its alerts."""
        try:
            answer = self._call(body)
        except Exception as error:
            # Refused by Lambda (throttled, not JSON), it never began. Cut off, it may still run.
            return str(error), 0 if hasattr(error, "response") else self.lease
        payload = answer["Payload"].read()
        try:
            result = json.loads(payload or b"null")
        except ValueError:
            result = None
        if not isinstance(result, dict):
            result = {}
        if answer.get("FunctionError"):
            return result.get("errorMessage", answer["FunctionError"]), self.lease
        if result.get("batchItemFailures"):  # each message has its own owner, whoever delivers it
            return f"{len(result['batchItemFailures'])} messages of a batch failed, see the log", 0
        return None, 0

    def _call(self, body):
        for patience in (1, 2, 4, None):
            try:
                return self.awslambda.invoke(
                    FunctionName=self.function, InvocationType="RequestResponse", Payload=body.encode()
                )
            except Exception as error:
                code = getattr(error, "response", {}).get("Error", {}).get("Code")
                if code != "TooManyRequestsException" or patience is None or self.stop.wait(patience):
                    raise

    def left(self):
        """What is left, in words."""
        number = self._number("ApproximateNumberOfMessages")
        if number is None:  # the queue keeps them whether or not it says how many
            return "what was not taken is left in the queue"
        return f"about {number} messages, and those just given back, are left in the queue"

    def _number(self, name):
        """What the queue says about itself; None if it does not."""
        try:
            return int(self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=[name])["Attributes"][name])
        except Exception:
            return None

    def report(self):
        if self.interrupted:
            print(f"Interrupted: {self.left()}. Run this again: nothing counts twice.")
        elif self.stop.is_set():
            print(f"It stopped before the end, not every message was tried: {self.left()}.")
        self.name_failures()
        if self.failed:
            print("What failed is still in the queue. Fix the cause, then run this again.")
        if self.out_of_sight:
            print(
                f"About {self.out_of_sight} more messages were out of sight when this began, and not tried: another redrive "
                f"has them, or one did that just ended. Run this again in {INVISIBLE_SECONDS} s."
            )
        if any(hidden for _, _, hidden in self.failed.values()):
            print(f"What was tried may hold its alerts, and shows there again in {self.lease} s.")

    def name_failures(self):
        """Each cause with how many failed of it, and their names as far as there is room."""
        causes = collections.defaultdict(list)
        for id, (_, cause, _) in self.failed.items():
            causes[cause].append(self.names.get(id, id))
        room = MAX_NAMED
        for cause, names in sorted(causes.items(), key=lambda one: (-len(one[1]), one[0])):
            print(f"  {len(names)} x {printable(cause[:500])}")
            for name in sorted(names)[:room]:
                print(f"      {printable(name)}")
            if len(names) > room:
                print(f"      and {len(names) - room} more")
            room = max(0, room - len(names))

    def _give_back(self):
        """A message whose delivery holds nothing shows again at once, to the alarm and to the next redrive;
        one whose delivery may hold alerts shows when it holds them no more."""
        for id, (handle, _, hidden) in self.failed.items():
            if handle is not None:
                self._hide(self.tried.get(id, handle), hidden)

    def _hide(self, handle, seconds):
        try:
            self.sqs.change_message_visibility(
                QueueUrl=self.queue_url, ReceiptHandle=handle, VisibilityTimeout=seconds
            )
        except Exception as error:  # it shows again by itself, only at another time
            print(f"a message shows again only in {INVISIBLE_SECONDS} s: {error}", file=sys.stderr)


class Objects(Redrive):
    """Takes the objects of a bucket instead of messages."""

    def __init__(self, s3, awslambda, bucket, prefix, since, function):
        super().__init__(None, awslambda, None, function)
        self.events = self._list(s3, bucket, prefix, since)

    @staticmethod
    def _list(s3, bucket, prefix, since):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                if since is None or found["LastModified"] >= since:
                    detail = {"bucket": {"name": bucket}, "object": {"key": found["Key"], "size": found["Size"]}}
                    event = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
                    yield {"MessageId": f"s3://{bucket}/{found['Key']}", "Body": json.dumps(event)}

    def _receive(self):
        with self.lock:
            message = next(self.events, None)
        return message and {**message, "ReceiptHandle": None}

    def _lease_ran_out(self, message):
        return True  # a delivery that holds alerts of an object has a message in the queue, or soon will

    def _delete(self, message):
        return None

    def _number(self, name):
        return None

    def left(self):
        rest = next(self.events, None)
        return f"the objects from {rest['MessageId']} on are left" if rest else "no object is left"

    def report(self):
        for name, (_, cause, _) in sorted(self.failed.items()):
            print(f"  {printable(name)}: {printable(cause[:500])}")
        when = "nothing counts twice"
        if any(hidden for _, _, hidden in self.failed.values()):
            free = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.lease)
            when = f"not before {free:%H:%M:%S} UTC, as what was tried may hold its alerts until then"
        if self.failed:
            print(f"Fix the cause, then run this again: {when}.")
        if self.interrupted:
            print(f"Interrupted: {self.left()}. Run this again: {when}.")
        elif self.stop.is_set():
            print(f"It stopped before the end, not every object was tried: {self.left()}.")


def printable(text):
    """Whoever may write objects chooses their names."""
    return "".join(one if one.isprintable() else "?" for one in text)


def about(body):
    """The objects and requests that a message is about, as far as it says so."""
    found = {}
    _look(body, found, 12)
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join([*found][:3]) + more


def _look(value, found, depth):
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return
    if depth == 0 or not isinstance(value, (dict, list)):
        return
    if isinstance(value, list):
        for one in value:
            _look(one, found, depth - 1)
        return
    bucket, stored = value.get("bucket"), value.get("object")
    if isinstance(bucket, dict) and isinstance(stored, dict) and "name" in bucket and "key" in stored:
        found[f"s3://{bucket['name']}/{stored['key']}"] = True
    elif isinstance(value.get("requestID"), str):
        found[f"request {value['requestID']}"] = True
    else:
        for one in value.values():
            _look(one, found, depth - 1)


def s3_location(text):
    """s3://bucket/prefix as (bucket, prefix)."""
    scheme, _, rest = text.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise argparse.ArgumentTypeError(f"expected s3://bucket/prefix, not {text}")
    return bucket, prefix


def moment(text):
    """A time in ISO 8601; UTC where it says no zone."""
    try:
        time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a time such as 2025-06-02T09:00Z, not {text}") from None
    return time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)


def main():
    parser = argparse.ArgumentParser(
        description="Feed failed deliveries, or log objects, to the function. Nothing counts twice.",
        epilog="Exit status: 0: all were taken; 1: some failed, or were left for later; 2: could not begin.",
    )
    parser.add_argument("--stack", default="bedrock-denial-watch", help="name of the stack (%(default)s)")
    parser.add_argument("--region", help="region of the stack (default: AWS_REGION, AWS_DEFAULT_REGION, samconfig.toml, the AWS CLI's)")
    parser.add_argument("--workers", type=int, default=4, help="deliveries at once (%(default)s)")
    parser.add_argument(
        "--objects", type=s3_location, metavar="s3://BUCKET/PREFIX", help="feed these objects instead of the queue; no older than 15 days, for which it is known what was counted"
    )
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="of the objects, those written at TIME (ISO 8601) or later"
    )
    arguments = parser.parse_args()
    if arguments.since and not arguments.objects:
        parser.error("--since goes with --objects")
    try:
        from botocore.config import Config

        session = verbs.session(arguments.region)
        stack = verbs.Stack(arguments.stack, session)
        function = stack.output("FunctionName")
        # Failed CloudTrail events have their own queue, where the stack takes them.
        queue_urls = [stack.output("FailureQueueUrl"), *filter(None, [stack.outputs.get("EventFailureQueueUrl")])]
        # No second call behind our back: while the first may still run, it would find its alerts held.
        patient = Config(read_timeout=930, tcp_keepalive=True, retries={"total_max_attempts": 1})
        awslambda = session.client("lambda", config=patient)
        if arguments.objects:
            redrives = [Objects(session.client("s3"), awslambda, *arguments.objects, arguments.since, function)]
        else:
            redrives = [Redrive(session.client("sqs"), awslambda, url, function) for url in queue_urls]
    except ImportError:
        print("boto3 is missing: run `make redrive`, or use CloudShell", file=sys.stderr)
        return 2
    except verbs.Failure as failure:
        print(failure, file=sys.stderr)
        return 2
    except Exception as error:
        print(verbs.explained(error) or f"stack {arguments.stack}: {error}", file=sys.stderr)
        return 2
    good = True
    for redrive in redrives:
        good = redrive.run(max(1, arguments.workers)) and good
        if redrive.interrupted:
            break
    done = sum(one.done for one in redrives)
    print(f"{done} {'delivery' if done == 1 else 'deliveries'} taken, {sum(len(one.failed) for one in redrives)} failed")
    for redrive in redrives:
        redrive.report()
    if any(redrive.interrupted for redrive in redrives):
        return INTERRUPTED
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

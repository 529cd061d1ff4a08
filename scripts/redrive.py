#!/usr/bin/env python3
"""Feeds failed deliveries back to the function: `make redrive`, or in CloudShell
`python3 scripts/redrive.py --stack bedrock-denial-watch`. With `--objects s3://bucket/prefix`,
feeds it the log objects there, as S3 would have: for hours that were lost because notifications
did not come. Needs boto3 and nothing else.

A message is deleted only after the function took it. It is called synchronously, so that a
delivery which fails again stays where it is and does not come back wrapped in a new message.
Whatever happens here, no message is lost: one that was taken and not deleted shows again by
itself. Nothing counts twice: the function knows what it has counted.

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
# So many failures and not one success in between: the cause is still there.
MAX_FAILURES_IN_A_ROW = 10
# A lease runs out within the function's time-out and this.
LEASE_MARGIN_SECONDS = 60
# Exit status of a program that SIGINT ended, as shells have it.
INTERRUPTED = 130


class Redrive:
    """Takes messages until none is left, or until all fail."""

    def __init__(self, sqs, awslambda, queue_url, function):
        self.sqs, self.awslambda = sqs, awslambda
        self.queue_url, self.function = queue_url, function
        configuration = awslambda.get_function_configuration(FunctionName=function)
        self.lease = configuration["Timeout"] + LEASE_MARGIN_SECONDS
        self.done = 0
        self.failed = {}  # message id -> (receipt handle, cause, seconds out of sight)
        self.in_a_row = 0
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.interrupted = False

    def run(self, workers=4):
        """True when every message was taken; never after an interrupt."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
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
        return not self.failed and not self.interrupted

    def _work(self):
        try:
            while not self.stop.is_set():
                message = self._receive()
                if message is None:
                    return
                self._handle(message)
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

    def _handle(self, message):
        if not self._lease_ran_out(message):
            with self.lock:
                self.failed[message["MessageId"]] = (message["ReceiptHandle"], "left for later", 0)
            return
        cause, hidden = self._invoke(message["Body"])
        if cause is None:
            self._taken(message)
        with self.lock:
            if cause is None:
                self.done += 1
                self.in_a_row = 0
                self.failed.pop(message["MessageId"], None)
                return
            if message["MessageId"] in self.failed:
                self.stop.set()  # a whole round: what is left fails
            self.failed[message["MessageId"]] = (message["ReceiptHandle"], cause, hidden)
            self.in_a_row += 1
            if self.in_a_row >= MAX_FAILURES_IN_A_ROW:
                self.stop.set()

    def _lease_ran_out(self, message):
        """Waits until the delivery that failed holds nothing any more; False: told to stop first."""
        age = time.time() - int(message["Attributes"]["SentTimestamp"]) / 1000
        wait = self.lease - age
        if wait <= 0:
            return True
        print(f"a delivery failed {age:.0f} s ago and may hold its alerts for {wait:.0f} s more: waiting")
        self._hide(message["ReceiptHandle"], int(wait) + INVISIBLE_SECONDS)
        return not self.stop.wait(wait)

    def _taken(self, message):
        self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])

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
        if result.get("batchItemFailures"):  # each message has an owner of its own, whoever delivers it
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
        try:
            name = "ApproximateNumberOfMessages"
            attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=[name])["Attributes"]
            return f"about {attributes[name]} messages, and those just given back, are left in the queue"
        except Exception as error:  # the queue keeps them whether or not it says how many
            return f"what was not taken is left in the queue ({error})"

    def report(self):
        if self.interrupted:
            print(f"Interrupted: {self.left()}. Run this again: nothing counts twice.")
        for cause, times in collections.Counter(cause for _, cause, _ in self.failed.values()).most_common(5):
            print(f"  {times} x {cause[:500]}")
        if self.failed:
            print("What failed is still in the queue. Mend the cause, then run this again.")
        if any(hidden for _, _, hidden in self.failed.values()):
            print(f"What was tried may hold its alerts, and shows there again in {self.lease} s.")

    def _give_back(self):
        """A message whose delivery holds nothing shows again at once, to the alarm and to the next redrive;
        one whose delivery may hold alerts shows when it holds them no more."""
        for handle, _, hidden in self.failed.values():
            if handle is not None:
                self._hide(handle, hidden)

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

    def _taken(self, message):
        pass

    def left(self):
        rest = next(self.events, None)
        return f"the objects from {rest['MessageId']} on are left" if rest else "no object is left"

    def report(self):
        for name, (_, cause, _) in sorted(self.failed.items()):
            print(f"  {name}: {cause[:500]}")
        when = "nothing counts twice"
        if any(hidden for _, _, hidden in self.failed.values()):
            free = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.lease)
            when = f"not before {free:%H:%M:%S} UTC, as what was tried may hold its alerts until then"
        if self.failed:
            print(f"Mend the cause, then run this again: {when}.")
        if self.interrupted:
            print(f"Interrupted: {self.left()}. Run this again: {when}.")
        elif self.stop.is_set():
            print("It stopped before the end: not all objects were tried.")


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
        # Failed CloudTrail events have a queue of their own, where the stack takes them.
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

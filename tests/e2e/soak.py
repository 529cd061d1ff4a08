"""Steady deliveries through the whole chain for some minutes: does the function grow, slow down or lose anything?

Every object holds denied calls of callers who stay below the threshold; every fifth one also a burst of its
own caller. At the end, each burst must have made one alert, and the table must hold each denial once.
"""

import argparse
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from cloud import cloud as start_cloud
from cloud import end_on_signals, poll
from samples import alone, denials, pack, record
from stack import ZIP, Detector, upload_code

USER = "arn:aws:iam::111122223333:user/"
EVERY = 5
# What the first minute does not settle: buffers of the HTTP clients, one connection more.
MAX_GROWTH_KB = 4 * 1024
MAX_MORE_FILES = 8


def functions(root):
    """The processes of the function below ours: id → (resident KB, open files)."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
                parents[int(entry.name)] = int(text.rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    seen = {}
    for process in parents:
        ancestor = process
        while ancestor in parents and ancestor != root:
            ancestor = parents[ancestor]
        try:
            if ancestor == root and Path(f"/proc/{process}/comm").read_text().strip() == "bootstrap":
                status = Path(f"/proc/{process}/status").read_text()
                resident = int(status.split("VmRSS:")[1].split()[0])
                seen[process] = (resident, len(os.listdir(f"/proc/{process}/fd")))
        except (OSError, IndexError):
            continue
    return seen


class Inbox(threading.Thread):
    """Notes when the alert of each caller arrived."""

    def __init__(self, detector):
        super().__init__(daemon=True)
        self.detector, self.arrived, self.ended = detector, {}, threading.Event()
        self.alerts = Counter()

    def run(self):
        while not self.ended.is_set():
            for document in self.detector.alerts():
                user = document["user"]["id"]
                self.alerts[user] += 1
                self.arrived.setdefault(user, time.monotonic())
            self.ended.wait(0.02)


def percentiles(values):
    ordered = sorted(values)
    at = lambda share: 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]
    return f"median {at(0.5):.0f} ms, 95 % {at(0.95):.0f} ms, 99 % {at(0.99):.0f} ms, most {at(1):.0f} ms"


def verdict(faults):
    """Prints what went wrong; the exit status."""
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


def stored(detector):
    """Denials by user in the counters of denied-model."""
    pages = detector.cloud.client("dynamodb").get_paginator("scan").paginate(TableName=detector.outputs["TableName"])
    total = Counter()
    for page in pages:
        for item in page["Items"]:
            if item["pk"]["S"].startswith('["denied-model"') and "denials" in item:
                total[item["user"]["S"]] += int(item["denials"]["N"])
    return total


def soak(detector, seconds, pause):
    inbox = Inbox(detector)
    inbox.start()
    put, expected, samples = {}, Counter(), []
    began = time.monotonic()
    looked = began - 60
    number = 0
    while time.monotonic() < began + seconds:
        # Ten incidents of an account within an hour are reported one by one.
        at = alone(number // EVERY)
        steady = f"{USER}steady-{number % 40}"
        records = [record(f"{USER}honest", at + second) for second in range(20)]
        records += denials(steady, at)
        expected[steady] += 1
        burst = f"{USER}burst-{number}" if number % EVERY == 0 else None
        if burst:
            records += denials(burst, at, at + 1, at + 2, at + 3)
            expected[burst] += 4
            put[burst] = time.monotonic()
        detector.put(pack(*records))
        number += 1
        if time.monotonic() >= looked + 10:
            looked = time.monotonic()
            samples.append((looked - began, functions(os.getpid())))
            print(f"{looked - began:5.0f} s  {number} objects, {len(inbox.arrived)} alerts, {samples[-1][1]}", flush=True)
        time.sleep(pause)
    poll("every burst is told", lambda: len(inbox.arrived) >= len(put), 120)
    poll("every denial is counted", lambda: stored(detector) == expected, 120)
    samples.append((time.monotonic() - began, functions(os.getpid())))
    inbox.ended.set()
    inbox.join()
    return number, put, expected, inbox, samples


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two objects")
    arguments = parser.parse_args()
    if not ZIP.exists():
        sys.exit(f"{ZIP} is not there: `make soak` builds it")
    end_on_signals()
    with start_cloud() as cloud:
        upload_code(cloud)
        detector = Detector(cloud, "soak", NewLogBucketName="soak-logs")
        number, put, expected, inbox, samples = soak(detector, 60 * arguments.minutes, arguments.pause)
        failed = detector.receive(detector.failures)
    faults = []
    more = {user: count for user, count in inbox.alerts.items() if count != 1 or user not in put}
    if more:
        faults.append(f"alerts that should not be, or came more than once: {more}")
    if failed:
        faults.append(f"{len(failed)} deliveries failed: {failed[0]['Body'][:1000]}")
    print(f"{number} objects, {expected.total()} denials, {len(put)} alerts; each counted and told once")
    print("from put to alert: " + percentiles([inbox.arrived[user] - at for user, at in put.items()]))
    seen = {process for _, processes in samples for process in processes}
    if not seen:
        faults.append("no process of the function was seen")
    for process in sorted(seen):
        course = [(at, *processes[process]) for at, processes in samples if process in processes]
        settled = [one for one in course if one[0] >= min(60, course[-1][0] / 2)]
        (_, first, files), (_, last, more_files) = settled[0], settled[-1]
        print(
            f"process {process}, {course[-1][0] - course[0][0]:.0f} s: {first} KB after a minute, {last} KB at the end, "
            f"{max(one[1] for one in course)} KB at most; {files} open files, {more_files} at the end"
        )
        if last - first > MAX_GROWTH_KB or more_files - files > MAX_MORE_FILES:
            faults.append(f"process {process} grows")
    return verdict(faults)


if __name__ == "__main__":
    sys.exit(main())

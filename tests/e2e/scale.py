"""Many objects put at once into the whole chain: is each denial counted once, and each caller reported once?

Every caller is refused once in each of ten objects, so that all deliveries of a caller race for the same counters,
one alert and one notice.
"""

import argparse
import os
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from cloud import cloud as start_cloud
from cloud import end_on_signals, poll
from samples import alone, denials, pack, record
from soak import functions, stored, verdict
from stack import ZIP, Detector, upload_code

USER = "arn:aws:iam::111122223333:user/"
OBJECTS_OF_A_CALLER = 10


def objects(number, seed):
    """The objects in random order, and how often each caller is refused."""
    bodies, expected = [], Counter()
    for index in range(number):
        caller, turn = divmod(index, OBJECTS_OF_A_CALLER)
        # Ten incidents of an account within an hour are reported one by one.
        at = alone(caller) + 10 * turn
        user = f"{USER}caller-{caller}"
        bodies.append(pack(record(f"{USER}honest", at), *denials(user, at)))
        expected[user] += 1
    random.Random(seed).shuffle(bodies)
    return bodies, expected


def put_at_once(detector, bodies):
    """Seconds until the last one was put."""
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(detector.put, bodies))
    return time.monotonic() - began


def received(receive, wanted, patience):
    """How many documents each caller got, once at least `wanted` callers have one."""
    count = Counter()

    def look():
        count.update(document["user"]["id"] for document in receive())
        return len(count) >= wanted

    poll("every caller is reported", look, patience)
    count.update(document["user"]["id"] for document in receive())
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=16, help="deliveries that run at once; the rest wait")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    if not ZIP.exists():
        sys.exit(f"{ZIP} is not there: `make scale` builds it")
    end_on_signals()
    print(f"{arguments.objects} objects, {arguments.at_once} deliveries at once, seed {arguments.seed}", flush=True)
    with start_cloud(arguments.at_once) as cloud:
        upload_code(cloud)
        detector = Detector(cloud, "scale", NewLogBucketName="scale-logs")
        bodies, expected = objects(arguments.objects, arguments.seed)
        callers = {user for user, count in expected.items() if count > 3}
        began = time.monotonic()
        put = put_at_once(detector, bodies)
        patience = 60 + arguments.objects
        poll("every denial is counted", lambda: stored(detector) == expected, patience)
        counted = time.monotonic() - began
        alerts = received(detector.alerts, len(callers), 60)
        notices = received(detector.notices, len(callers), 60)
        processes = functions(os.getpid())
        failed = detector.receive(detector.failures)
    print(f"put in {put:.1f} s; all counted after {counted:.1f} s, {arguments.objects / counted:.0f} objects a second")
    print(f"{len(processes)} processes of the function, {max((kb for kb, _ in processes.values()), default=0)} KB at most")
    print(f"{expected.total()} denials, each counted once; {alerts.total()} alerts and {notices.total()} notices of {len(callers)} callers")
    faults = []
    for name, found in (("alerts", alerts), ("notices", notices)):
        if found != Counter(callers):
            faults.append(f"{name} that should not be, or came more than once: {found - Counter(callers)}")
    if failed:
        faults.append(f"{len(failed)} deliveries failed: {failed[0]['Body'][:1000]}")
    return verdict(faults)


if __name__ == "__main__":
    sys.exit(main())

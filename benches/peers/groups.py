"""What every Python peer does: files in, groups with more than three distinct requests in an hour out."""

import collections
import datetime
import json

HOUR = 3600


def files(folder):
    return sorted(folder.glob("*.json.gz"))


def seconds(text):
    return int(datetime.datetime.fromisoformat(text).timestamp())


class Groups:
    def __init__(self):
        # By account, user and model: when each request was first seen.
        self.requests = collections.defaultdict(dict)

    def add(self, record):
        if record.get("errorCode") != "AccessDeniedException":
            return
        key = (record["accountId"], record["identity"]["arn"], record["modelId"])
        at = seconds(record["timestamp"])
        known = self.requests[key]
        known[record["requestId"]] = min(at, known.get(record["requestId"], at))

    def print(self):
        for key, requests in sorted(self.requests.items()):
            times = sorted(requests.values())
            if any(last - first <= HOUR for first, last in zip(times, times[3:])):
                print(json.dumps(key))

#!/usr/bin/env python3
"""`make mute`, `make mutes`, `make unmute`: no notices about a caller for a while.

A muted caller's alerts and incidents are counted and recorded as ever, and `make status` shows
them. The order is an item of the table that ends by itself; nothing is deployed.
"""

import hashlib
import json
import re
import time

import verbs

UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
MAX_SECONDS = 90 * 86_400
# A longer part of a key is stored as its digest, as the function does.
MAX_PART_BYTES = 256
# What a scan may read, so that a table full of an attack's counters costs no fortune: 1 MB a page.
MAX_PAGES = 200


def seconds(span):
    """7d as seconds."""
    found = re.fullmatch(r"(\d+)([mhdw])", span or "")
    if not found or not 0 < int(found[1]) * UNITS[found[2]] <= MAX_SECONDS:
        raise verbs.Failure(f"FOR={span or ''}: expected a span of at most 90 days such as 90m, 8h, 7d or 2w.")
    return int(found[1]) * UNITS[found[2]]


def part(value):
    """A value of a key as the function stores it (src/count/key.rs)."""
    if value is not None and len(json.dumps(value, ensure_ascii=False).encode()) - 2 > MAX_PART_BYTES:
        return {"sha256": hashlib.sha256(value.encode()).hexdigest()}
    return value


def caller_key(account, arn):
    """Where the table keeps what belongs to a caller."""
    return json.dumps(["#caller", part(account), part(arn)], separators=(",", ":"), ensure_ascii=False)


# As src/rule/identity.rs has it: sessions and the names of federated users are free to choose.
MEMBER = re.compile(r"(arn:[^:]*:sts:[^:]*:[^:]*:(?:assumed-role/([^/]+)|federated-user))/.+", re.DOTALL)
# Each session of such a role is a person; the beginning of the name alone proves nothing.
PERSONAL_ROLE = re.compile(r"AWSReservedSSO_.+_[0-9a-f]{16}", re.DOTALL)


def caller_of(arn):
    """The caller that the function counts and reports the user under."""
    found = MEMBER.fullmatch(arn)
    is_person = found and found[2] and PERSONAL_ROLE.fullmatch(found[2])
    return found[1] if found and not is_person else arn


def named(caller, account):
    """(account, ARN) of what the operator called the caller."""
    found = re.fullmatch(r"arn:[a-z-]+:(iam|sts)::(\d{12}):.+", caller or "")
    if not found:
        raise verbs.Failure(f"CALLER={caller or ''}: expected the caller's ARN as the notice says it, such as arn:aws:sts::111122223333:assumed-role/app")
    return account or found[2], caller_of(caller)


def mutes(table, client, now=None):
    """The orders that are in force, soonest end first."""
    now = time.time() if now is None else now
    items, pages = [], 0
    for page in client.get_paginator("scan").paginate(
        TableName=table, FilterExpression="sk = :mute", ExpressionAttributeValues={":mute": {"S": "mute"}}
    ):
        items += page["Items"]
        pages += 1
        if pages == MAX_PAGES:
            print(f"only the first {MAX_PAGES} MB of the table were looked at")
            break
    found = [(float(one["until"]["N"]), one["pk"]["S"], one.get("why", {}).get("S", "")) for one in items]
    return sorted(one for one in found if one[0] > now)


def shown(pk):
    """A caller's key for people."""
    _, account, arn = json.loads(pk)
    return f"{arn or 'unknown caller'} (account {account or 'unknown'})"


def day(seconds):
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def main(arguments=None, stack=None):
    parser = verbs.parser(__doc__.splitlines()[0])
    parser.add_argument("action", choices=["mute", "mutes", "unmute"])
    parser.add_argument("--caller", help="the caller's ARN, as the notice says it")
    parser.add_argument("--account", help="the account that was called, where it is not the caller's own")
    parser.add_argument("--for", dest="span", help="how long: 90m, 8h, 7d, 2w")
    parser.add_argument("--why", help="why, for whoever reads make status")
    arguments = arguments or parser.parse_args()
    if arguments.action == "mute" and not arguments.why:
        raise verbs.Failure('WHY= is missing: make mute CALLER=arn:… FOR=7d WHY="load test, ticket 123"')
    if arguments.action != "mutes":
        account, arn = named(arguments.caller, arguments.account)
    if arguments.action == "mute":
        span = seconds(arguments.span)
    stack = stack or verbs.Stack.of(arguments)
    table, client = stack.output("TableName"), stack.client("dynamodb")
    if arguments.action == "mutes":
        found = mutes(table, client)
        for until, pk, why in found:
            print(f"{shown(pk)} until {day(until)}: {why}")
        print(f"{len(found)} muted" if found else "nobody is muted")
        return 0
    key = {"pk": {"S": caller_key(account, arn)}, "sk": {"S": "mute"}}
    if arguments.action == "unmute":
        gone = client.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD").get("Attributes")
        print(f"{arn} raises notices again" if gone else f"{arn} (account {account}) was not muted")
        return 0 if gone else 1
    until = int(time.time()) + span
    order = {"until": {"N": str(until)}, "expires_at": {"N": str(until)}, "why": {"S": arguments.why}}
    client.put_item(TableName=table, Item=key | order)
    if arn.endswith(":federated-user"):
        print(f"All federated users of account {account} are one caller: their names are free to choose.")
    print(f"{arn} (account {account}) is muted until {day(until)}: counted, recorded and shown by make status, but nobody is notified.")
    print(f"Undo: make unmute CALLER={arn}" + (f" ACCOUNT={account}" if arguments.account else ""))
    return 0


if __name__ == "__main__":
    verbs.run(main)

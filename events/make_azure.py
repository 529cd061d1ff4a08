#!/usr/bin/env python3
"""Writes the sample day of Azure OpenAI's diagnostics in events/azure: what a copy job would bring into a bucket.

Every id, user and address is made up. Nothing is random and no clock is read: two runs write the same bytes. What must
be found in it: README.md beside this file, and tests/golden/azure-a-day.
"""

import hashlib
import json
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "azure"
DAY = datetime(2025, 6, 2, tzinfo=timezone.utc)
SUBSCRIPTION = "0A1B2C3D-4E5F-4000-8000-0123456789AB"
GROUP = f"/SUBSCRIPTIONS/{SUBSCRIPTION}/RESOURCEGROUPS/AI-PRODUCTION/PROVIDERS"
CHAT = f"{GROUP}/MICROSOFT.COGNITIVESERVICES/ACCOUNTS/SUPPORT-CHAT"
SEARCH = f"{GROUP}/MICROSOFT.COGNITIVESERVICES/ACCOUNTS/DOCUMENT-SEARCH"
GATEWAY = f"{GROUP}/MICROSOFT.APIMANAGEMENT/SERVICE/AI-GATEWAY"

ASSISTANT = "5d1f0c3a-7b1e-4c55-9a31-2f6e8b0d4c11"  # the support chat's identity
INDEXER = "9b2e6d74-0c8f-4f0a-8d7b-61a3c5e2f0d9"
INTERN = "c0ffee00-1234-4abc-9def-00112233aabb"

MODELS = {
    "gpt-4o": "chat-4o",
    "gpt-4o-mini": "chat-mini",
    "gpt-35-turbo": "chat-old",
    "o3": "reasoning",
    "gpt-4.1": "chat-41",
    "text-embedding-3-large": "vectors",
}


def stamp(at):
    return at.strftime("%Y-%m-%dT%H:%M:%S") + ".1234567Z"


def clock(text):
    hours, minutes, seconds = map(int, text.split(":"))
    return DAY + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def correlation(name):
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


def call(
    at,
    name,
    *,
    status="200",
    model="gpt-4o-mini",
    user=ASSISTANT,
    answer=1411,
    account=CHAT,
    operation="ChatCompletions_Create",
    address="203.0.113.***",
    duration=812,
    as_text=False,
):
    """A request that the service answered."""
    properties = {
        "apiName": "Azure OpenAI API version 2024-10-21",
        "requestTime": 638844000000000000,
        "requestLength": 930,
        "responseTime": 638844000008120000,
        "responseLength": answer,
        "objectId": user,
        "streamType": "Non-Streaming",
        "modelDeploymentName": MODELS[model],
        "modelName": model,
        "modelVersion": "2024-08-06",
    }
    return {
        "Tenant": "eastus",
        "callerIpAddress": address,
        "category": "RequestResponse",
        "correlationId": correlation(name),
        "durationMs": duration,
        "event": "ShoeboxCallResult",
        "location": "eastus",
        "operationName": operation,
        "properties": json.dumps(properties, separators=(",", ":")) if as_text else properties,
        "resourceId": account,
        "resultSignature": status,
        "time": stamp(at),
    }


def gateway(at, name, status):
    """The same request as the gateway before it records it, with its bodies."""
    return {
        "Level": 4,
        "callerIpAddress": "203.0.113.7",
        "category": "GatewayLogs",
        "correlationId": correlation(name),
        "isRequestSuccess": status == 200,
        "location": "East US",
        "operationName": "Microsoft.ApiManagement/GatewayLogs",
        "properties": {
            "method": "POST",
            "requestBody": json.dumps({"messages": [{"role": "user", "content": 'What means "resultSignature":"403"?'}]}),
            "responseCode": status,
            "backendResponseCode": status,
        },
        "resourceId": GATEWAY,
        "resultType": "Succeeded" if status == 200 else "Failed",
        "time": stamp(at),
    }


def audit(at, operation):
    return {
        "AssetIdentity": "07628fea-0000-4000-8000-000000000001",
        "Tenant": "eastus",
        "category": "Audit",
        "operationName": operation,
        "properties": {"objectId": INTERN},
        "resourceId": CHAT,
        "time": stamp(at),
    }


def day():
    """The records by account, each in order of time."""
    records = []
    second = timedelta(seconds=1)
    # Ordinary work: a chat every seven minutes, and an indexer.
    for number in range(80):
        at = clock("08:00:00") + number * 420 * second
        records.append(call(at, f"chat-{number}", answer=900 + 7 * number, duration=-40 if number == 9 else 812))
    for number in range(24):
        at = clock("09:00:30") + number * 60 * second
        records.append(
            call(
                at,
                f"index-{number}",
                account=SEARCH,
                user=INDEXER,
                model="text-embedding-3-large",
                operation="Embeddings_Create",
                answer=0,
                as_text=number % 2 == 0,
            )
        )
    # The indexer runs into its quota, which is no denial; so does a prompt that is too long.
    for number in range(8):
        at = clock("09:10:00") + number * second
        records.append(
            call(at, f"quota-{number}", account=SEARCH, user=INDEXER, model="text-embedding-3-large", status="429", answer=95)
        )
        records.append(call(at, f"long-{number}", status="400", answer=340))
    # Three denials, each in the gateway's log too, under the same correlation ids; and one of them recorded twice.
    for number in range(3):
        at = clock("10:05:00") + number * 20 * second
        records.append(gateway(at, f"gateway-{number}", 401))
        records.append(call(at, f"gateway-{number}", status="401", user="", model="gpt-4o", answer=152))
    records.append(call(clock("10:05:41"), "gateway-2", status="401", user="", model="gpt-4o", answer=152))
    records.append(audit(clock("10:20:00"), "ListKey"))
    # A stolen key without rights to the model, at night's speed: denied six times.
    for number in range(6):
        at = clock("11:30:00") + number * 15 * second
        records.append(
            call(at, f"key-{number}", status="403", user="", model="o3", answer=160, address="198.51.100.***", as_text=True)
        )
    # Someone tries one model after the other, keeps at one, and gets in once its role is assigned.
    for number, model in enumerate(["gpt-35-turbo", "gpt-4o-mini", "gpt-4.1", "o3", "gpt-4o", "gpt-4o", "gpt-4o", "gpt-4o"]):
        at = clock("13:00:00") + number * 30 * second
        records.append(call(at, f"intern-{number}", status="403", user=INTERN, model=model, answer=160))
    records.append(call(clock("14:40:00"), "intern-in", user=INTERN, model="gpt-4o"))
    # A filter swallows the support chat's answers.
    for number in range(12):
        at = clock("16:00:00") + number * 120 * second
        records.append(call(at, f"empty-{number}", answer=0))
    return sorted(records, key=lambda record: record["time"])


def write(name, text):
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    records = day()
    lines = {}
    hub = {}
    for record in records:
        hour = record["time"][:13]
        if record["category"] == "RequestResponse" and record["resourceId"] == CHAT:
            # As a diagnostic setting writes it to a storage account: one file an hour, one record a line.
            name = f"insights-logs-requestresponse/resourceId={CHAT}/y=2025/m=06/d=02/h={hour[11:13]}/m=00/PT1H.json"
            lines.setdefault(name, []).append(record)
        else:
            # As Event Hubs hand on batches.
            hub.setdefault(f"event-hub/{hour}.json", []).append(record)
    for name, some in lines.items():
        write(name, "".join(json.dumps(record, separators=(",", ":")) + "\r\n" for record in some))
    for name, some in hub.items():
        write(name, json.dumps({"records": some}, separators=(",", ":")))
    print(f"{len(records)} records in {len(lines) + len(hub)} objects")


if __name__ == "__main__":
    main()

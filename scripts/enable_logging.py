#!/usr/bin/env python3
"""`make enable-logging`: turns on Bedrock's logging to the stack's bucket and prefix.

What is configured already and has nothing to do with that stays as it is, such as a CloudWatch
log group. The difference is shown first.
"""

import copy

import verbs


def key_prefix(log_prefix):
    """What Bedrock calls the prefix: it puts AWSLogs/ACCOUNT/… behind it by itself."""
    return "" if log_prefix.split("/")[0] == "AWSLogs" else log_prefix


def merged(present, bucket, prefix):
    """The present configuration with its S3 destination at this bucket and prefix."""
    wanted = copy.deepcopy(present) if present else {}
    wanted["s3Config"] = {"bucketName": bucket, "keyPrefix": prefix}
    kinds = ["textDataDeliveryEnabled", "imageDataDeliveryEnabled", "embeddingDataDeliveryEnabled"]
    if not present:
        wanted |= dict.fromkeys(kinds, True)
    # Bedrock takes no configuration that delivers nothing.
    elif not any(value for kind, value in wanted.items() if kind.endswith("DataDeliveryEnabled")):
        wanted["textDataDeliveryEnabled"] = True
    return wanted


def main(arguments=None, stack=None):
    arguments = arguments or verbs.parser(__doc__.splitlines()[0]).parse_args()
    stack = stack or verbs.Stack.of(arguments)
    bucket, prefix = stack.output("LogBucketName"), key_prefix(stack.parameters["LogPrefix"])
    bedrock = stack.client("bedrock")
    present = bedrock.get_model_invocation_logging_configuration().get("loggingConfig") or {}
    wanted = merged(present, bucket, prefix)
    shown = verbs.difference(present, wanted, f"Bedrock logging in {stack.region}")
    if not shown:
        print(f"✓ Bedrock logs to s3://{bucket}/{prefix} already")
        return 0
    print(shown)
    elsewhere = present.get("s3Config")
    if elsewhere and elsewhere != wanted["s3Config"]:
        print(f"Bedrock will no longer log to s3://{elsewhere.get('bucketName')}/{elsewhere.get('keyPrefix', '')}.")
    if not present:
        print("The logs hold prompts and answers: restrict who may read the bucket.")
    if not verbs.confirmed("Write this?", arguments):
        print("nothing was changed")
        return 1
    bedrock.put_model_invocation_logging_configuration(loggingConfig=wanted)
    print(f"✓ Bedrock logs to s3://{bucket}/{prefix}; the first file comes about a minute after a call")
    return 0


if __name__ == "__main__":
    verbs.run(main)

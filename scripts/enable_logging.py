#!/usr/bin/env python3
"""`make enable-logging`: turns on Bedrock's logging to the stack's bucket and prefix: text, nothing else.

What is configured already and has nothing to do with that stays as it is, such as a CloudWatch
log group. The difference is shown first. A log that goes to another place is not moved, as whoever reads it there
would go blind, unless that place is named: MOVE=its bucket.
"""

import copy

import look
import verbs

KINDS = ["textDataDeliveryEnabled", "imageDataDeliveryEnabled", "embeddingDataDeliveryEnabled", "videoDataDeliveryEnabled", "audioDataDeliveryEnabled"]


def merged(present, bucket, prefix, kinds=KINDS):
    """The present configuration with its S3 destination at this bucket and prefix, and text on."""
    wanted = copy.deepcopy(present) if present else dict.fromkeys(kinds, False)
    wanted["s3Config"] = (wanted.get("s3Config") or {}) | {"bucketName": bucket, "keyPrefix": prefix}
    # The detector reads who called what; a record comes with its text or not at all.
    wanted["textDataDeliveryEnabled"] = True
    return wanted


def known_kinds(client):
    """The kinds that this boto3 knows; an older one knows fewer."""
    try:
        members = client.meta.service_model.shape_for("LoggingConfig").members
    except AttributeError:
        return KINDS[:3]
    return [kind for kind in KINDS if kind in members]


def main(arguments=None, stack=None):
    parser = verbs.parser(__doc__.splitlines()[0])
    parser.add_argument("--move", default="", metavar="BUCKET", help="the bucket that Bedrock may stop logging to")
    arguments = arguments or parser.parse_args()
    stack = stack or verbs.Stack.of(arguments)
    if "LogBucketName" not in stack.outputs:
        raise verbs.Failure("This stack reads no invocation log (LogBucketName=none), so there is nothing to turn on.")
    bucket, prefix = stack.output("LogBucketName"), look.key_prefix(stack.parameters["LogPrefix"])
    bedrock = stack.client("bedrock")
    present = look.logging_configuration(bedrock)
    there = look.logs_to(present)
    if there and there != (bucket, prefix) and there[0] != arguments.move:
        raise verbs.Failure(
            f"Bedrock logs to s3://{there[0]}/{there[1]}, and whoever reads it there would get nothing more. To read it there: "
            f"make deploy LogBucketName={there[0]} LogPrefix={look.log_prefix(there[1], stack.account)}. To move it all the same: make enable-logging MOVE={there[0]}."
        )
    wanted = merged(present, bucket, prefix, known_kinds(bedrock))
    shown = verbs.difference(present, wanted, f"Bedrock logging in {stack.region}")
    if not shown:
        print(f"✓ Bedrock logs to s3://{bucket}/{prefix} already")
        return 0
    print(shown)
    if there and there != (bucket, prefix):
        print(f"Bedrock will no longer log to s3://{there[0]}/{there[1]}.")
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

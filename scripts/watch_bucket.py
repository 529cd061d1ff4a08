#!/usr/bin/env python3
"""`make watch-bucket BUCKET=…`: lets an existing bucket send its events to EventBridge.

The call that does it replaces the bucket's whole notification configuration, so this reads it,
adds what is missing and shows the difference first. A notification to this stack's function is
taken out, unless the stack made the bucket: a deleted stack of this name left it behind. Other destinations that are
gone stay as they are, and S3 is asked not to test them.

Whoever else owns the bucket's notifications, such as Terraform, must have EventBridge in them too: the next
`terraform apply` would turn it off again. docs/deploy.md, Use an existing log bucket.
"""

import verbs


def merged(present, stale_function):
    """The present configuration with EventBridge, without notifications to a function of this name."""
    wanted = {name: value for name, value in present.items() if name != "ResponseMetadata"}
    wanted["EventBridgeConfiguration"] = {}
    lambdas = wanted.pop("LambdaFunctionConfigurations", [])
    lambdas = [one for one in lambdas if not one["LambdaFunctionArn"].endswith(f":function:{stale_function}")]
    if lambdas:
        wanted["LambdaFunctionConfigurations"] = lambdas
    return wanted


def main(arguments=None, stack=None):
    parser = verbs.parser(__doc__.splitlines()[0])
    parser.add_argument("bucket", nargs="?", help="the bucket (default: the existing buckets of the stack)")
    arguments = arguments or parser.parse_args()
    stack = stack or verbs.Stack.of(arguments)
    named = [stack.parameters.get("LogBucketName"), *(one.bucket for one in verbs.sources(stack))]
    buckets = [arguments.bucket] if arguments.bucket else sorted({bucket for bucket in named if bucket and bucket != "none"})
    if not buckets:
        raise verbs.Failure("The stack made its bucket itself and watches it. Which other one? make watch-bucket BUCKET=…")
    if not stack.parameters.get("LogBucketName") and stack.output("LogBucketName") in buckets:
        raise verbs.Failure(f"{stack.output('LogBucketName')} belongs to the stack, which gets its events from the bucket directly.")
    return max([watch(stack, bucket, arguments) for bucket in buckets])


def watch(stack, bucket, arguments):
    s3 = stack.client("s3")
    present = s3.get_bucket_notification_configuration(Bucket=bucket)
    present.pop("ResponseMetadata", None)
    wanted = merged(present, stack.output("FunctionName"))
    shown = verbs.difference(present, wanted, f"notifications of {bucket}")
    if not shown:
        print(f"✓ {bucket} sends its events to EventBridge already")
        return 0
    print(shown)
    if not verbs.confirmed("Write this?", arguments):
        print("nothing was changed")
        return 1
    # One stale queue of someone else's would make the call fail.
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wanted, SkipDestinationValidation=True)
    print(f"✓ {bucket} sends its events to EventBridge; it may take five minutes to begin")
    return 0


if __name__ == "__main__":
    verbs.run(main)

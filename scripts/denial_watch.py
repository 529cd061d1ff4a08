#!/usr/bin/env python3
"""`make investigate`, `make mute`, `make unmute`, `make mutes`: runs denial-watch on the stack's table and logs.

It is the program in $DENIAL_WATCH or in target/fast/, where `make tools` puts it. What follows the options of
the stack is handed on to it; it gets the table's name, the stack's own rules and the buckets that the stack reads
from CloudFormation.
"""

import os
import pathlib
import shlex
import subprocess

import verbs

ROOT = pathlib.Path(__file__).parents[1]
# These judge counters, so they need the stack's own rules and settings.
NEED_RULES = ("status", "explain")


def program():
    """The program, or None where it has not been built."""
    named = os.environ.get("DENIAL_WATCH")
    built = ROOT / "target/fast/denial-watch"
    return named or (str(built) if built.exists() else None)


def logs(stack):
    """Where the stack reads logs, as s3://bucket/prefix/."""
    bucket, prefix = stack.outputs.get("LogBucketName"), stack.parameters.get("LogPrefix")
    if bucket:
        # Its own bucket is read under any prefix.
        is_own = not stack.parameters.get("LogBucketName")
        yield f"s3://{bucket}/" if is_own or not prefix else f"s3://{bucket}/{prefix}/"
    for source in verbs.sources(stack):
        yield f"s3://{source.bucket}/{source.prefix}/" if source.prefix else f"s3://{source.bucket}/"


def command(stack, verb, arguments):
    """What to run for one verb on a stack; None where the program has not been built."""
    binary = program()
    if binary is None:
        return None
    options = ["--table", stack.output("TableName")]
    if verb in NEED_RULES:
        parameters = stack.parameters
        if parameters.get("DetectionRules"):
            options += ["--rules", parameters["DetectionRules"]]
        if parameters.get("RuleSettings"):
            options += ["--set", parameters["RuleSettings"]]
    if verb == "investigate":
        places = list(dict.fromkeys(logs(stack)))
        if not places and "--logs" not in arguments:
            raise verbs.Failure(
                f"Stack {stack.name} reads no bucket, only CloudTrail's events. If a trail writes to a bucket: "
                f"python3 scripts/denial_watch.py investigate --logs s3://BUCKET/PREFIX/ {shlex.join(arguments)}"
            )
        options += [option for place in places for option in ("--logs", place)]
    return [binary, verb, *options, *arguments]


def environment(stack):
    """Where the stack is, whatever the shell says."""
    return os.environ | {"AWS_REGION": stack.region}


def main(arguments=None, stack=None):
    parser = verbs.parser(__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("verb", choices=["status", "explain", "investigate", "mute", "unmute", "mutes"])
    arguments, handed_on = parser.parse_known_args() if arguments is None else arguments
    stack = stack or verbs.Stack.of(arguments)
    run = command(stack, arguments.verb, handed_on)
    if run is None:
        raise verbs.Failure("denial-watch has not been built: make tools builds it.")
    return subprocess.run(run, env=environment(stack)).returncode


if __name__ == "__main__":
    verbs.run(main)

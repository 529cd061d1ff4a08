#!/usr/bin/env python3
"""`make deploy`, `make redeploy` and `make set`.

deploy asks at most four questions, offers what the stack has now, builds and deploys. Everything
else keeps the stack's present answer, or the default in template.yaml.

redeploy builds and deploys this version with the answers that the stack has.

set changes parameters of the stack that runs, and nothing but what is named: no build, and the
template stays the one that is deployed. Without names it prints what the stack has.
"""

import difflib
import os
import pathlib
import re
import subprocess
import sys
import time

import verbs

ROOT = pathlib.Path(__file__).parents[1]
# (parameter, question); Slack's channel is asked only with a workspace.
QUESTIONS = [
    ("ExistingLogBucket", "Bucket that Bedrock logs to already (Enter creates one)"),
    ("AlertEmail", "E-mail address for alerts (Enter for none)"),
    ("SlackWorkspaceId", "Slack workspace id, such as T0123456789 (Enter for none)"),
    ("SlackChannelId", "Slack channel id, such as C0123456789"),
]
# Where Bedrock logs to: a change would blind the detector until Bedrock's configuration follows.
PLACE = {"ExistingLogBucket", "NewLogBucketName", "LogPrefix"}
# Lambda keeps this much of an account's concurrency unreserved.
UNRESERVED = 100
# Partitions whose CloudFormation knows no AWS::Chatbot resources.
WITHOUT_CHAT = ("us-gov-", "cn-")


def answers(present, chat, ask=verbs.ask):
    """The operator's answers by parameter, with those that the stack has offered."""
    given = {}
    for name, question in QUESTIONS:
        if name.startswith("Slack") and (not chat or (name == "SlackChannelId" and not given["SlackWorkspaceId"])):
            given[name] = ""
            continue
        given[name] = ask(question, present.get(name, ""))
    return given


def kept_watched(present, bucket, changes):
    """The place that Bedrock still logs to, where `changes` name another one."""
    moves = {name for name in PLACE & set(changes) if changes[name] != present.get(name, "")}
    if not moves or {"PreviousLogBucket", "PreviousLogPrefix"} & set(changes):
        return {}
    before, after = present["LogPrefix"], changes.get("LogPrefix", present["LogPrefix"])
    if present.get("PreviousLogBucket"):
        raise verbs.Failure(
            f"The last move is not done: s3://{present['PreviousLogBucket']}/{present['PreviousLogPrefix']} is still watched, and would not be. "
            "Run make enable-logging, then make set PreviousLogBucket= PreviousLogPrefix=, then move again."
        )
    # The stack's own bucket notifies the function; another's events pass through rules, which may overlap.
    own = not present.get("ExistingLogBucket")
    if own and moves == {"LogPrefix"} and f"{before}/".startswith(f"{after}/") | f"{after}/".startswith(f"{before}/"):
        raise verbs.Failure(f"LogPrefix={after}: S3 refuses two notifications for one object, so neither of {before} and {after} may contain the other.")
    return {"PreviousLogBucket": bucket, "PreviousLogPrefix": before}


def check_concurrency(client, present, changes):
    """Refuses what Lambda would refuse, before the deployment is rolled back."""
    texts = [values.get("ReservedConcurrency") or "-1" for values in (changes, present)]
    if not re.fullmatch(r"-1|[0-9]{1,5}", texts[0]):
        raise verbs.Failure(f"ReservedConcurrency={texts[0]}: expected a number, or nothing.")
    wanted, reserved = map(int, texts)
    if wanted <= max(reserved, 0):
        return
    free = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] + max(reserved, 0)
    if free - wanted < UNRESERVED:
        raise verbs.Failure(
            f"ReservedConcurrency={wanted}: the account has {free} executions left and Lambda keeps {UNRESERVED} unreserved. "
            "Leave it empty, or raise the account's limit (Service Quotas, Concurrent executions)."
        )


def named_changes(words, known):
    """NAME=value words as a dict; the value may hold further equals signs."""
    changes = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f" Did you mean {near[0]}?" if near else " make set lists them."
            raise verbs.Failure(f"{word}: expected a parameter of the stack and its value, such as Threshold=5.{hint}")
        changes[name] = value
    return changes


def change(arguments):
    stack = verbs.Stack.of(arguments)
    present = stack.parameters
    changes = named_changes(arguments.changes, sorted(present))
    changes = {name: value for name, value in changes.items() if value != present[name]}
    if not changes:
        for name in sorted(present):
            print(f"{name}={present[name]}")
        if arguments.changes:
            print("✓ the stack has these values already")
        return 0
    watched = kept_watched(present, stack.output("LogBucketName"), changes)
    if watched:
        known = set(watched) <= set(present)
        if not known:
            raise verbs.Failure("This version of the stack would be blind while you move: make redeploy first.")
        changes |= watched
    check_concurrency(stack.client("lambda"), present, changes)
    for name, value in sorted(changes.items()):
        print(f"{name}: {present[name] or '(empty)'} → {value or '(empty)'}")
    update(stack, changes, arguments)
    if changes.get("ExistingLogBucket"):
        print("Now run make watch-bucket: until then the new bucket announces nothing.")
    if watched:
        print("Now run make enable-logging: until then Bedrock logs to the old place, which stays watched.")
    return 0


def update(stack, changes, arguments):
    """Shows what would change, and changes it."""
    cloudformation = stack.client("cloudformation")
    parameters = [
        {"ParameterKey": name, "ParameterValue": changes[name]} if name in changes else {"ParameterKey": name, "UsePreviousValue": True}
        for name in stack.parameters
    ]
    name = f"set-{int(time.time())}"
    cloudformation.create_change_set(
        StackName=stack.name, ChangeSetName=name, UsePreviousTemplate=True, Parameters=parameters,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )  # fmt: skip
    while True:
        made = cloudformation.describe_change_set(StackName=stack.name, ChangeSetName=name)
        if made["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            break
        time.sleep(1)
    if made["Status"] == "FAILED":
        cloudformation.delete_change_set(StackName=stack.name, ChangeSetName=name)
        raise verbs.Failure(f"CloudFormation refuses that: {made.get('StatusReason')}")
    for one in made["Changes"]:
        resource = one["ResourceChange"]
        replaced = ", replaced" if resource.get("Replacement") == "True" else ""
        print(f"  {resource['Action'].lower()} {resource['LogicalResourceId']}{replaced}")
    if not verbs.confirmed("Change this?", arguments):
        cloudformation.delete_change_set(StackName=stack.name, ChangeSetName=name)
        raise verbs.Failure("nothing was changed")
    cloudformation.execute_change_set(StackName=stack.name, ChangeSetName=name)
    wait(stack.session, stack.name)
    print("✓ done")


def wait(session, name):
    while True:
        described = verbs.describe(session, name)
        status = described["StackStatus"]
        if not status.endswith("IN_PROGRESS"):
            break
        time.sleep(1)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise verbs.Failure(f"The stack is {status}: {described.get('StackStatusReason', 'its events in the console say why')}")


def deploy(arguments):
    session = verbs.session(arguments.region)
    who = session.client("sts").get_caller_identity()
    print(f"Stack {arguments.stack} in account {who['Account']}, {session.region_name}.")
    chat = not session.region_name.startswith(WITHOUT_CHAT)
    described = without_dead(session, arguments)
    present = {one["ParameterKey"]: one.get("ParameterValue", "") for one in (described or {}).get("Parameters", [])}
    given = answers(present, chat)
    check(session, who["Account"], described, given)
    given["Architecture"] = arguments.arch or present.get("Architecture", "arm64")
    if described:
        outputs = {one["OutputKey"]: one["OutputValue"] for one in described.get("Outputs", [])}
        given |= kept_watched(present, outputs.get("LogBucketName", ""), given)
    build_and_deploy(arguments, session.region_name, given)
    print("\nNext:")
    if given["AlertEmail"] and given["AlertEmail"] != present.get("AlertEmail"):
        print(f"  confirm the mail that AWS sends to {given['AlertEmail']} so that nobody can unsubscribe it without a login: docs/deploy.md, E-mail")
    if given["ExistingLogBucket"]:
        print("  make watch-bucket     let the bucket announce new logs")
    print("  make enable-logging   send Bedrock's logs to the bucket")
    print("  make test-alert       see an alert arrive")
    print("  make status           what is still missing")
    return 0


def without_dead(session, arguments):
    """The stack; one that could not be created is deleted first, for nothing else can be done with it."""
    described = verbs.describe(session, arguments.stack)
    status = described and described["StackStatus"]
    if status not in verbs.DEAD:
        if status and status.endswith("IN_PROGRESS"):
            raise verbs.Failure(f"The stack is {status}. Wait until it is done.")
        return described
    print(f"The stack is {status}: it can only be deleted and created anew. A log bucket that holds logs stays.")
    if not verbs.confirmed("Delete it?", arguments):
        raise verbs.Failure("nothing was changed")
    cloudformation = session.client("cloudformation")
    cloudformation.delete_stack(StackName=described["StackId"])
    while (verbs.describe(session, described["StackId"]) or {}).get("StackStatus") == "DELETE_IN_PROGRESS":
        time.sleep(1)
    left = verbs.describe(session, arguments.stack)
    if left:
        raise verbs.Failure(f"The stack is {left['StackStatus']}: {left.get('StackStatusReason', 'its events in the console say why')}")
    return None


def pattern(name):
    """What a parameter of the template may look like."""
    found = re.search(rf"(?m)^  {name}:\n(?:    .*\n)*?    AllowedPattern: (.*)\n    ConstraintDescription: (.*)$", (ROOT / "template.yaml").read_text())
    return found[1], found[2]


def check(session, account, described, given):
    """Refuses what CloudFormation would refuse after ten minutes of building."""
    for name, value in given.items():
        allowed, expected = pattern(name)
        if not re.search(allowed, value):
            raise verbs.Failure(f"{name}={value}: expected {expected}.")
    if given["SlackWorkspaceId"] and not given["SlackChannelId"]:
        raise verbs.Failure("Slack needs a channel too, such as C0123456789.")
    existing, made = given["ExistingLogBucket"], f"bedrock-logs-{account}-{session.region_name}"
    if existing and bucket(session, existing) == 404:
        raise verbs.Failure(f"There is no bucket {existing}. Enter creates one.")
    if not existing and not described and bucket(session, made) == 200:
        raise verbs.Failure(f"There is a bucket {made} already, from an earlier stack: answer it as the bucket that Bedrock logs to.")


def bucket(session, name):
    """200 where it exists, 404 where it does not, 403 where that may not be known."""
    from botocore.exceptions import ClientError

    try:
        session.client("s3").head_bucket(Bucket=name)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    return 200


def redeploy(arguments):
    stack = verbs.Stack.of(arguments)
    if "CodeBucket" in stack.parameters:
        raise verbs.Failure("This stack came from dist/template.json: update it the same way, with the new zip under a new key.")
    build_and_deploy(arguments, stack.region, {"Architecture": stack.parameters["Architecture"]})
    return 0


def build_and_deploy(arguments, region, given):
    """sam takes what is not said here from the stack, and from the template what is new."""
    template = without_chat() if region.startswith(WITHOUT_CHAT) else ROOT / "template.yaml"
    run([arguments.sam, "build", "--template-file", str(template), "--parameter-overrides", f"Architecture={given['Architecture']}"])
    overrides = [f"{name}={value}" if value else f'{name}=""' for name, value in given.items()]
    run([
        arguments.sam, "deploy", "--stack-name", arguments.stack, "--region", region,
        "--no-confirm-changeset", "--parameter-overrides", *overrides,
    ])  # fmt: skip
    verbs.save_region(region)


def run(command):
    if subprocess.run(command, cwd=ROOT).returncode:
        raise verbs.Failure(f"{pathlib.Path(command[0]).name} {command[1]} failed, see above")


def without_chat():
    """template.yaml without the resource types that CloudFormation does not know in this partition."""
    text = (ROOT / "template.yaml").read_text()
    text = re.sub(r"(?m)^  (?:Slack|Teams)Channel:\n    Type: AWS::Chatbot::(?:.*\n)(?:    .*\n|\n)*", "", text)
    path = ROOT / ".template-without-chat.yaml"
    path.write_text(text)
    return path


def main():
    parser = verbs.parser(__doc__.splitlines()[0])
    verb = parser.add_subparsers(dest="verb", required=True)
    deploying = verb.add_parser("deploy")
    deploying.add_argument("--arch", choices=["arm64", "x86_64"], help="processor of the function (default: the stack's, else arm64)")
    for building in (deploying, verb.add_parser("redeploy")):
        building.add_argument("--sam", default="sam", help="the sam to call")
    verb.add_parser("set").add_argument("changes", nargs="*", metavar="NAME=VALUE")
    arguments = parser.parse_args()
    return {"deploy": deploy, "redeploy": redeploy, "set": change}[arguments.verb](arguments)


if __name__ == "__main__":
    verbs.run(main)

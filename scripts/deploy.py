#!/usr/bin/env python3
"""`make deploy`, `make redeploy`, `make set` and `make delete`.

deploy looks at what is there, asks at most seven questions and offers what it found, builds and deploys. It takes
any parameter as NAME=VALUE instead. Without a terminal, or with --yes, what it found and the defaults answer.

redeploy builds and deploys this version with the answers that the stack has, those of version 0.1 too.

set changes parameters of the stack that runs, and nothing but what is named: no build, and the
template stays the one that is deployed. Without names it prints what the stack has.

delete deletes the stack, which is protected from being deleted otherwise.
"""

import difflib
import pathlib
import re
import subprocess
import sys
import time

import add_on
import look
import verbs

ROOT = pathlib.Path(__file__).parents[1]
# (parameter, question). The place of the log is one: bucket and prefix.
QUESTIONS = [
    ("LogBucketName", "Bucket and prefix of Bedrock's log, as bucket/prefix (- creates a bucket, none reads no log)"),
    ("LogBucketKmsKeyArn", "KMS key of that bucket (Enter for none)"),
    ("AlertEmail", "Email address for alerts (Enter for none)"),
    ("RuleSettings", "Settings of rules, such as denied-model.threshold=5 (Enter for the defaults)"),
    ("CloudTrail", "CloudTrail: events, files, both or no"),
    ("EveryAlert", "Each alert to a second topic, for programs: yes or no"),
    ("PermissionsBoundaryArn", "Permissions boundary for the stack's roles (Enter for none)"),
]
# Lambda keeps this much of an account's concurrency unreserved.
UNRESERVED = 100
# Parameters of version 0.1 that are settings of one rule now.
SETTINGS = {"Threshold": ("threshold", "3", ""), "WindowMinutes": ("window", "60", "m"), "CooldownMinutes": ("cooldown", "", "m")}


def template():
    """template.yaml as data; sam's own packages read it."""
    from samtranslator.yaml_helper import yaml_parse

    return yaml_parse((ROOT / "template.yaml").read_text())


def place(text):
    """(bucket, prefix or None) of bucket/prefix, with s3:// or without."""
    bucket, _, prefix = text.removeprefix("s3://").strip("/").partition("/")
    return bucket, prefix or None


def found(session, account):
    """What the account has already, as answers: where Bedrock logs to, and that bucket's key."""
    there = look.logs_to(look.logging_configuration(session.client("bedrock")))
    if not there:
        return {}
    bucket, prefix = there
    answers = {"LogBucketName": bucket, "LogPrefix": look.log_prefix(prefix, account)}
    if look.bucket(session.client("s3"), bucket) == 200:
        key = look.key_of(session.client("s3"), bucket)
        if key.startswith("arn:") and ":key/" in key:
            answers["LogBucketKmsKeyArn"] = key
    return answers


def offers(parameters, described, there, present):
    """The answers that Enter takes: what the stack has, else what was found, else the defaults."""
    return {name: str(one["Default"]) for name, one in parameters.items() if "Default" in one} | ({} if described else there) | present


def answers(offered, named, ask=None):
    """An answer to each question: what is named, else the operator's, else what is offered."""
    given = dict(named)
    for name, question in QUESTIONS:
        if name in named:
            continue
        default = offered.get(name, "")
        if name == "LogBucketName":
            prefix = named.get("LogPrefix", offered.get("LogPrefix"))
            shown = f"{default}/{prefix}" if default not in ("", "none") and prefix else default
            bucket, given_prefix = place(ask(question, shown) if ask else shown)
            given[name] = bucket
            if "LogPrefix" not in named and (given_prefix or prefix):
                given["LogPrefix"] = given_prefix or prefix
        elif name == "LogBucketKmsKeyArn" and given["LogBucketName"] == "none":
            given[name] = ""
        else:
            given[name] = ask(question, default) if ask else default
    return given


def migrated(present):
    """The answers that a stack has, those of version 0.1 by today's names, and what it has beside them: add-ons."""
    if "Threshold" not in present:
        return present, []
    now = {name: value for name, value in present.items() if value and name not in SETTINGS}
    now["LogBucketName"] = now.pop("ExistingLogBucket", "")
    settings = [
        f"denied-model.{setting}={present[name]}{unit}" for name, (setting, default, unit) in SETTINGS.items() if present.get(name, "") not in (default, "", "0")
    ]
    if present.get("Threshold") == "0":
        settings.insert(0, "denied-model.threshold=0")
    now["RuleSettings"] = ",".join([*settings, *filter(None, [now.get("RuleSettings")])])
    files, events = present.get("CloudTrailBucket"), present.get("CloudTrailEvents") != "no"
    now["CloudTrail"] = "both" if files and events else "files" if files else "events" if events else "no"
    if now.get("SilenceHours") == "0":
        now["SilenceHours"] = "72"
    if now.get("ReservedConcurrency") in ("1", "2", "3", "4"):
        now["ReservedConcurrency"] = "5"
    extra = []
    if files:
        extra.append(("source", {"Name": "trail", "Kind": "cloudtrail", "Bucket": files, "Prefix": present["CloudTrailPrefix"], "KmsKeyArn": present.get("CloudTrailKmsKeyArn", "")}))
    if present.get("PreviousLogBucket"):
        extra.append(("source", {"Name": "old", "Kind": "invocation-log", "Bucket": present["PreviousLogBucket"], "Prefix": present["PreviousLogPrefix"]}))
    chat = {name: now[name] for name in ("SlackWorkspaceId", "SlackChannelId", "TeamsTenantId", "TeamsTeamId", "TeamsChannelId") if now.get(name)}
    if chat:
        extra.append(("chat", chat | {"MoreTopicArns": present.get("MoreTopicArns", "")}))
    if present.get("Dashboard") == "yes":
        extra.append(("dashboard", {}))
    return now, extra


def left_behind(stack, changes):
    """The place that Bedrock still logs to, where `changes` name another bucket: one more source, or None."""
    present = stack.parameters
    moves = {name for name in ("LogBucketName", "NewLogBucketName", "LogPrefix") if name in changes and changes[name] != present.get(name, "")}
    own = present.get("LogBucketName", "") == ""
    # The stack's own bucket is read under whatever prefix.
    if not moves or present.get("LogBucketName") == "none" or (own and moves == {"LogPrefix"}):
        return None
    source = {"Name": "old", "Kind": "invocation-log", "Bucket": stack.output("LogBucketName"), "Prefix": present["LogPrefix"]}
    if present.get("LogBucketKmsKeyArn"):
        source["KmsKeyArn"] = present["LogBucketKmsKeyArn"]
    old = verbs.describe(stack.session, f"{stack.name}-old")
    if old:
        where = next((one["OutputValue"] for one in old.get("Outputs", []) if one["OutputKey"] == "Source"), "the old place")
        raise verbs.Failure(
            f"The last move is not done: {where} is still read, by the stack {stack.name}-old. "
            f"Run make enable-logging; once logs come to the new place, delete that stack and move again."
        )
    return source


def check_concurrency(client, present, changes):
    """Refuses what Lambda would refuse, before the deployment is rolled back."""
    texts = [values.get("ReservedConcurrency") or "-1" for values in (changes, present)]
    if not re.fullmatch(r"-1|[0-9]{1,5}", texts[0]):
        raise verbs.Failure(f"ReservedConcurrency={texts[0]}: expected a number, or nothing.")
    wanted, reserved = map(int, texts)
    if wanted <= max(reserved, 0):
        return
    free = look.free_executions(client) + max(reserved, 0)
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
            raise verbs.Failure(f"{word}: expected a parameter of the stack and its value, such as SilenceHours=24.{hint}")
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
    if "Threshold" in present:
        raise verbs.Failure("This stack is of version 0.1, whose parameters have other names: make redeploy first.")
    source = left_behind(stack, changes)
    check_concurrency(stack.client("lambda"), present, changes)
    for name, value in sorted(changes.items()):
        print(f"{name}: {present[name] or '(empty)'} → {value or '(empty)'}")
    if source:
        print(f"s3://{source['Bucket']}/{source['Prefix']} stays read meanwhile, by a stack {stack.name}-old.")
    if source and not verbs.confirmed("Create that stack first?", arguments):
        raise verbs.Failure("nothing was changed")
    if source:
        add_on.put(stack, "source", source)
    update(stack, changes, arguments)
    if changes.get("LogBucketName") not in (None, "", "none"):
        print("Now run make watch-bucket: until then the new bucket announces nothing.")
    if source:
        print("Now run make enable-logging MOVE=" + source["Bucket"] + ": until then Bedrock logs to the old place.")
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
    try:
        agreed = verbs.confirmed("Change this?", arguments)
    except verbs.Failure:
        cloudformation.delete_change_set(StackName=stack.name, ChangeSetName=name)
        raise
    if not agreed:
        cloudformation.delete_change_set(StackName=stack.name, ChangeSetName=name)
        raise verbs.Failure("nothing was changed")
    cloudformation.execute_change_set(StackName=stack.name, ChangeSetName=name)
    verbs.wait(stack.session, stack.name)
    print("✓ done")


def deploy(arguments):
    session = verbs.session(arguments.region)
    account = session.client("sts").get_caller_identity()["Account"]
    print(f"Stack {arguments.stack} in account {account}, {session.region_name}.")
    parameters = template()["Parameters"]
    named = named_changes(arguments.changes, sorted(parameters))
    if arguments.arch:
        named["Architecture"] = arguments.arch
    described = without_dead(session, arguments)
    present, extra = migrated(verbs.parameters_of(described))
    try:
        there = found(session, account)
    except Exception as error:
        # Who may not look at Bedrock can still deploy.
        if verbs.explained(error) is None:
            raise
        there = {}
        print(f"? Bedrock's logging could not be looked at: {verbs.explained(error)}")
    offered = offers(parameters, described, there, present)
    asks = not arguments.yes and sys.stdin.isatty()
    given = {name: value for name, value in present.items() if name in parameters} | answers(offered, named, verbs.ask if asks else None)
    check(session, account, parameters, described, given, there)
    check_concurrency(session.client("lambda"), present, given)
    if described:
        stack = verbs.Stack(arguments.stack, session)
        source = None if extra or "Threshold" in stack.parameters else left_behind(stack, given)
        if source:
            add_on.put(stack, "source", source)
    build_and_deploy(arguments, session, given)
    finish(arguments, session, extra)
    stack = verbs.Stack(arguments.stack, session)
    print("\nNext:")
    if given["AlertEmail"] and given["AlertEmail"] != present.get("AlertEmail"):
        print(f"  confirm the mail that AWS sends to {given['AlertEmail']} so that no one can unsubscribe it without a login: docs/deploy.md, Email")
    if given["LogBucketName"] not in ("", "none") and not look.notified(session.client("s3"), given["LogBucketName"], stack.output("FunctionArn"))[0]:
        print("  make watch-bucket     let the bucket announce new logs")
    if given["LogBucketName"] != "none" and there.get("LogBucketName") != stack.outputs.get("LogBucketName"):
        print("  make enable-logging   send Bedrock's logs to the bucket")
    if given["CloudTrail"] in ("files", "both") and not verbs.sources(stack):
        print("  make add-source Bucket=… Prefix=…   read CloudTrail's log files")
    print("  make test-alert       see an alert arrive")
    print("  make status           what is still missing")
    return 0


def finish(arguments, session, extra):
    """What comes after the template: protection from deletion, and the add-ons that version 0.1 had inside."""
    session.client("cloudformation").update_termination_protection(StackName=arguments.stack, EnableTerminationProtection=True)
    stack = verbs.Stack(arguments.stack, session)
    for kind, given in extra:
        if kind == "chat":
            more = given.pop("MoreTopicArns")
            given["TopicArns"] = ",".join([stack.output("TopicArn"), stack.output("TamperChatTopicArn"), *filter(None, [more])])
        add_on.put(stack, kind, given)
        if kind == "source":
            print(f"Objects that came while the stack changed: make redrive OBJECTS=s3://{given['Bucket']}/{given['Prefix']}, with --since as docs/operate.md says")


def delete_and_wait(session, described, name):
    """Deletes the stack and waits; fails with CloudFormation's reason if it is still there."""
    session.client("cloudformation").delete_stack(StackName=described["StackId"])
    while (verbs.describe(session, described["StackId"]) or {}).get("StackStatus") == "DELETE_IN_PROGRESS":
        time.sleep(1)
    left = verbs.describe(session, name)
    if left:
        raise verbs.Failure(f"The stack is {left['StackStatus']}: {left.get('StackStatusReason', 'its events in the console say why')}")


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
    delete_and_wait(session, described, arguments.stack)
    return None


def check(session, account, parameters, described, given, there):
    """Refuses what CloudFormation would refuse after ten minutes of building, and what would read nothing."""
    for name, value in given.items():
        one = parameters[name]
        if "AllowedPattern" in one and not re.search(one["AllowedPattern"], value):
            raise verbs.Failure(f"{name}={value}: expected {one['ConstraintDescription']}.")
        if "AllowedValues" in one and value not in map(str, one["AllowedValues"]):
            raise verbs.Failure(f"{name}={value}: expected one of {', '.join(map(str, one['AllowedValues']))}.")
        if one["Type"] == "Number" and not (value.isdigit() and one.get("MinValue", 0) <= int(value) <= one.get("MaxValue", int(value))):
            raise verbs.Failure(f"{name}={value}: expected a number from {one.get('MinValue', 0)} to {one.get('MaxValue', 'many')}.")
    named = given["LogBucketName"]
    if named == "none" and given["CloudTrail"] == "no":
        raise verbs.Failure("Nothing would be read: LogBucketName=none needs CloudTrail.")
    s3 = session.client("s3")
    if named not in ("", "none"):
        wanted = given.get("LogBucketKmsKeyArn", "")
        wrong = look.unreadable(s3, named, wanted, "LogBucketKmsKeyArn")
        if wrong:
            raise verbs.Failure(f"{wrong} LogBucketName= creates a bucket instead.")
        key = look.key_of(s3, named)
        if wanted and not (key and look.same_key(key, wanted)):
            print(f"? {named} encrypts with {key or 'SSE-S3'}, not with LogBucketKmsKeyArn. Objects that name their own key may still need it.")
    if named == "" and not described:
        if there:
            raise verbs.Failure(
                f"Bedrock logs to s3://{there['LogBucketName']}/{there['LogPrefix']} already, and a new bucket would get nothing. "
                f"Say LogBucketName={there['LogBucketName']} LogPrefix={there['LogPrefix']}, which moves nothing."
            )
        made = given.get("NewLogBucketName") or f"bedrock-logs-{account}-{session.region_name}"
        seen = look.bucket(s3, made)
        if seen == 200:
            raise verbs.Failure(f"There is a bucket {made} already, from an earlier stack: LogBucketName={made} reads it.")
        if seen == 403:
            raise verbs.Failure(f"The name {made} belongs to another account: say NewLogBucketName=….")


def redeploy(arguments):
    stack = verbs.Stack.of(arguments)
    if "CodeBucket" in stack.parameters or "CodeBucketPrefix" in stack.parameters:
        raise verbs.Failure("This stack came from dist/template.json: update it the same way, with the new zip under a new key.")
    parameters = template()["Parameters"]
    present, extra = migrated(stack.parameters)
    given = {name: value for name, value in present.items() if name in parameters} if extra or "Threshold" in stack.parameters else {}
    build_and_deploy(arguments, stack.session, given | {"Architecture": stack.parameters["Architecture"]})
    finish(arguments, stack.session, extra)
    return 0


def build_and_deploy(arguments, session, given):
    """sam takes what is not said here from the stack, and from the template what is new."""
    run([arguments.sam, "build", "--template-file", str(ROOT / "template.yaml"), "--parameter-overrides", f"Architecture={given['Architecture']}"])
    overrides = [f"{name}={value}" if value else f'{name}=""' for name, value in given.items()]
    run([
        arguments.sam, "deploy", "--stack-name", arguments.stack, "--region", session.region_name,
        "--no-confirm-changeset", "--parameter-overrides", *overrides,
    ])  # fmt: skip
    verbs.save_region(session.region_name)


def run(command):
    if subprocess.run(command, cwd=ROOT).returncode:
        raise verbs.Failure(f"{pathlib.Path(command[0]).name} {command[1]} failed, see above")


def delete(arguments):
    session = verbs.session(arguments.region)
    described = verbs.describe(session, arguments.stack)
    if described is None:
        raise verbs.Failure(f"There is no stack {arguments.stack} in {session.region_name}.")
    others = [one.stack for one in verbs.sources(verbs.Stack(arguments.stack, session))] if described.get("Outputs") else []
    if others:
        raise verbs.Failure(f"{', '.join(others)} add to this stack's role: delete them first (aws cloudformation delete-stack).")
    print(f"Stack {arguments.stack} in {session.region_name}: function, table, topic and rules. A log bucket that it made is kept.")
    if not verbs.confirmed("Delete it?", arguments):
        raise verbs.Failure("nothing was changed")
    session.client("cloudformation").update_termination_protection(StackName=arguments.stack, EnableTerminationProtection=False)
    delete_and_wait(session, described, arguments.stack)
    print("✓ deleted. Bedrock goes on logging: aws bedrock delete-model-invocation-logging-configuration turns it off")
    return 0


def main():
    parser = verbs.parser(__doc__.splitlines()[0])
    verb = parser.add_subparsers(dest="verb", required=True)
    deploying = verb.add_parser("deploy")
    deploying.add_argument("--arch", choices=["arm64", "x86_64"], help="processor of the function (default: the stack's, else arm64)")
    deploying.add_argument("changes", nargs="*", metavar="NAME=VALUE")
    for building in (deploying, verb.add_parser("redeploy")):
        building.add_argument("--sam", default="sam", help="the sam to call")
    verb.add_parser("set").add_argument("changes", nargs="*", metavar="NAME=VALUE")
    verb.add_parser("delete")
    arguments = parser.parse_args()
    return {"deploy": deploy, "redeploy": redeploy, "set": change, "delete": delete}[arguments.verb](arguments)


if __name__ == "__main__":
    verbs.run(main)

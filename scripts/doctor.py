#!/usr/bin/env python3
"""`make doctor`: what a deployment would meet, before it, one line each. It changes nothing.

It takes the parameters that you would give to `make deploy`: make doctor LogBucketName=my-logs SlackWorkspaceId=T…
✓ OK, ✗ would fail or read nothing (exit status 1), · info, ? could not check.
"""

import deploy
import look
import verbs
from status import Report, keys, management


def stack_state(report, session, name):
    described = verbs.describe(session, name)
    status = described and described["StackStatus"]
    if not described:
        report.note(f"there is no stack {name} in {session.region_name} yet")
    elif status in verbs.DEAD:
        report.bad(f"the stack {name} is {status}", "make deploy offers to delete it and creates it anew")
    elif status.endswith("IN_PROGRESS"):
        report.bad(f"the stack {name} is {status}", "wait until it is done")
    else:
        report.note(f"the stack {name} is there ({status}); make deploy updates it")
    return described


def answers(report, session, account, parameters, described, given, there):
    try:
        deploy.check(session, account, parameters, described, given, there)
        report.good("the answers are what the template accepts")
    except verbs.Failure as failure:
        report.bad("make deploy would refuse", str(failure))


def logging(report, bedrock, given):
    configuration = look.logging_configuration(bedrock)
    there = look.logs_to(configuration)
    if given["LogBucketName"] == "none":
        report.note("no invocation log is read (LogBucketName=none)")
    elif there:
        report.good(f"Bedrock logs to s3://{there[0]}/{there[1]}, which make deploy offers")
        if not configuration.get("textDataDeliveryEnabled", True):
            report.bad("Bedrock logs no text, so records of text models may be missing", "make enable-logging, after the deployment")
    else:
        report.note("Bedrock does not log to S3 yet: make enable-logging, after the deployment")


def bucket(report, session, given):
    name = given["LogBucketName"]
    if name in ("", "none"):
        return
    s3 = session.client("s3")
    if look.bucket(s3, name) != 200:
        return  # said already
    region = s3.get_bucket_location(Bucket=name).get("LocationConstraint") or "us-east-1"
    if region != session.region_name:
        report.bad(f"{name} is in {region}", f"Bedrock logs within a region: deploy there (AWS_REGION={region}), or name a bucket of {session.region_name}")
    by_events, _ = look.notified(s3, name, "")
    (report.good if by_events else report.note)(f"{name} sends its events to EventBridge" if by_events else f"{name} does not announce new objects yet: make watch-bucket, after the deployment")
    keys(report, session.client, name, given.get("LogBucketKmsKeyArn", ""))


def trail(report, session, account, wanted):
    do = "aws cloudtrail create-trail, or CloudTrail=no; tamper notices need one, too" if wanted else "tamper notices need one: aws cloudtrail create-trail"
    management(report, list(look.trails(session.client("cloudtrail"), account)), do)


def concurrency(report, client, present, given):
    try:
        deploy.check_concurrency(client, present, given)
        report.good(f"concurrency: {look.free_executions(client)} executions of the account are unreserved")
    except verbs.Failure as failure:
        report.bad("Lambda would refuse the reservation", str(failure))


def boundary(report, iam, arn):
    from botocore.exceptions import ClientError

    if not arn:
        report.note("no permissions boundary is named: where your organization requires one, the roles cannot be created without (PermissionsBoundaryArn=…)")
        return
    try:
        iam.get_policy(PolicyArn=arn)
        report.good("the permissions boundary exists")
    except ClientError as error:
        if look.code(error) != "NoSuchEntity":
            raise
        report.bad(f"there is no policy {arn}", "PermissionsBoundaryArn=… names it")


def chat(report, session, workspace, channel):
    wrong = look.slack(session.client("chatbot", region_name="us-east-2"), workspace, channel)
    if wrong:
        report.bad("chat would fail", wrong)
    else:
        report.good(f"the Slack workspace {workspace} is authorized, and the channel is free")


def main(arguments=None, session=None):
    parser = verbs.parser(__doc__.splitlines()[0])
    parser.add_argument("changes", nargs="*", metavar="NAME=VALUE")
    arguments = arguments or parser.parse_args()
    session = session or verbs.session(arguments.region)
    account = session.client("sts").get_caller_identity()["Account"]
    report = Report()
    report.good(f"credentials of account {account}, {session.region_name}")
    parameters = deploy.template()["Parameters"]
    named = deploy.named_changes(arguments.changes, [*parameters, "SlackWorkspaceId", "SlackChannelId"])
    slack = {name: named.pop(name) for name in ("SlackWorkspaceId", "SlackChannelId") if name in named}
    described = stack_state(report, session, arguments.stack)
    present, _ = deploy.migrated(verbs.parameters_of(described))
    there = {}
    report.check("Bedrock's logging", lambda _: there.update(deploy.found(session, account)))
    given = deploy.answers(deploy.offers(parameters, described, there, present), named)
    report.check("answers", answers, session, account, parameters, described, given, there)
    report.check("Bedrock's logging", lambda report: logging(report, session.client("bedrock"), given))
    report.check("bucket", bucket, session, given)
    report.check("trail", trail, session, account, given["CloudTrail"] != "no")
    report.check("concurrency", lambda report: concurrency(report, session.client("lambda"), present, given))
    report.check("boundary", lambda report: boundary(report, session.client("iam"), given["PermissionsBoundaryArn"]))
    if slack:
        report.check("chat", chat, session, slack.get("SlackWorkspaceId", ""), slack.get("SlackChannelId", ""))
    return 1 if report.wrong else 0


if __name__ == "__main__":
    verbs.run(main)

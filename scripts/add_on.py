#!/usr/bin/env python3
"""`make add-source`, `make add-chat` and `make add-dashboard`: a template of deploy/ beside the stack.

What the template takes from the stack's outputs is filled in. The add-on is its own stack, named after the
detector's; calling it again changes it.
"""

import pathlib
import re

import look
import verbs

ROOT = pathlib.Path(__file__).parents[1]


def names(text):
    """The parameters of a template, in its order."""
    return re.findall(r"(?m)^  (\w+):", text[text.index("\nParameters:\n") + 13 : text.index("\n\n", text.index("\nParameters:\n"))])


def put(stack, kind, given):
    """Creates or updates the add-on; returns the name of its stack."""
    text = (ROOT / "deploy" / f"{kind}.yaml").read_text()
    known = names(text)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise verbs.Failure(f"{unknown[0]}: deploy/{kind}.yaml has no such parameter. It takes {', '.join(known)}.")
    of_stack = {name: stack.outputs.get(name, stack.parameters.get(name, "")) for name in known if name in {**stack.outputs, **stack.parameters}}
    given = {name: value for name, value in (of_stack | given).items() if name in known}
    suffix = given.get("Name", "trail") if kind == "source" else kind
    name = f"{stack.name}-{suffix}"
    cloudformation = stack.client("cloudformation")
    parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
    exists = verbs.describe(stack.session, name)
    call = cloudformation.update_stack if exists else cloudformation.create_stack
    print(f"{'Changing' if exists else 'Creating'} the stack {name} …")
    try:
        call(StackName=name, TemplateBody=text, Capabilities=["CAPABILITY_IAM"], Parameters=parameters)
    except cloudformation.exceptions.ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise
    verbs.wait(stack.session, name)
    print(f"✓ {name}")
    return name


def check(stack, kind, given):
    """Refuses what would fail, or read nothing."""
    if kind == "source":
        missing = [name for name in ("Bucket", "Prefix") if not given.get(name)]
        if missing:
            raise verbs.Failure(f"{missing[0]} is missing: make add-source Bucket=my-trail Prefix=AWSLogs/111122223333/CloudTrail/us-east-1")
        wrong = look.unreadable(stack.client("s3"), given["Bucket"], given.get("KmsKeyArn"), "KmsKeyArn")
        if wrong:
            raise verbs.Failure(wrong)
    if kind == "chat" and not (given.get("SlackWorkspaceId") or given.get("TeamsTenantId")):
        raise verbs.Failure("Which channel? make add-chat SlackWorkspaceId=T… SlackChannelId=C…, or TeamsTenantId=… TeamsTeamId=… TeamsChannelId=…")
    if kind == "chat" and given.get("SlackWorkspaceId"):
        wrong = look.slack(stack.session.client("chatbot", region_name="us-east-2"), given["SlackWorkspaceId"], given.get("SlackChannelId", ""))
        if wrong:
            raise verbs.Failure(f"{wrong}.")


def main():
    parser = verbs.parser(__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["source", "chat", "dashboard"])
    parser.add_argument("given", nargs="*", metavar="NAME=VALUE")
    arguments = parser.parse_args()
    stack = verbs.Stack.of(arguments)
    given = dict(word.partition("=")[::2] for word in arguments.given)
    if arguments.kind == "chat":
        given.setdefault("TopicArns", f"{stack.output('TopicArn')},{stack.output('TamperChatTopicArn')}")
    check(stack, arguments.kind, given)
    put(stack, arguments.kind, given)
    if arguments.kind == "source":
        print(f"Now run make watch-bucket BUCKET={given['Bucket']}: until then it announces nothing.")
    return 0


if __name__ == "__main__":
    verbs.run(main)

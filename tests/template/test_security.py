"""SECURITY.md lists what each role may do, in full: written from the templates. BLESS=1 writes it."""

import json
import os
import re

import stack

PAGE = stack.ROOT / "SECURITY.md"
BEGIN, END = "<!-- roles: written by BLESS=1 make test-template -->\n", "<!-- /roles -->\n"


def text(value):
    """An ARN or a reference, as a person would write it."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(text, value)))
    if isinstance(value, str):
        return f"`{value}`"
    [(function, inner)] = value.items()
    if function == "Fn::If":
        return f"{text(inner[1])}, or {text(inner[2])}" if "AWS::NoValue" not in json.dumps(inner[2]) else f"{text(inner[1])} ({inner[0]})"
    if function == "Fn::GetAtt":
        return f"`{inner[0]}`"
    if function == "Fn::Sub":
        return f"`{inner if isinstance(inner, str) else inner[0]}`"
    return f"`{inner}`"


def rows(template, of):
    for name, one in template["Resources"].items():
        if one["Type"] not in ("AWS::IAM::Role", "AWS::IAM::Policy"):
            continue
        properties = one["Properties"]
        policies = properties.get("Policies", [{"PolicyDocument": properties["PolicyDocument"]}] if "PolicyDocument" in properties else [])
        role = f"`{name}`" if one["Type"] == "AWS::IAM::Role" else "`FunctionRole`, more"
        if not policies:
            yield f"| {role}{of} | | nothing | | |"
        for statement in (one for policy in policies for one in policy["PolicyDocument"]["Statement"]):
            when, statement = (statement["Fn::If"][0], statement["Fn::If"][1]) if "Fn::If" in statement else ("", statement)
            through = statement.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService")
            only = ", ".join(filter(None, [f"if {when}" if when else "", f"through {text(through)}" if through else ""]))
            effect = "**denied** " if statement["Effect"] == "Deny" else ""
            yield f"| {role}{of} | {statement.get('Sid', '')} | {effect}{text(statement['Action'])} | {text(statement['Resource'])} | {only} |"


def table():
    lines = ["| role | statement | actions | on | only |", "|---|---|---|---|---|", *rows(stack.template(), "")]
    for name in ("source", "chat", "organization-member"):
        lines += rows(stack.add_on(name), f" ([{name}](deploy/{name}.yaml))")
    return "\n".join(lines) + "\n"


def test_the_page_lists_each_role_in_full():
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    written = before + BEGIN + table() + END + after
    if os.environ.get("BLESS"):
        PAGE.write_text(written)
    assert page == written or os.environ.get("BLESS"), "BLESS=1 make test-template writes it"


def test_every_action_in_a_template_is_in_the_table():
    shown = table()
    for template in [stack.template(), *map(stack.add_on, ["source", "chat", "organization-member"])]:
        for one in template["Resources"].values():
            if one["Type"].startswith("AWS::IAM::"):
                policies = json.dumps([one["Properties"].get("Policies"), one["Properties"].get("PolicyDocument")])
                for action in re.findall(r'"((?:s3|kms|sqs|sns|dynamodb|events|logs|iam|lambda|sts):[A-Za-z*]+)"', policies):
                    # kms:ViaService is a condition's key.
                    assert f"`{action}`" in shown or action == "kms:ViaService", action

"""The EventBridge pattern of template.yaml, written from the rules that are on by default.

It lets in the CloudTrail records that these rules may count, and no others. Run it after you change a rule's
`[[record]]`: it writes the pattern into template.yaml, between two comments.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = [ROOT / "template.yaml", ROOT / "deploy/organization-member.yaml"]
BLOCK = re.compile(
    r"(?<=# Written by scripts/event_pattern\.py\.\n).*?(?=^ *# End of what is written\.)", re.DOTALL | re.MULTILINE
)
# Only AWS can send events whose source begins so; anyone who may call PutEvents can send others.
AWS = "aws."
# What CloudTrail writes for Bedrock's code.
SPELLINGS = {"AccessDeniedException": ["AccessDenied", "AccessDeniedException"]}
PREFIXES = {"long-term": "AKIA", "temporary": "ASIA"}


def model_calls():
    """The operations that call a model, as the reader knows them."""
    source = (ROOT / "src/call/cloudtrail.rs").read_text()
    table = re.search(r"MODEL_CALLS.*?= \[(.*?)^\];", source, re.DOTALL | re.MULTILINE)[1]
    return [name for name in re.findall(r'"(\w+)"', table)]


def globs(patterns):
    """Globs as EventBridge writes them: a star at the end is a prefix."""
    return [{"prefix": one.removesuffix("*")} if one.endswith("*") else one for one in patterns]


def branch(record):
    """The events that one `[[record]]` may count."""
    detail, identity = {}, {}
    services, excluded = record.get("services"), record.get("services_not")
    if excluded:
        source, detail["eventSource"] = [{"prefix": AWS}], [{"anything-but": one} for one in globs(excluded)]
    elif services:
        source = [{"prefix": AWS + one["prefix"]} if isinstance(one, dict) else AWS + one for one in globs(services)]
    else:
        source = ["aws.bedrock", "aws.bedrock-mantle"]
        detail["eventName"] = record.get("operations") or model_calls()
    if record.get("error_codes"):
        detail["errorCode"] = [one for code in record["error_codes"] for one in SPELLINGS.get(code, [code])]
    elif record.get("causes") == ["quarantine"] or record.get("outcome") == "refused":
        detail["errorCode"] = SPELLINGS["AccessDeniedException"]
    elif record.get("causes") == ["impossible"]:
        detail["errorCode"] = ["ValidationException"]
    elif record.get("causes") or record.get("outcome") == "failed":
        detail["errorCode"] = [{"exists": True}]
    elif record.get("outcome") == "succeeded":
        detail["errorCode"] = [{"exists": False}]
    # The record does not always show that an API key was used.
    if not set(record.get("credential", ["api-key"])) - set(PREFIXES):
        identity["accessKeyId"] = [{"prefix": PREFIXES[one]} for one in record["credential"]]
    if record.get("users"):
        identity["userName"] = sorted({user.rsplit("/", 1)[1] for user in record["users"]})
        identity["userName"] = globs(identity["userName"])
    if record.get("on_behalf") is False:
        identity["invokedBy"] = [{"exists": False}]
    if identity:
        detail["userIdentity"] = identity
    return {"source": source, "detail": detail}


def is_in_trail(record):
    """Whether a CloudTrail event can show it: it has no bodies and no guardrails, and events know no watched callers."""
    return not {"guardrail", "finding", "min_policies_blocked", "has_body", "empty_answer", "served_after_denial"} & set(record)


def covers(one, other):
    """Whether all events of `other` are events of `one`, as far as single fields show it."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(name in other and covers(inside, other[name]) for name, inside in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return {"exists": True} in one or all(value in one for value in other)
    return one == other


def merged(branches):
    """Fewer branches: those that differ in their error codes alone become one; what another one covers is left out."""
    joined = []
    for branch in branches:
        codes = branch["detail"].get("errorCode")
        rest = lambda one: (one["source"], {name: inside for name, inside in one["detail"].items() if name != "errorCode"})
        plain = codes and all(isinstance(code, str) for code in codes)
        for other in joined:
            known = other["detail"].get("errorCode")
            if plain and known and all(isinstance(code, str) for code in known) and rest(other) == rest(branch):
                known += [code for code in codes if code not in known]
                break
        else:
            joined.append(json.loads(json.dumps(branch)))
    kept = []
    for branch in joined:
        if not any(covers(other, branch) for other in joined if other is not branch and not (branch in kept and covers(branch, other))):
            kept.append(branch)
    return kept


def records_of(rule):
    """Its `[[record]]` tables; a rule with one may write `[record]`."""
    return rule["record"] if isinstance(rule["record"], list) else [rule["record"]]


def pattern(rules):
    """The pattern of these rules, as data."""
    records = [record for rule in rules for record in records_of(rule) if is_in_trail(record)]
    return {"detail-type": ["AWS API Call via CloudTrail"], "$or": merged(map(branch, records))}


def rules_on():
    rules = [tomllib.loads(path.read_text()) for path in sorted((ROOT / "rules").glob("*.toml"))]
    return [rule for rule in rules if rule["on"]]


def written():
    """The pattern as it stands in a template."""

    class Flow(yaml.SafeDumper):
        pass

    def lists(dumper, values):
        is_branches = any("detail" in one for one in values)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=not is_branches)

    Flow.add_representer(list, lists)
    Flow.ignore_aliases = lambda *_: True
    return yaml.dump(pattern(rules_on()), Dumper=Flow, sort_keys=False, width=130)


def main():
    for template in TEMPLATES:
        text = template.read_text()
        found = BLOCK.search(text)
        if not found:
            sys.exit(f"{template.name}: expected the comments `Written by scripts/event_pattern.py.` and `End of what is written.`")
        indent = re.search(r"( *)# End of what is written", text[found.start() :])[1]
        lines = "".join(indent + line for line in written().splitlines(keepends=True))
        template.write_text(text[: found.start()] + lines + text[found.end() :])


if __name__ == "__main__":
    main()

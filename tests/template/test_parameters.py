"""PARAMETERS.md explains each parameter and variable: written from the template. BLESS=1 writes it."""

import os

import stack

PAGE = stack.ROOT / "PARAMETERS.md"
HEAD = """# Parameters

<!-- Written from template.yaml by BLESS=1 make test-template. -->

`make deploy` takes any of these as `Name=value`, and `make set` changes them later ([docs/deploy.md](docs/deploy.md)). Without
make, they are parameters of the CloudFormation stack.
"""
VARIABLES = """
## Variables of the function

With a bad value the function does not start, and logs which variable it was and what it expected.

| variable | from |
|---|---|
"""


def sources(value):
    """The parameters and resources that a variable's value names."""
    if isinstance(value, dict):
        [(function, inner)] = value.items()
        parts = [inner] if function == "Ref" else inner[1:]
        return [name for part in parts for name in (sources(part) if isinstance(part, dict) else [part])]
    return [value]


def page():
    template = stack.template()
    text = HEAD
    for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        text += f"\n## {group['Label']['default']}\n\n| parameter | default | meaning |\n|---|---|---|\n"
        for name in group["Parameters"]:
            parameter = template["Parameters"][name]
            default = f"`{parameter['Default']}`" if parameter.get("Default") not in (None, "") else ""
            text += f"| `{name}` | {default} | {parameter['Description'].strip()} |\n"
    text += VARIABLES
    for name, value in template["Resources"]["Function"]["Properties"]["Environment"]["Variables"].items():
        text += f"| `{name}` | {', '.join(f'`{one}`' for one in sources(value) if one != 'AWS::NoValue')} |\n"
    return text


def test_the_page_explains_each_parameter():
    written = page()
    if os.environ.get("BLESS"):
        PAGE.write_text(written)
    assert PAGE.read_text() == written, "BLESS=1 make test-template writes it"

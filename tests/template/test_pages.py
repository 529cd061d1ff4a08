"""What the pages say is there: each link, anchor, command, option, rule and parameter that they name exists."""

import functools
import re

import pytest
import stack

PAGES = sorted(
    path.relative_to(stack.ROOT).as_posix()
    for pattern in ["*.md", "docs/**/*.md", "events/**/*.md", "examples/**/*.md", "tests/**/*.md", "deploy/**/*.md"]
    for path in stack.ROOT.glob(pattern)
)
FENCE = re.compile(r"^```(\S*)\n(.*?)^```", re.M | re.S)


@functools.cache
def prose(page):
    """A page without its code blocks and code spans."""
    return re.sub(r"`[^`\n]*`", lambda code: code.group().replace("](", "] ("), FENCE.sub("", (stack.ROOT / page).read_text()))


@functools.cache
def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    found = []
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", (stack.ROOT / page).read_text()), re.M):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    broken = []
    definitions = re.findall(r"^\[[^\]]+\]: (\S+)$", prose(page), re.M)
    for link in [*re.findall(r"\]\(\s*([^)\s]+)\s*\)", prose(page)), *definitions]:
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = ((stack.ROOT / page).parent / path).resolve() if path else stack.ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.relative_to(stack.ROOT.resolve()).as_posix())):
            broken.append(link)
    assert not broken


def code(page):
    """Each line of a page's code blocks, and each code span."""
    text = (stack.ROOT / page).read_text()
    blocks = [line for _, block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return blocks + [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", FENCE.sub("", text))]


@functools.cache
def make_targets():
    makefile = (stack.ROOT / "Makefile").read_text()
    return {name for names in re.findall(r"^([a-z0-9 -]+):(?!=)", makefile, re.M) for name in names.split()}


@functools.cache
def options():
    """The options of `replay`, `denial-watch` and the scripts."""
    sources = "".join(path.read_text() for path in (stack.ROOT / "src/bin").rglob("*.rs"))
    named = re.findall(r'#\[arg\([^\]]*long = "([a-z-]+)"', sources)
    fields = re.findall(r"#\[arg\(long\b(?! =)[^\]]*\]\s+(?:pub )?([a-z_]+):", sources)
    scripts = "".join(path.read_text() for path in (stack.ROOT / "scripts").glob("*.py"))
    return {*named, *(name.replace("_", "-") for name in fields), *re.findall(r'"--([a-z-]+)"', scripts), "help", "version"}


# Of other programs: cargo, cargo-lambda, events/make_logs.py.
OTHERS = {"no-default-features", "x86-64", "all", "json"}
OURS = re.compile(r"^\$? ?(?:target/fast/)?(replay|denial-watch)\b|^python3 scripts/|^--")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_exists(page):
    missing = []
    for line in code(page):
        command = line.split(" # ")[0].split("  #")[0]
        missing += [f"make {name}" for name in re.findall(r"(?:^|[ $])make ([a-z][a-z-]*)", command) if name not in make_targets()]
        if OURS.match(command):
            known = options() | OTHERS
            missing += [f"--{name}" for name in re.findall(r"(?:^| )--([a-z][a-z0-9-]*)", command) if name not in known]
    assert not missing or page == "CHANGELOG.md"


@functools.cache
def parameters():
    names = set(stack.template()["Parameters"])
    for add_on in (stack.ROOT / "deploy").glob("*.yaml"):
        names |= set(stack.add_on(add_on.stem)["Parameters"])
    return names


# Variables of the Makefile, and of the shell.
VARIABLE = re.compile(r"^[A-Z_]+$")
# Only in the packaged template.
PACKAGED = {"CodeBucket", "CodeKey", "CodeBucketPrefix", "Name"}


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_parameter_and_rule_exists(page, rules):
    known, missing = parameters() | PACKAGED, []
    for line in code(page):
        if re.match(r"^\$? ?(make|[A-Z][A-Za-z]+=)", line):
            missing += [name for name in re.findall(r"(?:^| )([A-Z][A-Za-z]+)=", line) if not VARIABLE.match(name) and name not in known]
        named = re.findall(r"\b([a-z-]+)\.(?:threshold|window|cooldown|severity|exempt|on)=", line) + re.findall(r"RULE=([a-z-]+)", line)
        for chosen in re.findall(r"--(?:rules|preview) ([a-z,-]+)", line):
            named += chosen.split(",")
        missing += [name for name in named if name not in {*rules, "all", "throttled", "id"}]
    assert not missing


def test_the_readme_lists_the_rules_that_are_on(rules):
    listed = re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^\| (`[^|]*) \|", (stack.ROOT / "README.md").read_text(), re.M)))
    assert sorted(listed) == sorted(name for name, rule in rules.items() if rule["on"])


def test_every_section_that_a_message_names_exists():
    files = [*(stack.ROOT / "scripts").glob("*.py"), *(stack.ROOT / "deploy").glob("*.yaml"), stack.ROOT / "template.yaml"]
    text = re.sub(r"\s+", " ", " ".join(path.read_text() for path in files))
    named = set(re.findall(r"(docs/[a-z/]+\.md)[,:] (After a tamper notice|[A-Z][a-z]+(?: [a-z]+)*|bedrock-mantle)", text))
    assert len(named) >= 6
    headings = {page: re.findall(r"^#+ (.+)$", (stack.ROOT / page).read_text(), re.M) for page, _ in named}
    missing = [(page, name) for page, name in named if not any(heading.startswith(name) for heading in headings[page])]
    assert not missing

"""The supply chain: each dependency has a reason, and each action in the workflows is pinned to a commit."""

import pathlib
import re
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.name)
def test_an_action_is_a_commit_and_its_version_stands_beside_it(path):
    """The owner of an action's repository can move a tag."""
    actions = re.findall(r"uses: *(.*)", path.read_text())
    assert actions
    for action in actions:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", action), action


def test_each_dependency_has_a_reason():
    """In the comment above it."""
    lines = (ROOT / "Cargo.toml").read_text().splitlines()
    sections = [lines.index(f"[{name}]") for name in ("dependencies", "dev-dependencies")]
    without, seen = [], 0
    for start in sections:
        for before, line in zip(lines[start:], lines[start + 1 :]):
            if line.startswith("["):
                break
            if re.match(r"[\w-]+ = ", line):
                seen += 1
                without += [] if before.startswith("# ") else [line]
    assert without == []
    manifest = tomllib.loads("\n".join(lines))
    assert seen == len(manifest["dependencies"]) + len(manifest["dev-dependencies"])


def test_nothing_unsafe_is_written_here():
    lints = tomllib.loads((ROOT / "Cargo.toml").read_text())["lints"]
    assert lints["rust"]["unsafe_code"] == "forbid"

"""Makes each mistake of breakages.toml in a copy of the tree, and sees that the tests it names fail.

The tests must hold without the mistake. Ends with 1 when one of them does not, when a mistake is
not noticed, or when it cannot be made because the code has moved. `--some 4` makes four of them, others
for each commit. The tests run at the depth that DEPTH says: a sample must notice, too.
"""

import argparse
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPY, BUILD = ROOT / "target/mutants/tree", ROOT / "target/mutants/build"
# Built as `make test` builds it, so that what others wrote is shared.
TESTED = ["--no-default-features", "--features", "aws"]
SUITES = {"lib": [*TESTED, "--lib"], "domain": [*TESTED, "--test", "domain"], "aws": [*TESTED, "--test", "aws"]}
# Files in target/debug/deps and folders in .fingerprint and build that come from this project.
OURS = re.compile(r"(lib)?(bedrock.denial.watch|denial.watch|replay|bootstrap|domain|aws)-[0-9a-f]{16}(\.\S+)?")
# What is broken may loop, or grow.
SECONDS = 300
BYTES = 4 << 30
RESULT = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (\w+)", re.MULTILINE)


def copy_tree() -> None:
    """Brings the copy up to date, and leaves what has not changed as old as it is."""
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    for gone in [path for path in COPY.rglob("*") if path.is_file() and str(path.relative_to(COPY)) not in listed]:
        gone.unlink()
    for name in filter(None, listed):
        source, target = ROOT / name, COPY / name
        if not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode)


def share_dependencies() -> None:
    """Takes over what `make test` has built of other projects, by hard links: that saves most of a first build."""
    for part in ("deps", "build", ".fingerprint"):
        built, target = ROOT / "target/debug" / part, BUILD / "debug" / part
        if built.is_dir() and not target.exists():
            ours = lambda _, names: filter(OURS.fullmatch, names)  # noqa: E731
            shutil.copytree(built, target, symlinks=True, ignore=ours, copy_function=os.link)


def output(command: list[str], environment: dict[str, str]) -> str:
    """What the tests print, within the limits."""
    process = subprocess.Popen(
        command, cwd=COPY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES)),
    )
    try:
        return process.communicate(timeout=SECONDS)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]


def failed(tests: list[str]) -> dict[str, bool]:
    """Which of the tests fail. A suite that does not build stops everything: it proves nothing."""
    results = {}
    for suite, arguments in SUITES.items():
        names = [test.split(" ", 1)[1] for test in tests if test.startswith(suite + " ")]
        if not names:
            continue
        # One of its own: cargo would take what is built here for what is built in the tree.
        environment = os.environ | {"CARGO_TARGET_DIR": str(BUILD)}
        build = subprocess.run(
            ["cargo", "test", "--quiet", *arguments, "--no-run"],
            cwd=COPY, env=environment, capture_output=True, text=True,
        )
        if build.returncode:
            sys.exit(build.stderr)
        told = output(["cargo", "test", *arguments, "--", "--exact", *names], environment)
        found = {name: result != "ok" for name, result in RESULT.findall(told)}
        for name in names:
            if name not in found and "test result:" in told:
                sys.exit(f"{suite} {name}: there is no such test")
            # One that does not come to its end has noticed.
            results[f"{suite} {name}"] = found.get(name, True)
    return results


def rotated(breakages: list[dict], some: int) -> list[dict]:
    """So many of them, picked by the commit; all if `some` is 0."""
    if not some:
        return breakages
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    turn = sorted(breakages, key=lambda one: hashlib.sha256(f"{commit} {one['name']}".encode()).digest())
    print(f"{min(some, len(turn))} of {len(turn)} mistakes, picked by commit {commit[:12]}", flush=True)
    return turn[:some]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="breakages whose name contains this")
    parser.add_argument("--some", type=int, default=0, help="so many of them, others for each commit")
    arguments = parser.parse_args()
    listed = tomllib.loads((Path(__file__).parent / "breakages.toml").read_text())["breakage"]
    breakages = rotated([one for one in listed if arguments.only in one["name"]], arguments.some)
    copy_tree()
    share_dependencies()
    tests = sorted({test for one in breakages for test in one["tests"]})
    broken = [test for test, fails in failed(tests).items() if fails]
    if broken:
        sys.exit("these fail before anything is broken: " + ", ".join(broken))
    missed = 0
    for one in breakages:
        path = COPY / one["file"]
        good = path.read_text()
        if good.count(one["search"]) != 1:
            sys.exit(f"{one['name']}: {one['file']} does not hold what it replaces once")
        path.write_text(good.replace(one["search"], one["replace"]))
        try:
            results = failed(one["tests"])
        finally:
            path.write_text(good)
        unnoticed = [test for test, fails in results.items() if not fails]
        missed += bool(unnoticed)
        print(f"{'MISSED' if unnoticed else 'caught'}  {one['name']}", flush=True)
        for test in unnoticed:
            print(f"        {test} holds", flush=True)
    print(f"{len(breakages) - missed} of {len(breakages)} caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

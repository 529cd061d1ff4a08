#!/usr/bin/env python3
"""`replay` beside other programs that do the same: `compare.py REPLAY LOGS`, or `make bench`.

LOGS is what `cargo bench --bench read -- --write LOGS` wrote. Every program, as a whole process, must print the same
groups: account, user and model with more than three distinct denied requests in an hour. They take turns, and
processor time and peak memory are those that the kernel counted for the process and its children.
"""

import argparse
import gzip
import json
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).resolve().parent / "peers"
ROOT = PEERS.parent.parent
ROUNDS = 5
# Those about denials.
FIVE = "denied-model,model-sweep,session-rotation,role-denials,slow-denials"


def programs(replay):
    """By name: a command to which the folder is added, and how to know that it is there."""
    python = ROOT / ".venv-bench/bin/python"
    python = str(python if python.exists() else sys.executable)
    node, jq = shutil.which("node"), shutil.which("jq")
    return {
        "replay": ([replay, "--format", "json"], [replay, "--version"]),
        "replay, five rules": ([replay, "--format", "json", "--rules", FIVE], [replay, "--version"]),
        "replay --rules denied-model": (
            [replay, "--format", "json", "--rules", "denied-model"], [replay, "--version"]),
        "Python gzip, search, json": ([python, PEERS / "python_json.py", "--search"], [python, "--version"]),
        "Python gzip, json": ([python, PEERS / "python_json.py"], [python, "--version"]),
        "Python gzip, orjson": ([python, PEERS / "python_orjson.py"], version(python, "orjson")),
        "Polars": ([python, PEERS / "polars_lazy.py"], version(python, "polars")),
        "DuckDB": ([python, PEERS / "duckdb_sql.py"], version(python, "duckdb")),
        "Node zlib, readline": ([node, PEERS / "node.mjs"], [node, "--version"]),
        "gzip, jq": ([PEERS / "jq.sh"], [jq, "--version"]),
    }


def version(python, module):
    return [python, "-c", f"import {module}; print('{module}', {module}.__version__)"]


def is_there(command):
    """What a program says of its version, or None."""
    if command[0] is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


class Run:
    """One process, and what it took."""

    def __init__(self, command):
        measured = [sys.executable, "-I", "-S", PEERS.parent / "measured.py", *command]
        done = subprocess.run([str(part) for part in measured], capture_output=True, text=True, check=True)
        took = json.loads(done.stderr)
        self.status, self.cpu, self.wall = took["status"], took["cpu"], took["wall"]
        self.megabytes = took["megabytes"]
        self.lines = done.stdout.splitlines()

    def groups(self):
        """Every peer prints a group a line, `replay` an alert."""
        found = (json.loads(line) for line in self.lines)
        return {tuple(group(each)) for each in found if isinstance(each, list) or of_denied_model(each)}


def of_denied_model(alert):
    return alert["rule"]["id"] == "denied-model"


def group(found):
    if isinstance(found, list):
        return found
    return [found["cloud"]["account"]["id"], found["user"]["id"], found["gen_ai"]["request"]["model"]["id"]]


def compare(folder, programs):
    """A table of all programs over the objects of one folder."""
    runs = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, command in programs.items():
            runs[name].append(Run([*command, folder]))
    expected = runs["Python gzip, json"][0].groups()
    print(f"\n**{folder.name}**: {len(list(folder.iterdir()))} objects, {len(expected)} groups\n")
    print("| program | CPU ms | of replay's | wall ms | peak MB | answer |\n|---|---|---|---|---|---|")
    for name, done in runs.items():
        answer = "right" if all(right(run, expected) for run in done) else "WRONG"
        cpu, wall = median(done, "cpu"), median(done, "wall")
        # A machine that is slow for a while is slow for all of a round.
        ratio = statistics.median(run.cpu / own.cpu for run, own in zip(done, runs["replay"]))
        print(f"| {name} | {cpu * 1e3:.0f} | {ratio:.1f} | {wall * 1e3:.0f} "
              f"| {median(done, 'megabytes'):.0f} | {answer} |", flush=True)
    return answer_is_right(runs["replay"], expected)


def right(run, expected):
    return run.status == 0 and run.groups() == expected


def answer_is_right(runs, expected):
    return all(right(run, expected) for run in runs)


def median(runs, figure):
    return statistics.median(getattr(run, figure) for run in runs)


def on_two_cores(replay, folder):
    """How much of its processor time `replay` takes by the clock: noise can only add, so the best round counts."""
    one, two = ([replay, "--format", "json", "--jobs", jobs, folder] for jobs in "12")
    rounds = [(Run(one), Run(two)) for _ in range(ROUNDS * 2)]
    same = all(first.lines == second.lines for first, second in rounds)
    best = min(second.wall / second.cpu for _, second in rounds)
    print(f"\n**{folder.name} on two cores**: wall {best:.2f} of processor time, peak "
          f"{median([first for first, _ in rounds], 'megabytes'):.0f} MB on one and "
          f"{median([second for _, second in rounds], 'megabytes'):.0f} MB on two, "
          f"alerts {'identical' if same else 'DIFFERENT'}")
    return same


def instructions(command):
    """Counted by valgrind: the same in every run, whatever else the machine does."""
    valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run([*valgrind, *map(str, command)], capture_output=True, text=True, check=True)
    return int(re.search(r"I +refs: +([\d,]+)", done.stderr)[1].replace(",", ""))


def count_instructions(replay, folders):
    """For each record that all of the time goes to: those of the logs that hold nothing but denials."""
    if shutil.which("valgrind") is None:
        print("\n**Instructions**: valgrind is ABSENT")
        return
    print("\n**Instructions for each record**\n")
    print("| log | rules | instructions |\n|---|---|---|")
    for folder in folders:
        records = sum(gzip.decompress(path.read_bytes()).count(b"\n") for path in folder.iterdir())
        for rules in [FIVE, "denied-model", None]:
            asked = ["--rules", rules] if rules else []
            count = instructions([replay, "--format", "json", *asked, folder])
            print(f"| {folder.name} | {rules or 'by default'} | {count / records:,.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("replay", type=Path)
    parser.add_argument("logs", type=Path)
    parser.add_argument("--only", default="", help="folders with this in their name")
    options = parser.parse_args()
    replay = str(options.replay.resolve())
    print(f"### Whole processes\n\nMedians of {ROUNDS} rounds that take turns.\n")
    present = {}
    for name, (command, probe) in programs(replay).items():
        told = is_there(probe)
        print(f"- {name}: {told or 'ABSENT'}", flush=True)
        if told:
            present[name] = command
    folders = [folder for folder in sorted(options.logs.iterdir()) if options.only in folder.name]
    held = [compare(folder, present) for folder in folders]
    if hard := [folder for folder in folders if folder.name in ("flood", "36-hours")]:
        count_instructions(replay, hard)
    held += [on_two_cores(replay, folder) for folder in folders if folder.name == "mixed"]
    print()
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())

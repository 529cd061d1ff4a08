"""Finds the words of words.txt in texts, strings and comments, with place and better word. `make lint` runs it."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
LIST = pathlib.Path(__file__).with_suffix(".txt")
# Where a line of text goes on in the next: a blank, the next line's comment sign.
BLANK = r"(?:\s+(?:(?://[/!]?|#|\*)\s+)?)"

# Comments and strings, whichever begins first; of a pair of alternatives the longer one leads.
RUST = re.compile(r"""(?P<comment>//[^\n]*)|'(?:\\[^\n]|[^\\'\n])'|r(?P<h>\#*)"(?P<raw>.*?)"(?P=h)|(?P<string>"(?:\\.|[^"\\])*")""", re.S)
PYTHON = re.compile(
    r'''(?P<comment>\#[^\n]*|""".*?""")|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')''', re.S
)
SCRIPT = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)""", re.S
)
CODE = {".rs": RUST, ".py": PYTHON, ".js": SCRIPT, ".mjs": SCRIPT}
WHOLE = {".md", ".toml", ".yaml", ".yml", ".html", ".css", ""}
# What is not ours, not prose, written from what is checked, or history; and the list itself.
NOT = re.compile(r"^(CHANGELOG\.md|LICENSE|Cargo\.lock|\.gitignore|events/logs/.*|tests/(golden|fixtures)/.*|proptest-regressions/.*|tests/words\..*|tests/template/template-0\.1\.yaml)$")


def texts(path, source):
    """The source with everything blanked that no one reads as text. Of tests, strings are data."""
    if path.suffix in WHOLE:
        return re.sub(r"`[^`\n]*`", lambda code: " " * len(code.group()), source) if path.suffix == ".md" else source
    kept, end = [], 0
    for part in CODE[path.suffix].finditer(source):
        data = path.parts[0] in ("tests", "benches", "fuzz", "events") and part["comment"] is None
        if not data and (part["comment"] or part.groupdict().get("string") or part.groupdict().get("raw")):
            kept += [re.sub(r"[^\n]", "\0", source[end : part.start()]), part.group()]
            end = part.end()
    return "".join([*kept, re.sub(r"[^\n]", "\0", source[end:])])


def rules():
    bad, good = [], []
    for line in LIST.read_text().splitlines():
        if line.startswith("ok "):
            good.append(re.compile(line[3:].replace(" ", BLANK), re.I))
        elif line and not line.startswith("#"):
            pattern, better = line.split(" -> ")
            bad.append((re.compile(pattern.replace(" ", BLANK), re.I), better))
    return bad, good


def hits(text, bad, good):
    """(offset, what was written, better) of each hit that no good expression contains."""
    fine = [found.span() for one in good for found in one.finditer(text)]
    for pattern, better in bad:
        for found in pattern.finditer(text):
            if not any(start <= found.start() and found.end() <= end for start, end in fine):
                yield found.start(), " ".join(found.group().split()), better


def main():
    bad, good = rules()
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    count = 0
    for name in names:
        path = pathlib.PurePath(name)
        if NOT.match(name) or path.suffix not in {*CODE, *WHOLE} or not (ROOT / name).is_file():
            continue
        text = texts(path, (ROOT / name).read_text())
        for offset, written, better in sorted(hits(text, bad, good)):
            count += 1
            print(f"{name}:{text.count(chr(10), 0, offset) + 1}: {written!r}: better {better}")
    if count:
        sys.exit(f"{count} words that tests/words.txt has a better one for")


if __name__ == "__main__":
    main()

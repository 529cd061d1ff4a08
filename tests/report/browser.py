"""The browser that the report is tested in: the machine's own, or one from the npm registry."""

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSTALLED = HERE.parents[1] / ".venv/browser"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
UNPACK = 'import chromium from "@sparticuz/chromium"; console.log(await chromium.executablePath())'


def find():
    """Path of a Chromium and the variables it needs, or None: $CHROME, one on PATH, or one that npm installs
    into .venv/browser."""
    named = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)
    if named:
        return named, {}
    return _installed()


def _installed():
    npm = shutil.which("npm")
    path = INSTALLED / "chromium"
    # The archive's programs are unpacked one after the other; the last file says that all are there.
    done = INSTALLED / ".done"
    if not done.exists():
        if not npm:
            return None
        INSTALLED.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, INSTALLED / name)
        subprocess.run([npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=INSTALLED, check=True)
        # Only as on Lambda it unpacks its libraries too; it does so into the folder for temporary files.
        unpacking = {"TMPDIR": str(INSTALLED), "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x"}
        node = [shutil.which("node"), "--input-type=module", "--eval", UNPACK]
        subprocess.run(node, cwd=INSTALLED, check=True, env=os.environ | unpacking, stdout=subprocess.DEVNULL)
        done.touch()
    return str(path), {"LD_LIBRARY_PATH": str(INSTALLED / "al2023/lib")}


if __name__ == "__main__":
    print(find() or "no browser: install Chromium, or npm, which fetches one")

"""`replay --report` as a page in a headless browser."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import browser as browsers
import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

REPLAY = ROOT / "target/debug/replay"
NONE = (
    "*** SKIPPED: no browser was found, so the report's page was NOT tested. Install Chromium, name one in CHROME,"
    " or install npm, which fetches one. ***"
)


@pytest.fixture(scope="session")
def browser():
    found = browsers.find()
    if found is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.exit("a browser is required, and none was found", returncode=1)
        pytest.skip(NONE)
    path, variables = found
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"], env=os.environ | variables
        )
        yield launched
        launched.close()


def pytest_terminal_summary(terminalreporter):
    if any(NONE in str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(NONE)


class Page:
    """A report in the browser, and everything that it complained about or asked for."""

    def __init__(self, browser, path, **options):
        self.path = path
        self.complaints, self.requests = [], []
        self.page = browser.new_page(**options)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def rows(self, column):
        """The texts of a column of the table, from 1."""
        return self.page.locator(f"#table tbody td:nth-child({column})").all_inner_texts()

    def data(self):
        return json.loads(self.page.locator("#data").text_content())


def replay(folder, *arguments):
    """Runs `replay --report` and returns the page's path and the alerts that it printed."""
    path = folder / "report.html"
    command = [REPLAY, "--format", "json", "--report", path, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    # 2 where a record that names a denial could not be counted, as in the sample logs.
    assert done.returncode in (0, 2) and f"Report: {path}" in done.stderr, done.stderr
    return path, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """The report of the sample logs, and their alerts."""
    return replay(tmp_path_factory.mktemp("sample"), ROOT / "events/logs")


@pytest.fixture
def open_report(browser):
    """Opens a report in a page of its own. At the end it must have complained of nothing and asked for nothing."""
    pages = []

    def opened(path, **options):
        pages.append(Page(browser, path, **options))
        return pages[-1]

    yield opened
    for one in pages:
        assert one.complaints == [], one.complaints
        assert one.requests == [one.path.as_uri()], one.requests
        one.page.close()


@pytest.fixture
def report_of(open_report, tmp_path):
    """Opens the report of some records."""

    def opened(records, *arguments, **options):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        log = tmp_path / "log.json.gz"
        log.write_bytes(gzip.compress(lines.encode(), mtime=0))
        path, _ = replay(tmp_path, *arguments, log)
        return open_report(path, **options)

    return opened

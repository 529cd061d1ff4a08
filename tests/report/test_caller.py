"""`replay --caller GLOB --report FILE`: the page of one caller's story."""

import csv
import json
import subprocess

import pytest
from conftest import REPLAY, ROOT
from samples import MODEL, denial, pack, record
from test_page import ELEMENTS, HOSTILE, STRANDED

USER = "arn:aws:iam::111122223333:user/ann"
NOVA = "amazon.nova-lite-v1:0"
BOX = "document.querySelector('#lanes svg').getAttribute('viewBox')"


@pytest.fixture
def story_of(open_report, tmp_path):
    """Opens the page of a caller, and returns the story as JSON beside it."""

    def opened(caller, *logs, **options):
        path = tmp_path / "caller.html"
        command = [REPLAY, "--caller", caller, "--format", "json", "--report", path, *logs]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode in (0, 2) and f"Report: {path}" in done.stderr, done.stderr
        return open_report(path, **options), json.loads(done.stdout)

    return opened


@pytest.fixture
def records_of(story_of, tmp_path):
    """The same of some records."""

    def opened(caller, records, **options):
        log = tmp_path / "log.json.gz"
        log.write_bytes(pack(*records))
        return story_of(caller, log, **options)

    return opened


def test_the_page_shows_the_story_that_replay_prints(story_of):
    one, story = story_of("report-export", ROOT / "events/logs", timezone_id="UTC")
    assert one.data()["story"] == story
    page = one.page
    assert page.locator("#answer-text").inner_text() == story["answer"]["text"]
    assert page.locator("#tiles li").all_inner_texts() == ["40\ndenied", "0\nfailed otherwise", "23\nserved", "1,042,634\ntokens", "0.07 USD\nestimated cost"]
    denied = page.locator("#denied tbody tr").all_inner_texts()
    assert len(denied) == 1 and "claude-opus-4" in denied[0] and "2025-06-03 02:10:04 to 02:35:02 UTC" in denied[0]
    assert "9: identity policies do not allow the call" in denied[0]
    served = page.locator("#served tbody tr").inner_text()
    assert NOVA in served and "1,005,601 in, 37,033 out" in served
    assert "203.0.113.77" in page.locator("#identities").inner_text()
    assert "list prices in US regions as of" in page.locator("#cost").inner_text()
    assert page.locator("#gaps li").all_inner_texts() == [*story["gaps"], "Regions and accounts whose logs lie elsewhere were not read."]
    assert "Log files written from 2025-06-02 07:45:00" in page.locator("#scope").inner_text()


def test_a_model_that_was_served_in_another_region_is_marked_as_one_that_was_served(records_of):
    one, story = records_of(USER, [denial(USER, 0), record(USER, 60, region="eu-west-1")])
    assert story["answer"]["kind"] == "served-elsewhere"
    assert one.page.locator("#answer").get_attribute("class") == "yes"


def test_each_outcome_has_its_marks_on_the_timeline(records_of):
    records = [denial(USER, 60 * n) for n in range(4)] + [record(USER, 600 + 60 * n) for n in range(3)]
    records += [record(USER, 700, model=NOVA), record(USER, 710, model=NOVA, errorCode="ThrottlingException")]
    one, _ = records_of(USER, [*records, denial(USER + "-other", 5)])
    lanes = one.page.locator("#lanes .lane")
    assert [text.split("\n")[-1] for text in lanes.all_inner_texts()] == ["4 denied, 3 served", "1 failed, 1 served"]
    marks = "(all) => all.map((one) => (one.getAttribute('d').match(/M/g) || []).length)"
    assert lanes.first.locator("path.denied").evaluate_all(marks) == [4]
    assert lanes.first.locator("path.served").evaluate_all(marks) == [3]
    assert lanes.last.locator("path.failed").evaluate_all(marks) == [1]


def test_the_timeline_is_read_by_keyboard_and_zoomed_by_dragging(records_of):
    one, _ = records_of(USER, [denial(USER, 0), denial(USER, 0), record(USER, 3600)], timezone_id="UTC")
    track = one.page.locator("#lanes .track").first
    track.focus()
    said = one.page.locator("#reading")
    assert said.inner_text() == "2025-06-10 09:00:00 UTC: 2 denied"
    track.press("ArrowRight")
    assert said.inner_text() == "2025-06-10 10:00:00 UTC: 1 served" == track.get_attribute("aria-valuetext")
    whole = float(one.page.evaluate(BOX).split()[2])
    box = track.bounding_box()
    one.page.mouse.move(box["x"] + 10, box["y"] + 20)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20, steps=3)
    one.page.mouse.up()
    assert float(one.page.evaluate(BOX).split()[2]) < whole * 0.6
    one.page.click("#zoom-all")
    assert float(one.page.evaluate(BOX).split()[2]) == whole


def test_many_calls_make_few_marks(records_of):
    calls = [record(USER, n * 7, model=f"model-{n % 3}") for n in range(30_000)]
    one, story = records_of(USER, calls)
    timeline = one.data()["timeline"]
    marks = [mark for lane in timeline["lanes"] for mark in lane["served"]]
    assert timeline["step"] > 1000 and len(marks) <= 20_000
    assert sum(calls for _, calls in marks) == 30_000 == story["seen"]["calls"]
    assert one.path.stat().st_size < 1_000_000


def test_a_caller_who_is_not_there_is_answered_with_what_was_read(records_of):
    one, story = records_of("nobody", [record(USER, 1)])
    assert one.page.locator("#answer-text").inner_text() == "No call of this caller in what was read."
    assert "1 record in 1 file" in one.page.locator("#scope").inner_text()
    assert not one.page.locator("#timeline").is_visible() and not one.page.locator("#cost").is_visible()
    assert one.page.locator("#gaps li").count() == len(story["gaps"]) + 1 > 1


def test_tables_are_there_as_csv_and_ids_can_be_copied(story_of):
    one, story = story_of("report-export", ROOT / "events/logs")
    with one.page.expect_download() as download:
        one.page.click("#served button[aria-label$=CSV]")
    with open(download.value.path(), newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["model"], row["calls"], row["tokens_in"]) == (NOVA, "23", "1005601")
    one.page.evaluate("() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; }")
    one.page.locator("#identities tr", has_text="Access key id").get_by_role("button").click()
    assert one.page.evaluate("window.copied") == "AKIAWR6AVXBLFEXAMPLE"


def test_no_id_becomes_markup(records_of):
    records = [denial(USER, second, modelId=value, requestId=f"{name}-{second}") for name, value in HOSTILE.items() for second in range(2)]
    one, _ = records_of(USER, [*records, record(USER, 60, model="<script>alert(1)</script>")])
    tags = set(one.page.evaluate("[...document.querySelectorAll('*')].map((one) => one.tagName.toLowerCase())"))
    assert tags <= ELEMENTS, tags - ELEMENTS
    assert one.page.locator("script").count() == 2
    assert "<script>alert(1)</script>" in one.page.locator("#served").inner_text()


def test_it_fits_a_phone_a_print_and_the_dark(story_of):
    one, _ = story_of("report-export", ROOT / "events/logs", viewport={"width": 390, "height": 800}, color_scheme="dark")
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 390
    right = "[...document.querySelectorAll('td, .count, #tiles strong')].filter((one) => one.checkVisibility()).map((one) => one.getBoundingClientRect().right)"
    assert max(one.page.evaluate(right)) <= 390
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = one.page.evaluate(ground)
    one.page.click("#theme")
    assert one.page.evaluate(ground) != dark
    one.page.emulate_media(media="print")
    assert one.page.evaluate(STRANDED) == []
    assert MODEL not in one.page.content()

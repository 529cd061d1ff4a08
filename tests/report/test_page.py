"""What you do with the report: read, filter, zoom, sort, go by keyboard, copy, print."""

import json
import re

from conftest import ROOT, replay
from playwright.sync_api import expect
from samples import MODEL, denial, pack, record

HOSTILE = json.loads((ROOT / "tests/fixtures/hostile-ids.json").read_text())
USER = "arn:aws:iam::111122223333:user/ann"
# All that the page's own script builds.
ELEMENTS = set(
    "a article body button br caption dd details div dl dt fieldset footer form h1 h2 h3 head header html input label li"
    " h4 link main meta noscript ol option p path pre rect script section select small span strong style summary svg"
    " table tbody td th thead title tr ul".split()
) - {"link"}


# The page names what the documents give as a score.
SEVERITIES = {21: "low", 47: "medium", 73: "high", 99: "critical"}


def tiles(one):
    return [int(text.replace(",", "")) for text in one.page.locator("#tiles strong").all_inner_texts()]


def test_the_sample_logs_read_as_replay_counts_them(open_report, sample):
    path, alerts = sample
    one = open_report(path)
    data = one.data()
    shown = [{name: value for name, value in alert.items() if name not in ("triage", "threat")} for alert in alerts]
    for alert in shown:
        alert["severity"] = SEVERITIES[alert["event"]["risk_score"]]
    # Steps are named with an alert only where they are not those of its rule.
    more = ("triage", "opening", "stop")
    kept = [{name: value for name, value in alert.items() if name not in more} for alert in data["alerts"]]
    assert kept == shown and len(alerts) == 17
    near = [key for key in data["keys"] if not key["alerts"] and key["peak"] >= key["threshold"] > 0]
    assert tiles(one) == [11, 3, 17, len(data["notices"]), len(near), len(data["keys"])]
    assert sum(len(key["alerts"]) for key in data["keys"]) == 17
    assert "123 denials" in one.page.locator("#scope").inner_text()
    assert one.page.locator("#cause-list li").first.inner_text() == "15 Identity policies do not allow the call"
    # What fired comes first, and then what is nearest to its threshold.
    counts = one.rows(4)
    assert counts[0] == "39 or more, limit 3"
    assert "one more fires" in counts[sum(bool(key["alerts"]) for key in data["keys"])]


def test_an_alert_on_the_time_line_opens_its_incident_with_its_evidence(open_report, sample):
    path, alerts = sample
    one = open_report(path)
    one.page.locator("#lanes button.flag.told").first.click()
    article = one.page.locator("article:focus")
    text = article.inner_text()
    [alert] = [alert for alert in alerts if alert["id"] in text]
    assert all(request in text for request in alert["request_ids"])
    assert alert["objects"][0] in text and alert["incident"]["notice"] in text
    assert article.locator("ol li").count() == len(alert["triage"])


def test_pointing_at_a_lane_shades_the_window_and_counts_it(open_report, sample):
    one = open_report(sample[0])
    track = one.page.locator("#lanes .track.fired").first
    track.scroll_into_view_if_needed()
    box = track.bounding_box()
    one.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5)
    assert re.search(r"UTC: \d+( or more)? denials in the 60 minutes before, limit 3", one.page.locator("#tip").inner_text())
    assert track.locator(".window").count() == 1
    one.page.mouse.move(5, 5)
    assert not one.page.locator("#tip").is_visible()


def test_a_lane_can_be_read_by_keyboard_alone(report_of):
    one = report_of([denial(USER, 60 * minute) for minute in range(5)])
    one.page.click(".rest")
    first = one.page.locator("#lanes .track").first
    first.focus()
    said = one.page.locator("#reading")
    assert "09:00:00 UTC: 1 denial in" in said.inner_text()
    first.press("ArrowRight")
    assert "09:01:00 UTC: 2 denials" in said.inner_text()
    first.press("End")
    assert "09:04:00 UTC: 5 denials" in said.inner_text()
    assert "5 denials" in first.get_attribute("aria-valuetext")
    first.press("ArrowDown")
    assert one.page.evaluate("document.activeElement === document.querySelectorAll('#lanes .track')[1]")
    one.page.keyboard.press("ArrowUp")
    one.page.keyboard.press("Enter")
    assert "was denied model" in one.page.locator("article:focus").inner_text()


def test_filters_and_search_narrow_everything(open_report, sample):
    path, alerts = sample
    one = open_report(path)
    one.page.select_option("#rule", "model-sweep")
    expect(one.page.locator("#found")).to_contain_text(re.compile(r"\b1 incident\b"))
    assert set(one.rows(3)) == {"model-sweep"}
    one.page.click("#clear")
    expect(one.page.locator("#found")).to_contain_text("11 incidents")
    one.page.fill("#search", alerts[0]["request_ids"][0])
    expect(one.page.locator("#found")).to_contain_text("1 combination and 1 incident shown")
    one.page.fill("#search", "no such id")
    expect(one.page.locator("#found")).to_contain_text("0 combinations")
    assert "No denial matches" in one.page.locator("#lanes").inner_text()
    one.page.click("#clear")
    one.page.select_option("#account", "777788889999")
    one.page.check("#fired")
    expect(one.page.locator("#found")).to_contain_text("5 combinations")


def test_the_table_sorts_by_any_column_and_says_so(open_report, sample):
    one = open_report(sample[0])
    head = one.page.locator("#table th[data-column=first]")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    times = one.rows(7)
    assert times == sorted(times)
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert one.rows(7) != times
    assert one.page.locator("#table th[aria-sort=none]").count() == 8


def test_groups_count_each_denial_once(open_report, sample):
    one = open_report(sample[0])
    keys = [key for key in one.data()["keys"] if one.data()["rules"][key["rule"]]["id"] == "denied-model"]
    for group, column in (("account", "account"), ("model", "model")):
        one.page.click(f"[data-group={group}]")
        totals = [int(text.replace(",", "").removesuffix(" or more")) for text in one.rows(2)]
        assert sum(totals) == sum(key["total"] for key in keys), group
        assert len(totals) == len({key[column] for key in keys}), group


def test_zoom_follows_an_incident_and_goes_back(open_report, sample):
    one = open_report(sample[0])
    box = "document.querySelector('#lanes .track svg').getAttribute('viewBox')"
    whole = one.page.evaluate(box)
    one.page.locator(".card button", has_text="Show on the timeline").first.click()
    assert one.page.evaluate(box) != whole
    one.page.click("#zoom-all")
    assert one.page.evaluate(box) == whole


def test_no_id_becomes_markup_script_or_style(report_of):
    records = [
        denial(value, second, modelId=value, requestId=f"{name} {value} {second}", accountId="111122223333")
        for name, value in HOSTILE.items()
        for second in range(4)
    ]
    one = report_of(records)
    page = one.page
    for detail in page.locator("summary").all()[:20]:
        detail.click()
    page.click("[data-group=model]")
    tags = set(page.evaluate("[...document.querySelectorAll('*')].map((one) => one.tagName.toLowerCase())"))
    assert tags <= ELEMENTS, tags - ELEMENTS
    assert page.locator("script").count() == 2 and page.locator("[onerror], [onmouseover], [onclick]").count() == 0
    assert all(href.startswith("#") for href in page.evaluate("[...document.querySelectorAll('a')].map((one) => one.getAttribute('href'))"))
    # It is there to be read.
    page.fill("#search", "<script>alert(1)</script>")
    expect(page.locator("#found")).to_contain_text(" and 1 incident shown")


def test_the_policy_stops_a_script_that_is_not_the_page_s_own(browser, sample):
    page = browser.new_page()
    refused = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(sample[0].as_uri())
    page.evaluate("() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); }")
    page.evaluate("() => { const i = new Image(); i.src = 'https://127.0.0.1:9/x.png'; document.body.append(i); }")
    expect(page.locator("img")).to_have_count(1)
    assert page.evaluate("window.ran") is None
    assert sum("Content Security Policy" in text for text in refused) == 2, refused
    page.close()


def test_without_denials_the_page_says_what_was_examined(open_report, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    for stamp in ("20250610T090000000Z", "20250611T101500000Z"):
        (logs / f"{stamp}_0f26daa8a33b0f5f.json.gz").write_bytes(pack(record(USER, 1)))
    one = open_report(replay(tmp_path, logs)[0], timezone_id="UTC")
    assert tiles(one) == [0, 0, 0, 0, 0, 0]
    said = one.page.locator("#incident-list").inner_text()
    assert said.startswith("No alert fired.") and "Examined: 2 records in 2 files, no denials among them." in said
    assert "Log files written from 2025-06-10 09:00:00 to 2025-06-11 10:15:00 UTC." in said and "denied-model" in said
    assert "No rule counted anything" in one.page.locator("#lanes").inner_text()
    for empty in ("#hours", "#causes", "#counts", "#incidents-csv", "#unread"):
        assert not one.page.locator(empty).is_visible(), empty


def test_what_could_not_be_read_stands_above_everything(open_report, tmp_path):
    log = tmp_path / "log.json"
    whole = json.dumps(denial("arn:aws:iam::1:user/u", 0))
    log.write_text(f"{whole}\n{whole[:-2]}\n")
    one = open_report(replay(tmp_path, log)[0])
    said = one.page.locator("header #unread")
    assert said.is_visible() and "1 record that may be a denial could not be counted" in said.inner_text()


def test_dark_and_light_follow_the_system_and_the_button(open_report, sample):
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = (open_report(sample[0], color_scheme=scheme) for scheme in ("light", "dark"))
    colours = light.page.evaluate(ground), dark.page.evaluate(ground)
    assert colours[0] != colours[1]
    dark.page.click("#theme")
    assert dark.page.evaluate(ground) == colours[0]


def test_a_print_has_every_incident_open(open_report, sample):
    one = open_report(sample[0])
    one.page.emulate_media(media="print")
    one.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert one.page.locator("article").count() == 17
    assert not one.page.locator("#filters").is_visible()


# Headings that no text follows in what they head, and controls that paper cannot have.
STRANDED = """() => {
  const seen = (one) => one.checkVisibility() && one.getClientRects().length > 0;
  const heads = [...document.querySelectorAll("h2, h3, h4")].filter(seen);
  const of = (head) => head.closest("article, .group, section");
  const bare = heads.filter((head) => of(head).innerText.trim() === head.innerText.trim() || getComputedStyle(head).breakAfter !== "avoid");
  const controls = [...document.querySelectorAll("button, input, select, summary, .anchor")].filter(seen);
  const kept = (one) => one.matches(".flag, th button, .bar-of, .link:not(.rest)");
  return [...bare, ...controls.filter((one) => !kept(one))].map((one) => one.outerHTML.slice(0, 200));
}"""


def test_nothing_is_stranded_in_a_print(open_report, report_of, sample):
    for one in (open_report(sample[0]), report_of([record(USER, 1)])):
        one.page.emulate_media(media="print")
        one.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert one.page.evaluate(STRANDED) == []


# The numbers that a reader would have to scroll sideways for.
BEYOND = """() => [...document.querySelectorAll(".count, td.number, #tiles strong, .shares strong, .when")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML.slice(0, 200))"""


def test_at_390_pixels_every_number_is_in_sight(open_report, sample):
    one = open_report(sample[0], viewport={"width": 390, "height": 800}, timezone_id="America/New_York")
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert one.page.evaluate(BEYOND) == []
    label = "getComputedStyle(document.querySelector('td.number'), '::before').content"
    assert one.page.evaluate(label) == '"Busiest window"'


def test_fifty_thousand_denials_fit_on_one_page(report_of):
    # One a second of 100 callers, who try five models each, then one caller's flood within a minute.
    records = [denial(f"{USER}-{n % 100}", n, modelId=f"model-{n % 500}") for n in range(45_000)]
    records += [denial(f"{USER}-loud", 50_000 + n % 60, modelId=MODEL) for n in range(5_000)]
    one = report_of(records, "--rules", "denied-model", "--cooldown", "24h")
    assert one.path.stat().st_size <= 5_000_000
    keys = one.data()["keys"]
    assert sum(key["total"] for key in keys) == 50_000
    [loud] = [key for key in keys if key["user"].endswith("-loud")]
    assert loud["total"] == 5_000 and loud["floods"] and sum(count for _, _, count in loud["floods"]) == 5_000
    shown = one.page.locator("#lanes .lane")
    assert 40 <= shown.count() <= 45
    one.page.click("#more-lanes")
    assert shown.count() > 45

"""The cards of incidents, and the ways through a page: zoom, links, copies, CSV, what is folded."""

import csv
import re

import pytest
from playwright.sync_api import expect
from samples import MODEL, START, denial, record

USER = "arn:aws:iam::111122223333:user/ann"
BOX = "document.querySelector('#lanes .track svg').getAttribute('viewBox')"


def width(one):
    """How many seconds the timeline shows."""
    return float(one.page.evaluate(BOX).split()[2])


def drag(one, track, *, escape=False):
    """Drags from a quarter to a half of a lane."""
    track.scroll_into_view_if_needed()
    box = track.bounding_box()
    y = box["y"] + box["height"] - 4
    one.page.mouse.move(box["x"] + box["width"] / 4, y)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + box["width"] / 2, y, steps=4)
    if escape:
        one.page.keyboard.press("Escape")
    one.page.mouse.up()


def crowd(number):
    """So many users, each with an incident of its own."""
    return [denial(f"{USER}-{n}", n * 10_000 + second, modelId=MODEL) for n in range(number) for second in range(5)]


def test_incidents_come_first_and_the_worst_on_top(open_report, sample):
    one = open_report(sample[0])
    tops = [one.page.locator(f"#{name}").bounding_box()["y"] for name in ("incidents", "timeline", "hours", "counts")]
    assert tops == sorted(tops)
    severities = [text.lower() for text in one.page.locator(".card h3 .chip").all_inner_texts()]
    order = ("critical", "high", "medium", "low")
    assert severities == sorted(severities, key=order.index) and len(severities) == 11
    # Of equally severe ones, those whose caller got in.
    assert "ci/report-export" in one.page.locator(".card").nth(1).inner_text()
    one.page.select_option("#order", "newest")
    assert "BedrockAPIKey-x7k2" in one.page.locator(".card").first.inner_text()


def test_a_card_says_who_what_when_and_whether_anything_succeeded(open_report, sample):
    one = open_report(sample[0], timezone_id="UTC")
    text = one.page.locator(".card", has_text="ci/report-export").first.inner_text()
    assert "ci/report-export was denied model claude-opus-4 9 times in 48 s, us-east-1." in text
    assert "Successful calls since the first denial: 6 (amazon.nova-lite-v1:0; 204 tokens)" in text
    assert "account 444455556666 · 2025-06-03 02:10:04 to 02:15:02 UTC · 4 min" in text
    assert "39 or more, limit 3" in text and "40, limit 12" in text
    quiet = one.page.locator(".card", has_text="nightly-evaluation").first.inner_text()
    assert "Successful calls since the first denial: none seen so far" in quiet
    unknown = one.page.locator(".card", has_text="attaches to exposed keys").first.inner_text()
    assert "Successful calls since the first denial: not known" in unknown


def test_a_card_has_a_timeline_of_its_own_minutes(open_report, sample):
    one = open_report(sample[0])
    card = one.page.locator(".card", has_text="ci/report-export").first
    boxes = card.locator(".own svg").evaluate_all("(all) => all.map((one) => one.getAttribute('viewBox'))")
    # Four minutes, and five more for the calls that succeeded, which went on for twelve hours.
    seconds = {float(box.split()[2]) for box in boxes}
    assert len(boxes) == 3 and len(seconds) == 1 and 298 < seconds.pop() < 700 < width(one)
    card.locator(".own .flag.told").click()
    assert "denied-model" in one.page.locator("article:focus").inner_text()


def test_evidence_is_unfolded_with_what_to_do_first(open_report, sample):
    one = open_report(sample[0])
    card = one.page.locator(".card").first
    card.locator("summary").click()
    article = card.locator("article").first
    text = article.inner_text()
    assert text.index("Stop it now") < text.index("Triage") < text.index("Look closer")
    assert article.locator("pre").first.inner_text().startswith("aws iam update-access-key --user-name newsletter-mailer")


def test_what_fired_is_shown_and_what_is_quiet_is_folded(open_report, sample):
    one = open_report(sample[0])
    keys = one.data()["keys"]
    lanes = one.page.locator("#lanes .lane")
    assert lanes.count() == one.page.locator("#lanes .track.fired").count() == sum(bool(key["alerts"]) for key in keys)
    one.page.locator(".rest", has_text="quiet").first.click()
    assert lanes.count() > one.page.locator("#lanes .track.fired").count()
    before = one.page.locator("#lanes .group").count()
    one.page.click("#quiet")
    assert one.page.locator("#lanes .group").count() > before
    assert not one.page.locator("#quiet").is_visible()


def test_a_search_unfolds_what_is_quiet(open_report, sample):
    one = open_report(sample[0])
    one.page.fill("#search", "SupportChatbot")
    expect(one.page.locator("#found")).to_contain_text(" and 1 incident shown")
    assert one.page.locator("#lanes .lane").count() > one.page.locator("#lanes .track.fired").count() == 1


def test_where_nothing_fired_the_nearest_are_shown(report_of):
    one = report_of([denial(USER, second) for second in range(3)])
    assert "3, limit 3" in one.page.locator("#lanes .lane").first.inner_text()


def test_dragging_zooms_and_escape_does_not(open_report, sample):
    one = open_report(sample[0])
    whole = width(one)
    track = one.page.locator("#lanes .track").first
    drag(one, track, escape=True)
    assert width(one) == whole
    drag(one, track)
    assert width(one) == pytest.approx(whole / 4, rel=0.05)
    assert one.page.locator(".selection").count() == 0
    one.page.click("#zoom-all")
    one.page.locator("#axis").scroll_into_view_if_needed()
    drag(one, one.page.locator("#axis"))
    assert width(one) == pytest.approx(whole / 4, rel=0.05)


def test_a_search_zooms_to_what_it_finds_and_back(open_report, sample):
    one = open_report(sample[0])
    whole = width(one)
    one.page.fill("#search", "DocumentIndexer")
    expect(one.page.locator("#found")).to_contain_text(" and 1 incident shown")
    assert width(one) < whole / 10
    one.page.fill("#search", "")
    expect(one.page.locator("#found")).to_contain_text("11 incidents")
    assert width(one) == whole


def test_links_lead_to_an_incident_an_alert_and_a_lane(open_report, browser, sample):
    one = open_report(sample[0])
    data = one.data()
    incident, alert = data["incidents"][-1]["id"], data["alerts"][-1]["id"]
    lane = next(key["id"] for key in data["keys"] if not key["alerts"])
    assert len({key["id"] for key in data["keys"]}) == len(data["keys"])
    one.page.fill("#search", "no such id")
    expect(one.page.locator("#found")).to_contain_text("0 incidents")
    focused = "document.activeElement.id || document.activeElement.parentElement.id"
    for name in (f"incident-{incident}", f"alert-{alert}", f"lane-{lane}"):
        one.page.evaluate(f"location.hash = '{name}'")
        expect(one.page.locator(f"#{name}")).to_be_in_viewport()
        assert one.page.evaluate(focused) == name
    # The same in a page that is opened by such a link.
    page = browser.new_page()
    page.goto(f"{sample[0].as_uri()}#alert-{alert}")
    assert page.evaluate(focused) == f"alert-{alert}"
    page.close()
    hrefs = one.page.locator(".card h3 .anchor").evaluate_all("(all) => all.map((one) => one.getAttribute('href'))")
    assert set(hrefs) == {f"#incident-{row['id']}" for row in data["incidents"]}


def test_a_link_leads_to_a_lane_beyond_those_of_its_caller(report_of):
    one = report_of([denial(USER, n, modelId=f"model-{n}") for n in range(40)], "--rules", "denied-model")
    last = one.data()["keys"][-1]["id"]
    assert one.page.locator(f"#lane-{last}").count() == 0
    one.page.evaluate(f"location.hash = 'lane-{last}'")
    expect(one.page.locator(f"#lane-{last}")).to_be_in_viewport()


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_ids_commands_and_links_can_be_copied(open_report, sample, has_clipboard):
    one = open_report(sample[0])
    one.page.evaluate("addEventListener('copy', (event) => { window.copied = event.target.value; })")
    write = "window.copied = text" if has_clipboard else "throw Error('denied')"
    one.page.evaluate(f"() => {{ navigator.clipboard.writeText = async (text) => {{ {write}; }}; }}")
    card = one.page.locator(".card").first
    card.locator("summary").click()

    def copied(button):
        button.click()
        expect(one.page.locator("#said")).to_contain_text("Copied")
        return one.page.evaluate("window.copied")

    assert copied(card.get_by_text("Copy ARN")) == "arn:aws:iam::777788889999:user/newsletter-mailer"
    assert re.fullmatch(re.escape(one.path.as_uri()) + r"#incident-\w{32}", copied(card.get_by_text("Copy link")))
    assert copied(card.get_by_label("Copy stop it now")) == card.locator("pre").first.inner_text()
    [alert] = [alert for alert in one.data()["alerts"] if alert["rule"]["id"] == "key-quarantined"]
    assert copied(card.get_by_label("Copy the alert id")) == alert["id"]
    assert copied(card.get_by_label("Copy the request id").first) == alert["request_ids"][0]


def rows(one, button):
    """The rows of a CSV file that a button downloads."""
    with one.page.expect_download() as download:
        one.page.click(button)
    with open(download.value.path(), newline="") as file:
        return list(csv.DictReader(file))


def test_incidents_and_counts_are_there_as_csv(open_report, sample):
    one = open_report(sample[0])
    data = one.data()
    incidents = rows(one, "#incidents-csv")
    assert {row["incident"] for row in incidents} == {row["id"] for row in data["incidents"]}
    [export] = [row for row in incidents if row["caller"].endswith("report-export")]
    assert (export["severity"], export["successful_calls_since"], export["served_tokens"]) == ("high", "6", "204")
    counts = rows(one, "#counts-csv")
    assert len(counts) == len(data["keys"]) and (counts[0]["busiest_window"], counts[0]["limit"]) == ("39", "3")
    one.page.click("[data-group=account]")
    assert {row["account"] for row in rows(one, "#counts-csv")} == {key["account"] for key in data["keys"]}


def test_a_csv_file_holds_no_formula_and_what_the_filters_leave(report_of):
    hostile = '=HYPERLINK("https://evil.example","x")'
    one = report_of([denial(user, n, modelId=user) for user in (hostile, "@x", "+1", USER) for n in range(4)], "--rules", "denied-model")
    users = {row["user"] for row in rows(one, "#counts-csv")}
    assert users == {"'" + one.data()["keys"][0]["user"], "'@x", "'+1", USER}
    one.page.fill("#search", "user/ann")
    expect(one.page.locator("#found")).to_contain_text(" and 1 incident shown")
    assert [row["user"] for row in rows(one, "#counts-csv")] == [USER]


def test_your_own_time_stands_beside_utc(open_report, sample):
    tokyo, utc = (open_report(sample[0], timezone_id=zone) for zone in ("Asia/Tokyo", "UTC"))
    texts = [one.page.locator(".card", has_text="report-export").first.inner_text() for one in (tokyo, utc)]
    assert "02:10:04 to 02:15:02 UTC (2025-06-03 11:10:04 to 11:15:02 GMT+9)" in texts[0]
    assert "UTC · 4 min" in texts[1]
    tokyo.page.locator("#lanes .track").first.focus()
    assert re.search(r"02:10:04 UTC \(2025-06-03 11:10:04 GMT\+9\): 1 or more denials in", tokyo.page.locator("#reading").inner_text())


def test_denials_by_hour_add_up_and_lead_to_their_hour(open_report, sample):
    one = open_report(sample[0])
    data = one.data()
    total = sum(key["total"] for key in data["keys"] if data["rules"][key["rule"]]["id"] == "denied-model")
    bars = one.page.locator(".bar-of")
    labels = bars.evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
    assert sum(int(re.search(r": (\d+) denial", label)[1]) for label in labels) == total
    assert "Most: 40, 2025-06-03 02:00:00 to 03:00:00 UTC." in one.page.locator("#hours-hint").inner_text()
    # One stop for the tab key, then the arrows.
    assert one.page.locator(".bar-of[tabindex='0']").count() == 1
    top = one.page.locator(".bar-of[tabindex='0']")
    top.focus()
    one.page.keyboard.press("ArrowRight")
    one.page.keyboard.press("ArrowLeft")
    one.page.keyboard.press("Enter")
    assert width(one) == 3600


def test_a_flood_counts_in_its_hour(report_of):
    one = report_of([denial(USER, n % 60) for n in range(500)] + [denial(USER, 7200)], "--rules", "denied-model")
    hour = START.timestamp() // 3600
    assert one.data()["hours"] == [[hour, 500], [hour + 2, 1]]


def test_beyond_fifty_incidents_you_ask_for_more(report_of):
    one = report_of(crowd(60), "--rules", "denied-model")
    cards = one.page.locator(".card")
    assert cards.count() == 50 and "10 incidents not shown" in one.page.locator("#more-incidents").inner_text()
    one.page.click("#more-incidents")
    assert cards.count() == 60 and not one.page.locator("#more-incidents").is_visible()


def test_a_link_leads_to_an_incident_beyond_fifty(report_of):
    one = report_of(crowd(60), "--rules", "denied-model")
    last = one.data()["incidents"][0]["id"]
    assert one.page.locator(f"#incident-{last}").count() == 0
    one.page.evaluate(f"location.hash = 'incident-{last}'")
    expect(one.page.locator(f"#incident-{last}")).to_be_in_viewport()


def test_whose_alerts_do_not_fit_still_has_a_sentence(report_of):
    one = report_of(crowd(1250), "--rules", "denied-model")
    data = one.data()
    assert data["more_alerts"] > 0 and all("was denied model" in row["opening"] for row in data["incidents"])
    assert one.path.stat().st_size < 5_000_000
    assert one.page.evaluate("performance.getEntriesByType('navigation')[0].domComplete") < 10_000
    one.page.fill("#search", "ann-1249")
    expect(one.page.locator("#found")).to_contain_text(" and 1 incident shown")
    assert "ann-1249 was denied" in one.page.locator(".card").inner_text()


def test_two_thousand_combinations_open_at_once(report_of):
    records = [denial(f"{USER}-{n // 4}", n * 60 + second, modelId=f"model-{n % 4}") for n in range(2000) for second in range(6 if n % 10 == 0 else 2)]
    one = report_of([*records, record(USER, 1)], "--rules", "denied-model")
    assert len(one.data()["keys"]) == 2000
    assert one.page.evaluate("performance.getEntriesByType('navigation')[0].domComplete") < 10_000
    assert one.page.locator("#lanes .lane").count() <= 45
    one.page.click("#quiet")
    assert one.page.locator("#lanes .lane").count() <= 85

"""The console's page in a real browser: arrival, filters, opening, copying, faults, floods, hostile texts."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import pytest
import requests

from eventlog_handlers import CloudWatchEventsHandler, CMSHandler, GuanceHandler
from eventlog_handlers.console.cms import Credentials
from eventlog_handlers.console.exchange import Accepted, Answer, Request
from eventlog_handlers.console.server import LocalConsole
from eventlog_handlers.process.clock import monotonic
from eventlog_handlers.settings.local_console import CONSOLE_ACCESS_KEY_ID, CONSOLE_GUANCE_KEY

EVENT = {"date": 1_800_000_000_000, "status": "error", "title": "out of stock"}
PAGE_ROWS = 50
COUNTING_STREAM = """
let heard = 0;
window.EventSource = class extends EventSource {
  constructor(...address) {
    super(...address);
    const { dataset } = document.documentElement;
    this.addEventListener("message", () => setTimeout(() => { dataset.heard = ++heard; }));
  }
};
"""


@pytest.fixture(scope="module")
def port() -> Iterator[LocalConsole]:
    with LocalConsole() as console:
        yield console


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser.context(
        tmp_path_factory.mktemp("profile"), viewport={"width": 1300, "height": 850}
    ) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield context


@pytest.fixture
def console(port: LocalConsole, monkeypatch: pytest.MonkeyPatch) -> LocalConsole:
    port.restore()
    port.relax()
    monkeypatch.setenv("EVENTLOG_CONSOLE", port.url)
    return port


@pytest.fixture
def page(console: LocalConsole, opened: Any) -> Iterator[Any]:
    """A fresh page on the console. Whatever it complains of, fails the test."""
    page = opened.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if is_complaint(line) else None)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(console.url)
    page.wait_for_selector("#list .empty")
    yield page
    page.close()
    assert complaints == []


def is_complaint(line: Any) -> bool:
    """The browser also notes each answer of 400 and more, which the page shows in its own words."""
    return line.type == "error" and "the server responded with a status of 4" not in line.text


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def send(http: requests.Session, console: LocalConsole, **changes: Any) -> requests.Response:
    headers = {"DF-API-KEY": CONSOLE_GUANCE_KEY}
    url = f"{console.url}/api/v1/events/create"
    return http.post(url, json=EVENT | changes, headers=headers, timeout=5)


def log_to_all(*calls: Any) -> None:
    handlers = [CMSHandler(), GuanceHandler(aggregate_seconds=None), CloudWatchEventsHandler()]
    logger = logging.getLogger("shop.browser")
    logger.propagate = False
    for handler in handlers:
        logger.addHandler(handler)
    try:
        for call in calls:
            call(logger)
        assert all(handler.flush(30) for handler in handlers)
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def fail(logger: logging.Logger) -> None:
    try:
        json.loads("{")
    except ValueError:
        logger.exception("order %s can't be read", "A-1", extra={"order_id": "A-1"})


def headings(page: Any) -> list[str]:
    texts: list[str] = page.locator("#list .row .head").all_inner_texts()
    return texts


def until(page: Any, expression: str, seconds: float = 60.0) -> None:
    """Wait until *expression* is true in *page*. Playwright's own way needs eval, which the page forbids."""
    last = monotonic() + seconds
    while not page.evaluate(expression):
        assert monotonic() < last, f"never true: {expression}"
        page.wait_for_timeout(50)


def flooded(console: LocalConsole, count: int, problems: int) -> None:
    """Put *count* events of *problems* problems into the store, as fast as it takes them."""
    for number in range(count):
        title = f"problem {number % problems}"
        body = {"title": title, "message": f"event {number}"}
        event = Accepted(title=title, status="error", time=None, body=body, stored=body)
        console.store.add(
            "guance",
            Request("POST", "/api/v1/events/create", "", (), b""),
            Answer(200, {}, b"", (event,)),
            received=console.now(),
            connection=1,
            http_status=200,
        )


# --- arrival ---------------------------------------------------------------------------------------------


def test_events_arrive_without_a_reload(page: Any, console: LocalConsole, http: requests.Session) -> None:
    """Rows, totals, and the count of a problem's row."""
    page.evaluate("window.loadedOnce = true")

    send(http, console)
    page.wait_for_selector("#list .row >> text=out of stock")
    send(http, console)
    send(http, console, title="another")
    page.wait_for_selector("#list .row >> text=another")
    until(page, "document.querySelector('[data-service=guance]').textContent.includes('3 accepted')")

    assert headings(page) == ["another", "out of stock"]
    assert page.locator("#list .row .count").all_inner_texts() == ["1", "2"]
    assert page.evaluate("window.loadedOnce") is True


def test_one_row_per_problem_over_three_services(page: Any) -> None:
    """One log call, three services, one row, with its bars."""
    log_to_all(fail)

    until(page, "document.querySelector('#list .row .count')?.textContent === '3'")

    row = page.locator("#list .row")
    assert row.count() == 1
    assert "CMS · Guance · CloudWatch" in row.inner_text()
    assert "JSONDecodeError" in row.inner_text()
    assert row.locator("svg.spark title").inner_html().startswith("3 events")


def test_an_open_problem_shows_its_new_events(
    page: Any, console: LocalConsole, http: requests.Session
) -> None:
    """Where its newest are looked at."""
    send(http, console)
    page.click("#list .row")
    page.wait_for_selector("#detail .row")
    page.evaluate("document.activeElement.blur()")

    send(http, console)

    until(page, "document.querySelectorAll('#detail .row').length === 2")


def test_the_page_outlives_a_restart_of_the_console(opened: Any, http: requests.Session) -> None:
    """It says that the connection is lost, and shows the new console's events when there is one."""
    first = LocalConsole().start()
    first.relax()
    send(http, first, title="of the first")
    page = opened.new_page()
    page.goto(first.url)
    page.wait_for_selector("#list .row >> text=of the first")
    first.stop()
    page.wait_for_selector("#pause >> text=No connection")

    with LocalConsole(port=int(first.url.rpartition(":")[2])) as second:
        second.relax()
        send(http, second, title="of the second")
        page.wait_for_selector("#list .row >> text=of the second")
        until(page, "document.querySelector('#pause').textContent === 'Live'")
        shown = headings(page)
    page.close()

    assert shown == ["of the second"]


def test_pausing_holds_the_list_and_counts_what_waits(
    page: Any, console: LocalConsole, http: requests.Session
) -> None:
    """Going on shows it."""
    send(http, console, title="before")
    page.wait_for_selector("#list .row >> text=before")
    page.keyboard.press("p")

    send(http, console, title="meanwhile")
    send(http, console, title="meanwhile too")
    page.wait_for_selector("#pause >> text=2 new")
    held = headings(page)
    page.click("#pause")
    page.wait_for_selector("#list .row >> text=meanwhile too")

    assert held == ["before"]
    assert headings(page) == ["meanwhile too", "meanwhile", "before"]
    assert page.inner_text("#pause") == "Live"


def test_unread_events_are_counted_in_the_title(
    page: Any, console: LocalConsole, http: requests.Session
) -> None:
    """While another tab is looked at; looking here takes the count away."""
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { configurable: true, get: () => window.away === true });"
        "window.away = true"
    )

    send(http, console)
    send(http, console)
    until(page, "document.title === '(2) Event console'")
    page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")

    until(page, "document.title === 'Event console'")


def test_clearing_empties_the_page(page: Any, console: LocalConsole, http: requests.Session) -> None:
    """From the button, and when somebody else does it."""
    send(http, console)
    page.wait_for_selector("#list .row")
    page.click("text=Clear all")
    page.wait_for_selector("#list .empty")
    send(http, console)
    page.wait_for_selector("#list .row")

    http.delete(f"{console.url}/api/events", timeout=5)

    page.wait_for_selector("#list .empty")
    assert console.events() == []


# --- filters, paging, permalinks -------------------------------------------------------------------------


def test_filters_narrow_the_list_as_one_types(
    page: Any, console: LocalConsole, http: requests.Session
) -> None:
    """Text, status and service; the address holds them, and opened elsewhere shows the same."""
    for title, status in (("red cup", "error"), ("blue cup", "warning"), ("red pot", "error")):
        send(http, console, title=title, status=status)
    page.wait_for_selector("#list .row >> text=red pot")

    page.fill("input[name=q]", "cup")
    until(page, "document.querySelectorAll('#list .row').length === 2")
    page.select_option("select[name=status]", "error")
    until(page, "document.querySelectorAll('#list .row').length === 1")
    send(http, console, title="green cup", status="ok")
    send(http, console, title="white cup", status="error")
    page.wait_for_selector("#list .row >> text=white cup")
    narrowed = headings(page)
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector("#list .row >> text=red cup")

    assert narrowed == ["white cup", "red cup"]
    assert headings(other) == narrowed
    assert other.input_value("input[name=q]") == "cup"
    other.close()


def test_filters_by_logger_exception_and_time(page: Any) -> None:
    """What there is to choose grows with what arrives."""
    log_to_all(fail, lambda logger: logger.warning("late"))
    until(page, "document.querySelectorAll('#list .row').length === 2")
    page.locator("select[name=exception]").dispatch_event("pointerdown")
    page.wait_for_selector("select[name=exception] option >> nth=1", state="attached")

    page.select_option("select[name=exception]", "json.decoder.JSONDecodeError")
    until(page, "document.querySelectorAll('#list .row').length === 1")
    page.select_option("select[name=within]", "300")
    page.select_option("select[name=logger]", "shop.browser")
    page.wait_for_url(re.compile("within=300.*|.*logger=shop"))
    shown = headings(page)
    page.select_option("select[name=service]", "cms")
    until(page, "document.querySelector('#list .row .count').textContent === '1'")

    assert shown == ["order A-1 can't be read"]


def test_filters_from_a_time_to_a_time(page: Any, console: LocalConsole, http: requests.Session) -> None:
    """As people write it, by their own clock; the address holds it."""
    send(http, console)
    page.wait_for_selector("#list .row")
    page.select_option("select[name=within]", "chosen")
    page.wait_for_selector("input[name=since]")
    of_the_last_hour = headings(page)

    page.fill("input[name=until]", "2020-01-01T00:00:00")
    page.keyboard.press("Tab")
    page.wait_for_selector("#list .empty >> text=Nothing matches")
    page.reload()
    page.wait_for_selector("#list .empty >> text=Nothing matches")
    kept = page.input_value("input[name=until]")
    page.click("text=Show everything")
    page.wait_for_selector("#list .row")

    assert of_the_last_hour == ["out of stock"]
    assert kept.startswith("2020-01-01T00:00")
    assert page.input_value("select[name=within]") == ""
    assert not page.is_visible("input[name=since]")


def test_all_events_come_by_paging(page: Any, console: LocalConsole) -> None:
    """A page of rows at a time, older and back to the newest; a page is a permalink."""
    flooded(console, PAGE_ROWS * 2 + 5, 1)
    page.goto(f"{console.url}/#/events")
    page.wait_for_selector("[data-older]")
    seen = page.locator("#list .row").count()

    page.click("[data-older]")
    page.wait_for_selector("#list .foot >> text=an older page")
    page.click("[data-older]")
    until(page, "document.querySelectorAll('#list .row').length === 5")
    page.reload()
    until(page, "document.querySelectorAll('#list .row').length === 5")
    page.click("[data-newest]")
    until(page, f"document.querySelectorAll('#list .row').length === {PAGE_ROWS}")

    assert seen == PAGE_ROWS


# --- opening, copying ------------------------------------------------------------------------------------


def test_a_problem_opens_to_its_events_and_an_event_to_its_detail(page: Any, console: LocalConsole) -> None:
    """Title, message, traceback with library frames folded, fields, tries; and back by Escape."""
    log_to_all(fail)
    page.click("#list .row")
    page.wait_for_selector("#detail .row")
    in_problem = page.locator("#detail .row").count()
    page.locator("#detail .row", has_text="CloudWatch").click()
    page.wait_for_selector("#detail .trace")

    trace = page.locator("#detail .trace")
    folded = trace.locator("details").all_inner_texts()
    visible = trace.inner_text()
    page.click("#detail .trace summary")
    unfolded = trace.inner_text()

    assert in_problem == 3
    assert [text.strip() for text in folded] == ["3 library frames: __init__, decoder"]
    assert "test_browser.py" in visible
    assert "decoder.py" not in visible.replace(folded[0], "")
    assert "decoder.py" in unfolded
    assert "JSONDecodeError: Expecting property name" in visible
    assert page.locator("#detail h2").inner_text() == "order A-1 can't be read"
    assert "order_id" in page.inner_text("#detail")
    assert "Sent once" in page.inner_text("#detail")
    link = page.url
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail", state="hidden")
    page.goto("about:blank")
    page.goto(link)
    page.wait_for_selector("#detail .trace")


def test_what_arrives_between_press_and_release_takes_no_click_away(
    page: Any, console: LocalConsole, http: requests.Session
) -> None:
    """The row would be another element by then; and what moved up or down would be hit instead."""
    page.add_init_script(COUNTING_STREAM)
    page.reload()
    send(http, console)
    row = page.wait_for_selector("#list .row")
    box = row.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + box["height"] / 2)
    page.mouse.down()
    heard = page.get_attribute("html", "data-heard")
    send(http, console)
    page.wait_for_selector(f"html:not([data-heard='{heard}'])")
    page.mouse.up()

    page.wait_for_selector("#detail .row")
    page.wait_for_selector("#list .count >> text=2")


IF_DRAWN_IN_A_SECOND = """new Promise((done) => {
  const look = () => document.querySelectorAll("#detail .row").length > 1 ? done() : setTimeout(look, 20);
  look();
  setTimeout(done, 1000);
})"""


def test_an_answer_that_comes_between_press_and_release_takes_no_click_away(
    page: Any, console: LocalConsole, http: requests.Session
) -> None:
    """An open problem's events are asked for when one of them arrives, and drawn when the answer comes."""
    send(http, console)
    page.click("#list .row")
    row = page.wait_for_selector("#detail .row")
    held: list[Any] = []
    page.route("**/api/events*", lambda route: route.continue_() if held else held.append(route))
    with page.expect_request("**/api/events*"):
        send(http, console)
    box = row.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + box["height"] / 2)
    page.mouse.down()
    with page.expect_response("**/api/events*"):
        held[0].continue_()
    page.evaluate(IF_DRAWN_IN_A_SECOND)
    page.mouse.up()

    page.wait_for_selector("#detail >> text=Copy JSON")


def test_an_event_is_copied_in_three_forms(page: Any, console: LocalConsole, http: requests.Session) -> None:
    """As JSON, as curl, as a pytest assertion; and its link."""
    send(http, console, message="first\nsecond")
    page.goto(f"{console.url}/#/events")
    page.click("#list .row")
    page.wait_for_selector("#detail >> text=Copy JSON")

    copied = {}
    for name in ("JSON", "curl", "pytest", "link"):
        page.click(f"#detail button >> text=Copy {name}")
        page.wait_for_selector("#toast:not([hidden])")
        copied[name] = page.evaluate("navigator.clipboard.readText()")

    assert json.loads(copied["JSON"])["df_title"] == "out of stock"
    assert copied["curl"].startswith("curl -sS -X POST")
    assert "assert event.title == 'out of stock'" in copied["pytest"]
    assert copied["link"] == page.url


def test_export_downloads_what_matches(
    page: Any, console: LocalConsole, http: requests.Session, tmp_path: Path
) -> None:
    """A line of JSON for each event."""
    send(http, console, title="one")
    send(http, console, title="two")
    page.wait_for_selector("#list .row >> text=two")
    page.fill("input[name=q]", "two")
    until(page, "document.querySelectorAll('#list .row').length === 1")

    with page.expect_download() as download:
        page.click("text=Export")
    download.value.save_as(tmp_path / "events.jsonl")

    lines = (tmp_path / "events.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["title"] for line in lines] == ["two"]


def test_everything_can_be_done_by_keyboard(page: Any, console: LocalConsole, http: requests.Session) -> None:
    """Move, open, close, search, change the view, see the keys."""
    for title in ("first", "second"):
        send(http, console, title=title)
    page.wait_for_selector("#list .row >> text=second")

    page.keyboard.press("j")
    page.keyboard.press("j")
    focused = page.evaluate("document.activeElement.querySelector('.head').textContent")
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail h2 >> text=first")
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail", state="hidden")
    back = page.evaluate("document.activeElement.querySelector('.head')?.textContent")
    page.keyboard.press("/")
    page.keyboard.type("second")
    until(page, "document.querySelectorAll('#list .row').length === 1")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    page.wait_for_selector("nav a[aria-current] >> text=Events")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")

    assert focused == back == "first"
    assert page.evaluate("document.querySelectorAll('#list .row, button, select, input').length") > 5
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, select, input, a')].filter((one) => !one.hidden &&"
        " !(one.textContent.trim() || one.getAttribute('aria-label') || one.title))"
        ".map((one) => one.outerHTML)"
    )
    assert unnamed == []


# --- refusals, faults, rules -----------------------------------------------------------------------------


def test_why_it_was_refused_is_shown(page: Any, console: LocalConsole) -> None:
    """Both strings side by side with the difference marked, the rule, and its page."""
    console.cms.credentials = {CONSOLE_ACCESS_KEY_ID: Credentials("eventlog-console-secret\n")}
    handler, logger = CMSHandler(), logging.getLogger("shop.refused")
    logger.addHandler(handler)
    try:
        logger.error("x")
        handler.flush(1)
    finally:
        logger.removeHandler(handler)
        handler.close()
    page.wait_for_selector("nav .badge")
    page.keyboard.press("3")
    page.locator("#list .row").last.click()
    page.wait_for_selector("#detail .why .sides")

    why = page.locator("#detail .why")

    assert "SignatureDoesNotMatch" in why.inner_text()
    assert "RPC v1" in why.inner_text()
    assert why.locator("a").first.get_attribute("href").startswith("https://help.aliyun.com/")
    assert page.locator("#detail .expected .diff div").count() > 5
    assert page.locator("#detail >> text=Headers").count() >= 1


def test_the_difference_of_two_strings_is_marked(page: Any, console: LocalConsole) -> None:
    """The header that was not signed stands on one side only; a changed value is marked inside its line."""
    marked = page.evaluate(
        """async () => {
            const { pairsOf, cutAt, sideBySide } = await import("/static/diff.js");
            const shown = sideBySide("POST\\n/\\nhost:a\\nx-extra:1\\nend", "POST\\n/\\nhost:b\\nend");
            return {
                pairs: pairsOf(["a", "b", "c"], ["a", "c"]),
                cut: cutAt("host:localhost:80", "host:localhost"),
                only: [...shown.querySelectorAll(".only")].map((line) => line.textContent),
                marks: [...shown.querySelectorAll("mark")].map((mark) => mark.textContent),
            };
        }"""
    )

    assert marked == {
        "pairs": [["a", "a"], ["b", None], ["c", "c"]],
        "cut": ["host:localhost", ":80", ""],
        "only": ["host:a", "x-extra:1", "host:b"],
        "marks": ["a", "b"],
    }


def test_a_fault_button_makes_a_handler_try_again(page: Any, console: LocalConsole) -> None:
    """Pressed on the page, met by the handler, told in the event's tries."""
    page.goto(f"{console.url}/#/faults")
    page.click("[data-fault='guance:500']")
    page.wait_for_selector("#lasting >> text=1 more request")
    handler, logger = GuanceHandler(), logging.getLogger("shop.fault")
    logger.addHandler(handler)
    try:
        logger.error("out of stock")
        assert handler.flush(30)
    finally:
        logger.removeHandler(handler)
        handler.close()
    page.wait_for_selector("#lasting li", state="detached")
    page.keyboard.press("2")
    page.click("#list .row")
    page.wait_for_selector("#detail >> text=Sent 2 times")

    tries = page.locator("#detail .row", has_text="accepted")

    assert [one.split()[0] for one in tries.locator(".head").all_inner_texts()] == ["500", "200"]
    assert "fault: 500" in tries.first.inner_text()


def test_a_fault_lasts_until_it_is_stopped(page: Any, console: LocalConsole, http: requests.Session) -> None:
    """It is said on every view, and ended by its button."""
    page.goto(f"{console.url}/#/faults")
    page.select_option("select[aria-label='Requests or seconds']", "")
    page.click("[data-fault='guance:throttle']")
    page.wait_for_selector("#lasting >> text=until stopped")
    statuses = [send(http, console).status_code for _ in range(3)]
    page.keyboard.press("1")
    page.wait_for_selector("#notice >> text=Guance: Throttle")
    page.keyboard.press("5")
    page.click("#lasting button")
    page.wait_for_selector("#lasting li", state="detached")

    assert statuses == [401] * 3
    assert send(http, console).status_code == 200
    assert page.locator("[data-fault='guance:half']").count() == 0


def test_the_rule_tester_tells_why_not(page: Any, console: LocalConsole) -> None:
    """What matches, what doesn't, and what is no rule."""
    log_to_all(fail, lambda logger: logger.warning("late"))
    page.goto(f"{console.url}/#/rules")
    page.fill("#rule", '{"detail": {"status": ["error"]}}')

    page.click("#try")
    page.wait_for_selector("#verdict >> text=1 of 2 events")
    reasons = page.locator("#verdict .reasons").all_inner_texts()
    page.select_option("#kind", "guance")
    page.fill("#rule", "status:(error")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#verdict .wrong")

    assert reasons == ['detail.status is "warning": not "error"']
    assert "not closed" in page.inner_text("#verdict .wrong")


# --- floods and hostile texts ----------------------------------------------------------------------------


def test_ten_thousand_events_are_bounded_work(page: Any, console: LocalConsole) -> None:
    """Rows, nodes and bytes stay within bounds that don't depend on the number of events."""
    page.evaluate(
        """() => {
            window.most = { rows: 0, nodes: 0 };
            new MutationObserver(() => {
                window.most.rows = Math.max(window.most.rows, document.querySelectorAll("#list .row").length);
                window.most.nodes = Math.max(window.most.nodes, document.getElementsByTagName("*").length);
            }).observe(document.body, { childList: true, subtree: true });
        }"""
    )
    read: list[int] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.dataReceived", lambda told: read.append(told["dataLength"]))

    flooded(console, 10_000, 300)
    until(page, "document.querySelector('[data-service=guance]').textContent.includes('10,000 accepted')")
    until(page, "document.querySelector('#list .foot').textContent.includes('10,000 events')")
    page.goto(f"{console.url}/#/events")
    page.wait_for_selector("[data-older]")

    most = page.evaluate("window.most")
    assert most["rows"] == PAGE_ROWS
    assert most["nodes"] < 2500
    rows_in_bytes = 10_000 * len(json.dumps({"title": "problem 299", "message": "event 9999"}))
    assert sum(read) < 6 * rows_in_bytes  # some hundred bytes for each event would be ten times as much
    assert console.store.stats()["guance"]["accepted"] == 10_000


DETAIL_FOLLOWS = """
document.querySelector("#detail").dataset.open
    === new URLSearchParams(location.hash.split("?")[1]).get("open")
"""
HOSTILE = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    '"><svg onload=window.hacked=1>',
    "javascript:window.hacked=1",
    "${window.hacked = 1}",
    "</title><script>window.hacked = 1</script>",
    "\u202egnp.exe \ud83d\udca5 \x00\x07\x1b[31m",
    "x" * 5000,
    "\n" * 50,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_stay_texts(
    page: Any, console: LocalConsole, http: requests.Session, text: str
) -> None:
    """In a title, a message, a tag's name and value, a refused field, a user agent, a logger, a rule."""
    headers = {
        "DF-API-KEY": CONSOLE_GUANCE_KEY,
        "User-Agent": text.encode("ascii", "ignore").decode()[:100].strip() or "x",
    }
    headers["User-Agent"] = re.sub(r"[\x00-\x1f]", "", headers["User-Agent"])
    tags = {
        text: text,
        "logger": text,
        "exc_type": text,
        "__proto__": text,
        "constructor": {"a": [text]},
        "fingerprint": text,
    }
    for changes in ({}, {"status": text}, {text: text, "customTags": {}}):
        body = EVENT | {
            "title": text,
            "message": f'Traceback (most recent call last):\n  File "{text}", line 1, in x\n{text}',
        }
        url = f"{console.url}/api/v1/events/create"
        http.post(url, json=body | {"customTags": tags} | changes, headers=headers, timeout=5)
    page.wait_for_selector("#list .row")
    for view in ("problems", "events", "refused", "requests"):
        page.goto(f"{console.url}/#/{view}")
        page.wait_for_selector(f"#list ul[data-view={view}] .row")
        for number in range(page.locator("#list .row").count()):
            page.locator("#list .row").nth(number).click()
            page.wait_for_selector("#detail .body")
            until(page, DETAIL_FOLLOWS)
            page.evaluate(
                "document.querySelectorAll('#detail details').forEach((one) => { one.open = true; })"
            )
    page.locator("select[name=service]").dispatch_event("pointerdown")

    assert page.evaluate("window.hacked") is None
    assert (
        page.evaluate(
            "document.querySelectorAll('main script, main img, main iframe, [onerror], [onload]').length"
        )
        == 0
    )
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_detail_of_a_thousand_levels_is_shown(page: Any, console: LocalConsole) -> None:
    """As JSON from some level on."""
    deep: Any = "bottom"
    for _ in range(990):
        deep = {"a": deep}
    event = Accepted(title="deep", status="ok", time=None, body={"Detail": "x"}, stored={"detail": deep})
    answer = Answer(200, {}, b"", (event,))
    request = Request("POST", "/", "", (), b"")
    console.store.add("cloudwatch", request, answer, received=console.now(), connection=1, http_status=200)

    page.click("#list .row")
    page.click("#detail .row")
    page.wait_for_selector("#detail >> text=As the service hands it on")
    page.evaluate("document.querySelectorAll('#detail details').forEach((one) => { one.open = true; })")

    assert "bottom" in page.text_content("#detail")
    assert page.evaluate("document.querySelectorAll('#detail table').length") < 30


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (390, "light"), (768, "dark"), (1300, "light")])
def test_nothing_is_wider_than_the_screen(
    console: LocalConsole, opened: Any, width: int, scheme: str
) -> None:
    """On a phone too; what is open takes the list's place there."""
    log_to_all(fail, lambda logger: logger.error("y" * 3000))
    page = opened.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    for view in ("problems", "events", "requests", "faults", "rules"):
        page.goto(f"{console.url}/#/{view}")
        page.wait_for_selector(".row" if view in ("problems", "events", "requests") else ".panel")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
    page.goto(f"{console.url}/#/events")
    for number in range(2):
        page.goto(f"{console.url}/#/events?open=event-{console.events()[number].id}")
        page.wait_for_selector("#detail h2")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, number
    assert page.locator("#list").is_visible() is (width > 992)
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(18, 20, 24)") is (scheme == "dark")
    page.close()

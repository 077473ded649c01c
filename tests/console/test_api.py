"""The API behind the page: problems, paging, one event with its tries, refusals, export, the stream."""

from __future__ import annotations

import json
import logging
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

import eventlog_handlers
from eventlog_handlers import CloudWatchEventsHandler, CMSHandler, GuanceHandler
from eventlog_handlers.console import static_files, views
from eventlog_handlers.console.app import Console
from eventlog_handlers.console.cms import Credentials
from eventlog_handlers.console.exchange import Accepted, Answer, Request
from eventlog_handlers.console.feed import mark_of
from eventlog_handlers.console.server import LocalConsole
from eventlog_handlers.console.store import Store
from eventlog_handlers.console.views import Filters, Mark
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings.local_console import (
    CONSOLE_ACCESS_KEY_ID,
    CONSOLE_AWS_ACCESS_KEY_ID,
    CONSOLE_AWS_SECRET_ACCESS_KEY,
    CONSOLE_GUANCE_KEY,
)

EVENT = {"date": 1_800_000_000_000, "status": "error", "title": "out of stock"}


@pytest.fixture(scope="module")
def port() -> Iterator[LocalConsole]:
    with LocalConsole() as console:
        yield console


@pytest.fixture
def console(port: LocalConsole, monkeypatch: pytest.MonkeyPatch) -> LocalConsole:
    port.restore()
    port.relax()
    monkeypatch.setenv("EVENTLOG_CONSOLE", port.url)
    return port


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def send(http: requests.Session, console: LocalConsole, **changes: Any) -> requests.Response:
    headers = {"DF-API-KEY": CONSOLE_GUANCE_KEY}
    url = f"{console.url}/api/v1/events/create"
    return http.post(url, json=EVENT | changes, headers=headers, timeout=5)


def get(http: requests.Session, console: LocalConsole, path: str, **query: Any) -> Any:
    answer = http.get(f"{console.url}/api/{path}", params=query, timeout=5)
    assert answer.status_code == 200, answer.text
    return answer.json()


def log_to_all(*calls: Any) -> None:
    """Make log calls with a handler for each service."""
    handlers = [CMSHandler(), GuanceHandler(aggregate_seconds=None), CloudWatchEventsHandler()]
    logger = logging.getLogger("shop.api")
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


# --- problems --------------------------------------------------------------------------------------------


def test_one_row_per_problem_over_all_services(console: LocalConsole, http: requests.Session) -> None:
    """With its count, its bars, when it was first and last seen, and which services got it."""
    log_to_all(
        lambda logger: [logger.error("order %d lost", number) for number in range(3)],
        lambda logger: logger.warning("late"),
    )

    found = get(http, console, "problems")

    assert len(found["problems"]) == 2
    (lost,) = [row for row in found["problems"] if row["status"] == "error"]
    assert (lost["count"], lost["occurrences"], sum(lost["bars"])) == (9, 9, 9)
    assert lost["services"] == ["cms", "guance", "cloudwatch"]
    assert lost["first"] <= lost["last"] <= found["now"]
    assert len(lost["bars"]) == views.BUCKETS
    assert found["total"] == 12
    assert [row["newest"] for row in found["problems"]] == sorted(
        (row["newest"] for row in found["problems"]), reverse=True
    )


def test_problems_and_events_are_filtered_alike(console: LocalConsole, http: requests.Session) -> None:
    """By service, status, logger, exception, time, problem, and text."""

    def fail(logger: logging.Logger) -> None:
        try:
            {}["cup"]
        except KeyError:
            logger.exception("no cup")

    log_to_all(fail, lambda logger: logger.warning("tardy"))
    send(http, console, title="of another sender", message="100% _odd_")
    (problem,) = {event.problem for event in console.events() if event.exception}

    def counted(**query: Any) -> tuple[int, int]:
        problems = get(http, console, "problems", **query)
        events = get(http, console, "events", brief=1, **query)
        assert problems["total"] == events["total"] == len(events["events"])
        return len(problems["problems"]), events["total"]

    assert counted() == (3, 7)
    assert counted(service="cms") == (2, 2)
    assert counted(status="warning") == (1, 3)
    assert counted(logger="shop.api") == (2, 6)
    assert counted(exception="KeyError") == (1, 3)
    assert counted(problem=problem, service="guance") == (1, 1)
    assert counted(q="100% _") == (1, 1)
    assert counted(q="TARDY") == (1, 3)
    assert counted(since=0) == (3, 7)
    assert counted(until=0) == (0, 0)
    assert get(http, console, "facets") == {
        "logger": ["shop.api"],
        "exception": ["KeyError"],
        "services": {"cms": "CMS", "guance": "Guance", "cloudwatch": "CloudWatch Events"},
    }


@pytest.mark.parametrize(
    "query", ["service=x", "since=soon", "until=nan", "limit=-1", "before=x", "bucket=1.5"]
)
def test_refuses_filters_that_cannot_be_meant(
    console: LocalConsole, http: requests.Session, query: str
) -> None:
    """Instead of answering something else."""
    assert http.get(f"{console.url}/api/problems?{query}", timeout=5).status_code == 400


def test_all_events_come_by_paging(console: LocalConsole, http: requests.Session) -> None:
    """Newest first, each once, with a page to go on from until there is none."""
    for number in range(7):
        send(http, console, title=f"event {number}")
    pages, before = [], None
    while before is not None or not pages:
        page = get(http, console, "events", brief=1, limit=3, **({"before": before} if before else {}))
        pages.append([event["title"] for event in page["events"]])
        before = page["next"]

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [title for page in pages for title in page] == [f"event {number}" for number in reversed(range(7))]
    assert "body" not in get(http, console, "events", brief=1)["events"][0]


def test_bars_are_of_fixed_moments() -> None:
    """An event stays in its bar's slot while time goes on, and leaves at the left."""
    store = Store()
    for at in (1000.0, 1009.9, 1010.0, 1299.0):
        event = Accepted(title="t", status="", time=None, body={}, stored={})
        request = Request("POST", "/", "", (), b"")
        store.add("cms", request, Answer(200, {}, b"", (event,)), received=at, connection=1, http_status=200)

    def bars(now: float) -> tuple[list[int], int]:
        (row,) = views.problems(store, Filters(), now=now, bucket=10)
        return row["bars"], row["slot"]

    early, late = bars(1299.9), bars(1300.0)
    assert early[0] == [2, 1, *[0] * 27, 1]
    assert early[0][1:] == late[0][:-1]
    assert (early[1], late[1]) == (129, 130)
    assert sum(late[0]) == 2
    assert views.bucket_for(store, Filters(), 1299.0) == 60
    assert views.bucket_for(store, Filters(), 1001.0) == 10


# --- one event -------------------------------------------------------------------------------------------


def test_an_event_opens_to_its_tries(console: LocalConsole, http: requests.Session) -> None:
    """Throttled and cut ones included; each is a request to be looked at."""
    console.script.throttle("cloudwatch")
    console.script.cut("cloudwatch")
    handler, logger = CloudWatchEventsHandler(), logging.getLogger("shop.tries")
    logger.addHandler(handler)
    try:
        logger.error("lost")
        assert handler.flush(60)
    finally:
        logger.removeHandler(handler)
        handler.close()
    (event,) = console.events()

    found = get(http, console, f"events/{event.id}")

    tries = [(one["http_status"], one["code"]) for one in found["tries"]]
    assert tries == [(400, "ThrottlingException"), (None, "scripted"), (200, "")]
    assert found["request"]["id"] == found["tries"][-1]["id"] == event.request
    assert found["facts"]["message"] == "lost"
    assert http.get(f"{console.url}/api/events/999999", timeout=5).status_code == 404


def test_an_event_opens_to_its_fellows(console: LocalConsole, http: requests.Session) -> None:
    """The other entries of its request, without itself."""
    client = boto3.session.Session().client(
        "events",
        region_name="us-east-1",
        endpoint_url=console.url,
        aws_access_key_id=CONSOLE_AWS_ACCESS_KEY_ID,
        aws_secret_access_key=CONSOLE_AWS_SECRET_ACCESS_KEY,
        config=Config(proxies={}),
    )
    entries = [{"Source": "s", "DetailType": f"type {number}", "Detail": "{}"} for number in range(3)]
    client.put_events(Entries=entries)

    found = get(http, console, f"events/{console.events()[1].id}")

    assert [fellow["title"] for fellow in found["fellows"]] == ["type 2", "type 0"]


def test_an_event_is_copied_as_a_test_that_passes(
    console: LocalConsole, http: requests.Session, tmp_path: Path
) -> None:
    """What stands in the clipboard holds for the very event."""
    send(http, console, title='it\'s "odd"\n', message="first\nsecond", origin="shop")
    (event,) = console.events()

    copied = get(http, console, f"events/{event.id}")["copy"]

    namespace: dict[str, Any] = {}
    exec(compile(copied["pytest"], "copied", "exec"), namespace)
    namespace["test_the_event_arrives"](console)
    assert json.loads(copied["json"]) == event.stored


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize("service", ["guance", "cloudwatch"])
def test_an_event_is_copied_as_a_curl_that_works(
    console: LocalConsole, http: requests.Session, service: str
) -> None:
    """It makes the same event once more; PutEvents is signed anew."""
    handler = GuanceHandler() if service == "guance" else CloudWatchEventsHandler()
    logger = logging.getLogger("shop.curl")
    logger.addHandler(handler)
    try:
        logger.error("it's a 'quoted' $HOME `x` \x1b[31m é 茶")
        assert handler.flush(30)
    finally:
        logger.removeHandler(handler)
        handler.close()
    (event,) = console.events()

    curl = get(http, console, f"events/{event.id}")["copy"]["curl"]
    subprocess.run(["bash", "-c", curl], check=True, capture_output=True, timeout=30)

    first, second = console.events()
    assert second.body == first.body
    assert f"{console.url}/" in shlex.split(curl)[-1]


# --- why it was refused ----------------------------------------------------------------------------------


def test_a_refused_request_shows_all_there_is(console: LocalConsole, http: requests.Session) -> None:
    """Headers, body, answer, the rule that was broken with its page."""
    send(http, console, status="fatal")
    (request,) = console.requests()

    found = get(http, console, f"requests/{request.id}")

    (refusal,) = found["refusals"]
    assert refusal["rule"]["text"].startswith("status is one of")
    assert refusal["rule"]["page"].startswith("https://docs.guance.com/")
    assert refusal["signing"] is None
    assert ["content-type", "application/json"] in found["exchange"]["headers"]
    assert json.loads(found["exchange"]["body"]["text"])["status"] == "fatal"
    assert json.loads(found["exchange"]["answer"]["text"])["errorCode"] == "ft.EmuInvalidParameter"
    assert found["request"]["http_status"] == 400
    body = http.get(f"{console.url}/api/requests/{request.id}/body", timeout=5)
    assert json.loads(body.content) == EVENT | {"status": "fatal"}
    assert body.headers["content-disposition"].startswith("attachment")


def test_a_wrong_signature_shows_both_strings(console: LocalConsole, http: requests.Session) -> None:
    """Side by side, with what the difference means."""
    console.cms.credentials = {CONSOLE_ACCESS_KEY_ID: Credentials("another-secret")}
    handler = CMSHandler()
    logger = logging.getLogger("shop.signature")
    logger.addHandler(handler)
    try:
        logger.error("x")
        handler.flush(2)
    finally:
        logger.removeHandler(handler)
        handler.close()
    request = console.requests()[0]

    (refusal,) = get(http, console, f"requests/{request.id}")["refusals"]

    assert refusal["code"] == "SignatureDoesNotMatch"
    assert refusal["signing"]["expected"] == refusal["signing"]["received"]
    assert "secret is another one" in refusal["signing"]["note"]
    assert "another-secret" not in json.dumps(refusal)


def test_keys_that_are_not_the_stand_ins_own_are_not_kept(
    console: LocalConsole, http: requests.Session
) -> None:
    """Sent here by mistake, they may be real."""
    headers = {"DF-API-KEY": "wsak_real_key_of_somebody", "X-Amz-Security-Token": "real-token-of-somebody"}
    http.post(f"{console.url}/api/v1/events/create", json=EVENT, headers=headers, timeout=5)
    (request,) = console.requests()

    shown = json.dumps(get(http, console, f"requests/{request.id}"))

    assert "real_key" not in shown
    assert "real-token" not in shown
    assert "wsak\\u2026 (25 characters)" in shown


def test_bodies_of_old_requests_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The events stay; their bytes go, oldest first, from the limit on."""
    monkeypatch.setattr("eventlog_handlers.console.store.MOST_KEPT_BYTES", 1000)
    store = Store()
    for number in range(5):
        event = Accepted(title=str(number), status="", time=None, body={}, stored={})
        request = Request("POST", "/", "", (), b"x" * 300)
        store.add("cms", request, Answer(200, {}, b"", (event,)), received=1.0, connection=1, http_status=200)

    assert [store.exchange(number) is not None for number in range(1, 6)] == [False, False, True, True, True]
    assert len(store.events()) == 5


# --- export, rules ---------------------------------------------------------------------------------------


def test_exports_what_matches_as_lines(console: LocalConsole, http: requests.Session) -> None:
    """All of it, not one page."""
    for number in range(250):
        send(http, console, title=f"event {number}", status="error" if number % 2 else "ok")

    answer = http.get(f"{console.url}/api/export?status=ok", timeout=30)

    events = [json.loads(line) for line in answer.text.splitlines()]
    assert len(events) == 125
    assert {event["status"] for event in events} == {"ok"}
    assert "attachment" in answer.headers["content-disposition"]


def test_rules_are_tried_on_stored_events(console: LocalConsole, http: requests.Session) -> None:
    """What matches, what doesn't and why, or why it is no rule."""
    log_to_all(lambda logger: logger.error("lost"), lambda logger: logger.warning("late"))

    def tried(kind: str, rule: Any) -> requests.Response:
        text = rule if isinstance(rule, str) else json.dumps(rule)
        return http.post(f"{console.url}/api/rules", json={"kind": kind, "rule": text}, timeout=5)

    pattern = tried("eventbridge", {"detail": {"status": ["error"]}}).json()
    alarm = tried("cms", {"EventName": "shop.api", "GroupId": "0", "Threshold": 2}).json()
    wanted = tried("guance", "status:warning").json()
    wrong = tried("eventbridge", {"detail": "error"})

    assert (pattern["tested"], pattern["matched"]) == (2, 1)
    assert [event["heading"] for event in pattern["matching"]] == ["lost"]
    assert pattern["others"][0]["why_not"] == ['detail.status is "warning": not "error"']
    assert (alarm["matched"], alarm["summary"][:8]) == (2, "fires at")
    assert [event["heading"] for event in wanted["matching"]] == ["late"]
    assert (wrong.status_code, wrong.json()["error"]) == (
        422,
        'detail takes a list of values, such as ["error"]',
    )
    assert tried("sql", "x").status_code == 400
    assert http.post(f"{console.url}/api/rules", data="[]", timeout=5).status_code == 400


# --- the stream ------------------------------------------------------------------------------------------


class Stream:
    """An open stream, read message by message on the test's thread."""

    def __init__(self, console: LocalConsole, **query: Any) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        headers = {"last-event-id": query.pop("last_event_id")} if "last_event_id" in query else {}
        self.answer = self.session.get(
            f"{console.url}/api/stream", params=query, headers=headers, stream=True, timeout=20
        )
        self.size = 0
        self._lines = self.answer.iter_lines(chunk_size=1)

    def next(self) -> dict[str, Any]:
        for line in self._lines:
            self.size += len(line) + 1
            if line.startswith(b"id: "):
                self.last_id = line[4:].decode()
            if line.startswith(b"data: "):
                message: dict[str, Any] = json.loads(line[6:])
                return message
        raise EOFError

    def rest(self) -> Iterator[dict[str, Any]]:
        """The messages until the server ends the stream."""
        with suppress(EOFError, requests.RequestException):
            while True:
                yield self.next()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()
        self.session.close()


def test_the_stream_tells_what_is_new_and_nothing_else(console: LocalConsole, http: requests.Session) -> None:
    """Rows of the list that is shown, counts of all, and faults as they come and go."""
    send(http, console, title="before")
    with Stream(console, want="events") as stream:
        hello = stream.next()
        send(http, console, title="new")
        message = stream.next()
        http.post(f"{console.url}/api/faults", json={"service": "cms", "kind": "cut"}, timeout=5)
        fault = stream.next()

    assert (hello["fresh"], "events" in hello) == (0, False)
    assert [event["title"] for event in message["events"]] == ["new"]
    assert (message["fresh"], message["totals"]["guance"]["accepted"]) == (1, 2)
    assert [one["kind"] for one in fault["faults"]] == ["cut"]
    assert "events" not in fault


def test_the_stream_filters(console: LocalConsole, http: requests.Session) -> None:
    """Rows and their number; the totals are of all."""
    with Stream(console, want="problems", status="ok") as stream:
        stream.next()
        send(http, console, status="error")
        send(http, console, status="ok", title="fine")
        fresh, rows = 0, []
        while not rows:
            message = stream.next()
            fresh += message["fresh"]
            rows = message.get("problems", [])

    assert [row["title"] for row in rows] == ["fine"]
    assert fresh == 1


def test_a_stream_goes_on_where_it_broke_off(console: LocalConsole, http: requests.Session) -> None:
    """By the id the browser repeats; and from a list's mark without a gap between."""
    with Stream(console, want="events") as stream:
        stream.next()
        mark = stream.last_id
    send(http, console, title="meanwhile")
    with Stream(console, want="events", last_event_id=mark) as stream:
        message = stream.next()
    listed = get(http, console, "events", brief=1)
    send(http, console, title="later")
    with Stream(console, want="events", mark=listed["mark"]) as stream:
        later = stream.next()

    assert [event["title"] for event in message["events"]] == ["meanwhile"]
    assert [event["title"] for event in later["events"]] == ["later"]


def test_a_stream_says_that_all_was_cleared(console: LocalConsole, http: requests.Session) -> None:
    """So that the page forgets it too."""
    send(http, console)
    with Stream(console, want="events") as stream:
        stream.next()
        http.delete(f"{console.url}/api/events", timeout=5)
        message = stream.next()

    assert message["cleared"] is True
    assert message["totals"]["guance"]["accepted"] == 0


def test_a_stream_of_an_older_console_starts_anew(console: LocalConsole, http: requests.Session) -> None:
    """Its ids say nothing here: a page that was open over a restart is told to forget its rows."""
    send(http, console, title="of the new one")
    older = Mark(10_000, 10_000, 10_000, console.store.generation - 1)

    with Stream(console, want="events", last_event_id=".".join(map(str, older))) as stream:
        message = stream.next()
        send(http, console, title="next")
        following = stream.next()

    assert (message["cleared"], message["fresh"]) == (True, 0)
    assert [event["title"] for event in following["events"]] == ["next"]
    assert LocalConsole().store.generation != console.store.generation


def test_a_flood_is_told_in_few_small_messages(console: LocalConsole) -> None:
    """2,000 events of 200 problems: every one is counted, and no message has more than 50 rows."""
    with Stream(console, want="problems") as stream:
        stream.next()
        messages: list[dict[str, Any]] = []

        def flood() -> None:
            for number in range(2000):
                event = Accepted(
                    title=f"problem {number % 200}", status="error", time=None, body={}, stored={}
                )
                console.store.add(
                    "guance",
                    Request("POST", "/", "", (), b""),
                    Answer(200, {}, b"", (event,)),
                    received=console.now(),
                    connection=1,
                    http_status=200,
                )

        sender = threading.Thread(target=flood)
        sender.start()
        while sum(message["fresh"] for message in messages) < 2000:
            messages.append(stream.next())
        sender.join()

    assert sum(message["fresh"] for message in messages) == 2000
    assert all(len(message.get("problems", [])) <= views.STREAM_ROWS for message in messages)
    assert stream.size < 50_000 * len(messages)


def test_a_stream_ends_with_the_server() -> None:
    """Nobody waits for a page that is still open."""
    console = LocalConsole().start()
    with Stream(console) as stream:
        stream.next()
        console.stop()
        rest = list(stream.rest())

    assert all(message["fresh"] == 0 for message in rest)


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.x", "1.2.3.-4", "1.2.3.4.5"])
def test_a_mark_that_is_none_is_passed_over(text: str) -> None:
    """A browser may send what it likes."""
    assert mark_of(text) is None
    assert mark_of("1.2.3.4") == Mark(1, 2, 3, 4)


# --- the page's files ------------------------------------------------------------------------------------


def test_the_page_is_files_of_the_package_alone(console: LocalConsole, http: requests.Session) -> None:
    """Every file that the page asks for is there, and none is asked for elsewhere."""
    paths = static_files.paths()
    page = http.get(f"{console.url}/", timeout=5)
    texts = {path: http.get(f"{console.url}{path}", timeout=5) for path in paths}

    assert "/static/main.js" in paths
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for path, answer in texts.items():
        assert answer.status_code == 200, path
        for found in (
            *part_after(answer.text, 'from "./', '"'),
            *part_after(answer.text, '"/static/', '"'),
        ):
            assert f"/static/{found}" in paths, (path, found)
        outside = re.findall(r"""(?:https?:)?//[\w.-]+\.[a-z]+/""", answer.text)
        assert set(outside) <= {"http://www.w3.org/"}, path
    again = http.get(page.url, headers={"If-None-Match": page.headers["etag"]}, timeout=5)
    assert (again.status_code, again.content) == (304, b"")
    assert http.get(f"{console.url}/static/../api.py", timeout=5).status_code == 404


def part_after(text: str, begin: str, end: str) -> list[str]:
    return [part.partition(end)[0] for part in text.split(begin)[1:]]


def test_no_script_makes_markup_of_text() -> None:
    """There is no way from an event into HTML, and the page's policy forbids one too."""
    folder = Path(eventlog_handlers.__file__).parent / "console" / "static"
    for path in folder.glob("*.js"):
        for word in (
            "innerHTML",
            "outerHTML =",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ):
            assert word not in path.read_text("utf-8"), (path.name, word)
    assert "require-trusted-types-for 'script'" in static_files.SECURITY_HEADERS["content-security-policy"]


def test_the_wheel_holds_the_page(tmp_path: Path) -> None:
    """Built as it is released: page, table of rules, and every module."""
    pytest.importorskip("hatchling")
    root = Path(eventlog_handlers.__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = root / "eventlog_handlers" / "console"
    wanted = {
        path.relative_to(root).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert "eventlog_handlers/console/static/index.html" in wanted
    assert wanted <= names


def test_a_file_of_another_version_is_said_to_be(tmp_path: Path) -> None:
    """Rather than failing at the first event."""
    path = tmp_path / "old.sqlite"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE events (id INTEGER)")
    database.commit()
    database.close()

    with pytest.raises(SettingsError, match="another version"):
        Console(path=str(path))

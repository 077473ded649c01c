"""Real processes of real handlers against the stand-in: one account, whatever number of processes."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from law import assert_law
from processes import environment
from redis_server import RedisServer

import eventlog_handlers
from eventlog_handlers.errors import MissingExtraError, SettingsError
from eventlog_handlers.share import redis_link
from eventlog_handlers.testing import ScriptedSink

CHILD = """
import json, logging, sys, time
import eventlog_handlers
options = json.loads(sys.argv[1])
handler = eventlog_handlers.GuanceHandler(**options.pop("handler", {}))
log = logging.getLogger("shop")
log.addHandler(handler)
log.propagate = False
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "log":
        problems, times = map(int, rest.split())
        for _ in range(times):
            for problem in range(problems):
                log.error("problem " + "abcdefghijkl"[problem])
    elif word == "flush":
        handler.flush(float(rest))
    elif word == "end":
        break
    print(json.dumps(handler.stats()), flush=True)
handler.close()
print(json.dumps(handler.stats()), flush=True)
"""


class Process:
    """One process with a GuanceHandler, driven line by line."""

    def __init__(self, console: str, **options: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, json.dumps({"handler": options})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(EVENTLOG_CONSOLE=console),
        )

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        stats: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert_law(stats)
        return stats

    def tell(self, line: str) -> dict[str, Any]:
        self.say(line)
        return self.hear()

    def end(self) -> dict[str, Any]:
        self.say("end")
        stats = self.hear()
        self.process.wait(60)
        return stats

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)


@pytest.fixture
def crowd(eventlog_console):
    """Starts processes, and ends them."""
    started: list[Process] = []

    def start(count: int, **options: Any) -> list[Process]:
        started.extend(Process(eventlog_console.url, **options) for _ in range(count))
        return started

    yield start
    for process in started:
        process.kill()


def titles(console) -> Counter[str]:
    return Counter(event.title for event in console.events("guance"))


def count_of(event) -> int:
    return int(event.body["customTags"].get("repeat_count", 1))


def events_of(console, title: str) -> list[Any]:
    return [event for event in console.events("guance") if event.title == title]


def throttled(console) -> int:
    return sum(request.http_status != 200 for request in console.requests("guance"))


def wait_until(happened, what: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@pytest.mark.timeout(240)
def test_f01_four_processes_with_defaults_report_each_problem_once(eventlog_console, crowd) -> None:
    """One key, eight problems, the service's own limit: eight first events, and no throttling answer."""
    eventlog_console.guance.key_limit = 20
    four = crowd(4)
    for process in four:
        process.say("log 8 5")
    for process in four:
        process.hear()
    wait_until(lambda: len(titles(eventlog_console)) == 8, "an event of each problem")
    stats = [process.tell("flush 20") for process in four]

    assert set(titles(eventlog_console).values()) == {1}
    assert throttled(eventlog_console) == 0
    assert [one["scope"] for one in stats] == ["host"] * 4
    assert sum(one["delivered"] for one in stats) == 8
    assert sum(one["aggregated"] for one in stats) == 4 * 8 * 5 - 8


@pytest.mark.timeout(240)
def test_f02_counts_survive_the_death_of_every_process_and_are_told_once(eventlog_console, crowd) -> None:
    """kill -9 of both; a third one, which never logged that problem, tells it with the sample."""
    options = {"requests_per_minute": None, "aggregate_seconds": 2.0}
    first, second, third = crowd(3, **options)
    first.tell("log 1 1")
    first.tell("flush 20")
    second.tell("log 1 30")
    second.tell("flush 20")
    first.kill()
    second.kill()

    def told() -> bool:
        third.tell("log 2 1")
        third.tell("flush 5")
        return sum(count_of(event) for event in events_of(eventlog_console, "problem a")) >= 31

    wait_until(told, "a summary of what the dead had counted")
    counts = sorted(count_of(event) for event in events_of(eventlog_console, "problem a"))

    assert counts[0] == 1
    assert sum(counts) >= 31
    ids = [event.id for event in eventlog_console.events("guance")]
    assert len(ids) == len(set(ids))


@pytest.mark.timeout(240)
def test_the_law_holds_for_the_host(eventlog_console, crowd) -> None:
    """Log calls accepted = delivered + dropped + pending + counted; counted = told + open."""
    options = {"requests_per_minute": None, "aggregate_seconds": 1.0}
    three = crowd(3, **options)
    for process in three:
        process.tell("log 4 50")
    for process in three:
        process.tell("flush 30")
    assert three.pop().end()["pending"] == 0
    stats: dict[str, Any] = {}

    def is_settled() -> bool:
        nonlocal stats
        for process in three:
            stats = process.tell("flush 5")
        totals = stats["sharing"].get("totals", {})
        # Each process shows its counters every few seconds: what one has told may be seen later than the
        # empty table.
        return (
            totals.get("accepted") == 600
            and not totals["pending"]
            and not totals["open"]
            and totals["told"] == totals["counted"]
        )

    try:
        wait_until(is_settled, "all counts told", 60)
    except AssertionError:
        raise AssertionError(stats) from None

    totals = stats["sharing"]["totals"]
    assert totals["accepted"] == 600
    assert totals["delivered"] + totals["dropped"] + totals["counted"] == 600
    assert totals["counted"] == totals["told"]
    assert sum(count_of(event) for event in eventlog_console.events("guance")) == 600


def test_a_flush_sends_the_summary_of_a_fleet_of_one(eventlog_console: Any, server: RedisServer) -> None:
    """Nobody else would tell it, and it does not wait for the end of the window."""
    handler = eventlog_handlers.GuanceHandler(scope=server.url)
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    for _ in range(3):
        logger.error("order is late")

    assert handler.flush(30), handler.stats()

    assert sorted(count_of(event) for event in eventlog_console.events("guance")) == [1, 2]
    handler.close()


FIRST_QUESTION = """
import logging, sys
from eventlog_handlers import GuanceHandler, RelayHandler
from eventlog_handlers.process.fork import fork_gate
unguarded = []
class Watch:
    def find_spec(self, name, path=None, target=None):
        if not fork_gate._inside:
            unguarded.append(name)
handler = {handler}
logger = logging.Logger("shop")
logger.addHandler(handler)
sys.meta_path.insert(0, Watch())
for _ in range(3):
    logger.error("order is late", extra={{"customer": {{"id": 7}}}})
assert handler.flush(30), handler.stats()
print(unguarded)
"""


@pytest.mark.parametrize("handler", ["GuanceHandler(scope={url!r})", "RelayHandler(url={url!r})"])
def test_p07_a_first_question_to_redis_imports_nothing_that_a_fork_could_cut_in_half(
    eventlog_console: Any, server: RedisServer, handler: str
) -> None:
    """redis-py imports more when it makes its client and connects: a child forked then delivered nothing."""
    code = FIRST_QUESTION.format(handler=handler.format(url=server.url.replace("127.0.0.1", "localhost")))
    console = eventlog_console.url if "Guance" in handler else ""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(EVENTLOG_CONSOLE=console),
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


@pytest.mark.timeout(240)
def test_a_fleet_shares_over_redis(eventlog_console, crowd, server: RedisServer, tmp_path: Path) -> None:
    """Two hosts (two runtime directories): each problem once; Redis dies, the processes go on."""
    one = crowd(1, scope=server.url)[0]
    os.environ["EVENTLOG_RUNTIME_DIR"] = str(tmp_path / "other host")
    two = crowd(1, scope=server.url)[1]
    for process in (one, two):
        process.say("log 4 3")
    for process in (one, two):
        process.hear()
    wait_until(lambda: len(titles(eventlog_console)) == 4, "an event of each problem")
    stats = [process.tell("flush 20") for process in (one, two)]

    assert set(titles(eventlog_console).values()) == {1}
    assert [stat["scope"] for stat in stats] == ["redis", "redis"]


def test_a_short_program_tells_its_summary_at_exit(eventlog_console, crowd) -> None:
    """As before there was a scope: nobody else is there to tell it."""
    process = crowd(1, requests_per_minute=None)[0]
    process.tell("log 1 100")
    stats = process.end()

    counts = sorted(count_of(event) for event in eventlog_console.events("guance"))
    assert counts == [1, 99]
    assert (stats["accepted"], stats["delivered"], stats["aggregated"]) == (100, 2, 98)


def test_process_scope_is_each_process_for_itself(eventlog_console, crowd) -> None:
    """And opens no file that others share."""
    two = crowd(2, requests_per_minute=None, scope="process")
    stats = []
    for process in two:
        process.tell("log 1 3")
        stats.append(process.tell("flush 20"))

    assert sorted(count_of(event) for event in eventlog_console.events("guance")) == [1, 1, 2, 2]
    assert [one["scope"] for one in stats] == ["process", "process"]
    assert not list(Path(os.environ["EVENTLOG_RUNTIME_DIR"]).rglob("*.share"))


def test_constructing_opens_nothing_and_an_unusable_directory_is_said_once(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    """The events go, within process scope; the sentence has the remedy."""
    plain = tmp_path / "file"
    plain.write_text("")
    monkeypatch.setenv("EVENTLOG_RUNTIME_DIR", str(plain))
    handler = eventlog_handlers.GuanceHandler(api_key="a-key")
    sink = ScriptedSink(max_events=1)
    handler._worker._life.delivery._make_sink = lambda: sink
    log = logging.Logger("shop")
    log.addHandler(handler)
    assert capsys.readouterr().err == ""
    for number in range(3):
        log.error("order %d failed", number)
        assert handler.flush(20) is (number < 5)
    stats = handler.stats()
    handler.close()

    said = [line for line in capsys.readouterr().err.splitlines() if "EVENTLOG_RUNTIME_DIR" in line]
    assert len(said) == 1
    assert stats["scope"] == "process"
    assert stats["sharing"]["instead_of"] == "host"
    assert sum(event.count for event in sink.delivered) == 3


@pytest.mark.parametrize(
    ("scope", "sentence"),
    [
        ("hosts", "scope takes host, process, or a URL.*did you mean 'host'"),
        (7, "scope takes a text"),
        ("http://host", "scope takes a URL of redis:// or rediss://"),
        ("redis://", "scope names no host"),
        ("redis://:s3cret-canary@host:port", "scope is no URL"),
    ],
)
def test_a_wrong_scope_is_refused_at_construction(scope: object, sentence: str) -> None:
    """With the remedy, and without showing the URL."""
    with pytest.raises(SettingsError, match=sentence) as caught:
        eventlog_handlers.GuanceHandler(api_key="a-key", scope=scope)

    assert "s3cret-canary" not in str(caught.value)


def test_a_password_in_the_url_is_never_shown(monkeypatch) -> None:
    """Not in a repr of the settings, in stats, or by the DSN's refusal."""
    handler = eventlog_handlers.GuanceHandler(api_key="a-key", scope="redis://me:s3cret-canary@127.0.0.1:1/0")
    shown = repr(handler._worker.settings) + repr(handler.stats()) + repr(handler)
    handler.close()
    assert "s3cret-canary" not in shown

    with pytest.raises(SettingsError, match="can't stand in a DSN") as caught:
        eventlog_handlers.configure("guance://cn1?scope=redis://me:s3cret-canary@host", api_key="a-key")
    assert "s3cret-canary" not in str(caught.value)


def test_redis_py_is_asked_for_at_construction(monkeypatch) -> None:
    """The pip line is in the error."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match="pip install"):
        eventlog_handlers.GuanceHandler(api_key="a-key", scope="redis://127.0.0.1")
    assert redis_link.TIMEOUT_SECONDS <= 1.0

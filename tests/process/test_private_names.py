"""docs/architecture.md lists other libraries' private names in use; each is taken away here, one per test."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faultserver import FaultServer, Reply
from processes import environment, run

from eventlog_handlers import GuanceHandler, attached
from eventlog_handlers.errors import TransientError
from eventlog_handlers.events import DELIVERED
from eventlog_handlers.process.start_thread import caller_owns_logging_lock
from eventlog_handlers.services.cloudwatch import clients, direct
from eventlog_handlers.services.cloudwatch.boto_errors import CALLING, translated
from eventlog_handlers.services.cloudwatch.options import settings
from eventlog_handlers.services.cloudwatch.sink import CloudWatchEventsSink
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_event, make_worker
from eventlog_handlers.transport import timed_urllib3
from eventlog_handlers.transport.client import HttpClient

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
WARM = "import logging, multiprocessing.util, os, sys, threading\n"
ONE_RECORD = """
from eventlog_handlers import CMSHandler
log = logging.getLogger("shop")
log.addHandler(CMSHandler(flush_interval=3600))
log.error("one")
log.error("two")
"""

NO_HOOK = "import concurrent.futures.thread\ndel threading._register_atexit\n"

TESTS: dict[str, str] = {}
"""By private name, as the page has it: the test that takes it away."""


def without(*names: str) -> Callable[[Any], Any]:
    """The test shows what happens without *names*."""

    def note(test: Any) -> Any:
        TESTS.update(dict.fromkeys(names, test.__name__))
        return test

    return note


def texts(console: Any) -> list[str]:
    contents = [event.body["Content"].splitlines()[0] for event in console.events("cms")]
    return sorted(content.partition(" ")[2] for content in contents)


@without("logging.Logger._cache")
def test_without_the_levels_that_a_logger_was_asked_for_nothing_is_unheard(monkeypatch):
    """Whether its records were missed can't be told, so no line is said; all else is."""
    monkeypatch.delenv("EVENTLOG_CONSOLE", raising=False)
    handler = GuanceHandler(api_key="k", level="ERROR")
    apart = logging.getLogger("shop.apart")
    apart.propagate = False
    logging.getLogger("shop").addHandler(handler)
    apart.error("missed")
    with_it = {problem["kind"] for problem in attached()["problems"]}

    class Bare(logging.Logger):
        @property
        def _cache(self):
            raise AttributeError

        @_cache.setter
        def _cache(self, value):
            pass

    with monkeypatch.context() as patched:
        patched.setattr(apart, "__class__", Bare)
        without_it = attached()

    assert with_it == {"unheard"}
    assert without_it["problems"] == []
    assert [one["logger"] for one in without_it["handlers"]] == ["shop"]


@without("flask.logging.has_level_handler")
def test_without_flasks_look_for_a_handler_its_lines_are_printed_all_the_same():
    """By the stand-in for logging.lastResort."""
    script = """
    del flask.logging.has_level_handler
    configure("cms://cn-hangzhou", level="WARNING", dry_run=True)
    flask.logging.create_logger = lambda app: logging.getLogger(app.name)  # Flask's own would need the name
    logging.getLogger("shop").warning("only 2 left")
    """

    done = run(
        script, preamble="import logging, flask, flask.logging\nfrom eventlog_handlers import configure\n"
    )

    assert done.returncode == 0, done.stderr
    assert "only 2 left" in done.stderr.splitlines()


@without("threading._register_atexit")
def test_without_the_threading_hook_atexit_sends(eventlog_console):
    """The end of the program is seen by the next layer."""
    done = run(ONE_RECORD, console=eventlog_console.url, preamble=WARM + NO_HOOK)

    assert done.returncode == 0, done.stderr
    assert texts(eventlog_console) == ["one", "two"]


@without("multiprocessing.util.Finalize")
def test_without_finalizers_a_child_sends_by_the_threading_hook(eventlog_console):
    """A child configured in its parent runs it before it leaves."""
    script = ONE_RECORD.replace('log.error("one")\n', "").replace('log.error("two")\n', "")
    done = run(
        f"""{script}
def work():
    del multiprocessing.util.Finalize
    log.error("child")
log.error("parent")
from eventlog_handlers import flush
assert flush(20)
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join(60)
assert child.exitcode == 0, child.exitcode
""",
        console=eventlog_console.url,
        preamble=WARM.replace("multiprocessing.util", "multiprocessing, multiprocessing.util"),
    )

    assert done.returncode == 0, done.stderr
    assert texts(eventlog_console) == ["child", "parent"]


@without("logging._lock")
def test_without_loggings_lock_no_caller_is_taken_for_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that tells nothing of its owner is the same."""
    for lock in (None, threading.Lock()):
        with monkeypatch.context() as patch:
            patch.setattr(logging, "_lock", lock)
            owned = caller_owns_logging_lock()
        assert owned is False


class BareLock:
    """An RLock that says nothing of its owner."""

    def __init__(self) -> None:
        self._lock = threading._RLock()  # type: ignore[attr-defined]
        self.acquire, self.release = self._lock.acquire, self._lock.release

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


@without("threading.RLock._is_owned")
def test_without_a_locks_owner_everything_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records, flush and stats go their ordinary way."""
    from law import assert_law, submit

    monkeypatch.setattr(threading, "RLock", BareLock)
    sink = ScriptedSink()
    worker = make_worker(sink, ManualClock(), flush_interval=0.0)
    monkeypatch.undo()
    for number in range(3):
        submit(worker, f"record {number}")

    assert worker.flush(20)
    assert len(sink.delivered) == 3
    assert_law(worker.stats())


@without("sys._is_gil_enabled")
@pytest.mark.parametrize("answer", ["absent", "True", "False"])
def test_orjson_is_imported_unless_the_process_runs_without_the_gil(answer: str) -> None:
    """A CPython that does not know the question has the GIL."""
    pytest.importorskip("orjson", reason="orjson is not installed")
    patch = "vars(sys).pop('_is_gil_enabled', None)"
    if answer != "absent":
        patch = f"sys._is_gil_enabled = lambda: {answer}"

    said = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\n{patch}\nfrom eventlog_handlers.text.json_text import use_orjson\n"
            "use_orjson()\nprint('orjson' in sys.modules)",
        ],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()

    assert said == str(answer != "False")


@without("_blake2.blake2b")
def test_without_the_module_below_hashlib_fingerprints_are_the_same() -> None:
    """hashlib's function is the same one."""
    script = (
        "import sys\n"
        "import hashlib\n"
        "if len(sys.argv) > 1: sys.modules['_blake2'] = None\n"
        "from eventlog_handlers.record import fingerprint\n"
        "print(fingerprint.blake2b(b'one', digest_size=8).hexdigest())\n"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for arguments in ([], ["without"])
    ]

    assert said[0] == said[1]


@without("HTTPConnection._new_conn", "_dns_host", "_tunnel", "HTTPConnectionPool._get_conn", "_put_conn")
@pytest.mark.parametrize(
    ("mixin", "name"),
    [
        ("_TimedConnect", "_new_conn"),
        ("_TimedConnection", "_tunnel"),
        ("_TimedPool", "_get_conn"),
        ("_TimedPool", "_put_conn"),
    ],
)
def test_where_urllib3_calls_none_of_ours_requests_go_all_the_same(
    monkeypatch: pytest.MonkeyPatch, mixin: str, name: str
) -> None:
    """Kept connections are used, one that died is a failure like any other, and the deadline holds."""
    timed_urllib3._timed_pool.cache_clear()
    monkeypatch.delattr(getattr(timed_urllib3, mixin), name)
    client = HttpClient(connect_timeout=3.0, read_timeout=3.0, proxies={}, clock=time.monotonic)

    def post(timeout: float = 10.0) -> bytes:
        return client.post(server.url, headers={}, body=b"{}", timeout=timeout).body

    with FaultServer(Reply(b"1"), Reply(b"2"), Reply(reset_at=0), Reply(b"4"), Reply(hang_at=0)) as server:
        answers = [post(), post()]
        with pytest.raises(Exception, match="reset"):
            post()
        answers.append(post())
        with pytest.raises(Exception, match="timeout"):
            post(0.3)
    timed_urllib3._timed_pool.cache_clear()

    assert answers == [b"1", b"2", b"4"]
    assert len(server.requests) == 5


def cloudwatch(console: Any) -> CloudWatchEventsSink:
    made, _ = settings({"region_name": "us-east-1"}, {"EVENTLOG_CONSOLE": console.url})
    return CloudWatchEventsSink(made, clock=time.monotonic)


@without("client._endpoint.http_session", "_verify", "_cert_file")
def test_without_botocores_session_botocore_sends(eventlog_console, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own connections and timeouts."""
    original = clients.Clients._http_for
    monkeypatch.setattr(clients.Clients, "_http_for", lambda self, boto: original(self, SimpleNamespace()))
    sink = cloudwatch(eventlog_console)

    outcomes = [sink.send([sink.encode(make_event("one"))], timeout=20) for _ in range(3)]

    assert outcomes == [[DELIVERED]] * 3
    assert len(eventlog_console.events("cloudwatch")) == 3


@without("emitter._emitter._handlers")
def test_without_the_table_of_listeners_every_request_is_botocores(
    eventlog_console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may listen."""
    assert direct.has_foreign_hooks(SimpleNamespace(meta=SimpleNamespace(events=SimpleNamespace())))
    monkeypatch.setattr(
        clients, "has_foreign_hooks", lambda boto: direct.has_foreign_hooks(SimpleNamespace())
    )
    sink = cloudwatch(eventlog_console)

    outcomes = [sink.send([sink.encode(make_event("one"))], timeout=20) for _ in range(3)]

    assert outcomes == [[DELIVERED]] * 3
    assert sink._clients._built is not None
    assert sink._clients._built.direct is None


@without("BaseClient._make_api_call")
def test_without_botocores_own_method_calls_go_on() -> None:
    """There is then nothing that somebody could have replaced."""
    client = clients.BuiltClient(SimpleNamespace(), None, None)

    assert client._make_api_call is None
    assert client.direct is None


@without("botocore.endpoint._do_get_response")
def test_without_the_name_in_the_traceback_an_unreadable_answer_is_tried_again() -> None:
    """It is then an error of the client's, and no event's."""
    errors = {}
    for name in ("_do_get_response", "_by_another_name"):
        scope: dict[str, Any] = {"__name__": "botocore.endpoint"}
        exec(f"def {name}(): raise ValueError('shape')", scope)
        with pytest.raises(ValueError, match="shape") as caught:
            scope[name]()
        errors[name] = translated(caught.value, CALLING, TransientError)

    assert {type(error) for error in errors.values()} == {TransientError}
    assert "shape" in str(errors["_do_get_response"])


def test_each_private_name_of_the_page_has_a_test() -> None:
    """And each test is of a name that the page tells of."""
    table = PAGE.read_text("utf-8").partition("## Private parts")[2]
    rows = re.findall(r"^\| `[^|]+\| ([^|]+)\|", table, re.M)
    names = {name for row in rows for name in re.findall(r"`([^`]+)`", row)} - {"http.client"}

    assert names == set(TESTS)

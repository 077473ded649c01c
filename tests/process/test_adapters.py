"""The adapters for ends that no exit hook sees: ASGI's lifespan, SIGTERM, frozen functions, Celery."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import types
from collections import Counter

import pytest
from processes import environment

from eventlog_handlers.asgi import wrap
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.functions import flush_after
from eventlog_handlers.process import celery, green, randomness, sigterm
from eventlog_handlers.process import exit as process_exit

STARTUP = {"type": "lifespan.startup"}
SHUTDOWN = {"type": "lifespan.shutdown"}


@pytest.fixture
def flushes(monkeypatch):
    """The arguments of each flush of all handlers, which does nothing else."""
    calls: list[tuple[object, ...]] = []

    def flush_all(timeout=None, *, urgent=True):
        calls.append((timeout, urgent, threading.current_thread() is threading.main_thread()))
        return True

    monkeypatch.setattr(process_exit, "flush_all", flush_all)
    return calls


# --- ASGI --------------------------------------------------------------------------------------------------


def lifespan(app, messages=(STARTUP, SHUTDOWN)):
    """What a server hears of *app* in the course of a lifespan."""
    to_app, heard = list(messages), []

    async def receive():
        return to_app.pop(0)

    async def send(message):
        heard.append(message["type"].removeprefix("lifespan."))

    asyncio.run(app({"type": "lifespan"}, receive, send))
    return heard


async def complete(scope, receive, send):
    """Implements lifespan."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def refuses(scope, receive, send):
    """As Django does."""
    raise ValueError("http only")


async def returns(scope, receive, send):
    """Ignores what it doesn't know."""


async def returns_after_startup(scope, receive, send):
    """Has nothing to do at shutdown."""
    await receive()
    await send({"type": "lifespan.startup.complete"})


@pytest.mark.parametrize(
    "app", [complete, refuses, returns, returns_after_startup], ids=lambda app: app.__name__
)
def test_a_wrapped_application_is_flushed_once_before_shutdown_is_complete(flushes, app):
    """Whether it implements lifespan wholly, in part or not at all; on a thread, not on the event loop's."""
    heard = lifespan(wrap(app, timeout=1.5))

    assert heard == ["startup.complete", "shutdown.complete"]
    assert flushes == [(1.5, True, False)]


def test_the_flush_comes_after_the_applications_own_shutdown(monkeypatch):
    """What it logs there is sent too."""
    order: list[str] = []
    monkeypatch.setattr(process_exit, "flush_all", lambda *_, **__: order.append("flush"))

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        order.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})
        order.append("completed")

    lifespan(wrap(app))

    assert order == ["shutdown", "flush", "completed"]


def test_a_failed_startup_reaches_the_server_as_without_us(flushes):
    """Said by the protocol or raised: the server decides what follows."""

    async def says_so(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def raises(scope, receive, send):
        await receive()
        raise RuntimeError("no database")

    assert lifespan(wrap(says_so)) == ["startup.failed"]
    with pytest.raises(RuntimeError, match="no database"):
        lifespan(wrap(raises))


def test_requests_pass_through_without_a_flush(flushes):
    """The application gets the server's scope and ``receive``; what it sends is looked at and passed on."""
    seen: list[object] = []

    async def app(*arguments):
        seen.extend(arguments)

    arguments = ({"type": "http"}, object(), object())
    asyncio.run(wrap(app)(*arguments))

    assert seen[:2] == list(arguments[:2])
    assert flushes == []


def test_without_a_thread_the_flush_happens_in_place(monkeypatch, flushes):
    """Also where the loop is not asyncio's."""

    async def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio, "to_thread", refuse)

    assert lifespan(wrap(complete)) == ["startup.complete", "shutdown.complete"]
    assert flushes == [(None, True, True)]


# --- functions that freeze ---------------------------------------------------------------------------------


def test_flush_after_flushes_however_the_function_ends(flushes):
    """Its value and its exception pass; the destination isn't hurried, for there may be a next call."""

    @flush_after(timeout=0.5)
    def double(number):
        return 2 * number

    @flush_after()
    async def halve(number):
        return number / 2

    @flush_after(timeout=1)
    def fail():
        raise KeyError("missing")

    assert double(4) == 8
    assert asyncio.run(halve(4)) == 2
    with pytest.raises(KeyError):
        fail()

    assert double.__name__ == "double"
    assert flushes == [(0.5, False, True), (2.0, False, False), (1, False, True)]


def test_p24_processes_thawed_from_one_image_make_ids_of_their_own(flushes):
    """What was seeded before the image was taken is the same in each; so each call begins anew."""

    @flush_after()
    def call():
        return randomness.random_bits()

    @flush_after()
    async def async_call():
        return randomness.random_bits()

    image = randomness._generator.getstate()
    made = []
    for begin in (call, call, lambda: asyncio.run(async_call()), lambda: asyncio.run(async_call())):
        randomness._generator.setstate(image)
        made.append(begin())

    assert len(set(made)) == 4


@pytest.mark.parametrize("timeout", [len, -1, "2", True, float("nan")])
def test_flush_after_wants_seconds(timeout):
    """The brackets are easily forgotten."""
    with pytest.raises(SettingsError, match="flush_after takes seconds"):
        flush_after(timeout)


FREEZES = """
import asyncio, logging, logging.config, os, signal
from eventlog_handlers.functions import flush_after
logging.config.dictConfig({
    "version": 1,
    "handlers": {"cms": {"class": "eventlog_handlers.CMSHandler", "flush_interval": 3600}},
    "root": {"level": "INFO", "handlers": ["cms"]},
})
@flush_after(timeout=20)
def handler(call):
    for number in range(3):
        logging.info("call %d record %d", call, number)
@flush_after(timeout=20)
async def async_handler(call):
    handler.__wrapped__(call)
for call in range(4):
    handler(call) if call % 2 else asyncio.run(async_handler(call))
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_p24_flush_after_has_sent_everything_when_the_process_freezes(eventlog_console):
    """Frozen the moment the function has returned, thawed for the next call, and at last never again."""
    process = subprocess.Popen(
        [sys.executable, "-c", FREEZES], env=environment(EVENTLOG_CONSOLE=eventlog_console.url)
    )
    found = []
    try:
        for _ in range(4):
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status), status
            found.append(len(eventlog_console.events("cms")))
            process.send_signal(signal.SIGCONT if len(found) < 4 else signal.SIGKILL)
    finally:
        process.kill()
        process.wait(10)

    assert found == [3, 6, 9, 12]
    contents = Counter(event.body["Content"].splitlines()[0] for event in eventlog_console.events("cms"))
    assert set(contents.values()) == {1}


# --- SIGTERM -----------------------------------------------------------------------------------------------


@pytest.fixture
def terminated(flushes):
    """Puts SIGTERM's handler back."""
    before = signal.getsignal(signal.SIGTERM)
    yield flushes
    signal.signal(signal.SIGTERM, before)


def test_p05_sigterm_is_chained_to_the_handler_before(terminated):
    """Flush first, then whoever had the signal gets it, with signal and frame."""
    got: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))

    assert sigterm.install(7)
    assert sigterm.install(8)  # only the timeout changes
    os.kill(os.getpid(), signal.SIGTERM)

    assert terminated == [(8, True, True)]
    assert got == [signal.SIGTERM]


@pytest.mark.parametrize("exiting", [False, True])
def test_p05_where_no_thread_can_be_had_the_signal_is_dropped_at_the_end_only(monkeypatch, exiting):
    """Then the exit's own flush is under way; before that the signal has to do it now or never."""

    def refuse(*_):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(green, "native_start", refuse)
    monkeypatch.setattr(process_exit, "_exiting", exiting)

    assert sigterm._comes_again(signal.SIGTERM) is exiting


def test_p05_an_ignored_sigterm_stays_ignored(terminated):
    """The flush is all that happens."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    sigterm.install()
    os.kill(os.getpid(), signal.SIGTERM)

    assert len(terminated) == 1


def test_p05_sigterm_is_left_alone_where_it_cannot_be_chained(terminated, monkeypatch):
    """In other threads Python allows no handler; one not written in Python could not be called."""
    before = signal.getsignal(signal.SIGTERM)
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(sigterm.install()))
    thread.start()
    thread.join()

    with monkeypatch.context() as patch:
        patch.setattr(signal, "getsignal", lambda _: None)
        answers.append(sigterm.install())

    assert answers == [False, False]
    assert signal.getsignal(signal.SIGTERM) is before


# --- Celery ------------------------------------------------------------------------------------------------


def test_p11_nothing_is_connected_where_celery_is_not_loaded(monkeypatch):
    """We never import it."""
    monkeypatch.setitem(sys.modules, "celery.signals", None)

    assert not celery.connect(lambda: None)


def test_p11_celerys_signals_flush(monkeypatch):
    """Held strongly, and under a name of ours, so that connecting twice flushes once."""
    flushes: list[str] = []
    connected: dict[str, object] = {}

    class Signal:
        def connect(self, receiver, *, weak, dispatch_uid):
            assert not weak
            connected[dispatch_uid] = receiver

    signals = types.SimpleNamespace(worker_process_shutdown=Signal(), worker_shutdown=Signal())
    monkeypatch.setitem(sys.modules, "celery.signals", signals)

    assert celery.connect(lambda: flushes.append("flushed"))
    assert celery.connect(lambda: flushes.append("flushed"))
    for receiver in connected.values():
        receiver(sender=None, pid=1, exitcode=0)

    assert flushes == ["flushed"] * len(connected)

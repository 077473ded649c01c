"""How handlers are set up, replaced, shared, forgotten: what a program may do without losing an event."""

from __future__ import annotations

import gc
import json
import logging
import logging.config
import threading
import warnings
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import faults
import pytest
from faults import Backend, Service, by_hand
from law import assert_law
from processes import run
from shop import Shop, open_shop

import eventlog_handlers
from eventlog_handlers.errors import TransientError
from eventlog_handlers.pipeline import open_pacer

PLAIN = "import logging, logging.config, os, sys, threading, time\nlog = logging.getLogger('shop')\n"


def guance_messages(console: Any) -> Counter[str]:
    return Counter(event.body["title"] for event in console.events("guance"))


def guance(**options: Any) -> Any:
    return eventlog_handlers.GuanceHandler(requests_per_minute=None, **{"aggregate_seconds": None, **options})


def record(message: str, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord("shop", level, "shop.py", 1, message, None, None)


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether *holds* came true in time; for what only another thread can bring about."""
    never = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if holds():
            return True
        never.wait(0.01)
    return holds()


# ---- C1, C3; every option in test_settings


@pytest.mark.parametrize(
    ("handler", "options", "words"),
    [
        ("CMSHandler", {}, ["ALIBABA_CLOUD_ACCESS_KEY_ID", "access_key_id"]),
        ("GuanceHandler", {}, ["DF_API_KEY", "api_key"]),
        ("GuanceHandler", {"api_key": "with\nbreak"}, ["api_key", "line break"]),
        ("GuanceHandler", {"api_key": "€"}, ["api_key", "ASCII"]),
        ("GuanceHandler", {"api_key": "k", "sevice": "shop"}, ["sevice", "service"]),
        ("GuanceHandler", {"api_key": "k", "capacity": "many"}, ["capacity", "'many'"]),
        ("CMSHandler", {"access_key_id": "a", "access_key_secret": "b", "region": 7}, ["region"]),
    ],
)
def test_c01_a_wrong_setting_fails_at_construction(handler, options, words):
    """In one sentence that names the option and the remedy, before anything is opened."""
    with pytest.raises(ValueError, match=words[0]) as caught:
        getattr(eventlog_handlers, handler)(**options)

    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("metrics.example", "scheme"),
        ("https://metrics.example/?x=1", "leave off"),
        ("https://bob:secret@metrics.example", "user or password"),
        ("http://metrics.example", "allow_insecure"),
        ("ftp://metrics.example", "https://"),
    ],
)
def test_c03_a_bad_endpoint_is_refused_with_a_hint(endpoint, words):
    """No scheme, something after the host, credentials, plain http to another machine."""
    with pytest.raises(ValueError, match="endpoint") as caught:
        eventlog_handlers.GuanceHandler(api_key="k", endpoint=endpoint)

    assert words in str(caught.value)
    assert "bob" not in str(caught.value)


# ---- C2

WRONG_KEY = {
    "cms": ("InvalidAccessKeyId.NotFound", 404),
    "guance": ("ft.InvalidAPIKey", 401),
    "cloudwatch": ("UnrecognizedClientException", 400),
}


@pytest.mark.parametrize("service", faults.SERVICES, ids=repr)
def test_c02_a_wrong_key_keeps_everything_until_it_is_mended(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program starts and logs; one small probe now and then; all arrives once the key is known."""
    code, status = WRONG_KEY[service.name]
    wrong = service.failure(code, status)
    with Backend(service, *[wrong] * 6) as backend, by_hand(service, backend.url) as stepped:
        stepped.log(*faults.names(20))
        stepped.send_once()
        held = stepped.handler.stats()
        stepped.run(300)
        probes = backend.carried()[1:]
        final = stepped.settle(7_200)

    assert (held["state"], held["pending"], held["dropped"]) == ("held", 20, {})
    assert code in held["last_error"]
    assert len(probes) <= 6
    assert all(len(probe) == 1 for probe in probes[:2])
    assert Counter(event.message for event in backend.processed) == Counter(faults.names(20))
    assert (final["delivered"], final["pending"]) == (20, 0)
    assert_law(final)
    told = [line for line in capsys.readouterr().err.splitlines() if code in line]
    assert len(told) == 1


# ---- C4


def test_c04_a_second_dict_config_under_load_loses_nothing(eventlog_console):
    """Three attached handlers are closed while records wait; old and new deliver everything once."""
    done = run(
        """
        for round in range(5):
            for number in range(40):
                log.error("round %d record %d", round, number)
            logging.config.dictConfig(CONFIG)
        log.error("last")
        """,
        console=eventlog_console.url,
    )

    expected = Counter(
        [f"round {turn} record {number}" for turn in range(5) for number in range(40)] + ["last"]
    )
    assert done.returncode == 0, done.stderr
    assert guance_messages(eventlog_console) == expected
    assert len(eventlog_console.events("cms")) == len(eventlog_console.events("cloudwatch")) == 201


def test_c04_basic_config_with_force_closes_without_flush_and_loses_nothing(eventlog_console):
    """``basicConfig(force=True)`` calls close alone."""
    done = run(
        """
        from eventlog_handlers import GuanceHandler
        for number in range(20):
            handler = GuanceHandler(requests_per_minute=None, scope="process")
            logging.basicConfig(force=True, format="%(message)s", handlers=[handler])
            log.error("record %d", number)
        """,
        console=eventlog_console.url,
        preamble=PLAIN,
    )

    assert done.returncode == 0, done.stderr
    assert guance_messages(eventlog_console) == Counter(f"record {number}" for number in range(20))


@pytest.mark.parametrize("disable", [True, False])
def test_c04_a_logger_left_with_a_closed_handler(eventlog_console, disable):
    """Loggers the second configuration doesn't name keep it; unless disabled, they go on through it."""
    done = run(
        f"""
        own = logging.getLogger("own")
        own.propagate = False
        own.addHandler(logging.getLogger().handlers[1])
        own.error("before")
        logging.config.dictConfig({{"version": 1, "disable_existing_loggers": {disable}}})
        own.error("after")
        """,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert guance_messages(eventlog_console) == Counter(["before"] if disable else ["before", "after"])


# ---- C5


def test_c05_a_record_after_close_revives_the_handler(eventlog_console):
    """As often as one likes."""
    handler = guance()
    for number in range(4):
        handler.handle(record(f"record {number}"))
        handler.close()

    handler.handle(record("last"))
    assert handler.flush(20)

    assert guance_messages(eventlog_console) == Counter(
        [*(f"record {number}" for number in range(4)), "last"]
    )
    assert_law(handler.stats())
    handler.close()


def test_c05_closing_twice_and_from_many_threads_is_closing_once(eventlog_console):
    """No error, no deadlock, nothing sent twice."""
    handler = guance()
    for number in range(20):
        handler.handle(record(f"record {number}"))
    errors: list[BaseException] = []

    def close() -> None:
        try:
            handler.close()
            handler.close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert not errors
    assert not any(thread.is_alive() for thread in threads)
    assert guance_messages(eventlog_console) == Counter(f"record {number}" for number in range(20))
    assert_law(handler.stats())


def test_c05_close_on_the_workers_own_thread_returns(eventlog_console):
    """A hook of the user's may close, flush and log; none of it waits for the thread it runs on."""
    answers: list[object] = []

    def hook(event: Any) -> Any:
        answers.append(handler.flush(60))
        handler.close()
        handler.handle(record("from the hook"))
        return event

    handler = guance(before_send=hook)
    handler.handle(record("one"))

    assert handler.flush(20)
    assert answers == [False]
    assert guance_messages(eventlog_console) == Counter(["one"])
    assert handler.stats()["own_traffic"] == 1
    handler.close()


def test_c05_closing_while_others_log_loses_nothing(eventlog_console):
    """Four threads log, one closes all the while."""
    handler = guance()
    stop = threading.Event()

    def log(thread: int) -> None:
        for number in range(100):
            handler.handle(record(f"thread {thread} record {number}"))

    def close() -> None:
        while not stop.is_set():
            handler.close()

    closer = threading.Thread(target=close)
    loggers = [threading.Thread(target=log, args=(number,)) for number in range(4)]
    for thread in [closer, *loggers]:
        thread.start()
    for thread in loggers:
        thread.join(60)
    stop.set()
    closer.join(60)

    assert not closer.is_alive()
    assert handler.flush(60)
    expected = Counter(f"thread {thread} record {number}" for thread in range(4) for number in range(100))
    assert guance_messages(eventlog_console) == expected
    assert_law(handler.stats())
    handler.close()


# ---- C6


def test_c06_handlers_of_one_destination_share_one_pace():
    """Same service, address and key: one limit; another key, another limit; nothing of them outlives them."""
    options = {"endpoint": "https://openapi.example", "requests_per_minute": 20, "scope": "process"}
    one, two = (eventlog_handlers.GuanceHandler(api_key="key-a", **options) for _ in range(2))
    other = eventlog_handlers.GuanceHandler(api_key="key-b", **options)

    assert one._worker._parts.pacer.shared is two._worker._parts.pacer.shared
    assert other._worker._parts.pacer.shared is not one._worker._parts.pacer.shared

    paces = len(open_pacer._pacers)
    for handler in (one, two, other):
        handler.close()
    del one, two, other, handler
    gc.collect()

    assert len(open_pacer._pacers) <= paces - 2


def dict_configure(**options):
    """One Guance handler at the logger ``shop``, in place of any that was there."""
    guance = {
        "class": "eventlog_handlers.GuanceHandler",
        "api_key": "key",
        "endpoint": ENDPOINT,
        "scope": "process",
    }
    guance |= options
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"guance": guance},
            "loggers": {"shop": {"handlers": ["guance"]}},
        }
    )
    return logging.getLogger("shop").handlers[0]


ENDPOINT = "https://once.example"


def test_c06_a_second_dictconfig_with_a_faster_limit_gets_it():
    """The first handler is closed: its one request a minute binds the second one no longer."""
    first = dict_configure(requests_per_minute=1)
    second = dict_configure(requests_per_minute=6_000)
    pacer = second._worker._parts.pacer

    assert first is not second
    assert pacer.shared is first._worker._parts.pacer.shared
    assert [pacer.try_take(now) for now in (0.0, 1.0, 2.0)] == [0, 0, 0]


def test_c06_a_slow_handler_that_lives_still_binds_a_fast_one():
    """The service counts both; a closed handler that is used again counts again."""
    options = {"api_key": "key", "endpoint": "https://twice.example", "scope": "process"}
    slow = eventlog_handlers.GuanceHandler(requests_per_minute=1, **options)
    fast = eventlog_handlers.GuanceHandler(requests_per_minute=6_000, **options)
    assert fast._worker._parts.pacer.try_take(0.0) == 0
    while_both_live = fast._worker._parts.pacer.try_take(1.0)

    slow.close()
    assert fast._worker._parts.pacer.try_take(100.0) == 0
    slow._worker._parts.pacer.try_take(100.0)

    assert while_both_live == pytest.approx(60.0)
    assert fast._worker._parts.pacer.try_take(101.0) > 50
    for handler in (slow, fast):
        handler.close()


@pytest.mark.parametrize("round_number", range(5))
def test_c06_handlers_made_by_several_threads_at_once_share_one_pacer(round_number):
    """Else each would send at the full rate."""
    made, start = [], threading.Barrier(8)

    def make() -> None:
        start.wait()
        made.append(
            eventlog_handlers.GuanceHandler(
                api_key="key", endpoint=f"https://thrice{round_number}.example", scope="process"
            )
        )

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(made) == 8
    assert len({id(handler._worker._parts.pacer.shared) for handler in made}) == 1
    for handler in made:
        handler.close()


def test_c06_two_handlers_together_keep_the_services_quota(eventlog_console):
    """Twenty a minute are twenty a minute for both: the stand-in, which counts, throttles neither."""
    eventlog_console.guance.per_minute = 20
    handlers = [
        eventlog_handlers.GuanceHandler(exit_timeout=0.1, concurrency=1, aggregate_seconds=None)
        for _ in range(2)
    ]
    for number in range(15):
        for handler in handlers:
            handler.handle(record(f"record {number}"))

    settled = [handler.flush(0.5) for handler in handlers]
    sent = sum(handler.stats()["requests"] for handler in handlers)

    assert settled == [False, False]
    assert sent <= 20
    assert not list(eventlog_console.refused("guance"))
    for handler in handlers:
        assert_law(handler.stats())
        faults._abandon(handler)


def test_c06_each_flush_waits_for_its_own_only():
    """One of two handlers can't deliver; the other's flush is not held up by it."""
    with open_shop() as well, open_shop() as ill:
        ill.sink.answers.extend([TransientError("connect")] * 1_000)
        ill.log.error("waits")
        well.log.error("goes")

        assert well.handler.flush(20)
        assert not ill.handler.flush(0.05)

        ill.sink.answers.clear()
        ill.handler._worker._life.delivery.hurry()
        assert [event.message for event in ill.events()] == ["waits"]


def test_c06_several_handlers_on_one_logger_each_get_the_record(eventlog_console):
    """Neither takes it from the other, and each counts for itself."""
    first, second = guance(service="first"), guance(service="second")
    log = logging.Logger("shop")
    log.addHandler(first)
    log.addHandler(second)

    log.error("both")
    assert first.flush(20)
    assert second.flush(20)

    bodies = [json.dumps(event.body) for event in eventlog_console.events("guance")]
    assert sorted(name for body in bodies for name in ("first", "second") if f'"{name}"' in body) == [
        "first",
        "second",
    ]
    assert first.stats()["delivered"] == second.stats()["delivered"] == 1
    first.close()
    second.close()


# ---- C7


def test_c07_a_handler_dropped_unclosed_still_delivers():
    """Its worker keeps what was accepted until it is settled, then goes as well."""
    shop = Shop()
    sink, worker = shop.sink, weakref.ref(shop.handler._worker)
    sink.answers.append(TransientError("connect", retry_after=1.0))
    for number in range(30):
        shop.log.error("record %d", number)
    dropped = weakref.ref(shop.handler)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        del shop
        gc.collect()

    assert dropped() is None
    told = [str(warning.message) for warning in warned if "EventHandler" in str(warning.message)]
    assert len(told) == 1
    assert "30 event(s)" in told[0]
    assert wait_until(lambda: len(sink.delivered) == 30)
    assert Counter(event.message for event in sink.delivered) == Counter(f"record {n}" for n in range(30))
    kept = worker()
    if kept is not None:
        kept.park()
    del kept
    assert wait_until(lambda: gc.collect() >= 0 and worker() is None)


def test_c07_a_handler_dropped_before_the_end_of_the_program_still_delivers(eventlog_console):
    """Also what it accepted last, with nobody left to close it."""
    done = run(
        """
        import gc
        from eventlog_handlers import GuanceHandler
        for number in range(5):
            handler = GuanceHandler(requests_per_minute=None, scope="process")
            handler.handle(logging.LogRecord("shop", 40, "shop.py", 1, f"record {number}", None, None))
            del handler
        gc.collect()
        """,
        console=eventlog_console.url,
        preamble=PLAIN,
    )

    assert done.returncode == 0, done.stderr
    assert guance_messages(eventlog_console) == Counter(f"record {number}" for number in range(5))


def test_c07_a_settled_handler_leaves_nothing_behind():
    """No worker, no sink, no thread."""
    shop = Shop()
    shop.log.error("one")
    assert shop.handler.flush(20)
    shop.handler.close()
    references = [weakref.ref(shop.handler), weakref.ref(shop.handler._worker), weakref.ref(shop.sink)]

    del shop

    assert wait_until(lambda: gc.collect() >= 0 and not any(reference() for reference in references))


# ---- C8

WITHOUT = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
import importlib.util
_find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] in BLOCKED else _find(name, *rest)
import logging
import eventlog_handlers
"""


def test_c08_without_boto3_only_its_own_handler_asks_for_it(eventlog_console):
    """At construction, with the line that mends it; the other two work."""
    done = run(
        """
        try:
            eventlog_handlers.CloudWatchEventsHandler(region_name="us-east-1")
        except ImportError as error:
            print(error)
        log = logging.getLogger("shop")
        log.addHandler(eventlog_handlers.GuanceHandler())
        log.addHandler(eventlog_handlers.CMSHandler())
        log.error("one")
        """,
        console=eventlog_console.url,
        preamble='BLOCKED = {"boto3", "botocore"}' + WITHOUT,
    )

    assert done.returncode == 0, done.stderr
    assert "pip install 'eventlog-handlers[aws]'" in done.stdout
    assert guance_messages(eventlog_console) == Counter(["one"])
    assert len(eventlog_console.events("cms")) == 1


# ---- C9


def test_c09_imported_and_never_configured_it_does_nothing(tmp_path):
    """No thread, no exit hook, no signal handler, no file, no socket; nor has a handler before a record."""
    done = run(
        f"""
        import atexit, gc, os, signal, socket
        os.chdir({str(tmp_path)!r})
        def state():
            hooks = getattr(threading, "_threading_atexits", [])
            return (
                [thread.name for thread in threading.enumerate()],
                atexit._ncallbacks(),
                [hook for hook in hooks if "eventlog" in repr(hook)],
                [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)],
                os.listdir("."), len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
                logging.getLogger().handlers[:], logging.raiseExceptions, sys.excepthook,
                threading.excepthook,
                [thing for thing in gc.get_objects() if isinstance(thing, socket.socket)],
            )
        before = state()
        import eventlog_handlers
        assert state() == before, (before, state())
        import concurrent.futures.thread, weakref
        weakref.finalize(state, print).atexit = False  # the library registers a hook of its own for the first
        before = state()
        from eventlog_handlers import CMSHandler, GuanceHandler, CloudWatchEventsHandler, configure
        assert state() == before, (before, state())
        handler = GuanceHandler(api_key="k")
        assert state() == before, (before, state())
        """,
        preamble=PLAIN,
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())

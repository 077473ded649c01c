"""The ways in: dictConfig, YAML, fileConfig, ``configure``; and ``flush`` and ``stats`` over all handlers."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from processes import environment, run
from servers import Server, free_port

from eventlog_handlers import CMSHandler, GuanceHandler, configuration, configure, flush, stats
from eventlog_handlers.configuration import FanOut
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.process import notices

ALL = "cms://cn-hangzhou guance://cn1?requests_per_minute=null cloudwatch://default"
GUANCE = "guance://cn1?requests_per_minute=null"


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has a ``configure`` that was never called."""
    configured: dict[str, tuple[object, logging.Handler]] = {}
    monkeypatch.setattr(configuration, "_configured", configured)
    yield
    for name, (_, handler) in configured.items():
        for holder in (logging.getLogger(name), logging.getLogger("uvicorn")):
            holder.removeHandler(handler)
        handler.close()


@pytest.fixture
def shop() -> logging.Logger:
    return logging.getLogger("shop.orders")


def titles(console, service="guance"):
    return [event.title for event in console.events(service)]


# --- logging.config ----------------------------------------------------------------------------------------


def test_a_dict_configures_all_three(eventlog_console):
    """Level, formatter, filters, dotted names and ``ext://`` mean what they mean for any handler."""
    done = run(
        """
        import logging, logging.config

        def at_home(event):
            return event._replace(attributes={**event.attributes, "hook": "was here"})

        class Quiet(logging.Filter):
            def filter(self, record):
                return "secret" not in record.getMessage()

        logging.config.dictConfig({
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"short": {"format": "<%(message)s>"}},
            "filters": {"quiet": {"()": "__main__.Quiet"}},
            "handlers": {
                "cms": {
                    "class": "eventlog_handlers.CMSHandler", "level": "ERROR", "event_name": "shop-{level}",
                },
                "guance": {
                    "class": "eventlog_handlers.GuanceHandler", "requests_per_minute": None,
                    "tags": {"os": "ext://os.name"}, "before_send": "__main__.at_home",
                    "formatter": "short", "filters": ["quiet"],
                },
                "cloudwatch": {
                    "class": "eventlog_handlers.CloudWatchEventsHandler", "before_send": "ext://__main__.at_home",
                    "resources": ["arn:aws:ec2:x"],
                },
            },
            "root": {"level": "INFO", "handlers": ["cms", "guance", "cloudwatch"]},
        })
        log = logging.getLogger("shop.orders")
        log.info("a secret")
        log.error("it broke")
        """,
        preamble="",
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert titles(eventlog_console, "cms") == ["shop-ERROR"]
    (event,) = eventlog_console.events("guance")
    assert (event.title, event.stored["os"], event.stored["hook"]) == ("<it broke>", "posix", "was here")
    entries = [event.stored for event in eventlog_console.events("cloudwatch")]
    assert {entry["detail"]["message"] for entry in entries} == {"a secret", "it broke"}
    assert {entry["detail"]["extra"]["hook"] for entry in entries} == {"was here"}
    assert [entry["resources"] for entry in entries] == [["arn:aws:ec2:x"]] * 2
    assert not eventlog_console.refused()


def test_yaml_configures_them(eventlog_console):
    """Every option has a form in YAML."""
    done = run(
        '''
        import logging, logging.config, yaml

        logging.config.dictConfig(yaml.safe_load("""
        version: 1
        handlers:
          guance:
            class: eventlog_handlers.GuanceHandler
            level: WARNING
            site: cn1
            requests_per_minute: null
            title: "[{service}] {message}"
            service: shop
            timeout: [1, 2.5]
            tags: {team: checkout, zone: 3}
            level_map: {WARNING: critical, 45: nodata}
        root: {level: INFO, handlers: [guance]}
        """))
        log = logging.getLogger("shop.orders")
        log.info("not sent")
        log.warning("slow")
        log.log(45, "odd")
        ''',
        preamble="",
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    arrived = {event.title: event for event in eventlog_console.events("guance")}
    assert {title: event.status for title, event in arrived.items()} == {
        "[shop] slow": "critical",
        "[shop] odd": "nodata",
    }
    assert arrived["[shop] slow"].stored["zone"] == "3"


def test_an_ini_file_configures_them(eventlog_console, tmp_path):
    """fileConfig passes options as ``kwargs``."""
    path = tmp_path / "logging.ini"
    path.write_text(
        """
[loggers]
keys=root
[handlers]
keys=cms,guance
[formatters]
keys=
[logger_root]
level=INFO
handlers=cms,guance
[handler_cms]
class=eventlog_handlers.CMSHandler
level=ERROR
kwargs={'group_id': '7301', 'event_name': 'shop'}
[handler_guance]
class=eventlog_handlers.GuanceHandler
kwargs={'requests_per_minute': None}
"""
    )

    done = run(
        f"""
        import logging, logging.config
        logging.config.fileConfig({str(path)!r}, disable_existing_loggers=False)
        logging.getLogger("shop.orders").warning("slow")
        logging.getLogger("shop.orders").error("it broke")
        """,
        preamble="",
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    (event,) = eventlog_console.events("cms")
    assert (event.title, event.stored["GroupId"]) == ("shop", "7301")
    assert sorted(titles(eventlog_console)) == ["it broke", "slow"]


def test_dictconfig_names_our_sentence_as_the_cause_of_its_error():
    """logging says which handler it is, we say what is wrong with it."""
    done = run(
        """
        import logging.config
        handler = {"class": "eventlog_handlers.GuanceHandler", "api_key": "Tr0ub4dor\\n"}
        logging.config.dictConfig({"version": 1, "handlers": {"guance": handler}})
        """,
        preamble="",
    )

    assert done.returncode == 1
    assert "SettingsError: api_key holds a blank, a line break or a character outside ASCII" in done.stderr
    assert "Unable to configure handler 'guance'" in done.stderr
    assert "Tr0ub4dor" not in done.stderr.replace('"api_key": "Tr0ub4dor', "")


def test_a_handler_misspelt_in_dictconfig_is_named_with_the_one_that_was_meant():
    """logging says only that it can't resolve the name; our sentence stands above it."""
    done = run(
        """
        import logging.config
        handler = {"class": "eventlog_handlers.GuanecHandler"}
        logging.config.dictConfig({"version": 1, "handlers": {"guance": handler}})
        """,
        preamble="",
    )

    assert done.returncode == 1
    assert "eventlog_handlers has no handler 'GuanecHandler' (did you mean 'GuanceHandler'?)" in done.stderr


# --- configure ---------------------------------------------------------------------------------------------


def test_one_line_attaches_a_handler_to_the_root_logger(eventlog_console, shop):
    """What propagates there is sent, from ERROR up."""
    handler = configure(GUANCE, service="shop")
    shop.warning("slow")
    shop.error("it broke")

    assert handler in logging.getLogger().handlers
    assert isinstance(handler, GuanceHandler)
    assert flush(10)
    assert titles(eventlog_console) == ["it broke"]
    assert eventlog_console.events("guance")[0].stored["service"] == "shop"


def test_the_same_call_again_changes_nothing(eventlog_console, shop):
    """A module imported twice, a reload: no event is sent twice."""
    first = configure(GUANCE, level="ERROR", service="shop")
    again = configure(f"  {GUANCE} ", level=logging.ERROR, service="shop")

    shop.error("it broke")

    assert again is first
    assert logging.getLogger().handlers.count(first) == 1
    assert flush(10)
    assert titles(eventlog_console) == ["it broke"]


def test_the_same_call_puts_back_what_dictconfig_took_away(eventlog_console, shop):
    """A later dictConfig empties the root logger; calling configure after it mends that, same handler."""
    first = configure(GUANCE)
    logging.getLogger().removeHandler(first)
    first.close()

    again = configure(GUANCE)
    shop.error("it broke")

    assert again is first
    assert flush(10)
    assert titles(eventlog_console) == ["it broke"]


def test_another_call_replaces_the_handler_and_loses_nothing(eventlog_console, shop):
    """What the first had taken in is sent before it is closed."""
    first = configure(GUANCE, service="before")
    shop.error("one")

    second = configure(GUANCE, service="after")
    shop.error("two")

    assert first not in logging.getLogger().handlers
    assert flush(10)
    assert second is not first
    services = {event.title: event.stored["service"] for event in eventlog_console.events("guance")}
    assert services == {"one": "before", "two": "after"}


def test_a_refused_call_leaves_the_handler_that_was_there(eventlog_console, shop):
    """A wrong option in a new configuration does not silence the old one."""
    first = configure(GUANCE)

    with pytest.raises(SettingsError, match="capacity"):
        configure(GUANCE, capacity=0)

    assert first in logging.getLogger().handlers


@pytest.mark.parametrize("dsn", [GUANCE, ALL], ids=["one", "several"])
def test_threads_that_ask_at_once_get_one_handler(eventlog_console, monkeypatch, dsn):
    """Modules that call configure() may be imported by several threads: no event is sent twice."""
    made = []
    parsed = configuration.parse_dsn

    def slowly(text):
        destinations = parsed(text)
        made.append(text)
        hold.wait(0.2)  # never set: all threads are inside at once, unless one lock keeps them out
        return destinations

    hold, start, answers = threading.Event(), threading.Barrier(8), []
    monkeypatch.setattr(configuration, "parse_dsn", slowly)

    def ask():
        start.wait()
        answers.append(configure(dsn, service="shop"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(made) == 1
    assert len(answers) == 8
    assert len(set(map(id, answers))) == 1
    assert logging.getLogger().handlers.count(answers[0]) == 1


def test_a_lock_that_nobody_releases_holds_configure_up_for_a_while_only(eventlog_console, monkeypatch):
    """Rather two handlers than a program that stands still."""
    monkeypatch.setattr(configuration, "_LOCK_SECONDS", 0.05)
    locked, done = threading.Event(), threading.Event()

    def keep():
        with configuration._lock:
            locked.set()
            done.wait(30)

    keeper = threading.Thread(target=keep)
    keeper.start()
    assert locked.wait(30)
    try:
        handler = configure(GUANCE)
    finally:
        done.set()
        keeper.join(30)

    assert handler in logging.getLogger().handlers


def test_a_child_forked_while_another_thread_configures_can_configure(eventlog_console):
    """The lock that the parent's thread held is a new one in the child."""
    done = run(
        f"""
        import os, threading, time
        from eventlog_handlers import configuration, configure
        locked = threading.Event()
        def keep():
            with configuration._lock:
                locked.set()
                time.sleep(60)
        threading.Thread(target=keep, daemon=True).start()
        locked.wait(30)
        child = os.fork()
        if not child:
            started = time.monotonic()
            configure({GUANCE!r})
            os._exit(time.monotonic() - started > 5)
        print("child", os.waitpid(child, 0)[1])
        """,
        preamble="",
        console=eventlog_console.url,
    )

    assert "child 0" in done.stdout, done.stderr


@pytest.mark.parametrize("named", ["shop", logging.getLogger("shop")], ids=["name", "logger"])
def test_each_logger_has_its_own(eventlog_console, shop, named):
    """``logger`` is a name or a Logger; others are not touched."""
    handler = configure(GUANCE, logger=named)
    shop.error("ours")
    logging.getLogger("other").error("not ours")

    assert handler in logging.getLogger("shop").handlers
    assert handler not in logging.getLogger().handlers
    assert flush(10)
    assert titles(eventlog_console) == ["ours"]


def test_several_destinations_are_one_handler(eventlog_console, shop):
    """Each takes every record; flush and stats are over all."""
    handler = configure(ALL, service="shop")
    shop.error("it broke")

    assert handler.flush(10)
    assert {event.service for event in eventlog_console.events()} == {"cms", "guance", "cloudwatch"}
    assert {name: one["delivered"] for name, one in handler.stats().items()} == {
        "CMSHandler": 1,
        "GuanceHandler": 1,
        "CloudWatchEventsHandler": 1,
    }
    assert not eventlog_console.refused()


def test_level_filter_and_formatter_of_several_hold_for_each(eventlog_console, shop):
    """A fan-out is a handler like any other to whoever holds it."""
    handler = configure("cms://cn-hangzhou?content_format=json guance://cn1?requests_per_minute=null")
    assert isinstance(handler, FanOut)
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    handler.setLevel("WARNING")

    def quiet(record):
        return "secret" not in record.getMessage()

    handler.addFilter(quiet)
    shop.warning("a secret")
    shop.warning("slow")
    handler.removeFilter(quiet)
    shop.warning("no secret")

    assert handler.flush(10)
    assert sorted(titles(eventlog_console)) == ["<no secret>", "<slow>"]
    contents = [json.loads(event.body["Content"]) for event in eventlog_console.events("cms")]
    assert sorted(content["message"] for content in contents) == ["<no secret>", "<slow>"]


def test_a_closed_fan_out_is_revived_by_the_next_record(eventlog_console, shop):
    """As a single handler is."""
    handler = configure(ALL)
    shop.error("before")
    handler.close()

    shop.error("after")

    assert flush(10)
    assert sorted(titles(eventlog_console)) == ["after", "before"]


def test_the_environment_names_the_destination(eventlog_console, monkeypatch, shop):
    """EVENTLOG_DSN is read where no DSN is given."""
    monkeypatch.setenv("EVENTLOG_DSN", f"{GUANCE} cms://cn-hangzhou")

    configure()
    shop.error("it broke")

    assert flush(10)
    assert titles(eventlog_console) == ["it broke"]
    assert len(eventlog_console.events("cms")) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "no destination: give a DSN such as guance://cn1, or set EVENTLOG_DSN"),
        ({"dsn": ""}, "the DSN is empty"),
        ({"dsn": 5}, "dsn takes a string"),
        ({"dsn": ["guance://cn1"]}, "dsn takes a string"),
        ({"dsn": "guance://cn1", "level": "EROR"}, "did you mean 'ERROR'"),
        ({"dsn": "guance://cn1", "capasity": 5}, "no option 'capasity' .did you mean 'capacity'"),
        (
            {"dsn": "guance://cn1 cms://cn-hangzhou", "site": "cn1"},
            "site is an option of Guance alone: put it into its DSN, guance://",
        ),
        (
            {"dsn": "cms://cn-hangzhou guance://cn1", "group_id": 7},
            "group_id is an option of CMS alone: put it into its DSN, cms://….group_id=",
        ),
        ({"dsn": "cms://cn-hangzhou guance://cn1", "capasity": 7}, "did you mean 'capacity'"),
        ({"dsn": "guance://cn1,cms://cn-hangzhou"}, "separated by blanks and by nothing else"),
        ({"dsn": "guance://cn1", "region": "cn-hangzhou"}, "no option 'region': use site, such as 'cn1'"),
        ({"dsn": "guance://cn1?region=cn-hangzhou"}, "no option 'region': use site, such as 'cn1'"),
        ({"dsn": "sentry://cn1"}, "begins with cms://"),
    ],
)
def test_a_wrong_call_is_refused_and_attaches_nothing(eventlog_console, arguments, words):
    """One sentence, before anything is changed."""
    before = list(logging.getLogger().handlers)

    with pytest.raises(SettingsError, match=words):
        configure(**arguments)

    assert logging.getLogger().handlers == before


def test_missing_credentials_are_refused_before_anything_is_attached(monkeypatch):
    """Not at the first error in the night."""
    monkeypatch.delenv("EVENTLOG_CONSOLE", raising=False)

    with pytest.raises(SettingsError, match="set DF_API_KEY in the environment"):
        configure("guance://cn1")


# --- switched off, or sent elsewhere -----------------------------------------------------------------------


def test_configure_switched_off_sends_nothing_and_says_so_once(eventlog_console, monkeypatch, shop, capfd):
    """At the first event, for the variable may be left over; no thread is started."""
    monkeypatch.setenv("EVENTLOG_DISABLED", "1")
    monkeypatch.setattr(notices, "hushed", False)
    monkeypatch.setattr(notices, "_said", {})
    before = threading.active_count()

    handler = configure("cms://cn-hangzhou guance://cn1 cloudwatch://default")
    silent = capfd.readouterr().err
    shop.error("it broke")
    shop.error("it broke again")

    said = "EVENTLOG_DISABLED is set: no event of this process is sent"
    assert silent == ""
    assert capfd.readouterr().err == f"eventlog_handlers: CMSHandler: {said}\n"
    assert handler.flush(10)
    assert {one["state"] for one in handler.stats().values()} == {"disabled"}
    assert {one["accepted"] for one in handler.stats().values()} == {0}
    assert eventlog_console.requests() == []
    assert threading.active_count() == before


def test_configure_switched_off_needs_no_destination(monkeypatch):
    """EVENTLOG_DSN is not set where nothing is to be sent."""
    monkeypatch.setenv("EVENTLOG_DISABLED", "1")

    handler = configure(level="WARNING")

    assert handler.level == logging.WARNING
    assert (handler.flush(1), handler.stats()) == (True, {})
    with pytest.raises(SettingsError, match="begins with cms://"):
        configure("sentry://x")


def test_dictconfig_switched_off_needs_no_credentials_and_no_boto3(eventlog_console):
    """An image build has neither; uncaught exceptions print as ever."""
    done = run(
        """
        import logging, logging.config, sys
        sys.modules["boto3"] = None
        names = ("CMSHandler", "GuanceHandler", "CloudWatchEventsHandler")
        logging.config.dictConfig({
            "version": 1,
            "handlers": {name: {"class": f"eventlog_handlers.{name}"} for name in names},
            "root": {"handlers": list(names)},
        })
        logging.error("it broke")
        """,
        preamble="",
        EVENTLOG_DISABLED="1",
    )

    assert done.returncode == 0, done.stderr
    assert "EVENTLOG_DISABLED is set" in done.stderr


def test_a_console_variable_that_is_left_over_says_where_events_go(eventlog_console):
    """Once a process, at the first event and not before."""
    script = """
import logging, sys
from eventlog_handlers import configure
configure("guance://cn1 cms://cn-hangzhou")
print("configured", file=sys.stderr, flush=True)
logging.error("it broke")
logging.error("it broke again")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    where = f"all events of this process go to {eventlog_console.url}, and to no service"
    before, after = done.stderr.split("configured\n")
    assert before == ""
    assert after.count(f"EVENTLOG_CONSOLE is set: {where}\n") == after.count("eventlog_handlers: ") == 1


def test_a_relative_spool_says_where_it_is(eventlog_console, tmp_path, monkeypatch, capfd):
    """At construction, for the working directory is the one of that moment."""
    monkeypatch.chdir(tmp_path)

    handler = configure(GUANCE, spool="events")

    said = f"the relative spool 'events' is {tmp_path}/events, also after a later change of directory"
    assert capfd.readouterr().err == f"eventlog_handlers: GuanceHandler: {said}\n"
    assert handler.flush(10)


# --- commit ------------------------------------------------------------------------------------------------


def test_with_commit_a_log_call_imports_nothing(tmp_path):
    """A Ctrl-C there would break the import off; what is needed is brought by the constructor."""
    done = run(
        f"""
        import logging, sys, threading
        from eventlog_handlers import GuanceHandler
        handler = GuanceHandler(
            api_key="key", endpoint="http://127.0.0.1:1", spool={str(tmp_path)!r}, durability="commit",
            exit_timeout=0,
        )
        late = []
        class Watch:
            def find_spec(self, name, path, target=None):
                if threading.current_thread() is threading.main_thread():
                    late.append(name)
        sys.meta_path.insert(0, Watch())
        log = logging.getLogger("shop")
        log.addHandler(handler)
        log.error("hi %s", "x", extra={{"a": [1], "password": "x"}}, stack_info=True)
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("boo")
        print("late", late)
        """,
        preamble="",
    )

    assert "late []" in done.stdout, done.stdout + done.stderr


# --- uvicorn -----------------------------------------------------------------------------------------------


def test_uvicorn_s_logger_gets_the_handler_where_it_does_not_propagate(eventlog_console, monkeypatch):
    """Its errors never reach the root logger; and they come once where they do."""
    uvicorn = logging.getLogger("uvicorn")
    monkeypatch.setitem(sys.modules, "uvicorn", sys.modules.get("uvicorn") or object())
    monkeypatch.setattr(uvicorn, "propagate", False)

    first = configure(GUANCE, service="before")
    second = configure(GUANCE, service="after")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")

    assert first not in uvicorn.handlers
    assert uvicorn.handlers.count(second) == 1
    assert flush(10)
    assert titles(eventlog_console) == ["Exception in ASGI application"]


def test_a_propagating_uvicorn_logger_is_left_alone(eventlog_console, monkeypatch):
    """Else each of its events would come twice."""
    uvicorn = logging.getLogger("uvicorn")
    monkeypatch.setitem(sys.modules, "uvicorn", sys.modules.get("uvicorn") or object())
    monkeypatch.setattr(uvicorn, "propagate", True)

    handler = configure(GUANCE)

    assert handler not in uvicorn.handlers


def test_an_exception_in_an_asgi_application_arrives(eventlog_console, tmp_path):
    """uvicorn as it is run from the command line, with one line in the application."""
    (tmp_path / "asgi.py").write_text(
        """
from eventlog_handlers import configure
configure("guance://cn1")

async def app(scope, receive, send):
    assert scope["type"] == "http"
    raise LookupError("no order A-1004")
"""
    )
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(tmp_path), "--lifespan", "off",
               "--port", str(port), "asgi:app"]  # fmt: skip

    with Server(command, port, environment(EVENTLOG_CONSOLE=eventlog_console.url)) as server:
        status, _ = server.get("/orders/A-1004")
        (event,) = eventlog_console.wait_for(1, timeout=20)

    assert status == 500
    assert event.title == "Exception in ASGI application"
    assert event.stored["exc_type"] == "LookupError"


# --- over all handlers -------------------------------------------------------------------------------------


def test_flush_waits_no_longer_than_told(eventlog_console, shop):
    """Whatever the services do; False says that something is still pending."""
    eventlog_console.script.delay("guance", 1.0)
    configure(GUANCE)
    shop.error("it broke")

    started = time.monotonic()
    settled = flush(0.1)
    waited = time.monotonic() - started

    assert not settled
    assert waited < 0.9
    assert flush(10)
    assert titles(eventlog_console) == ["it broke"]


def test_flush_of_several_waits_once_for_all(eventlog_console, shop, monkeypatch):
    """Without a number it takes the longest exit_timeout, not their sum."""
    for service in ("cms", "guance", "cloudwatch"):
        eventlog_console.script.delay(service, 8.0)
    handler = configure(ALL, exit_timeout=1.0)
    # Other tests' handlers, not yet collected, have an exit_timeout of their own.
    monkeypatch.setattr(configuration, "live_handlers", lambda: list(handler.handlers))
    shop.error("it broke")

    started = time.monotonic()
    settled = flush(), handler.flush()
    waited = time.monotonic() - started

    assert settled == (False, False)
    assert 2.0 <= waited < 4.5  # twice the longest; their sums would be six
    assert flush(30)


def test_stats_names_every_handler_of_the_process(eventlog_console):
    """By class, numbered where there are several of one."""
    handlers = [GuanceHandler(), GuanceHandler(), CMSHandler()]

    names = {name for name in stats() if name.split()[0] in ("GuanceHandler", "CMSHandler")}

    assert names >= {"GuanceHandler", "GuanceHandler 2", "CMSHandler"}
    for handler in handlers:
        handler.close()


def test_flush_without_handlers_is_settled():
    """In a process that never made one."""
    script = "import eventlog_handlers as e; assert e.flush() is True; assert e.stats() == {}"

    done = subprocess.run([sys.executable, "-c", script], env=environment(), timeout=60, check=False)

    assert done.returncode == 0

"""A service is one folder and one row: a fourth one, made here, works with no changed line elsewhere."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

import eventlog_handlers
from eventlog_handlers import cli, configuration, configure, flush, stats
from eventlog_handlers.console.server import LocalConsole
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.services import registry
from eventlog_handlers.services.dsn import parse_dsn
from eventlog_handlers.services.registry import SERVICES, Service

OPTIONS = """
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.option import Option
from eventlog_handlers.settings.pipeline import pipeline_settings
from eventlog_handlers.settings.table import Table

OPTIONS = (
    Option("shelf", "str", "top", checks.word, "where the events are put"),
    Option("key", "str | None", None, checks.secret, "what opens it", is_secret=True),
)
DEFAULTS = {"requests_per_second": 100}
TABLE = Table("AcmeHandler", OPTIONS, DEFAULTS)


def settings(options, environ):
    made = TABLE.values(options)
    return made["shelf"], pipeline_settings(made, options, environ, max_batch=3)
"""

HANDLER = """
import os

from eventlog_handlers.handler import Destination, EventHandler
from eventlog_handlers.testing import ScriptedSink

from acme_events.options import settings

SINKS = []


class AcmeHandler(EventHandler):
    def __init__(self, **options):
        self.shelf, pipeline = settings(options, os.environ)
        SINKS.append(ScriptedSink(max_events=3, request_bytes=100_000))
        sink = SINKS[-1]
        super().__init__(
            pipeline.level, pipeline, lambda self_log: sink, Destination("acme", self.shelf, "", "")
        )
"""

COST = """
from eventlog_handlers.events import Payload
from eventlog_handlers.services.cost import Cost

COST = Cost(lambda event: Payload(event.id, event.message, 100), 3, 100_000, 1_000, 2.0, "2 calls/s", False)
"""

STAND_IN = """
import json

from eventlog_handlers.console.exchange import Accepted, Answer, Refused


class Acme:
    max_body_bytes = 1_000

    def answer(self, request, now):
        sent = json.loads(request.body)
        return Answer(200, {}, b"{}", accepted=(Accepted(sent["title"], "error", now, sent, sent),))

    def throttled(self, now):
        return self.refusal(429, "TooFast", "too fast")

    def refusal(self, status, code, message):
        return Answer(status, {}, message.encode(), refused=(Refused(code, message),))


def stand_in(script):
    return Acme()


def is_call(request):
    return request.path == "/acme"
"""

ROW = Service(
    "acme",
    "Acme",
    host_option="shelf",
    home="acme_events",
    handler="AcmeHandler",
    stand_in="acme_events.console",
    has_cost=True,
    aliases=("acme-events",),
    short_names={"s": "service"},
)


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package on the path, its row in the registry."""
    home = tmp_path / "acme_events"
    home.mkdir()
    texts = {"options": OPTIONS, "handler": HANDLER, "cost": COST, "console": STAND_IN, "__init__": ""}
    for name, text in texts.items():
        (home / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(configuration, "_configured", {})
    registry.register(ROW)
    yield
    del SERVICES["acme"]
    vars(eventlog_handlers).pop("AcmeHandler", None)
    for name in [name for name in sys.modules if name.split(".")[0] == "acme_events"]:
        del sys.modules[name]


def delivered() -> list[str]:
    """Messages that its sinks were given."""
    return [event.message for sink in sys.modules["acme_events.handler"].SINKS for event in sink.delivered]


@pytest.mark.parametrize("scheme", ["acme", "acme-events"])
def test_a_fourth_service_works_through_configure_flush_and_stats(acme, scheme):
    """Its own options and every handler's stand in the DSN and in the call."""
    handler = configure(f"{scheme}://bottom?s=shop&capacity=50", level="WARNING", max_age=60, logger="shop")
    logging.getLogger("shop.orders").warning("slow")

    assert (handler.shelf, handler.level) == ("bottom", logging.WARNING)
    assert flush(10)
    assert any(name.startswith("AcmeHandler") and one == handler.stats() for name, one in stats().items())
    assert handler.stats()["delivered"] == 1
    assert delivered() == ["slow"]


def test_a_fourth_service_stands_beside_the_others(acme, eventlog_console):
    """In one call of configure with another service."""
    handler = configure("acme:// guance://cn1?requests_per_minute=null", logger="shop")
    logging.getLogger("shop").error("it broke")

    assert handler.flush(10)
    assert delivered() == ["it broke"]
    assert [event.title for event in eventlog_console.events("guance")] == ["it broke"]


def test_a_fourth_service_works_in_dictconfig(acme):
    """By its name in our package, as the others."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"acme": {"class": "eventlog_handlers.AcmeHandler", "shelf": "left"}},
            "loggers": {"shop": {"handlers": ["acme"]}},
        }
    )
    logging.getLogger("shop").error("it broke")

    assert flush(10)
    assert delivered() == ["it broke"]


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("acme://top?shelve=low", "no option 'shelve' .did you mean 'shelf'"),
        ("acme://top?key=k", "key can't stand in a DSN"),
        ("acme://top?shelf=low", "gives shelf twice"),
        ("acne://top", "did you mean 'acme'"),
        ("zzz://top", "cms://, guance://, cloudwatch://, relay:// or acme://"),
        ("acme://top?batch_size=4", "from 1 to 3, not 4"),
    ],
)
def test_a_fourth_service_s_wrong_settings_are_refused_in_the_same_words(acme, dsn, words):
    """They come from its rows."""
    with pytest.raises(SettingsError, match=words):
        configure(dsn, logger="shop")


def test_a_fourth_service_can_be_estimated(acme, tmp_path, capsys):
    """``--service acme``, and among all where none is named."""
    log = tmp_path / "app.log"
    log.write_text("2026-11-20 10:00:00,000 ERROR shop: it broke\n")

    assert cli.main(["estimate", str(log), "--service", "acme"]) == 0
    named = capsys.readouterr().out
    assert cli.main(["estimate", str(log)]) == 0
    everything = capsys.readouterr().out

    assert "Acme: 2 calls/s" in named
    assert "Guance" not in named
    assert "Acme" in everything
    assert "Guance" in everything


def test_a_fourth_service_has_its_stand_in_beside_the_others(acme):
    """At the same port: it is told by its path, obeys the script, and what it takes is stored and listed."""

    def post(title: str) -> int:
        body = json.dumps({"title": title}).encode()
        try:
            with urlopen(Request(f"{console.url}/acme", body), timeout=30) as answer:  # loopback
                return answer.status
        except HTTPError as error:
            return error.code

    with LocalConsole() as console:
        console.script.throttle("acme")
        answers = [post("one"), post("two")]
        with urlopen(f"{console.url}/api/events?service=acme", timeout=30) as answer:
            listed = json.load(answer)
        stats = console.stats()

    assert answers == [429, 200]
    assert [event.title for event in console.events("acme")] == ["two"]
    assert [event["title"] for event in listed["events"]] == ["two"]
    assert (stats["acme"]["accepted"], stats["cms"]["requests"]) == (1, 0)


def test_eventbridge_is_cloudwatch_events():
    """The service's name of today."""
    assert parse_dsn("eventbridge://default?region=us-east-1") == [
        ("cloudwatch", {"event_bus_name": "default", "region_name": "us-east-1"})
    ]


def test_a_handler_that_there_is_not_is_named_with_the_one_that_was_meant():
    """Also in the traceback of dictConfig, whose own error names no remedy."""
    with pytest.raises(AttributeError, match=r"no handler 'GuanecHandler' .did you mean 'GuanceHandler'"):
        eventlog_handlers.GuanecHandler  # noqa: B018
    with pytest.raises(AttributeError, match=r"has no attribute 'configrue'"):
        eventlog_handlers.configrue  # noqa: B018

"""Destinations of the relay: DSNs, options, what is refused, and that no secret is shown."""

from __future__ import annotations

import json
import logging
import pickle

import pytest
from operated import eventually

from eventlog_handlers import RelayHandler, configure
from eventlog_handlers.errors import MissingExtraError, SettingsError
from eventlog_handlers.relay.queue_handler import assignment
from eventlog_handlers.services.dsn import parse_dsn
from eventlog_handlers.services.relay.options import settings

CANARY = "s3cret-canary"


@pytest.mark.parametrize(
    ("dsn", "url"),
    [
        ("relay+redis://host:6380/2?queue=guance", "redis://host:6380/2"),
        ("relay+rediss://host?queue=guance", "rediss://host:6379/0"),
        ("relay://[::1]:7000/0?queue=guance", "redis://[::1]:7000/0"),
        ("RELAY+REDIS://host/?queue=guance", "redis://host:6379/0"),
        ("relay+redis://?queue=guance", "redis://127.0.0.1:6379/0"),
    ],
)
def test_a_dsn_names_server_database_and_queue(dsn, url):
    """Port and database may be left off."""
    ((scheme, options),) = parse_dsn(dsn)
    own, pipeline = settings(options, {})

    assert (scheme, str(own.address), own.queue) == ("relay", url, "guance")
    assert pipeline.counts_are_passed_on


def test_several_queues_stand_side_by_side(monkeypatch):
    """As in one call of configure; no credential of a cloud is asked for."""
    monkeypatch.setattr("eventlog_handlers.configuration._configured", {})
    handler = configure(
        "relay+redis://host:6379/0?queue=guance relay+redis://host:6379/0?queue=cms&aggregate_seconds=null",
        logger="shop",
        service="shop",
    )

    assert [one.destination.address for one in handler.handlers] == ["guance", "cms"]
    assert [one.stats()["scope"] for one in handler.handlers] == ["process", "process"]
    handler.close(0)


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        (f"relay+redis://:{CANARY}@host/0?queue=q", "EVENTLOG_REDIS_PASSWORD"),
        (f"relay+redis://user:{CANARY}@host/0?queue=q", "EVENTLOG_REDIS_USERNAME"),
        (f"relay+redis://?url=redis://:{CANARY}@host/0&queue=q", "EVENTLOG_REDIS_PASSWORD"),
        (f"relay+redis://host/0?queue=q&url=redis://:{CANARY}@host/0", "gives url twice"),
        ("relay+redis://host/0?queue=a b", "queue takes letters"),
        ("relay+redis://host/0?queue=" + "q" * 65, "queue takes 64 characters"),
        ("relay+redis://host/zero?queue=q", "number of a database"),
        ("relay+redis://host:none/0?queue=q", "url is no URL|is no URL"),
        ("relay+redis://host/0?queue=q&ca_bundle=/etc/ca.pem", "write rediss://"),
        ("relay+redis://host/0?queue=q&scope=host", 'scope takes "process"'),
        ('relay+redis://host/0?queue=q&proxies={"https":"http://p"}', "without"),
        ("relay+redis://host/0?queue=q&allow_insecure=true", "rediss:// is TLS"),
        ("relay+redis://host/0?quue=q", "did you mean 'queue'"),
        ("relay+redis://host/0?site=cn1", "where the relay is started"),
        ("relay+redis://host/0#x", "no path"),
        ("relay+redi://host/0?queue=q", "did you mean"),
    ],
)
def test_a_wrong_dsn_is_refused_in_a_sentence(dsn, words):
    """At construction, with the remedy and without the secret."""

    def make() -> None:
        ((_, options),) = parse_dsn(dsn.replace(" ", "%20"))
        settings(options, {})

    with pytest.raises(SettingsError, match=words) as refused:
        make()

    assert CANARY not in str(refused.value)


def test_user_and_password_come_from_the_environment_or_a_url_in_code_and_are_never_shown():
    """Not in a repr, not in stats, not in an error, not in a pickle."""
    environ = {"EVENTLOG_REDIS_USERNAME": "me", "EVENTLOG_REDIS_PASSWORD": CANARY}
    by_environment, _ = settings({"url": "rediss://host/0"}, environ)
    by_url, _ = settings({"url": f"redis://me:{CANARY}@host/0"}, {})
    handler = RelayHandler(url=f"redis://me:{CANARY}@127.0.0.1:1/0", queue="q", exit_timeout=0)

    for own in (by_environment, by_url):
        assert own.address.password.reveal() == CANARY
        assert CANARY not in repr(own) + str(own.address)
        with pytest.raises(TypeError):
            pickle.dumps(own.address)
    assert CANARY not in repr(handler) + json.dumps(handler.stats()) + repr(handler.destination)
    handler.close(0)


def test_an_error_shows_no_password(capsys):
    """Nobody listens there; the line on stderr names the server alone."""
    handler = RelayHandler(url=f"redis://me:{CANARY}@127.0.0.1:1/0", queue="q")
    log = logging.getLogger("shop")
    log.addHandler(handler)
    log.error("it broke")
    eventually(lambda: handler.stats()["failed_requests"], "an attempt")
    handler.close(0)

    said = capsys.readouterr().err + json.dumps(handler.stats())
    assert "redis://127.0.0.1:1/0 does not answer" in said
    assert CANARY not in said


def test_without_redis_py_the_pip_line_is_named(monkeypatch):
    """When the handler is built."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(
        MissingExtraError, match=r"queue needs redis-py: pip install 'eventlog-handlers\[redis\]'"
    ):
        RelayHandler(queue="q")


def test_a_dry_run_and_a_disabled_process_need_no_redis(monkeypatch):
    """They send nothing."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    handler = RelayHandler(queue="q", dry_run=True)
    log = logging.getLogger("shop")
    log.addHandler(handler)
    log.error("it broke")

    assert handler.flush(10)
    assert handler.stats()["dry_run"]["events"] == 1
    handler.close(0)
    monkeypatch.setenv("EVENTLOG_DISABLED", "1")
    RelayHandler(queue="q").close(0)


# --- where a queue leads -----------------------------------------------------------------------------------


def test_an_assignment_is_a_queue_and_a_dsn():
    """The DSN may hold an equals sign."""
    made = assignment("cms=cms://cn-hangzhou?group_id=7")

    assert (made.queue, made.scheme) == ("cms", "cms")
    assert made.options["group_id"] == 7
    assert made.options["max_age"] == 172_800.0
    assert assignment("g=guance://cn1?max_age=60").options["max_age"] == 60


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("guance://cn1", "QUEUE=DSN"),
        ("guance://cn1?site=cn1", "QUEUE=DSN"),
        ("guance", "QUEUE=DSN"),
        ("a b=guance://cn1", "QUEUE takes letters"),
        ("=guance://cn1", "QUEUE takes letters"),
        ("g=guance://cn1 cms://cn-hangzhou", "has one destination"),
        ("g=relay+redis://host/0?queue=x", "not to another queue"),
        ("g=guanec://cn1", "did you mean 'guance'"),
        ("g=guance://cn1?spool=/var/spool", "belongs to the applications' handler"),
        ("g=guance://cn1?before_send=a.b", "belongs to the applications' handler"),
        ("g=guance://cn1?aggregate_seconds=60", "belongs to the applications' handler"),
        ("g=guance://cn1?dry_run=true", "no meaning in a relay"),
        ("g=guance://cn1?scope=process", "no meaning in a relay"),
    ],
)
def test_a_wrong_assignment_is_refused(text, words):
    """No option is taken and ignored."""
    with pytest.raises(SettingsError, match=words):
        assignment(text)

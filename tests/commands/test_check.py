"""``eventlog-handlers check``: a line each, ✓ ! ✗, with the remedy; it makes no event."""

from __future__ import annotations

import email.utils
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from certificates import new_authority
from faultserver import FaultServer, Reply
from processes import environment

from eventlog_handlers.cli import main
from eventlog_handlers.diagnosis import dict_config, network
from eventlog_handlers.diagnosis.destination import account_finding, spool
from eventlog_handlers.errors import MisconfiguredError, RefusedError, ThrottledError, TransientError
from eventlog_handlers.services.registry import SERVICES
from eventlog_handlers.testing import assert_logging

OURS = {"class": "eventlog_handlers.GuanceHandler", "level": "ERROR"}


def told(capsys, *arguments: str) -> tuple[int, dict[str, dict]]:
    code = main(["check", *arguments, "--json"])
    return code, {one["topic"]: one for one in json.loads(capsys.readouterr().out)}


# --- destinations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dsn", ["cms://cn-hangzhou", "guance://cn1", "cloudwatch://default"])
def test_every_step_is_well_against_a_service_that_takes_the_key_and_no_event_is_made(
    dsn, capsys, monkeypatch, eventlog_console
):
    """Settings, credentials, name, connection, clock, account; the calls carry no event."""
    monkeypatch.setenv("EVENTLOG_CONSOLE", eventlog_console.url)

    code, found = told(capsys, dsn)

    assert code == 0, found
    steps = ("settings", "credentials", "DNS", "TCP", "account")
    assert {found[step]["level"] for step in steps} == {"ok"}, found
    assert found["stand-in"]["level"] == "warning"
    assert not eventlog_console.events()


def test_a_missing_key_is_a_problem_with_the_remedy(capsys):
    """And nothing is asked of the network."""
    code, found = told(capsys, "guance://cn1")

    assert code == 1
    assert "DF_API_KEY" in found["settings"]["text"]
    assert set(found) == {"settings"}


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (None, "ok"),
        (RefusedError("MissingEventInfo"), "ok"),
        (MisconfiguredError("InvalidAccessKeyId.NotFound", "no such key"), "problem"),
        (ThrottledError("Throttling"), "warning"),
        (TransientError("timeout"), "problem"),
    ],
)
def test_what_an_answer_proves_about_the_key(error, level):
    """A service that finds fault with the empty content has accepted the key first."""

    class Account:
        PROOF = "a call"

        @staticmethod
        def ask(own, timeout):
            if error is not None:
                raise error

    assert account_finding(Account, None, 1.0).level == level


@pytest.mark.parametrize("name", ["cms", "guance", "cloudwatch"])
def test_a_wrong_key_is_found_out_without_an_event(name, monkeypatch, eventlog_console):
    """The stand-in checks signatures and keys as the service does."""
    service = SERVICES[name]
    monkeypatch.setenv("EVENTLOG_CONSOLE", eventlog_console.url)
    own, _ = service.settings({}, os.environ)
    if name == "guance":
        eventlog_console.guance.keys.clear()
        eventlog_console.guance.keys.add("another-key")
    else:
        secret = type(own.access_key_id)("not-the-one")
        kept = {key: value for key, value in vars(own).items() if key != "_"}
        changed = "access_key_secret"
        own = type(own)(**{**kept, changed: secret})

    finding = account_finding(service.account(), own, 5.0)

    assert finding.level == "problem", finding
    assert "not-the-one" not in finding.text


def test_a_host_that_has_no_name_or_no_listener_is_told_apart():
    """DNS first, then the connection; each with its own remedy."""

    def nowhere(*_, **__):
        raise OSError("Name or service not known")

    (dns,) = network.reach("https://service.invalid", timeout=2, ca_bundle=None, lookup=nowhere)
    assert (dns.level, dns.topic) == ("problem", "DNS")

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        *_, tcp = network.reach(f"http://127.0.0.1:{port}", timeout=2, ca_bundle=None)
    assert (tcp.level, tcp.topic) == ("problem", "TCP")


def test_a_certificate_that_nobody_trusts_is_a_problem_until_its_ca_is_given(tmp_path):
    """As behind a proxy that opens TLS."""
    authority = new_authority()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with FaultServer(tls=context) as server:
        *_, untrusted = network.reach(server.url, timeout=5, ca_bundle=None)
        *_, trusted = network.reach(server.url, timeout=5, ca_bundle=str(bundle))

    assert (untrusted.topic, untrusted.level) == ("TLS", "problem")
    assert "ca_bundle" in untrusted.remedy
    assert (trusted.topic, trusted.level) == ("TLS", "ok")


@pytest.mark.parametrize(("seconds", "level"), [(0, "ok"), (-90, "warning"), (400, "problem")])
def test_a_clock_that_is_off_is_told(seconds, level):
    """By the Date of an answer."""
    date = email.utils.formatdate(time.time() - seconds, usegmt=True)
    with FaultServer(Reply(headers={"Date": date})) as server:
        (finding,) = network.skew(server.url, timeout=5, ca_bundle=None, proxies={})

    assert finding.level == level


def test_a_spool_directory_is_judged_without_making_it(tmp_path):
    """Room, owner, mode."""
    (ok,) = spool(tmp_path / "a" / "b")
    assert ok.level == "ok"
    assert not (tmp_path / "a").exists()
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    (open_to_all,) = spool(tmp_path / "open")
    assert (open_to_all.level, open_to_all.remedy) == ("problem", f"chmod 700 {tmp_path / 'open'}")
    (tmp_path / "file").touch()
    assert [one.level for one in spool(tmp_path / "file")] == ["problem"]


# --- a dictConfig, not applied -----------------------------------------------------------------------------


def problems(config: object) -> str:
    return "\n".join(
        f"{one.level} {one.topic}: {one.text} | {one.remedy}"
        for one in dict_config.check(config)
        if one.level != "ok"
    )


def test_a_good_configuration_says_which_loggers_reach_the_handler():
    """And from which level on."""
    found = list(
        dict_config.check(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "handlers": {"guance": {**OURS, "api_key": "x"}},
                "root": {"handlers": ["guance"]},
                "loggers": {"shop": {"level": "INFO"}},
            }
        )
    )

    assert {one.level for one in found} == {"ok"}
    assert "reaches guance from ERROR on" in {one.topic: one.text for one in found}["logger shop"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ([], "a mapping"),
        ({"handlers": {}}, "version is missing"),
        ({"version": 1, "handler": {}}, "did you mean 'handlers'"),
        ({"version": 1, "handlers": {"g": {**OURS, "api_key": "x", "sight": "cn1"}}}, "did you mean 'site'"),
        ({"version": 1, "handlers": {"g": {**OURS, "api_key": "x", "site": "cn99"}}}, "site"),
        ({"version": 1, "handlers": {"g": {**OURS, "api_key": "x", "level": "EROR"}}}, "'EROR' is no level"),
        ({"version": 1, "handlers": {"g": {"class": "eventlog_handlers.GuanceHadler"}}}, "GuanceHandler"),
        ({"version": 1, "handlers": {"g": {"level": 10}}}, "neither class nor"),
        (
            {"version": 1, "handlers": {"g": {**OURS, "formatter": "plane"}}, "formatters": {"plain": {}}},
            "'plain'",
        ),
        ({"version": 1, "handlers": {"c": {"class": "logging.StreamHandler"}}}, "no handler of this package"),
        ({"version": 1, "root": {"handlers": ["gone"]}}, "'gone' is not defined"),
        ({"version": 1, "root": {"levle": 10}}, "did you mean 'level'"),
        ({"version": 1, "loggers": {"a": {"level": "LOUD"}}}, "'LOUD' is no level"),
        ({"version": 1}, "are disabled"),
    ],
)
def test_what_is_wrong_is_named(config, words):
    """With what was meant, where it resembles something."""
    assert words in problems(config)


def test_loggers_that_cannot_be_heard_are_named():
    """A parent that does not propagate, a level that keeps records out, a handler that gets them twice."""
    told = problems(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"g": {**OURS, "api_key": "x", "level": "INFO"}},
            "root": {"handlers": ["g"], "level": "INFO"},
            "loggers": {
                "gunicorn.error": {"propagate": False},
                "shop": {"level": "ERROR"},
                "shop.pay": {"handlers": ["g"], "level": "INFO"},
            },
        }
    )

    assert "logger gunicorn.error: its records reach none of g: gunicorn.error does not propagate" in told
    assert "logger shop: g takes INFO and above, but the logger lets pass ERROR" in told
    assert "logger shop.pay: its records reach g twice" in told


def test_a_file_is_read_and_nothing_of_it_applied(tmp_path: Path, capsys):
    """YAML, JSON, or a mapping in a module."""
    import logging

    config = {
        "version": 1,
        "handlers": {"g": {**OURS, "api_key": "x", "sight": 1}},
        "root": {"handlers": ["g"]},
    }
    (tmp_path / "logging.json").write_text(json.dumps(config))
    (tmp_path / "logging.yaml").write_text(json.dumps(config))  # JSON is YAML
    before = list(logging.getLogger().handlers)

    for name in ("logging.json", "logging.yaml"):
        assert main(["check", "--config", str(tmp_path / name)]) == 1
        out = capsys.readouterr().out
        assert "✗ handler g" in out
        assert "problems" in out

    assert logging.getLogger().handlers == before
    assert main(["check", "--config", str(tmp_path / "none.json")]) == 2
    assert main(["check", "--config", "no_such_module:LOGGING"]) == 2


def test_nothing_to_look_at_is_wrong_arguments(capsys):
    """EVENTLOG_DSN is taken where nothing is given."""
    assert main(["check"]) == 2
    assert "EVENTLOG_DSN" in capsys.readouterr().err


# --- in Django, in tests -----------------------------------------------------------------------------------

PROJECT = """
SECRET_KEY = "x"
INSTALLED_APPS = ["eventlog_handlers.django"]
EVENTLOG = {"dsn": "guance://cn1", "level": "ERROR", "service": "shop"}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"cms": {"class": "eventlog_handlers.CMSHandler", "region": "cn-hangzhou"}},
    "loggers": {"shop": {"handlers": ["cms"]}, "quiet": {"propagate": False}},
}
"""


@pytest.mark.parametrize(
    "command", [["-m", "eventlog_handlers", "check", "--django"], ["-m", "django", "check", "--deploy"]]
)
def test_a_django_project_is_looked_at_as_a_whole(command, tmp_path, eventlog_console):
    """By our command and by Django's own: the destination of EVENTLOG, and LOGGING as it stands."""
    (tmp_path / "site_settings.py").write_text(PROJECT)
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    environ = environment(
        PYTHONPATH=path, DJANGO_SETTINGS_MODULE="site_settings", EVENTLOG_CONSOLE=eventlog_console.url
    )

    done = subprocess.run(
        [sys.executable, *command], env=environ, capture_output=True, text=True, timeout=90, check=False
    )

    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "EVENTLOG_CONSOLE is set" in told
    assert "logger quiet: its records reach none of cms" in told
    assert not eventlog_console.events()


def test_a_test_of_an_application_can_hold_its_logging_configuration():
    """One line in its own suite."""
    good = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"g": {**OURS, "api_key": "x"}},
        "root": {"handlers": ["g"]},
    }
    assert_logging(good)

    with pytest.raises(AssertionError, match=r"handler g: .*did you mean 'site'"):
        assert_logging({**good, "handlers": {"g": {**OURS, "api_key": "x", "sight": "cn1"}}})
    with pytest.raises(AssertionError, match="logger quiet"):
        assert_logging({**good, "loggers": {"quiet": {"propagate": False}}}, warnings=True)

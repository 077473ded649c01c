"""``eventlog-handlers relay`` and ``relay status``: words, exit codes, what is shown; the examples."""

from __future__ import annotations

import configparser
import json
import shlex
from pathlib import Path

import pytest
import yaml
from queues import Held, address, events, put
from relays import FAST_GUANCE, App, RelayProcess, dsn, look, until

from eventlog_handlers.cli import _parser, main
from eventlog_handlers.console.server import LocalConsole
from eventlog_handlers.relay.queue_handler import assignment
from eventlog_handlers.share.contract import UnavailableError
from eventlog_handlers.share.fleet_scripts import prefix
from eventlog_handlers.share.fleet_url import fleet_address
from eventlog_handlers.share.redis_link import RedisLink

EXAMPLES = Path(__file__).parents[2] / "examples" / "relay"
CANARY = "s3cret-canary"
URL = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["relay", URL], "give QUEUE=DSN"),
        (["relay", URL, "guance://cn1"], "QUEUE=DSN"),
        (["relay", f"redis://:{CANARY}@host/0", "g=guance://cn1"], "leave user and password out"),
        (["relay", "status", f"redis://:{CANARY}@host/0"], "leave user and password out"),
        (["relay", "http://host", "g=guance://cn1"], "redis:// or rediss://"),
        (["relay", URL, "g=guance://cn1", "g=cms://cn-hangzhou"], "g is given twice"),
        (["relay", URL, "g=guance://cn1", "--json"], "--json belongs to status"),
        (["relay", URL, "g=guance://cn1?spool=/x"], "spool belongs to the applications"),
        (["relay", URL, "g=guance://cn1"], "queue g: no credentials: set DF_API_KEY"),
        (["relay", "status"], "give the URL after status"),
        (["relay", "status", URL, "a b"], "QUEUE takes letters"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(words, sentence, capsys):
    """Exit code 2; no password is shown."""
    assert main(words) == 2

    said = capsys.readouterr().err
    assert sentence in said
    assert CANARY not in said


def test_a_relay_is_refused_where_nothing_would_be_sent(monkeypatch, capsys):
    """It would empty the queues."""
    monkeypatch.setenv("EVENTLOG_DISABLED", "1")

    assert main(["relay", URL, "g=guance://cn1"]) == 2
    assert "unset it for a relay" in capsys.readouterr().err


def test_a_redis_that_will_not_do_is_refused_at_the_start(own, monkeypatch, capsys):
    """Exit code 1, with the remedy, so that systemd or an operator sees it."""
    server = own(maxmemory="100mb", maxmemory_policy="allkeys-lru", requirepass=CANARY)
    monkeypatch.setenv("DF_API_KEY", "a-key")
    for word, sentence in (("", "wants a password: set EVENTLOG_REDIS_PASSWORD"), (CANARY, "evicts keys")):
        monkeypatch.setenv("EVENTLOG_REDIS_PASSWORD", word)
        assert main(["relay", server.url, "g=guance://cn1"]) == 1
        assert sentence in capsys.readouterr().err
    monkeypatch.setenv("EVENTLOG_REDIS_PASSWORD", f"not {CANARY}")
    assert main(["relay", "status", server.url]) == 1
    assert "refuses user and password" in (said := capsys.readouterr().err)
    assert CANARY not in said


def test_a_relay_waits_for_a_redis_that_is_not_there_yet(own):
    """As after a restart of the machine; SIGTERM ends it meanwhile as well."""
    server = own()
    server.kill()
    with LocalConsole() as console:
        with RelayProcess(server, console.url, FAST_GUANCE) as relay:
            relay.wait_for_output("waiting: redis://")
            assert relay.stop() == 0
        with RelayProcess(server, console.url, FAST_GUANCE) as relay:
            relay.wait_for_output("waiting: redis://")
            server.start()
            assert App(dsn(server, "guance"), "", 3).end()["settled"]
            until(lambda: len(console.events("guance")) == 3, "all events")
            assert relay.stop() == 0


def test_a_queue_is_not_served_to_two_destinations(server):
    """The second relay is told where the queue leads."""
    with LocalConsole() as console, RelayProcess(server, console.url, FAST_GUANCE) as first:
        first.wait_until_it_serves()
        with RelayProcess(server, console.url, "guance=cms://cn-hangzhou") as second:
            second.wait_for_output("is served already, to another destination (guance http://")
            assert second.process.wait(20) == 1
        assert first.stop() == 0


def test_status_shows_what_waits_who_serves_and_what_is_wrong(server, capsys):
    """As a table and as JSON."""
    assert main(["relay", "status", server.url]) == 0
    assert "no queue in redis://" in capsys.readouterr().out
    put(server, events(3))
    put(server, events(1, level=50))
    server.client().xadd("evh:2:{q}:s0", {"anything": "else"})
    server.client().xadd(f"{prefix('q')}v7:s1", {"v": "7"})

    assert main(["relay", "status", server.url, "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["queues"]
    assert (one["queue"], one["waiting"], one["in_hand"], one["dead"]) == ("q", 4, 0, 0)
    assert one["by_severity"] == {"critical": 1, "error": 3, "warning": 0, "info": 0}
    assert one["oldest_seconds"] >= 0
    assert one["unknown"] == {"schema 2": 1, "version 7": 1}
    assert one["problems"] == 4
    assert (one["relays"], one["holders"], one["destination"]) == ([], {}, "")
    assert main(["relay", "status", server.url, "q"]) == 0
    shown = capsys.readouterr().out
    assert "entries of another version wait" in shown
    assert "update the relays" in shown
    server.client().delete("evh:2:{q}:s0", f"{prefix('q')}v7:s1")
    main(["relay", "status", server.url])
    assert "no relay serves it: start one" in capsys.readouterr().out
    assert main(["relay", "status", server.url, "other", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["queues"][0]["waiting"] == 0

    with LocalConsole() as console, RelayProcess(server, console.url, "q=guance://cn1") as relay:
        relay.wait_until_it_serves()
        until(lambda: look(server)["q"].relays, "the relay is listed")
        main(["relay", "status", server.url])
        shown = capsys.readouterr().out
        assert f"q: relay {look(server)['q'].relays[0]['name']}" in shown
        assert f"guance {console.url}" in shown
        assert relay.stop() == 0
    assert str(address(server)) == server.url


def test_check_tells_whether_redis_answers_and_a_relay_serves(server, capsys):
    """For an application's DSN; nothing is put."""

    def told(dsn: str) -> tuple[int, dict[str, dict[str, str]]]:
        code = main(["check", dsn, "--json"])
        return code, {one["topic"]: one for one in json.loads(capsys.readouterr().out)}

    queue = f"relay+redis://127.0.0.1:{server.port}/0?queue=q"
    put(server, events(2))
    code, found = told(queue)
    assert code == 0
    assert "2 events wait in the queue q" in found["queue"]["text"]
    assert found["relay"]["level"] == "warning"
    assert found["relay"]["remedy"] == f"start one: eventlog-handlers relay {server.url} q=DSN"
    code, found = told(f"{queue}&queue_capacity=2")
    assert (code, found["queue"]["level"]) == (1, "problem")
    Held(server).stream.register("guance https://a", "{}")
    assert told(queue)[1]["relay"]["text"] == "1 serve the queue q"
    code, found = told("relay+redis://127.0.0.1:1/0?queue=q")
    assert (code, found["queue"]["remedy"]) == (1, "look at host, port and network")
    assert "does not answer" in found["queue"]["text"]
    assert look(server)["q"].waiting == 2


@pytest.mark.parametrize(
    ("settings", "rights", "lost"),
    [
        ({}, "+@all", "all since its last snapshot, if it makes any (appendonly no)"),
        ({"appendonly": "yes"}, "+@all", "what it has not written, up to two seconds (appendfsync everysec)"),
        (
            {"appendonly": "yes", "appendfsync": "no"}, "+@all",
            "what it has not written, about half a minute (appendfsync no)",
        ),
        ({"appendonly": "yes", "appendfsync": "always"}, "+@all", ""),
        ({"appendonly": "yes"}, "+@all -config", ""),  # it is not told
        (
            {"appendonly": "yes"}, "+@all -config +config|get",
            "what it has not written, up to two seconds (appendfsync everysec)",
        ),
    ],
)  # fmt: skip
def test_what_redis_may_lose_is_told(own, monkeypatch, capsys, settings, rights, lost):
    """Where an event is delivered once Redis has it, that is what somebody on call must know."""
    server = own(**settings)
    server.client().execute_command("ACL", "SETUSER", "shop", "on", ">secret", "~*", *rights.split())
    monkeypatch.setenv("EVENTLOG_REDIS_USERNAME", "shop")
    monkeypatch.setenv("EVENTLOG_REDIS_PASSWORD", "secret")
    put(server, events(1))

    main(["check", f"relay+redis://127.0.0.1:{server.port}/0?queue=q", "--json"])
    found = [one for one in json.loads(capsys.readouterr().out) if one["topic"] == "redis"]
    main(["relay", "status", server.url])
    shown = capsys.readouterr().out
    main(["relay", "status", server.url, "--json"])
    read_by_programs = json.loads(capsys.readouterr().out)["redis_may_lose"]

    remedy = "set appendonly yes and appendfsync always in redis.conf"
    said = f"when Redis is killed it may lose {lost}"
    assert [(one["level"], one["text"], one["remedy"]) for one in found] == (
        [("warning", said, remedy)] if lost else []
    )
    assert (f"{said}: {remedy}" in shown) == ("may lose" in shown) == bool(lost)
    assert read_by_programs == lost


def test_what_redis_may_lose_is_asked_in_vain_of_one_that_is_gone(own):
    """That is a fault like any other, and no "nothing"."""
    server = own()
    link = RedisLink(address(server))
    assert link.at_risk()
    server.kill()

    with pytest.raises(UnavailableError):
        link.at_risk()
    link.close()


# --- examples ----------------------------------------------------------------------------------------------


def checked(words: list[str], monkeypatch) -> list[str]:
    """The queues of a command line that the parser takes."""
    chosen = _parser().parse_args(words)
    monkeypatch.setenv("DF_API_KEY", "a-key")
    address = fleet_address(chosen.url, {}, option="URL")
    assert address.host
    return [assignment(text).queue for text in chosen.queues]


def test_the_compose_file_s_command_lines_are_the_command_s(monkeypatch):
    """Redis keeps its file, evicts nothing, and the relay may take its time to end."""
    compose = yaml.safe_load((EXAMPLES / "compose.yaml").read_text("utf-8"))
    relay, redis, shop = (compose["services"][name] for name in ("relay", "redis", "shop"))

    program, *words = relay["command"]
    assert program == "eventlog-handlers"
    assert checked(words, monkeypatch) == ["guance", "cms"]
    assert relay["deploy"]["replicas"] >= 2
    assert int(relay["stop_grace_period"].rstrip("s")) >= 10
    assert "--appendonly yes" in redis["command"]
    assert "--maxmemory-policy noeviction" in redis["command"]
    for text in shop["environment"]["EVENTLOG_DSN"].split():
        assert text.startswith("relay+redis://redis:6379/0?queue=")
    assert not any("KEY" in name for name in shop["environment"])
    healthy, *words = shlex.split(relay["healthcheck"]["test"][-1])
    assert healthy == "eventlog-handlers"
    assert _parser().parse_args(words).url == "status"


def test_the_systemd_unit_s_command_line_is_the_command_s(monkeypatch):
    """Credentials stand in a file; it is ended by SIGTERM and given time."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(EXAMPLES / "eventlog-relay.service", "utf-8")
    program, *words = shlex.split(unit["Service"]["ExecStart"])

    assert Path(program).name == "eventlog-handlers"
    assert checked(words, monkeypatch) == ["guance", "cms"]
    assert unit["Service"]["EnvironmentFile"]
    assert unit["Service"]["KillSignal"] == "SIGTERM"
    assert int(unit["Service"]["TimeoutStopSec"]) >= 10
    assert unit["Service"]["Restart"] == "on-failure"


def test_the_examples_readme_names_what_is_there():
    """Its files and its commands."""
    text = (EXAMPLES / "README.md").read_text("utf-8")

    for path in EXAMPLES.iterdir():
        if path.name != "README.md":
            assert path.name in text
    for line in text.splitlines():
        if line.startswith("eventlog-handlers "):
            _parser().parse_args(shlex.split(line)[1:])

"""``eventlog-handlers spool``: what waits, while processes live and after they ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment
from spools import leave_three, spool, start

from eventlog_handlers.buffers.spool.inspect import entries
from eventlog_handlers.cli import main
from eventlog_handlers.testing import make_event

GUANCE = "guance://cn1"
BUSY = """
print("ready", flush=True)
while True:
    buffer.put([make_event(f"event {n}", stack="x" * (n % 5 * 900)) for n in range(30)])
    buffer.ack(buffer.lease(25))
    if len(buffer) > 500:
        buffer.ack(buffer.lease(500))
"""


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A directory with what an ended process left."""
    leave_three(tmp_path)
    return tmp_path


def test_ls_says_how_many_wait_how_long_and_why(left, capsys):
    """One line a file: the destination's hash, the process, its state."""
    assert main(["spool", "ls", str(left), "--json"]) == 0

    (one,) = json.loads(capsys.readouterr().out)
    assert (one["state"], one["events"], one["damaged"], one["tried"]) == ("left", 3, 0, 1)
    assert 0 <= one["oldest_seconds"] < 60
    assert "next handler of this destination" in one["why"]
    assert main(["spool", "ls", str(left)]) == 0
    assert one["destination"] in capsys.readouterr().out


def test_ls_of_an_empty_or_missing_directory(tmp_path, capsys):
    """Nothing waits is an answer; no directory is a failure."""
    assert main(["spool", "ls", str(tmp_path)]) == 0
    assert "nothing waits" in capsys.readouterr().out

    assert main(["spool", "ls", str(tmp_path / "missing")]) == 1
    assert "can't read" in capsys.readouterr().err


def test_a_living_process_s_file_is_read_and_left_alone(tmp_path, capsys):
    """What it committed is shown; nothing of it is opened, locked or deleted."""
    buffer = spool(tmp_path)
    buffer.put([make_event("alive")])

    assert main(["spool", "ls", str(tmp_path), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["state"], one["events"]) == ("in use", 1)
    assert main(["spool", "purge", str(tmp_path), "--yes"]) == 0
    assert "never touched" in capsys.readouterr().out

    buffer.put([make_event("again")])
    assert [lease.event.message for lease in buffer.lease(9)] == ["alive", "again"]
    assert buffer.state()["trouble"] == ""


def test_what_a_busy_process_writes_is_always_read_whole(tmp_path):
    """Copies made while another process puts, acks and checkpoints: never a damaged row, never an error."""
    process = start(tmp_path, BUSY)
    try:
        assert process.stdout.readline() == "ready\n"
        for _ in range(30):
            for entry in entries(tmp_path):
                waiting, damaged = entry.read()
                assert damaged == 0
                assert all(one.event.message.startswith("event ") for one in waiting)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_show_and_export(left, capsys):
    """Oldest first; one event by the first digits of its id, with its traceback; all as JSON lines."""
    assert main(["spool", "show", str(left)]) == 0
    out = capsys.readouterr().out
    assert out.index("first") < out.index("second") < out.index("third")
    assert main(["spool", "export", str(left)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["first", "second", "third"]

    assert main(["spool", "show", str(left), lines[1]["id"][:8]]) == 0
    assert "Traceback" in capsys.readouterr().out
    assert main(["spool", "show", str(left), "no such id"]) == 1


def test_purge_asks_unless_told(left, capsys, monkeypatch):
    """Unsent events are gone for good, so nobody deletes them by a slip."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert main(["spool", "purge", str(left)]) == 1
    assert "3 unsent events" in capsys.readouterr().err
    assert main(["spool", "purge", str(left), "--older-than", "1h", "--yes"]) == 0
    assert "nothing to delete" in capsys.readouterr().out

    assert main(["spool", "purge", str(left), "--yes"]) == 0

    assert "with 3 events" in capsys.readouterr().out
    assert not list(left.iterdir())


def test_replay_sends_what_another_destination_s_process_left(left, capsys, monkeypatch, eventlog_console):
    """--from names whose files: they are this destination's then, and sent at once."""
    monkeypatch.setenv("EVENTLOG_CONSOLE", eventlog_console.url)
    assert main(["spool", "ls", str(left), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)

    code = main(["spool", "replay", str(left), GUANCE, "--from", one["destination"], "--json"])

    told = json.loads(capsys.readouterr().out)
    assert (code, told["delivered"], told["pending"]) == (0, 3, 0)
    assert sorted(event.title for event in eventlog_console.events("guance")) == ["first", "second", "third"]
    assert [entry.read()[0] for entry in entries(left) if entry.state != "in use"] == []


def test_replay_that_can_t_send_keeps_the_events_and_fails(left, capsys, monkeypatch):
    """The directory is as good as before."""
    monkeypatch.setenv("EVENTLOG_CONSOLE", "http://127.0.0.1:9")  # nobody listens there
    (one,) = entries(left)

    code = main(["spool", "replay", str(left), GUANCE, "--from", one.destination, "--timeout", "1"])

    assert code == 1
    assert "not all was delivered" in capsys.readouterr().err
    assert sum(len(entry.read()[0]) for entry in entries(left)) == 3


def test_tail_prints_what_comes_in(tmp_path):
    """Until it is stopped."""
    buffer = spool(tmp_path)
    buffer.put([make_event("before")])
    tail = subprocess.Popen(
        [sys.executable, "-m", "eventlog_handlers", "spool", "tail", str(tmp_path), "--json"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        number = 0
        seen = None
        while seen is None and number < 200 and tail.poll() is None:
            number += 1
            buffer.put([make_event(f"new {number}")])
            if number == 1:
                import threading

                threading.Timer(60, tail.kill).start()
            seen = _line_if_any(tail)
        assert seen is not None, tail.stderr.read()
        assert json.loads(seen)["message"].startswith("new ")
    finally:
        tail.kill()
        tail.wait()
        tail.stdout.close()
        tail.stderr.close()


def _line_if_any(process) -> str | None:
    import select

    ready, _, _ = select.select([process.stdout], [], [], 0.3)
    return process.stdout.readline() if ready else None

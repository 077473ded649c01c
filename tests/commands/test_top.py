"""``eventlog-handlers top``: real processes that send, fail and are killed, and what is printed of them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from operated import eventually
from processes import environment
from senders import KEY, Rows, Senders, folder, tell
from servers import free_port

from eventlog_handlers.cli import main


@pytest.fixture
def senders(tmp_path: Path) -> Iterator[Senders]:
    started = Senders(tmp_path)
    yield started
    started.stop()


@pytest.fixture
def rows(capsys) -> Rows:
    """What ``top --json`` prints, by pid."""

    def printed() -> dict:
        assert main(["top", "--json"]) == 0
        return {row["pid"]: row for row in json.loads(capsys.readouterr().out)}

    return printed


def state(rows: Rows, process: subprocess.Popen) -> str:
    return rows().get(process.pid, {}).get("state", "not shown")


def test_a_process_that_delivers_is_ok_and_its_numbers_add_up(eventlog_console, senders, rows):
    """The counters as its last turn left them; it needs no further record to show them."""
    process = senders.start(1, 2, 3, console=eventlog_console.url)

    eventually(lambda: rows().get(process.pid, {}).get("delivered") == 3, "three delivered events")

    row = rows()[process.pid]
    assert (row["program"], row["handler"]) == ("shop.py", "GuanceHandler")
    assert row["destination"] == "guance " + eventlog_console.url.removeprefix("http://")
    assert (row["accepted"], row["dropped"], row["aggregated"], row["pending"]) == (3, 0, 0, 0)
    assert (row["state"], row["last_error"], row["oldest_seconds"]) == ("ok", "", None)


def test_late_and_held_are_shown_with_the_last_error_and_without_the_key(
    eventlog_console, senders, rows, capsys
):
    """A service that is down is late, a key that it does not know is held; the worst stands first."""
    late = senders.start(1, endpoint=f"http://127.0.0.1:{free_port()}")
    held = senders.start(1, endpoint=eventlog_console.url)

    eventually(lambda: state(rows, late) == "late", "a late process")
    eventually(lambda: state(rows, held) == "held", "a held process")

    found = rows()
    assert list(found) == [held.pid, late.pid]
    assert "Connection refused" in found[late.pid]["last_error"]
    assert "InvalidAPIKey" in found[held.pid]["last_error"]
    assert found[late.pid]["pending"] == found[held.pid]["pending"] == 1
    assert main(["top"]) == 0
    picture = capsys.readouterr().out
    assert re.search(
        rf"\n +{held.pid}  shop.py .* held\n.* the oldest event waits .*\n.*InvalidAPIKey", picture
    )
    written = [path.read_text() for path in folder().iterdir()]
    assert KEY not in "".join([picture, *written])
    assert {path.stat().st_mode & 0o777 for path in folder().iterdir()} == {0o600}
    assert folder().stat().st_mode & 0o777 == 0o700


def test_a_killed_process_is_not_shown_and_its_file_is_removed(eventlog_console, senders, rows):
    """Killed, it can't remove the file itself; not even its parent has to have waited for it."""
    killed = senders.start(1, console=eventlog_console.url)
    alive = senders.start(1, console=eventlog_console.url)
    eventually(lambda: {killed.pid, alive.pid} <= set(rows()), "both are shown")

    os.kill(killed.pid, signal.SIGKILL)  # a zombie from now on
    eventually(lambda: killed.pid not in rows(), "it is not shown any more")

    assert set(rows()) == {alive.pid}
    (left,) = folder().iterdir()
    assert f"-{alive.pid}-" in left.name


def test_a_process_that_ends_removes_its_file(eventlog_console, senders, rows):
    """With nobody there to look."""
    process = senders.start(1, console=eventlog_console.url)
    eventually(lambda: process.pid in rows(), "it is shown")

    process.stdin.close()
    process.wait(60)

    assert list(folder().iterdir()) == []


def test_a_forked_child_is_a_process_of_its_own(eventlog_console, senders, rows):
    """It writes no parent's file, and its end removes none."""
    parent = senders.start(1, "fork", console=eventlog_console.url)

    eventually(lambda: [row["delivered"] for row in rows().values()] == [1, 1], "parent and child")

    found = rows()
    (child,) = set(found) - {parent.pid}
    os.kill(child, signal.SIGUSR1)  # it ends as a program does, with all exit hooks
    eventually(lambda: child not in rows(), "the child has ended")
    assert rows()[parent.pid]["delivered"] == 1


def test_nothing_running_is_a_sentence_and_no_directory_is_made(tmp_path, monkeypatch, capsys):
    """As text and as JSON; done, so 0."""
    monkeypatch.setenv("EVENTLOG_RUNTIME_DIR", str(tmp_path / "none"))

    assert main(["top"]) == 0
    assert "no process of this user has sent events" in capsys.readouterr().out.replace("\n", " ")
    assert main(["top", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert not (tmp_path / "none").exists()


def test_a_directory_that_others_may_write_in_is_a_failure(tmp_path, monkeypatch, capsys):
    """What stands there may be anybody's word."""
    directory = tmp_path / "run" / "eventlog-handlers"
    (directory / "processes").mkdir(parents=True)
    directory.chmod(0o777)
    monkeypatch.setenv("EVENTLOG_RUNTIME_DIR", str(tmp_path / "run"))

    assert main(["top"]) == 1

    assert "others may write" in capsys.readouterr().err


@pytest.mark.parametrize("interval", ["0", "x", "nan", "3601"])
def test_a_wrong_interval_is_a_wrong_argument(interval, capsys):
    """Exit code 2, and the sentence says what it may be."""
    with pytest.raises(SystemExit) as ended:
        main(["top", "--interval", interval])

    assert ended.value.code == 2
    assert "seconds from 0.1 to 3600" in capsys.readouterr().err


def test_json_with_an_interval_is_a_line_each_time(eventlog_console, senders):
    """For a program that reads on; Ctrl-C ends it with 0."""
    senders.start(1, console=eventlog_console.url)
    top = subprocess.Popen(
        [sys.executable, "-m", "eventlog_handlers", "top", "--json", "--interval", "0.1"],
        stdout=subprocess.PIPE,
        env=environment(),
    )
    try:
        lines = [json.loads(top.stdout.readline()) for _ in range(3)]
        top.send_signal(signal.SIGINT)
        assert top.wait(60) == 0
    finally:
        top.kill()
        top.communicate()
    assert all(isinstance(line, list) for line in lines)


class Terminal:
    """``top`` on a terminal of 80 columns and 24 rows; ``screen`` is what it shows."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.set_blocking(self._ours, False)
        environ = environment(TERM="xterm")
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environ.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "eventlog_handlers", "top", "--interval", "0.1"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environ,
        )
        os.close(theirs)
        self._written = ""

    def written(self) -> str:
        """All it has written so far."""
        while True:
            try:
                part = os.read(self._ours, 65_536)
            except (BlockingIOError, OSError):
                return self._written
            if not part:
                return self._written
            self._written += part.decode()

    def screen(self) -> list[str]:
        """The last whole picture, without colours."""
        pictures = self.written().split("\x1b[H")
        whole = [picture for picture in pictures[1:] if "\x1b[J" in picture]
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", whole[-1]).splitlines() if whole else []

    def end(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            self.written()  # a full terminal would hold it
            time.sleep(0.01)
        self.written()
        return self.process.wait(1)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


def test_on_a_terminal_it_is_live_fits_80_columns_and_leaves_the_terminal_as_it_was(
    eventlog_console, senders
):
    """What happens is seen without a key press; Ctrl-C ends it with 0 and leaves the last picture."""
    process = senders.start(1, console=eventlog_console.url)
    senders.start(1, endpoint=f"http://127.0.0.1:{free_port()}")
    terminal = Terminal()
    try:
        eventually(lambda: any(" late" in line for line in terminal.screen()[3:]), "the late process")
        tell(process, 2, 3)
        ours = re.compile(rf" {process.pid}  shop.py +3 +3 +0 +0 +0  ok")
        eventually(lambda: any(map(ours.search, terminal.screen())), "the new counters")

        assert max(map(len, terminal.screen())) <= 80
        assert "Connection refused" in "\n".join(terminal.screen())
        assert terminal.end() == 0
        before, _, after = terminal.written().partition("\x1b[?25h\x1b[?1049l")
        assert before.startswith("\x1b[?1049h\x1b[?25l")
        assert "2 processes, 2 handlers: 1 late, 1 ok" in after
    finally:
        terminal.close()

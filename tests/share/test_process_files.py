"""The files that processes keep of themselves: which are shown, which removed, which are not trusted."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis_server import RedisServer

from eventlog_handlers import GuanceHandler
from eventlog_handlers.share import process_files
from eventlog_handlers.share.contract import UnavailableError
from eventlog_handlers.share.process_files import ProcessFile, found

CONTENT = {"pid": 7, "program": "shop.py"}


@pytest.fixture
def environ(runtime: Path) -> dict[str, str]:
    return {"EVENTLOG_RUNTIME_DIR": str(runtime)}


@pytest.fixture
def folder(runtime: Path) -> Path:
    return runtime / "eventlog-handlers" / "processes"


def renamed(folder: Path, *, namespace: int | None = None, pid: int | None = None, start: int | None = None):
    """The only file under the name of another process."""
    (path,) = folder.iterdir()
    parts = path.name.split("-")
    for index, value in enumerate((namespace, pid, start)):
        if value is not None:
            parts[index] = str(value)
    return path.rename(folder / "-".join(parts))


def test_what_is_written_is_found_until_it_is_removed(environ, folder):
    """Replaced as a whole, private, and with no draft left."""
    file = ProcessFile(environ)
    file.write({**CONTENT, "accepted": 1})
    file.write({**CONTENT, "accepted": 2})

    assert [content["accepted"] for content in found(environ).contents] == [2]
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600

    file.remove()
    assert found(environ) == ([], 0)
    file.write(CONTENT)
    assert len(found(environ).contents) == 1
    file.end()
    file.write(CONTENT)
    assert list(folder.iterdir()) == []


def test_a_dead_process_is_not_shown_and_its_file_is_removed(environ, folder):
    """Also where its pid belongs to another process by now: ours, which started at another time."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    ProcessFile(environ).write(CONTENT)
    renamed(folder, pid=ended.pid)
    assert found(environ).contents == []
    assert list(folder.iterdir()) == []

    ProcessFile(environ).write(CONTENT)
    renamed(folder, start=12)
    assert found(environ).contents == []
    assert list(folder.iterdir()) == []


def test_a_process_s_first_write_removes_what_dead_ones_left(environ, folder):
    """Drafts, too: nobody has to call ``top`` for that."""
    ProcessFile(environ).write(CONTENT)
    left = renamed(folder, start=12)
    left.with_name(f".{left.name}").write_text("half of")

    ProcessFile(environ).write(CONTENT)

    (path,) = folder.iterdir()
    assert f"-{os.getpid()}-" in path.name


def test_another_container_s_file_is_neither_shown_nor_removed_within_a_day(environ, folder):
    """Nobody can tell from here whether its process lives."""
    ProcessFile(environ).write(CONTENT)
    other = renamed(folder, namespace=1, pid=1)
    assert found(environ) == ([], 0)
    assert other.exists()

    os.utime(other, (time.time() - 90_000,) * 2)
    assert found(environ) == ([], 0)
    assert not other.exists()


@pytest.mark.parametrize("text", ["", "[1]", '{"schema": 2}', "{", "\x00" * 100, "[" * 100_000])
def test_a_living_process_s_file_of_another_form_is_counted(text, environ, folder):
    """Of another version, perhaps: told, not taken apart and not removed."""
    ProcessFile(environ).write(CONTENT)
    (path,) = folder.iterdir()
    path.write_text(text)

    assert found(environ) == ([], 1)
    assert path.exists()


def test_a_link_is_not_followed(environ, folder, tmp_path):
    """Whatever stands there: only plain files of this user's are read."""
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"schema": 1, "pid": 1}))
    ProcessFile(environ).write(CONTENT)
    (path,) = folder.iterdir()
    path.unlink()
    path.symlink_to(secret)

    assert found(environ) == ([], 1)


def test_a_folder_that_is_a_link_is_refused(environ, runtime, tmp_path):
    """For reading and for writing."""
    (runtime / "eventlog-handlers").mkdir(mode=0o700)
    (tmp_path / "elsewhere").mkdir()
    (runtime / "eventlog-handlers" / "processes").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UnavailableError, match="not a directory of this user"):
        found(environ)
    with pytest.raises(UnavailableError, match="not a directory of this user"):
        ProcessFile(environ).write(CONTENT)


def test_a_removed_folder_is_made_again(environ, folder):
    """A tidy script may clear the runtime directory."""
    file = ProcessFile(environ)
    file.write(CONTENT)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()

    file.write(CONTENT)

    assert len(found(environ).contents) == 1


def test_without_proc_the_pid_tells(environ, folder, monkeypatch):
    """As on macOS, where a zombie can't be told from a living process."""
    monkeypatch.setattr(process_files, "_started", lambda pid: None)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    ProcessFile(environ).write(CONTENT)
    assert len(found(environ).contents) == 1
    renamed(folder, pid=ended.pid)
    assert found(environ).contents == []


@pytest.mark.parametrize("scope", ["host", "process", "redis"])
def test_a_handler_is_shown_whatever_its_scope(scope, eventlog_console, request):
    """And no more once it is closed and has nothing left."""
    server: RedisServer | None = request.getfixturevalue("server") if scope == "redis" else None
    handler = GuanceHandler(scope=scope if server is None else server.url)
    log = logging.getLogger("shop.scopes")
    log.addHandler(handler)
    log.error("shown")
    assert handler.flush(30)

    eventlog_console.wait_for(1)
    deadline = time.monotonic() + 30
    while not (shown := found(os.environ).contents) or not shown[0]["delivered"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert shown[0]["scope"] == scope
    log.removeHandler(handler)
    handler.close()
    while found(os.environ).contents:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_disabled_handler_writes_nothing(tmp_path, monkeypatch):
    """It takes no record, so it has no thread."""
    monkeypatch.setenv("EVENTLOG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("EVENTLOG_DISABLED", "1")
    handler = GuanceHandler()
    logging.getLogger("shop.off").addHandler(handler)
    logging.getLogger("shop.off").error("not taken")
    handler.close()

    assert not (tmp_path / "run").exists()

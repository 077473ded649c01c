"""Every host of docs/hosts/, by the files and commands that stand there: all events arrive, none twice.

Each server has its own default settings but for the port and the gunicorn.conf.py there, is loaded, and
stopped as an operator stops it as soon as the last answer has come.
"""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import needed
import pages
import pytest
from operated import Operated, eventually, free_port
from pages import Command
from processes import environment

PAGES = pages.pages_in("hosts")
COMMANDS = [command for page in PAGES for command in pages.commands(page)]
KILLED = "Killed workers"
SPOOL = "/var/lib/shop/events"
FILES = {name: code for page in PAGES for name, code in pages.files(page).items()}
LATE, LOST = 60, 20
"""Requests, or tasks, that log an error, and those that raise."""


def of(*names: str, killed: bool = False) -> list[Any]:
    """The commands of these pages, each once: those for servers that are stopped, or for *killed* ones."""
    wanted = [f"hosts/{name}.md" for name in names]
    of_pages = [one for one in COMMANDS if one.page in wanted and (one.section == KILLED) is killed]
    chosen = {one.line: one for one in of_pages}.values()
    return [pytest.param(one, id=re.sub(r"[^\w.-]+", "_", one.line)[:90]) for one in chosen]


def needs(words: list[str]) -> None:
    """Skip where the program or its application's framework is not installed."""
    if words[0] != "python":
        needed.program(Path(words[0]).name)
    if "shop_asgi:app" in words:
        needed.module("fastapi")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the files of all pages."""
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    return tmp_path


def arrived(console: Any) -> Counter[str]:
    """How often an event came for each order, by what its first line says of the order."""
    found: Counter[str] = Counter()
    for event in console.events("cms"):
        lines = event.body["Content"].splitlines()
        text = "\n".join(lines)
        if "logger: watchdog." in text:  # Flask's reloader may log an error of its own as it ends
            continue
        orders = re.findall(r"\b(?:order |/)([A-B]-\d+)", text)
        assert len(set(orders)) == 1, text
        found[orders[0]] += 1
    return found


def numbered(letter: str, count: int) -> Counter[str]:
    return Counter(f"{letter}-{number}" for number in range(count))


def test_a_file_is_the_same_on_every_page() -> None:
    """A page can be read without the others, so some files stand on several."""
    for page in PAGES:
        for name, code in pages.files(page).items():
            assert FILES[name] == code, (page, name)


def test_every_command_is_run() -> None:
    """By one of the tests of this file or of test_functions."""
    run = [
        "cron",
        "multiprocessing",
        "gunicorn",
        "uwsgi",
        "uvicorn",
        "fastapi",
        "flask",
        "django",
        "celery",
        "functions",
    ]

    assert {one.page for one in COMMANDS} == {f"hosts/{name}.md" for name in run}
    assert {one.page for one in COMMANDS if one.section == KILLED} == {"hosts/gunicorn.md", "hosts/uwsgi.md"}


# --- scripts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", of("cron"))
def test_p01_a_script(eventlog_console: Any, place: Path, command: Command) -> None:
    """Its last line raises, which Python prints as it does without us."""
    done = subprocess.run(
        command.words(console=eventlog_console.url),
        cwd=place,
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[0] == "order A-1 is late"
    assert done.stderr.endswith("LookupError: no order B-1\n")
    assert done.stderr.count("Traceback") == 1
    assert arrived(eventlog_console) == Counter(["A-1", "B-1"])


def test_the_prompt(eventlog_console: Any, place: Path) -> None:
    """What is logged at it is an event, what is mistyped at it is none."""
    lines = [*FILES["nightly.py"].splitlines(), "1 / 0", "logging.getLogger().error('order A-2')"]

    done = subprocess.run(
        [sys.executable, "-i", "-q"],
        input="\n".join(lines) + "\n",
        cwd=place,
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "ZeroDivisionError" in done.stderr
    assert arrived(eventlog_console) == Counter(["A-1", "A-2"])


@pytest.mark.parametrize("command", of("multiprocessing"))
def test_p10_children_of_multiprocessing(eventlog_console: Any, place: Path, command: Command) -> None:
    """A pool ended by its block, an executor, a process."""
    done = subprocess.run(
        command.words(),
        cwd=place,
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == numbered("A", 21)


# --- web servers -------------------------------------------------------------------------------------------


def load(port: int) -> None:
    """Four clients at once, each request over a connection of its own; an answer to each is waited for."""

    def ask(path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            return connection.getresponse().status
        except (http.client.BadStatusLine, ConnectionResetError):
            return 500  # uWSGI answers nothing where an application raises
        finally:
            connection.close()

    paths = [f"/late/A-{number}" for number in range(LATE)] + [f"/lost/B-{number}" for number in range(LOST)]
    with ThreadPoolExecutor(4) as clients:
        statuses = Counter(clients.map(ask, paths))
    assert statuses == Counter({200: LATE, 500: LOST})


@pytest.mark.parametrize("command", of("gunicorn", "uwsgi", "uvicorn", "fastapi", "flask", "django"))
def test_p12_a_web_server(eventlog_console: Any, place: Path, command: Command) -> None:
    """Stopped by SIGTERM right after the last answer, or by Ctrl-C where a developer watches it."""
    port = free_port()
    words = command.words(port=str(port))
    needs(words)
    with Operated(words, console=eventlog_console.url, port=port, cwd=place) as server:
        server.wait_for_port()
        load(port)

        if "granian" in command.line:  # a stop while a worker starts leaves granian waiting for it
            for number in range(2 if "--workers 2" in command.line else 1):
                server.wait_for_output(f"Started worker-{number + 1}")
        if "--debug" in words:  # Werkzeug's reloader kills the process that serves 0.25 s after Ctrl-C
            eventually(lambda: arrived(eventlog_console).total() >= LATE + LOST, "all events")
        if {"run", "runserver"} & set(words):
            server.stop(signal.SIGINT, group=True)
        else:
            server.stop()

        assert arrived(eventlog_console) == numbered("A", LATE) + numbered("B", LOST), server.output()
    assert not eventlog_console.refused()


SLOW_START = """
import os
import time

post_fork_of_the_page = post_fork


def post_fork(server, worker):
    post_fork_of_the_page(server, worker)
    if worker.age == 2:
        os.kill(server.pid, signal.SIGTERM)
        while server.SIG_QUEUE.empty():  # the master's handler, inherited, puts the signal there
            time.sleep(0.01)


def post_worker_init(worker):
    print(f"worker {worker.age} serves")
"""


@pytest.mark.parametrize("command", [one for one in of("gunicorn") if "wsgi" in one.id])
def test_p12_gunicorn_ends_a_worker_that_starts_when_the_stop_comes(
    eventlog_console: Any, place: Path, command: Command
) -> None:
    """Without the page's gunicorn.conf.py it forgets the signal, and serves until gunicorn kills it."""
    config = place / "gunicorn.conf.py"
    config.write_text(config.read_text() + SLOW_START)
    port = free_port()
    words = command.words(port=str(port))
    needs(words)

    with Operated(words, console=eventlog_console.url, port=port, cwd=place) as server:
        server.wait_for_output("Shutting down: Master")

        assert "worker 2 serves" not in server.output()
        # No third one takes their place; the first may be ended before it says that it is there.
        assert server.output().count("Booting worker") <= 2


@pytest.mark.parametrize(
    "command", [*of("gunicorn", "uwsgi", killed=True), *(one for one in of("flask") if "--debug" in one.id)]
)
def test_p04_killed_servers_leave_their_events_in_a_spool(
    eventlog_console: Any, place: Path, command: Command
) -> None:
    """Every process gets SIGKILL right after the last answer; the same server, started anew, sends the rest.

    Flask's reloader does that by itself after Ctrl-C. What was on its way may come twice, under one id.
    """
    (configure,) = {line for page in PAGES for line in pages.text(page).splitlines() if SPOOL in line}
    is_debugged = "--debug" in command.words()
    file = place / ("shop_flask.py" if is_debugged else "shop_wsgi.py")
    code = file.read_text()
    line = re.search("^configure.*$", code, re.M)[0]
    file.write_text(code.replace(line, configure.replace(SPOOL, str(place / "events"))))
    port = free_port()
    words = command.words(port=str(port))
    needs(words)
    with Operated(words, console=eventlog_console.url, port=port, cwd=place) as server:
        server.wait_for_port()
        load(port)
        server.stop(signal.SIGINT if is_debugged else signal.SIGKILL, group=True)
    expected = numbered("A", LATE + 1) + numbered("B", LOST)

    def all_arrived() -> bool:
        return set(arrived(eventlog_console)) == set(expected)

    port = free_port()  # a killed worker may hold the other one for a moment
    words = command.words(port=str(port))
    with Operated(words, console=eventlog_console.url, port=port, cwd=place) as server:
        server.wait_for_port()
        assert server.get(f"/late/A-{LATE}") == "late"

        eventually(all_arrived, "what the killed processes left", seconds=60)

        server.stop(*([signal.SIGINT] if is_debugged else []), group=is_debugged)
    contents = [event.body["Content"] for event in eventlog_console.events("cms")]
    assert len({re.search(r"^event_id: (\w+)$", text, re.M)[1] for text in contents}) == expected.total()


@pytest.mark.parametrize(
    ("code", "orders"), [("raise LookupError('no order B-1')", ["B-1"]), ("import sys; sys.exit(1)", [])]
)
def test_p01_a_management_command_that_raises(
    eventlog_console: Any, place: Path, code: str, orders: list[str]
) -> None:
    """As a script; to end with a status is to have said what was wrong."""
    done = subprocess.run(
        [sys.executable, "shop_django.py", "shell", "-c", code],
        cwd=place,
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.count("Traceback") == len(orders), done.stderr
    assert arrived(eventlog_console) == Counter(orders)


# --- Celery ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Redis of our own, that writes nothing."""
    port = free_port()
    program = needed.command("redis-server")
    words = [program, "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "no", "--save", ""]
    with Operated(words, console="", port=port, cwd=tmp_path_factory.mktemp("redis")) as server:
        server.wait_for_port()
        yield port


CLIENT = """
import sys
from shop_tasks import app, late, lost
for number in range(int(sys.argv[1])):
    late.delay(f"A-{number}")
for number in range(int(sys.argv[2])):
    lost.delay(f"B-{number}")
"""


@pytest.mark.parametrize("command", of("celery"))
def test_p11_celery(eventlog_console: Any, place: Path, broker: int, command: Command) -> None:
    """Stopped when the last task has been done."""
    needed.module("celery")
    file = place / "shop_tasks.py"
    queue = f"queue-{free_port()}"  # each test has its own
    file.write_text(
        file.read_text().replace("6379", str(broker)) + f"\n\napp.conf.task_default_queue = {queue!r}\n"
    )
    subprocess.run(
        [sys.executable, "-c", CLIENT, str(LATE), str(LOST)],
        cwd=place,
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        timeout=60,
        check=True,
    )
    with Operated(command.words(), console=eventlog_console.url, cwd=place) as worker:

        def all_done() -> bool:
            output = worker.output()
            there = set(arrived(eventlog_console))  # two threads may write into one line of the output
            late = {*re.findall(r"order (A-\d+) is late", output), *(one for one in there if one[0] == "A")}
            lost = re.findall(r"Task shop_tasks\.lost\[[\w-]+\] raised", output)
            return len(late) == LATE and max(len(lost), sum(one[0] == "B" for one in there)) == LOST

        eventually(all_done, "the last task")

        worker.stop(signal.SIGTERM)

        assert arrived(eventlog_console) == numbered("A", LATE) + numbered("B", LOST), worker.output()
    contents = [event.body["Content"] for event in eventlog_console.events("cms")]
    assert all(re.search(r"^task_name: shop_tasks\.(late|lost)$", text, re.M) for text in contents)
    assert len({re.search(r"^task_id: ([\w-]{36})$", text, re.M)[1] for text in contents}) == LATE + LOST

"""The real servers: started, asked, stopped as an operator would, and the records counted at the service."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from typing import Any

import needed
import pytest
from operated import APPS, Operated, eventually, free_port
from processes import environment


def arrived(console: Any, service: str = "cms") -> Counter[str]:
    """How often each message arrived; asserts that no event arrived twice."""
    ids: Counter[str] = Counter()
    messages: Counter[str] = Counter()
    for event in console.events(service):
        if service == "cms":
            text = event.body["Content"]
            messages[text.splitlines()[0].partition(" ")[2]] += 1
            ids[re.search(r"event_id: (\w+)", text)[1]] += 1
        else:
            detail = json.loads(event.body["Detail"])
            messages[detail["message"]] += 1
            ids[detail["event"]["id"]] += 1
    assert set(ids.values()) <= {1}, ids
    return messages


def ask(server: Operated, count: int) -> set[str]:
    """Have *count* records logged; returns the processes that logged them."""
    return {server.get(f"/log/request{number}") for number in range(count)}


def requests(count: int) -> Counter[str]:
    return Counter(f"request{number}" for number in range(count))


# --- gunicorn ----------------------------------------------------------------------------------------------


@contextmanager
def gunicorn(console: Any, *options: str, **variables: str):
    port = free_port()
    program = needed.program("gunicorn")
    command = [program, "wsgi_app", f"--bind=127.0.0.1:{port}", "--no-control-socket", *options]
    with Operated(command, console=console.url, port=port, **variables) as server:
        server.wait_for_port()
        yield server


def loaded(console: Any) -> int:
    """How often the application was loaded, as far as it has told: its first record is sent at once."""
    return arrived(console)["loaded"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("threads", ["sync", "gthread"])
def test_p12_gunicorn_workers_send_what_they_logged_when_stopped(eventlog_console, threads, number):
    """Each worker loads the application itself; its exit hooks run on the operator's signal."""
    with gunicorn(eventlog_console, "--workers=2", f"--worker-class={threads}", "--threads=4") as server:
        ask(server, 20)
        eventually(lambda: loaded(eventlog_console) == 2, "two workers")

        assert server.stop(number) == 0, server.output()

    assert arrived(eventlog_console) == requests(20) + Counter(loaded=2)


def test_p07_gunicorn_preload_leaves_the_masters_record_to_the_master(eventlog_console):
    """Forked workers send theirs over connections of their own and nothing of the master's; boto3 too."""
    with gunicorn(eventlog_console, "--workers=3", "--preload", SHOP_HANDLERS="cms cloudwatch") as server:
        processes = ask(server, 30)

        assert server.stop() == 0, server.output()

    assert str(server.process.pid) not in processes
    for service in ("cms", "cloudwatch"):
        assert arrived(eventlog_console, service) == requests(30) + Counter(loaded=1), service


def test_p22_gunicorn_gevent_preload_delivers_once_and_stops_at_once(eventlog_console):
    """gevent is patched in after the application has logged: our threads are real ones with green sockets."""
    needed.module("gevent")
    options = ("--workers=2", "--worker-class=gevent", "--preload", "--graceful-timeout=60")
    with gunicorn(eventlog_console, *options) as server:
        ask(server, 100)

        assert server.stop() == 0, server.output()

    assert arrived(eventlog_console) == requests(100) + Counter(loaded=1)


def test_p12_gunicorn_recycled_workers_send_before_they_go(eventlog_console):
    """--max-requests ends a worker every few requests."""
    with gunicorn(eventlog_console, "--workers=1", "--max-requests=5") as server:
        processes = ask(server, 20)

        assert server.stop() == 0, server.output()

    found = arrived(eventlog_console)
    assert len(processes) >= 3, processes
    assert found.pop("loaded") >= len(processes)
    assert found == requests(20)


def test_p12_gunicorn_reload_and_worker_timeout_lose_nothing(eventlog_console):
    """HUP replaces the workers; one that hangs is aborted by the master, and still runs its exit hooks."""
    with gunicorn(eventlog_console, "--workers=1", "--timeout=2", "--graceful-timeout=5") as server:
        first = ask(server, 5)
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: loaded(eventlog_console) == 2, "a new worker")
        second = {server.get("/log/reloaded")}
        assert server.try_get("/hang") is None
        eventually(lambda: loaded(eventlog_console) == 3, "a third worker")

        assert server.stop() == 0, server.output()

    assert not first & second
    assert arrived(eventlog_console) == requests(5) + Counter(
        {"loaded": 3, "reloaded": 1, "before hanging": 1}
    )


# --- uWSGI -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--lazy-apps",)], ids=["prefork", "lazy-apps"])
def test_p07_uwsgi_workers_send_theirs_and_the_master_its_own(eventlog_console, options):
    """uWSGI forks without Python's hooks; by default after the application was loaded and has logged.

    Stopped as the docs tell. By ``--die-on-term`` a worker that has answered and not yet closed its request
    runs no exit hook, and the client can't see when it has.
    """
    port = free_port()
    command = [
        needed.program("uwsgi"),
        f"--http-socket=127.0.0.1:{port}", "--master", "--processes=2", "--enable-threads",
        "--hook-master-start", "unix_signal:15 gracefully_kill_them_all", "--need-app",
        "--wsgi-file=wsgi_app.py", f"--home={sys.prefix}", *options,
    ]  # fmt: skip
    with Operated(command, console=eventlog_console.url, port=port) as server:
        server.wait_for_port()
        server.wait_for_output("spawned uWSGI worker 2")
        ask(server, 20)
        if options:
            eventually(lambda: loaded(eventlog_console) == 2, "two workers")

        server.stop()

    assert arrived(eventlog_console) == requests(20) + Counter(loaded=2 if options else 1), server


# --- ASGI --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize(
    ("server_name", "options", "application"),
    [
        ("uvicorn", ("--workers=1",), "application"),
        ("uvicorn", ("--workers=1",), "with_lifespan"),
        ("uvicorn", ("--workers=4",), "application"),
        ("hypercorn", ("--workers=1",), "with_lifespan"),
        # Whichever of its workers ends first, hypercorn kills the others by SIGTERM without a grace.
        ("hypercorn", ("--workers=2", "sigterm"), "application"),
    ],
)
def test_p05_asgi_servers_send_what_was_logged_when_stopped(
    eventlog_console, server_name, options, application, number
):
    """uvicorn runs no exit hook on SIGTERM: the wrapped application flushes at the lifespan's end."""
    port = free_port()
    place = (f"--bind=127.0.0.1:{port}",) if server_name == "hypercorn" else (f"--port={port}",)
    environ = {"SHOP_SIGTERM": "1"} if "sigterm" in options else {}
    options = [option for option in options if option != "sigterm"]
    command = [needed.program(server_name), f"asgi_app:{application}", *place, *options]
    with Operated(command, console=eventlog_console.url, port=port, **environ) as server:
        server.wait_for_port()
        processes = ask(server, 40)

        server.stop(number)

    found = arrived(eventlog_console)
    assert all(found[message] == 1 for message in requests(40)), (found, server)
    if application == "with_lifespan":
        assert {found[f"shutdown {process}"] for process in processes} == {1}, found


# --- Celery ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """The URL of a Redis of our own, on a free port of loopback, that writes nothing."""
    port = free_port()
    program = needed.command("redis-server")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "no", "--save", ""]
    with Operated(command, console="", port=port, cwd=tmp_path_factory.mktemp("redis")) as server:
        server.wait_for_port()
        yield f"redis://127.0.0.1:{port}/0"


TASKS = 6


@pytest.mark.parametrize(
    ("options", "number"),
    [
        (("--pool=prefork", "--concurrency=2"), signal.SIGINT),
        (("--pool=prefork", "--concurrency=2"), signal.SIGQUIT),
        (("--pool=prefork", "--concurrency=1", "--max-tasks-per-child=3"), signal.SIGTERM),
    ],
    ids=["prefork INT", "prefork QUIT", "max-tasks"],
)
def test_p11_celery_workers_send_what_their_tasks_logged(eventlog_console, broker, options, number):
    """With Celery's default settings, under which it empties the root logger; a failed task is one event.

    Children of the prefork pool run no exit hook, only Celery's signal. Nothing is set up for either.
    """
    needed.module("celery")
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tasks",
        "worker",
        "--without-gossip",
        "--without-mingle",
    ]
    with Operated([*command, *options], console=eventlog_console.url, BROKER=broker) as server:
        client = subprocess.run(
            [sys.executable, "tasks.py", str(TASKS)],
            cwd=APPS,
            env=environment(BROKER=broker, EVENTLOG_CONSOLE=eventlog_console.url),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert client.returncode == 0, client.stderr

        server.stop(number)

    found = arrived(eventlog_console)
    failed = Counter(re.sub("\\[.*", "", message) for message in found if message.startswith("Task work["))
    assert failed == {"Task work": TASKS / 3}, found
    logged = Counter({message: found[message] for message in found if not message.startswith("Task work[")})
    assert logged == Counter(
        f"{word} {number}" for word in ("task", "task logger") for number in range(TASKS)
    )
    if "--max-tasks-per-child=3" in options:
        assert int(client.stdout) == TASKS / 3


# --- Django ------------------------------------------------------------------------------------------------


# A change that is made before the reloader has looked at a file for the first time goes unseen.
SAYS_WHAT_IT_WATCHES = """
LOGGING["handlers"]["shell"] = {"class": "logging.StreamHandler"}
LOGGING["loggers"]["django.utils.autoreload"] = {"level": "DEBUG", "handlers": ["shell"]}
"""


def test_p12_djangos_runserver_sends_when_it_reloads_and_when_it_is_stopped(eventlog_console, tmp_path):
    """A changed file ends the serving process with exit code 3; Ctrl-C reaches all of them."""
    project = tmp_path / "django_project.py"
    project.write_text((APPS / project.name).read_text() + SAYS_WHAT_IT_WATCHES)
    port = free_port()
    command = [sys.executable, "-m", "django", "runserver", f"127.0.0.1:{port}"]
    with Operated(
        command,
        console=eventlog_console.url,
        port=port,
        cwd=tmp_path,
        DJANGO_SETTINGS_MODULE="django_project",
    ) as server:
        server.wait_for_port()
        before = {server.get(f"/log/before{number}") for number in range(5)}
        server.wait_for_output(f"{project.name} first seen")
        os.utime(project)
        eventually(lambda: server.try_get("/log/nothing") not in {None, *before}, "a new process")
        after = {server.get(f"/log/after{number}") for number in range(5)}

        server.stop(signal.SIGINT, group=True)

    assert before.isdisjoint(after)
    assert arrived(eventlog_console) == Counter(
        f"{word}{number}" for word in ("before", "after") for number in range(5)
    )

"""Functions that freeze, by the files of docs/hosts/functions.md: events arrive before a call ends.

AWS Lambda by its own client of the runtime, against the part of the Runtime API that a function sees;
Function Compute, whose runtime is not published, by a process that calls as it does.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import needed
import pages
import pytest
from processes import environment

PAGE = "hosts/functions.md"
ORDERS = ["A-0", "B-0", "A-1", "B-1"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the files of the page."""
    for name, code in pages.files(PAGE).items():
        (tmp_path / name).write_text(code)
    return tmp_path


def arrived(console: Any) -> Counter[tuple[str, str]]:
    """How often an event came, by its order and the call's id."""
    found: Counter[tuple[str, str]] = Counter()
    for event in console.events("cms"):
        text = event.body["Content"]
        (order,) = {word for word in ORDERS if word in text}
        (call,) = [line.split()[1] for line in text.splitlines() if line.startswith("request_id: ")]
        found[order, call] += 1
    return found


class RuntimeApi(ThreadingHTTPServer):
    """Gives out events, one call after the other. Source: docs.aws.amazon.com/lambda, "Lambda runtime API",
    read 2026-11-29."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.calls: queue.Queue[tuple[str, object]] = queue.Queue()
        self.ended: queue.Queue[tuple[str, bytes]] = queue.Queue()

    def call(self, number: int, event: object) -> str:
        """Have the function called; how the call ended: ``response`` or ``error``."""
        self.calls.put((f"call-{number}", event))
        path, _ = self.ended.get(timeout=90)
        assert f"/invocation/call-{number}/" in path, path
        return path.rpartition("/")[2]


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RuntimeApi

    def do_GET(self) -> None:
        name, event = self.server.calls.get()
        body = json.dumps(event).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", name)
        self.send_header("Lambda-Runtime-Deadline-Ms", "4102444800000")
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:1:function:shop")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.ended.put((self.path, body))

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def runtime_api() -> Iterator[RuntimeApi]:
    with RuntimeApi() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_aws_lambda(eventlog_console: Any, place: Path, runtime_api: RuntimeApi) -> None:
    """Each call's event has arrived when the runtime hears of the call's end; then it may be killed."""
    needed.module("awslambdaric")
    (command,) = pages.commands(PAGE)
    function = subprocess.Popen(
        [sys.executable, *command.words()[1:]],
        cwd=place,
        env=environment(
            EVENTLOG_CONSOLE=eventlog_console.url,
            AWS_LAMBDA_RUNTIME_API=f"127.0.0.1:{runtime_api.server_port}",
            AWS_LAMBDA_FUNCTION_NAME="shop",
            AWS_LAMBDA_FUNCTION_VERSION="1",
            AWS_LAMBDA_FUNCTION_MEMORY_SIZE="128",
            AWS_LAMBDA_LOG_GROUP_NAME="shop",
            AWS_LAMBDA_LOG_STREAM_NAME="1",
            LAMBDA_TASK_ROOT=str(place),
        ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        for number, order in enumerate(ORDERS):
            ended = runtime_api.call(number, {"order": order})

            os.kill(function.pid, signal.SIGSTOP)
            assert ended == ("error" if order.startswith("B") else "response")
            assert arrived(eventlog_console)[order, f"call-{number}"] == 1, order
            os.kill(function.pid, signal.SIGCONT)
    finally:
        function.kill()
        function.wait()
    assert arrived(eventlog_console) == Counter((order, f"call-{n}") for n, order in enumerate(ORDERS))


CALLS = """
import json, sys
from types import SimpleNamespace
import shop_fc
for number, order in enumerate(sys.argv[1:]):
    try:
        shop_fc.handler(json.dumps({"order": order}).encode(), SimpleNamespace(request_id=f"call-{number}"))
    except LookupError as error:
        print(error, flush=True)
    else:
        print("returned", flush=True)
    sys.stdin.readline()
"""


def test_function_compute(eventlog_console: Any, place: Path) -> None:
    """Frozen when a call has ended, and killed after the last one."""
    function = subprocess.Popen(
        [sys.executable, "-c", CALLS, *ORDERS],
        cwd=place,
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        for number, order in enumerate(ORDERS):
            ended = function.stdout.readline()

            os.kill(function.pid, signal.SIGSTOP)
            assert ended == (f"no order {order}\n" if order.startswith("B") else "returned\n")
            assert arrived(eventlog_console)[order, f"call-{number}"] == 1, order
            os.kill(function.pid, signal.SIGCONT)
            if number + 1 < len(ORDERS):
                function.stdin.write("\n")
                function.stdin.flush()
    finally:
        function.kill()
        function.communicate()
    assert arrived(eventlog_console) == Counter((order, f"call-{n}") for n, order in enumerate(ORDERS))

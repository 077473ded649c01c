"""What importing the package and constructing handlers costs: modules, threads, sockets."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any


def test_importing_and_constructing_loads_no_client_library_starts_no_thread() -> None:
    """The constructor opens nothing: a fresh interpreter has neither socket nor thread afterwards."""
    script = """
import sys, threading, socket
opened = []
class Refused(socket.socket):
    def __init__(self, *args, **kwargs):
        opened.append(args)
        super().__init__(*args, **kwargs)
socket.socket = Refused
from eventlog_handlers import CMSHandler, CloudWatchEventsHandler, GuanceHandler
handlers = [
    CMSHandler(access_key_id="a", access_key_secret="b"),
    GuanceHandler(api_key="a"),
    CloudWatchEventsHandler(),
]
loaded = {"requests", "urllib3", "boto3", "botocore", "sqlite3", "starlette", "uvicorn"} & set(sys.modules)
assert not loaded, loaded
assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
assert not opened, opened
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_botocore_is_imported_when_requests_is_there(eventlog_console: Any) -> None:
    """In the other order two threads that import may bring a warning of urllib3's to the user's stderr."""
    script = """
import logging, sys
from eventlog_handlers import CloudWatchEventsHandler
handler = CloudWatchEventsHandler()
handler.handle(logging.LogRecord("shop", 40, "shop.py", 1, "boom", (), None))
assert handler.flush(20)
order = list(sys.modules)
assert order.index("requests.adapters") < order.index("botocore"), "botocore came first"
"""
    told = {**os.environ, "EVENTLOG_CONSOLE": eventlog_console.url}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, env=told)


def test_importing_the_package_alone_loads_almost_nothing() -> None:
    """`import eventlog_handlers` brings no module of ours but the package itself, and not even typing."""
    brought = modules_brought_by("import eventlog_handlers")

    assert {name for name in brought if name.startswith("eventlog_handlers.")} == {
        "eventlog_handlers._version"
    }
    assert "typing" not in brought


UNWANTED = {
    "requests", "urllib3", "boto3", "botocore", "sqlite3", "ssl", "http.client", "email.parser", "pathlib",
    "urllib.request", "asyncio", "multiprocessing", "tempfile", "dataclasses", "inspect", "ast", "dis",
    "decimal", "difflib", "uuid", "platform", "subprocess", "signal", "email.utils", "html", "socket",
}  # fmt: skip
"""Client libraries, what only a request, an option or a refusal needs, and what is slower than all of it."""
INEVITABLE = """
import logging  # from CPython 3.14 on with dataclasses or pathlib
from typing import NamedTuple
class Row(NamedTuple):  # from CPython 3.15 on with ast
    field: "int"
"""


def test_importing_a_handler_loads_no_heavy_module() -> None:
    """So that a program that never logs an event hardly pays for the handler it configured."""
    brought = modules_brought_by("from eventlog_handlers import CMSHandler", before=INEVITABLE)

    assert UNWANTED & brought == set()


def test_constructing_handlers_with_their_usual_addresses_loads_no_heavy_module_either() -> None:
    """Nor compiles what only the worker's thread needs."""
    brought = modules_brought_by(
        """
from eventlog_handlers import CMSHandler, GuanceHandler
from eventlog_handlers.text import lazy_patterns
three = CMSHandler(access_key_id="a", access_key_secret="b"), GuanceHandler(api_key="a")
assert not [made for made in lazy_patterns._made if "search" in vars(made)]
""",
        before=INEVITABLE,
    )
    assert UNWANTED & brought == set()


def modules_brought_by(script: str, before: str = "pass") -> set[str]:
    """What *script* loads in a fresh interpreter after *before*; orjson apart, which brings some of it."""
    before = f"{before}\nimport sys; sys.modules['orjson'] = None; before = set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"{before}\n{script}\nprint(*set(sys.modules) - before)"],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.split())


def test_the_public_names_are_these() -> None:
    """What users import is listed in one place."""
    import eventlog_handlers

    assert sorted(eventlog_handlers.__all__) == [
        "CMSHandler", "CloudWatchEventsHandler", "GuanceHandler", "Handler", "RelayHandler", "attached",
        "configure", "context", "flush", "health", "incident", "metrics_text", "resolve", "stats",
    ]  # fmt: skip
    assert all(getattr(eventlog_handlers, name) is not None for name in eventlog_handlers.__all__)

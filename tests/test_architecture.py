"""Imports run one way, client libraries stay at the rim, and the pure modules touch nothing outside."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "eventlog_handlers"

LAYERS = [
    # Lowest first: a folder may import from its own row and from those above it in this list. The front doors
    # are named one by one.
    {"_version", "errors", "events"},
    {"text", "process", "listening"},
    {"settings", "transport", "schemas"},
    {"buffers", "record"},
    {"observer", "base"},
    {"share"},
    {"pipeline"},
    {"handler"},
    {"services"},
    {"configuration", "incidents", "context_fields"},
    {"metrics"},
    {"asgi", "wsgi", "functions"},
    {"diagnosis", "console", "estimate", "relay"},
    {"testing", "django"},
    {"commands"},
    {"cli", "pytest_plugin", "__init__", "__main__"},
]
BOTH_WAYS = {("listening", "process")}
"""A thread that ends looks whether handlers are attached, and Celery's signals do both rooms' work."""
PURE = {
    "errors", "events", "text", "settings", "schemas", "record",
    "pipeline/fold", "pipeline/folds", "pipeline/tally", "pipeline/batching", "pipeline/budget",
    "pipeline/retry", "pipeline/destination", "pipeline/in_flight", "pipeline/gates", "pipeline/refusals",
    "pipeline/sink", "services/dsn", "services/http_answers", "services/verdict", "services/moment",
    "services/cms/options", "services/cms/request", "services/cms/content", "services/cms/answers",
    "services/cms/signing", "services/cms/credentials",
    "services/guance/options", "services/guance/body", "services/guance/message", "services/guance/answers",
    "services/cloudwatch/options", "services/cloudwatch/entry", "services/cloudwatch/detail",
    "services/cloudwatch/answers", "services/cloudwatch/sigv4", "services/cloudwatch/direct",
    "services/relay/options", "services/relay/entry", "services/relay/scripts",
    "share/contract", "share/pace", "share/fold_windows", "share/allowance", "share/problems", "share/layout",
    "share/fleet_url", "share/fleet_scripts", "share/reach",
}  # fmt: skip
"""Folders and modules without clock, chance, thread or network: what they need is handed to them."""
IMPURE_MODULES = {
    "time", "random", "socket", "threading", "queue", "sqlite3", "requests", "urllib3", "boto3", "botocore",
}  # fmt: skip
ONLY_IN = {
    "requests": {"transport", "diagnosis/destination", "services/cms/sink", "services/guance/sink"},
    "urllib3": {"transport", "services/cloudwatch"},
    "boto3": {"services/cloudwatch", "commands/put_events"},
    "botocore": {"services/cloudwatch", "console", "commands/put_events"},
    "sqlite3": {"buffers/spool", "console"},
    "mmap": {"share/mapped_file", "buffers/spool/journal"},
    "fcntl": {"share/mapped_file", "buffers/spool"},
    "redis": {"share/redis_link"},
    "starlette": {"console"},
    "uvicorn": {"console"},
    "django": {"django", "diagnosis/django_project"},
}
AT_THE_RIM = {"transport", "services"}
IMPORTED_LATE = {"transport/network", "transport/kept"}
"""Themselves imported on first use, so that they need not import anything later."""
THREADS_IN = {"process/start_thread", "console"}


def modules() -> list[tuple[str, Path]]:
    """Each file with its place in the package: ``record/fields``."""
    return [
        (path.relative_to(PACKAGE).as_posix().removesuffix(".py").removesuffix("/__init__"), path)
        for path in sorted(PACKAGE.rglob("*.py"))
    ]


def is_in(place: str, places: set[str]) -> bool:
    """Whether *place* is one of *places* or stands in a folder of them."""
    return any(place == one or place.startswith(f"{one}/") for one in places)


def imports(path: Path, *, everywhere: bool) -> set[str]:
    """Full names imported by *path*; those for type checkers only are left out."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(inner for statement in node.body for inner in ast.walk(statement))
    nodes = ast.walk(tree) if everywhere else iter(tree.body)
    names: set[str] = set()
    for node in nodes:
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def layer_of(place: str) -> int:
    (layer,) = [number for number, parts in enumerate(LAYERS) if place.split("/")[0] in parts]
    return layer


@pytest.mark.parametrize(
    ("place", "path"), modules(), ids=lambda value: str(value).removeprefix(f"{PACKAGE}/")
)
def test_imports_run_one_way(place: str, path: Path) -> None:
    """A part imports only from its own layer or from a lower one."""
    for name in imports(path, everywhere=True):
        if name.startswith("eventlog_handlers."):
            target = name.split(".")[1]
            assert layer_of(target) <= layer_of(place), f"{path.name} imports {name}"


def test_no_two_folders_import_each_other() -> None:
    """Folders of one layer may use each other, but not both ways."""
    arrows = {
        (place.split("/")[0], name.split(".")[1])
        for place, path in modules()
        for name in imports(path, everywhere=True)
        if name.startswith("eventlog_handlers.")
    }

    both_ways = {tuple(sorted(arrow)) for arrow in arrows if arrow[::-1] in arrows and len(set(arrow)) == 2}
    assert both_ways == BOTH_WAYS


@pytest.mark.parametrize(
    ("place", "path"), modules(), ids=lambda value: str(value).removeprefix(f"{PACKAGE}/")
)
def test_client_libraries_stay_at_the_rim(place: str, path: Path) -> None:
    """requests and boto3 stand only at the rim, on first use; databases and web servers where they belong."""
    for name in imports(path, everywhere=True):
        home = ONLY_IN.get(name.split(".")[0])
        assert home is None or is_in(place, home), f"{path.name} imports {name}"
    if is_in(place, AT_THE_RIM) and place not in IMPORTED_LATE:
        for name in imports(path, everywhere=False):
            assert name.split(".")[0] not in ONLY_IN, f"{path.name} imports {name} before first use"


@pytest.mark.parametrize(
    ("place", "path"),
    [entry for entry in modules() if is_in(entry[0], PURE)],
    ids=lambda value: str(value).removeprefix(f"{PACKAGE}/"),
)
def test_pure_modules_have_no_clock_no_chance_no_thread(place: str, path: Path) -> None:
    """Rules are functions of values: what they need is handed to them."""
    for name in imports(path, everywhere=True):
        assert name.split(".")[0] not in IMPURE_MODULES, f"{path.name} imports {name}"


@pytest.mark.parametrize(
    ("place", "path"), modules(), ids=lambda value: str(value).removeprefix(f"{PACKAGE}/")
)
def test_one_module_starts_threads(place: str, path: Path) -> None:
    """Only the worker has threads; process/start_thread alone knows how to start one (the stand-in apart)."""
    if not is_in(place, THREADS_IN):
        assert "threading.Thread(" not in path.read_text(), path.name


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


def test_no_two_test_files_share_a_name() -> None:
    """pytest imports them by name; two of one name stop each other's collection."""
    names = [path.name for path in PACKAGE.parent.joinpath("tests").rglob("test_*.py")]

    assert sorted(names) == sorted(set(names))

"""Imports run one way, client libraries stay at the rim, and the pure modules touch nothing outside."""

from __future__ import annotations

import ast
import re
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
LOCKS_IN = {"process/green", "console"}
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


@pytest.mark.parametrize(
    ("place", "path"), modules(), ids=lambda value: str(value).removeprefix(f"{PACKAGE}/")
)
def test_one_module_makes_locks(place: str, path: Path) -> None:
    """One that is made after gevent patched would be green, and our threads real (the stand-in apart)."""
    if not is_in(place, LOCKS_IN):
        assert not re.search(r"\bthreading\.(R?Lock|Condition|Semaphore)\(", path.read_text()), path.name


def test_no_two_test_files_share_a_name() -> None:
    """pytest imports them by name; two of one name stop each other's collection."""
    names = [path.name for path in PACKAGE.parent.joinpath("tests").rglob("test_*.py")]

    assert sorted(names) == sorted(set(names))

"""What every test stands on: no handler, environment variable or thread of one test reaches another."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import signal
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from canary import pytest_runtest_makereport as pytest_runtest_makereport

from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.process import own_traffic

# Other people's servers and whole applications, the stand-in's own strictness, faults of the services, and
# rules of the source, none of which depends on the interpreter: run on the default Python only.
_ON_ONE = (
    "hosts",
    "docs",
    "console",
    "estimate",
    "faults",
    "fuzz",
    "share",
    "relay",
    "commands",
    "mutants",
    "test_architecture",
    "test_cli",
    "test_redact",
    "test_linear_time",
    "test_cloudwatch_moto",
)
# Threads, forks, signals, ends, imports, tracebacks, files, deep JSON: each CPython has its own way there.
_CORE = (
    "process",
    "test_spool_process",
    "test_journal",
    "test_commit",
    "test_injection",
    "test_intake",
    "test_thread_pool",
    "test_worker",
    "test_exceptions",
    "test_uncaught",
    "test_page_json_text",
    "test_http_client",
    "test_end_to_end",
    "test_imports",
    "test_incidents",
)
_OURS = ("EVENTLOG_", "ALIBABA_CLOUD_", "DF_API_KEY", "AWS_", "OTEL_")


# The machine may be busy; and a run finds what the run before it found. "nightly" looks for more.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.register_profile(
    "nightly",
    deadline=None,
    derandomize=False,
    max_examples=10_000,
    print_blob=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("suite")


def pytest_configure() -> None:
    # Whoever runs this in the background ignores Ctrl-C, which every process started here would inherit.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = {item.path.parent.name, item.path.stem}
        is_core = not names.isdisjoint(_CORE)
        if is_core:
            item.add_marker(pytest.mark.core)
        if is_core or names.isdisjoint(_ON_ONE):
            item.add_marker(pytest.mark.wide)


def pytest_sessionfinish() -> None:
    # Workers of tests that left events behind on purpose would say so after pytest's last line.
    process_exit._participants.clear()


_runtime_directories = itertools.count()


@pytest.fixture
def no_collection() -> Iterator[None]:
    """For a test that goes to the recursion limit, as a parser of deep JSON does.

    Should the garbage of other tests be collected down there, their finalizers have no room to run, and this
    test is told of it.
    """
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def _runtime_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runtime")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, _runtime_base: Path) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
    # Rate limits, budgets and problems are shared by all processes of a user: not with another test's.
    monkeypatch.setenv("EVENTLOG_RUNTIME_DIR", str(_runtime_base / str(next(_runtime_directories))))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def _thread_is_left_unmarked() -> Iterator[None]:
    """No test leaves pytest's own thread marked as one of ours: nothing would log or flush there any more."""
    yield
    is_marked, own_traffic.mark.active = own_traffic.mark.active, False
    assert not is_marked


@pytest.fixture(autouse=True)
def _no_test_waits_for_anothers_events() -> Iterator[None]:
    """Some leave events that no service takes. A flush of the whole process would wait for them in vain."""
    before = set(process_exit._participants)
    yield
    for participant in process_exit._living():
        if id(participant) not in before:
            process_exit.leave(participant)


@pytest.fixture(autouse=True)
def _gil_stays_off() -> Iterator[None]:
    """On a CPython without the GIL no test, and nothing that it imports, switches the GIL on."""
    yield
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert not sys._is_gil_enabled()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _clean_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    yield
    for logger in _loggers():
        kept = before[1] if logger is root else []
        for handler in list(logger.handlers):
            if handler not in kept and type(handler).__module__.startswith("eventlog_handlers"):
                logger.removeHandler(handler)
                handler.close()
        if logger is not root:
            logger.propagate, logger.disabled = True, False
            logger.setLevel(logging.NOTSET)
    root.setLevel(before[0])


def _loggers() -> list[logging.Logger]:
    """The root logger and the test applications' own."""
    named = logging.Logger.manager.loggerDict.items()
    shops = [
        logger
        for name, logger in named
        if name.split(".")[0] == "shop" and isinstance(logger, logging.Logger)
    ]
    return [logging.getLogger(), *shops]

"""A secret that may turn up nowhere: given to handlers as their key, looked for in everything they say.

    assert_silent(repr(handler), handler.stats(), dump(handler), said(error), directory)

``conftest`` imports ``pytest_runtest_makereport``, which looks through what every test of the suite printed.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from eventlog_handlers.settings.local_console import CONSOLE_ACCESS_KEY_SECRET, CONSOLE_GUANCE_KEY
from eventlog_handlers.settings.secret import Secret

CANARY = "canary-7Hq2wZ9xT4bV8nM1"
CANARY_ID = "LTAIcanary7Hq2wZ9x"
"""An access key's id; no secret in itself, but no business of a log either."""

SUNG_BY_THE_SUITE = (CANARY, CONSOLE_ACCESS_KEY_SECRET, CONSOLE_GUANCE_KEY)
"""What no test may print. The stand-in's keys are known to all, but every handler of the suite uses them."""

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "cms": {"access_key_id": CANARY_ID, "access_key_secret": CANARY, "security_token": f"{CANARY}-token"},
    "guance": {"api_key": CANARY},
    "cloudwatch": {},
}
ENVIRONMENT: Mapping[str, str] = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": CANARY_ID,
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": CANARY,
    "DF_API_KEY": CANARY,
    "AWS_ACCESS_KEY_ID": "AKIACANARYCANARYCANA",
    "AWS_SECRET_ACCESS_KEY": CANARY,
    "AWS_SESSION_TOKEN": f"{CANARY}-token",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def assert_silent(*outputs: object) -> None:
    """None of *outputs* holds the canary: texts, bytes, directories (all files in them), any value's repr."""
    for output in outputs:
        if isinstance(output, Path):
            singing = [path for path in _files(output) if CANARY.encode() in path.read_bytes()]
            assert not singing, f"in {', '.join(map(str, singing))}"
            continue
        text = output.decode("utf-8", "replace") if isinstance(output, bytes) else str(output)
        at = text.find(CANARY)
        assert at < 0, f"…{text[max(0, at - 100) : at]}<the canary>"


def dump(thing: object) -> str:
    """What a tracker of errors prints of *thing*: itself, its attributes, theirs, as far as they are ours."""
    return "\n".join(_dumped(thing, "", set(), 6))


def said(error: BaseException) -> str:
    """All that an exception can tell: its text, arguments and attributes, and those of where it came from."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and all(each is not other for other in found):
            found.append(each)
            waiting += [each.__cause__, each.__context__]
    return "\n".join(
        [
            "".join(traceback.format_exception(error)),
            *(f"{each!r} {each} {each.args!r} {dump(each)}" for each in found),
            *(
                repr(getattr(each, name, None))
                for each in found
                for name in ("request", "response", "__notes__")
            ),
            *(_headers(each) for each in found),
        ]
    )


def _headers(error: BaseException) -> str:
    """requests hangs the request it failed with on its exceptions, keys and all."""
    return repr(getattr(getattr(error, "request", None), "headers", None))


def _files(directory: Path) -> Iterator[Path]:
    for root, _, names in os.walk(directory):
        yield from (Path(root) / name for name in names)


def _dumped(thing: object, path: str, seen: set[int], depth: int) -> Iterator[str]:
    if id(thing) in seen or depth < 0:
        return
    seen.add(id(thing))
    yield f"{path}: {thing!r}"
    if isinstance(thing, Secret):
        return  # its value is what it is there to hold
    if isinstance(thing, Mapping):
        for name, value in list(thing.items()):
            yield from _dumped(value, f"{path}[{name!r}]", seen, depth - 1)
        return
    if isinstance(thing, (list, tuple, set, frozenset)):
        for value in list(thing):
            yield from _dumped(value, f"{path}[]", seen, depth - 1)
        return
    if not type(thing).__module__.startswith("eventlog_handlers"):
        return  # a client library's session holds the key: it has to sign with it
    names = {name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())}
    for name in sorted(names | set(getattr(thing, "__dict__", ()))):
        yield from _dumped(getattr(thing, name, None), f"{path}.{name}", seen, depth - 1)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A test that printed a secret of the suite fails, whatever else it proved."""
    outcome: Any = yield
    report = outcome.get_result()
    texts = [text for _, text in report.sections]
    if report.longrepr is not None and not report.passed:
        texts.append(str(report.longrepr))
    if report.passed and any(secret in text for text in texts for secret in SUNG_BY_THE_SUITE):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} printed a secret: look at its captured output"

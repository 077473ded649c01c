"""Checks a Guance workspace for ``check``: the key's source, and whether Guance takes the key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from eventlog_handlers.errors import MisconfiguredError, RefusedError
from eventlog_handlers.events import Disposition, Payload
from eventlog_handlers.process import clock
from eventlog_handlers.services.finding import Finding
from eventlog_handlers.services.guance.options import GuanceSettings
from eventlog_handlers.services.guance.sink import KEY_VARIABLE, GuanceSink

PROOF = "events/create with an empty object, which makes no event and is one of the minute's 20 calls"


def origin(own: GuanceSettings, environ: Mapping[str, str]) -> str:
    """The source of the key, never its value."""
    return "the handler's options" if own.api_key is not None else KEY_VARIABLE


def endpoint(own: GuanceSettings) -> str:
    """The URL that events go to."""
    return own.endpoint


def ask(own: GuanceSettings, timeout: float) -> None:
    """Make the call named in PROOF; a RefusedError proves that the key was accepted. Raises SinkError."""
    sink = GuanceSink(own, clock=clock.monotonic)
    empty = Payload(None, b"{}", 2)  # type: ignore[arg-type]  # there is no event
    try:
        (outcome,) = sink.send((empty,), timeout=timeout)
    finally:
        sink.close()
    if outcome.disposition is Disposition.REJECTED:
        raise RefusedError(outcome.code, outcome.detail)
    if outcome.disposition is Disposition.RETRY:
        raise MisconfiguredError(outcome.code, outcome.detail)


def more(own: GuanceSettings, timeout: float) -> Iterator[Finding]:
    """Further findings without making an event."""
    yield Finding(
        "warning",
        "alarm",
        "events made through the API send no notification by themselves",
        "set up a monitor: eventlog-handlers rules --service guance",
    )

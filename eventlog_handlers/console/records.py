"""The values that the store keeps: an accepted event, a refusal, a request, and a request's bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eventlog_handlers.services import registry


class _Services(Sequence[str]):
    """The services that have a stand-in, as the registry lists them at the moment of the question."""

    def __getitem__(self, index: Any) -> Any:
        return [service.scheme for service in registry.SERVICES.values() if service.stand_in][index]

    def __len__(self) -> int:
        return len(self[:])


SERVICES = _Services()


class StoredEvent(NamedTuple):
    """An accepted event. *id* grows in the order of acceptance; times are seconds since the epoch."""

    id: int
    request: int
    """Id of the request that brought it."""
    service: str
    received: float
    time: float | None
    """The event's own time."""
    status: str
    """critical, error, warning, ok, info, nodata, or "" where the event doesn't say."""
    title: str
    """EventName, title or DetailType."""
    body: Mapping[str, Any]
    """The event exactly as it was sent: EventInfo fields, Guance's body, or the PutEvents entry."""
    stored: Mapping[str, Any]
    """The event as the service hands it on; for CloudWatch the envelope a rule matches, detail parsed."""
    flags: tuple[str, ...]
    """Oddities that no document forbids but no client should send."""
    uid: str
    """The id its sender gave it, the same on every try; "" if it has none."""
    problem: str
    """Its fingerprint, or a hash that stands for one: the same for all events of one problem."""
    heading: str
    """The first line of its message, or its title."""
    logger: str
    exception: str
    """The type that was raised; "" if none was."""
    times: int
    """How many occurrences it stands for; more than 1 where the handler folded repeats."""


class StoredRefusal(NamedTuple):
    """A refused request, or a refused entry of an accepted one."""

    id: int
    request: int
    service: str
    received: float
    code: str
    message: str
    body: Any
    """The event at fault where it is known, else None."""
    signing: tuple[str, str, str] | None
    """Where the signature was wrong: the service's text, the client's text, and a sentence about both."""


class StoredRequest(NamedTuple):
    """One call of a service's API."""

    id: int
    service: str
    received: float
    method: str
    path: str
    user_agent: str
    size: int
    """Bytes of the body, as far as it was read."""
    http_status: int | None
    """None where the connection was cut instead."""
    accepted: int
    """Events accepted out of it."""
    refused: int
    """1 for a request refused whole, else the entries refused."""
    code: str
    """The first refusal's code, or ""."""
    connection: int
    """The number of its connection, in the order of opening."""
    fault: str
    """The fault on demand that it met, or ""."""


class Exchange(NamedTuple):
    """The bytes of a request and of its answer."""

    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    answer_headers: tuple[tuple[str, str], ...]
    answer: bytes

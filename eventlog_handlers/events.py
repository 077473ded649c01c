"""The values that travel through the pipeline. Frozen, service-neutral, no behaviour beyond JSON.

Named tuples rather than dataclasses: one is made per record, and making one costs a fifth.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

STATUSES = ("critical", "error", "warning", "ok", "info", "nodata")
"""The statuses of an event, in Guance's words; the other services carry the same word as text."""


class ExceptionText(NamedTuple):
    """An exception as text; nothing of the live object is kept."""

    type: str
    """Qualified name as the traceback prints it: ``KeyError``, ``shop.errors.OutOfStock``."""
    message: str
    """``str(exception)``, made safe; "" if it prints nothing."""
    stacktrace: str
    """As ``traceback.format_exception`` prints it, without the last newline."""
    chain: tuple[str, ...]
    """The type names from this exception along its causes and contexts to the root, this one first."""


class Code(NamedTuple):
    """The place of the log call in the source."""

    file: str
    line: int
    function: str
    module: str


class Event(NamedTuple):
    """One thing that happened, ready for any service.

    *time* is wall time in seconds since the epoch; *level* is the logging number; *id* is a uuid4 in hex,
    made with the event, the same on every retry.
    """

    id: str
    time: float
    level: int
    level_name: str
    status: str
    """One of STATUSES."""
    logger: str
    message: str
    template: str
    """The message before its arguments were put in: what repeats. "" where there is none."""
    fingerprint: str
    """16 hex digits; equal for events of one problem."""
    exception: ExceptionText | None
    stack: str
    """The stack that ``stack_info=True`` recorded, or ""."""
    attributes: Mapping[str, JSON]
    """The extras of the log call, already plain JSON: no NaN, no integer past 64 bits, no deep nesting."""
    code: Code
    thread_id: int
    thread_name: str
    process_id: int
    host: str
    service: str
    env: str | None
    tags: Mapping[str, str]
    """Constant labels from the handler's settings."""
    trace_id: str | None
    span_id: str | None
    event_name: str | None = None
    """These five are set by ``extra={...}`` of the same name, else None."""
    group_id: str | None = None
    resources: tuple[str, ...] | None = None
    detail_type: str | None = None
    count: int = 1  # type: ignore[assignment]  # hides tuple.count, which has no use for an event
    """How many log calls this event stands for."""
    first_time: float | None = None
    """Of the calls it stands for; None where *count* is 1."""
    defects: tuple[str, ...] = ()
    """The faults of the log call that had to be degraded, in words."""

    def misfits(self) -> list[str]:
        """Names of fields whose value can't be sent: a hook may put in anything, cycles and bad depth too."""
        return [name for name, fits in _FITS if not fits(getattr(self, name))]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and lists; ``from_json`` gives an equal event back, also after ``json.loads``."""
        fields: dict[str, Any] = self._asdict()
        if self.exception is not None:
            fields["exception"] = {**self.exception._asdict(), "chain": list(self.exception.chain)}
        fields["code"] = self.code._asdict()
        fields["attributes"] = dict(self.attributes)
        fields["tags"] = dict(self.tags)
        fields["defects"] = list(self.defects)
        fields["resources"] = None if self.resources is None else list(self.resources)
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Event:
        """The reverse of ``to_json``; ignores unknown fields, raises KeyError for a missing one."""
        known: dict[str, Any] = {name: fields[name] for name in cls._fields if name in fields}
        missing = [name for name in cls._fields if name not in known and name not in cls._field_defaults]
        if missing:
            raise KeyError(f"not an event: {', '.join(missing)} missing")
        exception = known["exception"]
        if exception is not None:
            known["exception"] = ExceptionText(**{**exception, "chain": tuple(exception["chain"])})
        known["code"] = Code(**known["code"])
        known["defects"] = tuple(known.get("defects", ()))
        resources = known.get("resources")
        known["resources"] = None if resources is None else tuple(resources)
        return cls(**known)


Fields: TypeAlias = Callable[[tuple[Any, ...]], tuple[Any, ...]]


def split(*apart: str) -> tuple[Fields, Fields]:
    """Two getters: of an event all its fields but *apart*; of ``(*apart, *those)`` all fields in their order.

    For those who keep once what many events have in common.
    """
    common = [name for name in Event._fields if name not in apart]
    order = map((*apart, *common).index, Event._fields)
    return itemgetter(*map(Event._fields.index, common)), itemgetter(*order)


MAX_DEPTH = 64
MAX_VALUES = 100_000
"""The most that ``attributes`` may hold; those of a log call are far below both."""


def fits_json(value: object) -> bool:
    """Whether *value* ends: no cycle, at most MAX_DEPTH levels deep and MAX_VALUES values in all.

    Cyclic and very deep values are found without recursion, in bounded work.
    """
    level: list[object] = [value]
    seen = 0
    for _ in range(MAX_DEPTH):
        deeper: list[object] = []
        for one in level:
            if isinstance(one, Mapping):
                deeper.extend(one.values())
            elif isinstance(one, (list, tuple)):
                deeper.extend(one)
            if seen + len(deeper) > MAX_VALUES:
                return False
        if not deeper:
            return True
        seen += len(deeper)
        level = deeper
    return False


_BIGGEST = 2**63


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and -_BIGGEST < value < _BIGGEST  # neither NaN nor infinite


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and -_BIGGEST < value < _BIGGEST


def _are_texts(value: object) -> bool:
    return isinstance(value, (tuple, list)) and all(map(_is_text, value))


def _is_exception(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, ExceptionText):
        return False
    return all(map(_is_text, value[:3])) and _are_texts(value.chain)


def _is_code(value: object) -> bool:
    if not isinstance(value, Code):
        return False
    return _is_integer(value.line) and all(map(_is_text, (value.file, value.function, value.module)))


def _is_labels(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_text(part) for pair in value.items() for part in pair)


def _is_attributes(value: object) -> bool:
    return isinstance(value, Mapping) and fits_json(value)


_FITS: tuple[tuple[str, Callable[[object], bool]], ...] = (
    *((name, _is_text) for name in (
        "id", "level_name", "status", "logger", "message", "template", "fingerprint", "stack", "thread_name",
        "host", "service",
    )),
    *((name, _is_text_or_none) for name in (
        "env", "trace_id", "span_id", "event_name", "group_id", "detail_type",
    )),
    *((name, _is_integer) for name in ("level", "thread_id", "process_id", "count")),
    ("time", _is_number),
    ("first_time", lambda value: value is None or _is_number(value)),
    ("exception", _is_exception),
    ("code", _is_code),
    ("attributes", _is_attributes),
    ("tags", _is_labels),
    ("resources", lambda value: value is None or _are_texts(value)),
    ("defects", _are_texts),
)  # fmt: skip


class Disposition(enum.Enum):
    """The fate of one event in an answer."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REJECTED = "rejected"


class Outcome(NamedTuple):
    """The service's verdict on one event; a sink returns exactly one per event sent, in order."""

    disposition: Disposition
    code: str = ""
    """The service's word; becomes a counter's name when the event is dropped for it."""
    detail: str = ""
    retry_after: float | None = None
    """Seconds from now, if the service said so."""
    throttled: bool = False
    """With RETRY: too fast rather than failed, so no attempt is spent."""
    attempts_allowed: int | None = None
    """With RETRY: drop the event after so many attempts in all. None: only age and capacity bound it."""


DELIVERED = Outcome(Disposition.DELIVERED)


class Lease(NamedTuple):
    """An event lent out by a buffer until it is acked, nacked or the lease lapses."""

    event: Event
    key: int
    """The buffer's own; unique for its life."""
    attempts: int
    """How often it has been handed out, this time included: from 1."""
    age: float
    """Seconds since it was first put into the buffer."""


class Payload(NamedTuple):
    """One event in its service's form, unsigned, so that every attempt can sign afresh."""

    event: Event
    body: Any
    """Known only to the service that made it."""
    size: int
    """Bytes it adds to a request, by the service's own count."""


class Batch(NamedTuple):
    """Leases and their payloads, in step, that fit one request."""

    leases: tuple[Lease, ...]
    payloads: tuple[Payload, ...]


class Limits(NamedTuple):
    """The most that fits one request of a service."""

    max_events: int
    request_bytes: int

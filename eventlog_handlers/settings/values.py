"""The frozen settings of a handler: what its options became. Each is made by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    from eventlog_handlers.events import Event
    from eventlog_handlers.observer import Observer
    from eventlog_handlers.settings.options import Durability, WhenFull
else:

    def dataclass_transform(**_: Any) -> Any:
        return lambda cls: cls


MiB = 1024 * 1024


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Frozen(SimpleNamespace):
    """A frozen dataclass to type checkers. Made without their module, which takes longer to import than half
    of this package; what isn't given is the class's attribute."""

    def __init__(self, **values: Any) -> None:
        unknown = values.keys() - self.__annotations__.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        super().__init__(**values)

    def __repr__(self) -> str:
        """As of a dataclass; of users' own objects only the type, for their repr may show a secret."""
        fields = (f"{name}={_shown(value)}" for name, value in vars(self).items())
        return f"{type(self).__name__}({', '.join(fields)})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name} is frozen")


def _shown(value: object) -> str:
    is_plain = value is None or isinstance(value, (str, int, float, tuple, Mapping))
    is_ours = type(value).__module__.startswith("eventlog_handlers.")
    return repr(value) if is_plain or is_ours else f"<{type(value).__name__}>"


class PipelineSettings(Frozen):
    """How records are held and sent, whatever the service."""

    service: str | None = None
    env: str | None = None
    tags: Mapping[str, str] = MappingProxyType({})
    capacity: int = 10_000
    """Events held at most, waiting and in flight."""
    capacity_bytes: int = 64 * MiB
    """Their estimated size in memory at most."""
    when_full: WhenFull = "drop_lowest"
    """``block`` makes the logging call wait up to one second for room, then drops the lowest."""
    batch_size: int
    """Events a request at most."""
    flush_interval: float = 1.0
    """Seconds a batch that isn't full waits at most; the first event at an idle handler doesn't wait."""
    timeout: tuple[float, float] = (3.0, 10.0)
    """Seconds for connecting and for reading; one call takes their sum at most."""
    exit_timeout: float = 3.0
    """Seconds the interpreter's exit, and ``close``, wait at most."""
    max_age: float = 3600.0
    """Seconds after which an event that could not be delivered is dropped."""
    concurrency: int = 4
    """Requests under way at once at most."""
    before_send: Callable[[Event], Event | None] | None = None
    """Called on the worker's thread with each event: returns it, changed or not, or None to drop it."""
    level_map: Mapping[int, str] = MappingProxyType({})
    redact: tuple[str, ...] | None = ()
    """Names whose values are secrets, besides the known ones. None: nothing is taken out of events."""
    spool: str | None = None
    """Directory where events outlive the process; None: they wait in memory."""
    durability: Durability = "staged"
    """With a spool: written there within 50 ms of the logging call, or (``commit``) before it returns."""
    aggregate_seconds: float | None = None
    """The first window in which repeats of one problem are counted, to go as one event. None: no folding."""
    observer: Observer | None = None
    flush_on_sigterm: bool = False
    dry_run: bool = False
    """Make and count every event, send none: needs no credentials, keeps no pace, touches no spool."""
    requests_per_second: float | None = None
    """Pace, shared by all handlers of this process that have the same destination. None: none."""
    burst: int = 1
    """Requests that may go at once after a quiet time."""
    window: tuple[int, float] | None = None
    """At most so many requests in any so many seconds, however they are spread."""
    max_events_per_hour: int | None = None
    """Budget of this handler: windows of an hour, each from its first event on; the rest is dropped."""
    max_events_per_day: int | None = None
    budget_reserve: float = 0.1
    """The share of each budget that only critical events may use."""

"""The frozen settings of a handler, made from its options. Each is made by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from eventlog_handlers.settings.option import Option
from eventlog_handlers.settings.options import OPTIONS
from eventlog_handlers.settings.secret import Secret

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    from eventlog_handlers.events import Event
    from eventlog_handlers.observer import Observer
else:

    def dataclass_transform(**_: Any) -> Any:
        return lambda cls: cls


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Frozen(SimpleNamespace):
    """A frozen dataclass to type checkers. Made without their module, which takes longer to import than half
    of this package. A field that isn't given has the default of the option of its name in *rows*, else the
    class's attribute."""

    rows: ClassVar[tuple[Option, ...]] = ()

    def __init__(self, **values: Any) -> None:
        fields = type(self).__annotations__
        unknown = values.keys() - fields.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        if len(values) < len(fields):
            for row in self.rows:
                if row.name in fields and row.name not in values:
                    values[row.name] = row.check(row.name, row.default)
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
    """Settings for holding and sending events, for every service. Each field is explained at its option."""

    rows = OPTIONS

    level: int
    service: str | None
    env: str | None
    tags: Mapping[str, str]
    capacity: int
    capacity_bytes: int
    when_full: Literal["drop_lowest", "drop_newest", "block"]
    batch_size: int
    flush_interval: float
    timeout: tuple[float, float]
    exit_timeout: float
    max_age: float
    concurrency: int
    before_send: Callable[[Event], Event | None] | None
    level_map: Mapping[int, str]
    redact: tuple[str, ...] | None
    """Names whose values are secrets, besides the known ones. None: nothing is taken out of events."""
    spool: str | None
    durability: Literal["staged", "commit"]
    aggregate_seconds: float | None
    observer: Observer | None
    flush_on_sigterm: bool
    dry_run: bool
    requests_per_second: float | None
    """This process's part of the rate limit, also of one by the minute. None: none."""
    burst: int
    window: tuple[int, float] | None = None
    """At most so many requests in any so many seconds, however they are spread."""
    counts_are_passed_on: bool = False
    """Repeats are counted at the destination: here they are gathered for seconds only."""
    max_events_per_hour: int | None
    max_events_per_day: int | None
    budget_reserve: float
    scope: Secret | str
    """``host``, ``process``, or the URL of a Redis, which may hold a password."""
    is_disabled: bool = False
    """By the environment: no record is taken, and no credentials are needed."""
    notice: str | None = None
    """Said on stderr at the first event: why it does not go to the service."""

    start_notice: str | None = None
    """Said on stderr when the handler is made."""

    @property
    def needs_credentials(self) -> bool:
        """Whether anything is to be sent."""
        return not (self.dry_run or self.is_disabled)

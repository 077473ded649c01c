"""The contract of a coordinator: the questions that processes of one account must agree on. Values only.

A coordinator answers five questions: may a request go now (take), how long does the service want us to wait
(throttled), is there budget (charge), does another process already report this problem (fold), and which
summaries are due (due, told). One test runs against every backend; the in-process one is its oracle.

Durations are relative seconds. *first* and *last* are times of log calls, in seconds since the epoch; a
coordinator stores them and never compares them with its own clock.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

PERIODS: Mapping[str, float] = {"hour": 3600.0, "day": 86_400.0}
"""Lengths of the budgets' windows, in seconds."""
MEMBER_SECONDS = 30.0
"""A process that has asked nothing for so long is no longer counted as a member."""
TELL_SECONDS = 30.0
"""A summary belongs to the process that tells it for so long; that process renews it by calling ``due``."""
LOOK_SECONDS = 5.0
"""How often a process looks for summaries that no process sends."""
MAX_SAMPLE_BYTES = 65_536
MAX_WINDOW_PLACES = 1_024
"""Places of a window that a backend remembers one by one."""

COUNTERS = (
    "accepted", "delivered", "dropped", "counted", "told", "pending",
    "requests", "failed_requests", "throttled",
)  # fmt: skip
"""The counters that a process publishes. The first six count log calls: an event of 40 calls is 40."""


class Limits(NamedTuple):
    """A rate limit of one account: *rate* requests a second, *burst* at once after a quiet time, and
    *window* ``(n, seconds)``: never more than *n* in any *seconds*."""

    rate: float
    burst: int = 1
    window: tuple[int, float] | None = None


class Place(NamedTuple):
    """A place in the rate limit, or the time to wait for one.

    *is_taken*: the place belongs to the caller, which may send after *wait* seconds (0: now) and asks no
    more. Otherwise it asks again after *wait* seconds. *at* is the place's moment on the backend's clock.
    """

    wait: float
    is_taken: bool
    at: float = 0.0


class Spent(NamedTuple):
    """A budget with nothing left: *limit* events a *period*; *since* and *until* are seconds from now."""

    limit: int
    period: str
    since: float
    until: float


class Occurrence(NamedTuple):
    """*count* log calls of one problem, from *first* to *last*. *problem* is 16 bytes."""

    problem: bytes
    count: int  # type: ignore[assignment]  # hides tuple.count
    first: float
    last: float


class Verdict(enum.Enum):
    """The fate of an occurrence."""

    OPENED = "opened"
    """Send it: it is the first of its problem. ``leave_sample`` should follow."""
    SEND = "send"
    """Send it: the table is full, so nothing was counted."""
    COUNTED = "counted"
    """Do not send it: it was added to the count of an open problem."""


class Telling(NamedTuple):
    """A summary to send: *count* log calls of *problem*. It is this process's until ``told``."""

    problem: bytes
    number: int
    """Of the window; grows. A summary that is told again has the same number."""
    count: int  # type: ignore[assignment]  # hides tuple.count
    first: float
    last: float

    @property
    def id(self) -> str:
        """The id of the summary's event: equal when it is told again."""
        return f"{self.problem.hex()}@{self.number}"


class Member(NamedTuple):
    """One process that takes part, with the counters that it published."""

    id: str
    name: str
    pid: int
    quiet_seconds: float
    """Since it last asked something."""
    is_here: bool
    """It has neither ended nor been quiet for MEMBER_SECONDS."""
    counters: Mapping[str, int]


class Sums(NamedTuple):
    """The table of problems, added up.

    *counted* log calls are *told*, or not yet told (*open*), or in summaries that some process tells now
    (*telling*). *departed* are the counters of processes that are no longer listed as members.
    """

    problems: int
    counted: int
    told: int
    open: int
    telling: int
    departed: Mapping[str, int]


class CoordinatorError(Exception):
    """The backend gave no answer; the text says why. Nothing was decided, unless *is_ambiguous*."""

    is_ambiguous = False


class BusyError(CoordinatorError):
    """Another process holds the lock. Ask again in 2 ms."""


class UnavailableError(CoordinatorError):
    """The file or the server can't be used now. *remedy* is set where the user has to change something."""

    def __init__(
        self, reason: str, *, remedy: str = "", is_ambiguous: bool = False, may_pass: bool = False
    ) -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.remedy = remedy
        self.may_pass = may_pass
        """It may be over without anybody's doing, as where a server is full."""
        self.is_ambiguous = is_ambiguous
        """The backend may have carried out the request: its answer was lost."""


class Coordinator(Protocol):
    """The questions of a worker's thread. Safe for several threads of one process. Every method may raise
    CoordinatorError, except in the object that ``scopes.open_coordinator`` returns: that one falls back."""

    @property
    def scope(self) -> str:
        """The scope: ``process``, ``host`` or ``redis``."""

    def take(self, *, must: bool = False) -> Place:
        """Take a place in the rate limit, or say when to ask again. *must*: take it whether there is room or
        not; later requests wait for it."""

    def throttled(self, retry_after: float | None = None) -> None:
        """The service found the account too fast: halve the rate, and wait *retry_after* seconds if given."""

    def answered(self) -> None:
        """The service took a request: give back a twentieth of the rate that throttling took away."""

    def charge(self, criticals: Sequence[bool]) -> list[Spent | None]:
        """Charge one event each. None: it is charged. Otherwise the budget that has no room for it."""

    def fold(self, occurrences: Sequence[Occurrence]) -> list[Verdict]:
        """Decide which occurrences are sent; the others are counted. One verdict each, in order."""

    def due(self, *, everything: bool = False) -> list[Telling]:
        """Summaries whose window is over, now this process's to tell; also those that a process did not
        finish. Renews the summaries that this process already has. *everything*: open windows too."""

    def told(self, tellings: Sequence[Telling]) -> None:
        """These summaries are settled. A number that is no longer told is ignored."""

    def next_look(self) -> float | None:
        """Seconds until ``due`` may have something to do; None if no problem is known here."""

    def leave_sample(self, problem: bytes, sample: bytes) -> None:
        """Keep one event of *problem*, MAX_SAMPLE_BYTES at most, for another process's summary."""

    def sample(self, problem: bytes) -> bytes | None:
        """The event that ``leave_sample`` kept, or None."""

    def publish(self, counters: Mapping[str, int]) -> None:
        """Show this process's COUNTERS to others."""

    def members(self) -> list[Member]:
        """The processes that take part."""

    def others(self) -> int:
        """How many members of other processes were here within MEMBER_SECONDS: they tell what is due."""

    def sums(self) -> Sums:
        """The table of problems, added up."""

    def state(self) -> dict[str, Any]:
        """For ``stats()["scope"]``: plain values."""

    def after_fork_in_child(self) -> None:
        """Start as a new member: what the parent has to tell is the parent's."""

    def close(self) -> None:
        """Leave: release files and connections. The next question takes them up again."""

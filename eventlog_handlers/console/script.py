"""Faults on demand: the steps, the lasting faults and the rules of each service.

Three kinds: a queue of steps per service, each spent on one request in turn; faults that last for a count
or a while, which people choose on the page (``faults``); and rules that stay, each looking for a marker in an
event. Any thread may call anything. No sockets here: ``app`` carries the steps out.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from eventlog_handlers.console.exchange import Accepted
from eventlog_handlers.console.records import SERVICES
from eventlog_handlers.process.clock import monotonic


class Reply(NamedTuple):
    """A literal answer instead of the service's."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Step(NamedTuple):
    """The treatment of one request."""

    handled: bool
    """Whether the service sees the request, and so may keep its events, before anything below."""
    delay: float = 0.0
    """Seconds before the answer."""
    reply: Reply | None = None
    """Sent instead of the service's answer."""
    throttled: bool = False
    """The service's own throttling answer is sent instead."""
    cut: bool = False
    """The connection is cut instead of answering."""
    failed: bool = False
    """The service's internal error is sent instead."""
    half: bool = False
    """Every second entry fails alone."""
    clock_offset: float = 0.0
    """Seconds that the service's clock is ahead."""
    fault: str = ""
    """The name of the fault that this is a step of."""


class Lasting(NamedTuple):
    """A fault that is on."""

    number: int
    service: str
    step: Step
    left: int | None
    """How many requests it still hits; None: no end by count."""
    until: float | None
    """Monotonic seconds at which it ends; None: no end by time."""


class Rule(NamedTuple):
    """The treatment of an event, or of the request that holds it."""

    marker: str
    """Looked for in every text of the event as it was sent."""
    status: int | None
    """HTTP status of a whole refusal; None: this entry alone fails."""
    code: str
    message: str


class Script:
    """The pending steps and rules of the three services: ``"cms"``, ``"guance"``, ``"cloudwatch"``."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lasting: list[Lasting] = []
        self._numbers = itertools.count(1)
        self.on_change: Callable[[], None] = lambda: None
        """Called when a lasting fault begins, hits, or ends by hand; set by ``app``."""
        self._steps: dict[str, deque[Step]] = defaultdict(deque)
        self._rules: dict[str, list[tuple[Rule, int | None]]] = defaultdict(list)

    # --- steps -------------------------------------------------------------------------------------------

    def throttle(self, service: str, times: int = 1) -> None:
        """The next *times* requests get the service's own throttling answer."""
        self._add(service, times, Step(handled=False, throttled=True))

    def reply(
        self,
        service: str,
        status: int,
        body: bytes | str | Mapping[str, Any] = b"",
        *,
        headers: Mapping[str, str] | None = None,
        after_storing: bool = False,
        times: int = 1,
    ) -> None:
        """The next *times* requests get this answer; a mapping goes out as JSON.

        *after_storing*: the events are accepted first, so that the answer alone is lost.
        """
        content = json.dumps(body) if isinstance(body, Mapping) else body
        sent = content.encode() if isinstance(content, str) else content
        media_type = "application/json" if isinstance(body, Mapping) else "text/html"
        reply = Reply(status, {"content-type": media_type, **(headers or {})}, sent)
        self._add(service, times, Step(handled=after_storing, reply=reply))

    def delay(self, service: str, seconds: float, *, times: int = 1) -> None:
        """The next *times* requests are handled at once and answered *seconds* later."""
        self._add(service, times, Step(handled=True, delay=seconds))

    def cut(self, service: str, *, after_storing: bool = False, times: int = 1) -> None:
        """The connection of the next *times* requests is cut instead of answering."""
        self._add(service, times, Step(handled=after_storing, cut=True))

    # --- faults that last --------------------------------------------------------------------------------

    def start(self, service: str, step: Step, *, count: int | None, seconds: float | None) -> Lasting:
        """*step* hits the next *count* requests of *service*, and none after *seconds* (None: no such end).

        Of two faults of one service the older one goes first. The queue of steps goes before both.
        """
        until = None if seconds is None else self._clock() + seconds
        with self._lock:
            lasting = Lasting(next(self._numbers), _known(service), step, count, until)
            self._lasting.append(lasting)
        self.on_change()
        return lasting

    def stop(self, number: int) -> bool:
        """End the fault of that number; False if it isn't on."""
        with self._lock:
            kept = [lasting for lasting in self._lasting if lasting.number != number]
            found = len(kept) < len(self._lasting)
            self._lasting = kept
        self.on_change()
        return found

    def lasting(self) -> list[tuple[Lasting, float | None]]:
        """The faults that are on, oldest first, each with the seconds it still lasts."""
        now = self._clock()
        with self._lock:
            self._forget_ended(now)
            return [(one, None if one.until is None else one.until - now) for one in self._lasting]

    # --- rules -------------------------------------------------------------------------------------------

    def refuse(
        self,
        service: str,
        marker: str,
        *,
        code: str,
        status: int = 400,
        message: str = "refused by the script",
        times: int | None = None,
    ) -> None:
        """A request that holds an event with *marker* is refused whole, *times* times (None: always)."""
        self._add_rule(service, Rule(marker, status, code, message), times)

    def fail_entries(
        self, marker: str, *, code: str, message: str = "failed by the script", times: int | None = None
    ) -> None:
        """PutEvents only: each entry that holds *marker* fails alone, *times* times in all (None: always)."""
        self._add_rule("cloudwatch", Rule(marker, None, code, message), times)

    def clear(self) -> None:
        """Nothing is pending any more."""
        with self._lock:
            self._steps.clear()
            self._rules.clear()
            self._lasting.clear()
        self.on_change()

    # --- for app -----------------------------------------------------------------------------------------

    def next_step(self, service: str) -> Step | None:
        """Take the step for this request, if there is one."""
        with self._lock:
            if self._steps[service]:
                return self._steps[service].popleft()
            self._forget_ended(self._clock())
            lasting = next((one for one in self._lasting if one.service == service), None)
            if lasting is None:
                return None
            if lasting.left is not None:
                spent = lasting._replace(left=lasting.left - 1)
                self._lasting[self._lasting.index(lasting)] = spent
        self.on_change()
        return lasting.step

    def whole_refusal(self, service: str, events: tuple[Accepted, ...]) -> Rule | None:
        """The rule that refuses the request of these *events*, if there is one; it is used up by one."""
        for event in events:
            rule = self._spend(service, event.body, whole=True)
            if rule is not None:
                return rule
        return None

    def entry_failure(self, entry: Mapping[str, Any]) -> tuple[str, str] | None:
        """Code and message that fail this entry of a PutEvents request, if a rule says so."""
        rule = self._spend("cloudwatch", entry, whole=False)
        return None if rule is None else (rule.code, rule.message)

    def _forget_ended(self, now: float) -> None:
        """Called with the lock."""
        self._lasting = [
            one for one in self._lasting if one.left != 0 and (one.until is None or now < one.until)
        ]

    def _spend(self, service: str, event: Mapping[str, Any], *, whole: bool) -> Rule | None:
        with self._lock:
            rules = self._rules[service]
            for index, (rule, left) in enumerate(rules):
                if (rule.status is not None) == whole and _holds(event, rule.marker):
                    rules[index : index + 1] = (
                        [(rule, left)] if left is None else [(rule, left - 1)] * (left > 1)
                    )
                    return rule
        return None

    def _add(self, service: str, times: int, step: Step) -> None:
        with self._lock:
            self._steps[_known(service)].extend([step] * times)

    def _add_rule(self, service: str, rule: Rule, times: int | None) -> None:
        with self._lock:
            self._rules[_known(service)].append((rule, times))


def _known(service: str) -> str:
    if service not in SERVICES:
        raise ValueError(f"no service {service!r}: there are {', '.join(SERVICES)}")
    return service


def _holds(value: Any, marker: str) -> bool:
    """Whether any text in *value*, however deep, holds *marker*."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            if marker in part:
                return True
        elif isinstance(part, Mapping):
            waiting += (*part.keys(), *part.values())
        elif isinstance(part, (list, tuple)):
            waiting += part
    return False

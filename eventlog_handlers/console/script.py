"""Faults on demand: what the stand-in should do wrong, in which order. A Python API only, never over HTTP.

Two kinds: a queue of steps per service, each spent on one request in turn; and rules that stay, each looking
for a marker in an event. Any thread may call anything. No sockets here: ``app`` carries the steps out.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from eventlog_handlers.console.exchange import Accepted
from eventlog_handlers.console.store import SERVICES


class Reply(NamedTuple):
    """A literal answer instead of the service's."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Step(NamedTuple):
    """What happens to one request."""

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


class Rule(NamedTuple):
    """What happens to an event, or to the request that holds it."""

    marker: str
    """Looked for in every text of the event as it was sent."""
    status: int | None
    """HTTP status of a whole refusal; None: this entry alone fails."""
    code: str
    message: str


class Script:
    """The pending steps and rules of the three services: ``"cms"``, ``"guance"``, ``"cloudwatch"``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
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

    # --- for app -----------------------------------------------------------------------------------------

    def next_step(self, service: str) -> Step | None:
        """Take the step for this request, if there is one."""
        with self._lock:
            steps = self._steps[service]
            return steps.popleft() if steps else None

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

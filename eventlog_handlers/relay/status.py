"""What waits in the queues of a Redis, and who serves them. Only reads."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from eventlog_handlers.relay.stream import READABLE
from eventlog_handlers.services.relay import scripts
from eventlog_handlers.share.fleet_scripts import SCHEMA, prefix
from eventlog_handlers.share.redis_link import RedisLink
from eventlog_handlers.text import shallow_json

_KEY = re.compile(rb"evh:(?P<schema>[^:{}]+):\{(?P<queue>[^{}]+)\}:(?:v(?P<version>[^:]*):)?s[0-9]+")
_SCAN_COUNT = 1_000


class QueueStatus(NamedTuple):
    """One queue at this moment."""

    queue: str
    destination: str
    """As its relays say; "" where there was none yet."""
    waiting: int
    """Entries that no relay has in hand."""
    in_hand: int
    by_severity: dict[str, int]
    oldest_seconds: float | None
    relays: list[dict[str, Any]]
    """Those heard of within 30 s: name, host, pid, version, quiet_seconds."""
    holders: dict[str, int]
    """By relay, also of one that is gone: how many entries it has in hand."""
    dead: int
    problems: int
    """Open ones, whose repeats are counted."""
    unknown: dict[str, int]
    """Entries by version or schema that relays of this version can't read; they wait."""
    totals: dict[str, int]
    """Events ``put``, ``folded`` into counts, ``delivered``, ``dropped``, ``dead``."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return self._asdict()

    def problem(self) -> str:
        """What somebody should look at, in a sentence; "" if all is well."""
        waits = self.waiting + self.in_hand
        if self.unknown:
            names = ", ".join(f"{name} ({count})" for name, count in self.unknown.items())
            return f"entries of another version wait, {names}: update the relays"
        if waits and not self.relays:
            return "no relay serves it: start one"
        if self.dead:
            return f"{self.dead} events were given up: see XREVRANGE {prefix(self.queue)}dead + - COUNT 10"
        return ""


def statuses(link: RedisLink, queues: Sequence[str] = ()) -> list[QueueStatus]:
    """Of *queues*, or of all that there are, by name. Raises UnavailableError."""
    found: dict[str, dict[str, int]] = {queue: {} for queue in queues}
    for key in _keys(link):
        match = _KEY.fullmatch(key)
        if match is None:
            continue
        queue = match["queue"].decode("utf-8", "replace")
        if queues and queue not in queues:
            continue
        unknown = found.setdefault(queue, {})
        schema = match["schema"].decode("utf-8", "replace")
        version = (match["version"] or b"").decode("utf-8", "replace")
        if schema != str(SCHEMA):
            name = f"schema {schema}"
        elif match["version"] is not None and version not in READABLE:
            name = f"version {version}"
        else:
            continue
        unknown[name] = unknown.get(name, 0) + int(link.command("XLEN", key))
    return [_status(link, queue, found[queue]) for queue in sorted(found)]


def _keys(link: RedisLink) -> set[bytes]:
    keys: set[bytes] = set()
    cursor: Any = 0
    while True:
        cursor, some = link.command("SCAN", cursor, "MATCH", "evh:*}:*s[0-9]*", "COUNT", _SCAN_COUNT)
        keys.update(some)
        if not int(cursor):
            return keys


def _status(link: RedisLink, queue: str, unknown: dict[str, int]) -> QueueStatus:
    lengths, oldest, in_hand, dead, problems, destination, relays, holders, sums = link.run(
        scripts.STATUS, prefix(queue), ["", scripts.HERE_SECONDS]
    )
    names = [name.decode() for name in sums[::2]]
    totals = dict(zip(names, sums[1::2], strict=True))
    return QueueStatus(
        queue=queue,
        destination=destination.decode("utf-8", "replace"),
        waiting=sum(lengths) - in_hand,
        in_hand=in_hand,
        by_severity=dict(zip(("critical", "error", "warning", "info"), lengths, strict=True)),
        oldest_seconds=float(oldest) if oldest else None,
        relays=sorted((_relay(*row) for row in relays), key=lambda one: str(one["name"])),
        holders={name.decode("utf-8", "replace"): int(count) for name, count in sorted(holders)},
        dead=dead,
        problems=problems,
        unknown=unknown,
        totals={name: int(totals.get(name, 0)) for name in ("put", "folded", "delivered", "dropped", "dead")},
    )


def _relay(name: bytes, quiet: bytes, card: bytes) -> dict[str, Any]:
    said: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        said = shallow_json.loads(card)
    return {
        "name": name.decode("utf-8", "replace"),
        "host": said.get("host"),
        "pid": said.get("pid"),
        "version": said.get("version"),
        "quiet_seconds": round(float(quiet), 1),
    }

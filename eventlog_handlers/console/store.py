"""What the stand-in remembers: requests, accepted events, refusals. SQLite, in memory unless given a file.

Any thread may call anything. No HTTP, no judgement about events.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from eventlog_handlers.console.exchange import Accepted, Answer, Refused, Request
from eventlog_handlers.console.json_text import json_text, strict_json
from eventlog_handlers.errors import SettingsError

SERVICES = ("cms", "guance", "cloudwatch")
_OF_SERVICE = ":service IN ('', service)"  # none asked for: all of them


def _select(table: str, condition: str) -> dict[bool, str]:
    """The query of a list, by whether the newest come first."""
    query = f"SELECT * FROM {table} WHERE {condition} ORDER BY id"  # noqa: S608 - our own words
    return {False: f"{query} LIMIT :limit", True: f"{query} DESC LIMIT :limit"}


_EVENTS = _select(
    "events",
    f"id > :after AND {_OF_SERVICE} AND (title LIKE :title ESCAPE '\\' OR body LIKE :body ESCAPE '\\')",
)
_REFUSALS = _select("refusals", _OF_SERVICE)
_REQUESTS = _select("requests", _OF_SERVICE)
_COUNT_EVENTS = "SELECT count(*) FROM events WHERE :service IN ('', service)"
_SUMMARY = """
SELECT count(*), coalesce(sum(accepted), 0), coalesce(sum(size), 0), count(DISTINCT connection),
    coalesce(max(last_minute), 0)
FROM (SELECT *, count(*) OVER (ORDER BY received RANGE 59.999999 PRECEDING) AS last_minute
    FROM requests WHERE service = :service)
"""
_SUMMARY_COLUMNS = ("requests", "accepted", "bytes", "connections", "most_per_minute")
_REFUSED_BY_CODE = "SELECT code, count(*) FROM refusals WHERE service = :service GROUP BY code ORDER BY code"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, received REAL NOT NULL,
    method TEXT NOT NULL, path TEXT NOT NULL, user_agent TEXT NOT NULL, size INTEGER NOT NULL,
    http_status INTEGER, accepted INTEGER NOT NULL, refused INTEGER NOT NULL, code TEXT NOT NULL,
    connection INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, request INTEGER NOT NULL, service TEXT NOT NULL,
    received REAL NOT NULL, time REAL, status TEXT NOT NULL, title TEXT NOT NULL,
    body TEXT NOT NULL, stored TEXT NOT NULL, flags TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refusals (
    id INTEGER PRIMARY KEY AUTOINCREMENT, request INTEGER NOT NULL, service TEXT NOT NULL,
    received REAL NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL, body TEXT NOT NULL);
"""
"""Columns stand in the order of the fields of StoredRequest, StoredEvent and StoredRefusal."""


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
    """What no document forbids but no client should do."""


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


class StoredRequest(NamedTuple):
    """One call of a service's API."""

    id: int
    service: str
    received: float
    method: str
    path: str
    user_agent: str
    size: int
    """Bytes of the body."""
    http_status: int | None
    """None where the connection was cut instead."""
    accepted: int
    """Events accepted out of it."""
    refused: int
    """1 for a request refused whole, else the entries refused."""
    code: str
    """The first refusal's code, or ""."""
    connection: int
    """Which connection brought it; numbers as they were opened."""


class Store:
    """*path* is a file, which keeps what it holds, or None for memory. SettingsError if it can't be used."""

    def __init__(self, path: str | None = None) -> None:
        self._lock = threading.Condition()  # guards the connection; notified after every request
        try:
            self._database = sqlite3.connect(
                path or ":memory:", check_same_thread=False, isolation_level=None
            )
            weakref.finalize(self, self._database.close)  # whoever forgets close() gets no ResourceWarning
            self._database.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise SettingsError(f"events can't be kept in {path}: {error}") from error

    def add(
        self,
        service: str,
        request: Request,
        answer: Answer,
        *,
        received: float,
        connection: int,
        http_status: int | None,
    ) -> None:
        """Remember one call, its events and its refusals, all or nothing."""
        common = {"service": service, "received": received}
        with self._lock, self._transaction():
            number = self._insert(
                "requests",
                common
                | {
                    "method": request.method,
                    "path": request.path,
                    "user_agent": request.header("user-agent") or "",
                    "size": len(request.body),
                    "http_status": http_status,
                    "accepted": len(answer.accepted),
                    "refused": len(answer.refused),
                    "code": answer.refused[0].code if answer.refused else "",
                    "connection": connection,
                },
            )
            for event in answer.accepted:
                self._insert("events", common | {"request": number} | _event_columns(event))
            for refusal in answer.refused:
                self._insert("refusals", common | {"request": number} | _refusal_columns(refusal))
            self._lock.notify_all()

    def events(
        self,
        service: str | None = None,
        *,
        text: str | None = None,
        after: int = 0,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[StoredEvent]:
        """Accepted events, oldest first unless asked otherwise.

        *text* is looked for in title and body, letter case ignored for ASCII; *after* is an id. With *limit*,
        the first so many of that order.
        """
        # An absent filter matches everything; LIKE folds the case of ASCII.
        filters = {
            "after": after,
            "title": f"%{_literal(_sqlite_text(text or ''))}%",
            "body": f"%{_literal(json.dumps(text or '')[1:-1])}%",  # as it stands in the document
        }
        rows = self._list(_EVENTS[newest_first], service, limit, filters)
        return [_event(row) for row in rows]

    def refused(
        self, service: str | None = None, *, limit: int | None = None, newest_first: bool = False
    ) -> list[StoredRefusal]:
        """Refusals, oldest first unless asked otherwise."""
        rows = self._list(_REFUSALS[newest_first], service, limit)
        return [StoredRefusal._make((*row[:-1], strict_json(row[-1]))) for row in rows]

    def requests(
        self, service: str | None = None, *, limit: int | None = None, newest_first: bool = False
    ) -> list[StoredRequest]:
        """Calls, oldest first unless asked otherwise."""
        return [StoredRequest(*row) for row in self._list(_REQUESTS[newest_first], service, limit)]

    def stats(self) -> dict[str, dict[str, Any]]:
        """Per service: requests, accepted, bytes, connections, the most calls in 60 s, refused by code."""
        return {service: self._summary(service) for service in SERVICES}

    def wait_for(self, count: int, timeout: float, service: str | None = None) -> list[StoredEvent]:
        """Wait until at least *count* events are there and return all; TimeoutError after *timeout* s."""

        def there() -> bool:
            (found,) = self._database.execute(_COUNT_EVENTS, {"service": service or ""}).fetchone()
            return bool(found >= count)

        with self._lock:
            arrived = self._lock.wait_for(there, timeout)
        events = self.events(service)
        if arrived:
            return events
        refusals = Counter(refusal.code for refusal in self.refused(service))
        raise TimeoutError(
            f"{len(events)} of {count} events arrived in {timeout:g} s; "
            f"refused: {dict(refusals) or 'nothing'}"
        )

    def clear(self) -> None:
        """Forget everything; ids go on, so that an ``after=`` of the page stays good."""
        with self._lock, self._transaction():
            for table in ("events", "refusals", "requests"):
                self._database.execute(f"DELETE FROM {table}")  # noqa: S608 - constants

    def close(self) -> None:
        """Give the file back. The store can't be used afterwards."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _insert(self, table: str, row: Mapping[str, Any]) -> int | None:
        columns, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        query = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - our own names
        return self._database.execute(query, row).lastrowid

    def _list(
        self, query: str, service: str | None, limit: int | None, filters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        parameters = {"service": service or "", "limit": -1 if limit is None else limit, **(filters or {})}
        with self._lock:
            return self._database.execute(query, parameters).fetchall()

    def _summary(self, service: str) -> dict[str, Any]:
        with self._lock:
            (row,) = self._database.execute(_SUMMARY, {"service": service})
            refused = dict(self._database.execute(_REFUSED_BY_CODE, {"service": service}))
        return dict(zip(_SUMMARY_COLUMNS, row, strict=True)) | {"refused": refused}


def _event(row: tuple[Any, ...]) -> StoredEvent:
    *plain, body, stored, flags = row
    return StoredEvent._make((*plain, strict_json(body), strict_json(stored), tuple(strict_json(flags))))


def _event_columns(event: Accepted) -> dict[str, Any]:
    return {
        "time": event.time,
        "status": event.status,
        "title": _sqlite_text(event.title),
        "body": json_text(event.body),
        "stored": json_text(event.stored),
        "flags": json_text(event.flags),
    }


def _refusal_columns(refusal: Refused) -> dict[str, str]:
    return {
        "code": refusal.code,
        "message": _sqlite_text(refusal.message),
        "body": json_text(refusal.body),
    }


def _sqlite_text(text: str) -> str:
    """SQLite takes no half of a surrogate pair; the documents beside it keep them escaped."""
    return text.encode("utf-8", "replace").decode()


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

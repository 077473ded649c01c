"""The memory of the stand-in: requests, accepted events, refusals. SQLite, in memory unless given a file.

Any thread may call anything. No HTTP, no judgement about events. The page's queries stand in ``views``.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from eventlog_handlers.console.database import TABLES, Database, storable
from eventlog_handlers.console.exchange import Accepted, Answer, Refused, Request
from eventlog_handlers.console.json_text import json_text, strict_json
from eventlog_handlers.console.reading import facts_of, heading_of, problem_of
from eventlog_handlers.console.records import (
    SERVICES,
    Exchange,
    StoredEvent,
    StoredRefusal,
    StoredRequest,
)

MOST_KEPT_BYTES = 64 * 1024 * 1024
"""Of the bodies of requests and answers together; the oldest go first. Events themselves are all kept."""

_OF_SERVICE = ":service IN ('', service)"  # none asked for: all of them


def _select(table: str, condition: str) -> dict[bool, str]:
    """The query of a list, by whether the newest come first."""
    query = f"SELECT * FROM {table} WHERE {condition} ORDER BY id"  # noqa: S608 - our own words
    return {False: f"{query} LIMIT :limit", True: f"{query} DESC LIMIT :limit"}


MATCHES_TEXT = "(title LIKE :title ESCAPE '\\' OR body LIKE :body ESCAPE '\\')"
_EVENTS = _select("events", f"id > :after AND {_OF_SERVICE} AND {MATCHES_TEXT}")
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


class Store:
    """*path* is a file, which keeps its rows, or None for memory. SettingsError if it can't be used."""

    def __init__(self, path: str | None = None) -> None:
        self.database = Database(path)
        self.generation = secrets.randbits(40)
        """Another number for each store and after each ``clear``: a page that sees it change starts anew."""
        self._listeners: list[Callable[[], None]] = []
        ((self._kept_bytes,),) = self.database.rows(
            "SELECT coalesce(sum(length(body) + length(answer)), 0) FROM exchanges"
        )

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call *listener*, from any thread, after every change; the function returned ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def add(
        self,
        service: str,
        request: Request,
        answer: Answer,
        *,
        received: float,
        connection: int,
        http_status: int | None,
        uids: Iterable[str] = (),
        fault: str = "",
    ) -> None:
        """Remember one call, its events and its refusals, all or nothing.

        *uids* are the ids of the events it was meant to bring; *fault* is the fault on demand that it met.
        """
        common = {"service": service, "received": received}
        with self.database.lock, self.database.transaction():
            number = self.database.insert(
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
                    "code": storable(answer.refused[0].code) if answer.refused else "",
                    "connection": connection,
                    "fault": fault,
                },
            )
            for event in answer.accepted:
                self.database.insert("events", common | {"request": number} | _event_columns(service, event))
            for refusal in answer.refused:
                self.database.insert("refusals", common | {"request": number} | _refusal_columns(refusal))
            for uid in uids:
                self.database.insert("tries", {"uid": storable(uid), "request": number})
            self._keep_bytes(number, request, answer)
        self._changed()

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
        filters = {"after": after} | text_filter(text)
        return [as_event(row) for row in self._list(_EVENTS[newest_first], service, limit, filters)]

    def refused(
        self, service: str | None = None, *, limit: int | None = None, newest_first: bool = False
    ) -> list[StoredRefusal]:
        """Refusals, oldest first unless asked otherwise."""
        return [as_refusal(row) for row in self._list(_REFUSALS[newest_first], service, limit)]

    def requests(
        self, service: str | None = None, *, limit: int | None = None, newest_first: bool = False
    ) -> list[StoredRequest]:
        """Calls, oldest first unless asked otherwise."""
        return [StoredRequest(*row) for row in self._list(_REQUESTS[newest_first], service, limit)]

    def exchange(self, request: int) -> Exchange | None:
        """The bytes of a request and its answer; None where they are no longer kept."""
        rows = self.database.rows(
            "SELECT query, headers, body, answer_headers, answer FROM exchanges WHERE request = ?", (request,)
        )
        if not rows:
            return None
        ((query, headers, body, answer_headers, answer),) = rows
        pairs = (tuple(map(tuple, json.loads(text))) for text in (headers, answer_headers))
        sent, answered = pairs
        return Exchange(query, sent, body, answered, answer)

    def stats(self) -> dict[str, dict[str, Any]]:
        """Per service: requests, accepted, bytes, connections, the most calls in 60 s, refused by code."""
        return {service: self._summary(service) for service in SERVICES}

    def wait_for(self, count: int, timeout: float, service: str | None = None) -> list[StoredEvent]:
        """Wait until at least *count* events are there and return all; TimeoutError after *timeout* s."""

        def there() -> bool:
            ((found,),) = self.database.rows(_COUNT_EVENTS, {"service": service or ""})
            return bool(found >= count)

        with self.database.lock:
            arrived = self.database.lock.wait_for(there, timeout)
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
        with self.database.lock, self.database.transaction():
            for table in TABLES:
                self.database.rows(f"DELETE FROM {table}")  # noqa: S608 - constants
            self._kept_bytes = 0
            self.generation += 1
        self._changed()

    def close(self) -> None:
        """Give the file back. The store can't be used afterwards."""
        self.database.close()

    def _changed(self) -> None:
        with self.database.lock:
            self.database.lock.notify_all()
        for listener in tuple(self._listeners):
            listener()

    def _keep_bytes(self, number: int, request: Request, answer: Answer) -> None:
        self.database.insert(
            "exchanges",
            {
                "request": number,
                "query": request.query,
                "headers": json.dumps(request.headers),
                "body": request.body,
                "answer_headers": json.dumps(tuple(answer.headers.items())),
                "answer": answer.body,
            },
        )
        self._kept_bytes += len(request.body) + len(answer.body)
        while self._kept_bytes > MOST_KEPT_BYTES:
            ((oldest, size),) = self.database.rows(
                "SELECT request, length(body) + length(answer) FROM exchanges ORDER BY request LIMIT 1"
            )
            self.database.rows("DELETE FROM exchanges WHERE request = ?", (oldest,))
            self._kept_bytes -= size

    def _list(
        self, query: str, service: str | None, limit: int | None, filters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        parameters = {"service": service or "", "limit": -1 if limit is None else limit, **(filters or {})}
        return self.database.rows(query, parameters)

    def _summary(self, service: str) -> dict[str, Any]:
        (row,) = self.database.rows(_SUMMARY, {"service": service})
        refused = dict(self.database.rows(_REFUSED_BY_CODE, {"service": service}))
        return dict(zip(_SUMMARY_COLUMNS, row, strict=True)) | {"refused": refused}


def text_filter(text: str | None) -> dict[str, str]:
    """The parameters of MATCHES_TEXT. An absent filter matches everything; LIKE folds the case of ASCII."""
    return {
        "title": f"%{_literal(storable(text or ''))}%",
        "body": f"%{_literal(json.dumps(text or '')[1:-1])}%",  # as it stands in the document
    }


def as_event(row: tuple[Any, ...]) -> StoredEvent:
    """A row of the table."""
    head, (body, stored, flags), tail = row[:7], row[7:10], row[10:]
    read = (strict_json(body), strict_json(stored), tuple(strict_json(flags)))
    return StoredEvent._make((*head, *read, *tail))


def as_refusal(row: tuple[Any, ...]) -> StoredRefusal:
    """A row of the table."""
    *plain, body, signing = row
    pair = strict_json(signing)
    return StoredRefusal._make((*plain, strict_json(body), None if pair is None else tuple(pair)))


def _event_columns(service: str, event: Accepted) -> dict[str, Any]:
    facts = facts_of(service, event.body)
    return {
        "time": event.time,
        "status": event.status,
        "title": storable(event.title),
        "body": json_text(event.body),
        "stored": json_text(event.stored),
        "flags": json_text(event.flags),
        "uid": storable(facts.uid[:200]),
        "problem": storable(problem_of(facts, event.title)),
        "heading": storable(heading_of(facts, event.title)),
        "logger": storable(facts.logger[:200]),
        "exception": storable(facts.exception[:200]),
        "times": facts.times,
    }


def _refusal_columns(refusal: Refused) -> dict[str, str]:
    return {
        "code": storable(refusal.code),
        "message": storable(refusal.message),
        "body": json_text(refusal.body),
        "signing": json_text(refusal.signing),
    }


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

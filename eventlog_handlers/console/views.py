"""The page's queries: problems, pages of events, requests and refusals, and the rows that are new in them.

Lists have the newest first, and are paged by id: *before* is the last id of the page before. Nothing here
grows with the number of events but the work of SQLite; each answer is bounded by its *limit*.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from eventlog_handlers.console.json_text import strict_json
from eventlog_handlers.console.reading import facts_of, heading_of
from eventlog_handlers.console.records import SERVICES, StoredEvent, StoredRefusal, StoredRequest
from eventlog_handlers.console.store import MATCHES_TEXT, Store, as_event, as_refusal, text_filter

BUCKETS = 30
"""Bars of a sparkline."""
BUCKET_SECONDS = (10, 60, 600, 3600, 21_600, 86_400)
"""Widths of a bar; the page takes the smallest that shows all that matches."""
_NEVER = 2**62
BRIEF = (
    "id", "request", "service", "received", "time", "status", "title", "uid", "problem", "heading", "logger",
    "exception", "times", "flags",
)  # fmt: skip
STREAM_ROWS = 50
"""Most rows of a message of the stream."""


class Filters(NamedTuple):
    """Conditions for events; "" and None for no condition."""

    service: str = ""
    status: str = ""
    logger: str = ""
    exception: str = ""
    problem: str = ""
    text: str = ""
    """Looked for in title and body, letter case ignored for ASCII."""
    since: float | None = None
    """Not received before; seconds since the epoch."""
    until: float | None = None
    """Received before."""


def condition(filters: Filters) -> tuple[str, dict[str, Any]]:
    """*filters* as SQL over the table of events, with its parameters."""
    parts, parameters = ["1"], {}
    for name in ("service", "status", "logger", "exception", "problem"):
        if value := getattr(filters, name):
            parts.append(f"{name} = :{name}")
            parameters[name] = value
    if filters.text:
        parts.append(MATCHES_TEXT)
        parameters |= text_filter(filters.text)
    for name, relation in (("since", ">="), ("until", "<")):
        if getattr(filters, name) is not None:
            parts.append(f"received {relation} :{name}")
            parameters[name] = getattr(filters, name)
    return " AND ".join(parts), parameters


# --- events ----------------------------------------------------------------------------------------------


def events(
    store: Store, filters: Filters, *, after: int = 0, before: int | None = None, limit: int = 100
) -> list[StoredEvent]:
    """One page of events, whole."""
    where, parameters = condition(filters)
    query = f"""
        SELECT * FROM events WHERE {where} AND id > :after AND id < :before
        ORDER BY id DESC LIMIT :limit
    """  # noqa: S608 - our own words
    return [as_event(row) for row in store.database.rows(query, parameters | _page(after, before, limit))]


def brief_events(
    store: Store, filters: Filters, *, after: int = 0, before: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """One page of events, each as the fields of a row."""
    where, parameters = condition(filters)
    return _briefs(
        store, f"{where} AND id > :after AND id < :before", parameters | _page(after, before, limit)
    )


def events_of_request(store: Store, request: int) -> list[dict[str, Any]]:
    """The accepted events of one request, as rows; a request never holds more than 50."""
    return _briefs(store, "request = :request", {"request": request, "limit": 50})


def event(store: Store, number: int) -> StoredEvent | None:
    """One event, whole."""
    rows = store.database.rows("SELECT * FROM events WHERE id = ?", (number,))
    return as_event(rows[0]) if rows else None


def count_events(store: Store, filters: Filters, *, after: int = 0, before: int | None = None) -> int:
    """How many events match, of those with an id between *after* and *before*."""
    where, parameters = condition(filters)
    query = f"SELECT count(*) FROM events WHERE {where} AND id > :after AND id < :before"  # noqa: S608
    ((count,),) = store.database.rows(query, parameters | _page(after, before, 1))
    return int(count)


def facets(store: Store) -> dict[str, list[str]]:
    """The loggers and exceptions there are, the most frequent first: the choices of a filter."""
    return {
        name: [
            value
            for (value,) in store.database.rows(
                f"SELECT {name} FROM events WHERE {name} != '' GROUP BY {name} "  # noqa: S608
                "ORDER BY count(*) DESC LIMIT 200"
            )
        ]
        for name in ("logger", "exception")
    }


def _briefs(store: Store, where: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    query = f"SELECT {', '.join(BRIEF)} FROM events WHERE {where} ORDER BY id DESC LIMIT :limit"  # noqa: S608
    rows = store.database.rows(query, parameters)
    return [dict(zip(BRIEF, row, strict=True)) | {"flags": strict_json(row[-1])} for row in rows]


def _page(after: int, before: int | None, limit: int) -> dict[str, int]:
    return {"after": after, "before": _NEVER if before is None else before, "limit": limit}


# --- problems --------------------------------------------------------------------------------------------


def problems(
    store: Store,
    filters: Filters,
    *,
    now: float,
    bucket: int,
    after: int = 0,
    before: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """One row per problem that has an event with a later id than *after*, the most recent first.

    A row holds the newest event's fields; ``count`` events and the ``occurrences`` they stand for; ``first``
    and ``last``, when they were received; ``newest``, the id to page by; ``services``; and ``bars``, the
    counts of the last BUCKETS times *bucket* seconds before *now*, oldest first, with ``slot``, the number of
    the last one since the epoch.
    """
    where, parameters = condition(filters)
    changed = (
        f" AND problem IN (SELECT problem FROM events WHERE {where} AND id > :after)"  # noqa: S608
        if after
        else ""
    )  # problems without a new event need not be counted
    query = f"""
        SELECT grouped.*, events.id, status, title, heading, logger, exception FROM (
            SELECT problem, count(*), sum(times), min(received), max(received), max(id) AS newest,
                group_concat(DISTINCT service)
            FROM events WHERE {where}{changed} GROUP BY problem
            HAVING newest > :after AND newest < :before ORDER BY newest DESC LIMIT :limit
        ) AS grouped JOIN events ON events.id = newest ORDER BY newest DESC
    """  # noqa: S608 - our own words
    found = store.database.rows(query, parameters | _page(after, before, limit))
    names = (
        "problem", "count", "occurrences", "first", "last", "newest", "services", "id", "status", "title",
        "heading", "logger", "exception",
    )  # fmt: skip
    rows = [dict(zip(names, row, strict=True)) for row in found]
    bars = _bars(store, filters, [row["problem"] for row in rows], now, bucket)
    slot = int(now // bucket)
    for row in rows:
        services = row["services"].split(",")
        row["services"] = [name for name in SERVICES if name in services]
        row |= {"bars": bars[row["problem"]], "slot": slot}
    return rows


def bucket_for(store: Store, filters: Filters, now: float) -> int:
    """The width of a bar, in seconds, with which BUCKETS of them show all that matches, or the widest."""
    where, parameters = condition(filters)
    ((first,),) = store.database.rows(f"SELECT min(received) FROM events WHERE {where}", parameters)  # noqa: S608
    span = 0.0 if first is None else now - first
    return next((width for width in BUCKET_SECONDS if width * (BUCKETS - 1) >= span), BUCKET_SECONDS[-1])


def _bars(
    store: Store, filters: Filters, keys: Sequence[str], now: float, bucket: int
) -> dict[str, list[int]]:
    last = int(now // bucket)
    bars: dict[str, list[int]] = defaultdict(lambda: [0] * BUCKETS)
    where, parameters = condition(filters)
    marks = {f"key{number}": key for number, key in enumerate(keys)}
    query = f"""
        SELECT problem, CAST(received / :bucket AS INTEGER) AS slot, count(*) FROM events
        WHERE {where} AND received >= :from AND problem IN ({", ".join(f":{mark}" for mark in marks)})
        GROUP BY problem, slot
    """  # noqa: S608 - our own words
    bounds = {"bucket": bucket, "from": (last - BUCKETS + 1) * bucket}
    for key, slot, count in store.database.rows(query, parameters | marks | bounds):
        place = slot - last + BUCKETS - 1
        if 0 <= place < BUCKETS:  # an event of the future is none of these
            bars[key][place] = count
    return bars


# --- requests and refusals -------------------------------------------------------------------------------


def requests(
    store: Store, *, service: str = "", after: int = 0, before: int | None = None, limit: int = 100
) -> list[StoredRequest]:
    """One page of calls."""
    rows = store.database.rows(
        "SELECT * FROM requests WHERE :service IN ('', service) AND id > :after AND id < :before "
        "ORDER BY id DESC LIMIT :limit",
        {"service": service} | _page(after, before, limit),
    )
    return [StoredRequest(*row) for row in rows]


def request(store: Store, number: int) -> StoredRequest | None:
    """One call."""
    rows = store.database.rows("SELECT * FROM requests WHERE id = ?", (number,))
    return StoredRequest(*rows[0]) if rows else None


def tries(store: Store, uid: str, service: str) -> list[StoredRequest]:
    """The calls to *service* that held the event of that id, in their order; at most the first 100.

    Handlers of several services give one record the same id.
    """
    if not uid:
        return []
    rows = store.database.rows(
        "SELECT * FROM requests WHERE service = ? AND id IN (SELECT request FROM tries WHERE uid = ?) "
        "ORDER BY id LIMIT 100",
        (service, uid),
    )
    return [StoredRequest(*row) for row in rows]


def refusals(
    store: Store, *, service: str = "", after: int = 0, before: int | None = None, limit: int = 100
) -> list[StoredRefusal]:
    """One page of refusals."""
    rows = store.database.rows(
        "SELECT * FROM refusals WHERE :service IN ('', service) AND id > :after AND id < :before "
        "ORDER BY id DESC LIMIT :limit",
        {"service": service} | _page(after, before, limit),
    )
    return [as_refusal(row) for row in rows]


def refusal(store: Store, number: int) -> StoredRefusal | None:
    """One refusal."""
    rows = store.database.rows("SELECT * FROM refusals WHERE id = ?", (number,))
    return as_refusal(rows[0]) if rows else None


def refusals_of_request(store: Store, number: int) -> list[StoredRefusal]:
    """The refusals of one request."""
    rows = store.database.rows("SELECT * FROM refusals WHERE request = ? ORDER BY id LIMIT 50", (number,))
    return [as_refusal(row) for row in rows]


def brief_refusals(refused: Iterable[StoredRefusal]) -> list[dict[str, Any]]:
    """Each as the fields of a row."""
    return [
        {
            "id": one.id,
            "request": one.request,
            "service": one.service,
            "received": one.received,
            "code": one.code,
            "message": one.message[:300],
            "heading": heading_of(facts_of(one.service, one.body), "") if one.body is not None else "",
        }
        for one in refused
    ]


# --- new rows ------------------------------------------------------------------------------------------


class Mark(NamedTuple):
    """How far a page has read."""

    event: int = 0
    refusal: int = 0
    request: int = 0
    generation: int = 0


def mark(store: Store) -> Mark:
    """The ids of the newest there is."""
    newest = [
        store.database.rows(f"SELECT coalesce(max(id), 0) FROM {table}")[0][0]  # noqa: S608 - constants
        for table in ("events", "refusals", "requests")
    ]
    return Mark._make((*newest, store.generation))


def totals(store: Store) -> dict[str, dict[str, int]]:
    """Per service: requests, events accepted, refusals."""
    counts = {service: {"requests": 0, "accepted": 0, "refused": 0} for service in SERVICES}
    for service, asked, accepted, refused in store.database.rows(
        "SELECT service, count(*), sum(accepted), sum(refused) FROM requests GROUP BY service"
    ):
        counts[service] = {"requests": asked, "accepted": accepted, "refused": refused}
    return counts


def news(
    store: Store, filters: Filters, since: Mark, until: Mark, *, now: float, bucket: int, want: str
) -> dict[str, Any]:
    """The rows between two marks, for a page that shows the list *want*; at most STREAM_ROWS of it."""
    page = {"after": since.event, "before": until.event + 1, "limit": STREAM_ROWS}
    fresh = count_events(store, filters, after=since.event, before=until.event + 1)
    told: dict[str, Any] = {"fresh": fresh, "totals": totals(store)}
    if want == "problems" and fresh:
        told[want] = problems(store, filters, now=now, bucket=bucket, **page)
    elif want == "events" and fresh:
        told[want] = brief_events(store, filters, **page)
    elif want == "refused":
        bounds = page | {"after": since.refusal, "before": until.refusal + 1}
        told[want] = brief_refusals(refusals(store, service=filters.service, **bounds))
    elif want == "requests":
        bounds = page | {"after": since.request, "before": until.request + 1}
        told[want] = [one._asdict() for one in requests(store, service=filters.service, **bounds)]
    return told

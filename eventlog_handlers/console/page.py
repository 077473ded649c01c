"""The page at ``/``: values into HTML, every one escaped. No requests, no storage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from eventlog_handlers.console.store import SERVICES, StoredEvent, StoredRefusal
from eventlog_handlers.events import STATUSES

MOST_ROWS = 200
HEADERS = {
    # Nothing is loaded from anywhere else, and nothing an event holds may run.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
NAMES = {"cms": "CMS", "guance": "Guance", "cloudwatch": "CloudWatch"}


def rendered(
    events: Sequence[StoredEvent],
    refusals: Sequence[StoredRefusal],
    stats: Mapping[str, Mapping[str, Any]],
    *,
    service: str,
    text: str,
) -> str:
    """The whole page. Both lists newest first; *service* and *text* fill the form."""
    return _template().substitute(
        cards="".join(_card(name, stats[name]) for name in SERVICES),
        options="".join(
            f'<option value="{name}"{" selected" if name == service else ""}>{NAMES[name]}</option>'
            for name in SERVICES
        ),
        text=escape(text),
        events="".join(map(_event, events)) or _nothing(bool(service or text)),
        refusals=_refusals(refusals),
        count=len(events),
        more=f" (the newest {MOST_ROWS})" if len(events) == MOST_ROWS else "",
    )


@cache
def _template() -> Template:
    return Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))


def _card(name: str, summary: Mapping[str, Any]) -> str:
    refused = sum(summary["refused"].values())
    return (
        f'<div class="card"><h2>{NAMES[name]}</h2><p><b>{summary["accepted"]}</b> accepted</p>'
        f'<p class="{"bad" if refused else ""}"><b>{refused}</b> refused</p>'
        f"<p><b>{summary['requests']}</b> requests, {summary['connections']} connections</p></div>"
    )


def _event(event: StoredEvent) -> str:
    status = event.status if event.status in STATUSES else ""
    cells = (
        _time(event.received),
        _cell("service", NAMES[event.service]),
        _cell(f"status {status}", status or "–"),
        _cell("title", event.title),
        _cell("gist", _gist(event)),
        *(_cell("flag", flag) for flag in event.flags),
    )
    sent = _details(f"s{event.id}", ("As it was sent",), _tree(event.body))
    return _details(f"e{event.id}", cells, _tree(event.stored) + sent)


def _gist(event: StoredEvent) -> str:
    """One line that tells the events of one title apart."""
    detail = event.stored.get("detail")
    message = detail.get("message") if isinstance(detail, dict) else None
    text = message or event.body.get("Content") or event.body.get("message") or ""
    line = next((line for line in str(text).splitlines() if line.strip()), "")
    return "" if event.title in line else line[:200]


def _refusals(refusals: Sequence[StoredRefusal]) -> str:
    return '<h2 class="bad">Refused</h2>' + "".join(map(_refusal, refusals)) if refusals else ""


def _refusal(refusal: StoredRefusal) -> str:
    cells = (
        _time(refusal.received),
        _cell("service", NAMES[refusal.service]),
        _cell("status error", refusal.code),
        _cell("title", refusal.message),
    )
    whole = '<p class="quiet">The whole request was refused.</p>'
    return _details(f"r{refusal.id}", cells, whole if refusal.body is None else _tree(refusal.body))


def _details(identity: str, cells: Iterable[str], body: str) -> str:
    summary = f"<summary>{''.join(cells)}</summary>"
    return f'<details id="{identity}">{summary}<div class="body">{body}</div></details>'


def _cell(kind: str, text: str) -> str:
    return f'<span class="{kind}">{escape(_printable(text))}</span>'


def _tree(value: Any) -> str:
    """A value as nested tables, its texts with their own line breaks."""
    if isinstance(value, Mapping) and value:
        rows = "".join(
            f"<tr><th>{escape(_printable(name))}</th><td>{_tree(part)}</td></tr>"
            for name, part in value.items()
        )
        return f"<table>{rows}</table>"
    if isinstance(value, list) and value:
        return f"<ol>{''.join(f'<li>{_tree(part)}</li>' for part in value)}</ol>"
    if isinstance(value, str):
        return f"<pre>{escape(_printable(value))}</pre>"
    return f"<code>{escape(json.dumps(value))}</code>"


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _time(moment: float) -> str:
    utc = datetime.fromtimestamp(moment, timezone.utc)
    return f'<time datetime="{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}Z">{utc:%H:%M:%S}</time>'


def _nothing(filtered: bool) -> str:
    what = "Nothing matches." if filtered else "Nothing has arrived yet."
    hint = (
        ""
        if filtered
        else " Start your application with <code>EVENTLOG_CONSOLE</code> set to this page's address."
    )
    return f'<p class="quiet">{what}{hint}</p>'

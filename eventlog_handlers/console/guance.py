"""The stand-in of Guance's ``POST /api/v1/events/create``: its checks in a fixed order, its answers.

Sources: docs.guance.com/open-api/keyevent/create, open-api/api-limit, open-api/error-definition, read
2026-11-20. The documents name three error codes and leave the status of a refused field open: codes that
begin with ``ft.Emu`` are this stand-in's own, and 400 is its guess. No HTTP library, no storage.
"""

from __future__ import annotations

import math
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from eventlog_handlers.console.exchange import (
    Accepted,
    Answer,
    RateWindow,
    Refused,
    Request,
    has_half_pair,
    json_bytes,
)
from eventlog_handlers.console.json_text import strict_json
from eventlog_handlers.events import STATUSES
from eventlog_handlers.settings.local_console import CONSOLE_GUANCE_KEY

PATH = "/api/v1/events/create"
FIELDS = ("date", "status", "title", "message", "origin", "customTags")
REQUIRED = ("date", "status", "title")
# fmt: off
RESERVED_TAGS = frozenset((  # open-api/checker/receive: what the sibling call refuses; here only likely
    "date", "status", "source", "title", "message", "dimension_tags", "check_value", "time", "time_us",
    "timestamp", "workspace_uuid", "workspace_name", "extra_data", "create_time",
))
# fmt: on
_KEY_LIMIT = ("ft.TriggerApiAkCurrentLimiting", "The API key has exceeded its request limit")
_WORKSPACE_LIMIT = (
    "ft.TriggerApiWorkspaceCurrentLimiting",
    "The workspace has exceeded its request limit",
)
_FIRST_PLAUSIBLE_MS = 1_000_000_000_000  # 2001: a smaller number was meant in seconds


def is_call(request: Request) -> bool:
    """Whether *request* is for Guance's open API at all."""
    return request.path.startswith("/api/v1/")


class _RefusedError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        self.refusal = (status, code, message)


def _invalid(message: str, status: int = 400) -> _RefusedError:
    return _RefusedError(status, "ft.EmuInvalidParameter", message)


@dataclass(kw_only=True)
class Guance:
    """One workspace. Every field may be changed while it runs; a key taken out of ``keys`` is revoked."""

    keys: set[str] = field(default_factory=lambda: {CONSOLE_GUANCE_KEY})
    invalid_key_status: Literal[401, 403] = 403
    """403 by the documents; 401 has been seen."""
    key_limit: int | None = 20
    """Calls per key and minute; None: no limit."""
    workspace_limit: int | None = 200
    """Calls of all keys together per minute; None: no limit."""
    throttled_status: Literal[401, 429] = 401
    """401 by the documents, as odd as it looks."""
    retry_after: float | None = None
    """Seconds to send as Retry-After with a throttling answer; the documents promise none."""
    fixed_window: bool = False
    count_refused: bool = False
    """A call over the limit counts against it as well."""
    waf: bool = False
    """Refuse the user agents that the gateway of another site was seen to refuse."""
    max_body_bytes: int = 1024 * 1024
    any_content_type: bool = False
    empty_text: bool = False
    """Take "" as title, message or origin."""
    tags: Literal["accept", "reject", "drop_key"] = "accept"
    """The fate of a custom tag whose key is reserved or whose value is no string; flagged in any case."""
    unknown_fields: Literal["ignore", "reject"] = "ignore"
    errors_as_http_200: bool = False
    """Refused fields answer HTTP 200; only the body says otherwise."""
    trace_ids: Literal["decimal", "uuid"] = "decimal"
    _windows: dict[str, RateWindow] = field(default_factory=lambda: defaultdict(RateWindow), repr=False)
    """By key; the workspace's stands under ""."""

    def answer(self, request: Request, now: float) -> Answer:
        """Judge one call. Raises nothing; a refused call changes no window but as the options say."""
        try:
            self._gate(request, now)
            sent = self._body(request)
        except _RefusedError as error:
            return self.refusal(*error.refusal)
        try:
            flags = self._check(sent)
        except _RefusedError as error:
            status, code, message = error.refusal
            return self._error(200 if self.errors_as_http_200 else status, status, code, message, sent)
        return self._accept(sent, flags)

    def throttled(self, now: float) -> Answer:
        """As for a key that has called too often."""
        return self.refusal(self.throttled_status, *_KEY_LIMIT)

    def refusal(self, status: int, code: str, message: str) -> Answer:
        """The documented envelope around *code*; a WAF's refusal is plain text instead."""
        return self._error(status, status, code, message, None)

    # --- the checks, in the order they are made ----------------------------------------------------------

    def _gate(self, request: Request, now: float) -> None:
        if request.path != PATH:
            raise _RefusedError(404, "ft.EmuNotFound", f"no such path: {request.path}")
        if request.method != "POST":
            raise _RefusedError(405, "ft.EmuMethodNotAllowed", f"{request.method} is not allowed")
        agent = request.header("user-agent") or ""
        if self.waf and (not agent or agent.startswith("Python-urllib")):
            raise _RefusedError(403, "waf", "error code: 1010")
        key = request.header("df-api-key") or ""
        if key not in self.keys:
            raise _RefusedError(self.invalid_key_status, "ft.InvalidAPIKey", "Invalid API key")
        if not self._admit(key, self.key_limit, now):
            raise _RefusedError(self.throttled_status, *_KEY_LIMIT)
        if not self._admit("", self.workspace_limit, now):
            raise _RefusedError(self.throttled_status, *_WORKSPACE_LIMIT)

    def _body(self, request: Request) -> dict[str, Any]:
        if (request.header("content-encoding") or "identity") != "identity":
            raise _invalid("a compressed body is not documented")
        media_type = (request.header("content-type") or "").partition(";")[0].strip().lower()
        if media_type != "application/json" and not self.any_content_type:
            raise _invalid(f"Content-Type is {media_type or 'missing'}, not application/json")
        if len(request.body) > self.max_body_bytes:
            raise _invalid(f"the body has {len(request.body)} bytes", status=413)
        try:
            sent = strict_json(request.body.decode("utf-8"))
        except ValueError as error:
            raise _invalid(f"the body is not JSON in UTF-8: {error}") from error
        if not isinstance(sent, dict):
            raise _invalid("the body is not an object: one event a call")
        return sent

    def _check(self, sent: dict[str, Any]) -> tuple[str, ...]:
        for check in (_complete, _date, _status, self._texts):
            check(sent)
        return (*_date_flags(sent), *self._tag_flags(sent), *self._field_flags(sent))

    def _texts(self, sent: Mapping[str, Any]) -> None:
        for name in ("title", "message", "origin"):
            value = sent.get(name, "absent")
            if not isinstance(value, str):
                raise _invalid(f"{name} is not a string")
            if not value and not self.empty_text:
                raise _invalid(f"{name} is empty")
            if has_half_pair(value):
                raise _invalid(f"{name} holds half a surrogate pair")

    def _tag_flags(self, sent: dict[str, Any]) -> list[str]:
        tags = sent.get("customTags", {})
        if not isinstance(tags, dict):
            raise _invalid("customTags is not an object")
        doubtful = [key for key, value in tags.items() if _doubtful_tag(key, value)]
        if doubtful and self.tags == "reject":
            raise _invalid(f"customTags: {doubtful[0]!r} is reserved or no string")
        return [f"doubtful_tag:{key}" for key in doubtful]

    def _field_flags(self, sent: Mapping[str, Any]) -> list[str]:
        unknown = [name for name in sent if name not in FIELDS]
        if unknown and self.unknown_fields == "reject":
            raise _invalid(f"unknown field {unknown[0]!r}")
        return [f"unknown_field:{name}" for name in unknown]

    def _stored(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """As the events explorer would show it; the names of origin and tags there are a guess."""
        tags = {
            key: value
            for key, value in sent.get("customTags", {}).items()
            if self.tags != "drop_key" or not _doubtful_tag(key, value)
        }
        return {
            **tags,
            "df_source": "custom",
            "df_event_id": f"event-{uuid.uuid4().hex}",
            "df_status": sent["status"],
            "df_title": sent["title"],
            "df_message": sent.get("message", ""),
            "origin": sent.get("origin", ""),
            "time": sent["date"],
        }

    # --- answers -----------------------------------------------------------------------------------------

    def _accept(self, sent: Mapping[str, Any], flags: tuple[str, ...]) -> Answer:
        body = json_bytes(
            {
                "code": 200,
                "content": True,
                "errorCode": "",
                "message": "",
                "success": True,
                "traceId": self._trace_id(),
            }
        )
        accepted = Accepted(
            title=sent["title"],
            status=sent["status"],
            time=sent["date"] / 1000,
            body=sent,
            stored=self._stored(sent),
            flags=flags,
        )
        return Answer(200, {"content-type": "application/json"}, body, accepted=(accepted,))

    def _error(
        self, http_status: int, code: int, error_code: str, message: str, sent: Mapping[str, Any] | None
    ) -> Answer:
        refused = (Refused(error_code, message, sent),)
        if error_code == "waf":
            return Answer(http_status, {"content-type": "text/plain"}, message.encode(), refused=refused)
        headers = {"content-type": "application/json"}
        if "CurrentLimiting" in error_code and self.retry_after is not None:
            headers["retry-after"] = str(math.ceil(self.retry_after))
        body = json_bytes(
            {
                "code": code,
                "content": {},
                "errorCode": error_code,
                "message": message,
                "success": False,
                "traceId": self._trace_id(),
            }
        )
        return Answer(http_status, headers, body, refused=refused)

    def _admit(self, window: str, limit: int | None, now: float) -> bool:
        return self._windows[window].admit(
            now, limit=limit, seconds=60.0, fixed=self.fixed_window, count_refused=self.count_refused
        )

    def _trace_id(self) -> str:
        """Both shapes that have been seen: a decimal number of 19 digits, and a UUID."""
        if self.trace_ids == "uuid":
            return f"TRACE-{str(uuid.uuid4()).upper()}"
        return str(10**18 + uuid.uuid4().int % (9 * 10**18))


def _complete(sent: Mapping[str, Any]) -> None:
    for name in REQUIRED:
        if name not in sent:
            raise _invalid(f"{name} is required")
    for name in FIELDS:
        if sent.get(name, "absent") is None:
            raise _invalid(f"{name} must not be null")


def _date(sent: Mapping[str, Any]) -> None:
    if type(sent["date"]) is not int or abs(sent["date"]) >= 2**63:  # a bool is an int to isinstance
        raise _invalid("date is not an integer")


def _status(sent: Mapping[str, Any]) -> None:
    if sent["status"] not in STATUSES:
        raise _invalid(f"status takes one of {', '.join(STATUSES)}")


def _date_flags(sent: Mapping[str, Any]) -> list[str]:
    return [] if sent["date"] >= _FIRST_PLAUSIBLE_MS else ["suspicious_date"]


def _doubtful_tag(key: str, value: Any) -> bool:
    return key.startswith(("_", "df_")) or key in RESERVED_TAGS or not isinstance(value, str)

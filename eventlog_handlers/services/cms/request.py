"""``PutCustomEvent`` of Alibaba Cloud CMS, version 2019-01-01: event -> parameters -> signed request. Pure.

``content`` writes an event as text, ``answers`` reads the answers, ``signing`` makes the signature. ``sink``
sends, tries again and remembers between calls.

Source, read 2026-11-20: https://www.alibabacloud.com/help/en/cms/developer-reference/api-putcustomevent
and the requests of the official clients, kept in tests/data/cms. The events travel in a form body, as the
official Python client sent them up to 2.0.3; in the query, where later ones put them, fifty events make a
URL that the gateway refuses with 414.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from eventlog_handlers.events import Event, Limits, Payload
from eventlog_handlers.services.cms import signing
from eventlog_handlers.services.cms.content import clock_text, encoded_size, json_content, text_content
from eventlog_handlers.services.cms.signing import percent
from eventlog_handlers.text.fit import cut, ellipsis, plain_line
from eventlog_handlers.text.template import expand

if TYPE_CHECKING:
    from eventlog_handlers.services.cms.credentials import Credentials

Scheme: TypeAlias = Literal["v1", "v3"]

LIMITS = Limits(50, 480_000)
"""Events and encoded body bytes of one call. 500 KB is documented, for the feature rather than this call:
https://www.alibabacloud.com/help/doc-detail/60196.htm (read 2026-11-20)."""

_ACTION, _VERSION = "PutCustomEvent", "2019-01-01"
_FORM = "application/x-www-form-urlencoded"
_FIELD_OVERHEAD = len("&EventInfo.50.")
_NAME_CHARACTERS = 128  # no limit is documented; alert rules match whole names, so long ones are of no use
_GROUP_ID_DIGITS = 20
_LEAST_CONTENT_BYTES = 96
_EPOCH = datetime(1970, 1, 1)


# --- one event -------------------------------------------------------------------------------------------


def name_of(event: Event, template: str) -> str:
    """The EventName of *event*: what the log call asked for, else *template*; one line, never empty."""
    for candidate in (event.event_name, expand(template, event), event.logger):
        if candidate and (name := _named(candidate)):
            return name
    return "log"


def encode(
    event: Event,
    *,
    event_name: str,
    group_id: str | None,
    content_format: Literal["text", "json"],
    max_content_bytes: int,
    max_bytes: int | None = None,
) -> Payload:
    """One event as percent-encoded parameters, ready for either signature.

    *event_name* is the final one, see ``name_of``. *max_content_bytes* bounds Content, *max_bytes* the whole
    event, both in encoded bytes; longer ones are cut visibly. Below about 400 bytes *max_bytes* is not
    kept: an event has a name, a time and some content. ``size`` counts with a two-digit N, so an event among
    the first nine takes a few bytes less.
    """
    notes: list[str] = []
    room = min(LIMITS.request_bytes, max_bytes or LIMITS.request_bytes)
    time, told = clock_text(event.time)
    if not told:
        notes.append(f"the event's time {event.time!r} was sent as {time}")
    name_field, time_field = _name_field(event_name, max(room // 3, 9)), f"Time={time.replace('+', '%2B')}"
    group = event.group_id or group_id
    group_field, note = (None, None) if group is None else _group_field(group)
    if note is not None:
        notes.append(note)
    others = (name_field, time_field) if group_field is None else (name_field, group_field, time_field)

    size = sum(map(len, others)) + _FIELD_OVERHEAD * (len(others) + 1)
    content_room = max(min(max_content_bytes, room - size - len("Content=")), _LEAST_CONTENT_BYTES)
    content = (json_content if content_format == "json" else text_content)(event, notes, content_room)
    content_field = f"Content={content}"
    # In the order in which RPC v1 sorts them.
    return Payload(event, (content_field, *others), size + len(content_field))


@lru_cache(maxsize=256)
def _group_field(group: str) -> tuple[str | None, str | None]:
    """The parameter for *group*, and why there is none though one was named."""
    group = group.strip()
    if group.isascii() and group.isdigit() and len(group) <= _GROUP_ID_DIGITS:
        return f"GroupId={group}", None
    if not group:
        return None, None
    return None, f"group_id {group[:40]!r} was left out: it takes up to {_GROUP_ID_DIGITS} digits"


@lru_cache(maxsize=256)
def _name_field(event_name: str, most_bytes: int) -> str:
    return f"EventName={percent(cut(_named(event_name) or 'log', most_bytes, size=encoded_size))}"


@lru_cache(maxsize=256)
def _named(text: str) -> str:
    name = plain_line(text)
    return ellipsis(name, _NAME_CHARACTERS)


# --- one request -----------------------------------------------------------------------------------------


class SignedRequest(NamedTuple):
    """A POST of the path ``/``, good for one attempt: its nonce is spent once it has left."""

    headers: dict[str, str]
    """Lower-case names. The signed ones have to be sent as they stand here."""
    body: bytes
    canonical_sha256: str
    """The text that V3 signed, to compare with the service's; "" for RPC v1."""


def sign(
    scheme: Scheme,
    payloads: Sequence[Payload],
    *,
    credentials: Credentials,
    host: str,
    nonce: str,
    timestamp: float,
) -> SignedRequest:
    """Build and sign the call that delivers *payloads*, numbered from 1 in their order.

    *host* is the Host header as it will be sent; *nonce* must never have been used with this key before;
    *timestamp* is the time of this attempt, in seconds since the epoch.
    """
    events = [
        f"EventInfo.{number}." + f"&EventInfo.{number}.".join(payload.body)
        for number, payload in enumerate(payloads, 1)
    ]
    moment = f"{_EPOCH + timedelta(seconds=int(timestamp)):%Y-%m-%dT%H:%M:%SZ}"
    request = _v1_request if scheme == "v1" else _v3_request
    return request(events, credentials, host, nonce, moment)


def _v1_request(
    events: list[str], credentials: Credentials, host: str, nonce: str, moment: str
) -> SignedRequest:
    """Everything in the form, so that no log of URLs, a proxy's or ours, holds a signature or a token.

    The signature covers query and form alike. Source: @alicloud/pop-core ``rpc.js``, which has sent all
    parameters of a POST this way since 2019-01-21 (read 2026-11-20).
    """
    common = [
        f"Action={_ACTION}",
        "Format=JSON",
        f"Version={_VERSION}",
        f"Timestamp={percent(moment)}",
        f"SignatureNonce={percent(nonce)}",
        "SignatureMethod=HMAC-SHA1",
        "SignatureVersion=1.0",
        f"AccessKeyId={percent(credentials.access_key_id)}",
    ]
    if credentials.security_token:
        common.append(f"SecurityToken={percent(credentials.security_token)}")
    # Whole events are sorted rather than their fields: "EventInfo.1." comes before "EventInfo.10.", and
    # within an event the fields stand in order already.
    canonical = "&".join(sorted([*common, *events]))
    signature = signing.sign_v1_canonical("POST", canonical, credentials.access_key_secret)
    body = "&".join([*common, f"Signature={percent(signature)}", *events]).encode("ascii")
    return SignedRequest({"host": host, "content-type": _FORM, "accept": "application/json"}, body, "")


def _v3_request(
    events: list[str], credentials: Credentials, host: str, nonce: str, moment: str
) -> SignedRequest:
    """Events in the form, all else in headers. Only what must be signed is: proxies may touch the rest."""
    body = "&".join(events).encode("ascii")
    body_sha256 = signing.content_sha256(body)
    signed = {
        "host": host,
        "content-type": _FORM,
        "x-acs-action": _ACTION,
        "x-acs-version": _VERSION,
        "x-acs-date": moment,
        "x-acs-signature-nonce": nonce,
        "x-acs-content-sha256": body_sha256,
    }
    if credentials.security_token:
        signed["x-acs-security-token"] = credentials.security_token
    canonical = signing.canonical_sha256_v3("POST", "/", (), signed, body_sha256)
    authorization = signing.authorization_v3(
        credentials.access_key_id, credentials.access_key_secret, signed, canonical
    )
    headers = {**signed, "accept": "application/json", "authorization": authorization}
    return SignedRequest(headers, body, canonical)

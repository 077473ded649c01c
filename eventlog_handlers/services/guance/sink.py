"""Guance's sink: finds the key, posts, and has ``answers`` judge the answer. No rules here."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from eventlog_handlers.errors import MisconfiguredError
from eventlog_handlers.services.guance.answers import verdict
from eventlog_handlers.services.guance.body import LIMITS, PATH, encode
from eventlog_handlers.services.verdict import Codes
from eventlog_handlers.transport.client import HttpClient

if TYPE_CHECKING:
    from eventlog_handlers.events import Event, Limits, Outcome, Payload
    from eventlog_handlers.services.guance.options import GuanceSettings

KEY_VARIABLE = "DF_API_KEY"


class GuanceSink:
    """One event per request. *clock* gives monotonic seconds."""

    def __init__(self, settings: GuanceSettings, clock: Callable[[], float]) -> None:
        connect_timeout, read_timeout = settings.timeout
        self._settings = settings
        self._codes = Codes()
        self._url = settings.endpoint.rstrip("/") + PATH
        self._http = HttpClient(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            proxies=settings.proxies,
            ca_bundle=settings.ca_bundle,
            clock=clock,
        )

    @property
    def limits(self) -> Limits:
        return LIMITS

    def encode(self, event: Event, max_bytes: int | None = None) -> Payload:
        return encode(
            event,
            origin=self._settings.origin,
            title=self._settings.title,
            max_message_bytes=self._settings.max_message_bytes,
            max_bytes=max_bytes,
        )

    def send(self, payloads: Sequence[Payload], *, timeout: float) -> Sequence[Outcome]:
        (payload,) = payloads
        key = self._key()
        headers = {"Content-Type": "application/json", "DF-API-KEY": key}
        answer = self._http.post(self._url, headers=headers, body=payload.body, timeout=timeout)
        said = answer.body.replace(key.encode("latin-1"), b"***")  # an answer may quote the key
        judged = self._codes.admit(verdict(answer.status, answer.headers, said))
        return judged.outcomes(len(payloads))

    def close(self) -> None:
        self._http.close()

    def _key(self) -> str:
        """The option's key, else the environment's of this moment, so that it may come late or change."""
        if self._settings.api_key is not None:
            return self._settings.api_key.reveal()
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key:
            raise MisconfiguredError("no_key", f"no API key: set api_key or the environment's {KEY_VARIABLE}")
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise MisconfiguredError("bad_key", f"{KEY_VARIABLE} holds characters no key has; copy it again")
        return key

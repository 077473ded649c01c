"""Checks a CMS account for ``check``: the key's source, and whether CMS takes the key."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping

from eventlog_handlers.process import clock
from eventlog_handlers.services.cms.options import CMSSettings
from eventlog_handlers.services.cms.sink import CMSSink
from eventlog_handlers.services.finding import Finding

PROOF = "a signed PutCustomEvent without an event, which makes none"


def origin(own: CMSSettings, environ: Mapping[str, str]) -> str:
    """The source of the credentials, never their values."""
    if own.access_key_id is not None:
        return "the handler's options"
    if own.credentials is not None:
        return f"credentials= ({type(own.credentials).__name__})"
    token = " and ALIBABA_CLOUD_SECURITY_TOKEN" if environ.get("ALIBABA_CLOUD_SECURITY_TOKEN") else ""
    return f"ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET{token}"


def endpoint(own: CMSSettings) -> str:
    """The URL that events go to."""
    return own.endpoint


def ask(own: CMSSettings, timeout: float) -> None:
    """Make the call named in PROOF: a RefusedError proves that key and permission were accepted first.

    Raises SinkError.
    """
    sink = CMSSink(
        own,
        clock=clock.monotonic,
        wall_clock=time.time,
        nonce=lambda: os.urandom(16).hex(),
        warn=lambda text: None,
    )
    try:
        sink.send((), timeout=timeout)
    finally:
        sink.close()


def more(own: CMSSettings, timeout: float) -> Iterator[Finding]:
    """Further findings without making an event: none."""
    if own.group_id is not None:
        yield Finding(
            "warning",
            "group",
            f"only an event shows whether the group {own.group_id} exists",
            "prove it once: eventlog-handlers send DSN 'test' --level info",
        )

"""Checks one destination: settings, credentials, network, account, rate limit, spool."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eventlog_handlers.diagnosis import network
from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    SettingsError,
    SinkError,
    ThrottledError,
)
from eventlog_handlers.services.finding import Finding
from eventlog_handlers.services.registry import Service
from eventlog_handlers.settings.local_console import console_url
from eventlog_handlers.settings.values import PipelineSettings

_FREE_BYTES = 128 << 20


def check(
    service: Service,
    options: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    timeout: float,
    network_too: bool,
) -> Iterator[Finding]:
    """One finding a step; a wrong setting ends it."""
    try:
        own, pipeline = service.settings(options, environ)
    except SettingsError as error:
        yield Finding("problem", "settings", str(error), "see the sentence")
        return
    yield Finding("ok", "settings", f"{service.title}: every option is right")
    console = console_url(environ)
    if console:
        yield Finding(
            "warning",
            "stand-in",
            f"EVENTLOG_CONSOLE is set: events go to {console}",
            "unset EVENTLOG_CONSOLE",
        )
    yield from _limits(pipeline)
    if pipeline.spool is not None:
        yield from spool(Path(pipeline.spool))
    if service.has_probe and network_too:
        yield from service.probe().findings(own, timeout)
    if not service.has_account:
        return
    account = service.account()
    try:
        yield Finding("ok", "credentials", f"from {account.origin(own, environ)}")
        url = account.endpoint(own)
    except Exception as error:  # boto3's own among them: no region, a profile that is not there
        yield Finding("problem", "credentials", str(error), "see the sentence")
        return
    if network_too:
        yield from _network(account, own, url, timeout)


def _limits(pipeline: PipelineSettings) -> Iterator[Finding]:
    scope = getattr(pipeline, "scope", "process")
    if pipeline.requests_per_second is None:
        yield Finding(
            "ok", "rate limit", f"none of our own; budgets and problems are counted per {_shown(scope)}"
        )
        return
    per_minute = pipeline.requests_per_second * 60
    shown = f"{pipeline.requests_per_second:g} a second" if per_minute > 600 else f"{per_minute:g} a minute"
    yield Finding(
        "ok", "rate limit", f"{shown}, shared by all that send with this key in one {_shown(scope)}"
    )


def _shown(scope: object) -> str:
    text = str(scope)
    return "fleet (Redis)" if "://" in text else text


def spool(place: Path) -> Iterator[Finding]:
    """Whether a spool can be kept in *place*. Makes nothing."""
    there = place
    while not there.exists() and there != there.parent:
        there = there.parent
    if there != place and not os.access(there, os.W_OK | os.X_OK):
        yield Finding(
            "problem", "spool", f"{place} can't be made: no right to write in {there}", f"mkdir {place}"
        )
        return
    if there == place:
        status = place.stat()
        if not place.is_dir():
            yield Finding("problem", "spool", f"{place} is no directory", "name another one")
            return
        if status.st_uid != os.geteuid():
            yield Finding(
                "problem",
                "spool",
                f"{place} belongs to user {status.st_uid}",
                f"chown {os.geteuid()} {place}",
            )
            return
        if status.st_mode & 0o022:
            yield Finding("problem", "spool", f"others may write in {place}", f"chmod 700 {place}")
            return
    free = os.statvfs(there)
    left = free.f_bavail * free.f_frsize
    if left < _FREE_BYTES:
        yield Finding(
            "warning", "spool", f"only {left >> 20} MiB are free in {there}", "free some, or move it"
        )
        return
    yield Finding("ok", "spool", f"{place} can be used, {left >> 20} MiB are free")


def _network(account: Any, own: Any, url: str, timeout: float) -> Iterator[Finding]:
    proxies = None if own.proxies is None else dict(own.proxies)
    if _has_proxy(url, proxies):
        yield Finding("ok", "proxy", "the way leads through a proxy: name and connection are its business")
    else:
        for finding in network.reach(url, timeout=timeout, ca_bundle=own.ca_bundle):
            yield finding
            if finding.level == "problem":
                return
    clock = list(network.skew(url, timeout=timeout, ca_bundle=own.ca_bundle, proxies=proxies))
    yield from clock
    if any(finding.topic == "HTTP" for finding in clock):
        return
    yield account_finding(account, own, timeout)
    yield from account.more(own, timeout)


def account_finding(account: Any, own: Any, timeout: float) -> Finding:
    """Whether the service takes the key, by a call that makes no event."""
    try:
        account.ask(own, 2 * timeout)
    except MisconfiguredError as error:
        return Finding("problem", "account", str(error), "see the sentence")
    except RefusedError as error:
        return Finding("ok", "account", f"the key is accepted ({account.PROOF}; answer {error.code})")
    except ThrottledError:
        return Finding(
            "warning", "account", "the service throttles just now, so nothing is proven", "try again"
        )
    except SinkError as error:
        return Finding("problem", "account", str(error), "try again; then look at the network")
    return Finding("ok", "account", f"the key is accepted ({account.PROOF})")


def _has_proxy(url: str, proxies: dict[str, str] | None) -> bool:
    if proxies is not None:
        return bool(proxies)
    from requests.utils import get_environ_proxies

    return bool(get_environ_proxies(url))

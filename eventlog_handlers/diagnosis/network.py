"""Checks that a host can be reached: name, connection, TLS, clock. One finding a step; a problem ends it."""

from __future__ import annotations

import email.utils
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from eventlog_handlers.errors import SinkError
from eventlog_handlers.process import clock, start_thread
from eventlog_handlers.services.finding import Finding
from eventlog_handlers.transport.client import HttpClient

SKEW_WARNING_SECONDS = 60.0
SKEW_PROBLEM_SECONDS = 300.0  # AWS refuses signatures from 5 minutes on, Alibaba Cloud from 15


def reach(
    url: str,
    *,
    timeout: float,
    ca_bundle: str | None,
    lookup: Callable[..., Any] = socket.getaddrinfo,
) -> Iterator[Finding]:
    """Look the host of *url* up, connect, and speak TLS; *timeout* seconds each at most."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = _looked_up(lambda: lookup(host, port, type=socket.SOCK_STREAM), timeout)
    if isinstance(found, Exception):
        yield Finding(
            "problem", "DNS", f"{host} can't be looked up: {found}", "check the name, resolver, network"
        )
        return
    yield Finding("ok", "DNS", f"{host} has {len(found)} address{'es' if len(found) > 1 else ''}")
    try:
        with socket.create_connection((host, port), timeout) as connection:
            yield Finding("ok", "TCP", f"{host}:{port} takes connections")
            if parts.scheme == "https":
                yield _tls(connection, host, ca_bundle)
    except OSError as error:
        yield Finding(
            "problem",
            "TCP",
            f"{host}:{port} can't be reached: {error.strerror or error}",
            "check firewall and proxy (proxies=, HTTPS_PROXY)",
        )


def _looked_up(look: Callable[[], list[object]], timeout: float) -> list[object] | Exception:
    """The result of *look*, called in a thread of its own: a resolver has no time limit."""
    import queue

    answers: queue.SimpleQueue[list[object] | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put(look())
        except Exception as error:
            answers.put(error)

    start_thread.start_thread(run, "eventlog-check-dns")
    try:
        return answers.get(timeout=timeout)
    except queue.Empty:
        return TimeoutError(f"no answer within {timeout:g} s")


def _tls(connection: socket.socket, host: str, ca_bundle: str | None) -> Finding:
    context = ssl.create_default_context(cafile=ca_bundle)
    try:
        with context.wrap_socket(connection, server_hostname=host) as secured:
            return Finding("ok", "TLS", f"{secured.version()}, the certificate of {host} is trusted")
    except ssl.SSLError as error:
        return Finding(
            "problem",
            "TLS",
            f"{host}: {error.reason or error}",
            "a proxy that opens TLS needs its certificate in ca_bundle=",
        )


def skew(
    url: str,
    *,
    timeout: float,
    ca_bundle: str | None,
    proxies: dict[str, str] | None,
    wall_clock: Callable[[], float] = time.time,
) -> Iterator[Finding]:
    """How far this machine's clock is from that of the answer's Date."""
    http = HttpClient(
        connect_timeout=timeout,
        read_timeout=timeout,
        proxies=proxies,
        ca_bundle=ca_bundle,
        clock=clock.monotonic,
    )
    try:
        answer = http.post(url, headers={}, body=b"", timeout=2 * timeout)
    except SinkError as error:
        yield Finding("problem", "HTTP", f"no answer: {error}", "see the lines above")
        return
    finally:
        http.close()
    moment = email.utils.parsedate_tz(answer.headers.get("date", ""))
    if moment is None:
        yield Finding("warning", "clock", "the answer has no Date to compare the clock with")
        return
    seconds = wall_clock() - email.utils.mktime_tz(moment)
    text = f"the clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the service's"
    if abs(seconds) > SKEW_PROBLEM_SECONDS:
        yield Finding("problem", "clock", text, "set the clock (chrony, timedatectl): signatures are refused")
    elif abs(seconds) > SKEW_WARNING_SECONDS:
        yield Finding("warning", "clock", text, "set the clock (chrony, timedatectl)")
    else:
        yield Finding("ok", "clock", f"the clock agrees with the service's within {abs(seconds) + 1:.0f} s")

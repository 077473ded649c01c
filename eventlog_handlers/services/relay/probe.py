"""What ``check`` asks of a queue: does Redis answer, is there room, does a relay serve it. Only reads."""

from __future__ import annotations

from collections.abc import Iterator

from eventlog_handlers.services.finding import Finding
from eventlog_handlers.services.relay.options import RelaySettings
from eventlog_handlers.services.relay.scripts import HERE_SECONDS, STATUS
from eventlog_handlers.share.contract import UnavailableError
from eventlog_handlers.share.fleet_scripts import prefix
from eventlog_handlers.share.redis_link import REMEDY_AT_RISK, RedisLink


def findings(own: RelaySettings, timeout: float) -> Iterator[Finding]:
    """One finding a step; *timeout* bounds each answer, in seconds."""
    link = RedisLink(own.address, connect_seconds=timeout, answer_seconds=timeout)
    try:
        answer = link.run(STATUS, prefix(own.queue), ["", HERE_SECONDS])
        at_risk = link.at_risk()
    except UnavailableError as error:
        said = str(error).removesuffix(f": {error.remedy}")
        yield Finding("problem", "queue", said, error.remedy or "look at host, port and network")
        return
    finally:
        link.close()
    waiting, relays = sum(answer[0]), answer[6]
    yield Finding("ok", "queue", f"{own.address} answers, {waiting} events wait in the queue {own.queue}")
    if at_risk:
        yield Finding("warning", "redis", f"when Redis is killed it may lose {at_risk}", REMEDY_AT_RISK)
    if waiting >= own.queue_capacity:
        yield Finding(
            "problem",
            "queue",
            f"the queue {own.queue} is full ({own.queue_capacity} events)",
            "look at the relay, or give a larger queue_capacity",
        )
    if not relays:
        yield Finding(
            "warning",
            "relay",
            f"no relay serves the queue {own.queue}: events wait",
            f"start one: eventlog-handlers relay {own.address} {own.queue}=DSN",
        )
        return
    yield Finding("ok", "relay", f"{len(relays)} serve the queue {own.queue}")

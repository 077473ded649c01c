"""TLS to Redis: a certificate that is trusted, one that is not, another host's name; never a downgrade."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import pytest
from certificates import new_authority
from queues import QUEUE, events, length
from redis_server import RedisServer
from servers import free_port

from eventlog_handlers.errors import TransientError
from eventlog_handlers.services.relay.options import settings
from eventlog_handlers.services.relay.sink import RelaySink
from eventlog_handlers.share.contract import Limits
from eventlog_handlers.share.fleet import FleetCoordinator
from eventlog_handlers.share.fleet_url import fleet_address
from eventlog_handlers.share.redis_link import RedisLink


class Secured(NamedTuple):
    server: RedisServer
    port: int
    authorities: str


@pytest.fixture
def secured(own, tmp_path: Path) -> Secured:
    """A Redis that speaks TLS on a port of its own, with a certificate for ``localhost``."""
    authority = new_authority()
    certificate = authority.issue_cert("localhost")
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "certificate", "key")}
    authority.cert_pem.write_to_path(files["ca"])
    certificate.cert_chain_pems[0].write_to_path(files["certificate"])
    certificate.private_key_pem.write_to_path(files["key"])
    port = free_port()
    server = own(
        tls_port=str(port),
        tls_cert_file=str(files["certificate"]),
        tls_key_file=str(files["key"]),
        tls_ca_cert_file=str(files["ca"]),
        tls_auth_clients="no",
    )
    return Secured(server, port, str(files["ca"]))


def sink(url: str, ca_bundle: str | None) -> RelaySink:
    return RelaySink(settings({"url": url, "queue": QUEUE, "ca_bundle": ca_bundle, "timeout": 5}, {})[0])


def put(sender: RelaySink) -> None:
    sender.send([sender.encode(event) for event in events(1)], timeout=10)
    sender.close()


def test_events_are_put_over_tls(secured):
    """The authorities of the option are trusted."""
    put(sink(f"rediss://localhost:{secured.port}/0", secured.authorities))

    assert length(secured.server) == 1


def test_a_scope_is_shared_over_tls(secured):
    """The authorities stand in the URL."""
    url = f"rediss://localhost:{secured.port}/0?ca_bundle={secured.authorities}"
    member = FleetCoordinator(
        RedisLink(fleet_address(url, {}, option="scope")),
        "q",
        limits=Limits(1.0),
        clock=time.monotonic,
        rand=lambda: 0.5,
    )

    assert member.take().is_taken
    member.close()


def test_a_certificate_that_nothing_vouches_for_is_not_trusted(secured):
    """Nothing goes, encrypted or not."""
    with pytest.raises(TransientError, match=r"certificate verify failed|CERTIFICATE_VERIFY_FAILED"):
        put(sink(f"rediss://localhost:{secured.port}/0", None))
    assert length(secured.server) == 0


def test_another_host_s_certificate_is_not_trusted(secured):
    """It is for localhost, and the address is another name of the same machine."""
    with pytest.raises(TransientError, match=r"does not answer .*127\.0\.0\.1"):
        put(sink(f"rediss://127.0.0.1:{secured.port}/0", secured.authorities))
    assert length(secured.server) == 0


def test_plain_words_to_a_tls_port_and_tls_to_a_plain_one_fail(secured):
    """There is no downgrade."""
    with pytest.raises(TransientError, match="does not answer"):
        put(sink(f"redis://localhost:{secured.port}/0", None))
    with pytest.raises(TransientError, match="does not answer"):
        put(sink(f"rediss://localhost:{secured.server.port}/0", secured.authorities))
    assert length(secured.server) == 0

"""Which host names and addresses can only be this machine. Pure, and said here alone."""

from __future__ import annotations


def is_loopback(host: str) -> bool:
    """Whether *host*, a name or an address without a port, can only be this machine.

    ``localhost`` and names below it, 127.0.0.0/8 and ::1; in any case, with or without a dot at the end.
    Source: RFC 6761 section 6.3, RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3.
    """
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    if not name.startswith("127.") and ":" not in name:
        return False
    import ipaddress  # only ever needed for an address of this machine, or one of IPv6

    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False

"""Which hosts can only be this machine: plain http is for these alone, and no proxy is asked for them."""

from __future__ import annotations

import pytest

from eventlog_handlers.text.loopback import is_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True), ("LOCALHOST", True), ("localhost.", True), ("shop.localhost", True),
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("0:0:0:0:0:0:0:1", True),
        ("10.0.0.1", False), ("127.evil.example", False), ("127.0.0.1.evil.example", False),
        ("localhost.example", False), ("notlocalhost", False), ("0.0.0.0", False), ("::2", False),
        ("127.1", False), ("127.0.0.256", False), ("", False), (".", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_loopback(host, expected):
    """Nothing whose address another machine's answer could decide."""
    assert is_loopback(host) is expected

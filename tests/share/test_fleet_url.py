"""Redis URLs: what they may hold, and a sentence with the remedy for everything else."""

from __future__ import annotations

import pytest

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.share.fleet_url import fleet_address

CANARY = "s3cret-canary"
ENVIRONMENT = {"EVENTLOG_REDIS_USERNAME": "env-user", "EVENTLOG_REDIS_PASSWORD": "env-password"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host", "redis://host:6379/0"),
        ("redis://host:7000/3", "redis://host:7000/3"),
        (" rediss://host/2 ", "rediss://host:6379/2"),
        ("redis://[::1]:6380", "redis://[::1]:6380/0"),
        (f"redis://user:{CANARY}@host/1", "redis://host:6379/1"),
        (f"redis://:{CANARY}@host?wait_replicas=1", "redis://host:6379/0"),
        ("rediss://host?ca_bundle=/etc/ca.pem", "rediss://host:6379/0"),
    ],
)
def test_an_address_shows_neither_user_nor_password(url: str, shown: str) -> None:
    """In no form of text."""
    found = fleet_address(url, {}, option="scope")

    assert (str(found), repr(found), f"{found}") == (shown, shown, shown)


def test_user_and_password_come_from_the_url_or_the_environment() -> None:
    """The URL goes first; what is percent-encoded there is decoded."""
    given = fleet_address("redis://me:p%40ss%23@host", ENVIRONMENT, option="scope")
    found = fleet_address("redis://host", ENVIRONMENT, option="scope")

    assert given.username is not None
    assert given.password is not None
    assert (given.username.reveal(), given.password.reveal()) == ("me", "p@ss#")
    assert found.username is not None
    assert found.password is not None
    assert (found.username.reveal(), found.password.reveal()) == ("env-user", "env-password")
    assert fleet_address("redis://host", {}, option="scope").password is None


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("host:6379", "takes a URL of redis:// or rediss://"),
        (f"http://{CANARY}@host", "takes a URL of redis:// or rediss://"),
        ("redis://", "names no host"),
        (f"redis://:{CANARY}@", "names no host"),
        (f"redis://user:{CANARY}@host:port", "is no URL"),
        (f"redis://:{CANARY}@host:99999", "is no URL"),
        (f"redis://[{CANARY}", "is no URL"),
        (f"redis://:{CANARY}@host/db", "ends in the number of a database"),
        (f"redis://:{CANARY}@host/1/2", "ends in the number of a database"),
        (f"redis://:{CANARY}@host/²", "ends in the number of a database"),
        (f"redis://:{CANARY}@host#fragment", "percent-encode"),
        (f"redis://host?wait_replica=1&x={CANARY}", "unknown option.*wait_replicas"),
        ("redis://host?wait_replicas=many", "wait_replicas in scope takes a whole number"),
        ("redis://host?ca_bundle=/etc/ca.pem", "belongs to TLS: write rediss://"),
        ("redis://user@host", "a user and no password: set EVENTLOG_REDIS_PASSWORD"),
    ],
)
def test_what_is_no_address_is_refused_without_being_shown(url: str, sentence: str) -> None:
    """It may hold a password."""
    with pytest.raises(SettingsError, match=sentence) as caught:
        fleet_address(url, {}, option="scope")

    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_password_is_refused_inside_a_dsn() -> None:
    """DSNs end up in process lists and error trackers."""
    with pytest.raises(SettingsError, match=r"can't stand in a DSN.*EVENTLOG_REDIS_PASSWORD") as caught:
        fleet_address(f"redis://user:{CANARY}@host", {}, option="scope", in_dsn=True)

    assert CANARY not in str(caught.value)
    assert fleet_address("redis://host", ENVIRONMENT, option="scope", in_dsn=True).password is not None

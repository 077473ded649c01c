"""What the options promise: defaults, bounds, what may stand in a DSN; and the edges of the checks."""

from __future__ import annotations

import pytest

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.services.registry import SERVICES
from eventlog_handlers.settings import checks, places
from eventlog_handlers.settings.options import OPTIONS
from eventlog_handlers.settings.secret import Secret

COMMON = {
    "level": 0, "service": None, "env": None, "tags": {}, "capacity": 10_000, "capacity_bytes": 64 << 20,
    "when_full": "drop_lowest", "batch_size": None, "flush_interval": 1.0, "timeout": (3.0, 10.0),
    "exit_timeout": 3.0, "max_age": 3600.0, "concurrency": 4, "before_send": None,
    "requests_per_second": None, "requests_per_minute": None, "burst": 5, "scope": "host", "share": 1,
    "max_events_per_hour": None, "max_events_per_day": None, "budget_reserve": 0.1, "level_map": None,
    "redact": True, "aggregate_seconds": None, "spool": None, "durability": "staged", "observer": None,
    "flush_on_sigterm": False, "dry_run": False, "proxies": None, "ca_bundle": None, "allow_insecure": False,
}  # fmt: skip
OWN = {
    "cms": {
        "region": "cn-hangzhou", "network": "public", "endpoint": None, "access_key_id": None,
        "access_key_secret": None, "security_token": None, "credentials": None, "group_id": None,
        "event_name": "{logger}", "signature": "v1", "content_format": "text", "max_content_bytes": 32_768,
    },
    "guance": {
        "site": "cn1", "endpoint": None, "api_key": None, "origin": "{logger}", "title": "{message}",
        "max_message_bytes": 32_768,
    },
    "cloudwatch": {
        "region_name": None, "event_bus_name": None, "endpoint_url": None, "source": "{logger}",
        "detail_type": None, "resources": (), "session": None, "client": None, "max_request_bytes": 261_120,
    },
    "relay": {
        "url": "redis://127.0.0.1:6379/0", "queue": "events", "queue_capacity": 100_000, "wait_replicas": 0,
    },
}  # fmt: skip
INSTEAD = {
    "cms": {"requests_per_second": 10},
    "guance": {"requests_per_minute": 20, "aggregate_seconds": 60.0},
    "cloudwatch": {},
    "relay": {"scope": "process", "aggregate_seconds": 60.0, "timeout": 1.0},
}
SECRET = {
    "cms": {"access_key_id", "access_key_secret", "security_token", "credentials"},
    "guance": {"api_key"},
    "cloudwatch": {"session", "client"},
    "relay": set(),
}
BOUNDS = [
    ("capacity", 1, 10_000_000), ("capacity_bytes", 65_536, 1 << 40), ("concurrency", 1, 64),
    ("burst", 1, 1_000), ("share", 1, 10_000), ("max_events_per_hour", 1, 10**9),
    ("max_events_per_day", 1, 10**9), ("flush_interval", 0.0, 3600.0), ("exit_timeout", 0.0, 600.0),
    ("max_age", 1.0, 2_592_000.0), ("requests_per_second", 0.001, 10_000.0),
    ("requests_per_minute", 0.01, 100_000.0), ("budget_reserve", 0.0, 0.9), ("aggregate_seconds", 0.1, 900.0),
    ("timeout", 0.01, 300.0), ("max_content_bytes", 1024, 400_000), ("max_message_bytes", 1024, 900_000),
    ("max_request_bytes", 4096, (1 << 20) - 1024), ("queue_capacity", 1, 100_000_000),
    ("wait_replicas", 0, 100),
]  # fmt: skip
ROWS = {row.name: row for service in SERVICES.values() for row in (*service.options(), *OPTIONS)}
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.scheme)


@each_service
def test_the_defaults_are_a_promise(service):
    """An upgrade that changes one changes what a running system does: it is changed here too, and told."""
    assert {row.name: row.default for row in OPTIONS} == COMMON
    assert {row.name: row.default for row in service.options()} == OWN[service.scheme]
    assert dict(service.defaults()) == INSTEAD[service.scheme]


@each_service
def test_what_is_secret_may_not_stand_in_a_dsn(service):
    """Keys, tokens, and objects that hold them."""
    rows = (*service.options(), *OPTIONS)

    assert {row.name for row in rows if row.is_secret} == SECRET[service.scheme]


@pytest.mark.parametrize(("name", "low", "high"), BOUNDS)
def test_bounds_are_taken_and_what_is_past_them_is_refused(name, low, high):
    """Both ends; the refusal names them."""
    check = ROWS[name].check
    past = 1 if isinstance(low, int) else 1e-6

    for value in (low, high):
        taken = check(name, value)
        assert taken == (value if name != "timeout" else (min(value, 3.0), value))
    for value in (low - past, high + past, high * 10, True, "x"):
        with pytest.raises(SettingsError, match=f"{name} takes .*from"):
            check(name, value)


def test_every_option_with_a_number_has_its_bounds_tested():
    """None is forgotten."""
    numbers = {row.name for row in ROWS.values() if row.type.split(" ")[0] in ("int", "float")}

    assert numbers - {"batch_size", "level"} == {name for name, *_ in BOUNDS}


@pytest.mark.parametrize(
    "name", [row.name for row in ROWS.values() if "None" in row.type or row.default is None]
)
def test_an_option_that_may_be_none_takes_none(name):
    """As if it had not been given."""
    ROWS[name].check(name, None)


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ((0.01, 300), (0.01, 300.0)), ([5, 7], (5.0, 7.0)), (2, (2.0, 2.0)), (3, (3.0, 3.0)),
        (60, (3.0, 60.0)), ("8.5", (3.0, 8.5)),
        ((0, 5), None), ((5, 0), None), ((301, 5), None), ((5, 301), None), ((5, 300.5), None),
        ((300.5, 5), None), ((1,), None), ((1, 2, 3), None), (0.001, None), (300.5, None), (None, None),
    ],
)  # fmt: skip
def test_a_timeout_is_one_number_or_two(value, taken):
    """One bounds both, connecting by 3 seconds at most."""
    if taken is None:
        with pytest.raises(SettingsError, match="timeout"):
            checks.timeout("timeout", value)
    else:
        assert checks.timeout("timeout", value) == taken


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("error", 40), (" Warning ", 30), ("25", 25), (25, 25), (0, 0), (10**9, 10**9), (-(10**9), -(10**9)),
        (10**9 + 1, None), ("9" * 18, None), ("1" * 19, None), (True, None), (2.5, None), ("", None),
        (None, None), ("VERBOSE", None),
    ],
)  # fmt: skip
def test_a_level_is_a_name_or_a_number(value, number):
    """Names in any case; as text too. Far numbers are mistakes."""
    if number is None:
        with pytest.raises(SettingsError, match="level takes"):
            checks.level(value)
    else:
        assert checks.level(value) == number


@pytest.mark.parametrize(
    ("value", "taken"),
    [("true", True), ("1", True), (" FALSE ", False), ("0", False), (True, True), (False, False),
     (1, None), (0, None), ("yes", None), (None, None), ("", None)],
)  # fmt: skip
def test_a_boolean_is_one_or_is_written_like_one(value, taken):
    """As the environment and a DSN hold it; a number is none."""
    if taken is None:
        with pytest.raises(SettingsError, match="x takes True or False"):
            checks.boolean("x", value)
    else:
        assert checks.boolean("x", value) is taken


@pytest.mark.parametrize(
    ("value", "taken"),
    [("5", 5), (" 6 ", 6), ("9" * 18, None), ("1" * 19, None), ("-5", None), ("5.0", None), (5.0, None),
     (True, None), (None, None), ("", None)],
)  # fmt: skip
def test_a_whole_number_is_one_or_its_digits(value, taken):
    """No other type is turned into one."""
    if taken is None:
        with pytest.raises(SettingsError, match="x takes a whole number from 1 to 9"):
            checks.integer("x", value, 1, 9)
    else:
        assert checks.integer("x", value, 1, 9) == taken


def test_eighteen_digits_are_a_number_and_nineteen_are_not():
    """``int()`` is never given a text of thousands of digits."""
    assert checks.integer("x", "9" * 18, 1, 10**18) == 10**18 - 1
    with pytest.raises(SettingsError):
        checks.integer("x", "1" * 19, 1, 10**20)
    assert checks.number("x", "0" * 39 + "1", 0, 9) == 1.0
    with pytest.raises(SettingsError):
        checks.number("x", "0" * 40 + "1", 0, 9)


def test_a_single_number_is_called_the_only_one():
    """Guance takes one event a request."""
    with pytest.raises(SettingsError, match="x takes 1 and nothing else, not 2"):
        checks.integer("x", 2, 1, 1)


@pytest.mark.parametrize("value", ["abc def", "abcdef\n", "ä", "\x7f", "   "])
def test_a_credential_copied_badly_is_refused_without_being_shown(value):
    """Blanks at its ends are taken off; what is inside is a mistake."""
    with pytest.raises(SettingsError, match="copy it anew") as refused:
        checks.secret("key", value)

    assert value.isspace() or value not in str(refused.value)
    assert checks.secret("key", " abc ") == Secret("abc")
    assert checks.secret("key", Secret("abc")) == Secret("abc")
    assert checks.secret("key", "") is checks.secret("key", None) is None
    assert Secret("abc") != Secret("abd")
    assert Secret("abc") != "abc"


@pytest.mark.parametrize("value", [10**18 + 1, -(10**18) - 1, 10**5000], ids=["above", "below", "far"])
def test_a_number_past_all_sense_is_not_written_out(value):
    """The largest that is shown has 19 digits."""
    assert checks.short(value) == "a far larger one"
    assert checks.short(10**18) == "1" + "0" * 18


@pytest.mark.parametrize(
    ("options", "has_path", "is_taken"),
    [
        ({"value": "https://host"}, False, True), ({"value": "https://host:8443/"}, False, True),
        ({"value": "https://host/path"}, False, False), ({"value": "https://host/path"}, True, True),
        ({"value": "https://host?x=1"}, True, False), ({"value": "https://host#x"}, True, False),
        ({"value": "https://user@host"}, True, False), ({"value": "https://:word@host"}, True, False),
        ({"value": "http://host"}, False, False),
        ({"value": "http://host", "allow_insecure": True}, False, True),
        ({"value": "http://127.0.0.1:1"}, False, True), ({"value": "http://localhost"}, False, True),
        ({"value": "ftp://host"}, False, False), ({"value": "host"}, False, False),
        ({"value": "https://"}, False, False), ({"value": "https://host:99999"}, False, False),
        ({"value": "https://ho st"}, False, False), ({"value": "https://höst"}, False, False),
    ],
)  # fmt: skip
def test_an_address_is_a_whole_url_without_more(options, has_path, is_taken):
    """A path only where the service has one; plain http only to this machine, or where it is allowed."""
    arguments = {"allow_insecure": False, "path": has_path, **options}
    value = arguments.pop("value")
    if is_taken:
        assert places.endpoint("endpoint", value, **arguments) == value.rstrip("/")
    else:
        with pytest.raises(SettingsError, match="endpoint"):
            places.endpoint("endpoint", value, **arguments)


@pytest.mark.parametrize(
    ("value", "taken"), [("7", "7"), (" 7 ", "7"), (7, "7"), ("1" * 20, "1" * 20), (None, None)]
)
def test_an_application_group_is_digits(value, taken):
    """Twenty at most; anything else is refused."""
    assert ROWS["group_id"].check("group_id", value) == taken
    for wrong in ("1" * 21, "", "x", -7, True, 7.0, "\uff17"):
        with pytest.raises(SettingsError, match="group_id takes the digits"):
            ROWS["group_id"].check("group_id", wrong)


def test_settings_show_plain_values_and_of_users_objects_only_the_type():
    """Their repr may hold a secret; ours don't show one."""

    class Watcher:
        def on_drop(self, *_: object) -> None: ...

        def __repr__(self) -> str:
            return "a key in it"

    options = {"api_key": "wsak_secret", "observer": Watcher(), "tags": {"team": "shop"}}

    both = [repr(one) for one in SERVICES["guance"].settings(options, {})]

    shown = " ".join(both)
    assert "capacity=10000" in shown
    assert "Secret(***)" in shown
    assert "'team': 'shop'" in shown
    assert "observer=<Watcher>" in shown
    assert "key in it" not in shown

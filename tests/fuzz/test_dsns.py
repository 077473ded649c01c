"""Whatever stands in EVENTLOG_DSN: options, or one line that says what is wrong and no secret."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.services import registry
from eventlog_handlers.services.dsn import parse_dsn
from eventlog_handlers.settings.options import OPTIONS

SECRET = "hunter2.never-told"
_ROWS = [row for service in registry.SERVICES.values() for row in service.options()] + list(OPTIONS)
NAMES = st.sampled_from(sorted({row.name for row in _ROWS})) | st.text("abcdefgkopsty_%=&", max_size=8)
VALUES = st.one_of(
    st.text(max_size=12),
    st.text("[]{}\":,0123456789eE+-.%&=#?@/ ", max_size=12),
    st.sampled_from([
        "true", "null", "1e999", "NaN", "-1", "9" * 5_000, "[" * 3_000, '{"https":"http://a:b@c"}', SECRET,
        "redis://:hunter2.never-told@host:6379/0", "/tmp/spool", "%s", "{message}", "os.path:join", "１２",
    ]),
)  # fmt: skip
HOSTS = st.one_of(
    st.sampled_from(
        ["cn-hangzhou", "cn1", "eu-west-1", "", f"user:{SECRET}@cn1", f":{SECRET}@", "[::1", "a:1"]
    ),
    st.text(max_size=12),
)
SCHEMES = st.sampled_from(
    ["cms", "guance", "cloudwatch", "CMS", "Guance", "eventbridge", "http", "", "cms:", "relay+redis"]
)


@st.composite
def dsns(draw: st.DrawFn) -> str:
    """Mostly a scheme, a host and options; sometimes any text."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.text(max_size=40))
    options = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    query = "&".join(f"{name}={value}" for name, value in options)
    path = draw(st.sampled_from(["", "", "", "/", "/x", "#", "//"]))
    return (
        f"{draw(SCHEMES)}{draw(st.sampled_from(['://', '://', '://', ':/', '']))}{draw(HOSTS)}{path}?{query}"
    )


def complaint(error: SettingsError) -> str:
    text = str(error)
    assert len(text) <= 500, text
    assert text.isprintable(), text
    return text


@given(st.lists(dsns(), min_size=1, max_size=2).map(" ".join))
def test_a_dsn_is_read_or_refused_in_one_line(dsn: str) -> None:
    """What it is read as has known names and no credential; a refusal does not repeat a secret."""
    destinations, said = [], ""
    try:
        destinations = parse_dsn(dsn)
    except SettingsError as error:
        said = complaint(error)
    assert SECRET not in said
    secret_names = {row.name for row in _ROWS if row.is_secret}
    for scheme, options in destinations:
        assert scheme in registry.SERVICES
        assert not secret_names & options.keys()


ANY_VALUE: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.binary(max_size=4)
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


@given(
    service=st.sampled_from(sorted(registry.SERVICES)),
    options=st.dictionaries(NAMES, VALUES | ANY_VALUE, max_size=3),
)
def test_options_make_settings_or_one_line(service: str, options: dict[str, Any]) -> None:
    """Those that a DSN, dictConfig or code may give. Nothing is opened, nothing sent."""
    row = registry.SERVICES[service]
    assume(all(name.isidentifier() for name in options))
    environ = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "a", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "b", "DF_API_KEY": "c"}
    try:
        row.settings(options, environ)
    except SettingsError as error:
        complaint(error)


@given(dsns())
def test_reading_twice_is_the_same(dsn: str) -> None:
    """No state is left behind."""
    with contextlib.suppress(SettingsError):
        assert repr(parse_dsn(dsn)) == repr(parse_dsn(dsn))

"""Settings at their edges: the numbers that docs name, and the first value on each side of a rule."""

from __future__ import annotations

from typing import Any

import pytest
from settings_of import SETTINGS_OF

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings import checks, places
from eventlog_handlers.settings.table import Table

KEYS = {"DF_API_KEY": "wsak_test"}


def pipeline_of(**options: Any) -> Any:
    """The pipeline's settings of a GuanceHandler."""
    return SETTINGS_OF["guance"](options, KEYS)[1]


@pytest.mark.parametrize(
    "given", [["iban", 5], ["iban", ""], [""], ["iban", None], "iban", {"iban"}, 1, None]
)
def test_redact_takes_names_and_nothing_else(given: Any) -> None:
    """A name that is no text, or an empty one, would redact nothing, or everything."""
    with pytest.raises(SettingsError, match="takes true, false, or a list of more names"):
        checks.redact("redact", given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(True, ()), (False, None), ([], ()), (["iban"], ("iban",)), (("a", "b"), ("a", "b"))],
)
def test_redact_is_off_on_or_has_more_names(given: Any, expected: object) -> None:
    """None is off, and an empty tuple is on."""
    assert checks.redact("redact", given) == expected


@pytest.mark.parametrize(
    ("per_minute", "burst"), [(1, 1), (3, 1), (4, 1), (7, 1), (8, 2), (16, 4), (20, 5), (400, 5)]
)
def test_a_limit_a_minute_makes_the_burst_a_quarter_of_it(per_minute: int, burst: int) -> None:
    """At least one request, and at most the usual five."""
    assert pipeline_of(requests_per_minute=per_minute).burst == burst


def test_a_burst_that_is_given_stays_as_it_is() -> None:
    """Only the usual one is cut to the limit."""
    assert pipeline_of(requests_per_minute=4, burst=9).burst == 9


def test_events_in_a_spool_are_kept_for_two_days(tmp_path: Any) -> None:
    """Longer than in memory, whatever else is given; and for as long as the user says."""
    assert pipeline_of(spool=str(tmp_path)).max_age == 172_800.0
    assert pipeline_of(spool=str(tmp_path), max_age=5).max_age == 5.0
    assert pipeline_of().max_age < 172_800.0


def test_an_option_of_another_service_is_answered_with_this_one_s() -> None:
    """The name to use stands in the error."""
    table = Table("AcmeHandler", (), {}, {"zone": "region"})

    with pytest.raises(SettingsError, match=r"^AcmeHandler has no option 'zone': use region$"):
        table.values({"zone": "cn1"})


@pytest.mark.parametrize("given", ["", 5, None, "cn hangzhou", "cn.hangzhou"])
def test_a_word_is_letters_digits_and_hyphens(given: Any) -> None:
    """An address is made of it."""
    with pytest.raises(SettingsError, match=r"^region takes letters, digits and hyphens"):
        checks.word("region", given)


def test_one_request_a_minute_is_one_in_every_such_window() -> None:
    """Also the least of limits is one."""
    assert pipeline_of(requests_per_minute=1).window == (1, 61.0)


def test_counts_of_repeats_are_not_passed_on_where_nothing_says_so() -> None:
    """A fold stays open for as long as its option says."""
    assert pipeline_of().counts_are_passed_on is False


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:pw@proxy:1", "http://***@proxy:1"),
        ("me:pw@proxy:1", "***@proxy:1"),
        ("http://proxy:1", "http://proxy:1"),
        ("proxy:1", "proxy:1"),
    ],
)
def test_a_proxy_shows_no_user_and_nothing_that_was_not_there(url: str, shown: str) -> None:
    """With a scheme and without."""
    assert repr(places.Proxies({"https": url})) == f"{{'https': {shown!r}}}"

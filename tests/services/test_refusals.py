"""Refusals of all services: which are one event's fault, and which would meet every event."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from eventlog_handlers.errors import MisconfiguredError, TransientError
from eventlog_handlers.services.cloudwatch import answers as cloudwatch
from eventlog_handlers.services.cms import answers as cms
from eventlog_handlers.services.guance import answers as guance
from eventlog_handlers.services.verdict import CODE_CHARACTERS, OTHER_CODE, Codes, Kind, Mend, Verdict, rule

SETTING, DATA, SIZE = Kind.MISCONFIGURED, Kind.REFUSED, Kind.TOO_LARGE
LATER, SLOWER = Kind.TRANSIENT, Kind.THROTTLED
PAGE = b"<html><center><h1>Sorry</h1></center><hr><center>nginx</center></html>"
STRANGERS_JSON = b'{"code": 404, "message": "no Route matched with those values"}'


def of_cms(status: int, code: str | None, message: str = "because") -> Verdict:
    body = PAGE
    if code is not None:
        body = json.dumps({"Code": code, "Message": message, "RequestId": "R-1"}).encode()
    return cms.verdict(status, {}, body, scheme="v1")


def of_guance(status: int, code: str | None, message: str = "because") -> Verdict:
    body = PAGE
    if code is not None:
        body = json.dumps({"code": status, "errorCode": code, "message": message, "success": False}).encode()
    return guance.verdict(status, {}, body)


def of_cloudwatch(status: int, code: str | None, message: str = "because") -> Verdict:
    return cloudwatch.verdict(str(status) if code is None else code, status, message, {})


@pytest.mark.parametrize("judge", [of_cms, of_guance, of_cloudwatch])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, SETTING),
        (307, SETTING),
        *((status, SETTING) for status in range(400, 408)),
        (408, LATER),
        (409, SETTING),
        (410, SETTING),
        (412, SETTING),
        (413, SIZE),
        (414, SETTING),
        (418, SETTING),
        *((status, SETTING) for status in (421, 422, 423, 424, 426, 428)),
        (425, LATER),
        (429, SLOWER),
        (431, SETTING),
        (451, SETTING),
        (499, SETTING),
        (500, LATER),
        (501, SETTING),
        (502, LATER),
        (503, LATER),
        (504, LATER),
        (511, SETTING),
        (599, LATER),
    ],
)
def test_a_page_in_the_way_is_no_events_fault(
    judge: Callable[[int, str | None], Verdict], status: int, kind: Kind
) -> None:
    """An answer without the service's form comes from a web server between: no event is dropped for it."""
    verdict = judge(status, None)

    assert verdict.kind is kind
    assert verdict.code == f"http_{status}"


@pytest.mark.parametrize("judge", [of_cms, of_guance, of_cloudwatch])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, DATA) for status in (400, 409, 418, 422)),
        *((status, SETTING) for status in (401, 403, 404, 407, 501)),
        (413, SIZE),
        (429, SLOWER),
        (500, LATER),
        (503, LATER),
    ],
)
def test_a_code_that_no_table_knows_is_judged_by_the_status(
    judge: Callable[[int, str | None], Verdict], status: int, kind: Kind
) -> None:
    """The service itself speaks, so a 4xx may be about the data: the event at fault is looked for."""
    assert judge(status, "NeverSeen").kind is kind


@pytest.mark.parametrize("judge", [of_cms, of_guance, of_cloudwatch])
def test_a_refusal_of_the_data_says_why(judge: Callable[[int, str | None, str], Verdict]) -> None:
    """In the service's own words, which are told once on stderr."""
    assert "because of this" in judge(400, "NeverSeen", "because of this").detail


@pytest.mark.parametrize("judge", [of_cms, of_guance])
def test_a_page_in_the_way_is_quoted(judge: Callable[[int, str | None], Verdict]) -> None:
    """So that a reader knows what answers."""
    assert "Sorry" in judge(404, None).detail


@pytest.mark.parametrize(
    ("judge", "status", "code", "message", "kind"),
    [
        # CMS: the key, the account, the region, the way there
        (of_cms, 400, "InvalidStsToken", "", SETTING),
        (of_cms, 400, "InvalidStsToken.Expired", "", SETTING),
        (of_cms, 400, "InvalidSecurityToken.Malformed", "", SETTING),
        (of_cms, 403, "InvalidAccessKeyId.Inactive", "", SETTING),
        (of_cms, 400, "InvalidAccessKeySecret", "", SETTING),
        (of_cms, 400, "SignatureDoesNotMatch", "", SETTING),
        (of_cms, 400, "IncompleteSignature", "", SETTING),
        (of_cms, 400, "InvalidSignatureMethod", "", SETTING),
        (of_cms, 400, "401", "", SETTING),
        (of_cms, 200, "401", "", SETTING),
        (of_cms, 400, "403", "", SETTING),
        (of_cms, 400, "Unauthorized", "", SETTING),
        (of_cms, 400, "UserNotAuthorized", "", SETTING),
        (of_cms, 400, "NoPermission", "", SETTING),
        (of_cms, 400, "Forbidden.RiskControl", "", SETTING),
        (of_cms, 400, "ImplicitDeny", "", SETTING),
        (of_cms, 400, "InvalidAccountStatus", "", SETTING),
        (of_cms, 400, "InvalidAccountStatus.NotEnoughBalance", "", SETTING),
        (of_cms, 400, "ServiceNotOpen", "", SETTING),
        (of_cms, 400, "ProductNotOpened", "", SETTING),
        (of_cms, 400, "OperationDenied", "", SETTING),
        (of_cms, 400, "OperationDenied.NotSubscribed", "", SETTING),
        (of_cms, 400, "InvalidRegionId", "", SETTING),
        (of_cms, 404, "InvalidRegionId.NotFound", "", SETTING),
        (of_cms, 400, "Account.Arrearage", "", SETTING),
        (of_cms, 400, "ExceedingQuota", "", SETTING),
        (of_cms, 400, "InvalidAction.NotFound", "", SETTING),
        (of_cms, 400, "InvalidApi.NotFound", "", SETTING),
        # CMS: the group is the handler's setting in these calls, for no event names its own
        (of_cms, 404, "ResourceNotFound", "", SETTING),
        (of_cms, 404, "404", "", SETTING),
        (of_cms, 400, "GroupNotFound", "", SETTING),
        (of_cms, 400, "InvalidParameter.GroupId", "", SETTING),
        (of_cms, 400, "ParameterInvalid", "The GroupId is not valid.", SETTING),
        # CMS: the data
        (of_cms, 400, "ParameterInvalid", "", DATA),
        (of_cms, 400, "InvalidParameter", "EventInfo.3.Content is too long.", DATA),
        (of_cms, 400, "MissingContent", "", DATA),
        (of_cms, 400, "BadRequest", "", DATA),
        (of_cms, 400, "400", "", DATA),
        (of_cms, 200, "400", "", DATA),
        # CMS: neither
        (of_cms, 400, "Throttling.User", "", SLOWER),
        (of_cms, 503, "ServiceUnavailable", "", LATER),
        (of_cms, 200, "500", "", LATER),
        # Guance
        (of_guance, 403, "ft.InvalidAPIKey", "", SETTING),
        (of_guance, 401, "ft.LoginFailed", "", SETTING),
        (of_guance, 404, "ft.NotFound", "", SETTING),
        (of_guance, 400, "ft.InvalidParameter", "", DATA),
        (of_guance, 400, "", "", DATA),
        (of_guance, 200, "ft.InvalidParameter", "", DATA),
        (of_guance, 200, "", "", DATA),
        (of_guance, 401, "ft.TriggerApiAkCurrentLimiting", "", SLOWER),
        (of_guance, 500, "ft.InternalError", "", LATER),
        # CloudWatch Events: permission, key, clock, bus
        (of_cloudwatch, 400, "AccessDeniedException", "", SETTING),
        (of_cloudwatch, 400, "InvalidAccountIdException", "", SETTING),
        (of_cloudwatch, 400, "ResourceNotFoundException", "", SETTING),
        (of_cloudwatch, 403, "OptInRequired", "", SETTING),
        (of_cloudwatch, 400, "UnrecognizedClientException", "", SETTING),
        (of_cloudwatch, 403, "InvalidSignatureException", "", SETTING),
        (of_cloudwatch, 400, "RequestExpired", "", SETTING),
        (of_cloudwatch, 400, "UnknownOperationException", "", SETTING),
        (
            of_cloudwatch,
            400,
            "ValidationException",
            "1 validation error detected: Value 'my bus!' at 'entries.1.member.eventBusName' failed to "
            "satisfy constraint: Member must satisfy regular expression pattern",
            SETTING,
        ),
        (of_cloudwatch, 400, "InvalidArgument", "Parameter EventBusName is not valid.", SETTING),
        # CloudWatch Events: the data
        (of_cloudwatch, 400, "ValidationException", "at 'entries.1.member.detailType' failed", DATA),
        (of_cloudwatch, 400, "MalformedDetail", "", DATA),
        (of_cloudwatch, 400, "NotAuthorizedForSourceException", "", DATA),
        (of_cloudwatch, 400, "NotAuthorizedForDetailTypeException", "", DATA),
        (of_cloudwatch, 400, "InvalidArgument", "Parameter Source is not valid.", DATA),
        (
            of_cloudwatch,
            400,
            "ValidationException",
            "Total size of the entries in the request is over the limit.",
            SIZE,
        ),
    ],
)
def test_a_refusal_is_one_events_fault_or_every_events(
    judge: Callable[[int, str | None, str], Verdict], status: int, code: str, message: str, kind: Kind
) -> None:
    """What no event can mend is held; only what may be about the data leads to a search for the culprit."""
    verdict = judge(status, code, message)

    assert verdict.kind is kind
    assert verdict.detail.isprintable()


@pytest.mark.parametrize("code", ["ResourceNotFound", "404", "GroupNotFound", "InvalidParameter.GroupId"])
def test_an_unknown_group_is_the_events_fault_if_the_event_names_it(code: str) -> None:
    """With a group of an event's own in the call that event is looked for; the handler's own is held."""
    body = json.dumps({"Code": code, "Message": "m", "RequestId": "R"}).encode()

    verdict = cms.verdict(404, {}, body, scheme="v1", has_own_group=True)

    assert verdict.kind is DATA
    assert "group_id" in verdict.detail


@pytest.mark.parametrize("judge", [cms.verdict, guance.verdict])
def test_json_that_is_not_the_services_is_something_in_the_way(judge: Callable[..., Verdict]) -> None:
    """A gateway of somebody else's may answer in JSON too."""
    more: dict[str, Any] = {"scheme": "v1"} if judge is cms.verdict else {}

    assert judge(404, {}, STRANGERS_JSON, **more).kind is SETTING


# --- entries of one answer ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidAccountIdException"])
@pytest.mark.parametrize(
    "others", [[], [{"ErrorCode": "ThrottlingException"}], [{"ErrorCode": "MalformedDetail"}]]
)
def test_a_permission_missing_for_the_bus_holds_every_entry(code: str, others: list[Any]) -> None:
    """All entries go to one bus; where none was taken, none is dropped."""
    entries = [*others, {"ErrorCode": code, "ErrorMessage": "no"}]

    with pytest.raises(MisconfiguredError) as raised:
        cloudwatch.outcomes({"Entries": entries}, len(entries), {})

    assert raised.value.code == code


def test_a_permission_that_others_had_is_tried_again_a_few_times() -> None:
    """A policy reaches AWS's machines one after the other; the bus takes events, so nothing is held."""
    entries = [{"EventId": "a"}, {"ErrorCode": "AccessDeniedException"}]

    delivered, refused = cloudwatch.outcomes({"Entries": entries}, 2, {})

    assert (delivered.disposition.value, refused.disposition.value) == ("delivered", "retry")
    assert refused.attempts_allowed == 3


@pytest.mark.parametrize("count", [1, 3])
def test_a_code_that_no_table_knows_for_every_entry_is_the_services_trouble(count: int) -> None:
    """The events are kept for as long as they may be, and the state says that nothing gets through."""
    with pytest.raises(TransientError) as raised:
        cloudwatch.outcomes({"Entries": [{"ErrorCode": "SomethingNew"}] * count}, count, {})

    assert (raised.value.code, raised.value.attempts_allowed) == ("SomethingNew", None)


def test_an_entry_without_id_and_code_is_tried_a_few_times() -> None:
    """It may have been taken."""
    (outcome,) = cloudwatch.outcomes({"Entries": [{}]}, 1, {})

    assert (outcome.code, outcome.attempts_allowed) == ("unproven", 3)


# --- codes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("judge", [of_cms, of_guance, of_cloudwatch])
def test_a_code_is_a_short_printable_name(judge: Callable[[int, str | None], Verdict]) -> None:
    """It becomes a counter's name and stands on a terminal, whatever the service sends."""
    code = judge(400, "Bad\x1b[31m\n" + "x" * 60_000).code

    assert len(code) == CODE_CHARACTERS
    assert code.isprintable()


def test_an_entrys_code_is_a_short_printable_name() -> None:
    """The same inside a 200."""
    entries = [{"ErrorCode": "Bad\x1b[31m\n" + "x" * 60_000}, {"EventId": "a"}]

    outcome, _ = cloudwatch.outcomes({"Entries": entries}, 2, {})

    assert len(outcome.code) == CODE_CHARACTERS
    assert outcome.code.isprintable()


def test_after_fifty_codes_the_rest_is_other() -> None:
    """A service that makes up a code for each answer fills neither the counters nor stderr."""
    codes = Codes()

    admitted = [codes.admit(Verdict(DATA, f"code {number}", "why")) for number in range(200)]

    assert len({verdict.code for verdict in admitted}) == 51
    assert admitted[-1].code == OTHER_CODE
    assert admitted[-1].detail == "code 199: why"
    assert codes.admit(Verdict(DATA, "code 7")).code == "code 7"
    assert codes.admit(Verdict(Kind.DELIVERED, "")).kind is Kind.DELIVERED


# --- the form of a table ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "matches"),
    [
        ("Throttling", "Throttling", True),
        ("Throttling", "throttling", True),
        ("Throttling", "Throttling.User", False),
        ("Throttling*", "Throttling.User", True),
        ("A B", "B", True),
        ("A B", "A B", False),
        ("5??", "503", True),
        ("5??", "5030", False),
        ("a.b", "axb", False),
    ],
)
def test_a_rules_words_match_whole_codes(words: str, code: str, matches: bool) -> None:
    """Blanks separate them, ``*`` and ``?`` stand for characters, and nothing else is special."""
    assert bool(rule(DATA, words, mend=Mend.CLOCK).words.fullmatch(code)) is matches

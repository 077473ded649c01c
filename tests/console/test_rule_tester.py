"""The rule tester: which events a rule would match, why not the others, and what is no rule."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from eventlog_handlers.console.records import StoredEvent
from eventlog_handlers.console.rules import RuleError, cms, eventbridge, guance

ENVELOPE = {
    "source": "shop.orders",
    "detail-type": "Log Exception",
    "detail": {
        "status": "error",
        "severity_number": 17,
        "message": "no teapots in /srv/lib/shop.py",
        "price": 1.5,
        "empty": "",
        "nothing": None,
        "flag": True,
        "host": {"ip": "10.1.2.3"},
        "tags": ["a", "b"],
        "none": [],
        "items": [{"id": 1, "kind": "cup"}, {"id": 2, "kind": "pot"}],
    },
}


def stored(service: str, body: Any, stored_as: Any, time: float = 0.0) -> StoredEvent:
    return StoredEvent(1, 1, service, time, time, "error", "t", body, stored_as, (), "", "p", "h", "", "", 1)


# --- EventBridge -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ({"source": ["shop.orders"]}, True),
        ({"source": ["shop"]}, False),
        ({"source": ["shop", "shop.orders"]}, True),
        ({"source": [{"prefix": "shop."}]}, True),
        ({"source": [{"prefix": {"equals-ignore-case": "SHOP."}}]}, True),
        ({"source": [{"suffix": ".orders"}]}, True),
        ({"source": [{"suffix": {"equals-ignore-case": ".ORDERS"}}]}, True),
        ({"source": [{"equals-ignore-case": "SHOP.Orders"}]}, True),
        ({"source": [{"wildcard": "shop.*"}]}, True),
        ({"source": [{"wildcard": "*op.or*"}]}, True),
        ({"source": [{"wildcard": "shop.*x"}]}, False),
        ({"source": [{"wildcard": "shop.orders*shop.orders"}]}, False),
        ({"source": [{"anything-but": "shop"}]}, True),
        ({"source": [{"anything-but": ["shop", "shop.orders"]}]}, False),
        ({"source": [{"anything-but": {"prefix": "shop."}}]}, False),
        ({"source": [{"anything-but": {"suffix": [".x", ".orders"]}}]}, False),
        ({"source": [{"anything-but": {"wildcard": "*pay*"}}]}, True),
        ({"source": [{"anything-but": {"equals-ignore-case": "SHOP.ORDERS"}}]}, False),
        ({"missing": [{"anything-but": "x"}]}, False),
        ({"detail": {"severity_number": [17]}}, True),
        ({"detail": {"severity_number": [17.0]}}, False),
        ({"detail": {"severity_number": ["17"]}}, False),
        ({"detail": {"severity_number": [{"numeric": [">=", 17]}]}}, True),
        ({"detail": {"severity_number": [{"numeric": [">", 17]}]}}, False),
        ({"detail": {"price": [{"numeric": [">", 1, "<=", 1.5]}]}}, True),
        ({"detail": {"price": [{"numeric": ["=", 1.5]}]}}, True),
        ({"detail": {"flag": [{"numeric": ["=", 1]}]}}, False),
        ({"detail": {"flag": [True]}}, True),
        ({"detail": {"empty": [""]}}, True),
        ({"detail": {"nothing": [None]}}, True),
        ({"detail": {"absent": [None]}}, False),
        ({"detail": {"absent": [{"exists": False}]}}, True),
        ({"detail": {"none": [{"exists": False}]}}, True),
        ({"detail": {"empty": [{"exists": False}]}}, False),
        ({"detail": {"empty": [{"exists": True}]}}, True),
        ({"detail": {"host": [{"exists": True}]}}, False),
        ({"detail": {"absent": {"deeper": [{"exists": False}]}}}, True),
        ({"detail": {"host": {"ip": [{"cidr": "10.0.0.0/8"}]}}}, True),
        ({"detail": {"host": {"ip": [{"cidr": "192.168.0.0/16"}]}}}, False),
        ({"detail": {"status": [{"cidr": "10.0.0.0/8"}]}}, False),
        ({"detail": {"tags": ["b"]}}, True),
        ({"detail": {"tags": ["c"]}}, False),
        ({"detail": {"items": {"kind": ["pot"]}}}, True),
        ({"detail": {"items": {"kind": ["plate"]}}}, False),
        ({"$or": [{"source": ["x"]}, {"detail": {"status": ["error"]}}]}, True),
        ({"$or": [{"source": ["x"]}, {"detail": {"status": ["ok"]}}]}, False),
        ({"detail": {"status": ["error"], "$or": [{"price": [2]}, {"flag": [True]}]}}, True),
    ],
)
def test_event_patterns(pattern: Any, matches: bool) -> None:
    """Each operator of the user guide's table, on a value that has it and on one that has not."""
    rule = eventbridge.read(json.dumps(pattern))

    assert (rule.why_not(stored("cloudwatch", {}, ENVELOPE)) == []) is matches


@pytest.mark.parametrize(
    ("pattern", "reasons"),
    [
        ({"source": ["x"]}, ['source is "shop.orders": not "x"']),
        ({"detail": {"absent": ["x", "y"]}}, ['detail.absent is missing: none of "x", "y"']),
        (
            {"detail": {"severity_number": [{"numeric": [">", 17, "<", 20]}], "status": ["ok"]}},
            ["detail.severity_number is 17: not > 17 and < 20", 'detail.status is "error": not "ok"'],
        ),
        ({"detail": {"empty": [{"exists": False}]}}, ['detail.empty is "": not absent']),
        (
            {"$or": [{"source": ["x"]}, {"source": ["y"]}]},
            [
                'no branch of $or at the top: source is "shop.orders": not "x"; '
                'source is "shop.orders": not "y"'
            ],
        ),
    ],
)
def test_says_why_a_pattern_does_not_match(pattern: Any, reasons: list[str]) -> None:
    """The field, what it is, and what it would have to be."""
    assert eventbridge.read(json.dumps(pattern)).why_not(stored("cloudwatch", {}, ENVELOPE)) == reasons


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        ("{}", "empty"),
        ('{"source": "x"}', "takes a list"),
        ('{"source": []}', "takes a list"),
        ('{"source": [["x"]]}', "list inside a list"),
        ('{"source": [{"prefixes": "x"}]}', "no operator 'prefixes'"),
        ('{"source": [{"prefix": 1}]}', "prefix doesn't take 1"),
        ('{"source": [{"prefix": "a", "suffix": "b"}]}', "one operator"),
        ('{"source": [{"wildcard": "a**b"}]}', "wildcard doesn't take"),
        ('{"source": [{"numeric": [">"]}]}', "numeric doesn't take"),
        ('{"source": [{"numeric": ["!=", 1]}]}', "numeric doesn't take"),
        ('{"source": [{"exists": "yes"}]}', "exists doesn't take"),
        ('{"source": [{"cidr": "10.0.0.0/99"}]}', "cidr doesn't take"),
        ('{"source": [{"anything-but": {"numeric": [">", 1]}}]}', "anything-but doesn't take"),
        ('{"source": [{"anything-but": []}]}', "anything-but doesn't take"),
        ('{"$or": [{"source": ["x"]}]}', "two or more"),
        ('{"a":' * 60 + '["x"]' + "}" * 60, "nested too deeply"),
    ],
)
def test_refuses_what_is_no_pattern(text: str, words: str) -> None:
    """In words, as put-rule would by a code."""
    with pytest.raises(RuleError, match=words):
        eventbridge.read(text)


def test_reads_every_pattern_of_the_docs() -> None:
    """docs/storms.md has them to be pasted."""
    text = (Path(__file__).parents[2] / "docs" / "storms.md").read_text("utf-8")
    patterns = re.findall(r"<!-- rule: [\w-]+ -->\n```json\n(.*?)```", text, re.DOTALL)

    assert len(patterns) > 5
    for pattern in patterns:
        eventbridge.read(pattern)


# --- CMS -------------------------------------------------------------------------------------------------

ALARM = {"EventName": "shop.orders", "GroupId": "0", "Threshold": 2, "Period": 60}


@pytest.mark.parametrize(
    ("event", "reasons"),
    [
        ({"EventName": "shop.orders"}, []),
        ({"EventName": "shop.orders", "GroupId": "0"}, []),
        ({"EventName": "shop.orders", "GroupId": "7"}, ["GroupId is '7': not '0'"]),
        ({"EventName": "shop"}, ["EventName is 'shop': not 'shop.orders'"]),
    ],
)
def test_alarm_rules(event: dict[str, str], reasons: list[str]) -> None:
    """A whole name and a group; no group is group 0."""
    assert cms.read(json.dumps(ALARM)).why_not(stored("cms", event, {})) == reasons


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([], "does not fire: never 2 within 60 s, 0 in all"),
        ([0, 60], "does not fire: never 2 within 60 s, 2 in all"),
        ([0, 100, 159.5], "fires at 1970-01-01 00:02:39 UTC: 2 within 60 s"),
    ],
)
def test_alarm_rules_count_within_a_period(times: list[float], words: str) -> None:
    """By the events' own times, in any order of arrival."""
    events = [stored("cms", {}, {}, time) for time in reversed(times)]

    assert cms.read(json.dumps(ALARM)).summary(events) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "not JSON"),
        ("[]", "not an object"),
        (json.dumps(ALARM | {"Name": "x"}), "no parameter 'Name'"),
        (json.dumps(ALARM | {"EventName": ""}), "EventName is required"),
        (json.dumps(ALARM | {"Threshold": 0}), "Threshold is a whole number"),
        (json.dumps(ALARM | {"Period": 90}), "multiple of 60"),
        (json.dumps(ALARM | {"Level": "ERROR"}), "Level is"),
    ],
)
def test_refuses_what_is_no_alarm_rule(text: str, words: str) -> None:
    """By what the page of PutCustomEventRule asks for."""
    with pytest.raises(RuleError, match=words):
        cms.read(text)


# --- Guance ----------------------------------------------------------------------------------------------

TAGGED = {
    "df_status": "error",
    "df_title": "No teapots",
    "df_message": "out of stock",
    "service": "shop",
    "exc_type": "TimeoutError",
    "repeat_count": "120",
    "event_name": "incident db",
    "odd": "a.b+c",
}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("status:error", True),
        ("df_status:error", True),
        ("status:err", False),
        ("-status:error", False),
        ("-status:ok", True),
        ("NOT status:ok", True),
        ("service:shop status:error", True),
        ("service:shop AND status:ok", False),
        ("service:x OR status:error", True),
        ("service:x AND status:ok OR service:shop", True),
        ("service:x AND (status:ok OR service:shop)", False),
        ("NOT (status:ok OR service:x)", True),
        ("exc_type:Timeout*", True),
        ("exc_type:Time?utError", True),
        ("exc_type:T*Err*", True),
        ("exc_type:T*x*", False),
        ("exc_type:*", True),
        ("absent:*", False),
        ("-absent:*", True),
        ("repeat_count:>100", True),
        ("repeat_count:>=120", True),
        ("repeat_count:<120", False),
        ("repeat_count:[1 TO 120]", True),
        ("repeat_count:[1 - 119]", False),
        ("service:>1", False),
        ("status:(error OR critical)", True),
        ("status:(ok OR crit*)", False),
        ("exc_type:(Time* AND *)", True),
        ('event_name:"incident db"', True),
        ('event_name:("incident db" OR x)', True),
        ("event_name:incident", False),
        ("odd:a.b+c", True),
        ("odd:a?b+*", True),
        ("teapots", True),
        ("TEAPOTS stock", True),
        ("tea*ots", True),
        ("saucer", False),
        ('"out of stock"', True),
        ('"of out"', False),
        ("NOT saucer", True),
    ],
)
def test_filters(text: str, matches: bool) -> None:
    """Each form of the explorer's page."""
    assert (guance.read(text).why_not(stored("guance", {}, TAGGED)) == []) is matches


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("status:ok service:x", ["status is 'error': not ok", "service is 'shop': not x"]),
        ("status:ok OR absent:1", ["status is 'error': not ok and absent is missing"]),
        ("-service:shop", ["service:shop holds"]),
        ("saucer", ["saucer stands nowhere in it"]),
    ],
)
def test_says_why_a_filter_does_not_match(text: str, reasons: list[str]) -> None:
    """The key, what it is, and what it would have to be."""
    assert guance.read(text).why_not(stored("guance", {}, TAGGED)) == reasons


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" ", "empty"),
        ("status:", "lacks a value"),
        ("(status:ok", "not closed"),
        ("status:(ok", "not closed"),
        ("status:ok)", "one too many"),
        ("status:ok OR", "missing before the end|missing before 'the end'"),
        ("AND status:ok", "missing before 'AND'"),
        ("count:>many", "no number"),
        ("exc_type:*Error", "wildcard can't be the first"),
        ("*pots", "wildcard can't be the first"),
        ("status:()", "lacks a value"),
        ("(" * 60 + "a" + ")" * 60, "nested too deeply"),
        ("a " * 600, "more than 500"),
    ],
)
def test_refuses_what_is_no_filter(text: str, words: str) -> None:
    """In words."""
    with pytest.raises(RuleError, match=words):
        guance.read(text)


def test_wildcards_take_linear_time() -> None:
    """What a backtracking matcher would spend a lifetime on."""
    long = {"text": "a" * 50_000}

    assert guance.read(f"text:{'a*' * 30}b").why_not(stored("guance", {}, long)) != []
    pattern = json.dumps({"text": [{"wildcard": "a*" * 30 + "b"}]})
    assert eventbridge.read(pattern).why_not(stored("cloudwatch", {}, long)) != []

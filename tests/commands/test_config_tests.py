"""``eventlog-handlers test``: unit tests of a configuration, run against the embedded stand-in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eventlog_handlers.cli import main
from eventlog_handlers.commands.expectations import differences

CASES = """
dsn: guance://cn1?service=shop
options:
  level_map: {WARNING: error}
  tags: {team: checkout}
tests:
  - name: a warning is an error here
    record: {logger: shop.stock, level: WARNING, message: "only %d left", args: [2], extra: {sku: A-7}}
    event:
      status: error
      title: only 2 left
      customTags: {team: checkout, sku: A-7, event_uid: {matches: "^[0-9a-f]{32}$"}, password: {absent: true}}
  - name: a traceback goes along
    record:
      message: it failed
      exception: "Traceback (most recent call last):\\nKeyError: 'A-7'"
    event:
      message: {contains: "KeyError: 'A-7'"}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(CASES)
    return path


def test_records_become_the_events_that_are_expected(file, capsys):
    """In the service's own form; no key and no account needed."""
    assert main(["test", str(file)]) == 0

    out = capsys.readouterr().out
    assert "✓ a warning is an error here" in out
    assert "2 passed, 0 failed" in out


def test_what_differs_is_named_and_the_exit_code_is_1(file, capsys):
    """With what was found and what was expected."""
    file.write_text(CASES.replace("status: error", "status: warning"))

    assert main(["test", str(file), "--json"]) == 1

    first, second = json.loads(capsys.readouterr().out)
    assert first["differences"] == ["status is 'error': 'warning' is expected"]
    assert second["passed"]


@pytest.mark.parametrize("dsn", ["cms://cn-hangzhou", "cloudwatch://default"])
def test_the_other_services_too(dsn, tmp_path, capsys):
    """EventBridge's Detail is opened; a record below the handler's filter makes no event."""
    expected = (
        {"Content": {"contains": "ERROR boom"}} if dsn.startswith("cms") else {"Detail": {"message": "boom"}}
    )
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"dsn": dsn, "tests": [{"record": {"message": "boom"}, "event": expected}]}))

    assert main(["test", str(path)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "no dsn"),
        ('{"dsn": "guance://cn1"}', "no tests"),
        ('{"dsn": "guance://cn1", "tests": [{}]}', "test 1 has no record"),
        ('{"dsn": "guance://cn1", "tests": [{"record": {"msg": 1}, "event": {}}]}', "unknown key msg"),
        ('{"dsn": "guance://cn1", "tests": [{"record": {}, "evnt": {}}]}', "unknown key evnt"),
        ('{"dsn": "guance://cn1", "tests": [{"record": {}}]}', "needs one of"),
        ('{"dsn": "gance://cn1", "tests": [{"record": {}, "event": {}}]}', "guance"),
        ("{", "can't be parsed"),
    ],
)
def test_a_file_that_is_none_ends_with_2(text, words, tmp_path, capsys):
    """Before anything runs."""
    path = tmp_path / "rules.json"
    path.write_text(text)

    assert main(["test", str(path)]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("expected", "found", "told"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {"a": 2}, ["a is 2: 1 is expected"]),
        ({"a": {"b": 1}}, {"a": {}}, ["a.b is missing: 1 is expected"]),
        ({"a": {"b": 1}}, {"a": 3}, ["a is 3, not an object"]),
        ({"a": {"contains": "x"}}, {"a": "yxz"}, []),
        ({"a": {"contains": "x"}}, {"a": "y"}, ["a is 'y': it is to contain 'x'"]),
        ({"a": {"matches": "^y"}}, {"a": "xy"}, ["a is 'xy': it is to match '^y'"]),
        ({"a": {"absent": True}}, {}, []),
        ({"a": {"absent": True}}, {"a": 1}, ["a is 1: it is to be absent"]),
        ({"a": {"contains": "x"}}, {}, ["a is missing"]),
    ],
)
def test_what_is_expected_is_a_part_of_what_is_there(expected, found, told):
    """Equal values, or one of three questions."""
    assert list(differences(expected, found)) == told

"""``eventlog-handlers put-events``: the AWS CLI's input and answer; the failed entries alone go again."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from eventlog_handlers.cli import main
from eventlog_handlers.commands.put_events import InputError, entries_of, put_all
from eventlog_handlers.errors import MisconfiguredError, ThrottledError

ENTRY = {"Source": "shop", "DetailType": "order", "Detail": "{}"}


def taken(count: int) -> dict:
    return {"Entries": [{"EventId": f"id-{number}"} for number in range(count)]}


class Service:
    """Answers each request with the next of *answers*."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests: list[list[dict]] = []

    def __call__(self, entries):
        self.requests.append(entries)
        answer = self.answers.pop(0) if self.answers else taken(len(entries))
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_only_the_entries_that_failed_go_again():
    """Results stand in the order of the entries."""
    entries = [{**ENTRY, "DetailType": str(number)} for number in range(3)]
    throttled = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
    service = Service(
        {"Entries": [{"EventId": "a"}, throttled, {"EventId": "c"}]}, {"Entries": [{"EventId": "b"}]}
    )
    slept: list[float] = []

    results, problem = put_all(entries, service, 5, slept.append)

    assert [result["EventId"] for result in results] == ["a", "b", "c"]
    assert [[entry["DetailType"] for entry in request] for request in service.requests] == [
        ["0", "1", "2"],
        ["1"],
    ]
    assert problem == ""
    assert len(slept) == 1


def test_more_than_ten_and_more_than_a_request_s_bytes_are_split():
    """By AWS's own count of bytes."""
    service = Service()
    put_all([ENTRY] * 23, service, 1, lambda _: None)
    assert [len(request) for request in service.requests] == [10, 10, 3]

    service = Service()
    put_all([{**ENTRY, "Detail": json.dumps({"x": "y" * 100_000})}] * 4, service, 1, lambda _: None)
    assert [len(request) for request in service.requests] == [2, 2]


def test_an_entry_that_is_refused_is_not_tried_again():
    """And one that is throttled for ever fails after the last try."""
    refused = {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    service = Service({"Entries": [refused, {"EventId": "b"}]})
    results, _ = put_all([ENTRY, ENTRY], service, 5, lambda _: None)
    assert (results[0], len(service.requests)) == (refused, 1)

    service = Service(*[ThrottledError("ThrottlingException", "slow down")] * 9)
    results, _ = put_all([ENTRY], service, 3, lambda _: None)
    assert results == [{"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}]
    assert len(service.requests) == 3


def test_a_missing_permission_stops_the_command():
    """What was not sent says so."""
    service = Service(MisconfiguredError("AccessDeniedException", "no events:PutEvents"))

    results, problem = put_all([ENTRY] * 11, service, 5, lambda _: None)

    assert {result["ErrorCode"] for result in results[:10]} == {"AccessDeniedException"}
    assert results[10]["ErrorCode"] == "NotSent"
    assert "events:PutEvents" in problem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no json", "is no JSON"),
        ("[]", "at least one"),
        ("{}", "JSON list"),
        ("[1]", "entry 0 is no object"),
        ('[{"Source": "a", "detail": "{}"}]', "unknown member detail"),
        ('[{"Detail": {"a": 1}}]', "Detail of entry 0 is no text"),
        ('[{"Resources": "arn"}]', "Resources of entry 0"),
        ('[{"Time": "yesterday"}]', "Time of entry 0"),
    ],
)
def test_input_that_is_none_is_named(text, words):
    """Before anything is sent."""
    with pytest.raises(InputError, match=words):
        entries_of(text)


def test_times_are_read_as_the_aws_cli_reads_them():
    """Epoch seconds, as a number or text, and ISO 8601."""
    given = [
        {"Time": 0},
        {"Time": "0"},
        {"Time": "1970-01-01T00:00:00Z"},
        {"Time": "1970-01-01T02:00:00+02:00"},
    ]

    assert {entry["Time"] for entry in entries_of(json.dumps(given))} == {
        datetime(1970, 1, 1, tzinfo=timezone.utc)
    }


def test_the_command_answers_as_the_aws_cli_does(tmp_path, capsys, monkeypatch, eventlog_console):
    """FailedEntryCount and one result an entry; 1 where one failed in the end."""
    monkeypatch.setenv("EVENTLOG_CONSOLE", eventlog_console.url)
    path = tmp_path / "entries.json"
    path.write_text(json.dumps([ENTRY, {**ENTRY, "Detail": "no json"}]))

    code = main(["put-events", "--entries", f"file://{path}", "--event-bus-name", "orders"])

    answer = json.loads(capsys.readouterr().out)
    assert code == 1
    assert answer["FailedEntryCount"] == 1
    assert set(answer["Entries"][0]) == {"EventId"}
    assert answer["Entries"][1]["ErrorCode"] == "MalformedDetail"
    assert main(["put-events", "--entries", json.dumps([ENTRY])]) == 0
    assert len(eventlog_console.events("cloudwatch")) == 2
    assert main(["put-events", "--entries", "file:///no/such/file"]) == 1
    assert main(["put-events", "--entries", "[{]"]) == 2

"""``eventlog-handlers put-events``: ``aws events put-events`` that repeats the entries that failed.

Same input and same JSON answer as the AWS CLI. It splits by ten entries and by size, sends only the failed
entries again, and exits with 1 if one failed in the end, where the AWS CLI exits with 0.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from eventlog_handlers.commands.output import failure
from eventlog_handlers.errors import MissingExtraError, SinkError, ThrottledError, TransientError
from eventlog_handlers.events import Disposition, Outcome
from eventlog_handlers.process.randomness import random_fraction
from eventlog_handlers.services.cloudwatch.answers import outcomes
from eventlog_handlers.services.cloudwatch.entry import MAX_ENTRIES, entry_size
from eventlog_handlers.settings import local_console

_MEMBERS = {"Time", "Source", "Resources", "DetailType", "Detail", "EventBusName", "TraceHeader"}
_REQUEST_BYTES = 261_120  # every region takes this; a single larger entry goes alone, and the service judges
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 20.0

Put = Callable[[list[dict[str, Any]]], Mapping[str, Any]]


class InputError(Exception):
    """PutEvents would refuse these entries; the text says why."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "put-events",
        help="aws events put-events, which repeats the entries that failed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--entries",
        required=True,
        metavar="JSON",
        help="file://entries.json, or the list itself, or - for stdin",
    )
    parser.add_argument("--endpoint-url", metavar="URL", help="another endpoint")
    parser.add_argument("--region", metavar="NAME", help="region (default: as boto3 finds it)")
    parser.add_argument("--profile", metavar="NAME", help="profile of the AWS configuration")
    parser.add_argument("--event-bus-name", metavar="NAME", help="bus of the entries that name none")
    parser.add_argument(
        "--max-attempts", type=_attempts, default=5, metavar="N", help="tries of an entry (default: 5)"
    )
    parser.set_defaults(run=_run)


def _attempts(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tries: 1 to 100")
    return int(text)


def _run(chosen: argparse.Namespace) -> int:
    try:
        entries = entries_of(_text(chosen.entries), chosen.event_bus_name)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        return failure(f"can't read {chosen.entries}: {error.strerror}")
    results, problem = put_all(entries, _client(chosen), chosen.max_attempts, time.sleep)
    failed = sum("ErrorCode" in result for result in results)
    print(json.dumps({"FailedEntryCount": failed, "Entries": results}, ensure_ascii=False, indent=4))
    if problem:
        return failure(problem)
    return failure(f"{failed} of {len(results)} entries failed") if failed else 0


def _text(given: str) -> str:
    if given == "-":
        return sys.stdin.read()
    if given.startswith(("file://", "fileb://")):
        return Path(given.partition("://")[2]).expanduser().read_text("utf-8")
    return given


def entries_of(text: str, event_bus_name: str | None = None) -> list[dict[str, Any]]:
    """The entries in *text*, a JSON list or an object with ``Entries``; raises InputError."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"--entries is no JSON ({error}): give a list of entries, or file://PATH") from None
    if isinstance(given, dict) and "Entries" in given:
        given = given["Entries"]
    if not isinstance(given, list) or not given:
        raise InputError("--entries takes a JSON list with at least one entry")
    return [_entry(number, one, event_bus_name) for number, one in enumerate(given)]


def _entry(number: int, given: object, event_bus_name: str | None) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InputError(f"entry {number} is no object")
    if unknown := given.keys() - _MEMBERS:
        raise InputError(
            f"entry {number} has the unknown member {sorted(unknown)[0]}: it takes "
            f"{', '.join(sorted(_MEMBERS))}"
        )
    entry = dict(given)
    for name in _MEMBERS - {"Time", "Resources"}:
        if not isinstance(entry.get(name, ""), str):
            raise InputError(f"{name} of entry {number} is no text: Detail is JSON inside a string")
    resources = entry.get("Resources", [])
    if not isinstance(resources, list) or not all(isinstance(one, str) for one in resources):
        raise InputError(f"Resources of entry {number} is no list of texts")
    if "Time" in entry:
        entry["Time"] = _time(number, entry["Time"])
    if event_bus_name is not None:
        entry.setdefault("EventBusName", event_bus_name)
    return entry


def _time(number: int, given: object) -> datetime:
    """Epoch seconds or ISO 8601, as the AWS CLI takes it."""
    try:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return datetime.fromtimestamp(given, timezone.utc)
        text = str(given).strip()
        try:
            return datetime.fromtimestamp(float(text), timezone.utc)
        except ValueError:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
            return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise InputError(
            f"Time of entry {number} is no time: give 2026-11-20T10:00:00Z or seconds since 1970"
        ) from None


def _client(chosen: argparse.Namespace) -> Put:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise MissingExtraError("put-events needs boto3: pip install 'eventlog-handlers[aws]'") from None
    console = local_console.console_url(os.environ)
    keys: dict[str, Any] = {}
    if console:
        keys = {
            "aws_access_key_id": local_console.CONSOLE_AWS_ACCESS_KEY_ID,
            "aws_secret_access_key": local_console.CONSOLE_AWS_SECRET_ACCESS_KEY,
        }
    try:
        client = boto3.Session(profile_name=chosen.profile).client(
            "events",
            region_name=chosen.region or (local_console.CONSOLE_AWS_REGION if console else None),
            endpoint_url=chosen.endpoint_url or console,
            config=Config(retries={"mode": "standard", "total_max_attempts": 1}, parameter_validation=False),
            **keys,
        )
    except (BotoCoreError, ValueError) as error:
        raise MissingExtraError(f"no client for EventBridge: {error}") from None

    def put(entries: list[dict[str, Any]]) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = client.put_events(Entries=entries)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            kind = ThrottledError if "Throttl" in code or "TooManyRequests" in code else SinkError
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
                kind = TransientError
            raise kind(code, str(error)) from None
        except BotoCoreError as error:
            kind = SinkError if "Credential" in type(error).__name__ else TransientError
            raise kind(type(error).__name__, str(error)) from None
        return answer

    return put


def put_all(
    entries: Sequence[dict[str, Any]], put: Put, max_attempts: int, sleep: Callable[[float], object]
) -> tuple[list[dict[str, Any]], str]:
    """Send *entries*; returns one result per entry, in order, and the error that ended it ("" if none).

    *put* sends one request and raises SinkError: transient and throttled ones are tried again, any other
    stops the command. A result is the service's own: ``EventId``, or ``ErrorCode`` and ``ErrorMessage``.
    """
    results: list[dict[str, Any]] = [
        {"ErrorCode": "NotSent", "ErrorMessage": "the command stopped before"} for _ in entries
    ]
    todo = list(range(len(entries)))
    for attempt in range(1, max_attempts + 1):
        again: list[int] = []
        for batch in _batches(todo, entries):
            try:
                answer = put([entries[index] for index in batch])
            except (ThrottledError, TransientError) as error:
                again += batch
                for index in batch:
                    results[index] = {"ErrorCode": error.code, "ErrorMessage": error.detail}
                continue
            except SinkError as error:
                for index in batch:
                    results[index] = {"ErrorCode": error.code, "ErrorMessage": error.detail}
                return results, str(error)
            try:
                judged = outcomes(answer, len(batch), {})
            except TransientError as error:  # a 200 that proves nothing
                again += batch
                for index in batch:
                    results[index] = {"ErrorCode": error.code, "ErrorMessage": error.detail}
                continue
            except SinkError:  # a wrong bus or permission, the same for all of them: to try again is no use
                judged = [Outcome(Disposition.REJECTED)] * len(batch)
            for index, outcome, result in zip(batch, judged, answer["Entries"], strict=True):
                results[index] = dict(result)
                if outcome.disposition is Disposition.RETRY:
                    again.append(index)
        todo = again
        if not todo:
            break
        if attempt < max_attempts:
            sleep(random_fraction() * min(_LONGEST_DELAY, _FIRST_DELAY * 2**attempt))
    return results, ""


def _batches(todo: Sequence[int], entries: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    batches: list[list[int]] = []
    size = 0
    for index in todo:
        own = entry_size(entries[index])
        if not batches or len(batches[-1]) >= MAX_ENTRIES or size + own > _REQUEST_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(index)
        size += own
    return batches

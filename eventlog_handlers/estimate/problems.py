"""Finds out which records of a log are one problem, from the printed text. Pure.

A log holds finished messages and printed tracebacks, a handler sees templates and frames: so the digits are
not those of ``Event.fingerprint``, but they fall into the same groups, or finer ones where a message without
traceback holds names that change.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from eventlog_handlers.estimate.records import LINKS, Record
from eventlog_handlers.record import fingerprint
from eventlog_handlers.record.traceback_text import TRACEBACK

_FRAME = re.compile(r'^[\s|+]*File "(?P<file>[^"]*)", line \d+(?:, in (?P<function>.*)|\s*)$')
_STANDARD_LIBRARY = re.compile(
    r"[/\\](?:lib(?:64)?[/\\]python3\.\d+|Python3\d+[/\\]Lib)[/\\](?!site-packages)"
)
_TYPE = re.compile(r"^(?P<type>[^\W\d][\w.]*(?:\.<locals>\.\w+)?)(?::(?:\s|$)|$)")


class Problem(NamedTuple):
    """The values that the records of one fingerprint have in common."""

    fingerprint: str
    title: str
    """The first record's, for people."""


def problem_of(record: Record) -> Problem:
    """The problem *record* belongs to."""
    types, places = read_traceback(record.traceback) if record.traceback else ((), ())
    digits = None
    if places:
        own = [place for place in places if not _STANDARD_LIBRARY.search(place[0])] or list(places)
        digits = fingerprint.of_exception(types, own, ())
    if digits is None:
        digits = fingerprint.of_message(
            record.logger, record.message[:4_096], "", has_arguments=False, types=types
        )
    return Problem(digits, _title(record, types))


def _title(record: Record, types: tuple[str, ...]) -> str:
    message = record.message.split("\n", 1)[0]
    if not types:
        return f"{record.logger}: {message}"
    return f"{record.logger}: {types[0]}: {message}" if message else f"{record.logger}: {types[0]}"


def read_traceback(text: str) -> tuple[tuple[str, ...], tuple[fingerprint.Position, ...]]:
    """Types and places of a printed chain, both from the exception that was raised last back to the first."""
    links: list[tuple[list[str], list[fingerprint.Position]]] = [([], [])]
    in_frames = False
    for line in text.split("\n"):
        types, places = links[-1]
        bare = line.strip(" |+-") if "|" in line[:12] or "+" in line[:12] else line
        if bare.strip() in LINKS:
            links.append(([], []))
            in_frames = False
        elif TRACEBACK in line:
            in_frames = True
        elif in_frames and (frame := _FRAME.match(line)):
            places.append((frame["file"], (frame["function"] or "").rstrip()))
        elif in_frames and bare and not bare[0].isspace() and (last := _TYPE.match(bare)):
            # A group's bars are taken off with the blanks, so source lines look like ends: not "pay", not "x"
            if bare is not line and "." not in last["type"] and not last["type"][0].isupper():
                continue
            types.append(last["type"])
            in_frames = False  # what follows is the rest of its message, or a note
    found = [link for link in reversed(links) if link[0] or link[1]]
    return (
        tuple(name for names, _ in found for name in names),
        tuple(place for _, passed in found for place in passed),
    )

"""Looks up the documented rule behind a refusal, and the page that states it, in the table ``why.tsv``.

One row per rule, the first that fits counts: the service, a regular expression over the whole code, one that
is looked for in the message, the rule, and the address of its page. Without a page it is a rule of this
stand-in's own, which no document states. Pages were read on 2026-11-20 and 2026-11-28.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Rule(NamedTuple):
    """A rule of a service."""

    text: str
    page: str
    """The address of the document; "" for a rule of this stand-in's own."""


def rule_behind(service: str, code: str, message: str) -> Rule | None:
    """The rule that a refusal stands for; None for a code that is not in the table, as a script may make."""
    if code == "scripted":
        return Rule("A fault on demand answered: the service did not see the request.", "")
    for row in _table():
        of_service, of_code, in_message, text, page = row
        if of_service == service and re.fullmatch(of_code, code) and re.search(in_message, message):
            return Rule(text, page)
    return None


@cache
def _table() -> tuple[tuple[str, ...], ...]:
    text = files(__package__).joinpath("why.tsv").read_text(encoding="utf-8")
    rows = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return tuple(map(tuple, rows))[1:]

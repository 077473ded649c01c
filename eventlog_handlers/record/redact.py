"""Secrets of the application, taken out of its events. Pure.

Two nets, for neither is tight alone:

- by name (secret_names.py): an extra at any depth, a label or a ``name=value`` in a text whose name speaks of
  a secret loses its value (secret_values.py);
- by form (secret_forms.py): a text that looks like a key, a token or a password in a URL is replaced wherever
  it stands.

Here: which texts of an event are looked at, and how both nets go over one text. Not here:
our own credentials (which are ``Secret`` objects and never enter an event) and what one service wants.
Redaction takes time linear in the text, for any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any

from eventlog_handlers.events import JSON, Event
from eventlog_handlers.record.fingerprint import masked
from eventlog_handlers.record.secret_forms import REDACTED, without_forms
from eventlog_handlers.record.secret_names import Kind, SecretNames
from eventlog_handlers.record.secret_values import (
    REST_OF_NAME,
    SourceLines,
    is_value,
    start_of_name,
    value_of,
)
from eventlog_handlers.text.fit import unused
from eventlog_handlers.text.lazy_patterns import lazy

_FLAG = lazy(r"""(?<![\w-])--([A-Za-z][\w-]{1,40})["']?,?[ \t]{1,3}["']?(?!-)([^\s"',\]]+)""")
_FRAME = lazy(r'[ |]{0,200}File "[^\n]*", line \d+')
_PERSON = lazy(r"[^\s@]{1,64}@[^\s@]{1,200}")
_LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

_REPEATING_TEXTS = ("logger", "thread_name", "event_name", "group_id", "detail_type")
_REPEATING_CHARACTERS = 200  # longer texts are not remembered
_STACK_CHARACTERS = 8_192  # nor longer stacks


class Redactor:
    """Replaces what looks like a secret by REDACTED, and leaves all else as it is.

    *names* are further names of secrets, as ``SecretNames`` takes them. Immutable once made, so any thread
    may use it.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = SecretNames(names)
        self._repeating = lru_cache(maxsize=2_048)(self.text)
        self._repeating_stack = lru_cache(maxsize=64)(partial(self.text, is_traceback=True))

    def redact(self, event: Event) -> Event:
        """*event* without secrets. Its fingerprint stays: it is a hash, and of the text as it was."""
        changed: dict[str, Any] = {}
        message, template = event.message, event.template
        shown = self.text(message)
        if shown is not message:
            changed["message"] = shown
        # Without arguments both are one text; with them the template is a literal of the program.
        shown = shown if template == message else self._repeated(template)
        if shown != template:
            changed["template"] = shown
        for field in _REPEATING_TEXTS:
            text = getattr(event, field)
            if text and (shown := self._repeated(text)) != text:
                changed[field] = shown
        if event.stack:
            changed["stack"] = self._stack(event.stack)
        if event.exception is not None:
            changed["exception"] = event.exception._replace(
                message=self.text(event.exception.message),
                stacktrace=self._stack(event.exception.stacktrace),
            )
        if event.attributes:
            changed["attributes"] = self._object(event.attributes.items())
        if event.tags:
            changed["tags"] = self._object(event.tags.items())
        if event.resources:
            changed["resources"] = tuple(map(self.text, event.resources))
        if event.defects:
            changed["defects"] = tuple(map(self.text, event.defects))
        return event._replace(**changed) if changed else event

    def withheld(self, event: Event, why: str) -> Event:
        """The least of *event*, for when the hook that was to tidy it up failed: no value that came with it.

        These stay: place, time, level, types, the frames without their source lines, and the message before
        its arguments were put in, where numbers, ids and addresses are masked as it may be a finished text.
        """
        template = _PERSON.sub("#", masked(self.text(event.template)))
        exception = event.exception
        if exception is not None:
            frames = [line for line in exception.stacktrace.split("\n") if _FRAME.match(line)]
            exception = exception._replace(message="", stacktrace="\n".join([*frames, exception.type]))
        return self.redact(event)._replace(
            message=template,
            template=template,
            exception=exception,
            stack="",
            attributes={},
            event_name=None,
            resources=None,
            detail_type=None,
            defects=(why,),
        )

    def text(self, text: str, *, is_traceback: bool = False) -> str:
        """*text* without secrets. In a traceback a source line is code: only its literals hold values."""
        text = without_forms(text)
        if "--" in text:
            text = _FLAG.sub(self._flag, text)
        pairs = self._pairs(text) if "=" in text or ":" in text else None
        return self._without_values(text, pairs, is_traceback) if pairs else text

    def is_secret(self, name: str) -> bool:
        """Whether a value of this *name* is a secret."""
        return self._names.kind(name) is not None

    def _repeated(self, text: str) -> str:
        """As ``text``, for what many events have in common: remembered."""
        return self._repeating(text) if len(text) <= _REPEATING_CHARACTERS else self.text(text)

    def _stack(self, text: str) -> str:
        """As ``text`` for a traceback: one problem often fails with the very same one."""
        if len(text) <= _STACK_CHARACTERS:
            return self._repeating_stack(text)
        return self.text(text, is_traceback=True)

    # ---- values that are plain JSON

    def _object(self, items: Iterable[tuple[str, JSON]]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name, value in items:
            kind = self._names.kind(name)
            name = unused(self._repeated(name), shown)  # two names may have differed in a secret only
            shown[name] = self._value(value) if kind is None or _tells_nothing(kind, value) else REDACTED
        return shown

    def _value(self, value: JSON) -> JSON:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self._object(value.items())
        if isinstance(value, list):
            if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], str):
                return [*self._object([(value[0], value[1])]).popitem()]  # headers are often kept as pairs
            return [self._value(item) for item in value]
        return value

    # ---- names and values in a text

    def _pairs(self, text: str) -> dict[int, tuple[int, re.Match[str]]]:
        """Where ``name=`` stands in *text*: by its end, its start and what follows the stem of the name."""
        lower = _lowered(text)
        pairs: dict[int, tuple[int, re.Match[str]]] = {}
        for stem in self._names.stems:
            at = lower.find(stem)
            while at >= 0:
                found = REST_OF_NAME.match(text, at + len(stem))
                if found is not None and found.end() not in pairs:
                    pairs[found.end()] = (at, found)
                at = lower.find(stem, at + len(stem))
        return pairs

    def _without_values(
        self, text: str, pairs: dict[int, tuple[int, re.Match[str]]], is_traceback: bool
    ) -> str:
        source = SourceLines(text) if is_traceback else None
        parts: list[str] = []
        kept = 0
        for end in sorted(pairs):
            stem, pair = pairs[end]
            if stem < kept:
                continue  # within a value
            start = start_of_name(text, stem)
            name = text[start : pair.end("rest")]
            kind = self._names.kind(name)
            found = None if kind is None else value_of(pair, name, kind, source)
            if found is not None:
                parts += text[kept : found[0]], REDACTED
                kept = found[1]
        return "".join([*parts, text[kept:]]) if parts else text

    def _flag(self, match: re.Match[str]) -> str:
        name, value = match.groups()
        if not self.is_secret(name) or not is_value(value, name):
            return match.group()
        return match.group()[: -len(value)] + REDACTED


@lru_cache(maxsize=16)
def redactor(names: tuple[str, ...] = ()) -> Redactor:
    """The Redactor of these names, made once: it holds no state, and its names take a while to compile."""
    return Redactor(names)


def _tells_nothing(kind: Kind, value: JSON) -> bool:
    """Whether *value* is no secret even under a secret's name: yes, no, nothing, or a small count."""
    return value is None or isinstance(value, bool) or (kind.is_countable and isinstance(value, (int, float)))


def _lowered(text: str) -> str:
    """*text* in lower case, each character where it was: "İ" would become two."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text.translate(_LOWER)

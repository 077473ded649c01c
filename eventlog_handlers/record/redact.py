"""Secrets of the application, taken out of its events. Pure.

Two nets, for neither is tight alone:

- by name: an extra (at any depth), a label or a ``name=value`` in a text whose name speaks of a secret loses
  its value;
- by form: a text that looks like a key, a token or a password in a URL is replaced wherever it stands.

What belongs here: what counts as a secret and how it is replaced. What does not: our own credentials (which
are ``Secret`` objects and never enter an event) and what one service wants.

Names are read as words, whatever the style: ``dbPassword``, ``DB_PASSWORD`` and ``db-password`` are the words
db and password. So "author", "monkey", "keyboard" and "tokenizer" stay readable, "X-Auth-Token" does not.
Every pattern takes time linear in the text, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from eventlog_handlers.events import JSON, Event
from eventlog_handlers.record.fingerprint import masked
from eventlog_handlers.record.secret_forms import _FORMS, REDACTED
from eventlog_handlers.record.secret_names import _HAS_BLANKS, _STRONG, _WEAK, _WORD, ABOUT, _Kind
from eventlog_handlers.text.fit import unused
from eventlog_handlers.text.lazy_patterns import lazy

# ---- names


# ---- forms


_STEMS = (
    "pass", "pwd", "secret", "credential", "key", "token", "auth", "cookie", "sess", "srf", "jwt", "bearer",
    "sid",
)  # fmt: skip
"""Each secret's name holds one of these in lower case."""

_REST_OF_NAME = lazy(
    r"""(?P<rest>[\w-]{0,40})(?P<quote>\\?["'])?\]?"""
    r"""[ \t]{0,3}(?:=>|=(?![=>])|(?P<colon>:(?![:=/])))[ \t]{0,3}"""
)
_LONGEST_HEAD = 60  # characters of a name before its stem
_OPENED = lazy(r"""[bBrRuUfF]{0,2}(\\?["'])""")
_INSIDE = {
    '"': lazy(r'[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*'),
    "'": lazy(r"[^'\\\r\n]*(?:\\.[^'\\\r\n]*)*"),
    '\\"': lazy(r'[^"\\\r\n]*'),
    "\\'": lazy(r"[^'\\\r\n]*"),
}
_CONTAINER = lazy(r"[\[({]([^\])}\r\n]*)")
_BARE = lazy(r"""[^\s"'&,;]+""")
_LINE = lazy(r"""(?:(?:bearer|basic|token)[ \t]{1,3}([^\s"',;]+)|([^\r\n"']+))""", re.I)
_FLAG = lazy(r"""(?<![\w-])--([A-Za-z][\w-]{1,40})["']?,?[ \t]{1,3}["']?(?!-)([^\s"',\]]+)""")
_CLOSING = ")]}>"
_PLACEHOLDER = lazy(r"%(?:\(\w{1,60}\))?[-+#0-9.]{0,8}[a-zA-Z]|\{[\w.!:]{0,60}\}|\*{3,}")
_NO_SECRETS = frozenset(
    [
        "none", "null", "nil", "true", "false", "undefined", "str", "bytes", "int", "bool", "object", "any",
        "optional", "required", "missing",
    ]
)  # fmt: skip
_FRAME = lazy(r'[ |]*File "[^\n]*", line \d+')
_LONGEST_LINE = 2_000  # looked back at for a traceback's line
_WITHIN = 200  # characters of a value that may tell that it is none
_PERSON = lazy(r"[^\s@]{1,200}@[^\s@]{1,200}")

_TEXTS = ("message", "template", "logger", "thread_name", "event_name", "group_id", "detail_type")


class Redactor:
    """Replaces what looks like a secret by REDACTED, and leaves all else as it is.

    *names* are further names of secrets, in any style: ``"credit_card"`` also means ``creditCard``,
    ``CREDITCARD`` and ``customer-credit-card-2``. Immutable once made, so any thread may use it.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        own = [[word.lower() for word in _WORD.findall(name)] for name in names]
        own = [words for words in own if words]
        # Between any two characters, for a program may split words otherwise than the user.
        spelled = "|".join("_?".join(map(re.escape, "".join(words))) for words in own)
        self._own = re.compile(f"_(?:{spelled})s?_") if spelled else None
        joined = (joint.join(words) for words in own for joint in ("", "_", "-"))
        self._stems = tuple(dict.fromkeys([*_STEMS, *joined]))
        self._kind = lru_cache(maxsize=4096)(self._read)

    def redact(self, event: Event) -> Event:
        """*event* without secrets. Its fingerprint stays: it is a hash, and of the text as it was."""
        changed: dict[str, Any] = {}
        for field in _TEXTS:
            text = getattr(event, field)
            if text and (shown := self.text(text)) is not text:
                changed[field] = shown
        if event.stack:
            changed["stack"] = self.text(event.stack, is_traceback=True)
        if event.exception is not None:
            changed["exception"] = event.exception._replace(
                message=self.text(event.exception.message),
                stacktrace=self.text(event.exception.stacktrace, is_traceback=True),
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

        What stays: place, time, level, types, the frames without their source lines, and the message before
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
        lower = text.lower()
        for form in _FORMS:
            for probe in form.probes:
                if probe in lower:
                    text = form.pattern.sub(form.replacement, text)
                    break
        if "--" in text:
            text = _FLAG.sub(self._flag, text)
        pairs = self._pairs(text) if "=" in text or ":" in text else None
        return self._without_values(text, pairs, is_traceback) if pairs else text

    def is_secret(self, name: str) -> bool:
        """Whether a value of this *name* is a secret."""
        return self._kind(name) is not None

    def _read(self, name: str) -> _Kind | None:
        words = _WORD.findall(name[:300])
        read = f"_{'_'.join(words).lower()}_"
        if self._own is not None and self._own.search(read):
            return _Kind(True, False, False)
        if not words or words[-1].lower() in ABOUT:
            return None
        is_strong = _STRONG.search(read) is not None
        if not is_strong and _WEAK.search(read) is None:
            return None
        return _Kind(is_strong, read.endswith("s_"), _HAS_BLANKS.search(read) is not None)

    # ---- values that are plain JSON

    def _object(self, items: Iterable[tuple[str, JSON]]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name, value in items:
            kind = self._kind(name)
            name = unused(self.text(name), shown)  # two names may have differed in a secret only
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
        for stem in self._stems:
            at = lower.find(stem)
            while at >= 0:
                found = _REST_OF_NAME.match(text, at + len(stem))
                if found is not None and found.end() not in pairs:
                    pairs[found.end()] = (at, found)
                at = lower.find(stem, at + len(stem))
        return pairs

    def _without_values(
        self, text: str, pairs: dict[int, tuple[int, re.Match[str]]], is_traceback: bool
    ) -> str:
        parts: list[str] = []
        kept = 0
        for end in sorted(pairs):
            stem, pair = pairs[end]
            if stem < kept:
                continue  # within a value
            start = _start_of_name(text, stem)
            name = text[start : pair.end("rest")]
            kind = self._kind(name)
            found = None if kind is None else _value_of(pair, name, kind, is_traceback=is_traceback)
            if found is not None:
                parts += text[kept : found[0]], REDACTED
                kept = found[1]
        return "".join([*parts, text[kept:]]) if parts else text

    def _flag(self, match: re.Match[str]) -> str:
        name, value = match.groups()
        if not self.is_secret(name) or not _is_value(value, name):
            return match.group()
        return match.group()[: -len(value)] + REDACTED


@lru_cache(maxsize=16)
def redactor(names: tuple[str, ...] = ()) -> Redactor:
    """The Redactor of these names, made once: it holds no state, and its names take a while to compile."""
    return Redactor(names)


def _tells_nothing(kind: _Kind, value: JSON) -> bool:
    """Whether *value* is no secret whatever its name: yes, no, nothing, or how many of them there are."""
    return value is None or isinstance(value, bool) or (kind.is_plural and isinstance(value, (int, float)))


def _lowered(text: str) -> str:
    """*text* in lower case, each character where it was: "İ" would become two."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text.translate(_LOWER)


_LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def _start_of_name(text: str, at: int) -> int:
    least = max(0, at - _LONGEST_HEAD)
    while at > least and (text[at - 1].isalnum() or text[at - 1] in "_-"):
        at -= 1
    return at


def _value_of(pair: re.Match[str], name: str, kind: _Kind, *, is_traceback: bool) -> tuple[int, int] | None:
    """Where the value of a *name* in a text starts and ends; None where none stands there."""
    text, at = pair.string, pair.end()
    opened = _OPENED.match(text, at)
    if opened is not None:
        start, stop = _INSIDE[opened[1]].match(text, opened.end()).span()  # type: ignore[union-attr]  # may be empty
        return (start, stop) if _is_value(text[start:stop], name) else None
    if text.startswith(REDACTED, at) or (is_traceback and _is_source(text, pair.start())):
        return None
    if kind.has_blanks:
        line = _LINE.match(text, at)
        span = (0, 0) if line is None else line.span(line.lastindex or 0)
        return span if _is_value(text[slice(*span)], name) else None
    container = _CONTAINER.match(text, at)
    if container is not None:
        is_empty = not container[1].strip() or container[1].startswith(REDACTED[:-1])
        return None if is_empty else container.span(1)
    if pair["colon"] and not pair["quote"] and not kind.is_strong:
        first = _BARE.match(text, at, at + _WITHIN)  # not all of it: it may be looked at again
        if first is None or not _looks_random(first[0]):
            return None  # prose: "auth: accepted", "unexpected token: else"
    bare = _BARE.match(text, at)
    if bare is None:
        return None
    value = bare[0].rstrip(_CLOSING)
    if not _is_value(value, name) or (kind.is_plural and value.isdecimal()):
        return None
    return at, at + len(value)


def _is_value(value: str, name: str) -> bool:
    """Whether *value* may be a secret, rather than a placeholder, a type, or the name of what holds it."""
    if len(value) > _WITHIN:
        return True
    if not value or value.startswith(REDACTED[:-1]) or value.lower() in _NO_SECRETS:
        return False
    last = value.removesuffix("()").rpartition(".")[2]
    if last.replace("_", "-").lower() == name.replace("_", "-").lower():
        return False  # password=self.password
    return _PLACEHOLDER.fullmatch(value) is None


def _looks_random(value: str) -> bool:
    return len(value) >= 12 and any(map(str.isdecimal, value)) and any(map(str.isalpha, value))


def _is_source(text: str, at: int) -> bool:
    """Whether what stands at *at* in a traceback is a source line: the one after the line of its frame."""
    line = text.rfind("\n", max(0, at - _LONGEST_LINE), at)
    if line < 0:
        return False
    return _FRAME.match(text, text.rfind("\n", max(0, line - _LONGEST_LINE), line) + 1) is not None

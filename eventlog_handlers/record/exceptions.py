"""Exceptions as the thread that logs captures them: texts and code positions, nothing alive.

``capture`` keeps code objects and instruction offsets instead of frames, and texts instead of exceptions. So
no local variable lives a moment longer than it would have. The worker prints the result later
(traceback_text.py), byte for byte as ``traceback.format_exception`` would have. Only a monstrous exception
differs: past the bounds below a line says what was left out.

Not here: finding an exception in a record (exc_info.py), walking its frames (frames.py), the short way that
most exceptions take (simple_exceptions.py).
"""

from __future__ import annotations

import builtins
import itertools
import sys
import traceback
from collections.abc import Iterator
from types import CodeType, TracebackType

from eventlog_handlers.process.fork import fork_gate
from eventlog_handlers.record import fingerprint
from eventlog_handlers.record.frames import FRAMES_FIRST, FRAMES_LAST, Frames, walked
from eventlog_handlers.record.plain import EXIT_EXCEPTIONS, note, safe_text, type_name
from eventlog_handlers.text.fit import shorten

LINKS_FIRST = 25
LINKS_LAST = 25
LINKS_IN_ALL = 200
LINKS_FOLLOWED = 20_000
"""How far a long chain is followed for its end: a ``__cause__`` may be a property that has no end."""
GROUP_WIDTH = 15  # the standard library prints no more members, nor groups deeper than GROUP_DEPTH
GROUP_DEPTH = 10
MAX_MESSAGE = 65_536
MAX_NOTES = 200

_PLAIN_NOTES = sys.version_info >= (3, 11)  # printed by the standard library itself
ASK_LIBRARY: tuple[type[BaseException], ...] = (
    (SyntaxError,)
    if sys.version_info[:2] == (3, 11)
    else (SyntaxError, ImportError, NameError, AttributeError)
)
"""Their last lines need the live objects ("Did you mean", the caret under a syntax error)."""


class Link:
    """One exception of a graph, as text and code. Its cause, context and members are links of their own."""

    __slots__ = (
        "cause", "context", "frames", "gap", "lines",
        "member_count", "members", "message", "suppress", "type",
    )  # fmt: skip

    def __init__(
        self, type_name: str, message: str, lines: tuple[str, ...], frames: list[Frames], suppress: bool
    ) -> None:
        self.type = type_name
        self.message = message
        self.lines = lines  # what follows the stack, each with its line end
        self.frames = frames
        self.suppress = suppress
        self.cause: Link | None = None
        self.context: Link | None = None
        self.members: list[Link] | None = None  # of a group: the first GROUP_WIDTH
        self.member_count = 0
        self.gap = 0  # how many links of the chain were left out below this one

    def chain(self) -> list[Link]:
        """This link and those below it as printed: cause, else context unless suppressed."""
        links: list[Link] = []
        link: Link | None = self
        while link is not None:
            links.append(link)
            link = link.cause if link.cause is not None else None if link.suppress else link.context
        return links


def capture(value: BaseException, tb: TracebackType | None, defects: list[str]) -> Link:
    """Take *value* with its causes, contexts and group members; *tb* is its own traceback.

    Never raises but KeyboardInterrupt and SystemExit; what could not be read is in *defects*. A plain
    exception of ten frames costs a few microseconds.
    """
    top = _link(value, tb, defects)
    cause, context = value.__cause__, value.__context__
    if cause is None and (context is None or top.suppress) and not isinstance(value, _groups()):
        return top
    return _Graph(defects).filled(top, value)


def outline(value: BaseException, tb: TracebackType | None, codes: list[CodeType]) -> list[str] | None:
    """The types of *value* and its causes, by name; the code they passed through goes to *codes*.

    As ``types`` and ``places`` see them later, told in a fraction of the time: equal outlines have one
    fingerprint. None where it takes more to tell: groups, long chains, deep stacks, classes with odd names.
    """
    types: list[str] = []
    groups = _groups()
    while True:
        kind = type(value)
        if isinstance(value, groups) or len(types) >= 2 * LINKS_FIRST:
            return None
        module, name = kind.__module__, kind.__qualname__
        if type(module) is not str or type(name) is not str:
            return None
        types += (module, name)
        last = None
        if tb is not None and type(tb) is not TracebackType:
            return None
        while tb is not None:
            code = tb.tb_frame.f_code
            if code is not last:
                codes.append(code)
                last = code
            tb = tb.tb_next
        if len(codes) > FRAMES_FIRST + FRAMES_LAST:
            return None
        below = value.__cause__
        if below is None and not value.__suppress_context__:
            below = value.__context__
        if below is None:
            return types
        value, tb = below, below.__traceback__


class _Graph:
    """Walks causes, contexts and groups in the order of ``traceback.TracebackException.__init__``.

    The order matters: an exception is printed only where it is met first.
    """

    def __init__(self, defects: list[str]) -> None:
        self._defects = defects
        self._seen: dict[int, BaseException] = {}  # by id; held, for a dead object's id is used again
        self._count = 1

    def filled(self, top: Link, value: BaseException) -> Link:
        self._seen[id(value)] = value
        groups = _groups()
        waiting: list[tuple[Link, BaseException, int, int]] = [(top, value, 1, 0)]  # …, place in chain, depth
        while waiting:
            link, exc, place, depth = waiting.pop()
            lower = exc.__cause__
            below = link.cause = self._met(lower)
            if below is None and not link.suppress:
                lower = exc.__context__
                below = link.context = self._met(lower)
            members: list[BaseException] = []
            if isinstance(exc, groups):
                everyone = exc.exceptions  # type: ignore[attr-defined]
                link.member_count = len(everyone)
                members = list(everyone[:GROUP_WIDTH]) if depth <= GROUP_DEPTH else []
                met = [self._taken(member) for member in members]
                link.members = [member for member in met if member is not None]
            if below is not None and lower is not None:
                if place == LINKS_FIRST:
                    below, lower = self._past_the_middle(link, below, lower)
                waiting.append((below, lower, place + 1, depth))
            # _taken refuses all or none of the rest, so what is missing is missing at the end.
            pairs = zip(link.members or (), members, strict=False)
            waiting.extend((member, source, 1, depth + 1) for member, source in pairs)
        return top

    def _met(self, exc: BaseException | None) -> Link | None:
        return None if exc is None or id(exc) in self._seen else self._taken(exc)

    def _taken(self, exc: BaseException) -> Link | None:
        self._count += 1
        if self._count > LINKS_IN_ALL:
            note(self._defects, f"exception: more than {LINKS_IN_ALL} linked exceptions")
            return None
        self._seen[id(exc)] = exc
        return _link(exc, exc.__traceback__, self._defects)

    def _past_the_middle(self, link: Link, below: Link, lower: BaseException) -> tuple[Link, BaseException]:
        """Where a chain is long, hang its last links right below *link* and count what is left out."""
        rest = [lower]
        unseen = {id(lower)}
        while len(rest) < LINKS_FOLLOWED:
            last = rest[-1]
            after = last.__cause__
            if after is None and not last.__suppress_context__:
                after = last.__context__
            if after is None or id(after) in unseen or id(after) in self._seen:
                break
            unseen.add(id(after))
            rest.append(after)
        else:
            note(
                self._defects,
                f"exception: a chain was followed for {LINKS_FOLLOWED} exceptions, not to its end",
            )
        if len(rest) <= LINKS_LAST:
            return below, lower
        link.gap = len(rest) - LINKS_LAST
        note(self._defects, f"exception: {link.gap} of a chain left out")
        lower = rest[-LINKS_LAST]
        self._seen.update((id(exc), exc) for exc in rest[:-LINKS_LAST])
        kept = self._taken(lower)
        if kept is None:
            return below, rest[0]
        if link.cause is not None:
            link.cause = kept
        else:
            link.context = kept
        return kept, lower


def _link(value: BaseException, given: object, defects: list[str]) -> Link:
    kind = type(value)
    name = class_name(kind)
    # A property may give anything for a traceback; only a real one is sure to have an end.
    tb = given if type(given) is TracebackType else None
    try:
        message = shorten(str.__str__(str(value)), MAX_MESSAGE)
        notes = getattr(value, "__notes__", None)
        simple = notes is None or (_PLAIN_NOTES and _is_plain(notes))
    except EXIT_EXCEPTIONS:
        raise
    except BaseException as error:
        note(defects, f"exception: {name} raised {type_name(type(error))} while printed")
        message, notes, simple = "<exception str() failed>", None, False
    if simple and not issubclass(kind, ASK_LIBRARY):
        lines: tuple[str, ...] = (last_line(name, message),)
        if notes:
            lines += tuple(line + "\n" for text in notes for line in text.split("\n"))
    else:
        lines = _lines_of_library(value, tb, name, message)
    return Link(name, message, lines, walked(tb), bool(value.__suppress_context__))


def last_line(name: str, message: str) -> str:
    """What a traceback ends with, as ``traceback`` prints it."""
    return f"{name}: {message}\n" if message else f"{name}\n"


def class_name(kind: type) -> str:
    """As ``traceback`` prints it: with the module, but for builtins and ``__main__``."""
    name, module = kind.__qualname__, kind.__module__
    if type(module) is not str:
        module = "<unknown>"
    if type(name) is not str:
        name = type_name(kind)
    return name if module in ("builtins", "__main__") else f"{module}.{name}"


def _is_plain(notes: object) -> bool:
    return (
        type(notes) is list
        and len(notes) <= MAX_NOTES
        and all(type(text) is str and len(text) <= MAX_MESSAGE for text in notes)
    )


def _lines_of_library(
    value: BaseException, tb: TracebackType | None, name: str, message: str
) -> tuple[str, ...]:
    """The last lines as the running ``traceback`` words them; ours, if it chokes on the exception."""
    try:
        import_for_last_lines()
        # *_seen* is private, the same since 3.5: with it no cause or context is followed.
        printed = traceback.TracebackException(type(value), value, tb, limit=0, _seen=set())
        printed.exceptions = None  # 3.13 looks at it, and sets it only without _seen
        room = 4 * MAX_MESSAGE
        lines: list[str] = []
        for line in itertools.islice(printed.format_exception_only(), 2 * MAX_NOTES):
            lines.append(shorten(str.__str__(line), min(room, MAX_MESSAGE)))
            room -= len(lines[-1])
        return tuple(lines)
    except EXIT_EXCEPTIONS:
        raise
    except BaseException:
        return (last_line(name, message),)


_has_printed = False


def import_for_last_lines() -> None:
    """Let ``traceback`` import what it imports at its first use, as CPython 3.15's does, while forks wait.

    A child that begins in the midst of that import would be stuck at its own next traceback.
    """
    global _has_printed
    if not _has_printed:
        with fork_gate.no_fork():
            traceback.format_exception_only(ValueError())
        _has_printed = True


_BUILTIN_GROUP = getattr(builtins, "BaseExceptionGroup", None)


def _groups() -> tuple[type[BaseException], ...]:
    """The class of exception groups: built in from 3.11 on, before that the backport's if it was imported."""
    found = _BUILTIN_GROUP or getattr(sys.modules.get("exceptiongroup"), "BaseExceptionGroup", None)
    return () if found is None else (found,)


# ---- in the worker


def places(link: Link) -> Iterator[fingerprint.Position]:
    """Where the exceptions of the chain passed through: file and function, outermost first."""
    for below in link.chain():
        for code, *_ in below.frames:
            if code is not None:
                yield code.co_filename, code.co_name


def types(link: Link) -> Iterator[str]:
    """The type names of the chain, each group followed by the types it holds."""
    for below in link.chain():
        yield below.type
        yield from sorted({member.type for member in below.members or ()})


def bare(kind: type, why: str) -> Link:
    """The least of an exception, for when even capturing it failed: its type, and why there is no more."""
    name = type_name(kind)
    return Link(name, "", (f"{name} [{why}]\n",), [], True)


def described(value: object, defects: list[str]) -> str:
    """Something that stands where an exception should, in a few words."""
    return shorten(safe_text(value, defects, "exc_info"), 200)

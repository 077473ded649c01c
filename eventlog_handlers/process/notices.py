"""Lines on stderr, once a process, about a variable that redirects its events or switches them off."""

from __future__ import annotations

from eventlog_handlers.process.self_log import SelfLog

hushed = False
"""Set where the variable was set on purpose a moment ago, by us."""
_said: dict[str, object] = {}


def say(self_log: SelfLog, text: str | None) -> None:
    """Say *text* on stderr, unless it was said in this process, or in the one that it was forked from."""
    first = object()
    if text is not None and not hushed and _said.setdefault(text, first) is first:  # one thread's alone
        self_log.say(text)


def not_taken(self_log: SelfLog, text: str | None, record: object) -> bool:
    """A handler's ``handle`` and ``emit`` where it is switched off: no record is taken."""
    say(self_log, text)
    return False

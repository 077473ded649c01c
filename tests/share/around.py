"""What a coordinator under test is given."""

from __future__ import annotations

import time
from pathlib import Path

from eventlog_handlers.process.clock import monotonic
from eventlog_handlers.share.scopes import Surroundings


class Said:
    """What the user was told, once per key, as ``SelfLog`` does it."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.texts: list[str] = []

    def say(self, key: str, text: str) -> None:
        if key not in self.keys:
            self.keys.add(key)
            self.texts.append(text)

    def unsay(self, key: str) -> bool:
        was_said = key in self.keys
        self.keys.discard(key)
        return was_said


def surroundings(directory: Path | str, said: Said | None = None, **changes) -> Surroundings:
    """Real clocks, *directory* as the runtime directory."""
    said = said or Said()
    around = Surroundings(
        environ={"EVENTLOG_RUNTIME_DIR": str(directory)},
        clock=monotonic,
        wall_clock=time.time,
        rand=lambda: 0.5,
        pause=time.sleep,
        say=said.say,
        unsay=said.unsay,
    )
    return around._replace(**changes)

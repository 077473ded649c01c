"""When a worker shows itself to ``top``: seldom while it is busy, and never stale while it sleeps."""

from __future__ import annotations

import pytest

from eventlog_handlers.pipeline.showing import BUSY_SECONDS, Showing
from eventlog_handlers.share.contract import UnavailableError


class File:
    """Keeps what is written; raises *error* instead where one is set."""

    def __init__(self) -> None:
        self.contents: list[dict] = []
        self.error: Exception | None = None
        self.looks = 0

    def write(self, content) -> None:
        if self.error is not None:
            raise self.error
        self.contents.append(dict(content))

    def end(self) -> None:
        self.contents.append({"end": True})

    def remove(self) -> None:
        self.contents.append({"removed": True})


class Shown:
    """A Showing with a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.file = File()
        self.stats = {"accepted": 0, "pending": 0, "state": "ok", "last_error": "", "oldest_seconds": None}
        self.showing = Showing(
            self.file, lambda: {"pid": 7}, clock=lambda: self.now, wall_clock=lambda: 1_000.0 + self.now
        )

    def turn(self, *, sleeps: bool = False, leaves: bool = False, **stats) -> int:
        """One turn of the worker's; how often the file has been written."""
        self.stats.update(stats)
        self.showing.show(self._look, goes_to_sleep=sleeps, leaves=leaves)
        return len(self.file.contents)

    def _look(self):
        self.file.looks += 1
        return self.stats


def test_a_busy_thread_writes_once_a_second_and_does_not_look_in_between():
    shown = Shown()

    assert [shown.turn(accepted=n) for n in range(1, 6)] == [1] * 5
    assert shown.file.looks == 1
    shown.now += BUSY_SECONDS
    assert shown.turn(accepted=6) == 2


def test_a_thread_that_goes_to_sleep_leaves_no_stale_state_error_or_pending():
    """Only what would be wrong while it sleeps is written within the second."""
    shown = Shown()
    shown.turn(accepted=1)

    assert shown.turn(sleeps=True, accepted=2) == 1
    assert shown.turn(sleeps=True, pending=1) == 2
    assert shown.turn(sleeps=True, state="failing") == 3
    assert shown.turn(sleeps=True, last_error="HTTP 503") == 4


def test_nothing_is_written_while_nothing_changes():
    """An event that grows older is no change: its moment is written, not its age."""
    shown = Shown()
    shown.turn(pending=1, oldest_seconds=2.0)
    assert shown.file.contents[0]["oldest_at"] == 1_098.0
    assert "oldest_seconds" not in shown.file.contents[0]

    for _ in range(9):
        shown.now += 10
        assert shown.turn(sleeps=True, oldest_seconds=shown.now) == 1


def test_the_last_thread_writes_what_is_new_before_it_leaves():
    shown = Shown()
    shown.turn(accepted=1)

    assert shown.turn(sleeps=True, accepted=2) == 1
    assert shown.turn(sleeps=True, leaves=True) == 2
    assert shown.file.contents[-1]["accepted"] == 2


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), UnavailableError("read-only")])
def test_what_cannot_be_written_is_tried_again_after_a_minute(error):
    shown = Shown()
    shown.file.error = error
    assert shown.turn(accepted=1) == 0
    shown.file.error = None

    assert shown.turn(sleeps=True, state="held") == 0
    shown.now += 60
    assert shown.turn(sleeps=True) == 1
    assert shown.file.contents[0]["state"] == "held"


def test_a_removed_file_is_written_anew_at_the_next_turn():
    """A closed handler that a late record revives."""
    shown = Shown()
    shown.turn(accepted=1)
    shown.showing.remove()

    shown.now += BUSY_SECONDS
    shown.turn(sleeps=True)
    assert [sorted(content)[0] for content in shown.file.contents] == ["accepted", "removed", "accepted"]


def test_the_file_ends_with_its_worker():
    """A handler that was dropped without close() is not shown for ever."""
    shown = Shown()
    file = shown.file

    shown.turn(accepted=1)
    del shown.showing

    assert file.contents[-1] == {"end": True}

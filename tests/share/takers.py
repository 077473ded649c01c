"""A process that takes places, or counts, until it is killed: what the tests of several processes start.

    python takers.py takes|folds DIRECTORY OUT [TORN]

``takes`` appends the moment of each place to OUT, 8 bytes each; ``folds`` its own sums. TORN: the probability
with which a write into the mapped file is broken off half-way by SIGKILL, inside the lock.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import sys
import time

from around import surroundings

from eventlog_handlers.share import mapped_file
from eventlog_handlers.share.contract import Limits, Occurrence, Verdict
from eventlog_handlers.share.scopes import Agreement, host_scope

LIMITS = Limits(100_000.0, 1_000, (200, 1.016))
PROBLEMS = [bytes([number]) * 16 for number in range(1, 9)]


def tear(probability: float) -> None:
    """Let writes into the mapped file kill this process half-way."""

    class Torn(mmap.mmap):
        def __setitem__(self, where, value):
            if random.random() < probability:
                kept = random.randrange(len(value) + 1)
                super().__setitem__(slice(where.start, where.start + kept), bytes(value)[:kept])
                os.kill(os.getpid(), signal.SIGKILL)
            super().__setitem__(where, value)

    mapped_file.mmap.mmap = Torn  # type: ignore[misc]


def takes(directory: str, out: str) -> None:
    """Take places for ever."""
    member = host_scope("account", Agreement(LIMITS), surroundings(directory, rand=random.random))
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while True:
        place = member.take()
        if place.is_taken:
            os.write(descriptor, struct.pack("<d", place.at))
        else:
            time.sleep(min(place.wait, 0.05))


def folds(directory: str, out: str) -> None:
    """Count, and tell what is due, for ever; OUT/<pid> holds how many were asked for and answered."""
    agreement = Agreement(None, window_seconds=0.2)
    member = host_scope("account", agreement, surroundings(directory, rand=random.random))
    descriptor = os.open(f"{out}/{os.getpid()}", os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(descriptor, 32)
    sums = mmap.mmap(descriptor, 32)
    numbers = [0, 0, 0, 0]
    while True:
        numbers[0] += 1
        struct.pack_into("<q", sums, 0, numbers[0])
        verdict = member.fold([Occurrence(random.choice(PROBLEMS), 1, 0.0, 0.0)])[0]
        numbers[1 if verdict is Verdict.COUNTED else 2] += 1
        if member.scope != "host":  # a stopped process held the lock: counted here alone
            numbers[3] += verdict is Verdict.COUNTED
        struct.pack_into("<qqq", sums, 8, *numbers[1:])
        for telling in member.due():
            member.told([telling])


if __name__ == "__main__":
    if len(sys.argv) > 4:
        tear(float(sys.argv[4]))
    {"takes": takes, "folds": folds}[sys.argv[1]](sys.argv[2], sys.argv[3])

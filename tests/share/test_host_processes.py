"""Eight processes of one host, killed and stopped at any instruction: the limit holds, no count is lost."""

from __future__ import annotations

import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
import takers
from around import surroundings
from processes import environment

from eventlog_handlers.share.contract import Occurrence
from eventlog_handlers.share.scopes import Agreement, host_scope

MEMBERS = 8
COUNT, SECONDS = takers.LIMITS.window or (0, 0.0)


class Crowd:
    """Processes of ``takers``; ended by their ids."""

    def __init__(self, what: str, runtime: Path, out: Path, torn: float = 0.0) -> None:
        self._command = [sys.executable, takers.__file__, what, str(runtime), str(out)]
        self._torn = [str(torn)] if torn else []
        path = os.pathsep.join(sys.path)
        self._environ = environment() | {"PYTHONPATH": path}
        self.running: list[subprocess.Popen[bytes]] = []
        self.ended = 0

    def __enter__(self) -> Crowd:
        for _ in range(MEMBERS):
            self.start()
        return self

    def start(self) -> None:
        self.running.append(
            subprocess.Popen(self._command + self._torn, env=self._environ, stderr=subprocess.DEVNULL)
        )

    def replace_the_dead(self) -> None:
        for process in list(self.running):
            if process.poll() is not None:
                assert process.returncode == -signal.SIGKILL
                self.running.remove(process)
                self.ended += 1
                self.start()

    def __exit__(self, *_: object) -> None:
        for process in self.running:
            process.kill()
            process.wait(20)


def busiest_window(out: Path) -> tuple[int, int]:
    """The most places in any window of a little less than SECONDS, and all places."""
    moments = sorted(moment for (moment,) in struct.iter_unpack("<d", out.read_bytes()))
    most = start = 0
    for end, moment in enumerate(moments):
        while moment - moments[start] >= SECONDS - 1e-6:
            start += 1
        most = max(most, end - start + 1)
    return most, len(moments)


def wait_for(path: Path, size: int) -> None:
    """Wait until the processes have written so much."""
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size >= size):
        assert time.monotonic() < deadline, f"{path} stays below {size} bytes"
        time.sleep(0.01)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["none", "killed", "killed inside the lock", "stopped"])
def test_f01_no_sliding_window_holds_more_than_the_limit(runtime: Path, tmp_path: Path, fault: str) -> None:
    """Whatever happens to single processes; and the others go on."""
    out = tmp_path / "moments"
    rand = random.Random(7)
    with Crowd("takes", runtime, out, torn=0.01 if fault == "killed inside the lock" else 0.0) as crowd:
        wait_for(out, 8 * COUNT)
        rounds = 0
        while crowd.ended < 12 if fault.startswith("killed") else rounds < 16:
            victim = rand.choice(crowd.running)
            if fault == "killed":
                wait_for(out, out.stat().st_size + 8 * 10)
                victim.kill()
                victim.wait(20)
            elif fault == "stopped":
                victim.send_signal(signal.SIGSTOP)
                if rounds % 4 == 0:  # long enough for others to go on without it
                    wait_for(out, out.stat().st_size + 8 * 20)
                victim.send_signal(signal.SIGCONT)
            time.sleep(0.01)
            rounds += 1
            crowd.replace_the_dead()

    most, total = busiest_window(out)
    assert most <= COUNT
    assert total >= 2 * COUNT or not fault.startswith("killed")


@pytest.mark.timeout(300)
def test_f01_a_process_stopped_inside_the_lock_stops_nobody(runtime: Path, tmp_path: Path) -> None:
    """The others share its places out among themselves, and share again once it runs."""
    out = tmp_path / "moments"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
from around import surroundings
from takers import LIMITS
from eventlog_handlers.share.scopes import Agreement, host_scope
member = host_scope("account", Agreement(LIMITS), surroundings({str(runtime)!r}))
member.take()
with member._shared.store.locked(1.0):
    print("held", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
print("released", flush=True)
sys.stdin.read()
""",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        with Crowd("takes", runtime, out) as crowd:
            assert holder.stdout.readline() == "held\n"
            os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)  # else woken before it sleeps
            wait_for(out, out.stat().st_size + 8 * COUNT if out.exists() else 8 * COUNT)
            holder.send_signal(signal.SIGCONT)
            assert holder.stdout.readline() == "released\n"
            wait_for(out, out.stat().st_size + 8 * 3 * COUNT)
            crowd.replace_the_dead()
            assert crowd.ended == 0
    finally:
        holder.kill()
        holder.communicate()

    assert busiest_window(out)[0] <= COUNT


@pytest.mark.timeout(300)
@pytest.mark.parametrize("torn", [0.0, 0.0005])
def test_f02_counts_are_exact_whoever_is_killed(runtime: Path, tmp_path: Path, torn: float) -> None:
    """Counted, told and open agree to the last log call.

    And all of that agrees with what the processes know, but for the one call that each killed process was in.
    """
    out = tmp_path / "sums"
    out.mkdir()
    rand = random.Random(11)
    agreement = Agreement(None, window_seconds=0.2)
    observer = host_scope("account", agreement, surroundings(runtime))
    before = 0
    with Crowd("folds", runtime, out, torn) as crowd:
        deadline = time.monotonic() + 120
        while crowd.ended < 12:
            assert time.monotonic() < deadline
            time.sleep(0.01)
            if observer.sums().counted > before + 60 and not torn:
                before = observer.sums().counted
                at_work = [process for process in crowd.running if (out / str(process.pid)).exists()]
                rand.choice(at_work).kill()
            crowd.replace_the_dead()

    asked = counted = opened = alone = 0
    for path in out.iterdir():
        numbers = struct.unpack("<qqqq", path.read_bytes().ljust(32, b"\0"))
        asked, counted, opened, alone = (
            total + number for total, number in zip((asked, counted, opened, alone), numbers, strict=True)
        )
    sums = observer.sums()
    assert sums.problems == len(takers.PROBLEMS)
    assert sums.counted - sums.told - sums.open - sums.telling == 0
    assert 0 <= sums.counted - (counted - alone) <= asked - counted - opened
    assert counted - alone > 1_000
    for problem in takers.PROBLEMS:
        observer.fold([Occurrence(problem, 1, 0.0, 0.0)])
    told = 0
    deadline = time.monotonic() + 60
    while (left := observer.sums()).open + left.telling:
        assert time.monotonic() < deadline
        tellings = observer.due(everything=True)
        told += sum(telling.count for telling in tellings)
        observer.told(tellings)
        time.sleep(0.01)
    after = observer.sums()
    assert after.counted == after.told

"""The spool and the end of processes: kills, forks, several heirs, limits of the system."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from processes import environment
from test_spool import database, events, files, spool, take_all

PREAMBLE = """
import os, signal, sys, time
from pathlib import Path
sys.path[:0] = {tests!r}
from law import assert_law, submit
from test_spool import Reports, events, files, spool, take_all
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_event, make_worker, settle
place = Path({place!r})
"""


def start(place: Path, script: str, *, wrapper: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Run *script* in a process of its own."""
    preamble = PREAMBLE.format(
        tests=[str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")], place=str(place)
    )
    return subprocess.Popen(
        [*wrapper, sys.executable, "-c", preamble + textwrap.dedent(script)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> list[str]:
    """Its lines, once it has ended as it should."""
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output.splitlines()


PUT_FOR_EVER = """
    import itertools, random
    buffer = spool(place, wall_clock=time.time)
    for number in itertools.count():
        event = make_event(f"event {number}", stack="x" * (number % 7 * 300))
        buffer.put([event])
        os.write(1, f"+{event.id}\\n".encode())  # from here on it must not be lost
        if number % 5 == 4:
            (lease,) = buffer.lease(1)
            os.write(1, f"-{lease.event.id}\\n".encode())  # "sent"; killed before the ack, it is sent again
            buffer.ack([lease])
"""


@pytest.mark.timeout(400)
def test_p04_every_event_put_before_a_sigkill_is_delivered_by_a_later_process(tmp_path):
    """Twenty kills at random moments: none lost, none altered, none twice but those being acked."""
    chance = random.Random(7)
    put: list[str] = []
    sent: list[str] = []
    for _ in range(20):
        process = start(tmp_path, PUT_FOR_EVER)
        assert process.stdout is not None
        lines = []
        try:
            for _ in range(chance.randrange(1, 600)):
                lines.append(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGKILL)
        lines.extend(process.stdout.readlines())
        process.communicate(timeout=60)
        whole = [line.strip() for line in lines if line.endswith("\n")]
        put.extend(line[1:] for line in whole if line.startswith("+"))
        sent.extend(line[1:] for line in whole if line.startswith("-"))

    heir = spool(tmp_path, capacity=1_000_000, cap_bytes=1 << 30)
    got = [event.id for event in take_all(heir)]

    assert len(put) > 1_000
    assert not set(put) - set(sent) - set(got)
    assert max(Counter(got).values()) == 1
    assert len(set(got) & set(sent)) <= 20
    assert len(set(got) - set(put)) <= 20  # committed, and killed before it could say so
    assert heir.lost() == []
    heir.close()
    assert files(tmp_path) == []


def test_p14_of_four_heirs_exactly_one_gets_each_event(tmp_path):
    """They start at once, in the same directory, on five files."""
    put = []
    for _ in range(5):
        dead = spool(tmp_path)
        batch = events(300)
        dead.put(batch)
        dead.abandon()
        put.extend(event.id for event in batch)
    heirs = [
        start(
            tmp_path,
            """
            buffer = spool(place, clock=time.monotonic)
            sys.stdin.readline()
            for event in take_all(buffer):
                print(event.id)
            buffer.close()
            """,
        )
        for _ in range(4)
    ]
    for heir in heirs:
        assert heir.stdin is not None
        heir.stdin.write("go\n")
        heir.stdin.flush()

    got = [id for heir in heirs for id in finish(heir)]

    assert sorted(got) == sorted(put)
    assert files(tmp_path) == []


def test_p07_a_forked_child_neither_uses_nor_closes_nor_keeps_its_parent_s_file(tmp_path):
    """The child ends as an ordinary process does, destructors included; the parent's rows are all there."""
    lines = finish(
        start(
            tmp_path,
            """
            parent = spool(place)
            parent.put(events(50))
            for number in range(5):
                if (pid := os.fork()) == 0:
                    own = spool(place)
                    own.put([make_event(f"child {number}")])
                    assert own.adopt() == 0
                    del parent
                    sys.exit()
                os.waitpid(pid, 0)
                parent.put([make_event(f"parent {number}")])
            print(len(parent.lease(1_000)))
            """,
        )
    )
    heir = spool(tmp_path)
    messages = Counter(event.message.split()[0] for event in take_all(heir))

    assert lines == ["55"]
    assert messages == {"event": 50, "parent": 5, "child": 5}
    assert heir.lost() == []


def test_p08_when_a_process_daemonises_the_child_adopts_what_the_parent_left(tmp_path):
    """The child does not hold the parent's lock: it goes when the parent goes."""
    lines = finish(
        start(
            tmp_path,
            """
            parent = spool(place)
            parent.put(events(10))
            alive, parents_end = os.pipe()
            if os.fork():
                os._exit(0)
            os.close(parents_end)
            os.read(alive, 1)  # returns when the parent is gone
            signal.alarm(20)
            while not (own := spool(place)).adopt():
                time.sleep(0.01)  # the kernel is still closing its other files
            print(len(own))
            """,
        )
    )

    assert lines == ["10"]


def test_p07_forks_while_a_thread_writes_hang_no_child(tmp_path):
    """A fork in the middle of a commit would leave SQLite's own locks held in the child for ever."""
    lines = finish(
        start(
            tmp_path,
            """
            import threading
            buffer = spool(place, capacity=100, clock=time.monotonic)
            over = threading.Event()
            def write():
                while not over.is_set():
                    buffer.put([make_event("x" * 2_000)])
            thread = threading.Thread(target=write)
            thread.start()
            for number in range(20):
                if (pid := os.fork()) == 0:
                    signal.alarm(20)
                    own = spool(place)
                    own.put([make_event("child")])
                    os._exit(0 if own.state()["in_file"] == 1 else 1)
                print(os.waitpid(pid, 0)[1])
            over.set()
            thread.join()
            """,
        )
    )

    assert lines == ["0"] * 20


def test_d02_a_limit_on_file_size_loses_nothing(tmp_path):
    """Past RLIMIT_FSIZE writing is an I/O error: the file goes aside, memory holds what no file takes."""
    finish(
        start(
            tmp_path,
            """
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
            clock, reports, sink = ManualClock(), Reports(), ScriptedSink(max_events=100)
            sink.answers.extend([RuntimeError("down")] * 20)
            buffer = spool(place, clock, report=reports)
            worker = make_worker(sink, clock, buffer=lambda: buffer)
            ids = []
            for number in range(400):
                ids.append(submit(worker, f"event {number} " + "x" * 6_000))
                worker.step()
                clock.advance(0.1)
                assert_law(worker.stats())
            assert len(buffer) == 400
            settle(worker, clock, seconds=5_000)
            assert_law(worker.stats())
            assert sorted(event.id for event in sink.delivered) == sorted(ids)
            assert 1 <= len(list(place.glob("*.bad"))) <= 3, files(place)
            assert 1 <= len(reports) < 40, reports
            """,
        )
    )


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, to make fsync fail")
def test_d02_an_fsync_error_is_never_tried_twice_on_the_same_file(tmp_path):
    """After a failed fsync a second one may succeed with data gone: the rows go to a new file."""
    wrapper = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync")
    inject = ("-e", "inject=fdatasync,fsync:error=EIO:when=1")
    if subprocess.run([*wrapper, "true"], capture_output=True).returncode:
        pytest.skip("may not trace processes here")
    lines = finish(
        start(
            tmp_path,
            """
            clock, reports = ManualClock(), Reports()
            buffer = spool(place, clock, report=reports)
            for number in range(700):  # past the first checkpoint, which is the first to call fsync
                buffer.put([make_event(f"event {number}", stack="x" * 5_000)])
            print(len(buffer), buffer.state()["in_file"], len(list(place.glob("*.bad"))), len(reports))
            print(len({event.id for event in take_all(buffer)}))
            """,
            wrapper=(*wrapper, *inject),
        )
    )

    assert lines == ["700 700 1 1", "700"]


def test_s08_no_descriptor_of_the_spool_reaches_a_program_started(tmp_path):
    """A program that outlives us would keep the lock."""
    buffer = spool(tmp_path)
    buffer.put(events(1))

    listing = subprocess.run(
        [sys.executable, "-c", "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in range(3, 30)"
         " if os.path.exists(f'/proc/self/fd/{n}')])"],
        capture_output=True,
        text=True,
        close_fds=False,
        check=True,
    )  # fmt: skip

    assert str(database(tmp_path)) not in listing.stdout
    assert ".lock" not in listing.stdout

"""Writes docs/fleet.md: kill loops and scale of what processes share, measured by this command.

    python docs/make_fleet.py [--quick] [--only SECTION]

Each section is one function that returns Markdown; others add theirs to SECTIONS. It starts processes of its
own, and a redis-server where there is one, and ends them by their ids.
"""

from __future__ import annotations

import argparse
import heapq
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
sys.path[:0] = [str(ROOT), *(str(TESTS / room) for room in ("share", "relay", "support"))]

from fleet_relays import relays_under_fire  # noqa: E402

from eventlog_handlers.share import pace  # noqa: E402
from eventlog_handlers.share.contract import Limits, Sums, UnavailableError  # noqa: E402
from eventlog_handlers.share.fleet import FleetCoordinator  # noqa: E402
from eventlog_handlers.share.pace import Pace  # noqa: E402

PAGE = ROOT / "docs" / "fleet.md"


def host_under_fire(quick: bool) -> str:
    """Eight processes of one host, killed inside the lock and stopped."""
    from test_host_processes import COUNT, MEMBERS, SECONDS, Crowd, busiest_window, wait_for

    kills = 12 if quick else 100
    rows = []
    for fault in ("none", "SIGKILL", "SIGKILL inside the lock", "SIGSTOP, SIGCONT"):
        with tempfile.TemporaryDirectory() as directory:
            runtime, out = Path(directory) / "run", Path(directory) / "moments"
            runtime.mkdir(mode=0o700)
            torn = 0.01 if fault.endswith("lock") else 0.0
            rand, faults, started = random.Random(7), 0, time.monotonic()
            with Crowd("takes", runtime, out, torn) as crowd:
                wait_for(out, 8 * COUNT)
                while faults < kills and time.monotonic() - started < 300:
                    victim = rand.choice(crowd.running)
                    if fault == "none":
                        faults += 1
                    elif fault == "SIGKILL":
                        victim.kill()
                        victim.wait(20)
                    elif fault.startswith("SIGSTOP"):
                        victim.send_signal(19)
                        time.sleep(0.3 * rand.random())
                        victim.send_signal(18)
                        faults += 1
                    time.sleep(0.05)
                    crowd.replace_the_dead()
                    faults = max(faults, crowd.ended)
            most, total = busiest_window(out)
            rows.append(f"| {fault} | {faults if fault != 'none' else 0} | {total} | {most} of {COUNT} |")
    return "\n".join(
        [
            "## One host, eight processes",
            "",
            f"{MEMBERS} processes take places as fast as they get them; the limit is {COUNT} in any "
            f"{SECONDS:g} s. Killed ones are\nreplaced. Moments are those of the places.",
            "",
            "| fault | how often | places | busiest sliding window |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def counts_over_redis(quick: bool) -> str:
    """Processes that count into one Redis, which is killed and started again as well."""
    if not shutil.which("redis-server"):
        return ""
    from fleets import coordinator
    from redis_server import RedisServer

    kills, restarts = 12 if quick else 40, 0
    with tempfile.TemporaryDirectory() as directory:
        server = RedisServer(Path(directory), appendonly="yes", appendfsync="everysec")
        script = f"""
import sys, time, random
sys.path[:0] = {sys.path!r}
from eventlog_handlers.share.contract import CoordinatorError, Occurrence
from fleets import coordinator
class Server: url = {server.url!r}
member = coordinator(Server, None, window_seconds=0.1)
while True:
    try:
        member.fold([Occurrence(bytes([random.randrange(20)]) * 16, 1, 0.0, 0.0)])
        for telling in member.due(everything=random.random() < 0.05):
            member.told([telling])
    except CoordinatorError:
        time.sleep(0.05)
"""
        command = [sys.executable, "-c", script]
        running = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(6)]
        observer = coordinator(server, None)
        try:
            for number in range(kills):
                _wait_for_more(observer, 100)
                victim = running.pop(0)
                victim.kill()
                victim.wait(20)
                running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
                if number % 4 == 1:
                    server.kill()
                    server.start()
                    restarts += 1
        finally:
            for process in running:
                process.kill()
                process.wait(20)
        sums = _sums(observer)
        server.stop()
    difference = sums.counted - sums.told - sums.open - sums.telling
    return "\n".join(
        [
            "## A fleet over Redis",
            "",
            f"Six processes count 20 problems and tell their summaries; {kills} of them are killed with "
            f"SIGKILL,\nRedis (AOF, `everysec`) {restarts} times.",
            "",
            "| counted | told | open | being told | difference |",
            "|---|---|---|---|---|",
            f"| {sums.counted} | {sums.told} | {sums.open} | {sums.telling} | {difference} |",
        ]
    )


def _sums(observer: FleetCoordinator) -> Sums:
    """Of a server that may just be starting."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return observer.sums()
        except UnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _wait_for_more(observer: FleetCoordinator, count: int) -> None:
    deadline, before = time.monotonic() + 120, _sums(observer).counted
    while _sums(observer).counted < before + count:
        if time.monotonic() > deadline:
            raise SystemExit("the processes count nothing")
        time.sleep(0.05)


def simulated(members: int, limits: Limits, seconds: float, *, ahead: float) -> tuple[float, int, int]:
    """Questions a second, places, and the busiest window of *members* processes that all have work.

    By the rules of ``pace`` and of the scripts: a place within *ahead* seconds is booked, else a process asks
    again after 5 to 10 s; without booking, after exactly the time that it was told.
    """
    count, window = limits.window or (1, 0.0)
    rand = random.Random(members)
    todo = [(rand.random() * 10, number) for number in range(members)]
    heapq.heapify(todo)
    state, moments, questions = Pace(), [], 0
    while todo and todo[0][0] < seconds:
        now, number = heapq.heappop(todo)
        questions += 1
        oldest = moments[-count] if len(moments) >= count else None
        at = max(pace.earliest(state, limits, oldest, now), moments[-1] if moments else now)
        if at - now <= ahead:
            state = pace.after(state, limits, at)
            moments.append(at)
            again = at
        elif ahead:
            again = now + 5 * (1 + rand.random())
        else:
            again = at
        heapq.heappush(todo, (max(again, now + 0.002), number))
        if questions > 3_000_000:
            seconds = now
            break
    busiest = start = 0
    for end, moment in enumerate(moments):
        while moment - moments[start] >= window - 1e-6:
            start += 1
        busiest = max(busiest, end - start + 1)
    return questions / seconds, len(moments), busiest


def scale(quick: bool) -> str:
    """Ten to ten thousand processes that all wait for one rate limit."""
    limits = Limits(20.0, 5, (20, 1.016))
    seconds = 20.0 if quick else 120.0
    rows = []
    for members in (10, 100, 1_000, 10_000):
        asks, places, busiest = simulated(members, limits, seconds, ahead=pace.BOOK_AHEAD_SECONDS)
        plain, _, _ = simulated(members, limits, min(seconds, 20.0), ahead=0.0)
        rows.append(
            f"| {members:,} | {asks:,.0f} | {plain:,.0f} | {places:,} | {busiest} of {limits.window[0]} |"  # type: ignore[index]
        )
    return "\n".join(
        [
            "## Scale: ten thousand processes",
            "",
            f"Simulated with the rules of the code, {seconds:g} s: every process has an event to send all "
            "the time, the limit is\n20 in any 1.016 s. A place that comes within 5 s is booked; without "
            "that, all waiting processes ask again for each\nplace.",
            "",
            "| processes | questions a second | without booking | places | busiest sliding window |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


SECTIONS: list[Callable[[bool], str]] = [host_under_fire, counts_over_redis, relays_under_fire, scale]

HEADINGS = (
    "## One host, eight processes",
    "## A fleet over Redis",
    "## Relays",
    "## Scale: ten thousand processes",
)


def _sections_of(page: str) -> dict[str, str]:
    """The page's sections by their headings."""
    parts = page.split("\n## ")[1:]
    return {f"## {part.partition(chr(10))[0]}": f"## {part}".rstrip() for part in parts}


HEAD = """# Under fire

What processes share, measured while they and their server are killed. Made by `python docs/make_fleet.py`;
how it works stands in [several processes](processes.md).
"""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser("python docs/make_fleet.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer faults, shorter simulations")
    parser.add_argument(
        "--only",
        choices=[section.__name__ for section in SECTIONS],
        help="measure one section, and leave the others of the page as they are",
    )
    given = parser.parse_args()
    before = _sections_of(PAGE.read_text("utf-8")) if given.only else {}
    for section in SECTIONS:
        if given.only in (None, section.__name__):
            made = section(given.quick)
            before[made.partition("\n")[0]] = made
    sections = [before[heading] for heading in HEADINGS if heading in before]
    PAGE.write_text("\n\n".join([HEAD.strip(), *filter(None, sections)]) + "\n", "utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

"""The estimate: what it reads in logs of the usual forms, how it folds, and what it counts."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog
from captures import capture
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog_handlers.cli import main
from eventlog_handlers.estimate.problems import problem_of, read_traceback
from eventlog_handlers.estimate.records import Reader, Record
from eventlog_handlers.estimate.report import Estimate, run, text
from eventlog_handlers.estimate.windows import Folding, Sent, next_window, window_after_quiet
from eventlog_handlers.pipeline.folds import Folds
from eventlog_handlers.record import problem
from eventlog_handlers.record.traceback_text import TRACEBACK
from eventlog_handlers.services.registry import SERVICES
from eventlog_handlers.testing import ManualClock

NOON = 1_795_176_000.0  # 2026-11-20T12:00:00Z


def read(text: str, year: int = 2026) -> list[Record]:
    return list(Reader(year).records(text.splitlines(keepends=True)))


def estimate(path: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What the command prints as JSON."""
    assert main(["estimate", str(path), "--json", *arguments]) == 0
    figures: dict[str, Any] = json.loads(capsys.readouterr().out)
    return figures


# --- records ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-20 12:00:00,250 - shop.orders - ERROR - no stock",
        "2026-11-20 12:00:00,250 ERROR shop.orders: no stock",
        "2026-11-20 12:00:00,250 ERROR:shop.orders:no stock",
        "2026-11-20 12:00:00,250 [ERROR] shop.orders: no stock",
        "[2026-11-20 12:00:00,250] ERROR [shop.orders] no stock",
        "2026-11-20 12:00:00.250 | ERROR    | shop.orders:place:17 - no stock",
        "2026-11-20T12:00:00.250Z shop.orders ERROR no stock",
        "2026-11-20T13:00:00.250+01:00 ERROR shop.orders - no stock",
        "2026/11/20 12:00:00.250 error shop.orders: no stock",
        "ERROR 2026-11-20 12:00:00,250 shop.orders 71 140 no stock",
        "2026-11-20T12:00:00.250000000Z stderr F ERROR:shop.orders:no stock",
        "web-1  | 2026-11-20 12:00:00,250 ERROR shop.orders: no stock",
        '{"log":"ERROR:shop.orders:no stock\\n","stream":"stderr","time":"2026-11-20T12:00:00.25Z"}',
        '{"levelname":"ERROR","name":"shop.orders","message":"no stock","asctime":"2026-11-20 12:00:00,250"}',
        '{"event":"no stock","level":"error","logger":"shop.orders","timestamp":"2026-11-20T12:00:00.250Z"}',
        '{"@timestamp":"2026-11-20T12:00:00.250Z","log.level":"error","message":"no stock",'
        '"log":{"logger":"shop.orders"}}',
        '{"severity":"ERROR","logger":"shop.orders","message":"no stock","timestamp":1795176000.25}',
        '{"severity":"ERROR","jsonPayload":{"logger":"shop.orders","message":"no stock"},'
        '"timestamp":"2026-11-20T12:00:00.250Z"}',
        '{"ts":1795176000250,"lvl":"error","logger":"shop.orders","msg":"no stock"}',
        '{"text":"x","record":{"level":{"name":"ERROR","no":40},"name":"shop.orders","message":"no stock",'
        '"time":{"repr":"x","timestamp":1795176000.25}}}',
    ],
)  # fmt: skip
def test_a_line_of_a_usual_form_is_read(line: str) -> None:
    """Time, level, logger and message, whatever the formatter."""
    assert read(line) == [Record(NOON + 0.25, logging.ERROR, "shop.orders", "no stock", "")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ERROR:shop.orders:no stock", Record(None, 40, "shop.orders", "no stock", "")),
        ("ERROR:    no stock", Record(None, 40, "root", "no stock", "")),
        ("[2026-11-20 12:00:00 +0000] [17] [ERROR] no stock", Record(NOON, 40, "root", "no stock", "")),
        (
            "[2026-11-20 12:00:00,000: ERROR/ForkPoolWorker-1] no stock",
            Record(NOON, 40, "root", "no stock", ""),
        ),
        ("2026-11-20 12:00:00 GET / 200", Record(NOON, 20, "root", "GET / 200", "")),
        ("Nov 20 12:00:00 web app[7]: ERROR:shop:no stock", Record(NOON, 40, "shop", "no stock", "")),
    ],
)
def test_what_a_line_does_not_say_is_left_open(line: str, expected: Record) -> None:
    """No time, no logger, no level: None, the root logger, INFO."""
    assert read(line) == [expected]


def test_a_year_less_date_that_is_none_costs_no_record() -> None:
    """29 February of a common year has no time, and its message is read."""
    assert read("Feb 29 12:00:00 web app[7]: ERROR:shop:no stock") == [
        Record(None, 40, "shop", "no stock", "")
    ]


def logged(formatter: logging.Formatter, *, chained: bool = False) -> str:
    """Two failures and a line between, as *formatter* prints them."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    log = logging.Logger("shop.cart")
    log.addHandler(handler)
    for number in range(2):
        try:
            try:
                {}["price"]
            except KeyError as error:
                if chained:
                    raise ValueError("no\nprice: 7") from error
                raise
        except (KeyError, ValueError):
            log.exception("cart %d failed", number)
        log.info("next")
    return stream.getvalue()


@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize(
    "form",
    ["%(asctime)s %(levelname)s %(name)s: %(message)s", logging.BASIC_FORMAT, "%(levelname)s:%(message)s"],
)
def test_a_printed_traceback_belongs_to_its_record(form: str, chained: bool) -> None:
    """Chained ones and messages of several lines too; the problem is the same each time."""
    records = read(logged(logging.Formatter(form), chained=chained))

    failures = [record for record in records if record.level == logging.ERROR]
    assert [record.message.partition(":")[0] for record in failures] == ["cart 0 failed", "cart 1 failed"]
    assert len(records) == 4
    types, places = read_traceback(failures[0].traceback)
    assert types == (("ValueError", "KeyError") if chained else ("KeyError",))
    assert {function for _, function in places} == {"logged"}
    assert len({problem_of(record).fingerprint for record in failures}) == 1


def test_structlogs_dict_tracebacks_are_read() -> None:
    """Frames given as JSON make the same problem as frames in print."""
    render = structlog.processors.JSONRenderer()
    try:
        raise KeyError("price")
    except KeyError as error:
        fields = {"event": "failed", "level": "error", "exc_info": error}
        line = render(None, "error", structlog.processors.dict_tracebacks(None, "error", fields))

    (record,) = read(str(line))

    types, ((file, function),) = read_traceback(record.traceback)
    assert (types, Path(file).name, function) == (
        ("KeyError",),
        Path(__file__).name,
        "test_structlogs_dict_tracebacks_are_read",
    )


def test_tracebacks_without_a_record_are_records_of_their_own() -> None:
    """What threads and crashes print to stderr counts as errors, one each."""
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    x\nOSError: x\n'
    records = read(f"{trace}{trace}\n{trace}")

    assert [(record.level, record.traceback) for record in records] == [(40, trace.strip())] * 3


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
def test_an_exception_group_is_one_problem() -> None:
    """Its members' types and frames are among those of the problem."""
    groups: Any = __builtins__["ExceptionGroup"] if isinstance(__builtins__, dict) else ExceptionGroup  # noqa: F821
    stream = io.StringIO()
    log = logging.Logger("shop")
    log.addHandler(logging.StreamHandler(stream))
    try:
        raise groups("several", [KeyError("a"), OSError("b")])
    except groups:
        log.exception("x")

    (record,) = read("ERROR:shop:" + stream.getvalue())

    types, places = read_traceback(record.traceback)
    assert types[0].startswith("ExceptionGroup")
    assert places


@pytest.mark.parametrize(
    "line", ["{", "{}", '{"a": 1}', "[" * 10_000, '{"log":7}', "{" * 5_000, '{"log":', "\x00\xff", "", "   "]
)
@pytest.mark.usefixtures("no_collection")
def test_what_is_no_record_is_none(line: str) -> None:
    """Garbage begins no record and raises nothing."""
    assert read(line) == []


def test_times_of_every_unit_are_seconds() -> None:
    """Milli-, micro- and nanoseconds are told by their size."""
    lines = [json.dumps({"level": "error", "message": "m", "ts": NOON * unit}) for unit in (1, 1e3, 1e6, 1e9)]
    assert [record.time for record in read("\n".join(lines))] == [NOON] * 4


def test_a_message_without_arguments_is_told_by_its_words() -> None:
    """Numbers and ids are masked; loggers tell problems apart."""
    one, two, other = (
        problem_of(Record(None, 40, logger, message, "")).fingerprint
        for logger, message in [
            ("shop", "order 7 of 0xff"),
            ("shop", "order 8 of 0x1"),
            ("till", "order 7 of 0xff"),
        ]
    )
    assert one == two != other


def test_libraries_of_another_machine_split_no_problem() -> None:
    """Only the application's own frames count, wherever its interpreter lay."""
    form = (
        'Traceback (most recent call last):\n  File "/srv/shop/cart.py", line 3, in pay\n    send()\n'
        '  File "{}", line {}, in {}\n    x\nTimeoutError: x'
    )
    traces = [
        form.format("/opt/python/lib/python3.12/socket.py", 1, "connect"),
        form.format("/usr/lib/python3.9/ssl.py", 2, "read"),
        form.format("/venv/lib/python3.9/site-packages/requests/api.py", 2, "get"),
    ]
    assert len({problem_of(Record(None, 40, "shop", "m", trace)).fingerprint for trace in traces}) == 1


# --- folding ----------------------------------------------------------------------------------------------


def test_windows_double_up_to_fifteen_minutes() -> None:
    """60 s, 2, 4, 8 min, then 15; a first window longer than that stays as it is."""
    windows = [60.0]
    while windows[-1] != next_window(windows[-1], 60.0):
        windows.append(next_window(windows[-1], 60.0))
    assert windows == [60, 120, 240, 480, 900]
    assert next_window(1_000.0, 1_000.0) == 1_000.0


@pytest.mark.parametrize(
    ("quiet", "expected"), [(0, 240), (239, 240), (240, 120), (359, 120), (360, 60), (9_000, 60)]
)
def test_windows_fall_back_while_it_is_quiet(quiet: float, expected: float) -> None:
    """Half as long after a window without repeats, half again for each such time, never below the first."""
    assert window_after_quiet(480, quiet, 60) == expected


def test_the_handlers_fold_by_the_same_rule() -> None:
    """A storm played through the handlers' own folding gives the events the estimate foretells."""
    clock = ManualClock(0.0)
    folds = Folds(60.0, clock, id_bits=lambda: 0, on_open=lambda: None)
    random = Random(7)
    times = sorted(random.choice((0.0, 700.0, 4_000.0)) + random.random() * 400 for _ in range(300))
    real: list[int] = []
    for time in range(7_000):
        clock.now = float(time)
        real += [summary.count for summary in folds.due()]
        while times and times[0] <= time:
            times.pop(0)
            record = logging.LogRecord("shop", 40, "shop.py", 1, "m", (), None)
            captured = capture(record, id_bits=0)
            quick = problem.quick_key(record)
            if not folds.repeats(record, quick, None) and folds.admits(
                captured, problem.problem_of(captured), quick
            ):
                real.append(1)
    real += [summary.count for summary in folds.all_open()]

    random = Random(7)
    times = sorted(random.choice((0.0, 700.0, 4_000.0)) + random.random() * 400 for _ in range(300))

    assert [one.count for one in folded([float(-(-time // 1)) for time in times])] == real


def folded(times: list[float], seconds: float = 60.0, **options: Any) -> list[Sent]:
    folding = Folding(seconds, **options)
    sent = [one for time in times for one in folding.add(time, "a", 1)]
    return sent + list(folding.finish(times[-1]))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0.0], [(0, 1)]),
        ([0.0, 1, 2], [(0, 1), (2, 2)]),
        ([0.0, 60], [(0, 1), (60, 1)]),  # the window passed without a repeat: it goes at once
        ([0.0, 59.9, 60], [(0, 1), (60, 1), (60, 1)]),  # summary, then the next window's repeat at the end
        ([0.0, 30, 100, 170, 200], [(0, 1), (60, 1), (180, 2), (200, 1)]),
        ([0.0, 30, 181, 182], [(0, 1), (60, 1), (181, 1), (182, 1)]),  # fell back
    ],
)
def test_repeats_within_a_window_are_one_summary(
    times: list[float], expected: list[tuple[float, int]]
) -> None:
    """The first goes at once, each window with repeats ends in a summary, an empty one closes it."""
    assert [(one.time, one.count) for one in folded(times)] == expected


@pytest.mark.parametrize("max_keys", [1, 3, 1_024])
def test_no_count_is_lost(max_keys: int) -> None:
    """Counts add up to what came in, in order of time, also where the table overflows."""
    folding = Folding(60.0, max_keys=max_keys)
    arrivals = [(number * 1.7, f"{number * number % 11}") for number in range(2_000)]

    sent = [one for time, key in arrivals for one in folding.add(time, key, 1)]
    sent += folding.finish(arrivals[-1][0])

    assert sum(one.count for one in sent) == len(arrivals)
    assert [one.time for one in sent] == sorted(one.time for one in sent)


def test_zero_seconds_fold_nothing() -> None:
    """Each record is an event."""
    assert [one.count for one in folded([0.0, 0.0, 0.0], 0)] == [1, 1, 1]


# --- figures ----------------------------------------------------------------------------------------------


def storm(path: Path, count: int = 500) -> Path:
    """*count* equal exceptions within a second, and another error in their midst."""
    trace = 'Traceback (most recent call last):\n  File "/srv/pay.py", line 1, in pay\n    x\nOSError: x\n'
    lines = [
        f"2026-11-20 12:00:00,{number:03d} ERROR shop: order {number}\n{trace}" for number in range(count)
    ]
    lines.insert(count // 2, f"2026-11-20 12:00:00,{count // 2:03d} CRITICAL till: on fire\n")
    lines.append("2026-11-20 12:00:01,000 INFO shop: fine\n")
    path.write_text("".join(lines))
    return path


def test_a_storm_costs_two_events_when_folded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """500 equal exceptions and one other error: 501 events before, 3 after, on every service."""
    figures = estimate(storm(tmp_path / "shop.log"), capsys)

    assert (figures["records"], figures["events"], figures["fingerprints"]) == (502, 501, 2)
    services = figures["services"]
    assert {name: each["before"]["events"] for name, each in services.items()} == dict.fromkeys(services, 501)
    assert {name: each["after"]["events"] for name, each in services.items()} == dict.fromkeys(services, 3)
    guance, cms, cloudwatch = (services[name]["before"] for name in ("guance", "cms", "cloudwatch"))
    assert (guance["calls"], guance["quota_seconds"], guance["busiest_minute_calls"]) == (501, 1503.0, 501)
    assert (cms["calls"], cms["billing_units"]) == (11, None)
    assert (cloudwatch["calls"], cloudwatch["billing_units"], cloudwatch["quota_seconds"]) == (51, 501, None)
    assert [(row["count"], row["title"]) for row in figures["top"]] == [
        (500, "shop: OSError: order 0"),
        (1, "till: on fire"),
    ]


def test_the_options_choose_service_window_and_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what was asked for is counted."""
    path = storm(tmp_path / "shop.log", 10)

    figures = estimate(path, capsys, "--service", "cms", "--aggregate-seconds", "0", "--level", "info")

    assert list(figures["services"]) == ["cms"]
    assert figures["events"] == figures["services"]["cms"]["after"]["events"] == 12


def test_large_events_are_billed_by_64_kib(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The service counts an event of 130,000 bytes as two and its template as well."""
    path = tmp_path / "large.log"
    path.write_text(f"2026-11-20 12:00:00 ERROR shop: {'x' * 130_000}\n2026-11-20 12:00:00 ERROR shop: x\n")

    figures = estimate(path, capsys, "--service", "cloudwatch", "--aggregate-seconds", "0")

    assert figures["services"]["cloudwatch"]["before"]["billing_units"] == 4


def test_the_text_names_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table for people: services, quotas, the commonest problems; no bar where stderr is no terminal."""
    assert main(["estimate", str(storm(tmp_path / "shop.log"))]) == 0

    printed = capsys.readouterr()
    assert printed.err == ""
    for part in ("502 records", "2 problems", "Guance", "CMS", "CloudWatch Events", "25 min", "20 calls/min"):
        assert part in printed.out
    assert "500  " in printed.out


def test_compressed_and_piped_logs_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What logrotate left, and standard input, give the same figures."""
    path = storm(tmp_path / "shop.log")
    packed = tmp_path / "shop.log.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))

    plain = estimate(path, capsys)
    piped = subprocess.run(
        [sys.executable, "-m", "eventlog_handlers", "estimate", "-", "--json"],
        input=path.read_bytes(),
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert estimate(packed, capsys) == plain == json.loads(piped.stdout)


@pytest.mark.parametrize("name", ["missing.log", "broken.log.gz", "."])
def test_what_cannot_be_read_is_said_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 1."""
    (tmp_path / "broken.log.gz").write_bytes(gzip.compress(b"x" * 10_000)[:-20])

    assert main(["estimate", str(tmp_path / name)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_file_that_is_no_log_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 1, and no table of zeros."""
    path = tmp_path / "poem.txt"
    path.write_bytes(b"roses\nare\n\xff\xfe red\n")

    assert main(["estimate", str(path)]) == 1
    assert "no record found" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--service", "sns"], ["--aggregate-seconds", "-1"], ["--level", "LOUD"]]
)
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(["estimate", "x.log", *arguments])
    assert ended.value.code == 2


def test_logs_one_behind_the_other_are_read_as_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the time goes back, as in `cat a.log b.log`, windows end and begin anew."""
    once = storm(tmp_path / "shop.log").read_text()
    later = once.replace("2026-11-20 12:", "2026-11-20 13:")
    path = tmp_path / "both.log"
    path.write_text(once + later + once)

    figures = estimate(path, capsys)

    assert figures["services"]["cms"]["after"]["events"] == 9
    assert (figures["first_time"], figures["last_time"]) == (
        "2026-11-20T12:00:00+00:00",
        "2026-11-20T13:00:00+00:00",
    )


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters() | st.characters(categories=["Cs"]), max_size=20)
    | st.sampled_from(["ERROR", "2026-11-20T12:00:00Z", "2026-13-40 25:61:61", "1e999", 10**400, TRACEBACK]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["no", "name", "seconds", "timestamp", "exc_type", "frames"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
keys = st.sampled_from(
    [
        "timestamp",
        "level",
        "message",
        "name",
        "exc_info",
        "record",
        "jsonPayload",
        "log",
        "error",
        "stack",
        "time",
    ]
)
pieces = st.sampled_from(
    ["2026-11-20 12:00:00,1 ", "ERROR", ":", " - ", "shop.x", "[", "]", "|", TRACEBACK,
     '  File "a.py", line 1, in f',
     "\n", "KeyError: x", "Nov 31 12:00:00 web app: ", "web | ", '{"log":', "9999-99-99T99:99:99+99:99 ",
     "  + ", "\x1b[31m"]
)  # fmt: skip
logs = st.lists(
    st.dictionaries(keys, values, max_size=6).map(json.dumps)
    | st.lists(pieces | st.text(max_size=5)).map("".join),
    max_size=6,
).map("\n".join)


@given(logs)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_log_breaks_the_estimate(log: str) -> None:
    """Whatever stands in it, it is counted or left out, and what is printed can be."""
    counted = Estimate([name for name, service in SERVICES.items() if service.has_cost], 60.0, 0)
    for record in read(log):
        counted.add(record)
    counted.finish()

    figures = counted.figures()

    assert sum(row["count"] for row in figures["top"]) == figures["events"] or len(figures["top"]) == 10
    assert "\x1b" not in text(figures, "x.log", 0)
    text(figures, "x.log", 0).encode()


DEEP = "[" * 20_000 + "]" * 20_000


@pytest.mark.parametrize(
    "line",
    [
        f'{{"message": {DEEP}}}',
        f'{{"log": {DEEP}}}',
        f'{{"log": {DEEP}, "time": "2026-11-20T12:00:00Z"}}',
        f'{{"log": ["ERROR:shop:x"], "stream": {DEEP}}}',
        '{"log": ' + '{"a":' * 20_000 + "1" + "}" * 20_001,
        "[" * 20_000,
    ],
    ids=["message", "docker", "docker with time", "docker with a list", "objects", "not closed"],
)
@pytest.mark.usefixtures("no_collection")
def test_a_line_nested_deeper_than_can_be_read_costs_no_other_line(line: str) -> None:
    """It is text like any other; the record before and the one behind are counted."""
    records = read(f"2026-11-20 12:00:00 ERROR shop: before\n{line}\n2026-11-20 12:00:01 ERROR shop: behind")

    assert records[0].message.startswith("before")
    assert records[-1].message == "behind"


def test_a_record_is_not_read_again_for_each_line_that_follows() -> None:
    """Past the bound of a record its lines are counted out, not searched once more for each traceback."""

    class Counted(str):
        searches = 0

        def __contains__(self, part: str) -> bool:  # type: ignore[override]
            Counted.searches += 1
            return super().__contains__(part)

        def rstrip(self, *characters: Any) -> Counted:  # type: ignore[override]
            return self

    def searches(count: int) -> int:
        Counted.searches = 0
        lines = [
            "2026-11-20 12:00:00 ERROR shop: x",
            *["y" * 100] * 5_000,
            *[Counted(f"{TRACEBACK}x")] * count,
        ]
        list(Reader(2026).records(map(Counted, lines)))
        return Counted.searches

    assert searches(2_000) - searches(1_000) <= 5_000


def test_a_reader_that_has_seen_enough_ends_the_command_in_silence(tmp_path: Path) -> None:
    """As in ``estimate shop.log | head -1``: no complaint, not even at the interpreter's exit."""
    path = storm(tmp_path / "shop.log")
    command = [sys.executable, "-m", "eventlog_handlers", "estimate", str(path)]
    readable, writable = os.pipe()
    os.close(readable)  # as head does, only surely before the first word is written
    try:
        done = subprocess.run(command, stdout=writable, stderr=subprocess.PIPE, timeout=60, check=False)
    finally:
        os.close(writable)

    assert (done.returncode, done.stderr) == (0, b"")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_bar_that_goes_away(tmp_path: Path) -> None:
    """From 0 to 100 %, and an empty line at the end; the figures are not mixed with it."""
    path, out, err = storm(tmp_path / "shop.log", 900), io.StringIO(), Terminal()

    run(path, services=["cms"], aggregate_seconds=60, level=40, as_json=True, out=out, err=err)

    assert "100 %" in err.getvalue()
    assert err.getvalue().endswith(" \r")
    json.loads(out.getvalue())


def test_memory_is_bounded_whatever_the_log_holds() -> None:
    """One line without end, and a problem of its own in every record: a few tens of MB at most."""
    lines = ["2026-11-20 12:00:00 ERROR shop: " + "x" * 1_000_000] + ["y" * 1_000_000] * 50
    counted = Estimate(["cloudwatch"], 60.0, 40)
    tracemalloc.start()
    for record in Reader(2026).records(iter(lines)):
        counted.add(record)
    for number in range(3_000):
        name = f"n{number}".translate(str.maketrans("0123456789", "abcdefghij"))
        counted.add(Record(NOON, 40, name, "m" * 1_000, ""))
    counted.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 20_000_000
    assert counted.figures()["fingerprints"] == 3_001

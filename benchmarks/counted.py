"""The hot paths that ``benchmarks.instructions`` counts, one after the other in this process.

    python -m benchmarks.counted <port of the sink>

``mark`` calls the C library's getpgid, where callgrind ends one part of its count and begins the next. No
thread of ours runs meanwhile, no garbage is collected, and the sink is a process of its own, which is not
counted. Prints one line of JSON: the cases in order, with the number of calls of each.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks import adapters
from benchmarks.child import EXTRA, fail

CALLS = 100
"""Of the short pieces of work; they are done so often and then twice as often."""
FEW = 10
_NEVER = 1 << 40
_ROOM = 100_000

Work = Callable[[int], None]


def mark() -> None:
    """End the part that is counted."""
    os.getpgid(0)


def _caller(name: str, log: Any) -> dict[str, Work]:
    """A log call: plain, with extras, with a traceback."""
    template = "order %s of customer %d failed"

    def plain(count: int) -> None:
        for number in range(count):
            log.warning(template, "A-1001", number)

    def extras(count: int) -> None:
        for number in range(count):
            log.warning(template, "A-1001", number, extra=EXTRA)

    def exception(count: int) -> None:
        for number in range(count):
            try:
                fail(9)
            except ValueError:
                log.exception(template, "A-1001", number)

    return {f"{name}: plain": plain, f"{name}: five extras": extras, f"{name}: exception": exception}


def _logger(name: str, handlers: list[Any]) -> logging.Logger:
    log = logging.getLogger(name)
    log.setLevel(logging.INFO)
    log.propagate = False
    for handler in handlers:
        log.addHandler(handler)
        _keep_threads_off(handler)
    return log


def _keep_threads_off(handler: Any) -> None:
    """What is logged waits. A thread would be counted, too, and never at the same instruction."""
    if hasattr(handler, "_worker"):
        pool = handler._worker.pool
        pool.wake_at, pool.rouse = _NEVER, lambda: True


def _ours(where: adapters.Where, name: str, **options: Any) -> Any:
    return adapters.load(name).make(where, _ROOM, **options)


def _cms_batch(where: adapters.Where) -> Work:
    """Encode and send 50 events."""
    from eventlog_handlers.testing import make_event

    handler = _ours(where, "cms")
    sink: Any = handler._worker._parts.make_sink()
    events = [make_event(f"order {number} failed", attributes=EXTRA) for number in range(50)]

    def batch(count: int) -> None:
        for _ in range(count):
            outcomes = sink.send([sink.encode(event) for event in events], timeout=60.0)
            assert len(outcomes) == len(events)

    return batch


def _committing(where: adapters.Where, directory: str) -> Any:
    """A handler whose spool's file and journal are open, and that has no thread."""
    from eventlog_handlers.record.capture import capture

    handler = _ours(where, "cms", spool=directory, durability="commit")
    _keep_threads_off(handler)
    record = logging.LogRecord("shop", logging.WARNING, __file__, 1, "opens the file", (), None)
    handler._worker.submit(capture(record))
    handler.work(10.0)
    assert handler._worker._life.journal.is_open
    return handler


def _spool_put(directory: str) -> Work:
    """Put one event into the spool's file and commit it."""
    from benchmarks.spool_commit import spool
    from eventlog_handlers.testing import make_event

    buffer = spool(directory)
    event = make_event("order failed", attributes=EXTRA)

    def put(count: int) -> None:
        for _ in range(count):
            buffer.put([event])

    return put


Group = Callable[[], tuple[int, dict[str, Work]]]


def groups(where: adapters.Where, directory: str) -> list[Group]:
    """What makes the work, by name, and how often each is done the first time.

    Made group by group: with one handler in the process a log call takes another way than with several.
    """

    def logging_to(name: str, *handlers: Any) -> dict[str, Work]:
        return _caller(name, _logger(f"counted.{name}", list(handlers)))

    def folded() -> dict[str, Work]:
        work = logging_to("", _ours(where, "cms", aggregate_seconds=900.0, scope="process"))
        return {"folded repeat": work[": exception"]}

    return [
        lambda: (CALLS, logging_to("NullHandler", logging.NullHandler())),
        lambda: (CALLS, logging_to("one handler", _ours(where, "cms"))),
        lambda: (CALLS, folded()),
        lambda: (CALLS, logging_to("three handlers", *(_ours(where, name) for name in adapters.OURS))),
        lambda: (
            CALLS,
            {"commit: log call": logging_to("", _committing(where, f"{directory}/commit"))[": plain"]},
        ),
        lambda: (CALLS // 2, {"spool: put and commit": _spool_put(f"{directory}/put")}),
        lambda: (FEW, {"CMS: encode and send 50": _cms_batch(where)}),
    ]


def main(port: int) -> None:
    """Do all of it, and say what was done. The process ends without exit hooks: what waits is not sent."""
    where = adapters.Where(port, port)
    with tempfile.TemporaryDirectory() as directory:
        done: list[tuple[str, int]] = []
        gc.disable()
        for group in groups(where, directory):
            count, work = group()
            for name, do in work.items():
                do(3 * count)  # the interpreter adapts itself to what it runs
                mark()
                do(count)
                mark()
                do(2 * count)
                mark()
                done.append((name, count))
            _forget(work)
        print(json.dumps(done), flush=True)
    os._exit(0)


def _forget(work: dict[str, Work]) -> None:
    """Let the group's handlers be collected."""
    work.clear()
    for name, log in list(logging.Logger.manager.loggerDict.items()):
        if name.startswith("counted.") and isinstance(log, logging.Logger):
            log.handlers.clear()
    gc.collect()


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""EventHandler, the part that logging calls. It puts clock, randomness, threads and buffer together."""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import logging
import re
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from eventlog_handlers.base import Handler
from eventlog_handlers.errors import described
from eventlog_handlers.listening import hearing
from eventlog_handlers.pipeline.counters import loss_record, note_record
from eventlog_handlers.pipeline.dry_run import DryRun
from eventlog_handlers.pipeline.entrance import Entrance
from eventlog_handlers.pipeline.life import Parts
from eventlog_handlers.pipeline.open_buffer import made_buffer
from eventlog_handlers.pipeline.open_pacer import joined_pacer
from eventlog_handlers.pipeline.open_sharing import made_sharing
from eventlog_handlers.pipeline.showing import made_showing
from eventlog_handlers.pipeline.sink import Sink
from eventlog_handlers.pipeline.tickets import Ticket
from eventlog_handlers.pipeline.worker import Worker
from eventlog_handlers.process import clock, notices
from eventlog_handlers.process.own_traffic import mark
from eventlog_handlers.process.randomness import random_fraction, reseed_if_forked
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.process.start_thread import start_thread
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.plain import EXIT_EXCEPTIONS
from eventlog_handlers.record.renderer import Renderer
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.settings.values import PipelineSettings
from eventlog_handlers.text.json_text import use_orjson
from eventlog_handlers.text.lazy_patterns import compile_all

_handlers: weakref.WeakValueDictionary[int, EventHandler] = weakref.WeakValueDictionary()
_numbers = itertools.count()
_are_several = False
"""Whether there is more than one handler in this process. One alone leaves nothing for others."""


class Destination(NamedTuple):
    """The destination of a handler: endpoint, key and route.

    Handlers with the same endpoint and *key* share one rate limit; *address* is the rest of the route (group,
    region, bus).
    """

    service: str
    endpoint: str
    key: Secret | str
    address: str

    def shown(self) -> str:
        """For people: ``cms metrics.cn-hangzhou.aliyuncs.com 7``. Without the key, and without a user and a
        password in the endpoint."""
        host = self.endpoint.partition("://")[2].partition("/")[0].rpartition("@")[2]
        more = [word for word in re.findall(r"[\w./:-]+", self.address) if word != "None"]
        return " ".join(filter(None, [self.service, host, *more]))


class EventHandler(Handler):
    """The base of the three handlers: a record becomes an event, its delivery is watched and counted.

    May be called from any thread, from signal handlers and from ``__del__``; never raises into the logging
    call, never waits there. ``close`` parks: the next record revives it.
    """

    def __init__(
        self,
        level: int | str,
        pipeline: PipelineSettings,
        make_sink: Callable[[SelfLog], Sink],
        destination: Destination,
    ) -> None:
        global _are_several
        number, name = checks.level(level), type(self).__name__
        reseed_if_forked()
        self_log = SelfLog(name)
        self._self_log = self_log
        renderer = Renderer(pipeline, self_log)
        self._dry_run = DryRun(make_sink) if pipeline.dry_run else None
        make_sink = self._dry_run or make_sink
        service, endpoint, key, address = destination
        key = key if isinstance(key, Secret) else Secret(key)
        self.destination = destination = destination._replace(key=key)
        make_buffer = self.make_buffer
        processes = self.make_sharing(
            pipeline,
            self_log,
            lambda text: renderer.own_event(note_record(text)),
            **destination._asdict(),
        )
        pacer = (
            joined_pacer(pipeline, service=service, endpoint=endpoint, key=key)
            if processes is None
            else processes.pacer
        )
        parts = Parts(
            make_sink=lambda: _noticed(pipeline, make_sink, self_log),
            make_buffer=lambda report: make_buffer(
                pipeline, report, service=service, endpoint=endpoint, address=address
            ),
            render=renderer,
            own_event=lambda loss: renderer.own_event(loss_record(loss)),
            start_thread=start_thread,
            pacer=pacer,
            clock=clock.monotonic,
            cpu_clock=time.thread_time,
            wall_clock=time.time,
            rand=random_fraction,
            self_log=self_log,
            sharing=processes,
            make_showing=lambda: (
                None if pipeline.is_disabled else made_showing(name, destination.shown(), pipeline)
            ),
        )
        self._worker = Worker(name, pipeline, parts)
        self._leave_pacer = _nothing if pacer is None else pacer.leave
        take_in: Callable[[Capture], None] | None = None
        if pipeline.when_full == "block":
            take_in = self._worker.submit
        if pipeline.durability == "commit":
            _import_for_commit()
            take_in = self._worker.commit
        number_here = next(_numbers)
        self._entrance = Entrance(
            self._worker,
            take_in,
            self._worker.captures,
            has_own_emit=type(self).emit is not EventHandler.emit,
        )
        if pipeline.flush_on_sigterm and not pipeline.is_disabled:
            from eventlog_handlers.process import sigterm

            sigterm.install()
        if pipeline.start_notice is not None:
            self_log.say(pipeline.start_notice)
        self._is_disabled = pipeline.is_disabled
        if pipeline.is_disabled:
            not_taken = functools.partial(notices.not_taken, self_log, pipeline.notice)
            vars(self).update(handle=not_taken, emit=not_taken)
        super().__init__(number)  # last: it makes the handler known to logging.shutdown
        self.destination = destination
        _handlers[number_here] = self
        _are_several = len(_handlers) > 1
        weakref.finalize(self, _dropped, self._worker, self._leave_pacer).atexit = False

    make_sharing = staticmethod(made_sharing)
    make_buffer = staticmethod(made_buffer)
    """A relay's handler has others: problems are its queue's, and events wait there."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and emit, without logging's lock around it: ``emit`` needs none, and a lock held here would
        deadlock with the client library that logs while ``logging.shutdown`` waits for us."""
        entrance = self._entrance
        if entrance.filters or entrance.has_own_emit:
            return self._filter_and_emit(record)
        if _are_several:
            entrance.take_together(record, entrance.formatter)
        else:
            entrance.take(record, entrance.formatter)
        return True

    @property
    def filters(self) -> list[Any]:
        """As logging's; they stand where a log call looks."""
        return self._entrance.filters

    @filters.setter
    def filters(self, filters: list[Any]) -> None:
        self._entrance.filters = filters

    @property
    def formatter(self) -> logging.Formatter | None:
        """As logging's; it stands where a log call looks."""
        return self._entrance.formatter

    @formatter.setter
    def formatter(self, formatter: logging.Formatter | None) -> None:
        self._entrance.formatter = formatter

    def _filter_and_emit(self, record: logging.LogRecord) -> bool:
        if mark.active:  # before code of the user's sees it
            self._worker.count_own_traffic()
            return False
        try:
            passed: Any = self.filter(record)
        except EXIT_EXCEPTIONS:
            raise
        except BaseException as error:  # asyncio.CancelledError, pytest's own
            self._self_log.say_once("filter", f"a filter raised, so the record passes: {described(error)}")
            passed = True
        if not passed:
            return False
        # From 3.12 on a filter may replace it.
        self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Take the record in, whatever the filters say. Only KeyboardInterrupt and SystemExit may leave
        here."""
        if _are_several and not self.filters:
            self._entrance.take_together(record, self.formatter)
        else:
            self._entrance.take(record, self.formatter)

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # as in Handler
        """Send everything accepted so far; True if it is settled: delivered, or dropped for a counted reason.

        Waits *timeout* seconds at most; None means ``exit_timeout``. Never waits while the caller holds
        logging's own lock, as ``dictConfig`` does, or in a signal handler that struck inside a lock of ours:
        then False says that sending goes on in the background.
        """
        return self._worker.flush(timeout)

    def work(self, seconds: float) -> None:
        """Work in the calling thread for *seconds* at most: take over what ended processes left, and send.

        For a program that has no record of its own to log; returns early where there is nothing to do.
        """
        deadline = clock.monotonic() + seconds
        while clock.monotonic() < deadline and self._worker.step(deadline=deadline) is None:
            pass

    def begin_flush(self) -> Ticket | None:
        """The first half of ``flush``, to flush several handlers side by side."""
        return self._worker.begin_flush()

    def end_flush(self, ticket: Ticket | None, timeout: float | None) -> bool:
        """The second half of ``flush``."""
        return self._worker.end_flush(ticket, timeout)

    @property
    def exit_timeout(self) -> float:
        """Seconds that the interpreter's exit, and ``close``, wait at most."""
        return self._worker.exit_timeout

    @property
    def capacity(self) -> int:
        """Events held at most."""
        return self._worker.settings.capacity

    def close(self, timeout: float | None = None) -> None:
        """Flush within *timeout* (None: ``exit_timeout``) and park: threads end, nothing pending is lost.

        A record that still comes (loggers keep handlers that a second dictConfig closed) revives it.
        """
        self._worker.park(timeout)
        self._leave_pacer()
        super().close()
        hearing.closed(self)

    def stats(self) -> dict[str, Any]:
        """Counters of this process: ``accepted = delivered + dropped + aggregated + pending``."""
        stats = self._worker.stats()
        if self._is_disabled:
            stats["state"] = "disabled"
        return stats if self._dry_run is None else {**stats, "dry_run": self._dry_run.counts()}

    def __reduce__(self) -> Any:
        raise TypeError(
            f"a {type(self).__name__} is not pickled or copied: configure logging in each process"
        )


def _import_for_commit() -> None:
    """Bring all that rendering and writing need: with ``commit`` both happen in the thread that logs.

    A Ctrl-C that breaks an import off would leave half a module behind, and with orjson end the process.
    """
    from eventlog_handlers.record.traceback_text import import_for_printing

    compile_all()
    use_orjson()
    import_for_printing()
    for name in ("sqlite3", "ctypes", "eventlog_handlers.buffers.spool.buffer"):
        with contextlib.suppress(ImportError):  # the code that uses the module says that it is missing
            importlib.import_module(name)


def _noticed(pipeline: PipelineSettings, make_sink: Callable[[SelfLog], Sink], self_log: SelfLog) -> Sink:
    """The sink, made at the first event: the moment to say that it leads elsewhere."""
    if not pipeline.dry_run:
        notices.say(self_log, pipeline.notice)
    return make_sink(self_log)


def _nothing() -> None:
    """Leave the rate limit, where there is none."""


def _dropped(worker: Worker, leave_pacer: Callable[[], None]) -> None:
    """A handler was collected; its worker goes on until all is settled, so nothing is lost."""
    leave_pacer()
    pending = worker.approximate_pending()
    if pending:
        warnings.warn(
            f"a {worker.name} was dropped without close(): {pending} event(s) are still on their way",
            ResourceWarning,
            stacklevel=2,
        )


def live_handlers() -> list[EventHandler]:
    """The handlers that exist in this process, oldest first."""
    return [handler for _, handler in sorted(_handlers.items())]


__all__ = ["EventHandler", "live_handlers"]

"""The logging.Handler subclasses; the one place that picks clock, randomness, threads and the environment."""

from __future__ import annotations

import _thread
import itertools
import logging
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from eventlog_handlers import lifecycle, settings
from eventlog_handlers.aggregation import quick_key
from eventlog_handlers.buffers import Buffer
from eventlog_handlers.buffers.memory import MemoryBuffer
from eventlog_handlers.captures import Capture, capture, degraded
from eventlog_handlers.diagnostics import Loss, SelfLog, level_name
from eventlog_handlers.entropy import random_bits, random_fraction
from eventlog_handlers.errors import MissingExtraError
from eventlog_handlers.events import Event
from eventlog_handlers.identities import identity
from eventlog_handlers.jsonable import FATAL
from eventlog_handlers.ledger import Ticket
from eventlog_handlers.mapping import render
from eventlog_handlers.own_traffic import mark
from eventlog_handlers.pacing import Pacer
from eventlog_handlers.patterns import compile_all
from eventlog_handlers.redaction import redactor
from eventlog_handlers.secret import Secret
from eventlog_handlers.settings import PipelineSettings
from eventlog_handlers.sinks import Sink
from eventlog_handlers.sinks.cloudwatch import CloudWatchEventsSink
from eventlog_handlers.sinks.cms import CMSSink
from eventlog_handlers.sinks.dry_run import Rehearsal
from eventlog_handlers.sinks.guance import GuanceSink
from eventlog_handlers.worker import Worker

if TYPE_CHECKING:
    from typing_extensions import Unpack

_getpid = os.getpid
_native_start = _thread.start_new_thread
_pacers: weakref.WeakValueDictionary[tuple[str, str, Secret], Pacer] = weakref.WeakValueDictionary()
_handlers: weakref.WeakValueDictionary[int, EventHandler] = weakref.WeakValueDictionary()
_numbers = itertools.count()


class _Destination(NamedTuple):
    """Whom a handler sends to: *key* shares a pace, *address* what else decides where an event ends up."""

    service: str
    endpoint: str
    key: Secret | str
    address: str


class EventHandler(logging.Handler):
    """What the three handlers share: a record becomes an event, its delivery is watched and counted.

    May be called from any thread, from signal handlers and from ``__del__``; never raises into the logging
    call, never waits there. ``close`` parks: the next record revives it.
    """

    def __init__(
        self,
        level: int | str,
        pipeline: PipelineSettings,
        make_sink: Callable[[SelfLog], Sink],
        destination: _Destination,
    ) -> None:
        self_log = SelfLog(type(self).__name__)
        self._self_log = self_log
        renderer = _Renderer(pipeline, self_log)
        self._rehearsal = Rehearsal(make_sink) if pipeline.dry_run else None
        make_sink = self._rehearsal or make_sink
        self._worker = Worker(
            type(self).__name__,
            pipeline,
            make_sink=lambda: make_sink(self_log),
            make_buffer=lambda: _make_buffer(pipeline, destination, self_log),
            render=renderer,
            pacer=_pacer(destination, pipeline),
            clock=lifecycle.monotonic,
            cpu_clock=time.thread_time,
            wall_clock=time.time,
            rand=random_fraction,
            start_thread=_start_thread,
            report_loss=renderer.report_loss,
            self_log=self_log,
        )
        self._folds = self._worker.folds
        self._take_in = self._worker.submit
        if pipeline.durability == "commit":
            compile_all()  # events are rendered in the thread that logs
            self._take_in = self._worker.commit
        if pipeline.flush_on_sigterm:
            from eventlog_handlers import sigterm

            sigterm.install()
        super().__init__(level)  # last: it makes the handler known to logging.shutdown
        _handlers[next(_numbers)] = self
        weakref.finalize(self, _warn_of_unclosed, self._worker).atexit = False

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and emit, without logging's lock around it: ``emit`` needs none, and a lock held here would
        deadlock with the client library that logs while ``logging.shutdown`` waits for us."""
        if mark.active:
            self._worker.own_traffic += 1
            return False
        if self.filters:
            try:
                passed: Any = self.filter(record)
            except FATAL:
                raise
            except BaseException as error:  # asyncio.CancelledError, pytest's own
                self._self_log.say_once("filter", f"a filter raised, so the record passes: {_named(error)}")
                passed = True
            if not passed:
                return False
            if isinstance(passed, logging.LogRecord):  # from 3.12 on a filter may replace it
                record = passed
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Take the record in. Only KeyboardInterrupt and SystemExit may leave here."""
        worker, folds = self._worker, self._folds
        try:
            # logging has asked the system for it; where the record is another process's, we ask again.
            is_here = record.process == worker.pid
        except FATAL:
            raise
        except BaseException:
            is_here = False
        if not is_here and _getpid() != worker.pid:  # uWSGI forks without Python's hooks
            worker.after_fork_in_child()
        if folds is not None:
            try:
                quick = quick_key(record)
            except FATAL:
                raise
            except BaseException:  # a misshapen record; what is wrong is told below
                quick = None
            if folds.repeats(record, quick, self.formatter):
                return
        id_bits = random_bits()
        try:
            captured = capture(record, id_bits, self.formatter)
        except FATAL:
            raise
        except BaseException as error:
            captured = degraded(record, error, id_bits=id_bits)
        if folds is None or folds.admits(captured, quick):
            self._take_in(captured)

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # logging's returns None
        """Send everything accepted so far; True if it is settled: delivered, or dropped for a counted reason.

        Waits *timeout* seconds at most; None means ``exit_timeout``. Never waits while the caller holds
        logging's own lock, as ``dictConfig`` does: then False says that sending goes on in the background.
        """
        return self._worker.flush(timeout)

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

    def close(self, timeout: float | None = None) -> None:
        """Flush within *timeout* (None: ``exit_timeout``) and park: threads end, nothing pending is lost.

        A record that still comes (loggers keep handlers that a second dictConfig closed) revives it.
        """
        self._worker.park(timeout)
        super().close()

    def stats(self) -> dict[str, Any]:
        """Counters of this process: ``accepted = delivered + dropped + aggregated + pending``."""
        stats = self._worker.stats()
        return stats if self._rehearsal is None else {**stats, "dry_run": self._rehearsal.counts()}

    def __reduce__(self) -> Any:
        raise TypeError(
            f"a {type(self).__name__} is not pickled or copied: configure logging in each process"
        )


class CMSHandler(EventHandler):
    """Sends log records to Alibaba Cloud CloudMonitor as custom events (``PutCustomEvent``).

    All options are keywords; see ``settings.CMSOptions`` and the README's table. Raises SettingsError for a
    wrong one. Opens nothing, starts no thread and imports no client library before the first record.
    """

    def __init__(self, *, level: int | str = logging.NOTSET, **options: Unpack[settings.CMSOptions]) -> None:
        own, pipeline = settings.cms(options, os.environ)

        def make_sink(self_log: SelfLog) -> Sink:
            return CMSSink(
                own,
                clock=lifecycle.monotonic,
                wall_clock=time.time,
                nonce=lambda: os.urandom(16).hex(),
                warn=self_log.say,
            )

        account = own.access_key_id or os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID", "")
        super().__init__(
            level, pipeline, make_sink, _Destination("cms", own.endpoint, account, repr(own.group_id))
        )


class GuanceHandler(EventHandler):
    """Sends log records to Guance or TrueWatch as events (``POST /api/v1/events/create``).

    All options are keywords; see ``settings.GuanceOptions`` and the README's table. Raises SettingsError for
    a wrong one. Opens nothing, starts no thread and imports no client library before the first record.
    """

    def __init__(
        self, *, level: int | str = logging.NOTSET, **options: Unpack[settings.GuanceOptions]
    ) -> None:
        own, pipeline = settings.guance(options, os.environ)

        def make_sink(self_log: SelfLog) -> Sink:
            return GuanceSink(own, clock=lifecycle.monotonic)

        key = own.api_key or os.environ.get("DF_API_KEY", "")
        super().__init__(level, pipeline, make_sink, _Destination("guance", own.endpoint, key, ""))


class CloudWatchEventsHandler(EventHandler):
    """Sends log records to CloudWatch Events, now EventBridge, through boto3 (``PutEvents``).

    All options are keywords; see ``settings.CloudWatchEventsOptions`` and the README's table. Raises
    SettingsError for a wrong one, MissingExtraError without boto3. Opens nothing, starts no thread and
    imports no client library before the first record.
    """

    def __init__(
        self, *, level: int | str = logging.NOTSET, **options: Unpack[settings.CloudWatchEventsOptions]
    ) -> None:
        own, pipeline = settings.cloudwatch(options, os.environ)
        if own.client is None and not pipeline.dry_run and not _is_installed("boto3"):
            raise MissingExtraError(
                "CloudWatchEventsHandler needs boto3: pip install 'eventlog-handlers[aws]'"
            )

        def make_sink(self_log: SelfLog) -> Sink:
            return CloudWatchEventsSink(own, clock=lifecycle.monotonic)

        bus = repr((own.region_name, own.event_bus_name))
        super().__init__(
            level, pipeline, make_sink, _Destination("cloudwatch", own.endpoint_url or "", "", bus)
        )


def _warn_of_unclosed(worker: Worker) -> None:
    """A handler was collected; its worker goes on until all is settled, so nothing is lost."""
    pending = worker.roughly_pending()
    if pending:
        warnings.warn(
            f"a {worker.name} was dropped without close(): {pending} event(s) are still on their way",
            ResourceWarning,
            stacklevel=2,
        )


def live_handlers() -> list[EventHandler]:
    """The handlers that exist in this process, oldest first."""
    return [handler for _, handler in sorted(_handlers.items())]


class _Renderer:
    """Capture to event on the worker's thread, the user's hook included."""

    def __init__(self, pipeline: PipelineSettings, self_log: SelfLog) -> None:
        self._redactor = None if pipeline.redact is None else redactor(pipeline.redact)
        self._before_send = pipeline.before_send
        self._level_map = pipeline.level_map
        self._self_log = self_log
        self._who = identity(
            pipeline.service,
            pipeline.env,
            pipeline.tags,
            environ=os.environ,
            argv0=sys.argv[0] if sys.argv else "",
            hostname=_hostname(),
        )

    def __call__(self, captured: Capture) -> Event | None:
        event = render(captured, self._who, level_map=self._level_map)
        if self._redactor is not None:
            event = self._redactor.redact(event)
        if self._before_send is None:
            return event
        try:
            changed = self._before_send(event)
            if changed is None:
                return None
            if not isinstance(changed, Event):
                why = f"before_send returned {type(changed).__name__}, not an Event or None"
            elif misfits := changed.misfits():
                why = f"before_send returned an Event with an impossible {', '.join(misfits)}"
            else:
                return changed
        except Exception as error:
            why = f"before_send raised {type(error).__name__}"
        self._self_log.say_once("before_send", f"{why}: events go out without what it might have removed")
        return redactor().withheld(event, why)

    def report_loss(self, loss: Loss) -> Event:
        """The event that tells what an outage or a storm has cost, as severe as the worst that was lost."""
        level = max(loss.by_level)
        since, until = (
            datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds")
            for moment in (loss.since, loss.until)
        )
        record = logging.LogRecord("eventlog_handlers", level, __file__, 0, "%s", (loss.sentence(),), None)
        record.__dict__.update(
            since=since,
            until=until,
            lost_by_level={level_name(number): count for number, count in loss.by_level.items()},
            lost_by_reason=loss.by_reason,
            fingerprint="eventlog_handlers lost events",
        )
        return render(capture(record, id_bits=random_bits()), self._who, level_map=self._level_map)


def _pacer(destination: _Destination, pipeline: PipelineSettings) -> Pacer | None:
    """The pacer of this destination: one for all handlers of the process that share endpoint and key."""
    if pipeline.requests_per_second is None or pipeline.dry_run:
        return None
    key = destination.key if isinstance(destination.key, Secret) else Secret(destination.key)
    name = (destination.service, destination.endpoint, key)
    pacer = _pacers.get(name)
    if pacer is None:
        pacer = Pacer(pipeline.requests_per_second, pipeline.burst, pipeline.window)
        _pacers[name] = pacer
    pacer.slow_down_to(pipeline.requests_per_second, pipeline.burst, pipeline.window)
    return pacer


def _make_buffer(pipeline: PipelineSettings, destination: _Destination, self_log: SelfLog) -> Buffer:
    if pipeline.spool is None:
        return MemoryBuffer(
            capacity=pipeline.capacity,
            capacity_bytes=pipeline.capacity_bytes,
            policy=pipeline.when_full,
            clock=lifecycle.monotonic,
        )
    from eventlog_handlers.buffers.sqlite import SpoolBuffer

    return SpoolBuffer(
        pipeline.spool,
        capacity=pipeline.capacity,
        capacity_bytes=pipeline.capacity_bytes,
        policy=pipeline.when_full,
        max_age_seconds=pipeline.max_age,
        clock=lifecycle.monotonic,
        wall_clock=time.time,
        report=self_log.say_once,
        # Not the key: it may be another one when the events of a dead process are taken over.
        identity=f"{destination.service}-{_digest(destination.endpoint + destination.address)}",
    )


def _digest(text: str) -> str:
    import hashlib

    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _start_thread(run: Callable[[], None], name: str) -> None:
    def live() -> None:
        try:
            run()
        finally:
            lifecycle.fork_gate.ends()

    if _thread.start_new_thread is _native_start:
        threading.Thread(target=live, name=name, daemon=True).start()
    else:
        # gevent or eventlet patched after our locks and queues were made: in a green thread they would stop
        # the whole program. In a real one they are what they seem.
        _native_start(live, ())


def _hostname() -> str:
    if hasattr(os, "uname"):  # what the socket module says, which takes a while to import
        return os.uname().nodename
    import socket

    return socket.gethostname()


def _is_installed(module: str) -> bool:
    if module in sys.modules:
        return True
    try:
        return any(finder.find_spec(module, None) for finder in sys.meta_path)
    except ImportError:
        return False


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


__all__ = ["CMSHandler", "CloudWatchEventsHandler", "EventHandler", "GuanceHandler", "live_handlers"]

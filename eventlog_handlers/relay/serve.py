"""Runs a relay: starts the threads that serve the queues, tells Redis that it is here, and ends in order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from queue import Empty

from eventlog_handlers.errors import described
from eventlog_handlers.process import clock, own_traffic
from eventlog_handlers.process.green import TokenQueue
from eventlog_handlers.process.host import hostname
from eventlog_handlers.process.start_thread import start_thread
from eventlog_handlers.relay.buffer import POLL_SECONDS
from eventlog_handlers.relay.queue_handler import Assignment, QueueHandler
from eventlog_handlers.share.contract import UnavailableError
from eventlog_handlers.share.fleet_url import FleetAddress

REGISTER_SECONDS = 10.0
_AGAIN_SECONDS = 1.0
_BROKEN_OFF_SECONDS = 1.0


class CannotServeError(Exception):
    """The relay can't serve what it was asked to; the text says what to change."""


class Relay:
    """Serves *assigned* queues at *address* until ``stop``. *say* tells the user a sentence.

    Raises SettingsError for a wrong option, or missing credentials, of a destination.
    """

    def __init__(
        self, address: FleetAddress, assigned: Sequence[Assignment], say: Callable[[str], None]
    ) -> None:
        self.name = f"{hostname()}-{os.getpid()}-{os.urandom(3).hex()}"
        self._say = say
        self._queues = [QueueHandler(address, one, self.name) for one in assigned]
        self._stop = TokenQueue()
        self._is_stopping = threading.Event()
        self._threads: list[threading.Event] = []  # each is set when its thread has ended

    def stop(self) -> None:
        """End ``serve``; may be called from a signal handler."""
        self._stop.put()

    def serve(self) -> None:
        """Serve until ``stop``, then give back what is in hand. Raises CannotServeError."""
        if not self._is_registered():
            return
        for one in self._queues:
            self._say(f"queue {one.queue} → {one.destination}")
            for number in range(one.concurrency + 1):  # one more than may send: it keeps what is in hand
                self._start(one, number)
        try:
            while not self._was_stopped(REGISTER_SECONDS):
                for one in self._queues:
                    self._register(one)
        finally:
            self._end()

    def _was_stopped(self, seconds: float) -> bool:
        try:
            self._stop.get(timeout=seconds)
        except Empty:
            return False
        return True

    # --- the beginning -------------------------------------------------------------------------------------

    def _is_registered(self) -> bool:
        """Wait until Redis knows this relay; False where it was stopped before. A server that will not do
        before somebody changes something, or another destination, is refused."""
        for one in self._queues:
            was_said = False
            while True:
                try:
                    other = one.register()
                    break
                except UnavailableError as error:
                    if error.may_pass:  # it is full: all the more it must be drained
                        self._say(f"queue {one.queue}: {error}")
                        other = ""
                        break
                    if error.remedy:
                        raise CannotServeError(str(error)) from None
                    if not was_said:
                        self._say(f"waiting: {error}")
                        was_said = True
                if self._was_stopped(_AGAIN_SECONDS):
                    return False
            self._refuse(one, other)
        return True

    def _refuse(self, one: QueueHandler, other: str) -> None:
        if other:
            raise CannotServeError(
                f"the queue {one.queue} is served already, to another destination ({other}): a queue has "
                "one, so give another queue, or end the other relays first"
            )

    def _register(self, one: QueueHandler) -> None:
        try:
            other = one.register()
        except UnavailableError:
            return  # its buffer says so
        self._refuse(one, other)

    # --- a thread's side -----------------------------------------------------------------------------------

    def _start(self, one: QueueHandler, number: int) -> None:
        ended = threading.Event()
        self._threads.append(ended)

        def run() -> None:
            own_traffic.mark.active = True
            try:
                while not self._is_stopping.is_set():
                    self._turn(one)
            finally:
                ended.set()

        start_thread(run, f"relay-{one.queue}-{number}")

    def _turn(self, one: QueueHandler) -> None:
        try:
            idle = one.turn()
        except Exception as error:  # a fault of ours: what was in hand was given back or counted
            self._say(f"queue {one.queue}: a turn broke off, it goes on: {described(error)}")
            self._is_stopping.wait(_BROKEN_OFF_SECONDS)
            return
        if idle is not None:
            seconds = POLL_SECONDS if idle.seconds is None else min(idle.seconds, POLL_SECONDS)
            self._is_stopping.wait(max(0.001, seconds))

    # --- the end -------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Give back what no request is under way with, wait for those requests, give back the rest."""
        self._is_stopping.set()
        for one in self._queues:
            one.stop()
        deadline = clock.monotonic() + max(one.handler.exit_timeout for one in self._queues)
        for one in self._queues:
            one.give_back(0.5)
        for ended in self._threads:
            ended.wait(max(0.0, deadline - clock.monotonic()))
        for one in self._queues:
            one.give_back(0.5)
            try:
                one.register(leaves=True)
            except UnavailableError:
                self._say(f"queue {one.queue}: others take over in a while, Redis gave no answer at the end")
            one.close()


def run(relay: Relay) -> None:
    """Serve until SIGTERM or SIGINT. Raises CannotServeError."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stop())
    relay.serve()

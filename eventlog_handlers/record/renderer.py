"""Capture to Event on the worker's thread: render, redact, the user's before_send."""

from __future__ import annotations

import logging
import os
import sys
from copy import deepcopy

from eventlog_handlers.events import Event
from eventlog_handlers.process.host import hostname
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.record.alike import Alike
from eventlog_handlers.record.capture import capture
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.plain import plain_attributes
from eventlog_handlers.record.redact import redactor
from eventlog_handlers.record.render import render
from eventlog_handlers.record.sender import identity
from eventlog_handlers.record.sharing import leave_rendered, rendered, rendering
from eventlog_handlers.settings.values import PipelineSettings


class Renderer:
    """Capture to event on the worker's thread, the user's hook included."""

    def __init__(self, pipeline: PipelineSettings, self_log: SelfLog) -> None:
        self._redactor = None if pipeline.redact is None else redactor(pipeline.redact)
        self._alike = Alike(str if self._redactor is None else self._redactor.text)
        self._before_send = pipeline.before_send
        self._level_map = pipeline.level_map
        self._self_log = self_log
        self._sender = identity(
            pipeline.service,
            pipeline.env,
            pipeline.tags,
            environ=os.environ,
            argv0=sys.argv[0] if sys.argv else "",
            hostname=hostname(),
        )
        self._how = rendering(self._sender, self._level_map, pipeline.redact)

    def __call__(self, captured: Capture) -> Event | None:
        event = rendered(captured, self._how)
        if event is None:
            event = self._alike.event_of(captured) or self._rendered(captured)
            leave_rendered(captured, self._how, event)
        if self._before_send is None:
            return event
        if captured.events is not None and event.attributes:
            event = event._replace(attributes=deepcopy(event.attributes))  # the hook may change its own
        try:
            changed = self._before_send(event)
            if changed is None:
                return None
            if not isinstance(changed, Event):
                why = f"before_send returned {type(changed).__name__}, not an Event or None"
            elif misfits := changed.misfits():
                why = f"before_send returned an Event with an impossible {', '.join(misfits)}"
            else:
                return _plain(changed)
        except KeyboardInterrupt:
            raise  # the hook runs in a thread of the application's, and the user wants to stop
        except BaseException as error:  # CancelledError and SystemExit too: the neighbours go on
            why = f"before_send raised {type(error).__name__}"
        self._self_log.say_once("before_send", f"{why}: events go without the values it may have removed")
        return redactor().withheld(event, why)

    def _rendered(self, captured: Capture) -> Event:
        event = render(captured, self._sender, level_map=self._level_map)
        if self._redactor is not None:
            event = self._redactor.redact(event)
        self._alike.remember(captured, event)
        return event

    def own_event(self, record: logging.LogRecord) -> Event:
        """An event of the package's own making: neither redacted nor shown to ``before_send``."""
        return render(capture(record), self._sender, level_map=self._level_map)


def _plain(changed: Event) -> Event:
    """The hook's event, with attributes that every service takes: no set, no NaN, no name but text."""
    defects = list(changed.defects)
    return changed._replace(attributes=plain_attributes(changed.attributes, defects), defects=tuple(defects))

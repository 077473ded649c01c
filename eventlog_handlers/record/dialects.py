"""Reads what structlog, loguru and OpenTelemetry put on a LogRecord. Pure but for the current span.

Checked against structlog 26.1 (``render_to_log_kwargs``, ``ProcessorFormatter.wrap_for_formatter``), loguru
0.7.3 (``StandardSink``) and opentelemetry-api 1.45; none of them is imported. Here: reading
their forms into the plain one. Not here: its use (capture.py), and texts that these libraries have already
finished (finished_text.py).
"""

from __future__ import annotations

import json
import string
from typing import Any, NamedTuple

from eventlog_handlers.listening import django
from eventlog_handlers.record.plain import EXIT_EXCEPTIONS, Plain
from eventlog_handlers.record.traceback_text import TRACEBACK

OTEL_API = "opentelemetry.trace"
OTEL_FIELDS = frozenset({"otelTraceID", "otelSpanID", "otelTraceSampled", "otelServiceName"})
"""Fields that OpenTelemetry's logging instrumentation adds to each record; the event has fields for them."""

NEEDS_READING = frozenset({"extra", "otelTraceID", "request"})
"""Where a record of logging's own class has none of these and text as message, it speaks no dialect."""

_STRUCTLOG_FIELDS = ("_logger", "_name", "_record", "_from_structlog")
_MESSAGE_KEYS = ("event", "message", "msg")
_TRACEBACK_KEYS = ("exc_info", "exception", "stack_info", "stack")


class ParsedCall(NamedTuple):
    """A log call in the plain form."""

    msg: Any
    args: Any
    template: str | None
    """None: *msg* as text."""
    has_arguments: bool
    """Whether *template* is one although no arguments are left."""
    extras: dict[Any, Any]
    exc_info: Any
    exc_text: Any
    stack: Any
    is_foreign: bool
    """The record's own getMessage() would not give the message."""
    is_structured: bool


def read(msg: Any, args: Any, extras: dict[Any, Any], *, exc_info: Any, exc_text: Any) -> ParsedCall:
    """Tell a record's parts apart. *extras* may be changed; *msg* is not.

    - A dict as message (structlog's ``wrap_for_formatter``, ``log.info({...})``): its event, message or msg
      is the message, its traceback is the record's, all else are extras.
    - loguru's handler sink: the bound values sit in an extra called ``extra``, and the message ends in a
      traceback, which is cut off where the record holds the exception itself.
    - A request of Django's in an extra called ``request``: its method, path, route and id become extras too.
    """
    if issubclass(type(msg), dict):
        return _structured(msg, args, extras, exc_info, exc_text)
    bound = extras.get("extra")
    is_foreign = False
    if "request" in extras:
        extras.update({**django.request_fields(extras["request"]), **extras})
    if type(bound) is dict:
        del extras["extra"]
        for name, value in bound.items():
            extras[name if name not in extras else f"extra.{name}"] = value
        if (
            type(exc_text) is str and exc_text == "\n"
        ):  # loguru's way to keep formatters from printing it again
            exc_text = None
            if exc_info is not None and type(msg) is str:
                msg, _, _ = msg.partition("\n" + TRACEBACK)
                is_foreign = True
    return ParsedCall(msg, args, None, False, extras, exc_info, exc_text, None, is_foreign, False)


def _structured(
    msg: dict[Any, Any], args: Any, extras: dict[Any, Any], exc_info: Any, exc_text: Any
) -> ParsedCall:
    rest = dict(msg)
    for name in _STRUCTLOG_FIELDS:
        rest.pop(name, None)
        extras.pop(name, None)
    key = next((key for key in _MESSAGE_KEYS if rest.get(key) is not None), None)
    if key is not None:
        text, template = rest.pop(key), None
    else:
        text = json.dumps(Plain([]).of(msg, "msg"), ensure_ascii=False)
        template = "{" + ", ".join(sorted(name for name in msg if type(name) is str)) + "}"
    positional = rest.pop("positional_args", None)
    live = rest.pop("exc_info", None)
    stack = rest.pop("stack", None) or rest.get("stack_info")
    if type(rest.get("stack_info")) in (bool, str):
        del rest["stack_info"]
    if type(rest.get("exception")) is str and TRACEBACK in rest["exception"]:
        printed = rest.pop("exception")
        exc_text = printed if exc_text is None else exc_text
    for name, value in extras.items():
        rest[name if name not in rest else f"extra.{name}"] = value
    return ParsedCall(
        msg=text,
        args=positional if type(positional) is tuple else args if key is not None else None,
        template=template,
        has_arguments=template is not None,
        extras=rest,
        exc_info=live if exc_info is None or exc_info is False else exc_info,
        exc_text=exc_text,
        stack=stack if type(stack) is str else None,
        is_foreign=True,
        is_structured=True,
    )


def without_traceback(msg: Any) -> Any:
    """A copy of structlog's event dict for a formatter that is not to print the traceback."""
    return {name: value for name, value in msg.items() if name not in _TRACEBACK_KEYS}


def span(fields: dict[Any, Any], trace: Any) -> tuple[str | None, str | None]:
    """Trace id (32 hex digits) and span id (16) of the log call; None where there is no valid span.

    Those the instrumentation wrote on the record go first, then the span current in this thread or task.
    *trace* is the module ``opentelemetry.trace`` if the application has imported it, else None.
    """
    if "otelTraceID" in fields:
        return _hex(fields["otelTraceID"], 32), _hex(fields.get("otelSpanID"), 16)
    if trace is None:
        return None, None
    try:
        context = trace.get_current_span().get_span_context()
        if not context.trace_id or not context.span_id:
            return None, None
        return f"{context.trace_id:032x}", f"{context.span_id:016x}"
    except EXIT_EXCEPTIONS:
        raise
    except BaseException:  # half imported, or replaced by something else: an event without a span
        return None, None


def _hex(value: object, width: int) -> str | None:
    if type(value) is not str or not value or set(value) - set(string.hexdigits) or not value.strip("0"):
        return None
    return value.lower().rjust(width, "0")[-width:]

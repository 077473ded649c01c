"""For Flask: reads a failed request from Flask's signals. Imports nothing of Flask's.

Flask logs a view's exception, with path and method in the message only. In debug mode and tests it logs
nothing and raises the exception on. Its signal ``got_request_exception`` comes before both. Read in the
source of Flask 3.1: ``Flask.handle_exception``.

Flask also gives the application's logger a handler that prints, unless a handler is there already. Our
handler prints nothing, so Flask is told not to count it (``flask.logging.has_level_handler``).
"""

from __future__ import annotations

import functools
import logging
import sys
from typing import Any

from eventlog_handlers.listening import fields, report, tree, web

LOGGER = "eventlog_handlers.flask"
_TOKEN = "eventlog_handlers.token"  # noqa: S105 - where a request's environ keeps what undoes its fields


def connect() -> bool:
    """Hear of failed requests; False where Flask isn't loaded. Calling it again changes nothing."""
    flask = sys.modules.get("flask")
    signal = getattr(flask, "got_request_exception", None)
    over = getattr(flask, "request_tearing_down", None)
    if signal is None or over is None:
        return False
    signal.connect(_failed, weak=False)
    over.connect(_is_over, weak=False)
    _keep_printing()
    return True


def _keep_printing() -> None:
    module = sys.modules.get("flask.logging")
    original = getattr(module, "has_level_handler", None)
    if module is None or original is None or hasattr(original, "eventlog_original"):
        return

    @functools.wraps(original)
    def has_level_handler(logger: logging.Logger) -> bool:
        level = logger.getEffectiveLevel()
        passed: logging.Logger | None = logger
        while passed is not None:
            others = [handler for handler in passed.handlers if not tree.is_of_this_package(handler)]
            if any(handler.level <= level for handler in others):
                return True
            passed = passed.parent if passed.propagate else None
        return False

    has_level_handler.eventlog_original = original  # type: ignore[attr-defined]
    module.has_level_handler = has_level_handler  # type: ignore[attr-defined]


def _failed(app: Any, exception: BaseException | None = None, **_: Any) -> None:
    try:
        request = sys.modules["flask"].request
        rule = request.url_rule
        of_request = _fields(request)
        failed = web.failed(
            None if rule is None else rule.rule,
            500,
            request.query_string.decode("latin-1"),
            request.headers.get,
        )
    except Exception:  # another version's request: the event goes without its fields
        of_request, failed = {}, {}
    _bind({**of_request, **failed})  # Flask may log the exception next
    if _is_raised_on(app) and isinstance(exception, Exception):
        report.report(
            exception,
            "%s %s raised %s",
            (of_request.get("method", ""), of_request.get("path", ""), report.described(exception)),
            logger=LOGGER,
        )


def _bind(more: dict[str, object]) -> None:
    """Add fields until the request is over."""
    environ = sys.modules["flask"].request.environ
    token = fields.bind(more)
    environ.setdefault(_TOKEN, token)


def _fields(request: Any) -> dict[str, str]:
    """The request's fields, with the id that it has already where ``wsgi.wrap`` is around the application."""
    named = web.fields(request.method, request.path, request.headers.get)
    known = fields.current().get("request_id")
    return {**named, "request_id": known} if isinstance(known, str) else named


def _is_raised_on(app: Any) -> bool:
    """Whether Flask raises the exception to the server instead of logging it."""
    try:
        chosen = app.config["PROPAGATE_EXCEPTIONS"]
        return bool(app.testing or app.debug) if chosen is None else bool(chosen)
    except Exception:
        return False


def _is_over(_app: Any, **_: Any) -> None:
    token = sys.modules["flask"].request.environ.pop(_TOKEN, None)
    if token is not None:
        fields.unbind(token)

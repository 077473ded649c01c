"""For functions whose process is frozen between two calls: AWS Lambda, Alibaba Cloud Function Compute.

Events must be sent before the function returns. Afterwards its threads stand still until the next call,
which comes minutes later or never: no thread and no exit hook of ours can send then. The platform catches the
function's exceptions, so no hook for uncaught exceptions sees them. Many processes may start from one frozen
image (Lambda's SnapStart), so each call begins with randomness of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.listening import fields, report
from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.process import randomness

LOGGER = "eventlog_handlers.functions"

_Function = TypeVar("_Function", bound=Callable[..., Any])


def flush_after(timeout: float = 2.0) -> Callable[[_Function], _Function]:
    """Decorate a function, ``async`` or not, to flush all handlers before it returns or raises.

        @flush_after(timeout=2)
        def handler(event, context): ...

    An exception of the function is reported, unless it was logged as an error, and raised as before. Events
    of a call have the ``request_id`` of the platform's context, the last argument.

    Waits *timeout* seconds at most, counted into the time the platform bills and limits. What isn't sent by
    then stays pending, and goes on with the next call if the process sees one. Raises SettingsError if
    *timeout* is no number of seconds.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout >= 0:
        raise SettingsError(f"flush_after takes seconds, as in @flush_after(timeout=2), not {timeout!r}")

    def decorate(function: _Function) -> _Function:
        wrapper: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                try:
                    with _one_call(function, args):
                        return await function(*args, **kwargs)
                finally:
                    await asyncio.to_thread(_flush, timeout)

        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                try:
                    with _one_call(function, args):
                        return function(*args, **kwargs)
                finally:
                    _flush(timeout)

        return wrapper  # type: ignore[no-any-return]

    return decorate


@contextlib.contextmanager
def _one_call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Iterator[None]:
    """Events of one call have its request's id; an exception that leaves the call is reported."""
    randomness.reseed()
    request_id = _request_id(arguments)
    token = None if request_id is None else fields.bind({"request_id": request_id})
    try:
        yield
    except Exception as error:
        name = getattr(function, "__qualname__", "the function")
        report.report(error, "%s raised %s", (name, report.described(error)), logger=LOGGER)
        raise
    finally:
        if token is not None:
            fields.unbind(token)


def _request_id(arguments: tuple[Any, ...]) -> str | None:
    """The id that the platform's context, the last argument, gives the call."""
    context = arguments[-1] if arguments else None
    for name in ("aws_request_id", "request_id"):  # Lambda's, Function Compute's
        given = getattr(context, name, None)
        if isinstance(given, str) and given:
            return given
    return None


def _flush(timeout: float) -> None:
    # There may be a next call: no hurry where a service has refused.
    process_exit.flush_all(timeout, urgent=False)

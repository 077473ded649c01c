"""For functions whose process is frozen between two calls: AWS Lambda, Alibaba Cloud Function Compute.

What such a function logs must be sent before it returns. Afterwards its threads stand still until the next
call, minutes later or never: no thread and no exit hook of ours could do it then. And many processes may
be thawed from one frozen image (Lambda's SnapStart), so that each call begins with randomness of its own.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.process import exit as lifecycle
from eventlog_handlers.process import randomness as entropy

_Function = TypeVar("_Function", bound=Callable[..., Any])


def flush_after(timeout: float = 2.0) -> Callable[[_Function], _Function]:
    """Decorate a function, ``async`` or not, to flush all handlers before it returns or raises.

        @flush_after(timeout=2)
        def handler(event, context): ...

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
                entropy.reseed()
                try:
                    return await function(*args, **kwargs)
                finally:
                    await asyncio.to_thread(_flush, timeout)

        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                entropy.reseed()
                try:
                    return function(*args, **kwargs)
                finally:
                    _flush(timeout)

        return wrapper  # type: ignore[no-any-return]

    return decorate


def _flush(timeout: float) -> None:
    lifecycle.flush_all(
        timeout, urgent=False
    )  # there may be a next call: no hurry where a service has refused

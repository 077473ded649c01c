"""The errors of the package, and nothing else. Imports nothing of ours.

    EventlogError
    ├── SettingsError         a wrong setting; raised at construction, says what to do (also a ValueError)
    ├── MissingExtraError     an optional package is missing; says the pip line (also an ImportError)
    └── SinkError             raised by a sink: the whole request failed, one cause for all its events
        ├── TransientError      nothing is known to be wrong with us: try again later
        ├── ThrottledError      the service asks us to slow down: costs no attempt
        ├── MisconfiguredError  credentials, permission, address: hold everything until the user mends it
        ├── RefusedError        the data was refused: halve the batch until the culprit stands alone
        └── TooLargeError       the request was too large: split it; a single event is shortened once

No message of these may hold a secret, a request header or an unshortened answer of a server.
"""

from __future__ import annotations

HINT_CEILING_SECONDS = 300.0
"""A longer wait that a service asks for is not believed."""


class EventlogError(Exception):
    """Root of every error this package raises on purpose."""


class SettingsError(EventlogError, ValueError):
    """A setting is wrong. The text names the option, the range and the remedy, never a secret value."""


class MissingExtraError(EventlogError, ImportError):
    """An optional dependency is missing. The text holds the ``pip install`` line that mends it."""


class SinkError(EventlogError):
    """A whole request failed.

    *code* is the service's own word (or ours, for faults below HTTP) and becomes a counter's name;
    *detail* is one short printable sentence; *retry_after* is the service's hint in seconds from now.
    """

    def __init__(self, code: str, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


class TransientError(SinkError):
    """Network trouble, 5xx, or an answer that proves nothing. *ambiguous*: the service may have acted on it.

    *attempts_allowed* bounds how often one event may meet this fault (None: only age and capacity bound it).
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        retry_after: float | None = None,
        ambiguous: bool = False,
        attempts_allowed: int | None = None,
    ) -> None:
        super().__init__(code, detail, retry_after=retry_after)
        self.ambiguous = ambiguous
        self.attempts_allowed = attempts_allowed


class ThrottledError(SinkError):
    """Too fast. The events are fine and keep their attempts; the whole destination pauses."""


class MisconfiguredError(SinkError):
    """Nothing will get through until the configuration is mended; *detail* says what to look at."""


class RefusedError(SinkError):
    """The service refused the request's data. With one event in the request, that event is at fault."""


class TooLargeError(SinkError):
    """The request was larger than the service takes."""


def described(error: BaseException) -> str:
    """``ValueError: the text``: an exception in one phrase."""
    return f"{type(error).__name__}: {error}"

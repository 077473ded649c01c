"""An event's time as the services' milliseconds. Pure."""

from __future__ import annotations

LAST_MILLISECOND = 253_402_300_799_999
"""31 December 9999, 23:59:59.999 UTC since the epoch."""


def milliseconds(time: float) -> tuple[int, bool]:
    """*time*, in seconds since the epoch, rounded to the millisecond, and whether it tells that time.

    A time outside 1970 to 9999 becomes the nearer end, and a value that is no number the epoch; then the
    second value is False.
    """
    try:
        wanted = round(time * 1000)
    except OverflowError:  # infinite
        wanted = LAST_MILLISECOND + 1 if time > 0 else -1
    except ValueError:  # not a number
        wanted = -1
    if 0 <= wanted <= LAST_MILLISECOND:
        return wanted, True
    return 0 if wanted < 0 else LAST_MILLISECOND, False

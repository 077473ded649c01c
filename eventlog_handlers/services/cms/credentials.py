"""Alibaba Cloud credentials: the value, and how it is read out of what a user hands in.

Everything here is a function of its arguments, the user's own callable included. The sink decides when to ask
and which environment is read. No message formed here holds a value of a credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from eventlog_handlers.errors import MisconfiguredError, SinkError, TransientError

ENVIRONMENT = (
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_SECURITY_TOKEN",
)
"""The names the official clients read, in the order of Credentials' fields."""

_NAMES = ("access_key_id", "access_key_secret", "security_token")
_STS_NAMES = (
    "AccessKeyId",
    "AccessKeySecret",
    "SecurityToken",
)  # as AssumeRole and the metadata service answer
_REMEDY = (
    f"set {ENVIRONMENT[0]} and {ENVIRONMENT[1]} in the environment, "
    "or give access_key_id and access_key_secret, or credentials="
)


class Credentials(NamedTuple):
    """An access key, with the token of a temporary one. Only the key's id shows in a repr."""

    access_key_id: str
    access_key_secret: str
    security_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(access_key_id={self.access_key_id!r})"


def from_environment(environ: Mapping[str, str]) -> Credentials:
    """The credentials in the official clients' variables; raises MisconfiguredError if they are not set."""
    return checked(*(environ.get(name) for name in ENVIRONMENT), origin="the environment")


def from_source(source: Any) -> Credentials:
    """Ask *source*, an object with ``get_credential()`` or a callable, and read its answer.

    The answer is an object with the attributes ``access_key_id``, ``access_key_secret`` and, for a temporary
    key, ``security_token``; or a dict with these keys or the service's (``AccessKeyId``, …); or a tuple in
    this order. Raises MisconfiguredError if it is none of these, and TransientError if *source* itself
    raised: a metadata service that is away for a moment is no wrong setting. Of a foreign exception only the
    type is named, for its text may hold anything.
    """
    ask = getattr(source, "get_credential", None) or source
    try:
        answer = ask()
    except SinkError:
        raise
    except Exception as error:
        raise TransientError("credentials", f"credentials= raised {type(error).__name__}") from None
    if isinstance(answer, Mapping):
        names = _STS_NAMES if _STS_NAMES[0] in answer else _NAMES
        values = tuple(answer.get(name) for name in names)
    elif isinstance(answer, (tuple, list)):
        values = (*answer, None, None, None)[: max(3, len(answer))]
    else:
        values = tuple(getattr(answer, name, None) for name in _NAMES)
    if len(values) != 3:
        raise MisconfiguredError(
            "credentials", f"credentials= gave {len(values)} values; it takes two or three"
        )
    return checked(*values, origin="credentials=")


def checked(
    access_key_id: object, access_key_secret: object, security_token: object = None, *, origin: str
) -> Credentials:
    """Credentials of these values, stripped; a value with ``reveal()`` is opened.

    Raises MisconfiguredError that names *origin* and the part at fault. A blank or a line break inside a key
    would only come back as a wrong signature, so it is refused here.
    """
    values = [
        _opened(value, name, origin)
        for name, value in zip(_NAMES, (access_key_id, access_key_secret, security_token), strict=True)
    ]
    if not values[0] or not values[1]:
        missing = _NAMES[0] if not values[0] else _NAMES[1]
        raise MisconfiguredError("credentials", f"no {missing} in {origin}: {_REMEDY}")
    return Credentials(values[0], values[1], values[2] or None)


def _opened(value: object, name: str, origin: str) -> str:
    reveal = getattr(value, "reveal", None)
    text = reveal() if callable(reveal) else value
    if text is None:
        return ""
    if not isinstance(text, str):
        raise MisconfiguredError(
            "credentials", f"{name} from {origin} is no string but {type(text).__name__}"
        )
    text = text.strip()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise MisconfiguredError(
            "credentials", f"{name} from {origin} holds a blank or a character no key has"
        )
    return text

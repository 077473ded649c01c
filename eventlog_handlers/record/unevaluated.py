"""Recognises objects that work when they are printed, such as a database query, by their class. Pure.

An extra is printed for every record, also for a record that is only counted as a repeat. That must run no
query in the thread that logs. Checked against Django 5.2 (query sets, lazy objects such as
``request.user``) and SQLAlchemy 2.0 (attributes that are not loaded); neither is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

MISSING = object()


def shown_unevaluated(value: object) -> str | None:
    """Words for *value* if printing it would do work that is still undone; None if it may be printed.

    Looks at its class and at its own ``__dict__`` alone, so it runs no code of theirs.
    """
    kind = type(value)
    return next((_LAZY[name](value, kind) for name in _names(kind) if name in _LAZY), None)


def attribute_of(value: object, name: str) -> Any:
    """An attribute of *value*, MISSING if there is none, words if reading it would ask a database for it."""
    own = _own(value)
    return (
        "[not loaded]" if "_sa_instance_state" in own and name not in own else getattr(value, name, MISSING)
    )


def _query(value: object, kind: type) -> str:
    model = _own(value).get("model")
    name = f" of {model.__module__}.{model.__qualname__}" if isinstance(model, type) else ""
    return f"<{kind.__name__}{name}, not evaluated>"


def _lazy_object(value: object, kind: type) -> str | None:
    # Django's mark for "not yet" is a bare object().
    return f"<{kind.__name__}, not evaluated>" if type(_own(value).get("_wrapped")) is object else None


_LAZY: dict[tuple[str, str], Callable[[object, type], str | None]] = {
    # A query that was run is not printed either: its rows may run queries of their own.
    ("django.db.models.query", "QuerySet"): _query,
    ("django.utils.functional", "LazyObject"): _lazy_object,
}


def _names(kind: type) -> Iterator[tuple[str, str]]:
    for base in type.__dict__["__mro__"].__get__(kind):
        module = type.__dict__["__dict__"].__get__(base).get("__module__")
        if type(module) is str:
            yield module, type.__dict__["__name__"].__get__(base)


def _own(value: object) -> dict[str, Any]:
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found if type(found) is dict else {}

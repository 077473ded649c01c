"""Checks of options that are objects of the user's, or their dotted names."""

from __future__ import annotations

import importlib
from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings import checks


def resolve(name: str, value: object) -> object:
    """*value* itself, or what a dotted string such as ``shop.alerts.credentials`` names."""
    if not isinstance(value, str):
        return value
    module, _, attribute = value.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the module is the user's: it may raise anything while it is imported
        why = type(error).__name__
    # Raised outside the ``except``: importlib's error quotes the text, and that may be a key by mistake.
    shown = "its text" if name == "credentials" else checks.short(value)
    raise SettingsError(
        f"{name} takes an object or its dotted name, such as 'shop.alerts.{name}'; {shown} can't be "
        f"imported ({why})"
    )


def function(name: str, value: object) -> Any:
    resolved = resolve(name, value)
    if resolved is not None and not callable(resolved):
        raise SettingsError(f"{name} takes a callable or its dotted name, not {type(resolved).__name__}")
    return resolved


def observer(name: str, value: object) -> Any:
    """An object with some of the observer's methods, or its dotted name."""
    resolved = resolve(name, value)
    methods = ("on_delivered", "on_retry", "on_drop", "on_state")
    if resolved is not None and not any(callable(getattr(resolved, method, None)) for method in methods):
        raise SettingsError(f"{name} takes an object with at least one of {', '.join(methods)}")
    return resolved

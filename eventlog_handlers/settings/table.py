"""All options of one handler: checks the given options and turns them into values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventlog_handlers.settings import checks
from eventlog_handlers.settings.option import Option
from eventlog_handlers.settings.options import OPTIONS as COMMON_OPTIONS


class Table:
    """The rows of one handler: its own and those that every handler has, with its own defaults.

    *instead* says what to use for names that people bring along from another service.
    """

    def __init__(
        self,
        handler: str,
        own: tuple[Option, ...],
        defaults: Mapping[str, Any],
        instead: Mapping[str, str] | None = None,
    ) -> None:
        self._handler = handler
        self._instead = instead
        rows = (*own, *COMMON_OPTIONS)
        self.rows = tuple(row._replace(default=defaults.get(row.name, row.default)) for row in rows)
        self._rows = {row.name: row for row in self.rows}
        self._usual: dict[str, Any] = {}

    def values(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The value of each option by name, checked. Raises SettingsError, also for an unknown option."""
        if not self._rows.keys() >= options.keys():
            checks.refuse_unknown(self._handler, options, self._rows, self._instead)
        given = {name: self._rows[name].check(name, options[name]) for name in options}
        return {**self.usual(), **given}

    def usual(self) -> dict[str, Any]:
        """The values where no option is given."""
        if not self._usual:
            self._usual = {name: row.check(name, row.default) for name, row in self._rows.items()}
        return self._usual


class HandlerSignature:
    """``__signature__`` of a handler's class, for ``help()`` and ``inspect.signature``: all its options.

    Made when it is asked for. A subclass with a constructor of its own has its own signature.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner

    def __get__(self, instance: object, owner: type) -> Any:
        if owner.__init__ is not self._owner.__init__:  # type: ignore[misc]  # only compared
            raise AttributeError("__signature__")
        from inspect import Parameter, Signature  # slower to import than all of this

        return Signature(
            [
                Parameter(row.name, Parameter.KEYWORD_ONLY, default=row.default, annotation=row.type)
                for row in self._table.rows
            ]
        )

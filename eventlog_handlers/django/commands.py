"""Makes an event of a management command that fails. ``manage.py`` runs and prints as before."""

from __future__ import annotations

import functools
from typing import Any

from django.core.management.base import BaseCommand, SystemCheckError

from eventlog_handlers.listening import report

LOGGER = "django.management"


def report_failures() -> None:
    """Have each command of ``manage.py`` report its exception. Calling it again changes nothing.

    A ``CommandError`` too, of which Django prints one line and ends with an exit code. Not the findings of
    ``manage.py check``, not wrong arguments, and not what ``call_command`` raises into the program that calls
    it. An exception is reported once: ``sys.excepthook`` finds it told.
    """
    run_from_argv = BaseCommand.run_from_argv
    if getattr(run_from_argv, "reports_failures", False):
        return

    @functools.wraps(run_from_argv)
    def reporting(self: Any, argv: list[str]) -> None:
        execute, name = self.execute, argv[1] if len(argv) > 1 else type(self).__module__

        def reported(*arguments: Any, **options: Any) -> Any:
            try:
                return execute(*arguments, **options)
            except Exception as error:
                if not isinstance(error, SystemCheckError):
                    report.report(
                        error, "management command %s failed", (name,), logger=LOGGER, extra={"command": name}
                    )
                raise

        self.execute = reported
        run_from_argv(self, argv)

    reporting.reports_failures = True  # type: ignore[attr-defined]  # a mark on our own function
    BaseCommand.run_from_argv = reporting

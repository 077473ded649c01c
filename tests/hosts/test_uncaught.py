"""Exceptions that nobody catches: each is one event, and the terminal shows what it would have shown."""

from __future__ import annotations

from typing import Any

import pytest
from processes import run

from eventlog_handlers.listening.uncaught import place_of

CONFIGURE = """
import sys, threading
{before}
from eventlog_handlers import configure
configure("cms://cn-hangzhou"{options})
"""


def crash(console: Any, script: str, *, before: str = "", options: str = "") -> Any:
    """Run *script* in a process where ``configure`` was called."""
    preamble = CONFIGURE.format(before=before, options=options)
    return run(script, preamble=preamble, console=console.url)


def first_lines(console: Any) -> list[str]:
    return sorted(event.body["Content"].splitlines()[0] for event in console.events("cms"))


PLACES = {
    "main": (
        """
        def sell():
            raise LookupError("no order A-1004")
        sell()
        """,
        "CRITICAL uncaught LookupError: no order A-1004",
        "Traceback (most recent call last):",
    ),
    "thread": (
        """
        def sell():
            raise LookupError("no order A-1004")
        thread = threading.Thread(target=sell, name="till")
        thread.start()
        thread.join()
        """,
        "ERROR uncaught LookupError in thread till: no order A-1004",
        "Exception in thread till",
    ),
    "__del__": (
        """
        class Till:
            def __del__(self):
                raise LookupError("no order A-1004")
        Till()
        """,
        "ERROR LookupError ignored in Till.__del__: no order A-1004",
        "Exception ignored ",
    ),
    "child": (
        """
        import multiprocessing
        def sell():
            raise LookupError("no order A-1004")
        process = multiprocessing.get_context("fork").Process(target=sell, name="till")
        process.start()
        process.join()
        """,
        "CRITICAL uncaught LookupError in process till: no order A-1004",
        "Process till:",
    ),
    "asyncio with a handler of the application's": (
        """
        import asyncio
        async def main():
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _loop, context: print("Traceback", context, file=sys.stderr))
            loop.call_soon(sell)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        def sell():
            raise LookupError("no order A-1004")
        asyncio.run(main())
        """,
        "ERROR Exception in callback sell() at <string>:12: LookupError: no order A-1004",
        "Traceback {",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_exception_that_nobody_catches_is_one_event(eventlog_console: Any, place: str) -> None:
    """With its traceback; the message says where it was met."""
    script, first_line, printed = PLACES[place]

    done = crash(eventlog_console, script, before="import asyncio, multiprocessing")

    (event,) = eventlog_console.events("cms")
    lines = event.body["Content"].splitlines()
    assert lines[0].split(" at ")[0] == first_line.split(" at ")[0]
    assert "LookupError: no order A-1004" in lines
    assert event.body["EventName"] == "eventlog_handlers.uncaught"
    assert printed in done.stderr
    told = [line for line in done.stderr.splitlines() if "no order A-1004" in line]
    # From CPython 3.13 on a traceback shows the lines of python -c, too.
    assert len([line for line in told if "raise" not in line]) == 1, done.stderr


class Till:
    """Something that ignores exceptions."""

    def __del__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("ignorer", "text", "place"),
    [
        (Till.__del__, None, "Till.__del__"),
        (Till.__del__, "Exception ignored in atexit callback", "Till.__del__"),
        (Till(), None, "Till"),
        ("shop.till.sell", None, "shop.till.sell"),
        (None, None, "an unknown place"),
        (None, f"Exception ignored while calling deallocator {Till.__del__!r}", "Till.__del__"),
        (None, f"Exception ignored while calling weakref callback {(lambda: 0)!r}", "<lambda>"),
        (None, f"Exception ignored while closing generator {(letter for letter in '')!r}", "<genexpr>"),
        (None, f"Exception ignored in {Till()!r}", f"<{__name__}.Till object>"),
        (None, "Exception ignored while selling", "while selling"),
    ],
    ids=lambda value: type(value).__name__,  # the texts have addresses, which differ between two processes
)
def test_an_ignored_exceptions_event_says_where(ignorer: Any, text: str | None, place: str) -> None:
    """As every CPython tells it: before 3.13 the object itself, and since then a text with its repr."""
    assert place_of(ignorer, text) == place


def test_what_asyncio_logs_itself_is_not_sent_again(eventlog_console: Any) -> None:
    """A task whose exception nobody asked for: asyncio's own record is the event."""
    crash(
        eventlog_console,
        """
        async def sell():
            raise LookupError("no order A-1004")
        async def main():
            asyncio.create_task(sell())
            await asyncio.sleep(0)
        asyncio.run(main())
        """,
        before="import asyncio",
    )

    assert first_lines(eventlog_console) == ["ERROR Task exception was never retrieved"]


@pytest.mark.parametrize(
    "script",
    [
        "raise KeyboardInterrupt",
        "raise SystemExit(3)",
        "thread = threading.Thread(target=sys.exit); thread.start(); thread.join()",
        "sys.ps1 = '>>> '; raise LookupError('typed at a prompt')",
    ],
)
def test_what_was_asked_for_is_no_event(eventlog_console: Any, script: str) -> None:
    """Ctrl-C, an exit, and what a person mistypes."""
    crash(eventlog_console, script)

    assert first_lines(eventlog_console) == []


def test_an_exception_that_was_logged_is_not_sent_again(eventlog_console: Any) -> None:
    """The application logs it and lets it go on; logged as less than an error, it is still news."""
    script = """
    import logging
    try:
        raise LookupError("no order A-1004")
    except LookupError:
        logging.getLogger("shop").{method}("sale failed", exc_info=True)
        raise
    """

    crash(eventlog_console, script.replace("{method}", "error"))
    crash(eventlog_console, script.replace("{method}", "warning"), options=", level='WARNING'")

    assert first_lines(eventlog_console) == [
        "CRITICAL uncaught LookupError: no order A-1004",
        "ERROR sale failed",
        "WARNING sale failed",
    ]


def test_the_hooks_that_were_there_are_called(eventlog_console: Any) -> None:
    """Each of the application's own, with what Python gave."""
    done = crash(
        eventlog_console,
        """
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        raise LookupError("no order")
        """,
        before="""
sys.excepthook = lambda kind, error, traceback: print("own", kind.__name__, error, traceback.tb_lineno > 0)
threading.excepthook = lambda args: print("own", args.exc_type.__name__, args.thread.name)
""",
    )

    assert done.stdout.splitlines() == [
        "own ZeroDivisionError Thread-1 (<lambda>)",
        "own LookupError no order True",
    ]
    assert len(first_lines(eventlog_console)) == 2


def test_uncaught_false_leaves_the_hooks_alone(eventlog_console: Any) -> None:
    """As an option of ``configure``."""
    done = crash(
        eventlog_console,
        "print(sys.excepthook is before is sys.__excepthook__); 1 / 0",
        before="before = sys.excepthook",
        options=", uncaught=False",
    )

    assert done.stdout == "True\n"
    assert first_lines(eventlog_console) == []


def test_the_hooks_are_put_in_place_once_and_taken_away_with_the_handler(eventlog_console: Any) -> None:
    """Configured again they stay as they are; replaced likewise; undone by ``close``."""
    done = crash(
        eventlog_console,
        """
        import logging
        first = hooks()
        configure("cms://cn-hangzhou")
        again = hooks()
        configure("cms://cn-hangzhou", level="CRITICAL")
        replaced = hooks()
        handler = logging.getLogger().handlers[-1]
        while logging.getLogger().handlers:
            logging.getLogger().removeHandler(logging.getLogger().handlers[0])
        configure("cms://cn-hangzhou", level="CRITICAL").close()
        print(first != before, first == again, first == replaced, hooks() == before)
        """,
        before="""
def hooks():
    return [sys.excepthook, threading.excepthook, sys.unraisablehook]
before = hooks()
""",
    )

    assert done.stdout == "True True True True\n", done.stderr


def test_a_hook_that_others_have_wrapped_stays_and_tells_once(eventlog_console: Any) -> None:
    """A library chains its own to ours, and ``configure`` is called again: one event."""
    crash(
        eventlog_console,
        """
        ours = sys.excepthook
        sys.excepthook = lambda *args: ours(*args)
        configure("cms://cn-hangzhou", level="CRITICAL")
        raise LookupError("no order A-1004")
        """,
    )

    assert first_lines(eventlog_console) == ["CRITICAL uncaught LookupError: no order A-1004"]


def test_a_handler_of_one_logger_hears_of_them_too(eventlog_console: Any) -> None:
    """It was configured for the application, wherever it is attached."""
    crash(eventlog_console, "1 / 0", options=", logger='shop'")

    assert first_lines(eventlog_console) == ["CRITICAL uncaught ZeroDivisionError: division by zero"]


def test_an_exception_whose_text_fails_is_an_event(eventlog_console: Any) -> None:
    """Its own ``__str__`` raises."""
    crash(
        eventlog_console,
        """
        class Broken(Exception):
            def __str__(self):
                raise ValueError
        raise Broken
        """,
    )

    assert first_lines(eventlog_console) == ["CRITICAL uncaught Broken: <unprintable>"]

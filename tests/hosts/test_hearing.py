"""What keeps records from a handler: judged from a picture of logging's tree, and said on stderr once."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from processes import run

from eventlog_handlers import GuanceHandler, attached, configure
from eventlog_handlers.listening.judge import problems
from eventlog_handlers.listening.picture import Expected, Listener, Node, Picture


def listener(key: int = 1, level: int = 40, accepted: int = 0, places: str = "a") -> Listener:
    return Listener(key, "GuanceHandler", level, accepted, frozenset(places), ("guance https://example",))


def node(
    name: str,
    *listeners: Listener,
    level: int = 30,
    propagate: bool = True,
    asked: tuple[int, ...] = (),
    disabled: bool = False,
) -> Node:
    above = name.rpartition(".")[0] or "root"
    parent = None if name == "root" else above
    return Node(name, parent, level, propagate, listeners, frozenset(asked), disabled)


def judged(*nodes: Node, expected: tuple[Expected, ...] = ()) -> list[tuple[str, str]]:
    """Kind and logger of each problem."""
    picture = Picture({one.name: one for one in nodes}, expected)
    return [(problem.kind, problem.logger) for problem in problems(picture)]


ATTACHED = (Expected("root", 1, "GuanceHandler", frozenset("a")),)


@pytest.mark.parametrize(
    ("nodes", "expected", "found"),
    [
        # taken off
        ([node("root", listener())], ATTACHED, []),
        ([node("root")], ATTACHED, [("taken_off", "root")]),
        ([node("root", listener(2))], ATTACHED, []),  # another one sends to the same place
        ([node("root", listener(2, places="b"))], ATTACHED, [("taken_off", "root")]),
        ([node("root")], (), []),
        ([node("root")], (Expected("gone", 1, "GuanceHandler", frozenset("a")),), []),
        # level
        ([node("root", listener(level=20))], (), [("level", "root")]),
        ([node("root", listener(level=30))], (), []),
        ([node("root", listener(level=0))], (), []),  # was not set to take anything particular
        ([node("root", listener(level=20)), node("shop", level=20)], (), []),
        (
            [node("root", listener(level=20)), node("shop", level=20, propagate=False)],
            (),
            [("level", "root")],
        ),
        # twice
        ([node("root", listener(1), listener(2))], (), [("twice", "root")]),
        ([node("root", listener(1), listener(2, places="b"))], (), []),
        ([node("root", listener(1)), node("shop", listener(2)), node("shop.a")], (), [("twice", "shop")]),
        ([node("root", listener(1)), node("shop", listener(1))], (), [("twice", "shop")]),
        ([node("root", listener(1)), node("shop", listener(2), propagate=False)], (), []),
        # unheard
        ([node("root", listener()), node("shop", propagate=False, asked=(40,))], (), [("unheard", "shop")]),
        (
            [node("root", listener()), node("shop", propagate=False), node("shop.a", asked=(50,))],
            (),
            [("unheard", "shop")],
        ),
        ([node("root", listener()), node("shop", propagate=False, asked=(30,))], (), []),
        ([node("root", listener(accepted=1)), node("shop", propagate=False, asked=(40,))], (), []),
        ([node("root", listener()), node("shop", asked=(40,))], (), []),
        (
            [node("root", listener()), node("shop", listener(2, places="b"), propagate=False, asked=(40,))],
            (),
            [],
        ),
        ([node("root"), node("a", listener()), node("b", propagate=False, asked=(40,))], (), []),
        # disabled
        ([node("root", listener()), node("shop", disabled=True)], (), [("disabled", "root")]),
        (
            [node("root", listener()), node("a", disabled=True), node("b", disabled=True)],
            (),
            [("disabled", "root")],
        ),
        ([node("root", listener()), node("shop", disabled=True, propagate=False)], (), []),
        ([node("root"), node("a", listener()), node("b", disabled=True)], (), []),
        ([node("root", listener()), node("a", disabled=True), node("a.b")], (), [("disabled", "root")]),
    ],
)
def test_what_a_picture_of_the_tree_means(nodes: Any, expected: Any, found: Any) -> None:
    """Case by case; a problem that several loggers share is told once."""
    assert judged(*nodes, expected=expected) == found


def test_attached_tells_it_as_data(eventlog_console: Any) -> None:
    """Handlers where they are, and sentences."""
    configure("guance://cn1", level="INFO")
    logging.getLogger("shop").addHandler(GuanceHandler(level="CRITICAL"))

    told = attached()

    (root,) = [one for one in told["handlers"] if one["logger"] == "root"]
    assert root == {
        "handler": "GuanceHandler",
        "logger": "root",
        "level": "INFO",
        "accepted": 0,
        "sends_to": [f"guance {eventlog_console.url}"],
    }
    kinds = {problem["kind"]: problem["text"] for problem in told["problems"]}
    assert kinds["twice"].startswith("GuanceHandler of logger shop and GuanceHandler of the root logger send")
    assert set(kinds) <= {"twice", "level"}


PREAMBLE = """
import io, logging, logging.config, sys, time
from eventlog_handlers import CMSHandler, attached, configure
logging.lastResort = None
"""
NOTHING = '{"version": 1, "root": {"handlers": []}}'
SAID = {
    "taken off by dictConfig": (
        f"""
        configure("cms://cn-hangzhou")
        logging.config.dictConfig({NOTHING})
        """,
        "CMSHandler was taken off the root logger",
    ),
    "taken off by fileConfig": (
        """
        configure("cms://cn-hangzhou")
        sections = ("[loggers]", "keys=root", "[handlers]", "keys=", "[formatters]", "keys=", "[logger_root]")
        logging.config.fileConfig(io.StringIO("\\n".join([*sections, "handlers="])))
        """,
        "CMSHandler was taken off the root logger",
    ),
    "taken off by hand": (
        """
        configure("cms://cn-hangzhou")
        logging.getLogger().handlers = []
        """,
        "CMSHandler was taken off the root logger",
    ),
    "level": (
        """
        configure("cms://cn-hangzhou", level="INFO")
        logging.getLogger("shop").info("shelf filled")
        """,
        "CMSHandler takes INFO and above, but the root logger lets pass WARNING and above only",
    ),
    "twice": (
        """
        configure("cms://cn-hangzhou")
        logging.getLogger("shop").addHandler(CMSHandler(level="ERROR"))
        logging.getLogger("shop").error("no order")
        """,
        "send each record that reaches both to one destination twice",
    ),
    "unheard": (
        """
        configure("cms://cn-hangzhou")
        logging.getLogger("shop").propagate = False
        logging.getLogger("shop.orders").error("no order")
        """,
        "CMSHandler of the root logger has heard nothing, and records of shop.orders do not reach it",
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_it_is_said_on_stderr_once(eventlog_console: Any, case: str) -> None:
    """At the latest when the process ends."""
    script, text = SAID[case]

    done = run(script, preamble=PREAMBLE, console=eventlog_console.url)

    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("eventlog_handlers: attached: ")]
    assert len(lines) == 1, done.stderr
    assert text in lines[0]


@pytest.mark.parametrize(
    "script",
    [
        'configure("cms://cn-hangzhou"); logging.getLogger("shop").error("no order")',
        'configure("cms://cn-hangzhou", level=20); logging.getLogger().setLevel(20); logging.info("in")',
        'configure("cms://cn-hangzhou"); configure("cms://cn-hangzhou", level="CRITICAL")',
        'configure("cms://cn-hangzhou"); configure("guance://cn1", logger="shop")',
        'configure("cms://cn-hangzhou").close()',
        'made = configure("cms://cn-hangzhou"); logging.getLogger().removeHandler(made); made.close()',
        'configure("cms://cn-hangzhou"); logging.config.dictConfig({"version": 1})',
        'logging.getLogger().addHandler(CMSHandler()); logging.getLogger("shop").propagate = False',
        "CMSHandler()",
        'import os; os.environ["EVENTLOG_DISABLED"] = "1"; configure("cms://cn-hangzhou", level="INFO")',
        'import os; os.environ["EVENTLOG_DISABLED"] = "1"; configure(level="INFO")',
    ],
)
def test_nothing_is_said_where_all_is_heard(eventlog_console: Any, script: str) -> None:
    """No line that cries wolf."""
    done = run(script, preamble=PREAMBLE, console=eventlog_console.url)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_handler_that_a_configuration_takes_off_is_told_at_once(eventlog_console: Any) -> None:
    """A server may run for months before it ends."""
    script = f"""
    sys.stderr = io.StringIO()
    configure("cms://cn-hangzhou")
    logging.config.dictConfig({NOTHING})
    deadline = time.monotonic() + 30
    while "was taken off" not in sys.stderr.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    print(sys.stderr.getvalue().count("was taken off"))
    """

    done = run(script, preamble=PREAMBLE, console=eventlog_console.url)

    assert done.stdout == "1\n"


def test_disabled_loggers_are_told_as_data_and_not_on_stderr(eventlog_console: Any) -> None:
    """The first three by name. Some loggers are disabled on purpose."""
    done = run(
        """
        for name in "dcba":
            logging.getLogger(name).disabled = True
        configure("cms://cn-hangzhou")
        print(*[problem["text"] for problem in attached()["problems"] if problem["kind"] == "disabled"])
        """,
        preamble=PREAMBLE,
        console=eventlog_console.url,
    )

    assert done.stderr == ""
    assert done.stdout.strip() == (
        "records of a, b, c and 1 more do not reach CMSHandler of the root logger, for these loggers are "
        "disabled: set disable_existing_loggers to False in the logging configuration"
    )

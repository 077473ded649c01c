"""What reached stderr before ``configure`` reaches it afterwards."""

from __future__ import annotations

import re
from typing import Any

import pytest
from processes import run

LOG = """
log = logging.getLogger("shop.orders")
log.info("shelf filled")
log.warning("only %d left", 2)
try:
    raise LookupError("no order A-1004")
except LookupError:
    log.exception("sale failed")
"""
CONFIGURE = 'configure("cms://cn-hangzhou"{options})\n'
PREAMBLE = "import logging\nfrom eventlog_handlers import configure\n"


SETUPS = {
    "nothing": "",
    "a handler of its own": "logging.getLogger('shop').addHandler(logging.StreamHandler())",
    "NullHandler": "logging.getLogger('shop').addHandler(logging.NullHandler())",
    "format": "logging.basicConfig(format='%(levelname)s: %(message)s')",
    "INFO": "logging.basicConfig(level='INFO')",
    "no propagation": "logging.getLogger('shop').propagate = False",
}


def printed(console: Any, script: str) -> str:
    """What *script* writes to stderr, but for what we say of ourselves; numbers of its lines masked."""
    written = run(script, preamble=PREAMBLE, console=console.url).stderr
    written = re.sub("^eventlog_handlers: .*\n", "", written, flags=re.M)
    return re.sub("line [0-9]+", "line", written)


@pytest.mark.parametrize("options", ["", ", logger='shop', level='WARNING'"], ids=["root", "logger"])
@pytest.mark.parametrize("setup", SETUPS)
def test_the_terminal_shows_what_it_showed(eventlog_console: Any, setup: str, options: str) -> None:
    """Whatever else is set up, before or after ``configure``: the same lines, as often, in the same form."""
    configure = CONFIGURE.format(options=options)

    without = printed(eventlog_console, SETUPS[setup] + LOG)
    before = printed(eventlog_console, SETUPS[setup] + "\n" + configure + LOG)
    after = printed(eventlog_console, configure + SETUPS[setup] + LOG)

    assert before == without
    assert after == without


FLASK = """
app = Flask("shop")
app.logger.setLevel("INFO")
app.logger.info("shelf filled")
app.logger.warning("only %d left", 2)
@app.get("/")
def view():
    raise LookupError("no order A-1004")
app.test_client().get("/")
"""


@pytest.mark.parametrize("options", ["", ", level='WARNING'"])
def test_flask_prints_what_it_printed(eventlog_console: Any, options: str) -> None:
    """By the handler that it makes where there is none."""
    configure = CONFIGURE.format(options=options)

    without = printed(eventlog_console, "from flask import Flask" + FLASK)
    with_ours = printed(eventlog_console, "from flask import Flask\n" + configure + FLASK)

    def undated(text: str) -> str:
        return re.sub(r"^\[[^]]*\]", "[]", text, flags=re.M)

    assert undated(with_ours) == undated(without)
    assert "ERROR in app: Exception on / [GET]" in without


def test_who_switched_the_last_resort_off_sees_nothing(eventlog_console: Any) -> None:
    """Neither a record nor Python's complaint that there is no handler: there is one."""
    script = "logging.lastResort = None\n" + CONFIGURE.format(options="") + LOG

    assert printed(eventlog_console, script) == ""


def test_two_handlers_of_ours_on_one_way_print_once(eventlog_console: Any) -> None:
    """One of the root logger and one of the application's."""
    both = CONFIGURE.format(options="") + CONFIGURE.format(options=", logger='shop', level='CRITICAL'")

    shown = printed(eventlog_console, both + LOG)

    assert shown.count("only 2 left") == shown.count("sale failed") == 1, shown


def test_basic_config_by_force_leaves_our_handler_attached(eventlog_console: Any) -> None:
    """It is about the terminal: the other handlers are replaced, and events go on."""
    script = (
        CONFIGURE.format(options="")
        + """
logging.getLogger().addHandler(logging.FileHandler("/dev/null"))
logging.basicConfig(force=True, format="%(message)s", level="INFO")
logging.getLogger("shop").info("shelf filled")
logging.getLogger("shop").error("no order")
print([type(handler).__name__ for handler in logging.getLogger().handlers])
"""
    )

    done = run(script, preamble=PREAMBLE, console=eventlog_console.url)

    assert done.stderr == "shelf filled\nno order\n"
    assert "FileHandler" not in done.stdout
    (event,) = eventlog_console.events("cms")
    assert event.body["Content"].startswith("ERROR no order\n")


def test_basic_config_is_itself_again_when_the_handler_has_gone(eventlog_console: Any) -> None:
    """``removeHandler`` and ``close`` undo what ``configure`` did."""
    script = """
before = logging.basicConfig
handler = configure("cms://cn-hangzhou")
between = logging.basicConfig
logging.getLogger().removeHandler(handler)
handler.close()
print(before is between, before is logging.basicConfig, logging.getLogger().handlers)
"""

    done = run(script, preamble=PREAMBLE, console=eventlog_console.url)

    assert done.stdout == "False True []\n", done.stderr

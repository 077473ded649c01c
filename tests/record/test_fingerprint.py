"""Equal problems have equal fingerprints, wherever and whenever they occur; others do not."""

from __future__ import annotations

import json
import re

import pytest

from eventlog_handlers.record import fingerprint

APP = ("/srv/app/shop/cart.py", "checkout")
ELSEWHERE = ("/home/dev/work/shop/cart.py", "checkout")
LIBRARY = ("/usr/lib/python3/site-packages/flask/app.py", "dispatch")
NEWER_LIBRARY = ("/usr/lib/python3/site-packages/flask/app.py", "full_dispatch")
PATH = ("", "/srv/app", "/srv", "/home/dev/work")


def of(*places: tuple[str, str], types: tuple[str, ...] = ("KeyError",)) -> str | None:
    return fingerprint.of_exception(types, places, PATH)


@pytest.mark.parametrize(
    "places",
    [
        (ELSEWHERE,),
        (LIBRARY, APP),
        (NEWER_LIBRARY, APP, LIBRARY),
        (APP, APP, APP),
        ((json.__file__, "loads"), APP),
        (("<frozen importlib._bootstrap>", "_load"), APP),
    ],
)
def test_what_does_not_matter_does_not_count(places: tuple[tuple[str, str], ...]) -> None:
    """Another installation, other library frames and deeper recursion are the same problem."""
    assert of(*places) == of(APP)


@pytest.mark.parametrize(
    "other",
    [
        of(APP, types=("ValueError",)),
        of(APP, types=("KeyError", "ValueError")),
        of(("/srv/app/shop/cart.py", "remove")),
        of(("/srv/app/shop/pay.py", "checkout")),
        of(LIBRARY),
        of(APP, ("/srv/app/shop/pay.py", "charge")),
    ],
)
def test_what_matters_counts(other: str | None) -> None:
    """Another type, function, module or way is another problem."""
    assert other is not None
    assert other != of(APP)


def test_without_own_frames_all_frames_count() -> None:
    """An error inside a library alone is told apart by the library's frames."""
    assert of(LIBRARY) != of(NEWER_LIBRARY)
    assert of(LIBRARY) is not None


def test_without_frames_there_is_none() -> None:
    """Types alone say too little; the caller takes the message in."""
    assert of() is None


def test_the_form_is_16_hex_digits() -> None:
    """All kinds have one form."""
    found = [of(APP), fingerprint.chosen("mine"), fingerprint.of_message("a", "b", "c", has_arguments=True)]

    assert all(re.fullmatch("[0-9a-f]{16}", each or "") for each in found)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("order 17 failed", "order 18 failed"),
        ("took 1.5 s", "took 12.25 s"),
        ("at 12:30:01,123", "at 09:00:00,001"),
        ("user 6f9619ff-8b86-d011-b42d-00c04fc964ff", "user 00000000-8B86-D011-b42d-00c04fc964fe"),
        ("<Order at 0x7f00a1>", "<Order at 0x7FFF>"),
        ("commit 9fceb02d0ae598e9", "commit 1dceb02d0ae598e9"),
    ],
)
def test_finished_texts_are_masked(left: str, right: str) -> None:
    """f-strings that differ in numbers and ids are one problem."""

    def of_text(text: str) -> str:
        return fingerprint.of_message("shop", text, "pay", has_arguments=False)

    assert of_text(left) == of_text(right)


def test_words_are_not_masked() -> None:
    """Words made of hex letters are words."""
    assert fingerprint.masked("deadbeef facade added to cafe") == "deadbeef facade added to cafe"


def test_a_template_is_taken_literally() -> None:
    """Where there are arguments the template never changes: its numbers mean something."""
    one = fingerprint.of_message("shop", "HTTP 404 for %s", "get", has_arguments=True)
    other = fingerprint.of_message("shop", "HTTP 500 for %s", "get", has_arguments=True)

    assert one != other


def test_borders_between_parts_count() -> None:
    """Two fields never read like two others."""
    assert fingerprint.digest("ab", "c") != fingerprint.digest("a", "bc")


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("/srv/app/shop/cart.py", "shop.cart"),
        ("/srv/app/shop/__init__.py", "shop"),
        ("/srv/app/main.py", "main"),
        ("/opt/other/tool/run.py", "tool.run"),
        ("/v/lib/python3.11/site-packages/flask/app.py", "flask.app"),
        (json.__file__, "json"),
        ("relative/mod.py", "relative.mod"),
        ("./relative/mod.py", "relative.mod"),
        ("C:\\code\\shop\\cart.py", "shop.cart"),
        ("<ipython-input-5-0a1b2c3d4e>", "<ipython-input-#-#>"),
    ],
)
def test_module_names_do_not_depend_on_the_machine(file: str, module: str) -> None:
    """What stays of a path is what an import would say."""
    assert fingerprint.module_of(file, PATH) == module

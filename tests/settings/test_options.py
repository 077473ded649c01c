"""What is made of the options' rows for people: signature and docstring of each handler."""

from __future__ import annotations

import inspect
import pydoc
import re
from pathlib import Path

import pytest

from eventlog_handlers import GuanceHandler
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.services.registry import SERVICES
from eventlog_handlers.settings.options import OPTIONS as COMMON_OPTIONS

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.scheme)


@each_service
def test_the_signature_of_a_handler_has_all_its_options(service):
    """With the default that holds for this service, all of them keywords."""
    parameters = inspect.signature(service.handler_class()).parameters

    rows = (*service.options(), *COMMON_OPTIONS)
    assert list(parameters) == [row.name for row in rows]
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        row.name: service.defaults().get(row.name, row.default) for row in rows
    }


@each_service
def test_help_shows_every_option_with_default_and_meaning(service):
    """In a terminal, and so on an editor's hover: the text stands in the source."""
    shown = pydoc.plain(pydoc.render_doc(service.handler_class()))

    for row in (*service.options(), *COMMON_OPTIONS):
        assert re.search(rf"^ \|  {row.name} = .*: ", shown, re.MULTILINE), row.name
    assert re.search("capacity: (int|'int') = 10000", shown)  # CPython 3.14 leaves the quotes away


def test_a_subclass_with_a_constructor_of_its_own_has_its_own_signature():
    """And one without has its parent's."""

    class Same(GuanceHandler):
        pass

    class Own(GuanceHandler):
        def __init__(self, team: str) -> None:
            super().__init__(tags={"team": team})

    assert "site" in inspect.signature(Same).parameters
    assert list(inspect.signature(Own).parameters) == ["team"]


class Unshowable:
    """Its repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


ODD = [
    None, "", " ", "x" * 10_000, "[", "{", "%", "\0", "\ud800", "~nosuchuser/x", "no.such.module.name", ".",
    b"x", True, 0, -1, 10**5000, 0.5, 1e308, float("nan"), float("-inf"), [], [[]], [None], (1, 2, 3), {},
    {"": ""}, {"a": object()}, {1: {}}, {None: None}, {"https": "http://["}, object(), Unshowable(),
    [Unshowable()], print, Path("x"), "http://[", "https://a:b@c", "https://host:99999", "\uff19",
]  # fmt: skip
ENVIRON = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAItest",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cr3t",
    "DF_API_KEY": "wsak_test",
}


@each_service
def test_whatever_is_given_to_an_option_it_is_taken_or_refused_in_one_short_line(service):
    """No other error comes out of a constructor for a wrong value."""
    sentences = []
    for row in (*service.options(), *COMMON_OPTIONS):
        for value in ODD:
            try:
                service.settings({row.name: value}, ENVIRON)
            except SettingsError as refusal:
                sentences.append((row.name, str(refusal)))

    assert len(sentences) > 500
    for name, sentence in sentences:
        assert name in sentence
        assert "\n" not in sentence
        assert len(sentence) < 700

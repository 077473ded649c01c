"""What is made of the options' rows for people: signature and docstring of each handler."""

from __future__ import annotations

import inspect
import pydoc
import re

import pytest

from eventlog_handlers import GuanceHandler
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
    assert "capacity: 'int' = 10000" in shown


def test_a_subclass_with_a_constructor_of_its_own_has_its_own_signature():
    """And one without has its parent's."""

    class Same(GuanceHandler):
        pass

    class Own(GuanceHandler):
        def __init__(self, team: str) -> None:
            super().__init__(tags={"team": team})

    assert "site" in inspect.signature(Same).parameters
    assert list(inspect.signature(Own).parameters) == ["team"]

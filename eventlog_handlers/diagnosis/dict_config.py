"""Checks a ``dictConfig`` without applying it: misspelt options, loggers that reach no handler of ours.

Our handlers are constructed with ``dry_run=True``, so that their options are checked and nothing is sent.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.handler import EventHandler
from eventlog_handlers.services.finding import Finding
from eventlog_handlers.settings.checks import meant

_TOP = {
    "version", "formatters", "filters", "handlers", "loggers", "root", "incremental",
    "disable_existing_loggers",
}  # fmt: skip
_LOGGER = {"level", "propagate", "filters", "handlers"}
_OF_LOGGING = {"class", "()", "level", "formatter", "filters", "."}


class _Ours(NamedTuple):
    name: str
    kind: str
    level: int


def check(config: object) -> Iterator[Finding]:
    """One finding for each thing that is wrong, then one for each logger of the configuration."""
    if not isinstance(config, Mapping):
        yield Finding(
            "problem",
            "logging",
            f"a configuration is a mapping, not {type(config).__name__}",
            "see logging.config",
        )
        return
    if config.get("version") != 1:
        yield Finding("problem", "logging", "version is missing", "add version: 1")
    for name in sorted(set(map(str, config)) - _TOP):
        yield Finding(
            "problem", "logging", f"{name!r} is no key of dictConfig{meant(name, _TOP)}", "correct it"
        )
    handlers = _mapping(config.get("handlers"))
    ours: dict[str, _Ours] = {}
    for name, one in handlers.items():
        yield from _handler(str(name), one, config, ours)
    if not ours:
        yield Finding(
            "problem",
            "handlers",
            "no handler of this package is in it",
            "add one: class: eventlog_handlers.GuanceHandler",
        )
    yield from _loggers(config, handlers, ours)
    if config.get("disable_existing_loggers", True) and not config.get("incremental"):
        yield Finding(
            "warning",
            "logging",
            "loggers that exist when it is applied, and that it does not name, are disabled",
            "disable_existing_loggers: false",
        )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _handler(name: str, one: object, config: Mapping[str, Any], ours: dict[str, _Ours]) -> Iterator[Finding]:
    topic = f"handler {name}"
    fields = dict(_mapping(one))
    maker = fields.get("()", fields.get("class"))
    if maker is None:
        yield Finding(
            "problem", topic, "it has neither class nor ()", "class: eventlog_handlers.GuanceHandler"
        )
        return
    for kind, key in (
        ("formatters", fields.get("formatter")),
        *(("filters", key) for key in fields.get("filters", ())),
    ):
        if isinstance(key, str) and key not in _mapping(config.get(kind)):
            near = meant(key, list(_mapping(config.get(kind))))
            yield Finding(
                "problem", topic, f"{kind[:-1]} {key!r} is not defined{near}", f"define it under {kind}"
            )
    level = _level(fields.get("level", logging.NOTSET))
    if level is None:
        near = meant(
            str(fields["level"]),
            list(logging.getLevelNamesMapping()) if hasattr(logging, "getLevelNamesMapping") else [],
        )
        yield Finding("problem", topic, f"{fields['level']!r} is no level{near}", "ERROR, WARNING, INFO …")
        level = logging.NOTSET
    try:
        made = _resolve(maker)
    except Exception as error:
        yield Finding("problem", topic, f"{maker} can't be found: {error}", "correct class")
        return
    if not (isinstance(made, type) and issubclass(made, EventHandler)):
        return
    options = {key: value for key, value in fields.items() if key not in _OF_LOGGING}
    try:
        made(**{**options, "dry_run": True}).close()
    except (SettingsError, TypeError) as error:
        yield Finding("problem", topic, str(error), "see the sentence")
        return
    except ImportError as error:
        yield Finding("problem", topic, str(error), "install the extra")
        return
    ours[name] = _Ours(name, made.__name__, level)
    yield Finding("ok", topic, f"{made.__name__}: every option is right")


def _resolve(maker: object) -> object:
    if not isinstance(maker, str):
        return maker
    module, _, name = maker.removeprefix("ext://").rpartition(".")
    return getattr(importlib.import_module(module), name)


def _level(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = logging.getLevelName(value) if isinstance(value, str) else None
    return number if isinstance(number, int) else None


def _loggers(
    config: Mapping[str, Any], handlers: Mapping[str, Any], ours: Mapping[str, _Ours]
) -> Iterator[Finding]:
    named = {"": _mapping(config.get("root")), **_mapping(config.get("loggers"))}
    for name, one in named.items():
        topic = f"logger {name}" if name else "root logger"
        fields = _mapping(one)
        for key in sorted(set(map(str, fields)) - _LOGGER):
            yield Finding(
                "problem", topic, f"{key!r} is no key of a logger{meant(key, _LOGGER)}", "correct it"
            )
        for key in fields.get("handlers", ()):
            if key not in handlers:
                near = meant(str(key), list(handlers))
                yield Finding(
                    "problem", topic, f"handler {key!r} is not defined{near}", "define it under handlers"
                )
        if "level" in fields and _level(fields["level"]) is None:
            yield Finding("problem", topic, f"{fields['level']!r} is no level", "ERROR, WARNING, INFO …")
        yield from _reach(name, topic, named, ours)


def _reach(
    name: str, topic: str, named: Mapping[str, Mapping[str, Any]], ours: Mapping[str, _Ours]
) -> Iterator[Finding]:
    """The handlers of ours that records of *name* reach, each with the lowest level."""
    passing = _effective_level(name, named)
    heard: list[str] = []
    stopped = ""
    for node in _path(name, named):
        fields = named[node]
        for key in fields.get("handlers", ()):
            if key in ours:
                if key in heard:
                    yield Finding(
                        "problem",
                        topic,
                        f"its records reach {key} twice: by itself and by a parent",
                        "name the handler once, or set propagate: false",
                    )
                heard.append(key)
        if node and fields.get("propagate", True) is False:
            stopped = node
            break
    for key in dict.fromkeys(heard):
        one = ours[key]
        least = max(one.level, passing)
        if 0 < one.level < passing:
            yield Finding(
                "warning",
                topic,
                f"{key} takes {logging.getLevelName(one.level)} and above, but the logger lets pass "
                f"{logging.getLevelName(passing)} and above only",
                f"level: {logging.getLevelName(one.level)}",
            )
        else:
            yield Finding("ok", topic, f"reaches {key} from {logging.getLevelName(least)} on")
    if not heard and ours:
        why = (
            f"{stopped or name} does not propagate" if stopped else "no handler of this package is on its way"
        )
        yield Finding(
            "warning", topic, f"its records reach none of {', '.join(ours)}: {why}", "add the handler to it"
        )


def _path(name: str, named: Mapping[str, Any]) -> Iterator[str]:
    """The configured loggers on the way up from *name*, itself first, root last."""
    current = name
    while current:
        if current in named:
            yield current
        current = current.rpartition(".")[0]
    yield ""


def _effective_level(name: str, named: Mapping[str, Mapping[str, Any]]) -> int:
    for node in _path(name, named):
        level = _level(named[node].get("level", logging.NOTSET))
        if level:
            return level
    return logging.WARNING  # of the root logger, unless it is set

"""Reads users' files in YAML or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class ArgumentsError(Exception):
    """A file can't be read; the text says why."""


def read(name: str) -> Any:
    """The value in the file *name*, ``.yaml``, ``.yml`` or ``.json``; raises ArgumentsError."""
    path = Path(name)
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ArgumentsError(f"can't read {name}: {error.strerror}") from None
    try:
        return json.loads(text) if path.suffix == ".json" else _yaml(text)
    except ValueError as error:
        raise ArgumentsError(f"{name} can't be parsed: {error}") from None


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ArgumentsError("a YAML file needs PyYAML: pip install pyyaml") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None

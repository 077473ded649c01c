"""The JSON Schemas of events as they are sent, as files of the package, and the function that reads them."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def load(name: str) -> dict[str, Any]:
    """The schema called *name*, such as ``detail-1``: the ``Detail`` of an event in CloudWatch Events."""
    schema: dict[str, Any] = json.loads((files(__name__) / f"{name}.json").read_text("utf-8"))
    return schema

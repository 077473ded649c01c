"""boto3 sessions that moto, once some test of the process has imported it, does not listen to."""

from __future__ import annotations

import sys
from typing import Any

import boto3


def unwatched(*args: Any, **options: Any) -> boto3.Session:
    """A session made of these arguments, to whose events only botocore listens."""
    session = boto3.Session(*args, **options)
    models = sys.modules.get("moto.core.models")
    if models is not None:
        session.events.unregister("before-send", models.botocore_stubber)
    return session

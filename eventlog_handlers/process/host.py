"""The name of this machine."""

from __future__ import annotations

import os


def hostname() -> str:
    """The result of ``socket.gethostname``."""
    if hasattr(os, "uname"):  # what the socket module says, which takes a while to import
        return os.uname().nodename
    import socket

    return socket.gethostname()

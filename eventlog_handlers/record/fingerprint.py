"""The fingerprint of a problem: 16 hex digits, equal for its events. Pure.

Here: which parts of an event are hashed and how they are made alike between runs and machines
(no absolute path, no line number, no address). Not here: reading them from a record (problem.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache

try:
    from _blake2 import blake2b  # hashlib would load OpenSSL with it
except ImportError:  # not CPython
    from hashlib import blake2b

Position = tuple[str, str]
"""A file's name and the function in it, as a code object gives them."""

_LONGEST_TEMPLATE = 200  # characters; longer ones are not remembered
_INSTALLED = ("/site-packages/", "/dist-packages/")
# A program frozen into one file has no such directory, and no such frames.
_STANDARD_LIBRARY = (getattr(os, "__file__", "<frozen>/").replace("\\", "/").rpartition("/")[0] + "/",)
_CHANGING = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    r"|0[xX][0-9a-fA-F]+"
    r"|\b(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b"
    r"|[0-9]+(?:[.,:][0-9]+)*"
)


def of_exception(
    types: Iterable[str], places: Iterable[Position], search_path: tuple[str, ...]
) -> str | None:
    """The fingerprint of an exception: its chain's *types* and the application's frames.

    *places* are the frames of the chain, in its order, outermost first. Frames of the standard library and of
    installed packages count only where there are no others, so an upgrade of a dependency splits no problem.
    Repetition counts once: recursion one level deeper is no other problem. None where there is no frame:
    the types alone say too little.
    """
    walked = [place for place in places if place[0]]
    if not walked:
        return None
    own = [place for place in walked if in_application(place[0])] or walked
    names = [f"{module_of(file, search_path)}:{function}" for file, function in own]
    distinct = [name for index, name in enumerate(names) if index == 0 or name != names[index - 1]]
    return digest("exception", *types, "", *distinct)


def of_message(
    logger: str, template: str, function: str, *, has_arguments: bool, types: Iterable[str] = ()
) -> str:
    """The fingerprint of a message: logger, unformatted *template*, function.

    A template without arguments may be a finished text (an f-string): there what looks like a number, an
    address or an id is masked. *types* are those of an exception that has no frames.
    """
    if has_arguments and not types and len(template) <= _LONGEST_TEMPLATE:
        return _of_template(logger, template, function)
    return digest("message", logger, template if has_arguments else masked(template), function, *types)


@lru_cache(maxsize=2_048)
def _of_template(logger: str, template: str, function: str) -> str:
    """A template with arguments is a literal of the program, and it has few."""
    return digest("message", logger, template, function)


def chosen(text: str) -> str:
    """The fingerprint for one the application chose itself; hashed too, so that all have one form."""
    return digest("chosen", text)


def digest(*parts: str) -> str:
    """16 hex digits over *parts* and their borders."""
    return blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def masked(text: str) -> str:
    """*text* with what changes from call to call put to ``#``: uuids, addresses, long hex, numbers, times."""
    return _CHANGING.sub("#", text)


@lru_cache(maxsize=4096)
def in_application(file: str) -> bool:
    """Whether *file* is the application's own: neither the standard library's nor an installed package's."""
    path = file.replace("\\", "/")
    if path.startswith("<frozen ") or any(marker in path for marker in _INSTALLED):
        return False
    return not path.startswith(_STANDARD_LIBRARY)


@lru_cache(maxsize=4096)
def module_of(file: str, search_path: tuple[str, ...]) -> str:
    """The dotted name of the module in *file*: what follows the longest entry of *search_path* it lies under.

    Outside of all of them the last two parts of the path; code without a file keeps its name, masked. So it
    is the same wherever the application is installed.
    """
    path = file.replace("\\", "/")
    if path.startswith("<"):
        return masked(path)
    for marker in _INSTALLED:
        _, found, inside = path.rpartition(marker)
        if found:
            return _dotted(inside)
    roots = [root.replace("\\", "/").rstrip("/") + "/" for root in search_path if root]
    under = max((root for root in (*roots, *_STANDARD_LIBRARY) if path.startswith(root)), key=len, default="")
    if under:
        return _dotted(path[len(under) :])
    return _dotted(
        path if not path.startswith("/") and ":" not in path[:3] else "/".join(path.split("/")[-2:])
    )


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").removeprefix("./").replace("/", ".")

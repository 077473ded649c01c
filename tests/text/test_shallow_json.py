"""JSON of a server: read as ``json`` reads it, and never deep."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from processes import environment

from eventlog_handlers.text.shallow_json import MAX_DEPTH, loads


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


@pytest.mark.parametrize(
    "body",
    [
        b'{"Code": "200"}',
        nested(MAX_DEPTH),
        nested(MAX_DEPTH, '{"a":', "}").replace(b":}", b":1}"),
        b"[" + b",".join([b"[]"] * 500) + b"]",  # many, not deep
        json.dumps({"message": "[{" * 500 + '"\\' * 50}).encode(),  # in a text
        json.dumps(["\\", "[" * 500, '\\"', "{" * 500]).encode(),
    ],
)
def test_what_is_not_deep_is_read_as_json_reads_it(body: bytes) -> None:
    """Brackets in texts are no levels."""
    assert loads(body) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        nested(MAX_DEPTH + 1),
        nested(MAX_DEPTH + 1, '{"a":', "}").replace(b":}", b":1}"),
        b"[" * 60_000,
        b'["\\"", ' + nested(MAX_DEPTH) + b"]",
        b'{"Code": "x", ' * 60_000,
    ],
)
def test_what_is_deep_is_refused(body: bytes) -> None:
    """Before ``json`` goes down there."""
    with pytest.raises(ValueError, match="nested deeper than 100 levels"):
        loads(body)


def test_quotes_without_end_are_no_json() -> None:
    """Each byte is looked at once, however many quotes are open."""
    with pytest.raises(ValueError, match="Unterminated"):
        loads(b'"' + b'\\"' * 100_000 + b"[" * 200)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_bytes_in_another_encoding_are_no_json(encoding: str) -> None:
    """There a character may look like a quote, and hide levels."""
    with pytest.raises(ValueError, match=r"utf-8|Expecting|nested"):
        loads(('["\u2200", ' + "[" * 60_000).encode(encoding))


def test_bytes_are_utf_8() -> None:
    """Also where half a pair stands in it, as ``json`` takes it."""
    assert loads('["\ud800 \u00fc"]'.encode("utf-8", "surrogatepass")) == ["\ud800 \u00fc"]


SWEEP = """
import gc, weakref
{reader}

class Cycle:
    pass

def finish(depth=8):
    if depth:
        finish(depth - 1)

for limit in range(900, 1_000, 4):
    gc.collect()
    cycle = Cycle()
    cycle.itself = cycle
    weakref.finalize(cycle, finish)
    del cycle
    gc.set_threshold(limit)
    try:
        read()
    except (ValueError, RecursionError):
        pass
"""
DEEP = 'DEEP = "{\\"a\\":" * 60_000 + "}"'
READERS = {
    "CMS": "from eventlog_handlers.services.cms.answers import _parts\ndef read(): _parts(DEEP.encode())",
    "Guance": "from eventlog_handlers.services.guance.answers import _envelope\n"
    "def read(): _envelope(DEEP.encode())",
    "CloudWatch": "from eventlog_handlers.services.cloudwatch.answers import parsed\n"
    "def read(): parsed(DEEP.encode())",
    "a log message": "from eventlog_handlers.record.finished_text import _object\ndef read(): _object(DEEP)",
    "an entry of a queue": "from eventlog_handlers.services.relay.entry import event_of\n"
    "def read(): event_of(DEEP.encode())",
}


@pytest.mark.parametrize("reader", READERS)
def test_s09_no_finalizer_of_the_application_is_broken_off(reader: str) -> None:
    """Whenever the garbage collector starts."""
    script = SWEEP.replace("{reader}", f"{DEEP}\n{READERS[reader]}")
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")

"""Write into the pages what their commands print: ``python docs/make_outputs.py``; ``--check`` only compares.

A block marked ``<!-- output -->`` holds what the last command of the ``sh`` block before it prints,
with dummy credentials and without network.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from pathlib import Path

from eventlog_handlers.cli import main as command

DOCS = Path(__file__).parent
DUMMIES = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAItest",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cr3t",
    "DF_API_KEY": "wsak_test",
    "AWS_ACCESS_KEY_ID": "AKIDTEST",
    "AWS_SECRET_ACCESS_KEY": "s3cr3t",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_PAIR = re.compile(
    r"(^```sh\n(?P<sh>[^`]*?)^```\n\n<!-- output -->\n```\w+\n)(?P<out>.*?)(?=^```$)", re.M | re.S
)


def printed(line: str) -> str:
    """What one line of a shell block prints on stdout."""
    words = shlex.split(line)
    if words[0] != "eventlog-handlers":
        raise ValueError(f"no command of ours: {line}")
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        command(words[1:])
    return told.getvalue().strip() + "\n"


def filled(page: str) -> str:
    """*page* with every output as it is now."""
    return _PAIR.sub(lambda found: found[1] + printed(found["sh"].strip().splitlines()[-1]), page)


def main() -> int:
    """Write, or compare, every page. Returns the exit code."""
    os.environ.update(DUMMIES)
    stale = []
    for path in sorted(DOCS.rglob("*.md")):
        page = path.read_text("utf-8")
        if "<!-- output -->" in page and filled(page) != page:
            stale.append(path)
            if "--check" not in sys.argv:
                path.write_text(filled(page), "utf-8")
    if "--check" in sys.argv and stale:
        print("not up to date:", *(path.relative_to(DOCS) for path in stale), "- run docs/make_outputs.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A hook that sees each event before it leaves: drop it, or take out what must not leave the house.

EVENTLOG_CONSOLE=1 python examples/before_send.py       (beside a running `eventlog-handlers console`)
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from eventlog_handlers import configure, flush

if TYPE_CHECKING:
    from eventlog_handlers.events import Event

CARD = re.compile(r"\b\d{4} \d{4} \d{4} (\d{4})\b")


def tidy(event: Event) -> Event | None:
    """Called on a thread of the handler, never in the logging call. Events are frozen: return another one.

    What stands in a message may stand in its template as well, if it was not passed as an argument.
    """
    if event.logger == "shop.health":
        return None
    return event._replace(
        message=CARD.sub(r"**** \1", event.message),
        template=CARD.sub(r"**** \1", event.template),
        attributes={name: value for name, value in event.attributes.items() if name != "password"},
    )


handler = configure("guance://cn1", level="INFO", before_send=tidy)  # in YAML: "shop.hooks.tidy"
logging.getLogger().setLevel("INFO")

logging.getLogger("shop.health").info("still here")
logging.getLogger("shop.payments").error(
    "card 4000 1234 5678 9010 refused", extra={"customer": "C-7", "password": "hunter2"}
)

flush(timeout=10)

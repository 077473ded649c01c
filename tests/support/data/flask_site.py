"""A Flask application; how it logs is in LOGGING (JSON, for dictConfig), or else EVENTLOG_DSN."""

import json
import logging.config
import os
import sys

from flask import Flask

from eventlog_handlers import configure

if "LOGGING" in os.environ:
    logging.config.dictConfig(json.loads(os.environ["LOGGING"]))
else:
    configure(service="shop")

app = Flask("shop")


@app.get("/orders/<number>")
def order(number):
    raise LookupError(f"no order {number}")


@app.get("/prices/<int:pieces>")
def price(pieces):
    try:
        return str(1990 // pieces)
    except ZeroDivisionError:
        app.logger.exception("no price for %d pieces", pieces, extra={"pieces": pieces})
        return "unknown"


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))

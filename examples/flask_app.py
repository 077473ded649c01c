"""A Flask application. What it logs and what its views raise goes where the root logger's handlers send it.

    EVENTLOG_CONSOLE=1 python examples/flask_app.py                          (two requests, then it ends)
    EVENTLOG_CONSOLE=1 flask --app examples/flask_app.py run                 (then open /orders/A-1004)

beside a running `eventlog-handlers console`.
"""

from flask import Flask

from eventlog_handlers import configure

configure("guance://cn1 cms://cn-hangzhou", service="shop")

app = Flask("shop")


@app.get("/orders/<number>")
def order(number: str) -> str:
    """Fails; Flask answers 500 and logs it to its own logger, from where it propagates to the root."""
    raise LookupError(f"no order {number}")


@app.get("/prices/<int:pieces>")
def price(pieces: int) -> str:
    """Logs the exception itself and goes on."""
    try:
        return str(1990 // pieces)
    except ZeroDivisionError:
        app.logger.exception("no price for %d pieces", pieces, extra={"pieces": pieces})
        return "unknown"


if __name__ == "__main__":
    client = app.test_client()
    print(client.get("/orders/A-1004").status_code, client.get("/prices/0").text)

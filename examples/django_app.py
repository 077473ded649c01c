"""A whole Django project in one file, with the handlers in its LOGGING.

    EVENTLOG_CONSOLE=1 python examples/django_app.py                         (one request, then it ends)
    EVENTLOG_CONSOLE=1 python examples/django_app.py runserver --noreload    (then open /orders/A-1004)

beside a running `eventlog-handlers console`. To attach them without touching LOGGING put
"eventlog_handlers.django" into INSTALLED_APPS and set EVENTLOG = "guance://cn1".
"""

import sys

from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY="not-one-for-production",
    ALLOWED_HOSTS=["127.0.0.1", "localhost", "testserver"],
    ROOT_URLCONF=__name__,
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "guance": {"class": "eventlog_handlers.GuanceHandler", "level": "ERROR", "service": "shop"},
            "cms": {"class": "eventlog_handlers.CMSHandler", "level": "ERROR", "service": "shop"},
        },
        "root": {"handlers": ["guance", "cms"]},
    },
)

import django  # noqa: E402 - after the settings
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def order(request: HttpRequest, number: str) -> HttpResponse:
    """Fails; Django answers 500 and logs it to django.request."""
    raise LookupError(f"no order {number}")


urlpatterns = [path("orders/<number>", order)]

if __name__ == "__main__":
    if len(sys.argv) > 1:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    else:
        django.setup()
        from django.test import Client

        print(Client(raise_request_exception=False).get("/orders/A-1004").status_code)

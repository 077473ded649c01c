"""A Django project in one module: settings, URLs and a view that logs."""

from __future__ import annotations

import logging
import os

DEBUG = True
SECRET_KEY = "not a secret"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "django_project"
INSTALLED_APPS: list[str] = []
MIDDLEWARE: list[str] = []
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "cms": {"class": "eventlog_handlers.CMSHandler", "requests_per_second": None, "flush_interval": 3600}
    },
    "loggers": {"shop": {"level": "INFO", "handlers": ["cms"]}},
}


def view(request, message):
    """Answers with the number of the process."""
    from django.http import HttpResponse

    if message != "nothing":
        logging.getLogger("shop").info("%s", message)
    return HttpResponse(str(os.getpid()))


def _urls():
    from django.urls import path

    return [path("log/<str:message>", view)]


def __getattr__(name):
    # Only when Django asks for them: settings are read before its URLs can be imported.
    if name == "urlpatterns":
        return _urls()
    raise AttributeError(name)

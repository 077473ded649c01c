"""A Django project in one file. SITE_SETTINGS in the environment holds more settings, as JSON."""

import json
import os
import sys

from django.conf import settings

settings.configure(
    **{
        "DEBUG": False,
        "SECRET_KEY": "not-one-for-production",
        "ALLOWED_HOSTS": ["127.0.0.1"],
        "ROOT_URLCONF": __name__,
        **json.loads(os.environ.get("SITE_SETTINGS", "{}")),
    }
)

from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def fine(request):
    return HttpResponse("fine")


def broken(request, number):
    raise LookupError(f"no order {number}")


urlpatterns = [path("fine", fine), path("orders/<number>", broken)]

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)

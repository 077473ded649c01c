"""The sender of events: service, environment, host. Pure.

They come from options, from OpenTelemetry's variables and from the program's name.

Here: the order in which they are asked. Not here: reading the process's environment, its arguments and host
name; the caller does that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

_UNNAMED = ("", "-", "-c", "-m")  # sys.argv[0] where Python was given no script
_SCRIPT_SUFFIXES = (".py", ".pyw", ".pyz", ".pyzw", ".exe", "-script")


class Identity(NamedTuple):
    """The sender's fields in every event of a handler."""

    service: str
    env: str | None
    host: str
    tags: Mapping[str, str]


def identity(
    service: str | None,
    env: str | None,
    tags: Mapping[str, str] | None,
    *,
    environ: Mapping[str, str],
    argv0: str,
    hostname: str,
) -> Identity:
    """Fill in what the options *service* and *env* leave open.

    First OTEL_SERVICE_NAME, then OTEL_RESOURCE_ATTRIBUTES (service.name; deployment.environment.name or its
    older name deployment.environment; host.name where *hostname* is empty), then the script's or package's
    name from *argv0*. Source: OpenTelemetry specification, "Environment Variable Specification" and
    "Resource SDK", read 2026-11-20: the service variable wins, attributes are ``key=value`` pairs separated
    by commas, percent-encoded; if any cannot be decoded the variable should be ignored.
    """
    resource = _resource(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    return Identity(
        service=service
        or environ.get("OTEL_SERVICE_NAME", "").strip()
        or resource.get("service.name")
        or _program(argv0),
        env=env or resource.get("deployment.environment.name") or resource.get("deployment.environment"),
        host=hostname or resource.get("host.name") or "unknown",
        tags={str(name): str(value) for name, value in (tags or {}).items()},
    )


def _resource(text: str) -> dict[str, str]:
    if not text:
        return {}
    from urllib.parse import unquote

    attributes: dict[str, str] = {}
    for pair in text.split(","):
        name, separator, value = pair.partition("=")
        if not separator:
            if pair.strip():
                return {}
            continue
        try:
            attributes[unquote(name.strip(), errors="strict")] = unquote(value.strip(), errors="strict")
        except UnicodeDecodeError:
            return {}
    return attributes


def _program(argv0: str) -> str:
    """``/srv/shop/app.py`` -> ``app``; ``/srv/shop/__main__.py`` -> ``shop``; no script -> ``python``."""
    if argv0 in _UNNAMED:
        return "python"
    parts = argv0.replace("\\", "/").rstrip("/").split("/")
    name = parts[-1]
    suffix = next((suffix for suffix in _SCRIPT_SUFFIXES if name.lower().endswith(suffix)), "")
    name = name[: len(name) - len(suffix)]
    if name == "__main__" and len(parts) > 1:
        name = parts[-2]
    return name or "python"

"""Health and metrics of the handlers of this process: as text for Prometheus, as OpenTelemetry instruments.

    from eventlog_handlers import health, metrics_text

Every number is read from ``stats()`` when it is asked for. Nothing is counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from eventlog_handlers.configuration import stats as stats_of_all
from eventlog_handlers.errors import MissingExtraError
from eventlog_handlers.handler import live_handlers

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""The content type of ``metrics_text()``."""

LATE_SECONDS = 300.0

_COUNTERS = (
    # name in stats(), name of the metric, help
    ("accepted", "accepted", "Records taken in."),
    ("delivered", "delivered", "Events that the service confirmed."),
    ("aggregated", "aggregated", "Records that are counted in another one's event."),
    ("retried", "retried", "Times an event was put back to be tried again."),
    ("duplicates_possible", "duplicates_possible", "Times an event may have arrived twice."),
    ("requests", "requests", "Requests made."),
    ("failed_requests", "failed_requests", "Requests that failed as a whole."),
    ("own_traffic", "own_traffic", "Records not taken because they were about our own sending."),
    ("already_reported", "already_reported", "Records not taken because their exception had been sent."),
    ("restarts", "restarts", "Times a thread was broken off and went on."),
)
_GAUGES = (
    ("pending", "pending", "Events held, waiting or in flight."),
    ("pending_bytes", "pending_bytes", "Their estimated size."),
    ("oldest_seconds", "oldest_event_age_seconds", "Age of the event held longest; 0 where none is held."),
    (
        "last_success",
        "last_success_timestamp_seconds",
        "Wall time of the last confirmed request; 0 for none.",
    ),
    ("threads", "threads", "Threads at work or waiting."),
)
_STATES = ("ok", "failing", "held")


class Health(NamedTuple):
    """The state of delivery, the worst of all handlers."""

    status: Literal["ok", "late", "held"]
    """``late``: an event has waited too long, or the service fails. ``held``: a setting has to be mended."""
    oldest_seconds: float | None
    """Age of the event that has waited longest; None where none waits."""
    why: str
    """One line without secrets; "" where all is well."""
    handlers: dict[str, str]
    """The status of each handler, by the names of ``stats()``."""

    def __bool__(self) -> bool:
        """True where all is well."""
        return self.status == "ok"


def health(late_seconds: float = LATE_SECONDS) -> Health:
    """The state of this process's delivery now; an event older than *late_seconds* makes it ``late``.

    For a readiness page. Not for a liveness probe: to restart a process because a service is down loses what
    waits in its memory.
    """
    handlers: dict[str, str] = {}
    worst, why = "ok", ""
    oldest: float | None = None
    for name, one in stats_of_all().items():
        age = one["oldest_seconds"]
        if age is not None and (oldest is None or age > oldest):
            oldest = age
        status, reason = status_of(name, one, late_seconds)
        handlers[name] = status
        if ("ok", "late", "held").index(status) > ("ok", "late", "held").index(worst):
            worst, why = status, reason
    return Health(worst, oldest, why, handlers)  # type: ignore[arg-type]


def status_of(name: str, one: Mapping[str, Any], late_seconds: float = LATE_SECONDS) -> tuple[str, str]:
    """``ok``, ``late`` or ``held``, and why, of a handler called *name* whose ``stats()`` are *one*."""
    if one["state"] == "held":
        return "held", f"{name}: {one['last_error']}"
    age = one["oldest_seconds"]
    if age is not None and age > late_seconds:
        return "late", f"{name}: an event has waited for {age:.0f} s"
    if one["state"] == "failing":
        return "late", f"{name}: {one['last_error']}"
    return "ok", ""


def metrics_text() -> str:
    """The counters of all handlers of this process in the OpenMetrics text format.

    Serve it with ``CONTENT_TYPE``. One line a handler, with the label ``handler``; names begin with
    ``eventlog_``. Source: prometheus.io/docs/specs/om/open_metrics_spec, read 2026-11-28.
    """
    return "\n".join([*_lines(stats_of_all()), "# EOF", ""])


def _lines(handlers: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for key, name, text in _COUNTERS:
        yield from _family(f"eventlog_{name}", "counter", text)
        for handler, one in handlers.items():
            yield f"eventlog_{name}_total{_labels(handler=handler)} {_number(one[key])}"
    yield from _family("eventlog_dropped", "counter", "Events lost, by reason.")
    for handler, one in handlers.items():
        for reason, count in sorted(one["dropped"].items()):
            yield f"eventlog_dropped_total{_labels(handler=handler, reason=reason)} {_number(count)}"
    for key, name, text in _GAUGES:
        yield from _family(f"eventlog_{name}", "gauge", text)
        for handler, one in handlers.items():
            yield f"eventlog_{name}{_labels(handler=handler)} {_number(one[key])}"
    yield from _family("eventlog_state", "stateset", "State of the destination.")
    for handler, one in handlers.items():
        for state in _STATES:
            labels = _labels(handler=handler, eventlog_state=state)
            yield f"eventlog_state{labels} {int(one['state'] == state)}"


def _family(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# TYPE {name} {kind}"
    yield f"# HELP {name} {text}"


def _labels(**labels: str) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items()) + "}"


def _number(value: float | None) -> str:
    return "0" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def instrument_opentelemetry(meter_provider: Any = None) -> None:
    """Report the handlers of this process through OpenTelemetry, by its names for an SDK's own metrics.

    *meter_provider* is that of the application; None takes the global one. Instruments are observable: they
    are read when metrics are collected. Raises MissingExtraError where OpenTelemetry's API is not installed.
    Source: opentelemetry.io/docs/specs/semconv/otel/sdk-metrics, read 2026-11-28.
    """
    try:
        from opentelemetry import metrics
    except ImportError:
        raise MissingExtraError(
            "instrument_opentelemetry needs OpenTelemetry's API: pip install opentelemetry-api"
        ) from None
    from eventlog_handlers._version import __version__

    provider = metrics.get_meter_provider() if meter_provider is None else meter_provider
    meter = provider.get_meter("eventlog_handlers", __version__)

    def observing(read: _Reader) -> list[Callable[[Any], Iterable[Any]]]:
        def observe(_: Any) -> Iterable[Any]:
            return [metrics.Observation(value, attributes) for value, attributes in read()]

        return [observe]

    meter.create_observable_counter(
        "otel.sdk.processor.log.processed",
        callbacks=observing(_processed),
        unit="{log_record}",
        description="Records whose processing has ended, successfully or not.",
    )
    meter.create_observable_counter(
        "otel.sdk.exporter.log.exported",
        callbacks=observing(_exported),
        unit="{log_record}",
        description="Events whose export has ended, successfully or not.",
    )
    meter.create_observable_up_down_counter(
        "otel.sdk.processor.log.queue.size",
        callbacks=observing(lambda: _each("pending")),
        unit="{log_record}",
        description="Events held, waiting or in flight.",
    )
    meter.create_observable_up_down_counter(
        "otel.sdk.processor.log.queue.capacity",
        callbacks=observing(_capacities),
        unit="{log_record}",
        description="Events held at most.",
    )


_Reader = Callable[[], Iterator[tuple[float, dict[str, str]]]]


def _attributes(handler: str, **more: str) -> dict[str, str]:
    kind = handler.partition(" ")[0]
    return {"otel.component.name": handler, "otel.component.type": f"eventlog_handlers.{kind}", **more}


def _each(key: str) -> Iterator[tuple[float, dict[str, str]]]:
    for handler, one in stats_of_all().items():
        yield one[key], _attributes(handler)


def _processed() -> Iterator[tuple[float, dict[str, str]]]:
    for handler, one in stats_of_all().items():
        lost_here = sum(count for reason, count in one["dropped"].items() if reason in _LOST_HERE)
        yield one["accepted"] - one["pending"] - lost_here, _attributes(handler)
        yield lost_here, _attributes(handler, **{"error.type": "queue_full"})


def _exported() -> Iterator[tuple[float, dict[str, str]]]:
    for handler, one in stats_of_all().items():
        yield one["delivered"], _attributes(handler)
        for reason, count in one["dropped"].items():
            if reason not in _LOST_HERE:
                yield count, _attributes(handler, **{"error.type": reason})


def _capacities() -> Iterator[tuple[float, dict[str, str]]]:
    names = stats_of_all()
    for name, handler in zip(names, live_handlers(), strict=False):
        yield handler.capacity, _attributes(name)


_LOST_HERE = ("overflow", "budget", "before_send", "worker_died")

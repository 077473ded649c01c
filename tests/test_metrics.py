"""health(), metrics_text() and OpenTelemetry's instruments: what stats() says, in the words of others."""

from __future__ import annotations

import logging

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from eventlog_handlers import GuanceHandler, health, metrics_text, stats
from eventlog_handlers.buffers.memory import MemoryBuffer
from eventlog_handlers.handler import live_handlers
from eventlog_handlers.metrics import instrument_opentelemetry
from eventlog_handlers.testing import ManualClock, make_event


def logger_of(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    return logger


def name_of(handler: logging.Handler) -> str:
    """What ``stats()`` calls it: other tests may have left handlers that live on."""
    return dict(zip(live_handlers(), stats(), strict=True))[handler]


@pytest.fixture
def settled(eventlog_console):
    """A handler that delivered two events and had one refused."""
    handler = GuanceHandler(service="shop", aggregate_seconds=None)
    eventlog_console.script.refuse("guance", "BAD", code="ft.BadEvent")
    log = logger_of(handler)
    log.error("one")
    log.error("two")
    assert handler.flush(60)
    log.error("BAD")
    assert handler.flush(60)
    yield handler
    handler.close()


def samples(text: str) -> dict[str, dict[str, float]]:
    """Values by metric and by the handler's name; other labels are joined to the name."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            rest = [value for name, value in sample.labels.items() if name != "handler"]
            found.setdefault(" ".join([sample.name, *rest]), {})[sample.labels["handler"]] = sample.value
    return found


def test_the_text_is_openmetrics_and_says_what_stats_says(settled):
    """Read by Prometheus' own parser."""
    text = metrics_text()

    name = name_of(settled)
    values = {metric: by_handler[name] for metric, by_handler in samples(text).items() if name in by_handler}
    counted = settled.stats()
    assert values["eventlog_accepted_total"] == counted["accepted"] == 3
    assert values["eventlog_delivered_total"] == 2
    assert values["eventlog_requests_total"] == counted["requests"]
    assert sum(value for metric, value in values.items() if metric.startswith("eventlog_dropped_total")) == 1
    assert values["eventlog_pending"] == 0
    assert values["eventlog_last_success_timestamp_seconds"] == pytest.approx(
        counted["last_success"], abs=0.01
    )
    assert values[f"eventlog_state {counted['state']}"] == 1
    assert text.endswith("# EOF\n")


def test_label_values_are_escaped(monkeypatch, settled):
    """A service's word with a quote, a backslash or a line break in it breaks no scrape."""
    one = {**settled.stats(), "dropped": {'rejected: a"b\\c\nd': 1}}
    monkeypatch.setattr("eventlog_handlers.metrics.stats_of_all", lambda: {"GuanceHandler": one})

    assert samples(metrics_text())['eventlog_dropped_total rejected: a"b\\c\nd'] == {"GuanceHandler": 1}


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        ({"state": "ok", "oldest_seconds": None}, "ok", ""),
        ({"state": "ok", "oldest_seconds": 299.0}, "ok", ""),
        ({"state": "ok", "oldest_seconds": 301.0}, "late", "waited for 301 s"),
        ({"state": "failing", "oldest_seconds": 1.0, "last_error": "refused: x"}, "late", "refused: x"),
        ({"state": "held", "oldest_seconds": 400.0, "last_error": "wrong key"}, "held", "wrong key"),
    ],
)
def test_health_is_the_worst_of_all_handlers(monkeypatch, change, status, why):
    """held before late before ok; with the oldest event of all."""
    well = {"state": "ok", "oldest_seconds": 2.0, "last_error": None}
    monkeypatch.setattr(
        "eventlog_handlers.metrics.stats_of_all", lambda: {"A": well, "B": {**well, **change}, "C": well}
    )

    told = health()

    assert (told.status, bool(told)) == (status, status == "ok")
    assert why in told.why
    assert told.handlers == {"A": "ok", "B": status, "C": "ok"}
    assert told.oldest_seconds == max(2.0, change["oldest_seconds"] or 0.0)


def test_the_oldest_event_held_gives_the_age():
    """Leased or not; a later one takes its place once it is settled."""
    clock = ManualClock()
    buffer = MemoryBuffer(capacity=9, capacity_bytes=1 << 20, policy="drop_lowest", clock=clock)
    assert buffer.oldest() is None
    buffer.put([make_event("first")])
    clock.advance(5.0)
    buffer.put([make_event("second")])
    clock.advance(1.0)
    (lease,) = buffer.lease(1)

    assert buffer.oldest() == pytest.approx(6.0)
    buffer.ack([lease])
    assert buffer.oldest() == pytest.approx(1.0)


def test_opentelemetry_reads_the_same_sums(settled):
    """By the names of its own SDK's metrics, when they are collected."""
    reader = InMemoryMetricReader()
    instrument_opentelemetry(MeterProvider([reader]))

    data = reader.get_metrics_data()

    points: dict[str, float] = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            if point.attributes["otel.component.name"] == name_of(settled):
                key = f"{metric.name} {point.attributes.get('error.type', '')}".strip()
                points[key] = points.get(key, 0) + point.value
    assert points["otel.sdk.exporter.log.exported"] == 2
    assert points["otel.sdk.processor.log.processed"] == 3
    assert points["otel.sdk.processor.log.queue.size"] == 0
    assert points["otel.sdk.processor.log.queue.capacity"] == settled.capacity
    assert [value for name, value in points.items() if "rejected" in name] == [1]

"""The event loop's own metrics read like prometheus-client's."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from penstock.tally import CounterTally, HistogramTally

BOUNDS = (0.001, 0.25, 1.0, 10.0)


def text_of(registry: CollectorRegistry) -> list[str]:
    """What Prometheus reads, without the times at which prometheus-client's metrics were made."""
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


@pytest.fixture
def ours() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def theirs() -> CollectorRegistry:
    return CollectorRegistry()


def test_a_counter_without_labels_is_there_from_the_start(ours: CollectorRegistry, theirs: CollectorRegistry) -> None:
    tally, counter = CounterTally("events", "Events."), Counter("events", "Events.", registry=theirs)
    ours.register(tally)
    count = tally.labels()
    assert text_of(ours) == text_of(theirs)
    for amount in (1, 0, 41):
        count.inc(amount)
        counter.inc(amount)
    assert text_of(ours) == text_of(theirs)
    assert "events_total 42.0" in text_of(ours)


def test_a_counter_with_labels_has_one_value_for_each(ours: CollectorRegistry, theirs: CollectorRegistry) -> None:
    names = ["route", "status"]
    tally, counter = CounterTally("requests", "All.", names), Counter("requests", "All.", names, registry=theirs)
    ours.register(tally)
    assert text_of(ours) == text_of(theirs)
    for values in (("/a", "200"), ("/a", "200"), ("/b", "200"), ("/a", '4"04')):
        tally.labels(*values).inc()
        counter.labels(*values).inc()
    assert text_of(ours) == text_of(theirs)


def test_a_time_counts_in_every_bucket_whose_bound_it_does_not_exceed(
    ours: CollectorRegistry, theirs: CollectorRegistry
) -> None:
    tally, histogram = (
        HistogramTally("seconds", "Time.", BOUNDS, ["route"]),
        Histogram("seconds", "Time.", ["route"], buckets=BOUNDS, registry=theirs),
    )
    ours.register(tally)
    for seconds in (0.0, 0.001, 0.0010001, 0.25, 0.3, 10.0, 10.5, 1e9):
        tally.labels("/a").observe(seconds)
        histogram.labels("/a").observe(seconds)
    tally.labels("/b")
    histogram.labels("/b")
    assert text_of(ours) == text_of(theirs)


def test_a_histogram_without_labels_is_there_from_the_start(ours: CollectorRegistry, theirs: CollectorRegistry) -> None:
    tally = HistogramTally("seconds", "Time.", BOUNDS)
    Histogram("seconds", "Time.", buckets=BOUNDS, registry=theirs)
    ours.register(tally)
    tally.labels()
    assert text_of(ours) == text_of(theirs)

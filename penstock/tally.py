"""Counters and histograms of the event loop, for what happens thousands of times a second.

prometheus-client's own check and lock at each update, for threads that do not come here: the four of a tracked event
took 3 of its 25 µs of Python. These are plain numbers, which become prometheus-client's families when somebody asks. To
be updated by one thread only.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class Count:
    """How often."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self, amount: int = 1) -> None:
        """Counts up."""
        self.value += amount


class Spread:
    """How long, in seconds: how many of each span, and the sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Counts one more, in the span whose upper bound is the first that is not below `seconds`."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


Child = TypeVar("Child")


class _Tally(Collector, Generic[Child]):
    """A metric by its labels' values."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], make: Callable[[], Child]) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._make = make
        self._children: dict[tuple[str, ...], Child] = {}

    def labels(self, *values: str) -> Child:
        """The one with these values, at zero where it is new."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._make()
        return child


class CounterTally(_Tally[Count]):
    """A counter."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, documentation, labels, Count)

    def collect(self) -> Iterator[Metric]:
        """See prometheus-client."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, count in self._children.items():
            family.add_metric(values, count.value)
        yield family


class HistogramTally(_Tally[Spread]):
    """A histogram of seconds; `bounds` as prometheus-client's `buckets`."""

    def __init__(self, name: str, documentation: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        super().__init__(name, documentation, labels, lambda: Spread(bounds))
        self._names = [*map(str, bounds), "+Inf"]

    def collect(self) -> Iterator[Metric]:
        """See prometheus-client."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, spread in self._children.items():
            buckets = list(zip(self._names, accumulate(spread.counts), strict=True))
            family.add_metric(values, buckets, spread.sum)
        yield family

"""How long things took: how many there were, the median and the worst, with what it was about."""

import threading
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Measure:
    """All measurements of one kind."""

    count: int
    median_seconds: float
    worst_seconds: float
    worst_case: str


class Measures:
    """From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, list[tuple[float, str]]] = {}

    def add(self, kind: str, seconds: float, case: str) -> None:
        """Notes one."""
        with self._lock:
            self._values.setdefault(kind, []).append((seconds, case))

    def summary(self) -> dict[str, Measure]:
        """By kind."""
        with self._lock:
            return {kind: _measure(values) for kind, values in sorted(self._values.items())}


def _measure(values: list[tuple[float, str]]) -> Measure:
    worst, case = max(values)
    return Measure(len(values), round(median(seconds for seconds, _ in values), 2), round(worst, 2), case)

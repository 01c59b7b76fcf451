"""Says about once a second how far work has come, how fast it goes, and how long it will take."""

import time
from collections.abc import Callable

_EVERY_SECONDS = 1.0


class Pace:
    """Of `total` records.

    Args:
        report: takes the line.
        doing: what is done, the line's beginning.
    """

    def __init__(
        self, report: Callable[[str], None], doing: str, total: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._report = report
        self._doing = doing
        self._total = total
        self._monotonic = monotonic
        self._started = self._said = monotonic()
        self._records = self._events = 0

    def add(self, events: int) -> None:
        """One more record is done, with that many events."""
        self._records += 1
        self._events += events
        now = self._monotonic()
        if now - self._said >= _EVERY_SECONDS:
            self._said = now
            self._report(self._line(now - self._started))

    def _line(self, seconds: float) -> str:
        left = (self._total - self._records) * seconds / self._records
        done = f"{self._records:,} of {self._total:,} records"
        return f"{self._doing}: {done}, {self._events / seconds:,.0f} events/s, {left:,.0f} s left"

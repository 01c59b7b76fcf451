"""Names and stats against the list, which has been compared with the ledger: exact sums for any span."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from random import Random
from typing import Any

from tests.chaos.complaints import Complaints
from tests.chaos.drafts import wire_time
from tests.chaos.listed import Listed

Read = Callable[..., Any]
"""The body of a read: `Reads.read`."""

_SPANS = 8
_HOUR_MS = 3_600_000


class Sums:
    """One project's; `times` is sorted here, once."""

    def __init__(self, project: int, listed: Listed, complaints: Complaints) -> None:
        self._project = project
        self._complaints = complaints
        self._times = {name: sorted(times) for name, times in listed.times.items()}

    def check(self, read: Read, random: Random) -> None:
        """All of them."""
        everything = self._counts(0, 1 << 62)
        self._expect("names", read("/events/names")["eventNames"], [row["name"] for row in everything])
        self._expect("stats", read("/events/stats"), everything)
        if self._times:
            for _ in range(_SPANS):
                self._check_span(read, random)
            self._check_hours(read, random)

    def _counts(self, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """Both bounds included; the most frequent first."""
        found = {
            name: bisect_right(times, end_ms) - bisect_left(times, start_ms) for name, times in self._times.items()
        }
        ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return [{"name": name, "count": count} for name, count in ordered if count]

    def _span(self, random: Random) -> tuple[int, int]:
        """Bounds at events, at whole hours, or anywhere."""
        return tuple(sorted((self._bound(random), self._bound(random))))  # type: ignore[return-value] # two stay two

    def _bound(self, random: Random) -> int:
        moment = random.choice(self._times[random.choice(sorted(self._times))])
        return random.choice((moment, moment // _HOUR_MS * _HOUR_MS, moment + random.randrange(-5000, 5000)))

    def _check_span(self, read: Read, random: Random) -> None:
        start, end = self._span(random)
        asked = {"startDate": wire_time(start), "endDate": wire_time(end)}
        self._expect(f"stats {asked}", read("/events/stats", **asked), self._counts(start, end))

    def _check_hours(self, read: Read, random: Random) -> None:
        start, end = self._span(random)
        asked = {"startDate": wire_time(start), "endDate": wire_time(end), "interval": "hour"}
        for row in read("/events/stats", **asked):
            found = {bucket["start"]: bucket["count"] for bucket in row["buckets"] if bucket["count"]}
            self._expect(f"hours of {row['name']!r} {asked}", found, self._hours(row["name"], start, end))

    def _hours(self, name: str, start_ms: int, end_ms: int) -> dict[str, int]:
        times = self._times[name]
        counts: dict[int, int] = {}
        for moment in times[bisect_left(times, start_ms) : bisect_right(times, end_ms)]:
            counts[moment // _HOUR_MS] = counts.get(moment // _HOUR_MS, 0) + 1
        return {wire_time(hour * _HOUR_MS): count for hour, count in counts.items()}

    def _expect(self, what: str, found: Any, expected: Any) -> None:
        if found != expected:
            self._complaints.add("sums differ", f"project {self._project}: {what}: {found} where {expected} was listed")

"""Exact counts between any two instants, at a cost that does not depend on how many events there are.

The planner. Counts are kept by day, hour and minute; a *cut* is an instant at which counting begins, ends, or goes to
the next bucket. A day that no cut divides is counted by its row; one that is divided, by its hours, and so on down to
the minutes; and a minute that is divided by its events. So each event is counted by exactly one unit, and time zones
whose days begin at half past an hour need nothing special. (The two ends of the range usually divide a minute; a bucket
does only in a time zone like Monrovia's until 1972.)
"""

# ruff: noqa: S608 - a name is a parameter; what stands in the text are tables of ours and integers

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from penstock.clickhouse.contract import Parameter
from query_api.params import Span
from query_api.statements import ALL_COLUMNS_AT_ONCE, END_OF_TIME_MS, Statement, within_tables
from schemas.tables import EVENT_COUNTS, EVENTS


@dataclass(frozen=True, slots=True)
class CountRequest:
    """What to count.

    Attributes:
        span: of which time; open sides reach to the ends of what the tables can say.
        boundaries: where buckets begin, and the last one ends, ascending, in seconds since 1970; empty: totals only.
            The span lies between the first and the last.
    """

    project_id: str
    event_name: str | None
    span: Span
    boundaries: Sequence[int] = ()


_UNITS = (86_400, 3600, 60)
"""Seconds, from coarse to fine; each is a multiple of the next one."""

_MAX_RANGES = 50
"""So many ranges may stand in a condition; more units are better told as a list."""

Range = tuple[int, int]
"""Half-open, in seconds since 1970 where no other unit is named."""


def count_statements(asked: CountRequest) -> list[Statement]:
    """One or two statements whose rows, added up, are the counts (see `query_api.adding`).

    Their rows are [name, count], and with boundaries [name, [bucket], [count]]: a bucket is its begin in seconds since
    1970, and those without events are missing. Two statements, as most of such a one's time goes into planning, which
    their union does not share; so they may be asked side by side. No event is counted by both.
    """
    values: dict[str, Parameter] = {"project": asked.project_id}
    if asked.event_name is not None:
        values["name"] = asked.event_name
    select = _by_bucket if asked.boundaries else _totals
    return [
        Statement("stats", select(part, asked.boundaries), values, ALL_COLUMNS_AT_ONCE) for part in _Plan(asked).parts()
    ]


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one table that are part of the answer.

    Attributes:
        moment: when a row's events happened, in seconds since 1970.
        count: how many they are.
    """

    table: str
    moment: str
    count: str
    where: str


def _totals(part: _Part, _: Sequence[int]) -> str:
    return f"SELECT name, {part.count} FROM {part.table} WHERE {part.where} GROUP BY name"


def _by_bucket(part: _Part, boundaries: Sequence[int]) -> str:
    begins = _numbers(boundaries[:-1])
    return (
        "SELECT name, groupArray(bucket), groupArray(n) FROM ("
        f"SELECT name, roundDown({part.moment}, [{begins}]) AS bucket, {part.count} AS n"
        f" FROM {part.table} WHERE {part.where} GROUP BY name, bucket"
        ") GROUP BY name"
    )


def _numbers(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _between(start: int, end: int) -> str:
    return f"start >= toDateTime({start}, 'UTC') AND start < toDateTime({end}, 'UTC')"


def _any_of(ranges: Sequence[Range]) -> str:
    return "(" + " OR ".join(f"({_between(start, end)})" for start, end in ranges) + ")"


def _joined(numbers: Sequence[int], seconds: int) -> list[Range]:
    """Units of that length, told by their numbers since 1970, as ranges: neighbours make one."""
    breaks = [index for index in range(1, len(numbers)) if numbers[index] != numbers[index - 1] + 1]
    edges = pairwise([0, *breaks, len(numbers)]) if numbers else ()
    return [(numbers[i] * seconds, (numbers[j - 1] + 1) * seconds) for i, j in edges]


def _in_units(numbers: Sequence[int], seconds: int) -> str:
    """Whether `start` lies in one of the units of that length."""
    ranges = _joined(numbers, seconds)
    if len(ranges) > _MAX_RANGES:
        return f"intDiv(toUInt32(start), {seconds}) IN ({_numbers(numbers)})"
    return _any_of(ranges)


def _without(ranges: Iterable[Range], holes: Sequence[Range]) -> list[Range]:
    """What of the ranges lies in none of the holes; both ascend."""
    left: list[Range] = []
    for start, end in ranges:
        at = start
        for low, high in holes:
            if low < end and high > at:
                left += [(at, low)] if at < low else []
                at = high
        left += [(at, end)] if at < end else []
    return left


_SECOND = "toUInt32(toDateTime(occurred_at, 'UTC'))"


def _happened(between_ms: Range) -> str:
    start, end = (f"fromUnixTimestamp64Milli({unix_ms}, 'UTC')" for unix_ms in between_ms)
    return f"occurred_at >= {start} AND occurred_at < {end}"


class _Plan:
    """Which rows of which table are counted, for one request."""

    def __init__(self, asked: CountRequest) -> None:
        span = asked.span
        self._start = 0 if span.start_ms is None else within_tables(span.start_ms)
        self._end = END_OF_TIME_MS if span.end_ms is None else within_tables(span.end_ms)
        inner = (boundary * 1000 for boundary in asked.boundaries)
        self._cuts = [self._start, *(cut for cut in inner if self._start < cut < self._end), self._end]
        self._where = "project_id = {project:UUID}" + (" AND name = {name:String}" if asked.event_name else "")

    def parts(self) -> list[_Part]:
        """What of each table is a part of the answer; at least one."""
        units: list[str] = []
        above: tuple[Sequence[int], int] | None = None
        for seconds in _UNITS:
            divided = self._divided(seconds)
            if self._has_whole(seconds, divided):
                units.append(self._whole(seconds, divided, above))
            if not divided:
                return self._counts(units or ["0"])
            if units:
                above = divided, seconds
        return [*self._counts(units), self._events(divided)]

    def _counts(self, units: Sequence[str]) -> list[_Part]:
        """The part of the answer that whole units have, all of them in one pass."""
        if not units:
            return []
        conditions = " OR ".join(f"({unit})" for unit in units)
        return [_Part(EVENT_COUNTS, "toUInt32(start)", "sum(count)", f"{self._where} AND ({conditions})")]

    def _divided(self, seconds: int) -> list[int]:
        """Which units of that length a cut divides, by their number since 1970."""
        unit = seconds * 1000
        return sorted({cut // unit for cut in self._cuts if cut % unit})

    def _inside(self, seconds: int) -> tuple[int, int]:
        """The units that lie in the range as a whole: the first, and the one behind the last."""
        unit = seconds * 1000
        return -(-self._start // unit), self._end // unit

    def _has_whole(self, seconds: int, divided: Sequence[int]) -> bool:
        """Whether any unit lies in the range and is not divided."""
        first, end = self._inside(seconds)
        return end - first > sum(first <= number < end for number in divided)

    def _whole(self, seconds: int, divided: Sequence[int], above: tuple[Sequence[int], int] | None) -> str:
        """The condition for the units of a length that lie in the range and are not divided.

        Args:
            above: the longer units that were divided, in which alone these are wanted; None for everywhere.
        """
        first, end = self._inside(seconds)
        inner = [number for number in divided if first <= number < end]
        whole = (first * seconds, end * seconds)
        wanted = [whole]
        if above and len(above[0]) <= _MAX_RANGES:
            wanted = [(max(low, whole[0]), min(high, whole[1])) for low, high in _joined(*above)]
        if len(inner) + len(wanted) <= _MAX_RANGES and (not above or len(above[0]) <= _MAX_RANGES):
            ranges = _without([one for one in wanted if one[0] < one[1]], _joined(inner, seconds))
            return f"unit_seconds = {seconds} AND {_any_of(ranges)}" if ranges else "0"
        without = f" AND NOT {_in_units(inner, seconds)}" if inner else ""
        within = f" AND {_in_units(*above)}" if above else ""
        return f"unit_seconds = {seconds} AND {_between(*whole)}{without}{within}"

    def _events(self, divided: Sequence[int]) -> _Part:
        """The events of divided minutes, as far as they lie in the range."""
        minute_ms = _UNITS[-1] * 1000
        whole = (self._start, self._end)
        pieces = [(max(n * minute_ms, self._start), min((n + 1) * minute_ms, self._end)) for n in divided]
        if len(pieces) > _MAX_RANGES:
            times = f"{_happened(whole)} AND intDiv({_SECOND}, {_UNITS[-1]}) IN ({_numbers(divided)})"
        else:
            times = " OR ".join(f"({_happened(piece)})" for piece in pieces)
        return _Part(EVENTS, _SECOND, "count()", f"{self._where} AND ({times})")

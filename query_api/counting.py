"""Exact counts between any two instants, at a cost that does not depend on how many events there are.

The planner. Counts are kept by day, hour, minute and second; a *cut* is an instant at which counting begins, ends, or
goes to the next bucket. A day that no cut divides is counted by its row; one that is divided, by its hours, and so on
down to the seconds; and a second that is divided (only the two ends of the range can do that) by its events. So each
event is counted by exactly one unit, and time zones whose days begin at half past an hour need nothing special.
"""

# ruff: noqa: S608 - a name is a parameter; what stands in the text are tables of ours and integers

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from penstock.clickhouse.contract import Parameter
from query_api.params import Span
from query_api.statements import END_OF_TIME_MS, Statement, within_tables


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


_UNITS = (86_400, 3600, 60, 1)
"""Seconds, from coarse to fine; each is a multiple of the next one, and the last is a second."""

_MAX_RANGES = 50
"""So many ranges may stand in a statement; more units are better told as a list."""


def count_statement(asked: CountRequest) -> Statement:
    """The statement whose rows are the counts: most frequent name first, names without events left out.

    Its rows are [name, total], and with boundaries [name, total, [bucket], [count]]: a bucket is its begin in seconds
    since 1970, and those without events are missing.
    """
    values: dict[str, Parameter] = {"project": asked.project_id}
    if asked.event_name is not None:
        values["name"] = asked.event_name
    rows = " UNION ALL ".join(_Plan(asked).parts())
    sql = _by_bucket(rows, asked.boundaries) if asked.boundaries else _totals(rows)
    return Statement("stats", sql, values)


def _totals(rows: str) -> str:
    return f"SELECT name, sum(n) AS total FROM ({rows}) GROUP BY name HAVING total > 0 ORDER BY total DESC, name"


def _by_bucket(rows: str, boundaries: Sequence[int]) -> str:
    begins = _numbers(boundaries[:-1])
    return (
        "SELECT name, sum(m) AS total, groupArray(bucket), groupArray(m) FROM ("
        f"SELECT name, roundDown(moment, [{begins}]) AS bucket, sum(n) AS m FROM ({rows}) GROUP BY name, bucket"
        ") GROUP BY name HAVING total > 0 ORDER BY total DESC, name"
    )


def _numbers(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _between(start: int, end: int) -> str:
    return f"start >= toDateTime({start}, 'UTC') AND start < toDateTime({end}, 'UTC')"


def _in_units(numbers: Sequence[int], seconds: int) -> str:
    """Whether `start` lies in one of the units of that length, which are told by their numbers since 1970.

    Neighbours make one range: the key finds ranges fast, and a year of days with a time zone is a single one.
    """
    breaks = [index for index in range(1, len(numbers)) if numbers[index] != numbers[index - 1] + 1]
    ranges = [(numbers[i], numbers[j - 1] + 1) for i, j in pairwise([0, *breaks, len(numbers)])]
    if len(ranges) > _MAX_RANGES:
        return f"intDiv(toUInt32(start), {seconds}) IN ({_numbers(numbers)})"
    return "(" + " OR ".join(f"({_between(first * seconds, end * seconds)})" for first, end in ranges) + ")"


def _moment(unix_ms: int) -> str:
    return f"fromUnixTimestamp64Milli({unix_ms}, 'UTC')"


class _Plan:
    """Which rows of which table are counted, for one request."""

    def __init__(self, asked: CountRequest) -> None:
        span = asked.span
        self._start = 0 if span.start_ms is None else within_tables(span.start_ms)
        self._end = END_OF_TIME_MS if span.end_ms is None else within_tables(span.end_ms)
        inner = (boundary * 1000 for boundary in asked.boundaries)
        self._cuts = [self._start, *(cut for cut in inner if self._start < cut < self._end), self._end]
        self._where = "project_id = {project:UUID}" + (" AND name = {name:String}" if asked.event_name else "")

    def parts(self) -> list[str]:
        """A SELECT of (name, moment in seconds, n) for each table that has a part of the answer; at least one."""
        units, within = [], ""
        for seconds in _UNITS:
            divided = self._divided(seconds)
            if self._has_whole(seconds, divided):
                units.append(self._whole(seconds, divided) + within)
            if divided and units:
                within = f" AND {_in_units(divided, seconds)}"
            if not divided:
                break
        else:
            return [*self._counts(units), self._events(divided)]
        return self._counts(units or ["0"])

    def _counts(self, units: Sequence[str]) -> list[str]:
        """The part of the answer that whole units have, all of them in one pass."""
        if not units:
            return []
        conditions = " OR ".join(f"({unit})" for unit in units)
        columns = "name, toUInt32(start) AS moment, count AS n"
        return [f"SELECT {columns} FROM event_counts WHERE {self._where} AND ({conditions})"]

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

    def _whole(self, seconds: int, divided: Sequence[int]) -> str:
        """The condition for the units of a length that lie in the range and are not divided."""
        first, end = self._inside(seconds)
        inner = [number for number in divided if first <= number < end]
        without = f" AND NOT {_in_units(inner, seconds)}" if inner else ""
        return f"unit_seconds = {seconds} AND {_between(first * seconds, end * seconds)}{without}"

    def _events(self, divided: Sequence[int]) -> str:
        """The events of divided seconds, as far as they lie in the range."""
        pieces = ((max(second * 1000, self._start), min(second * 1000 + 1000, self._end)) for second in divided)
        times = " OR ".join(
            f"(occurred_at >= {_moment(start)} AND occurred_at < {_moment(end)})" for start, end in pieces
        )
        return (
            "SELECT name, toUInt32(toDateTime(occurred_at, 'UTC')) AS moment, toUInt64(1) AS n"
            f" FROM events WHERE {self._where} AND ({times})"
        )

"""Exact counts between any two instants, at a cost that does not depend on how many events there are.

The planner. Counts are kept by hour and by second; a *cut* is an instant at which counting begins, ends, or goes to the
next bucket. An hour that no cut divides is counted by its rows in `event_hours`; one that is divided, by the seconds in
`event_seconds`; and a second that is divided (only the two ends of the range can do that) by its events. So each event
is counted by exactly one of the three, and time zones whose days begin at half past an hour need nothing special.
"""

# ruff: noqa: S608 - a name is a parameter; what stands in the text are tables of ours and integers

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class _Level:
    """A table of counts: one row per project, `seconds` of time, and name."""

    table: str
    column: str
    seconds: int


_LEVELS = (_Level("event_hours", "hour", 3600), _Level("event_seconds", "second", 1))
"""From coarse to fine; each one's length is a multiple of the next one's, and the last is a second."""


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
        parts, within = [], ""
        for level in _LEVELS:
            divided = self._divided(level.seconds)
            if self._has_whole(level.seconds, divided):
                parts.append(self._counts(level, within, divided))
                within = f" AND intDiv(toUInt32({{column}}), {level.seconds}) IN ({_numbers(divided)})"
            if not divided:
                break
        else:
            parts.append(self._events(divided))
        return parts or [self._counts(_LEVELS[0], "", [])]

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

    def _counts(self, level: _Level, within: str, divided: Sequence[int]) -> str:
        """The whole units of a level, in those units of the level above that were divided."""
        column, seconds = level.column, level.seconds
        first, end = self._inside(seconds)
        inner = [number for number in divided if first <= number < end]
        without = f" AND intDiv(toUInt32({column}), {seconds}) NOT IN ({_numbers(inner)})" if inner else ""
        return (
            f"SELECT name, toUInt32({column}) AS moment, count AS n FROM {level.table} WHERE {self._where}"
            f" AND {column} >= toDateTime({first * seconds}, 'UTC') AND {column} < toDateTime({end * seconds}, 'UTC')"
            f"{within.format(column=column)}{without}"
        )

    def _events(self, divided: Sequence[int]) -> str:
        """The events of divided seconds, as far as they lie in the range."""
        pieces = ((max(second * 1000, self._start), min(second * 1000 + 1000, self._end)) for second in divided)
        times = " OR ".join(
            f"(occurred_at >= {_moment(start)} AND occurred_at < {_moment(end)})" for start, end in pieces
        )
        return (
            "SELECT name, toUInt32(toDateTime(occurred_at, 'UTC')) AS moment, toInt64(1) AS n"
            f" FROM events WHERE {self._where} AND ({times})"
        )

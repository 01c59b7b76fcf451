"""Compares the counters of `event_counts` with the rows of `events`, which they count.

Counters do not say which events they count, so both sides are looked at as they are now, in one statement. While the
writer writes, a batch may have reached the one and not the other: what differs is looked at again, and counts only if
it differs by the same each time, or if no batch was under way meanwhile.
"""

# ruff: noqa: S608 - what callers choose are parameters; only names and numbers of ours stand in the text

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from penstock.clickhouse import Tables
from penstock.clickhouse.contract import Parameter
from penstock.clickhouse.progress import read_progress
from schemas.tables import EVENT_COUNTS, EVENTS

UNITS = (0, 86_400, 3600, 60)
"""The units of time for which counters are kept, in seconds; 0 is all time."""

_LOOKS = 10
_PAUSE_SECONDS = 0.25
_DAY_SECONDS = 86_400
_LAST_DAY = (1 << 32) // _DAY_SECONDS
_SPAN_EVENTS = 50_000_000
"""About so many events are compared in one statement, which must be done within the time-out of a read."""


@dataclass(frozen=True, slots=True)
class CountGroup:
    """What one counter counts.

    Attributes:
        start: of its unit of time, in seconds since 1970.
    """

    unit: int
    partition: int
    project_id: str
    name: str
    start: int


def start_of(unit: int, second: int) -> int:
    """When the unit of time began in which `second` lies."""
    return second // unit * unit if unit else 0


_SECOND = "toUInt32(toDateTime(occurred_at, 'UTC'))"


def _within(second: str, *, in_partition: bool) -> str:
    day = f"intDiv({second}, {_DAY_SECONDS})"
    condition = f"{day} >= {{first:UInt32}} AND {day} <= {{last:UInt32}}"
    return f"{condition} AND log_partition = {{partition:UInt16}}" if in_partition else condition


def _both(*, in_partition: bool) -> str:
    """Counters as they are, and rows as minus one: a group's sum is zero where they agree."""
    return f"""
        SELECT
            unit_seconds AS unit, log_partition, project_id, name, toUInt32(start) AS begin,
            toInt64(count) AS counted
        FROM {EVENT_COUNTS}
        WHERE has(arrayMap(one -> toUInt32(one), {{units:Array(String)}}), unit_seconds)
            AND {_within("toUInt32(start)", in_partition=in_partition)}
        UNION ALL
        SELECT
            arrayJoin(arrayMap(one -> toUInt32(one), {{units:Array(String)}})) AS unit, log_partition, project_id, name,
            toUInt32(intDiv({_SECOND}, greatest(unit, 1)) * unit) AS begin,
            toInt64(-1) AS counted
        FROM {EVENTS}
        WHERE {_within(_SECOND, in_partition=in_partition)}
    """


# The weighted sum tells apart differences in one day that make up for each other.
_COARSE = f"""
SELECT unit, log_partition, intDiv(begin, {_DAY_SECONDS}) AS day
FROM ({_both(in_partition=False)})
GROUP BY unit, log_partition, day
HAVING sum(counted) != 0 OR sum(counted * toInt64(cityHash64(project_id, name, begin))) != 0
"""

_EXACT = f"""
SELECT toString(project_id), name, begin, sum(counted) AS difference
FROM ({_both(in_partition=True)})
GROUP BY project_id, name, begin
HAVING difference != 0
"""

_COUNTED = f"SELECT unit_seconds, log_partition, sum(count) FROM {EVENT_COUNTS} GROUP BY unit_seconds, log_partition"

_PER_DAY = f"""
SELECT intDiv(toUInt32(start), {_DAY_SECONDS}) AS day, sum(count)
FROM {EVENT_COUNTS} WHERE unit_seconds = {_DAY_SECONDS} GROUP BY day ORDER BY day
"""


@dataclass(frozen=True, slots=True)
class Differences:
    """Counters that are off.

    Attributes:
        by: how many events each counts too much; negative for too few.
        under_way: by partition, the batch that was under way the whole time: of a slow writer, or one that was killed.
            It may be in the one table and not in the other.
    """

    by: Mapping[CountGroup, int]
    under_way: Mapping[int, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Written:
    """How far a partition is, and which batch is under way."""

    stored_through: int
    pending: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A day of a unit and partition; of all time there is the day 0 only."""

    unit: int
    partition: int
    day: int


class Counters:
    """The counters of one generation of tables."""

    def __init__(self, tables: Tables, report: Callable[[str], None], sleep: Callable[[float], None]) -> None:
        self._tables = tables
        self._report = report
        self._sleep = sleep

    def counted(self) -> dict[tuple[int, int], int]:
        """How many events they count, by unit and partition.

        Raises:
            TablesUnavailable, TablesRefused: see `Tables`.
        """
        return {(unit, partition): events for unit, partition, events in _integers(self._tables.select(_COUNTED))}

    def differences(self) -> Differences:
        """Which counters are off; raises as `counted` does."""
        first = before = self._written()
        found = self._look(list(self._differing()))
        for look in range(_LOOKS):
            if not found:
                break
            before = self._written()
            if look:
                self._report(f"counters: {len(found):,} differ; looking again")
                self._sleep(_PAUSE_SECONDS)
            again = self._look({_Bucket(one.unit, one.partition, one.start // _DAY_SECONDS) for one in found})
            found = {group: off for group, off in again.items() if found.get(group) == off}
            if self._is_quiet(before):
                break
        stuck = {number: one.pending for number, one in before.items() if one.pending and one == first.get(number)}
        return Differences(found, stuck)

    def _differing(self) -> Iterator[_Bucket]:
        for first, last in self._spans():
            self._report("comparing counters")
            yield from self._coarse(UNITS[1:], first, last)
        yield from self._coarse(UNITS[:1], 0, _LAST_DAY)

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Spans of days, first and last, that hold about as many events each."""
        first = events = 0
        for day, counted in _integers(self._tables.select(_PER_DAY)):
            events += counted
            if events > _SPAN_EVENTS:
                yield first, day
                first, events = day + 1, 0
        yield first, _LAST_DAY

    def _coarse(self, units: Iterable[int], first: int, last: int) -> Iterator[_Bucket]:
        for row in _integers(self._tables.select(_COARSE, _values(units, first, last))):
            yield _Bucket(*row)

    def _look(self, buckets: Iterable[_Bucket]) -> dict[CountGroup, int]:
        found = {}
        for bucket in buckets:
            last = bucket.day if bucket.unit else _LAST_DAY
            values = _values([bucket.unit], bucket.day, last) | {"partition": bucket.partition}
            for project_id, name, start, off in self._tables.select(_EXACT, values):
                group = CountGroup(bucket.unit, bucket.partition, str(project_id), str(name), int(str(start)))
                found[group] = int(str(off))
        return found

    def _written(self) -> dict[int, _Written]:
        progress = read_progress(self._tables)
        return {partition: _Written(one.stored_through, one.pending) for partition, one in progress.items()}

    def _is_quiet(self, before: dict[int, _Written]) -> bool:
        """Whether no batch was under way since: a writer states each before it inserts it."""
        return not any(one.pending for one in before.values()) and self._written() == before


def _values(units: Iterable[int], first: int, last: int) -> dict[str, Parameter]:
    return {"units": [str(unit) for unit in units], "first": first, "last": last}


def _integers(rows: list[list[object]]) -> list[list[int]]:
    return [[int(str(value)) for value in row] for row in rows]

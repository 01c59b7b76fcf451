"""Compares the tables whose rows have a place in the log with the log."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from consumers.compared import Place, compare
from consumers.expected import ExpectedEvent
from consumers.findings import Findings
from consumers.log_side import Folded, LogSide
from consumers.placed import (
    DERIVED_ROWS,
    EVENT_ROWS,
    MEMBERSHIP_ROWS,
    SAID_ROWS,
    PlacedTable,
    last_offsets,
    read_rows,
    read_seconds,
    read_sums,
)
from consumers.seconds import Second, seconds_of
from consumers.sums import LAST_OFFSET, OffsetRange, RangeKey, RangeSums, Sums, differing
from penstock.clickhouse import Tables

_WINDOW_EVENTS = 20_000_000
"""About so many rows are added up in one statement, which must be done within the time-out of a read."""


@dataclass(slots=True)
class RowComparison:
    """The comparison under way.

    Attributes:
        gone: events that a removal behind what is compared has removed already, by partition.
        corrections: how many rows too many `events` has of each second; negative for too few.
    """

    tables: Tables
    side: LogSide
    folded: Folded
    through: Mapping[int, int]
    findings: Findings
    report: Callable[[str], None]
    gone: Counter[int] = field(default_factory=Counter)
    corrections: Counter[Second] = field(default_factory=Counter)

    def compare(self, table: PlacedTable) -> None:
        """Compares one table."""
        self.report(f"comparing {table.name}")
        sums = self._sums(table)
        found: dict[RangeKey, Sums] = {}
        for window in sums.windows(_WINDOW_EVENTS):
            found |= read_sums(self.tables, table, sums.width, self.through, window)
        for partition in self.through:
            self.findings.tally(table.name, partition)
        for (partition, _), one in found.items():
            self.findings.tally(table.name, partition).stored += one.events
        for wanted in differing(sums.sums(with_index=table.has_index), found, sums.width, self.through):
            numbers = range(wanted.first // sums.width, wanted.last // sums.width + 1)
            counted = sum(found[key].events for number in numbers if (key := (wanted.partition, number)) in found)
            self._compare_rows(table, wanted, counted)
        for outside in self._outside(table):
            self._compare_rows(table, outside, 0, in_log=False)

    def _sums(self, table: PlacedTable) -> RangeSums:
        if table is DERIVED_ROWS:
            return self.folded.derived
        if table is MEMBERSHIP_ROWS:
            return self.folded.memberships
        return self.folded.said if table is SAID_ROWS else self.folded.events

    def _outside(self, table: PlacedTable) -> Iterator[OffsetRange]:
        """Where there are rows of which the log has nothing."""
        lasts = last_offsets(self.tables, table)
        ends = self.side.ends()  # only now: what is in the tables was in the log before
        for partition, last in lasts.items():
            if last >= ends.get(partition, 0):
                yield OffsetRange(partition, ends.get(partition, 0), LAST_OFFSET)

    def _compare_rows(self, table: PlacedTable, wanted: OffsetRange, counted: int, *, in_log: bool = True) -> None:
        """Compares event by event; `counted` of its rows are in the tally already."""
        self.report(f"comparing {table.name}, partition {wanted.partition} from offset {wanted.first:,}")
        rows = read_rows(self.tables, table, wanted)
        seconds = read_seconds(self.tables, wanted) if table is EVENT_ROWS else None
        self.side.follow_removals()  # only now: what is gone by now is known to go
        events = self._expected(table, wanted) if in_log else {}
        optional = {
            place for place, event in events.items() if event and self._may_be_gone(table, wanted, event, place)
        }
        compared = compare(events.keys(), optional, rows)
        self.findings.add(table.name, wanted.partition, compared)
        self.findings.tally(table.name, wanted.partition).stored += rows.total() - counted
        if seconds is not None:
            self.gone[wanted.partition] += compared.gone
            self._correct(wanted.partition, seconds, [event for event in events.values() if event])

    def _expected(self, table: PlacedTable, wanted: OffsetRange) -> dict[Place, ExpectedEvent | None]:
        """What the table should have there; the events that the ids belong to where they matter."""
        found: dict[Place, ExpectedEvent | None] = {}
        for offset, record in self.side.records(wanted):
            if table is DERIVED_ROWS:
                found |= {(offset, None, str(UUID(int=number))): None for number in record.derived}
            elif table in (SAID_ROWS, MEMBERSHIP_ROWS):
                told = record.said if table is SAID_ROWS else record.memberships
                found |= {(offset, event.index, str(UUID(int=event.number))): event for event in told}
            else:
                found |= {
                    (offset, event.index if table.has_index else None, event.line.id): event for event in record.events
                }
        return found

    def _may_be_gone(self, table: PlacedTable, wanted: OffsetRange, event: ExpectedEvent, place: Place) -> bool:
        removals = self.side.removals
        may_have = removals.may_have_erased if table is SAID_ROWS else removals.may_have
        return may_have(wanted.partition, place[0], event.line)

    def _correct(self, partition: int, seconds: Counter[Second], events: list[ExpectedEvent]) -> None:
        expected = seconds_of(partition, events)
        for second in seconds.keys() | expected.keys():
            if seconds[second] != expected[second]:
                self.corrections[second] += seconds[second] - expected[second]

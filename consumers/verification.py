"""Proves that log, tables and counters agree, or finds every event for which they do not.

It works while the writer writes. Each partition is compared up to what was stored when it began; what comes later is
left alone. A deletion that comes later may have reached some tables and others not, so its name is forgiven what it
lacks.

The log is read twice: first for its deletions, which say what must be gone, then for its events. These are added up by
ranges of offsets, and so are the rows of each table, in one statement; only ranges that differ are read again and
compared event by event (`consumers.sums` says why that is enough). Counters are compared with the rows that they count
(`consumers.counted`), and what is wrong with the rows is taken into account.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from consumers.compared import Place, compare
from consumers.counted import UNITS, Counters, CountGroup, start_of
from consumers.expected import ExpectedEvent
from consumers.findings import Example, Findings, PartitionFound, Verification, totals
from consumers.log_side import Folded, LogSide, LogTotals
from consumers.placed import (
    DERIVED_ROWS,
    EVENT_ROWS,
    PLACED_TABLES,
    PlacedTable,
    last_offsets,
    read_rows,
    read_seconds,
    read_sums,
)
from consumers.sums import LAST_OFFSET, OffsetRange, RangeKey, Sums, differing
from penstock.clickhouse import Tables
from penstock.clickhouse.generations import Generation
from penstock.clickhouse.progress import NONE, read_progress
from penstock.eventlog import EventLog
from schemas.tables import DERIVED_IDS, EVENT_COUNTS, EVENTS
from schemas.times import parse_iso, to_ms, to_wire

_WINDOW_EVENTS = 20_000_000
"""About so many rows are added up in one statement, which must be done within the time-out of a read."""

_MOST_CORRECTIONS = 200_000
"""Of so many counters it is remembered how far the rows that they count are wrong; beyond it none is."""

Report = Callable[[str], None]
Second = tuple[int, str, str, int]
"""A partition, project, name and second."""


def verify(
    log: EventLog, generation: Generation, report: Report, sleep: Callable[[float], None] = time.sleep
) -> Verification:
    """Compares the log with the tables of a generation. Blocks: reading a long log takes long.

    Args:
        report: is told once a second how far it is; what it raises ends the work.

    Raises:
        StartError: the log is shorter than the tables, or has lost records.
        LogUnavailable, TablesUnavailable: try again.
    """
    started = time.monotonic()
    progress = read_progress(generation.tables)
    through = {part: progress[part].stored_through if part in progress else NONE for part in range(log.partitions)}
    with LogSide(log, through, report) as side:
        side.expect_whole()
        side.follow_deletions()
        verifier = _Verifier(generation.tables, side, side.fold(), through, report)
        for table in PLACED_TABLES:
            verifier.compare_placed(table)
        verifier.compare_counters(Counters(generation.tables, report, sleep))
    return verifier.result(generation.number, time.monotonic() - started)


@dataclass(slots=True)
class _Verifier:
    """The comparison under way.

    Attributes:
        gone: events that a deletion behind what is compared has removed already, by partition.
        corrections: by how much `events` has too many rows, by second.
    """

    tables: Tables
    side: LogSide
    folded: Folded
    through: dict[int, int]
    report: Report
    findings: Findings = field(default_factory=Findings)
    gone: Counter[int] = field(default_factory=Counter)
    corrections: Counter[Second] = field(default_factory=Counter)

    # --- tables whose rows have a place in the log

    def compare_placed(self, table: PlacedTable) -> None:
        """Compares one of them with the log."""
        self.report(f"comparing {table.name}")
        sums = self.folded.derived if table is DERIVED_ROWS else self.folded.events
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
            self._compare_rows(table, outside, 0)

    def _outside(self, table: PlacedTable) -> Iterator[OffsetRange]:
        """Where there are rows of which the log has nothing."""
        lasts = last_offsets(self.tables, table)
        ends = self.side.ends()  # only now: what is in the tables was in the log before
        for partition, last in lasts.items():
            if last >= ends.get(partition, 0):
                yield OffsetRange(partition, ends.get(partition, 0), LAST_OFFSET)

    def _compare_rows(self, table: PlacedTable, wanted: OffsetRange, counted: int) -> None:
        """Compares event by event; `counted` of its rows are in the tally already."""
        self.report(f"comparing {table.name}, partition {wanted.partition} from offset {wanted.first:,}")
        rows = read_rows(self.tables, table, wanted)
        seconds = read_seconds(self.tables, wanted) if table is EVENT_ROWS else None
        self.side.follow_deletions()  # only now: what is gone by now is known to go
        events = self._expected(table, wanted)
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
            else:
                found |= {
                    (offset, event.index if table.has_index else None, event.line.id): event for event in record.events
                }
        return found

    def _may_be_gone(self, table: PlacedTable, wanted: OffsetRange, event: ExpectedEvent, place: Place) -> bool:
        name = (event.line.project_id, event.line.name)
        return table.loses_deleted and self.side.deleted.may_have(wanted.partition, place[0], name)

    def _correct(self, partition: int, seconds: Counter[Second], events: list[ExpectedEvent]) -> None:
        expected = Counter(_second_of(partition, event) for event in events)
        for second in seconds.keys() | expected.keys():
            if seconds[second] != expected[second]:
                self.corrections[second] += seconds[second] - expected[second]

    # --- counters

    def compare_counters(self, counters: Counters) -> None:
        """Compares the counters with the rows, and with what the rows should be."""
        off = Counter(counters.differences())
        self.side.follow_deletions()
        under_way = self._under_way()
        off = Counter({group: by for group, by in off.items() if abs(by) > under_way[group]})
        if len(self.corrections) <= _MOST_CORRECTIONS:
            for second, by in self.corrections.items():
                for group in _groups_of(second):
                    off[group] += by
        for (unit, partition), counted in counters.counted().items():
            self.findings.tally(_counters_name(unit), partition).stored += counted
        for unit in UNITS:
            for partition in self.through:
                self.findings.tally(_counters_name(unit), partition)
        for group, by in off.items():
            if not self.side.deleted.is_coming(group.partition, (group.project_id, group.name)):
                self._count(group, by)

    def _under_way(self) -> Counter[CountGroup]:
        """How many events of each counter are in a batch that is under way, or was when its writer died."""
        found: Counter[CountGroup] = Counter()
        for partition, progress in read_progress(self.tables).items():
            if progress.pending:
                for _, record in self.side.records(OffsetRange(partition, *progress.pending)):
                    for event in record.events:
                        found.update(_groups_of(_second_of(partition, event)))
        return found

    def _count(self, group: CountGroup, by: int) -> None:
        name = _counters_name(group.unit)
        tally = self.findings.tally(name, group.partition)
        tally.double += max(by, 0)
        tally.missing += max(-by, 0)
        if by:
            what = f"{abs(by)} {'too many' if by > 0 else 'missing'} in {name}"
            start = to_wire(group.start * 1000)
            self.findings.example(Example(what, group.partition, id=f"{group.project_id}/{group.name}/{start}"))

    # --- the result

    def result(self, generation: int, seconds: float) -> Verification:
        """What was found, when all was compared."""
        partitions = [self._partition(number) for number in self.findings.partitions(EVENTS)]
        names = [table.name for table in PLACED_TABLES if table.name not in (EVENTS, DERIVED_IDS)]
        projections = [self.findings.projection(name) for name in (*names, *map(_counters_name, UNITS))]
        derived_ids = self.findings.projection(DERIVED_IDS)
        faults = totals([*partitions, *projections, derived_ids])
        return Verification(
            ok=not any(faults.values()),
            generation=generation,
            partitions=partitions,
            projections=projections,
            derived_ids=derived_ids,
            examples=self.findings.examples,
            seconds=round(seconds, 3),
            **faults,
        )

    def _partition(self, number: int) -> PartitionFound:
        tally, log = self.findings.tally(EVENTS, number), self.folded.totals.get(number, LogTotals())
        return PartitionFound(
            partition=number,
            through=self.through.get(number, NONE),
            in_log=log.in_log,
            dead_letters=log.dead,
            repeated=log.repeated,
            deleted=log.deleted + self.gone[number],
            stored=tally.stored,
            missing=tally.missing + log.unreadable,
            double=tally.double,
            orphaned=tally.orphaned,
        )


def _counters_name(unit: int) -> str:
    return f"{EVENT_COUNTS} {unit}"


def _second_of(partition: int, event: ExpectedEvent) -> Second:
    line = event.line
    return partition, line.project_id, line.name, to_ms(parse_iso(line.occurred_at)) // 1000


def _groups_of(second: Second) -> list[CountGroup]:
    partition, project_id, name, at = second
    return [CountGroup(unit, partition, project_id, name, start_of(unit, at)) for unit in UNITS]

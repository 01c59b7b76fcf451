"""Compares the counters with the rows that they count, and so with the log: what is wrong with the rows is known."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from consumers.counted import UNITS, Counters, CountGroup, start_of
from consumers.findings import Example, Findings
from consumers.log_side import LogSide
from consumers.seconds import Second, seconds_of
from consumers.sums import OffsetRange
from schemas.tables import EVENT_COUNTS
from schemas.times import to_wire

_MOST_CORRECTIONS = 200_000
"""With more of them, memory is saved: the counters are compared with the rows as they are."""

COUNTER_TABLES = {unit: f"{EVENT_COUNTS} {unit}" for unit in UNITS}
"""What the counters of each unit are called: they are compared as tables of their own."""


@dataclass(frozen=True, slots=True)
class CountComparison:
    """The comparison of all counters."""

    counters: Counters
    side: LogSide
    through: Mapping[int, int]
    findings: Findings

    def compare(self, corrections: Mapping[Second, int]) -> None:
        """Compares them.

        Args:
            corrections: how many rows too many `events` has of each second.
        """
        found = self.counters.differences()
        self.side.follow_removals()
        under_way = self._events_of(found.under_way)
        off = Counter({group: by for group, by in found.by.items() if abs(by) > under_way[group]})
        if len(corrections) <= _MOST_CORRECTIONS:
            for second, by in corrections.items():
                for group in _groups_of(second):
                    off[group] += by
        self._tally_counted()
        for group, by in off.items():
            if not self.side.removals.is_coming(group.partition, (group.project_id, group.name)):
                self._add(group, by)

    def _events_of(self, batches: Mapping[int, tuple[int, int]]) -> Counter[CountGroup]:
        """How many events of each counter some batches have, given by partition."""
        found: Counter[CountGroup] = Counter()
        for partition, (first, last) in batches.items():
            for _, record in self.side.records(OffsetRange(partition, first, last)):
                for second, events in seconds_of(partition, record.events).items():
                    for group in _groups_of(second):
                        found[group] += events
        return found

    def _tally_counted(self) -> None:
        for unit in UNITS:
            for partition in self.through:
                self.findings.tally(COUNTER_TABLES[unit], partition)
        for (unit, partition), counted in self.counters.counted().items():
            self.findings.tally(COUNTER_TABLES[unit], partition).stored += counted

    def _add(self, group: CountGroup, by: int) -> None:
        table = COUNTER_TABLES[group.unit]
        tally = self.findings.tally(table, group.partition)
        tally.double += max(by, 0)
        tally.missing += max(-by, 0)
        if by:
            what = f"{abs(by)} {'too many' if by > 0 else 'missing'} in {table}"
            start = to_wire(group.start * 1000)
            self.findings.example(Example(what, group.partition, id=f"{group.project_id}/{group.name}/{start}"))


def _groups_of(second: Second) -> list[CountGroup]:
    partition, project_id, name, at = second
    return [CountGroup(unit, partition, project_id, name, start_of(unit, at)) for unit in UNITS]

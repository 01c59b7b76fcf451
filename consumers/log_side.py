"""The log as verification reads it: what it removes first, then all events added up, then single ranges again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from consumers.expected import Expectation, ExpectedRecord, Removals, read_removal
from consumers.first_copies import FirstCopies
from consumers.letters import read_dead_places
from consumers.pace import Pace
from consumers.people import People
from consumers.people_fold import PeopleFold
from consumers.sums import OffsetRange, RangeSums, width_for
from penstock.clickhouse import Tables
from penstock.errors import StartError
from penstock.eventlog import EventLog
from penstock.eventlog.reading import Reading
from schemas.topics import Topic


@dataclass(slots=True)
class LogTotals:
    """What a partition of the log holds; see `ExpectedRecord`."""

    in_log: int = 0
    dead: int = 0
    repeated: int = 0
    deleted: int = 0
    unreadable: int = 0
    emitted: int = 0

    def add(self, record: ExpectedRecord) -> int:
        """Adds one more record; returns how many events it holds."""
        events = record.in_log
        self.in_log += events
        self.dead += record.dead
        self.repeated += record.repeated
        self.deleted += record.deleted
        self.unreadable += record.unreadable
        self.emitted += record.emitted
        return events


@dataclass(frozen=True, slots=True)
class Folded:
    """All that the tables should have.

    Attributes:
        events: the sums of the events that should be there.
        derived: those of the derived ids.
        said: those of what was said of subscriptions.
        memberships: those of the changes in segments.
        totals: by partition.
    """

    events: RangeSums
    derived: RangeSums
    said: RangeSums
    memberships: RangeSums
    totals: Mapping[int, LogTotals]


class LogSide:
    """The log, open. Not thread-safe; a context manager.

    Args:
        tables: that tell which dead letters are theirs.
        through: the last offset of each partition that is compared; dead letters up to there were published before.
    """

    def __init__(
        self, log: EventLog, tables: Tables, through: Mapping[int, int], report: Callable[[str], None]
    ) -> None:
        self._through = through
        self._report = report
        self._resources = ExitStack()
        self._reading = Reading(log, Topic.EVENTS, through)
        self._resources.callback(self._reading.close)
        copies = FirstCopies()
        self._resources.callback(copies.close)
        self.people = People()
        self._resources.callback(self.people.close)
        self._people_fold = PeopleFold(self.people)
        self.removals = Removals(through)
        self._followed = dict.fromkeys(through, 0)
        dead = read_dead_places(log, tables)
        self._expectation = Expectation(dead, self.removals, copies.is_first, self._people_fold)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._resources.close()

    def ends(self) -> dict[int, int]:
        """For each partition the offset that its next record will have."""
        return self._reading.ends()

    def expect_whole(self) -> None:
        """Raises StartError where the log is shorter than what the tables have of it."""
        ends = self.ends()
        short = [partition for partition, last in self._through.items() if ends[partition] <= last]
        if short:
            raise StartError(
                f"The log is shorter than what is in the tables (partitions {short}): it was made anew or cut. "
                "Such a log needs new tables."
            )

    def follow_removals(self) -> None:
        """Takes the deletions and erasures that the log has by now."""
        ends = self.ends()
        pace = Pace(self._report, "looking for deletions", sum(ends.values()) - sum(self._followed.values()))
        for record in self._reading.records(self._followed, ends):
            removal = read_removal(record)
            if removal:
                self.removals.add(record.partition, record.offset, removal)
            pace.add(1)
        self._followed = ends

    def fold(self) -> Folded:
        """Adds all up; once, after the removals are known. From then on `people` are as they should be."""
        records = sum(last + 1 for last in self._through.values())
        width = width_for(records)
        totals = {number: LogTotals() for number in self._through}
        folded = Folded(RangeSums(width), RangeSums(width), RangeSums(width), RangeSums(width), totals)
        pace = Pace(self._report, "adding up the log", records)
        for record in self._reading.records({}, {number: last + 1 for number, last in self._through.items()}):
            found = self._expectation.of(record)
            events = folded.totals[record.partition].add(found)
            ids, indexes = [one.number for one in found.events], [one.index for one in found.events]
            folded.events.add(record.partition, record.offset, ids, indexes)
            folded.derived.add(record.partition, record.offset, found.derived, ())
            for sums, told in ((folded.said, found.said), (folded.memberships, found.memberships)):
                sums.add(record.partition, record.offset, [one.number for one in told], [one.index for one in told])
            pace.add(events)
        self._people_fold.end()
        return folded

    def records(self, wanted: OffsetRange) -> Iterator[tuple[int, ExpectedRecord]]:
        """The records of a range, with their offsets."""
        if wanted.partition not in self._through:
            return
        end = min(wanted.last + 1, self.ends()[wanted.partition])
        for record in self._reading.records({wanted.partition: wanted.first}, {wanted.partition: end}):
            yield record.offset, self._expectation.of(record)

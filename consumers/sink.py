"""Batches into the tables, exactly once: announce, check the claim, insert with a token, state the new mark.

For each partition it writes, a sink holds a claim with an epoch. A batch goes in as one insert whose token names its
range. Before the insert the range is stated as pending; after it, as stored. Whoever comes after a crash finds the
pending range, forms the same batch, and inserts it with the same token: the tables ignore what they already have.

A sink whose partition was claimed by another must not insert any more, even if it was paused for long. The order makes
sure: it states the range, *then* reads the claims. A newcomer claims, *then* reads the stated ranges. So either this
sink sees the claim and stops, or the newcomer sees the range and inserts exactly it.

A deletion or an erasure is announced and concluded in the same way; in between, rows go instead of coming
(`consumers.deletions`, `consumers.erasures`).
"""

import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from consumers.batch import Batch
from consumers.contacts import contact_lines
from consumers.copies import second_copies
from consumers.deadletter import DeadLetter
from consumers.decode import DecodedRecord, decode, decode_removal
from consumers.deletions import delete_before
from consumers.erasures import erase_before
from consumers.mail_numbers import numbered_lines
from consumers.subscriptions import Place
from penstock.clickhouse import Tables
from penstock.clickhouse.generations import Generation
from penstock.clickhouse.progress import (
    DRAWN_BITS,
    Progress,
    epoch_above,
    read_epochs,
    read_progress,
    write_claims,
    write_progress,
)
from penstock.errors import TablesRefused, Unavailable, WriterFenced
from schemas.deletion import Deletion
from schemas.erasure import Erasure
from schemas.event import EventMark
from schemas.record import MalformedRecord, is_removal, unpositioned
from schemas.tables import CONTACT_FACTS, DEAD_LETTERS, DERIVED_IDS, EVENTS, EVENTS_PROBE, LATE_IDS
from schemas.topics import Topic

_ENDS_TRUSTED_MS = 3000
"""Whoever heard so long ago where the log ended cannot say that nothing has come since."""


@dataclass(frozen=True, slots=True)
class LogEnds:
    """Where the log ended.

    Attributes:
        offsets: for each partition the offset that its next record will have; missing where not known (yet).
        read_ms: when that was so, milliseconds since 1970.
    """

    offsets: Mapping[int, int]
    read_ms: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch that is decoded.

    Attributes:
        records: by offset; those that could not be decoded are missing.
        dead: what must be set aside of it.
        removal: what the batch is instead of events.
        refused: those of the events that the tables cannot read, as far as they were asked; they are dead, too.
        is_set_aside: whether that was done with all that is dead.
    """

    batch: Batch
    records: Mapping[int, DecodedRecord]
    dead: list[DeadLetter]
    removal: Deletion | Erasure | None = None
    refused: Mapping[Place, DeadLetter] = field(default_factory=dict)
    is_set_aside: bool = False

    @property
    def good(self) -> int:
        """How many events are not dead."""
        return sum([decoded.rows for decoded in self.records.values()]) - len(self.refused)

    def token(self, generation: int) -> str:
        """The identity of the insert."""
        batch = self.batch
        return f"{Topic.EVENTS}:{batch.partition}:{batch.first}-{batch.last}:{generation}"


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch came to.

    Attributes:
        stored: rows that are in the tables, events that were emitted among them.
        repeated: second copies that were refused.
        dead: what was set aside.
        accepted_ms: when each record's first event was received.
        deleted: events that went.
    """

    batch: Batch
    stored: int
    repeated: int
    dead: list[DeadLetter]
    accepted_ms: list[int]
    deleted: int = 0


def prepare(batch: Batch) -> Prepared:
    """Decodes a batch.

    Raises:
        UnknownFormat: a newer version wrote a record.
    """
    records, dead, removal = {}, [], None
    for record in batch.records:
        try:
            if is_removal(record.value):  # then it is the batch's only record
                removal = decode_removal(record)
            else:
                records[record.offset] = decode(record)
        except MalformedRecord as error:
            dead.append(DeadLetter(batch.partition, record.offset, None, str(error), record.value or b""))
    return Prepared(batch, records, dead, removal)


class Sink:
    """The tables as one writer sees them. Not thread-safe: one batch at a time keeps the order.

    Args:
        for_writing: tells the generation to claim partitions of; see `Generations.for_writing`.
    """

    def __init__(self, for_writing: Callable[[], Generation], owner: str) -> None:
        self._for_writing = for_writing
        self._generation: Generation | None = None
        self._owner = owner
        self._deleting = threading.Lock()  # see `penstock.clickhouse.removal`
        self._drawn = secrets.randbits(DRAWN_BITS)
        self._progress: dict[int, Progress] = {}
        self._sequences: dict[int, int] = {}

    def claim(self, partitions: Iterable[int], now_ms: int) -> dict[int, Progress]:
        """Takes over partitions from whoever wrote them; returns how far they are.

        Raises:
            TablesHeld, TablesUnavailable: nothing is claimed for sure; claim again.
            WriterFenced: new tables are in place; what is claimed of the old ones is released.
        """
        self._follow_generation()
        wanted = set(partitions)
        epochs = read_epochs(self._tables)
        claimed = {partition: epoch_above(epochs.get(partition, 0), self._drawn) for partition in wanted}
        write_claims(self._tables, claimed, self._owner, now_ms)
        stated = read_progress(self._tables)
        for partition, epoch in claimed.items():
            before = stated.get(partition, Progress(partition, 0, 0))
            self._progress[partition] = replace(before, epoch=epoch, sequence=0)
            self._sequences[partition] = 0
        return {partition: self._progress[partition] for partition in wanted}

    def _follow_generation(self) -> None:
        generation = self._for_writing()
        is_new = self._generation is not None and generation.number != self._generation.number
        self._generation = generation
        if is_new and self._progress:
            self._progress.clear()
            raise WriterFenced("New tables are in place")

    def expect_live(self) -> None:
        """Makes sure that the tables whose partitions are claimed are the live ones, as far as that can be told now.

        Raises:
            WriterFenced: others are; these may be gone, and nothing will come of trying again.
        """
        try:
            live = self._for_writing()
        except Unavailable:
            return
        if live.number != self._claimed.number:
            self._progress.clear()
            raise WriterFenced("New tables are in place")

    @property
    def _claimed(self) -> Generation:
        if self._generation is None:
            self._generation = self._for_writing()
        return self._generation

    @property
    def _tables(self) -> Tables:
        return self._claimed.tables

    def release(self, partitions: Iterable[int]) -> None:
        """Forgets partitions that are another's now."""
        for partition in partitions:
            self._progress.pop(partition, None)

    def progress(self) -> Mapping[int, Progress]:
        """How far each claimed partition is."""
        return self._progress

    def announce(self, batches: Sequence[Prepared], now_ms: int) -> None:
        """States the ranges that are about to be inserted, and makes sure that they still may be.

        Raises:
            WriterFenced: another writer has a partition; nothing will be inserted.
            TablesUnavailable: announce again.
        """
        ranges = {ready.batch.partition: (ready.batch.first, ready.batch.last) for ready in batches}
        self._state(
            [
                replace(self._progress[part], pending=span, caught_up=False, written_ms=now_ms)
                for part, span in ranges.items()
            ]
        )
        self._expect_own(ranges)

    def expect_own(self) -> None:
        """Makes sure that no other writer has taken a partition; raises as `announce` does."""
        self._expect_own(self._progress)

    def _expect_own(self, partitions: Iterable[int]) -> None:
        epochs = read_epochs(self._tables)
        lost = [partition for partition in partitions if epochs.get(partition, 0) > self._progress[partition].epoch]
        if lost:
            self.release(lost)
            raise WriterFenced(f"Another writer has taken the partitions {lost}")

    def insert(self, ready: Prepared) -> Written | Prepared:
        """Inserts an announced batch, or removes what it says; the same call again changes nothing.

        Nothing of a batch is inserted before what is dead in it is set aside: once its token is used, the tables take
        no more of it, also not what another version could read.

        Returns:
            The batch itself, with all that is dead in it, where that must be set aside first.

        Raises:
            TablesUnavailable: not known whether it was inserted; insert again.
            TablesRefused: the tables refuse it although every line for itself is good.
        """
        if ready.removal is not None:
            with self._deleting:
                removed = self._remove(ready, ready.removal)
            return Written(ready.batch, 0, 0, [], [], removed)
        if ready.dead and not ready.is_set_aside:
            return self._with_refused(ready)
        return self._insert_events(ready)

    def _remove(self, ready: Prepared, removal: Deletion | Erasure) -> int:
        partition, offset = ready.batch.partition, ready.batch.first
        if isinstance(removal, Deletion):
            return delete_before(self._tables, removal, partition, offset)
        return erase_before(self._tables, removal, partition, offset, ready.token(self._claimed.number))

    def _with_refused(self, ready: Prepared) -> Prepared:
        refused = self._refused_events(ready.batch.partition, _places(ready, ()))
        return replace(ready, dead=[*ready.dead, *refused.values()], refused=refused)

    def _insert_events(self, ready: Prepared) -> Written | Prepared:
        partition, first = ready.batch.partition, ready.batch.first
        repeated = second_copies(self._tables, ready.records, partition, first, ready.refused)
        contacts = contact_lines(self._tables, ready.records, partition, first, repeated | ready.refused.keys())
        dropped = repeated | ready.refused.keys() | contacts.changes
        numbered = numbered_lines(self._tables, ready.records, partition, first, dropped)
        lines = _lines(ready, dropped | numbered.keys())
        try:
            self._insert_lines(EVENTS, [*lines, *numbered.values(), *contacts.events], ready)
        except TablesRefused:
            if ready.dead or not (found := self._with_refused(ready)).dead:
                raise
            return found
        emitted = [_id_line(mark, partition, offset) for offset, mark in contacts.marks]
        derived = _id_lines(ready, dropped, lambda record: record.derived)
        self._insert_lines(CONTACT_FACTS, contacts.facts, ready)
        self._insert_lines(DERIVED_IDS, [*derived, *emitted], ready)
        self._insert_lines(LATE_IDS, _id_lines(ready, dropped, lambda record: record.late), ready)
        stored = ready.good - len(repeated) - len(contacts.changes) + len(emitted)
        accepted_ms = [decoded.accepted_ms for decoded in ready.records.values()]
        return Written(ready.batch, stored, len(repeated), ready.dead, accepted_ms)

    def _insert_lines(self, table: str, lines: Sequence[bytes], ready: Prepared) -> None:
        if lines:
            self._tables.insert(table, b"\n".join(lines), token=ready.token(self._claimed.number))

    def _refused_events(self, partition: int, events: list[tuple[Place, bytes]]) -> dict[Place, DeadLetter]:
        """Those that the tables cannot read, found by halving: most of a batch is good."""
        number = self._refusal([line for _, line in events])
        if number is None:
            return {}
        if len(events) == 1:
            (offset, index), line = events[0]
            reason = f"the tables refuse the event (ClickHouse code {number})"
            return {(offset, index): DeadLetter(partition, offset, index, reason, unpositioned(line))}
        half = len(events) // 2
        return self._refused_events(partition, events[:half]) | self._refused_events(partition, events[half:])

    def _refusal(self, lines: list[bytes]) -> int | None:
        """ClickHouse's number where it cannot read the lines; stores nothing."""
        try:
            self._tables.insert(EVENTS_PROBE, b"\n".join(lines))
        except TablesRefused as error:
            return error.number
        return None

    def set_aside(self, letters: Sequence[DeadLetter], now_ms: int) -> None:
        """Lets the tables know of dead letters; the same call again changes nothing.

        Raises:
            TablesUnavailable: not known whether they do; call again.
        """
        self._tables.insert(DEAD_LETTERS, b"\n".join([letter.row(now_ms) for letter in letters]))

    def conclude(self, written: Sequence[Written], ends: LogEnds, now_ms: int) -> None:
        """States that batches are in the tables; `ends` tells whether something is left.

        Raises:
            TablesUnavailable: conclude again.
        """
        self._state(
            [self._stated(done.batch.partition, done.batch.last, ends, now_ms, done.accepted_ms) for done in written]
        )

    def heartbeat(self, ends: LogEnds, now_ms: int) -> None:
        """States that the claimed partitions are still looked after, and whether something is left.

        Raises:
            WriterFenced: another writer has a partition.
            TablesUnavailable: the next one will do.
        """
        self.expect_own()
        self._state([self._stated(part, now.stored_through, ends, now_ms, []) for part, now in self._progress.items()])

    def _stated(self, partition: int, through: int, ends: LogEnds, now_ms: int, accepted_ms: list[int]) -> Progress:
        before = self._progress[partition]
        end = ends.offsets.get(partition)
        is_at_end = end is not None and through + 1 >= end
        complete_ms = ends.read_ms
        if not is_at_end:  # nor later than now, which a clock that was set back would make of it
            complete_ms = min(complete_ms, max([before.complete_ms, *accepted_ms[-1:]]))
        pending = before.pending if through < (before.pending or (0, -1))[1] else None
        return replace(
            before,
            stored_through=through,
            pending=pending,
            caught_up=is_at_end and now_ms - ends.read_ms <= _ENDS_TRUSTED_MS,
            complete_ms=complete_ms,
            written_ms=now_ms,
        )

    def _state(self, rows: list[Progress]) -> None:
        """States `rows`, each with a sequence number of its own; they count here only once they are written.

        One that failed may still arrive: its number is not used again, so that it never goes before a later one.
        """
        stated = []
        for row in rows:
            sequence = self._sequences[row.partition] = self._sequences[row.partition] + 1
            stated.append(replace(row, sequence=sequence))
        if stated:
            write_progress(self._tables, stated)
        self._progress |= {row.partition: row for row in stated}


class _PlacedId(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A row of `derived_ids` or `late_ids`."""

    id: str
    log_partition: int
    log_offset: int
    project_id: str = ""
    occurred_at: str = ""


def _lines(ready: Prepared, dropped: Collection[Place]) -> list[bytes]:
    """The lines of a batch without some; the records that lose none stay undivided."""
    divided = {offset for offset, _ in dropped}
    lines: list[bytes] = []
    for offset, decoded in ready.records.items():
        if offset in divided:
            lines += [line for place, line in _events(offset, decoded) if place not in dropped]
        else:
            lines.append(decoded.lines)
    return lines


def _id_lines(
    ready: Prepared, dropped: Collection[Place], wanted: Callable[[DecodedRecord], Mapping[int, EventMark]]
) -> list[bytes]:
    """The rows of the batch's ids that are wanted, without those of some events."""
    return [
        _id_line(mark, ready.batch.partition, offset)
        for offset, decoded in ready.records.items()
        for index, mark in wanted(decoded).items()
        if (offset, index) not in dropped
    ]


def _id_line(mark: EventMark, partition: int, offset: int) -> bytes:
    return msgspec.json.encode(_PlacedId(mark.id, partition, offset, mark.project_id, mark.occurred_at))


def _places(ready: Prepared, dropped: Collection[Place]) -> list[tuple[Place, bytes]]:
    """Every event of a batch without some."""
    events = [event for offset, decoded in ready.records.items() for event in _events(offset, decoded)]
    return [(place, line) for place, line in events if place not in dropped]


def _events(offset: int, decoded: DecodedRecord) -> list[tuple[Place, bytes]]:
    return [((offset, index), line) for index, line in enumerate(decoded.lines.split(b"\n"))]

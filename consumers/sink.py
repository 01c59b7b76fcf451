"""Batches into the tables, exactly once: announce, check the claim, insert with a token, state the new mark.

For each partition it writes, a sink holds a claim with an epoch. A batch goes in as one insert whose token names its
range. Before the insert the range is stated as pending; after it, as stored. Whoever comes after a crash finds the
pending range, forms the same batch, and inserts it with the same token: the tables ignore what they already have.

A sink whose partition was claimed by another must not insert any more, even if it was paused for long. The order makes
sure: it states the range, *then* reads the claims. A newcomer claims, *then* reads the stated ranges. So either this
sink sees the claim and stops, or the newcomer sees the range and inserts exactly it.

A deletion or an erasure is announced and concluded in the same way; in between, rows go instead of coming
(`consumers.inserting`).
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from consumers.deadletter import DeadLetter
from consumers.inserting import Insertion
from consumers.prepared import Prepared, Written
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
from penstock.errors import Unavailable, WriterFenced
from schemas.tables import DEAD_LETTERS

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


class Sink:
    """The tables as one writer sees them. Not thread-safe: one batch at a time keeps the order.

    Args:
        for_writing: tells the generation to claim partitions of; see `Generations.for_writing`.
    """

    def __init__(self, for_writing: Callable[[], Generation], owner: str) -> None:
        self._for_writing = for_writing
        self._generation: Generation | None = None
        self._owner = owner
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
        """Inserts an announced batch; see `Insertion`."""
        return Insertion(self._claimed).insert(ready)

    def silent(self, partitions: Iterable[int], since_ms: int) -> set[int]:
        """Those of which no writer has said anything since then.

        Raises:
            TablesHeld, TablesUnavailable: that cannot be told now.
        """
        stated = read_progress(self._for_writing().tables)
        return {number for number in partitions if number not in stated or stated[number].written_ms < since_ms}

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

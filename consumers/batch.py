"""Batches: contiguous records of one partition that go into the tables as one insert. Pure.

What a batch holds decides its token, so a range that was announced before a crash is formed again exactly, whatever the
limits are by then. A deletion is a batch of its own: it removes what stands before it, and only that. So are erasures;
those that stand together make one, as what they cost hardly depends on how many they are.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from penstock.eventlog import StoredRecord
from schemas.record import is_erasure, is_removal, sizes

_ERASURES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How large an insert may be; a single record may be larger."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition with offsets from `first` to `last`, none missing."""

    partition: int
    records: Sequence[StoredRecord]

    @property
    def first(self) -> int:
        """The first offset."""
        return self.records[0].offset

    @property
    def last(self) -> int:
        """The last offset."""
        return self.records[-1].offset


class LogGap(Exception):
    """Records are missing between what is written and what arrived.

    Attributes:
        expected: the offset that should have come next.
    """

    def __init__(self, partition: int, expected: int, found: int) -> None:
        super().__init__(f"partition {partition}: offset {expected} expected, {found} found")
        self.partition = partition
        self.expected = expected
        self.found = found


class PartitionBuffer:
    """The records of one partition that are not yet in the tables, in order.

    Args:
        next_offset: the first that is not in the tables.
        pending: the range that must be formed first, from before a crash.
    """

    def __init__(self, partition: int, next_offset: int, pending: tuple[int, int] | None) -> None:
        self._partition = partition
        self._next_offset = next_offset
        self._pending = pending
        self._records: deque[StoredRecord] = deque()

    def __len__(self) -> int:
        return len(self._records)

    @property
    def next_offset(self) -> int:
        """The offset of the record that is taken next."""
        return self._next_offset

    def add(self, record: StoredRecord) -> None:
        """Takes the next record; one that was taken before is passed over.

        Raises:
            LogGap: it is not the next one.
        """
        if record.offset < self._next_offset:
            return
        if record.offset > self._next_offset:
            raise LogGap(self._partition, self._next_offset, record.offset)
        self._next_offset += 1
        self._records.append(record)

    def cut(self, limits: BatchLimits) -> Batch | None:
        """The next batch, None where there is none (yet). It stays buffered until `drop`."""
        if not self._records:
            return None
        if self._pending is not None:
            length = self._pending[1] - self._records[0].offset + 1
            return self._batch(length) if len(self._records) >= length else None
        return self._batch(self._length(limits))

    def _length(self, limits: BatchLimits) -> int:
        if is_erasure(self._records[0].value):
            together = takewhile(lambda record: is_erasure(record.value), self._records)
            return sum(1 for _ in islice(together, max(1, min(limits.rows, _ERASURES_AT_ONCE))))
        if is_removal(self._records[0].value):
            return 1
        rows = size = length = 0
        for record in self._records:
            if is_removal(record.value):
                break
            events, plain_bytes = sizes(record.value)
            rows += events
            size += plain_bytes
            if length and (rows > limits.rows or size > limits.bytes):
                break
            length += 1
        return length

    def _batch(self, length: int) -> Batch:
        return Batch(self._partition, [self._records[index] for index in range(length)])

    def drop(self, batch: Batch) -> None:
        """Forgets a batch that is in the tables."""
        for _ in batch.records:
            self._records.popleft()
        self._pending = None

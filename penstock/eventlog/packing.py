"""From requests to records, and back from stored records to answered requests.

The event loop puts requests in; the driver's thread takes all that wait, packs them into one record per partition, and
says which records are stored; the requests are then answered in bulk, with one call into the loop. Drivers differ only
in what happens between.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from queue import Empty, SimpleQueue

from penstock.errors import LogUnavailable
from penstock.eventlog.contract import Entry
from penstock.eventlog.pending import PendingBytes
from schemas.position import Position
from schemas.record import pack

_MAX_TAKEN = 20_000
"""Events in one drain: bounds a commit's time and memory; a full batch request (1,000) is never split over drains."""


class Append:
    """One request: its entries, and what is still missing before it is answered. After `put`, the thread's alone."""

    __slots__ = (
        "accepted_ms",
        "bytes",
        "entries",
        "error",
        "future",
        "marker",
        "missing",
        "partition",
        "position",
        "project_id",
    )

    def __init__(
        self,
        entries: Sequence[Entry],
        accepted_ms: int,
        future: "asyncio.Future[Position]",
        project_id: str = "",
        *,
        marker: bytes = b"",
        partition: int | None = None,
    ) -> None:
        self.entries = entries
        self.accepted_ms = accepted_ms
        self.project_id = project_id
        self.future = future
        self.marker = marker  # a whole record, where there are no entries
        self.partition = partition  # the marker's; None for every partition
        self.bytes = sum([len(entry.line) for entry in entries]) + len(marker)
        self.missing = 0
        self.position: dict[int, int] = {}
        self.error: Exception | None = None


class PackedRecord:
    """A record to be stored, and the requests that wait for it."""

    __slots__ = ("appends", "partition", "value")

    def __init__(self, partition: int, value: bytes, appends: list[Append]) -> None:
        self.partition = partition
        self.value = value
        self.appends = appends

    def stored(self, offset: int) -> list[Append]:
        """Notes that the record is durable at `offset`; returns the requests that now have all they waited for."""
        for append in self.appends:
            append.position[self.partition] = max(offset, append.position.get(self.partition, -1))
        return self._settle()

    def failed(self, error: Exception) -> list[Append]:
        """Notes that the record is not known to be durable; returns the requests that are now decided."""
        for append in self.appends:
            append.error = error
        return self._settle()

    def _settle(self) -> list[Append]:
        for append in self.appends:
            append.missing -= 1
        return [append for append in self.appends if not append.missing]


class _Bucket:
    """The lines of one partition on their way into a record."""

    __slots__ = ("accepted_ms", "appends", "derived", "has_changes", "lines", "room")

    def __init__(self, accepted_ms: int, room: int) -> None:
        self.accepted_ms = accepted_ms
        self.room = room
        self.lines: list[bytes] = []
        self.appends: list[Append] = []
        self.derived = False
        self.has_changes = False

    def join(self, append: Append) -> None:
        """Notes that `append` waits for this record."""
        self.appends.append(append)
        append.missing += 1

    def seal(self, partition: int) -> PackedRecord:
        value = pack(self.lines, derived=self.derived, accepted_ms=self.accepted_ms, has_changes=self.has_changes)
        return PackedRecord(partition, value, self.appends)


def pack_appends(appends: Iterable[Append], max_record_bytes: int, partitions: int) -> list[PackedRecord]:
    """The fewest records that hold all entries in order, none much larger than `max_record_bytes`.

    One event larger than that has a record of its own, and so has a marker: in its partition, or in all `partitions`.
    """
    buckets: dict[int, _Bucket] = {}
    records = []
    for append in appends:
        if append.marker:
            records += [bucket.seal(partition) for partition, bucket in buckets.items()]
            buckets.clear()
            records += _marked(append, partitions)
        for entry in append.entries:
            partition, line = entry.partition, entry.line
            bucket = buckets.get(partition)
            if bucket is None or bucket.room < len(line):
                if bucket is not None:
                    records.append(bucket.seal(partition))
                bucket = buckets[partition] = _Bucket(append.accepted_ms, max_record_bytes)
            bucket.room -= len(line)
            bucket.lines.append(line)
            if entry.derived:
                bucket.derived = True
            if entry.change:
                bucket.has_changes = True
            if not bucket.appends or bucket.appends[-1] is not append:
                bucket.join(append)
    records += [bucket.seal(partition) for partition, bucket in buckets.items()]
    return records


def _marked(append: Append, partitions: int) -> list[PackedRecord]:
    numbers = range(partitions) if append.partition is None else [append.partition]
    append.missing = len(numbers)
    return [PackedRecord(number, append.marker, [append]) for number in numbers]


class AppendQueue:
    """The requests that wait for the driver's thread, bounded in bytes, of which no project gets all."""

    def __init__(self, max_pending_bytes: int) -> None:
        self._pending = PendingBytes(max_pending_bytes)
        self._waiting: SimpleQueue[Append | None] = SimpleQueue()
        self._answers: deque[list[Append]] = deque()
        self._answer_scheduled = False
        self._loop = asyncio.get_running_loop()
        self._closed = False

    @property
    def pending_bytes(self) -> int:
        """What was put and not yet answered."""
        return self._pending.total

    @property
    def waiting(self) -> int:
        """The requests that nobody took yet, about."""
        return self._waiting.qsize()

    def put(self, entries: Sequence[Entry], accepted_ms: int, project_id: str = "") -> "asyncio.Future[Position]":
        """Called on the loop; see `EventLog.append`."""
        return self._put(Append(entries, accepted_ms, self._loop.create_future(), project_id))

    def put_marker(self, record: bytes, accepted_ms: int, partition: int | None = None) -> "asyncio.Future[Position]":
        """Called on the loop; see `EventLog.mark`."""
        return self._put(Append((), accepted_ms, self._loop.create_future(), marker=record, partition=partition))

    def put_record(self, partition: int, record: bytes) -> int:
        """Called in any thread but the loop's; see `EventLog.append_record`."""

        async def put() -> Position:
            return await self._put(Append((), 0, self._loop.create_future(), marker=record, partition=partition))

        return asyncio.run_coroutine_threadsafe(put(), self._loop).result()[partition]

    def _put(self, append: Append) -> "asyncio.Future[Position]":
        if self._closed:
            raise LogUnavailable("The event log is closing")
        self._pending.add(append.project_id, append.bytes)
        self._waiting.put(append)
        return append.future

    def close(self) -> None:
        """Called on the loop: `take` gives out what was put, then None."""
        self._closed = True
        self._waiting.put(None)

    def take(self, timeout_seconds: float | None = None) -> list[Append] | None:
        """Called in the thread: all requests that wait, once there is one; None after `close`, [] at the time-out."""
        try:
            first = self._waiting.get(timeout=timeout_seconds)
        except Empty:
            return []
        return None if first is None else [first, *self.take_waiting(_MAX_TAKEN - len(first.entries))]

    def take_waiting(self, max_events: int = _MAX_TAKEN) -> list[Append]:
        """Called in the thread: the requests that wait now."""
        taken: list[Append] = []
        while max_events > 0:
            try:
                append = self._waiting.get_nowait()
            except Empty:
                break
            if append is None:
                self._waiting.put(None)  # for the next `take`, after all that came before it
                break
            taken.append(append)
            max_events -= len(append.entries)
        return taken

    def answer(self, appends: list[Append]) -> None:
        """Called in any thread: resolves the futures of `appends`, whose records are all decided.

        Whatever is decided before the loop comes round is resolved by that one wake-up.
        """
        if not appends:
            return
        self._answers.append(appends)
        if not self._answer_scheduled:
            self._answer_scheduled = True
            self._loop.call_soon_threadsafe(self._resolve_answers)

    def _resolve_answers(self) -> None:
        self._answer_scheduled = False  # before the drain: what comes during it either is drained or schedules anew
        while self._answers:
            for append in self._answers.popleft():
                self._resolve(append)
        self._pending.forget_the_past()

    def _resolve(self, append: Append) -> None:
        self._pending.remove(append.project_id, append.bytes)
        if append.future.done():  # the caller went away
            return
        if append.error is None:
            append.future.set_result(append.position)
        else:
            append.future.set_exception(append.error)

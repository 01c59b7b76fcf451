"""The writer: records in, rows out, whatever delivers the records (the embedded loop, faust).

It owns the retries: what may succeed later is tried for ever with growing pauses, what cannot be processed is set
aside, anything else ends the writer. All of it blocks and belongs into a thread.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from consumers.batch import BatchLimits, LogGap, PartitionBuffer
from consumers.deadletter import DeadLetter, DeadLetterLimit, publish
from consumers.prepared import Prepared, Written, prepare
from consumers.sink import LogEnds, Sink
from consumers.stored import Stored
from consumers.thread import CallThreads
from penstock.clickhouse.generations import Generation
from penstock.clock import Clock
from penstock.errors import StartError, TablesHeld, Unavailable, WriterFenced
from penstock.eventlog import EventLog, StoredRecord
from penstock.settings import Writer
from penstock.telemetry import Metrics

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_SHORT_LOOKS = 5

_Result = TypeVar("_Result")
_log = structlog.get_logger(__name__)


class Stopped(Exception):
    """The writer was told to stop in the middle of a retry; what is not stored is in the log."""


class Pipeline:
    """See the module. One thread at a time."""

    def __init__(
        self,
        settings: Writer,
        *,
        log: EventLog,
        for_writing: Callable[[], Generation],
        clock: Clock,
        metrics: Metrics,
        owner: str,
    ) -> None:
        self._limits = BatchLimits(settings.max_rows, settings.max_bytes)
        self._log = log
        self._sink = Sink(for_writing, owner)
        self._clock = clock
        self._metrics = metrics
        self._dead_letter_limit = DeadLetterLimit(settings.max_dead_letter_share)
        self._buffers: dict[int, PartitionBuffer] = {}
        self._inserts = CallThreads("insert", settings.parallel_inserts)
        self._stopping = threading.Event()
        self._short_looks = 0
        self.stored = Stored()

    def stop(self) -> None:
        """Ends retries; from any thread."""
        self._stopping.set()

    def close(self) -> None:
        """Ends its threads. Only who outlives it needs to call this."""
        self._inserts.close()

    @property
    def partitions(self) -> set[int]:
        """The partitions that are claimed."""
        return set(self._buffers)

    def stored_through(self) -> dict[int, int]:
        """The last offset in the tables, of each claimed partition."""
        return {partition: progress.stored_through for partition, progress in self._sink.progress().items()}

    def pending_through(self) -> dict[int, int]:
        """The last offset of what a writer before us has announced and not concluded, of partitions that have such."""
        known = self._sink.progress().items()
        return {partition: progress.pending[1] for partition, progress in known if progress.pending}

    def claim(self, partitions: Iterable[int]) -> dict[int, int]:
        """Takes over partitions; returns the offset of each from which records are wanted.

        Raises:
            WriterFenced: new tables are in place; all that was claimed of the old ones is released.
            Stopped: see `stop`.
        """
        wanted = set(partitions)
        try:
            claimed = self._persistently("claim", lambda: self._sink.claim(wanted, self._clock.now_ms()))
        except WriterFenced:
            self.release(self.partitions)
            raise
        starts = {}
        for partition, progress in claimed.items():
            starts[partition] = progress.stored_through + 1
            self._buffers[partition] = PartitionBuffer(partition, starts[partition], progress.pending)
        self.stored.note(self.stored_through())
        _log.info("partitions claimed", partitions=sorted(wanted))
        return starts

    def release(self, partitions: Iterable[int]) -> None:
        """Forgets partitions that are another's now, with what was buffered of them."""
        for partition in partitions:
            self._buffers.pop(partition, None)
            self._sink.release([partition])
        self.stored.note(self.stored_through())

    def wanted(self) -> dict[int, int]:
        """The next offset that each claimed partition waits for."""
        return {partition: buffer.next_offset for partition, buffer in self._buffers.items()}

    def write(self, records: Sequence[StoredRecord], ends: LogEnds) -> list[LogGap]:
        """Stores the records of claimed partitions; done when all are in the tables.

        (All but the part of a range that another writer announced before it died, and that is not complete yet: it
        stays buffered until the rest of it comes.)

        Args:
            ends: where the log ended, as far as known.

        Returns:
            Where records are missing: read again from there. What came before a gap is stored.

        Raises:
            WriterFenced: partitions are another's now, and released; what came for the others is still buffered.
            TablesRefused, UnknownFormat, StartError: the writer cannot go on.
            Stopped: see `stop`.
        """
        self._expect_log_as_long_as_tables(ends)
        gaps: dict[int, LogGap] = {}
        for record in records:
            try:
                self._buffers[record.partition].add(record)
            except LogGap as gap:
                gaps.setdefault(record.partition, gap)
        while self._write_round(ends):
            pass
        return list(gaps.values())

    def _write_round(self, ends: LogEnds) -> bool:
        """One batch of each partition that has one, side by side: the statements around the inserts serve all."""
        batches = [batch for buffer in self._buffers.values() if (batch := buffer.cut(self._limits))]
        if not batches:
            return False
        ready = [prepare(batch) for batch in batches]
        with self._releasing_lost():
            written = self._store(ready, ends)
        for done in written:
            self._buffers[done.batch.partition].drop(done.batch)
        self.stored.note(self.stored_through())
        self._count(written, ends)
        return True

    def _store(self, ready: Sequence[Prepared], ends: LogEnds) -> Sequence[Written]:
        self._persistently("announce", lambda: self._sink.announce(ready, self._clock.now_ms()))
        first = self._inserts.map(self._insert, ready)
        whole = [done for done in first if isinstance(done, Written)]
        rest = self._store_without_dead(whole, [batch for batch in first if isinstance(batch, Prepared)])
        written = [*whole, *rest]
        self._persistently("conclude", lambda: self._sink.conclude(written, ends, self._clock.now_ms()))
        return written

    def _store_without_dead(self, written: Sequence[Written], batches: Sequence[Prepared]) -> Sequence[Written]:
        """Sets aside what is dead in `batches`, then inserts the rest of them.

        All of them are counted before the first letter: where the writer stops, nothing is set aside.
        """
        for done in written:
            self._dead_letter_limit.count(good=done.stored + done.repeated, bad=0)
        for batch in batches:
            self._dead_letter_limit.count(good=batch.good, bad=len(batch.dead), example=batch.dead[0])
        self._set_aside([letter for batch in batches for letter in batch.dead])
        rest = self._inserts.map(self._insert, [replace(batch, is_set_aside=True) for batch in batches])
        return [done for done in rest if isinstance(done, Written)]

    @contextmanager
    def _releasing_lost(self) -> Iterator[None]:
        try:
            yield
        except WriterFenced:
            self.release(self.partitions - self._sink.progress().keys())
            raise

    def _insert(self, ready: Prepared) -> Written | Prepared:
        with self._metrics.insert_seconds.time():
            return self._persistently("insert", lambda: self._sink.insert(ready))

    def _set_aside(self, letters: Sequence[DeadLetter]) -> None:
        """Into the log, which has the letters, then into the tables, which tell of them."""
        if not letters:
            return
        now_ms = self._clock.now_ms()
        for letter in letters:
            self._persistently("dead letter", partial(publish, self._log, letter, now_ms))
        self._persistently("dead letter", lambda: self._sink.set_aside(letters, now_ms))

    def heartbeat(self, ends: LogEnds) -> None:
        """Says that the claimed partitions are looked after.

        Raises:
            WriterFenced: see `write`.
            StartError: the writer cannot go on.
        """
        self._expect_log_as_long_as_tables(ends)
        now_ms = self._clock.now_ms()
        with self._releasing_lost():
            try:
                self._sink.heartbeat(ends, now_ms)
            except Unavailable as error:
                self._sink.expect_live()
                _log.warning("heartbeat not stored", reason=error.message)
        self._measure_lag(ends, now_ms)

    def silent_partitions(self, seconds: float) -> set[int]:
        """Those of the log of which no writer has said anything for so long; none where that cannot be told."""
        try:
            return self._sink.silent(range(self._log.partitions), self._clock.now_ms() - round(seconds * 1000))
        except Unavailable:
            return set()

    def expect_own(self) -> None:
        """Makes sure that nobody has claimed one of the partitions.

        Raises:
            WriterFenced: somebody has; these are released.
            TablesUnavailable: that cannot be told now.
        """
        with self._releasing_lost():
            self._sink.expect_own()

    def _expect_log_as_long_as_tables(self, ends: LogEnds) -> None:
        """Several looks, as a new leader of a Kafka partition may for a moment not know its end.

        Raises:
            StartError: the log was made anew, or cut: its next events would be taken for ones that are stored.
        """
        stored = self.stored_through()
        short = [number for number, through in stored.items() if ends.offsets.get(number, through + 1) <= through]
        self._short_looks = self._short_looks + 1 if short else 0
        if self._short_looks >= _SHORT_LOOKS:
            raise StartError(
                f"The log is shorter than what is in the tables (partitions {short}): it was made anew or cut. "
                "Such a log needs new tables: empty ones, or another PENSTOCK_CLICKHOUSE__DATABASE."
            )

    def _count(self, written: Sequence[Written], ends: LogEnds) -> None:
        now_ms = self._clock.now_ms()
        for done in written:
            self._metrics.events_stored.inc(done.stored)
            self._metrics.events_repeated.inc(done.repeated)
            self._metrics.events_deleted.inc(done.deleted)
            self._metrics.dead_letters.inc(len(done.dead))
            for accepted_ms in done.accepted_ms:
                self._metrics.visible_seconds.observe(max(0, now_ms - accepted_ms) / 1000)
        self._measure_lag(ends, now_ms)

    def _measure_lag(self, ends: LogEnds, now_ms: int) -> None:
        for partition, progress in self._sink.progress().items():
            left = max(0, ends.offsets.get(partition, 0) - progress.stored_through - 1)
            self._metrics.lag_records.labels(str(partition)).set(left)
            seconds = max(0, now_ms - progress.complete_ms) / 1000 if left else 0
            self._metrics.lag_seconds.labels(str(partition)).set(seconds)

    def _persistently(self, doing: str, call: Callable[[], _Result]) -> _Result:
        """Calls until it succeeds, fails for good, or the writer is told to stop.

        A writer that stood still while a rebuild ended finds its tables gone: for good, which looks like for now.
        """
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return call()
            except TablesHeld as error:
                _log.info("waiting", doing=doing, reason=error.message)
            except Unavailable as error:
                self._metrics.insert_retries.inc()
                self._sink.expect_live()
                _log.warning("will try again", doing=doing, reason=error.message, pause_seconds=pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            if self._stopping.wait(pause):
                raise Stopped


def pause_between(started: float, least_seconds: float, stopping: threading.Event) -> None:
    """Waits until `least_seconds` have passed since `started` (monotonic): few large inserts beat many small ones."""
    stopping.wait(max(0.0, started + least_seconds - time.monotonic()))

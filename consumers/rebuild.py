"""Makes the tables anew from the log's beginning, beside the live ones, compares both, and puts the new ones in place.

Most of the work is a replay by the same writer that writes the live tables. Only its end needs care, as events keep
coming: the rebuild holds the writers off, takes their partitions, and brings both generations to the same place in the
log. There it compares, and changes which one is live: one row. The writers then go on with the new one. Reads go on all
the time; what they show stands still for as long as the hold lasts, which is seconds.

A rebuild that is interrupted changes nothing that is live: the hold runs out, and the next one goes on with its tables.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from types import TracebackType
from typing import Self

import msgspec
import structlog

from consumers.comparison import Difference, difference
from consumers.pipeline import Pipeline
from consumers.sink import LogEnds
from penstock.clickhouse.building import PROJECTIONS, Built, complete, drop, prepare
from penstock.clickhouse.generations import Generation, Generations
from penstock.clock import Clock
from penstock.errors import PenstockError, StartError, WriterFenced
from penstock.eventlog import EventLog, LogTail, StoredRecord
from penstock.settings import Writer
from penstock.telemetry import Metrics
from schemas.record import is_removal, sizes
from schemas.topics import Topic

_HOLD_SECONDS = 30.0
_NEARLY_RECORDS = 200
"""So few records may be left when the writers are held off: they take less than a second."""

_POLL_SECONDS = 1.0
_REPORT_SECONDS = 1.0
_GRACE_SECONDS = 5.0
"""Readers look every 0.2 s which tables are live, and trust what they saw for 2 s; then the old tables may go."""

_log = structlog.get_logger(__name__)

Report = Callable[[str], None]


class Rebuilt(msgspec.Struct, frozen=True, rename="camel"):
    """What a rebuild came to, as `penstock rebuild --json` says it.

    Attributes:
        generation: that is live now.
        records: of the log that were replayed, this time.
        differences: one for each projection that was rebuilt, as it was before.
        held_seconds: how long the writers were held off.
    """

    generation: int
    is_resumed: bool
    records: int
    events: int
    seconds: float
    held_seconds: float
    differences: list[Difference]


class Rebuild:
    """One rebuild; blocks."""

    def __init__(
        self,
        settings: Writer,
        *,
        log: EventLog,
        generations: Generations,
        clock: Clock,
        report: Report,
        grace_seconds: float = _GRACE_SECONDS,
    ) -> None:
        self._settings = settings.model_copy(update={"max_dead_letter_share": 1.0})  # they are known already
        self._log = log
        self._generations = generations
        self._clock = clock
        self._report = report
        self._grace_seconds = grace_seconds

    def run(self, only: str | None) -> Rebuilt:
        """Rebuilds everything, or one projection.

        Raises:
            StartError: there is no such projection, the log's beginning is gone, or another rebuild took over.
            Unavailable: log or tables went away for too long; start it again.
        """
        if only is not None and only not in PROJECTIONS:
            raise StartError(f"There is no projection {only!r}; there are {', '.join(PROJECTIONS)}.")
        started = time.monotonic()
        live = self._generations.live()
        built = prepare(self._generations, only)
        try:
            with closing(self._pipeline(built.generation)) as pipeline:
                replay = _Replay(pipeline, self._log, self._clock, self._report)
                replay.nearly_all()
                held_seconds, differences = self._swap(live, built, replay)
        except WriterFenced as error:
            raise StartError(f"{error}: nothing was put in place; start it again.") from error
        self._drop_old(live.number)
        seconds = time.monotonic() - started
        return Rebuilt(
            built.generation.number,
            built.is_resumed,
            replay.records,
            replay.events,
            seconds,
            held_seconds,
            differences,
        )

    def _pipeline(self, generation: Generation) -> Pipeline:
        return Pipeline(
            self._settings,
            log=self._log,
            for_writing=lambda: generation,
            clock=self._clock,
            metrics=Metrics(),
            owner="rebuild",
        )

    def _swap(self, live: Generation, built: Built, replay: "_Replay") -> tuple[float, list[Difference]]:
        started = time.monotonic()
        self._report("holding the writers off")
        with _Hold(self._generations, live.number) as hold, closing(self._pipeline(live)) as pipeline:
            taken = _Replay(pipeline, self._log, self._clock, self._report)
            taken.finish_pending()
            self._meet(taken, replay)
            self._report("comparing")
            differences = self._differences(live, built)
            hold.keep()
            taken.expect_own()  # a hold that ran out let the writers go on, and these tables are behind then
            complete(self._generations, built)
            hold.live = built.generation.number
        return time.monotonic() - started, differences

    def _meet(self, taken: "_Replay", replay: "_Replay") -> None:
        """Both to the same place in the log: where it ends now, or where the one is that read on meanwhile."""
        end, one, other = self._log_through(), taken.stored_through(), replay.stored_through()
        place = {partition: max(end[partition], through, other[partition]) for partition, through in one.items()}
        replay.up_to(place)
        taken.up_to(place)

    def _log_through(self) -> dict[int, int]:
        tail = self._log.tail(Topic.EVENTS, dict.fromkeys(range(self._log.partitions), 0))
        try:
            return {partition: end - 1 for partition, end in tail.ends().items()}
        finally:
            tail.close()

    def _differences(self, live: Generation, built: Built) -> list[Difference]:
        names = self._generations.database(live.number), self._generations.database(built.generation.number)
        tables = PROJECTIONS if built.only is None else (built.only,)
        return [difference(live.tables, table, *names) for table in tables]

    def _drop_old(self, number: int) -> None:
        until = time.monotonic() + self._grace_seconds
        while (left := until - time.monotonic()) > 0:
            self._report(f"done; the old tables go in {left:.0f} s")
            time.sleep(min(left, _REPORT_SECONDS))
        drop(self._generations, number)


class _Hold:
    """The hold on the writers, kept up by a thread while the block lasts.

    It runs out where this process ends or stands still; whoever holds them then is not disturbed.

    Attributes:
        live: the generation that counts when the block has ended.
    """

    def __init__(self, generations: Generations, live: int) -> None:
        self.live = live
        self._generations = generations
        self._one_at_a_time = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_on, name="hold", daemon=True)

    def __enter__(self) -> Self:
        self._held = self._generations.hold(_HOLD_SECONDS)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        try:
            self._generations.release(self.live, self._held)
        except PenstockError:
            if error is None:
                raise
            _log.warning("the writers are held off until the hold runs out")

    def keep(self) -> None:
        """Prolongs it.

        Raises:
            WriterFenced: somebody else holds them.
            TablesUnavailable: not known whether it was prolonged.
        """
        with self._one_at_a_time:
            self._held = self._generations.hold(_HOLD_SECONDS, self._held)

    def _keep_on(self) -> None:
        while not self._ended.wait(_HOLD_SECONDS / 6):
            try:
                self.keep()
            except PenstockError as error:
                _log.warning("the hold was not prolonged", reason=str(error))


class _Replay:
    """A writer of one generation that is fed from the log, by us and up to where we want it."""

    def __init__(self, pipeline: Pipeline, log: EventLog, clock: Clock, report: Report) -> None:
        self._pipeline = pipeline
        self._log = log
        self._clock = clock
        self._report = report
        self.records = 0
        self.events = 0
        self._started = self._reported = time.monotonic()
        self._starts = pipeline.claim(range(log.partitions))

    def stored_through(self) -> dict[int, int]:
        """The last offset in the tables, by partition."""
        return self._pipeline.stored_through()

    def expect_own(self) -> None:
        """Makes sure that nobody has claimed a partition since.

        Raises:
            WriterFenced: somebody has.
            TablesUnavailable: that cannot be told now.
        """
        self._pipeline.expect_own()

    def nearly_all(self) -> None:
        """Writes until little is left: what comes meanwhile included."""
        tail = self._log.tail(Topic.EVENTS, self._next())
        try:
            while self._left(ends := tail.ends()) > _NEARLY_RECORDS:
                self._write(self._poll(tail), ends, is_end=True)
        finally:
            tail.close()

    def finish_pending(self) -> None:
        """Completes what the writers before us had announced: exactly their ranges."""
        self.up_to(self._pipeline.pending_through())

    def up_to(self, place: Mapping[int, int]) -> None:
        """Writes up to the place and not beyond."""
        behind = {
            partition: through + 1
            for partition, through in self.stored_through().items()
            if place.get(partition, -1) > through
        }
        if not behind:
            return
        tail = self._log.tail(Topic.EVENTS, behind)
        try:
            while any(self.stored_through()[partition] < place[partition] for partition in behind):
                wanted = [record for record in self._poll(tail) if record.offset <= place[record.partition]]
                self._write(wanted, {partition: place[partition] + 1 for partition in behind}, is_end=False)
        finally:
            tail.close()

    def _next(self) -> dict[int, int]:
        return {partition: through + 1 for partition, through in self.stored_through().items()}

    def _left(self, ends: Mapping[int, int]) -> int:
        stored = self.stored_through()
        return sum(max(0, end - stored[partition] - 1) for partition, end in ends.items())

    def _poll(self, tail: LogTail) -> list[StoredRecord]:
        return tail.poll(timeout_seconds=_POLL_SECONDS, max_bytes=16 << 20)

    def _write(self, records: list[StoredRecord], ends: Mapping[int, int], *, is_end: bool) -> None:
        """Writes records of those up to `ends`, which may be where the log ends, or where we want to stop."""
        gaps = self._pipeline.write(records, LogEnds(ends if is_end else {}, self._clock.now_ms()))
        if gaps:
            raise StartError(f"The log has lost records, so nothing can be rebuilt from it: {gaps[0]}.")
        self.records += len(records)
        self.events += sum(sizes(record.value)[0] for record in records if not is_removal(record.value))
        if time.monotonic() - self._reported > _REPORT_SECONDS:
            self._reported = time.monotonic()
            self._report(self._progress(ends))

    def _progress(self, ends: Mapping[int, int]) -> str:
        seconds = time.monotonic() - self._started
        left = self._left(ends)
        rest = f", {left / (self.records / seconds):,.0f} s left" if self.records else ""
        total = sum(ends.values())
        return f"{total - left:,} of {total:,} records, {self.events / seconds:,.0f} events/s{rest}"

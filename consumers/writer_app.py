"""The writer of the scaled-out form: gives the records that Kafka's consumer group delivers to the pipeline.

What is delivered gathers in an inbox, from which a task takes all that is there: what comes while a batch is written
makes the next one larger. No exception leaves that task, as it would leave the process idle: what the pipeline cannot
retry ends the process.

What counts is the writer's own mark in the tables. Whenever partitions are given to this process, it claims them and
sets the stream to the mark, so the offsets that are committed to Kafka only show others how far the group is: they may
be behind (a crash), ahead (somebody moved them; the tables are new) or gone.

faust is watched, since it has states in which it lives and does nothing: it crashes for itself when Kafka refuses a
commit, stays in a rebalance, drops what it had fetched, gives out no partitions where it did not see the topic right
after a broker's restart. Where the log has records that do not come, the stream is set back; where that does not help,
where nobody writes partitions while this process has none, or faust has crashed, the group is left and joined anew.

A rebalance waits some seconds for the batch under way. If that needs more, the next owner fences it or finds its range.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog

from consumers.batch import LogGap
from consumers.faust_member import FaustMember, Fetched, record_of
from consumers.inbox import Inbox
from consumers.missed import MissedRecords, Remedy
from consumers.pipeline import Pipeline, Stopped
from consumers.sink import LogEnds
from consumers.thread import CallThread
from penstock.clock import Clock
from penstock.errors import LogUnavailable, PenstockError, StartError, WriterFenced
from penstock.eventlog import StoredRecord
from penstock.eventlog.kafka import check_topic
from penstock.settings import Kafka, Writer
from schemas.record import UnknownFormat
from schemas.topics import Topic

_BACKLOG_BYTES = 1 << 20
_INBOX_BYTES = 32 << 20
"""What may wait for the batch under way, as stored, which is about a fifth of its size in the tables' format."""

_HANDOVER_SECONDS = 3
"""How long a rebalance waits for the batch under way."""

_REBALANCE_SECONDS = 120
_LAST_RESORT_SECONDS = 8
_SILENT_HEARTBEATS = 45
"""So many may be missing of a partition's writer before it is taken for one that nobody has; an insert may be slow."""

_RETRY_SECONDS = 1.0
_LONGEST_REST_SECONDS = 0.3

_log = structlog.get_logger(__name__)


class _Trouble(Exception):
    """The group must be joined anew; the text says why."""


class WriterApp:
    """The writer of the scaled-out form: one consumer of the group.

    Args:
        on_failure: called where the writer cannot go on; the process should end.
    """

    def __init__(
        self,
        kafka: Kafka,
        settings: Writer,
        *,
        pipeline: Pipeline,
        clock: Clock,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._pipeline = pipeline
        self._clock = clock
        self._on_failure = on_failure
        self._topic = f"{kafka.topic_prefix}.{Topic.EVENTS}"
        self._thread = CallThread("writer")
        self._writing: asyncio.Task[None] | None = None
        self._member: FaustMember | None = None
        self._busy = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._started = False
        self._failed = False
        self._left_behind = False
        self._given_anew = False
        self._rebalancing_since: float | None = None
        self._without_since: float | None = None
        self._missed = MissedRecords()
        self._waits_for = ""

    async def run(self) -> None:
        """Joins the group, once the topic is there, and writes until `stop`."""
        self._started = True
        try:
            while not self._stopping.is_set():
                await self._wait_for_topic()
                await self._be_member()
        except Stopped:
            _log.info("writer stopped while it waited")
        except Exception as error:  # noqa: BLE001 - nobody awaits this task before the end
            self._fail(error)
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Finishes the batch under way, leaves the group. What is left stays in the log.

        Where faust does not end, neither would its threads nor the event loop: then the process is ended soon after.
        """
        last_resort = threading.Timer(_LAST_RESORT_SECONDS, self._end_process)
        last_resort.daemon = True
        last_resort.start()
        self._stopping.set()
        self._pipeline.stop()
        if self._started:
            await self._ended.wait()
        if not self._left_behind:
            last_resort.cancel()

    def _end_process(self) -> None:
        _log.warning("Kafka's consumer does not end; ending without it, nothing is lost by that")
        os._exit(1 if self._failed else 0)

    def check(self) -> None:
        """Whether records are being written.

        Raises:
            LogUnavailable: says what is waited for.
        """
        if self._member is None or self._rebalancing_since is not None:
            raise LogUnavailable(self._waits_for or "joining the consumer group")

    async def _wait_for_topic(self) -> None:
        """faust ends where the topic or Kafka is missing; a process that was started a little early should not."""
        while not self._stopping.is_set():
            try:
                await asyncio.to_thread(check_topic, self._kafka, Topic.EVENTS)
            except LogUnavailable as error:
                _log.warning("waiting for Kafka", reason=error.message)
                self._waits_for = error.message
            else:
                self._waits_for = ""
                return
            await self._pause(_RETRY_SECONDS)

    async def _pause(self, seconds: float) -> bool:
        """Waits, but not beyond `stop`; whether it was told to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    # --- membership

    async def _be_member(self) -> None:
        """Is a member of the group until `stop`, or until there is trouble."""
        if self._stopping.is_set():
            return
        async with self._joined() as member:
            try:
                while not await self._pause(self._settings.heartbeat_seconds):
                    self._expect_health(member)
                    if await self._acquire_unless_stopped():
                        try:
                            await self._look_after(member)
                        finally:
                            self._busy.release()
            except _Trouble as trouble:
                _log.warning("joining the consumer group anew", reason=str(trouble))
        await self._pause(_RETRY_SECONDS)

    async def _acquire_unless_stopped(self) -> bool:
        """Waits for the batch under way, which may wait for ClickHouse; whether `_busy` was acquired."""
        acquiring = asyncio.ensure_future(self._busy.acquire())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([acquiring, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        return acquiring.done() or not acquiring.cancel()

    @contextlib.asynccontextmanager
    async def _joined(self) -> AsyncIterator[FaustMember]:
        self._rebalancing_since = time.monotonic()  # until the first one is over
        self._without_since = None
        inbox: Inbox[Fetched] = Inbox(_INBOX_BYTES)
        member = FaustMember(self._kafka, self._settings, inbox=inbox, on_revoked=self._hand_over)
        member.join()
        self._writing = asyncio.create_task(self._write_inbox(member, inbox))
        self._member = member
        try:
            yield member
        finally:
            self._member = None
            await self._finish_batch()
            self._writing.cancel()
            await self._leave(member)

    async def _finish_batch(self) -> bool:
        """Whether the batch under way ended in time."""
        try:
            await asyncio.wait_for(self._busy.acquire(), _HANDOVER_SECONDS)
        except TimeoutError:
            return False
        self._busy.release()
        return True

    async def _leave(self, member: FaustMember) -> None:
        if not await member.leave():
            self._left_behind = True
            if not self._stopping.is_set():
                raise StartError("Kafka's consumer is stuck: the process must be started anew.")

    def _expect_health(self, member: FaustMember) -> None:
        if crash := member.crash:
            raise _Trouble(f"the consumer failed: {crash}")
        if self._writing is not None and self._writing.done():
            raise _Trouble(f"records are not taken any more: {self._writing.exception()!r}")
        self._note_rebalancing(member)
        since = self._rebalancing_since
        if since is not None and time.monotonic() - since > _REBALANCE_SECONDS:
            raise _Trouble("the group's rebalancing does not end")

    def _note_rebalancing(self, member: FaustMember) -> None:
        if member.is_rebalancing:
            self._rebalancing_since = self._rebalancing_since or time.monotonic()
        else:
            self._rebalancing_since = None

    async def _hand_over(self, *_: Any, **__: Any) -> None:
        """Called by faust when the group is about to give the partitions out anew, all of them."""
        self._given_anew = True
        self._rebalancing_since = time.monotonic()
        if not await self._finish_batch():
            _log.warning("partitions are given to others before a batch is written")

    # --- records

    async def _write_inbox(self, member: FaustMember, inbox: Inbox[Fetched]) -> None:
        """Writes what was delivered, at most so often as the settings say: few large inserts beat many small ones.

        Unless much waits, it leaves the tables alone for as long as the last inserts took: what an insert costs hardly
        depends on its size, so a slow ClickHouse is helped by fewer of them.
        """
        while True:
            await inbox.filled()
            started = time.monotonic()
            async with self._busy:
                fetched = inbox.take()
                if self._member is member and await self._write(member, list(map(record_of, fetched))):
                    for one in fetched:
                        one.ack()
            took = time.monotonic() - started
            rest = 0.0 if inbox.bytes > _BACKLOG_BYTES else min(took, _LONGEST_REST_SECONDS)
            await asyncio.sleep(max(rest, self._settings.flush_after_seconds - took))

    async def _write(self, member: FaustMember, records: list[StoredRecord]) -> bool:
        """Whether the records need not come again; where they must, the stream is set to them."""
        try:
            await self._follow_assignment(member)
            mine = [record for record in records if record.partition in self._pipeline.partitions]
            for gap in await self._thread.call(self._pipeline.write, mine, self._ends(member)):
                self._note_gap(gap)
        except WriterFenced as error:
            self._note_fenced(error)
        except Stopped:
            _log.info("writer stopped while it waited")
            return False
        except Exception as error:  # noqa: BLE001 - an exception would end the agent and leave the process idle
            self._fail(error)
            return False
        return True

    def _note_fenced(self, error: WriterFenced) -> None:
        """All partitions are claimed anew, those that the group says are ours."""
        _log.warning("partitions lost to another writer", reason=str(error))
        self._given_anew = True

    def _fail(self, error: Exception) -> None:
        if isinstance(error, (PenstockError, UnknownFormat)):
            _log.error("writer cannot go on", reason=str(error))
        else:
            _log.exception("writer failed", exc_info=error)
        self._failed = True
        self._on_failure(error)

    async def _follow_assignment(self, member: FaustMember) -> None:
        """Claims what the group gave us and sets the stream to it, forgets what it took."""
        self._note_rebalancing(member)
        if self._rebalancing_since is not None:  # faust sets the stream to what is committed when it is over
            return
        assigned = member.assigned()
        lost = self._pipeline.partitions if self._given_anew else self._pipeline.partitions - assigned
        self._given_anew = False
        if lost:  # in the writer's thread, where a batch of the member before may still be under way
            await self._thread.call(self._pipeline.release, lost)
        if new := assigned - self._pipeline.partitions:
            starts = await self._thread.call(self._pipeline.claim, new)
            for partition, offset in starts.items():
                await member.seek(partition, offset)

    def _ends(self, member: FaustMember) -> LogEnds:
        return member.ends(self._pipeline.partitions, self._clock.now_ms())

    # --- what does not come by itself

    async def _look_after(self, member: FaustMember) -> None:
        """Says that the partitions are looked after, and sees to it that all their records come."""
        try:
            await self._follow_assignment(member)
            ends = self._ends(member)
            await self._thread.call(self._pipeline.heartbeat, ends)
            await self._expect_partitions()
            await self._fetch_missed(member, ends)
        except (Stopped, _Trouble):
            raise
        except WriterFenced as error:
            self._note_fenced(error)
        except Exception as error:  # noqa: BLE001 - nobody awaits this task
            self._fail(error)

    @property
    def _silent_seconds(self) -> float:
        return _SILENT_HEARTBEATS * self._settings.heartbeat_seconds

    async def _expect_partitions(self) -> None:
        """Having none is fine where others write them all.

        Raises:
            _Trouble: they do not.
        """
        if self._pipeline.partitions or self._rebalancing_since is not None:
            self._without_since = None
            return
        now = time.monotonic()
        self._without_since = self._without_since or now
        if now - self._without_since < self._silent_seconds:
            return
        if silent := await self._thread.call(self._pipeline.silent_partitions, self._silent_seconds):
            raise _Trouble(f"it has no partitions, and nobody writes {sorted(silent)}")
        self._without_since = now

    def _note_gap(self, gap: LogGap) -> None:
        if self._missed.note_gap(gap.partition, gap.expected):
            _log.warning("records are missing", partition=gap.partition, reason=str(gap))

    async def _fetch_missed(self, member: FaustMember, ends: LogEnds) -> None:
        """Sees to records that the log has and that do not come."""
        wanted = self._pipeline.wanted()
        behind = {number: offset for number, offset in wanted.items() if ends.offsets.get(number, 0) > offset}
        for due in self._missed.due(behind):
            await self._expect_in_log(member, due.partition, due.offset)
            match due.remedy:
                case Remedy.SET_BACK:
                    _log.warning("set back", partition=due.partition, offset=due.offset)
                    await member.seek(due.partition, due.offset)
                case Remedy.BEGIN_ANEW:
                    raise _Trouble(f"record {due.offset} of partition {due.partition} does not come")
                case Remedy.GIVE_UP:
                    raise StartError(
                        f"Kafka does not give record {due.offset} of {self._topic}, partition {due.partition}."
                    )

    async def _expect_in_log(self, member: FaustMember, partition: int, offset: int) -> None:
        try:
            earliest = await member.earliest(partition)
        except LogUnavailable as error:
            raise _Trouble(error.message) from error
        if earliest > offset:
            raise StartError(
                f"Kafka has dropped records {offset} to {earliest - 1} of {self._topic}, partition {partition}, before "
                "they were stored. Was the topic's retention shortened?"
            )

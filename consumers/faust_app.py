"""Delivers Kafka's records to the pipeline, through faust-streaming. The only module that imports faust.

faust joins the consumer group, keeps the partitions balanced between processes and fetches. Its `noack_take` hands over
records without acknowledging them; that happens here, after the pipeline had them. (Its plain `take` acknowledges what
a handler that failed had not stored.) The agent only puts them into an inbox, from which a task of ours takes all that
is there: what comes while a batch is written makes the next one larger. No exception leaves that task, as it would
leave the process idle: what the pipeline cannot retry ends the process.

What counts is the writer's own mark in the tables. Whenever partitions are given to this process, it claims them and
sets the stream to the mark, so the offsets that are committed to Kafka only show others how far the group is: they may
be behind (a crash), ahead (somebody moved them; the tables are new) or gone.

faust is watched, since it has states in which it lives and does nothing: it crashes for itself when Kafka refuses a
commit, stays in a rebalance, drops what it had fetched, gives out no partitions where it did not see the topic right
after a broker's restart. Where the log has records that do not come, the stream is set back; where that does not help,
where nobody writes partitions while this process has none, or faust has crashed, the group is left and joined anew with
a new faust.

`stream_wait_empty` is off: a rebalance would wait, beyond the group's patience, for a batch that waits for ClickHouse.
Instead the batch under way gets some seconds. If it needs more, the next owner fences it or finds its range.
"""

import asyncio
import contextlib
import os
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import faust
import structlog
from faust.types import TP

from consumers.batch import LogGap
from consumers.inbox import Inbox
from consumers.missed import MissedRecords, Remedy
from consumers.pipeline import Pipeline, Stopped
from consumers.sink import LogEnds
from consumers.thread import CallThread
from penstock.clock import Clock
from penstock.errors import LogUnavailable, PenstockError, StartError, WriterFenced
from penstock.eventlog import StoredRecord
from penstock.settings import Kafka, Writer
from schemas.record import UnknownFormat
from schemas.topics import Topic

_TAKE_RECORDS = 500
"""Records that faust holds, twice over: a record has up to half a megabyte, and faust counts no bytes."""

_TAKE_SECONDS = 0.02
_BACKLOG_BYTES = 1 << 20
_INBOX_BYTES = 32 << 20
"""What may wait for the batch under way, as stored, which is about a fifth of its size in the tables' format."""

_SESSION_SECONDS = 10
"""After so long without a sign of life the group gives a consumer's partitions to others."""

_HANDOVER_SECONDS = 3
"""How long a rebalance waits for the batch under way."""

_ANSWER_SECONDS = 10
_REBALANCE_SECONDS = 120
_STOP_SECONDS = 4
_LAST_RESORT_SECONDS = 8
_SILENT_HEARTBEATS = 45
"""So many may be missing of a partition's writer before it is taken for one that nobody has; an insert may be slow."""

_RETRY_SECONDS = 1.0
_LONGEST_REST_SECONDS = 0.3

_QUIET_SECONDS = 10 * 365 * 86_400.0
"""faust's own watch only logs, and takes a wait for ClickHouse for a fault; this switches it off."""

_log = structlog.get_logger(__name__)


class KafkaTopics(Protocol):
    """Tells whether a topic is there; `penstock.eventlog.kafka.KafkaLog` does."""

    def check_topic(self, topic: Topic) -> None:
        """See `KafkaLog.check_topic`."""
        ...


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
        log: KafkaTopics,
        pipeline: Pipeline,
        clock: Clock,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._log = log
        self._pipeline = pipeline
        self._clock = clock
        self._on_failure = on_failure
        self._topic = f"{kafka.topic_prefix}.{Topic.EVENTS}"
        self._thread = CallThread("writer")
        self._writing: asyncio.Task[None] | None = None
        self._app: Any = None  # faust has no types that mypy could see
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
        if self._app is None or self._rebalancing_since is not None:
            raise LogUnavailable(self._waits_for or "joining the consumer group")

    async def _wait_for_topic(self) -> None:
        """faust ends where the topic or Kafka is missing; a process that was started a little early should not."""
        while not self._stopping.is_set():
            try:
                await asyncio.to_thread(self._log.check_topic, Topic.EVENTS)
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

    # --- membership: one faust from joining to leaving

    async def _be_member(self) -> None:
        """Is a member of the group until `stop`, or until there is trouble."""
        if self._stopping.is_set():
            return
        async with self._joined() as app:
            try:
                while not await self._pause(self._settings.heartbeat_seconds):
                    self._expect_health(app)
                    if await self._acquire_unless_stopped():
                        try:
                            await self._look_after(app)
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
    async def _joined(self) -> AsyncIterator[Any]:
        self._rebalancing_since = time.monotonic()  # until the first one is over
        self._without_since = None
        app = _make_app(self._kafka, self._settings)
        inbox: Inbox[Any] = Inbox(_INBOX_BYTES)
        topic = app.topic(self._topic, key_type=bytes, value_type=bytes, value_serializer="raw")
        app.agent(topic, name="writer")(_receiver(inbox))
        app.on_partitions_revoked.connect(self._hand_over)
        starting = asyncio.create_task(app.start())
        self._writing = asyncio.create_task(self._write_inbox(app, inbox))
        self._app = app
        try:
            yield app
        finally:
            self._app = None
            await self._finish_batch()
            self._writing.cancel()
            await self._leave(app, starting)

    async def _finish_batch(self) -> bool:
        """Whether the batch under way ended in time."""
        try:
            await asyncio.wait_for(self._busy.acquire(), _HANDOVER_SECONDS)
        except TimeoutError:
            return False
        self._busy.release()
        return True

    async def _leave(self, app: Any, starting: "asyncio.Task[None]") -> None:
        """Ends faust. One that does not stop stays behind with its threads: then the process must end."""
        ending = asyncio.create_task(_end(app, starting))
        await asyncio.wait([ending], timeout=_STOP_SECONDS)  # `wait_for` would cancel it, which faust takes for an end
        if not ending.done():
            self._left_behind = True
            if not self._stopping.is_set():
                raise StartError("Kafka's consumer is stuck: the process must be started anew.")
        elif error := ending.exception():
            _log.warning("faust failed while it stopped", reason=repr(error))

    def _expect_health(self, app: Any) -> None:
        if app.crashed:
            raise _Trouble(f"the consumer failed: {app.crash_reason!r}")
        if self._writing is not None and self._writing.done():
            raise _Trouble(f"records are not taken any more: {self._writing.exception()!r}")
        self._note_rebalancing(app)
        since = self._rebalancing_since
        if since is not None and time.monotonic() - since > _REBALANCE_SECONDS:
            raise _Trouble("the group's rebalancing does not end")

    def _note_rebalancing(self, app: Any) -> None:
        if app.rebalancing or not app.rebalancing_count:
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

    async def _write_inbox(self, app: Any, inbox: "Inbox[Any]") -> None:
        """Writes what was delivered, at most so often as the settings say: few large inserts beat many small ones.

        Unless much waits, it leaves the tables alone for as long as the last inserts took: what an insert costs hardly
        depends on its size, so a slow ClickHouse is helped by fewer of them.
        """
        while True:
            await inbox.filled()
            started = time.monotonic()
            async with self._busy:
                events = inbox.take()
                if self._app is app and await self._write(app, [_record(event.message) for event in events]):
                    for event in events:
                        event.ack()
            took = time.monotonic() - started
            rest = 0.0 if inbox.bytes > _BACKLOG_BYTES else min(took, _LONGEST_REST_SECONDS)
            await asyncio.sleep(max(rest, self._settings.flush_after_seconds - took))

    async def _write(self, app: Any, records: list[StoredRecord]) -> bool:
        """Whether the records need not come again; where they must, the stream is set to them."""
        try:
            await self._follow_assignment(app)
            mine = [record for record in records if record.partition in self._pipeline.partitions]
            for gap in await self._thread.call(self._pipeline.write, mine, self._ends(app)):
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

    async def _follow_assignment(self, app: Any) -> None:
        """Claims what the group gave us and sets the stream to it, forgets what it took."""
        self._note_rebalancing(app)
        if self._rebalancing_since is not None:  # faust sets the stream to what is committed when it is over
            return
        assigned = {partition.partition for partition in app.consumer.assignment() if partition.topic == self._topic}
        lost = self._pipeline.partitions if self._given_anew else self._pipeline.partitions - assigned
        self._given_anew = False
        if lost:  # in the writer's thread, where a batch of the member before may still be under way
            await self._thread.call(self._pipeline.release, lost)
        if new := assigned - self._pipeline.partitions:
            starts = await self._thread.call(self._pipeline.claim, new)
            for partition, offset in starts.items():
                await self._set(app, partition, offset)

    async def _set(self, app: Any, partition: int, offset: int) -> None:
        """The next record of the partition will be the one at `offset`, sooner or later."""
        place = TP(self._topic, partition)
        try:
            await app.consumer.seek_wait({place: offset})
        except Exception as error:  # noqa: BLE001 - it may be another's by now; else its records will be missed
            _log.warning("stream not set", partition=partition, offset=offset, reason=repr(error))
        else:
            app.consumer._committed_offset[place] = offset or None  # else a gap behind it keeps faust from committing

    def _ends(self, app: Any) -> LogEnds:
        """As the last fetch of each partition told; those that have no fetch yet, or were just taken, are missing.

        A consumer that is cut off from Kafka, or waits for us, fetches nothing: then what it knows is old.
        """
        known: dict[int, int] = {}
        read_ms = self._clock.now_ms()
        for number in self._pipeline.partitions:
            place = TP(self._topic, number)
            with contextlib.suppress(Exception):  # aiokafka's own error, where it is not assigned any more
                if (end := app.consumer.highwater(place)) is not None:
                    read_ms = min(read_ms, app.consumer._thread._consumer.last_poll_timestamp(place))
                    known[number] = end
        return LogEnds(known, read_ms)

    # --- what does not come by itself

    async def _look_after(self, app: Any) -> None:
        """Says that the partitions are looked after, and sees to it that all their records come."""
        try:
            await self._follow_assignment(app)
            ends = self._ends(app)
            await self._thread.call(self._pipeline.heartbeat, ends)
            await self._expect_partitions()
            await self._fetch_missed(app, ends)
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

    async def _fetch_missed(self, app: Any, ends: LogEnds) -> None:
        """Sees to records that the log has and that do not come."""
        wanted = self._pipeline.wanted()
        behind = {number: offset for number, offset in wanted.items() if ends.offsets.get(number, 0) > offset}
        for due in self._missed.due(behind):
            await self._expect_in_log(app, due.partition, due.offset)
            match due.remedy:
                case Remedy.SET_BACK:
                    _log.warning("set back", partition=due.partition, offset=due.offset)
                    await self._set(app, due.partition, due.offset)
                case Remedy.BEGIN_ANEW:
                    raise _Trouble(f"record {due.offset} of partition {due.partition} does not come")
                case Remedy.GIVE_UP:
                    raise StartError(
                        f"Kafka does not give record {due.offset} of {self._topic}, partition {due.partition}."
                    )

    async def _expect_in_log(self, app: Any, partition: int, offset: int) -> None:
        place = TP(self._topic, partition)
        try:
            found = await asyncio.wait_for(app.consumer.earliest_offsets(place), _ANSWER_SECONDS)
        except Exception as error:
            raise _Trouble(f"Kafka does not answer: {error!r}") from error
        earliest = found.get(place, 0)
        if earliest > offset:
            raise StartError(
                f"Kafka has dropped records {offset} to {earliest - 1} of {self._topic}, partition {partition}, before "
                "they were stored. Was the topic's retention shortened?"
            )


async def _end(app: Any, starting: "asyncio.Task[None]") -> None:
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await starting
    await app.stop()


def _make_app(kafka: Kafka, settings: Writer) -> Any:
    servers = ";".join(f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(","))
    return faust.App(
        kafka.group,
        broker=servers,
        broker_credentials=_credentials(kafka),
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        stream_buffer_maxsize=_TAKE_RECORDS,
        stream_processing_timeout=_QUIET_SECONDS,
        broker_commit_livelock_soft_timeout=_QUIET_SECONDS,
        broker_session_timeout=_SESSION_SECONDS,
        broker_heartbeat_interval=_SESSION_SECONDS / 4,
        broker_commit_interval=max(1.0, settings.flush_after_seconds),
        worker_redirect_stdouts=False,
        autodiscover=False,
        datadir="/tmp/penstock-faust-unused",  # noqa: S108 - nothing is written there: the store is in memory
    )


def _credentials(kafka: Kafka) -> Any:
    context = None
    if kafka.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=kafka.ssl_cafile or None)
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def _receiver(inbox: "Inbox[Any]") -> Callable[[Any], Awaitable[None]]:
    """The agent: what faust delivers goes into the inbox, unacknowledged."""

    async def receive(stream: Any) -> None:
        events: Any
        async for events in stream.noack_take(_TAKE_RECORDS, within=_TAKE_SECONDS):
            await inbox.put(events, sum([len(event.message.value or b"") for event in events]))

    return receive


def _record(message: Any) -> StoredRecord:
    appended_ms = int((message.timestamp or 0) * 1000)
    return StoredRecord(Topic.EVENTS, message.partition, message.offset, None, message.value, appended_ms)

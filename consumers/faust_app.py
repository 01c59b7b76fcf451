"""Delivers Kafka's records to the pipeline, through faust-streaming. The only module that imports faust.

faust joins the consumer group, keeps the partitions balanced between processes and fetches. Its `noack_take` hands
over records without acknowledging them; that happens here, after they are in the tables. (Its plain `take` acknowledges
what a handler that failed had not stored.) No exception leaves the agent's loop, as that would end the agent and leave
the process idle: what the pipeline cannot retry ends the process.

The offsets committed to Kafka are a hint where to begin; what counts is the writer's own mark in the tables. They are
behind it, never ahead (unless somebody moved them, or the tables are new: then the stream is set back).
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, Protocol

import faust
import structlog
from faust.types import TP

from consumers.batch import LogGap
from consumers.pipeline import Pipeline, Stopped
from consumers.sink import LogEnds
from penstock.clock import Clock
from penstock.errors import LogUnavailable, PenstockError, StartError, WriterFenced
from penstock.eventlog import StoredRecord
from penstock.settings import Kafka, Writer
from schemas.record import UnknownFormat
from schemas.topics import Topic

_TAKE_RECORDS = 4000
_STOP_SECONDS = 8
_SESSION_SECONDS = 10
"""After so long without a sign of life the group gives a consumer's partitions to others."""

_RETRY_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class KafkaTopics(Protocol):
    """Tells whether a topic is there; `penstock.eventlog.kafka.KafkaLog` does."""

    def check_topic(self, topic: Topic) -> None:
        """See `KafkaLog.check_topic`."""
        ...


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
        self._settings = settings
        self._log = log
        self._pipeline = pipeline
        self._clock = clock
        self._on_failure = on_failure
        self._topic = f"{kafka.topic_prefix}.{Topic.EVENTS}"
        self._busy = asyncio.Lock()
        self._app = _make_app(kafka, settings)
        topic = self._app.topic(self._topic, key_type=bytes, value_type=bytes, value_serializer="raw")
        self._app.agent(topic, name="writer")(self._write_stream)
        self._beat: asyncio.Task[None] | None = None
        self._unacknowledged: list[Any] = []
        self._stopping = asyncio.Event()
        self._joined = False
        self._missing = ""

    async def run(self) -> None:
        """Joins the group, once the topic is there, and writes until `stop`."""
        try:
            await self._wait_for_topic()
            if not self._stopping.is_set():
                await self._app.start()
                self._joined = True
                self._beat = asyncio.create_task(self._heartbeats())
        except Exception as error:  # noqa: BLE001 - nobody awaits this task before the end
            self._fail(error)

    async def _wait_for_topic(self) -> None:
        """faust ends where the topic or Kafka is missing; a process that was started a little early should not."""
        while not self._stopping.is_set():
            try:
                await asyncio.to_thread(self._log.check_topic, Topic.EVENTS)
            except LogUnavailable as error:
                _log.warning("waiting for Kafka", reason=error.message)
                self._missing = error.message
            else:
                self._missing = ""
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _RETRY_SECONDS)

    def check(self) -> None:
        """Whether records are being written.

        Raises:
            LogUnavailable: says what is waited for.
        """
        if not self._joined:
            raise LogUnavailable(self._missing or "joining the consumer group")

    async def stop(self) -> None:
        """Finishes the batch under way, leaves the group. What is left stays in the log."""
        self._stopping.set()
        self._pipeline.stop()
        if self._beat:
            self._beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beat
        async with self._busy:
            if not self._joined:
                return
        try:
            await asyncio.wait_for(self._app.stop(), _STOP_SECONDS)
        except TimeoutError:
            _log.warning("faust did not stop in time; nothing is lost by that")

    async def _write_stream(self, stream: Any) -> None:
        events: Any
        async for events in stream.noack_take(_TAKE_RECORDS, within=self._settings.flush_after_seconds):
            self._unacknowledged += events
            async with self._busy:
                await self._write([_record(event.message) for event in events])
                self._acknowledge()

    def _acknowledge(self) -> None:
        """Acknowledges what is in the tables. What is another's by now is his to acknowledge."""
        stored = self._pipeline.stored_through()
        waiting = []
        for event in self._unacknowledged:
            through = stored.get(event.message.partition)
            if through is not None and event.message.offset <= through:
                event.ack()
            elif through is not None:
                waiting.append(event)
        self._unacknowledged = waiting

    async def _write(self, records: list[StoredRecord]) -> None:
        try:
            await self._follow_assignment()
            mine = [record for record in records if record.partition in self._pipeline.partitions]
            await asyncio.to_thread(self._pipeline.write, mine, self._ends())
        except LogGap as gap:
            await self._set_back(gap)
        except WriterFenced as error:
            _log.warning("partitions lost to another writer", reason=str(error))
            self._pipeline.release(self._pipeline.partitions)
        except Stopped:
            _log.info("writer stopped while it waited")
        except Exception as error:  # noqa: BLE001 - an exception would end the agent and leave the process idle
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, (PenstockError, UnknownFormat)):
            _log.error("writer cannot go on", reason=str(error))
        else:
            _log.exception("writer failed")
        self._on_failure(error)

    async def _follow_assignment(self) -> None:
        """Claims what the group gave us, forgets what it took."""
        assigned = self._assigned()
        self._pipeline.release(self._pipeline.partitions - assigned)
        if new := assigned - self._pipeline.partitions:
            await asyncio.to_thread(self._pipeline.claim, new)

    def _assigned(self) -> set[int]:
        return {partition.partition for partition in self._app.consumer.assignment() if partition.topic == self._topic}

    async def _set_back(self, gap: LogGap) -> None:
        """Reads again from where records are missing.

        Raises:
            StartError: (to `on_failure`) Kafka does not have them any more.
        """
        partition = TP(self._topic, gap.partition)
        earliest = await self._app.consumer.earliest_offsets(partition)
        if earliest.get(partition, 0) > gap.expected:
            self._fail(
                StartError(
                    f"Kafka has dropped records {gap.expected} to {earliest[partition] - 1} of {self._topic}, "
                    f"partition {gap.partition}, before they were stored. Was the topic's retention shortened?"
                )
            )
            return
        _log.warning("set back", partition=gap.partition, offset=gap.expected, reason=str(gap))
        await self._app.consumer.seek(partition, gap.expected)

    def _ends(self) -> LogEnds:
        """As the last fetch of each partition told."""
        read_ms = self._clock.now_ms()
        known = {number: self._app.consumer.highwater(TP(self._topic, number)) for number in self._pipeline.partitions}
        return LogEnds({number: end for number, end in known.items() if end is not None}, read_ms)

    async def _heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat_seconds)
            async with self._busy:
                try:
                    await self._follow_assignment()
                    await asyncio.to_thread(self._pipeline.heartbeat, self._ends())
                except Stopped:
                    return
                except Exception as error:  # noqa: BLE001 - nobody awaits this task
                    self._fail(error)
                    return


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
        stream_wait_empty=True,
        stream_buffer_maxsize=_TAKE_RECORDS,
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


def _record(message: Any) -> StoredRecord:
    appended_ms = int((message.timestamp or 0) * 1000)
    return StoredRecord(Topic.EVENTS, message.partition, message.offset, None, message.value, appended_ms)

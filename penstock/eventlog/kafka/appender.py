"""Appending events to Kafka, many requests to a record.

A thread packs what waits into one record per partition and hands it to the producer: kafka-python may block (metadata,
a full buffer), which the event loop must not. While records are on their way it lingers a few milliseconds, so that
more events share the next ones; an event that comes alone is sent at once.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError

from penstock.errors import LogUnavailable
from penstock.eventlog.contract import Entry
from penstock.eventlog.kafka.cluster import check_topic, topic_name, translated
from penstock.eventlog.kafka.producer import discard, given_up_seconds, make_producer
from penstock.eventlog.packing import AppendQueue, PackedRecord, pack_appends
from penstock.settings import Kafka
from schemas.position import Position
from schemas.topics import Topic

_MAX_RECORD_BYTES = 512 * 1024
"""Brokers refuse batches over 1 MiB by default (message.max.bytes); half leaves room for one large event more."""

_LINGER_STEPS = 4
_ENOUGH_REQUESTS = 32
"""So many share the cost of their records well enough to be sent at once."""

_RECONNECT_SECONDS = 1.0
_WATCH_SECONDS = 0.25
_FLUSH_SECONDS = 4.0

_log = structlog.get_logger(__name__)


class KafkaAppender:
    """The thread and what it has on its way. Built on the event loop that awaits the futures.

    Attributes:
        failure: why nothing can be appended now, or why the last record was not confirmed. Empty where all is well.
    """

    def __init__(self, settings: Kafka, max_pending_bytes: int) -> None:
        self.failure = "Kafka was not reached yet"
        self._partitions = 0
        self._settings = settings
        self._queue = AppendQueue(max_pending_bytes)
        self._producer: KafkaProducer | None = None
        self._sent: dict[PackedRecord, float] = {}  # on their way, oldest first, and since when
        self._decide = threading.Lock()  # the producer's thread and ours both decide records
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._send_until_closed, name="log-send")

    def start(self) -> None:
        """Reaches for Kafka in the background, again and again until it is there."""
        self._thread.start()

    async def stop(self) -> None:
        """Waits for what was appended, as long as that comes to an end."""
        self._queue.close()
        self._closing.set()
        await asyncio.to_thread(self._thread.join)

    @property
    def partitions(self) -> int:
        """See `EventLog`."""
        if not self._partitions:
            raise LogUnavailable(self.failure)
        return self._partitions

    @property
    def pending_bytes(self) -> int:
        """What waits for an acknowledgement."""
        return self._queue.pending_bytes

    def append(self, entries: Sequence[Entry], accepted_ms: int, project_id: str) -> "asyncio.Future[Position]":
        """See `EventLog`."""
        self._require_producer()
        return self._queue.put(entries, accepted_ms, project_id)

    def mark(self, record: bytes, accepted_ms: int, partition: int | None) -> "asyncio.Future[Position]":
        """See `EventLog`."""
        self._require_producer()
        return self._queue.put_marker(record, accepted_ms, partition)

    def _require_producer(self) -> None:
        if self._producer is None:
            raise LogUnavailable(self.failure)

    def check(self) -> None:
        """See `EventLog`. The last acknowledgement tells; after one that failed, Kafka is asked.

        Without it a process that is asked before it gets requests would stay out of use after Kafka was away once.
        """
        if self.failure and self._producer is not None:
            check_topic(self._settings, Topic.EVENTS)
            self.failure = ""
        if self.failure:
            raise LogUnavailable(self.failure)

    def _send_until_closed(self) -> None:
        while (producer := self._connect_until_closed()) is not None:
            finished = self._send_until_stuck(producer)
            self._producer = None
            discard(producer)
            self._give_up()
            if finished:
                break

    def _send_until_stuck(self, producer: KafkaProducer) -> bool:
        """Sends what comes; whether it ended because the log was closed, and not because records are overdue."""
        while (appends := self._queue.take(_WATCH_SECONDS if self._sent else None)) is not None:
            if self._sent and appends:
                self._linger()
                appends += self._queue.take_waiting()
            for record in pack_appends(appends, _MAX_RECORD_BYTES, self._partitions):
                self._send(producer, record)
            if self._overdue():
                _log.warning("Kafka's producer is stuck; making another")
                return False
        with contextlib.suppress(KafkaError):
            producer.flush(timeout=min(self._settings.delivery_timeout_seconds, _FLUSH_SECONDS))
        return True

    def _linger(self) -> None:
        """Waits for events that can share the next records, until there are enough of them or it took long enough."""
        for _ in range(_LINGER_STEPS):
            if self._queue.waiting >= _ENOUGH_REQUESTS:
                return
            time.sleep(self._settings.linger_ms / 1000 / _LINGER_STEPS)

    def _overdue(self) -> bool:
        with self._decide:
            oldest = next(iter(self._sent.values()), None)
        return oldest is not None and time.monotonic() - oldest > given_up_seconds(self._settings)

    def _give_up(self) -> None:
        """Answers all that wait: what was sent, and what was not yet."""
        for record in list(self._sent):
            self._failed(record, LogUnavailable("not confirmed in time"))
        waiting = self._queue.take_waiting()
        for append in waiting:
            append.error = LogUnavailable(self.failure or "The event log is closing")
        self._queue.answer(waiting)

    def _connect_until_closed(self) -> KafkaProducer | None:
        while not self._closing.is_set():
            try:
                return self._connect()
            except LogUnavailable as error:
                self.failure = error.message
                _log.warning("waiting for Kafka", reason=error.message)
            except Exception as error:  # noqa: BLE001 - the thread must live: it is asked again a second later
                self.failure = f"Kafka cannot be reached: {error}"
                _log.exception("waiting for Kafka")
            self._give_up()
            self._closing.wait(_RECONNECT_SECONDS)
        return None

    def _connect(self) -> KafkaProducer:
        check_topic(self._settings, Topic.EVENTS)
        with translated("be reached"):
            producer = make_producer(self._settings)
        topic = topic_name(self._settings, Topic.EVENTS)
        try:
            with translated(f"tell the partitions of {topic}"):
                partitions = producer.partitions_for(topic)
        except LogUnavailable:
            discard(producer)
            raise
        self._partitions, self._producer, self.failure = len(partitions or ()), producer, ""
        return producer

    def _send(self, producer: KafkaProducer, record: PackedRecord) -> None:
        with self._decide:
            self._sent[record] = time.monotonic()
        try:
            future = producer.send(
                topic_name(self._settings, Topic.EVENTS), value=record.value, partition=record.partition
            )
        except Exception as error:  # noqa: BLE001 - a thread that ended here would leave all requests unanswered
            self._failed(record, error)
            return
        future.add_callback(self._stored, record)
        future.add_errback(self._failed, record)

    def _stored(self, record: PackedRecord, metadata: Any) -> None:
        with self._decide:
            if self._sent.pop(record, None) is None:  # it was given up before
                return
            self.failure = ""
            decided = record.stored(metadata.offset)
        self._queue.answer(decided)

    def _failed(self, record: PackedRecord, error: Exception) -> None:
        failure = LogUnavailable(f"Kafka did not confirm events: {type(error).__name__}")
        failure.__cause__ = error
        with self._decide:
            if self._sent.pop(record, None) is None:
                return
            self.failure = failure.message
            decided = record.failed(failure)
        _log.warning("events not confirmed", partition=record.partition, reason=repr(error))
        self._queue.answer(decided)

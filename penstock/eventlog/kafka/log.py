"""The log as the rest of the product sees it.

Reading here serves the control topic, dead letters and checks; the consumers read events through faust-streaming.
"""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property

from kafka import KafkaProducer
from kafka.errors import KafkaError

from penstock.errors import LogUnavailable
from penstock.eventlog.contract import Entry
from penstock.eventlog.kafka.appender import KafkaAppender
from penstock.eventlog.kafka.cluster import check_topic, count_partitions, topic_name, translated
from penstock.eventlog.kafka.producer import discard, given_up_seconds, make_producer
from penstock.eventlog.kafka.tail import KafkaTail
from penstock.settings import Kafka
from schemas.position import Position
from schemas.topics import Topic


class KafkaLog:
    """See `EventLog`. Who appends no events (commands, consumers) calls `open` instead of `start`."""

    def __init__(self, settings: Kafka, *, max_pending_bytes: int = 64 << 20) -> None:
        self._settings = settings
        self._max_pending_bytes = max_pending_bytes
        self._appending: KafkaAppender | None = None
        self._publisher: KafkaProducer | None = None
        self._publish_lock = threading.Lock()

    def open(self) -> None:
        """All but `append` and `mark` works after it. Kafka is reached by the first call that needs it."""

    def close(self) -> None:
        """Undoes `open`."""
        if self._publisher is not None:
            discard(self._publisher)
            self._publisher = None

    async def start(self) -> None:
        """See `EventLog`."""
        self._appending = KafkaAppender(self._settings, self._max_pending_bytes)
        self._appending.start()

    async def stop(self) -> None:
        """See `EventLog`."""
        await self._appender.stop()
        await asyncio.to_thread(self.close)

    @property
    def _appender(self) -> KafkaAppender:
        if self._appending is None:
            raise LogUnavailable("The log was opened for other things than appending events")
        return self._appending

    @property
    def partitions(self) -> int:
        """See `EventLog`."""
        return self._appending.partitions if self._appending else self._counted_partitions

    @cached_property
    def _counted_partitions(self) -> int:
        return count_partitions(self._settings, Topic.EVENTS)

    @property
    def pending_bytes(self) -> int:
        """What waits for an acknowledgement."""
        return self._appender.pending_bytes

    def append(self, entries: Sequence[Entry], accepted_ms: int, project_id: str = "") -> "asyncio.Future[Position]":
        """See `EventLog`."""
        return self._appender.append(entries, accepted_ms, project_id)

    def mark(self, record: bytes, accepted_ms: int, partition: int | None = None) -> "asyncio.Future[Position]":
        """See `EventLog`."""
        return self._appender.mark(record, accepted_ms, partition)

    def check(self) -> None:
        """See `EventLog`."""
        self._appender.check()

    def append_record(self, partition: int, record: bytes) -> int:
        """See `EventLog`."""
        return self._publish(Topic.EVENTS, partition, None, record)

    def publish(self, topic: Topic, key: str, value: bytes | None) -> int:
        """See `EventLog`."""
        return self._publish(topic, 0, key.encode(), value)

    def _publish(self, topic: Topic, partition: int, key: bytes | None, value: bytes | None) -> int:
        name = topic_name(self._settings, topic)
        with self._publish_lock, translated(f"take a record of {name}"):
            if self._publisher is None:
                check_topic(self._settings, topic)
                self._publisher = make_producer(self._settings)
            try:
                future = self._publisher.send(name, key=key, value=value, partition=partition)
                return int(future.get(timeout=given_up_seconds(self._settings)).offset)
            except KafkaError:
                discard(self._publisher)  # it may be stuck, see `given_up_seconds`
                self._publisher = None
                raise

    def tail(self, topic: Topic, starts: Mapping[int, int]) -> KafkaTail:
        """See `EventLog`."""
        return KafkaTail(self._settings, topic, starts)

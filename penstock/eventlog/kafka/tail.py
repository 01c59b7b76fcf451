"""Reading a topic of Kafka from any place, without a group."""

from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from penstock.eventlog.contract import StoredRecord
from penstock.eventlog.kafka.cluster import REACHED_MS, check_topic, connection, topic_name, translated
from penstock.settings import Kafka
from schemas.topics import Topic


class KafkaTail:
    """See `LogTail`."""

    def __init__(self, settings: Kafka, topic: Topic, starts: Mapping[int, int]) -> None:
        """Of the partitions that `starts` names, each from its offset.

        Raises:
            LogUnavailable: the topic is not there, or Kafka does not answer.
        """
        check_topic(settings, topic)
        with translated("be reached"):
            self._consumer = KafkaConsumer(
                **connection(settings),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                bootstrap_timeout_ms=REACHED_MS,
            )
        self._topic = topic
        self._partitions = {TopicPartition(topic_name(settings, topic), number): number for number in starts}
        self._consumer.assign(list(self._partitions))
        for partition, number in self._partitions.items():
            self._consumer.seek(partition, starts[number])

    def poll(self, *, timeout_seconds: float, max_bytes: int) -> list[StoredRecord]:
        """See `LogTail`. `max_bytes` is left to the consumer's own fetch limits."""
        with translated("be read"):
            polled = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000))
        return [self._record(record) for records in polled.values() for record in records]

    def _record(self, record: Any) -> StoredRecord:
        key = None if record.key is None else record.key.decode(errors="replace")
        return StoredRecord(self._topic, record.partition, record.offset, key, record.value, record.timestamp)

    def seek(self, partition: int, offset: int) -> None:
        """See `LogTail`."""
        for known, number in self._partitions.items():
            if number == partition:
                self._consumer.seek(known, offset)

    def ends(self) -> dict[int, int]:
        """See `LogTail`."""
        with translated("tell where a topic ends"):
            ends = self._consumer.end_offsets(list(self._partitions))
        return {number: ends[partition] for partition, number in self._partitions.items()}

    def position(self, partition: int) -> int:
        """See `LogTail`."""
        place = next(known for known, number in self._partitions.items() if number == partition)
        with translated("be read"):
            return int(self._consumer.position(place))

    def close(self) -> None:
        """See `LogTail`."""
        self._consumer.close()

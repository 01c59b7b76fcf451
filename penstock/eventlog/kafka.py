"""The scaled-out log: Apache Kafka through kafka-python.

Appends go through a thread of their own: it packs what waits into one record per partition and hands it to an
idempotent producer with `acks=all`. While records are on their way it lingers a few milliseconds, so that more events
share the next ones; an event that comes alone is sent at once. kafka-python may block (metadata, a full buffer), which
the event loop must not.

Reading here serves the control topic, dead letters and checks; the consumers read events through faust-streaming.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from penstock.errors import LogUnavailable
from penstock.eventlog.contract import Entry, StoredRecord
from penstock.eventlog.kafka_decoders import compile_alone
from penstock.eventlog.packing import AppendQueue, PackedRecord, pack_appends
from penstock.settings import Kafka
from schemas.position import Position
from schemas.topics import POLICIES, Topic

_MAX_RECORD_BYTES = 512 * 1024
"""Brokers refuse batches over 1 MiB by default (message.max.bytes); half leaves room for one large event more."""

_LINGER_STEPS = 4
_ENOUGH_REQUESTS = 32
"""So many share the cost of their records well enough to be sent at once."""

_RECONNECT_SECONDS = 1.0
_WATCH_SECONDS = 0.25
_FLUSH_SECONDS = 4.0
_CLOSE_SECONDS = 1.0
_BLOCK_MS = 1000
"""How long kafka-python may wait for metadata: it holds up all requests behind the one that needs it."""

_LISTED_SECONDS = 10.0

_OVERDUE_SECONDS = 0.5
"""So much later than the delivery time-out a record is given up, whatever kafka-python does."""

_log = structlog.get_logger(__name__)

compile_alone()


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """kafka-python's errors as ours. All are retryable here: what is wrong for good shows at the start."""
    try:
        yield
    except KafkaError as error:
        raise LogUnavailable(f"Kafka cannot {doing}: {type(error).__name__} {error}".rstrip()) from error


def connection(settings: Kafka) -> dict[str, Any]:
    """kafka-python's arguments for reaching the brokers."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in settings.bootstrap_servers.split(",")],
        "security_protocol": settings.security_protocol,
        "reconnect_backoff_max_ms": 1000,  # the default, 30 s, would outlast a broker's restart by far
    }
    if settings.security_protocol.startswith("SASL"):
        arguments |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    if settings.ssl_cafile:
        arguments["ssl_cafile"] = settings.ssl_cafile
    return arguments


def topic_name(settings: Kafka, topic: Topic) -> str:
    """The name in Kafka."""
    return f"{settings.topic_prefix}.{topic}"


def create_topics(settings: Kafka, *, dry_run: bool = False) -> list[str]:
    """Creates the topics that are missing and returns their names.

    Raises:
        LogUnavailable: Kafka does not answer.
    """
    with _translated("be reached"):
        admin = KafkaAdminClient(**connection(settings))
        try:
            existing = set(admin.list_topics())
            missing = [topic for topic in Topic if topic_name(settings, topic) not in existing]
            if missing and not dry_run:
                _create(admin, settings, missing)
                _await_listed(admin, [topic_name(settings, topic) for topic in missing])
        finally:
            admin.close()
    return [topic_name(settings, topic) for topic in missing]


def _create(admin: KafkaAdminClient, settings: Kafka, topics: list[Topic]) -> None:
    wanted = []
    for topic in topics:
        policy = POLICIES[topic]
        configs = {"cleanup.policy": "compact"} if policy.compacted else {"retention.ms": "-1"}
        configs["message.timestamp.type"] = "LogAppendTime"  # else a clock that is an hour ahead of Kafka's is refused
        wanted.append(
            NewTopic(
                name=topic_name(settings, topic),
                num_partitions=policy.partitions or settings.partitions,
                replication_factor=settings.replication_factor,
                topic_configs=configs,
            )
        )
    try:
        admin.create_topics(wanted)
    except TopicAlreadyExistsError:
        _log.info("topics were created by another process meanwhile")


def _await_listed(admin: KafkaAdminClient, names: list[str]) -> None:
    """A broker knows of a topic a moment after it was created: until then a command that comes next finds none."""
    deadline = time.monotonic() + _LISTED_SECONDS
    while not set(names) <= set(admin.list_topics()):
        if time.monotonic() > deadline:
            raise LogUnavailable(f"Kafka has created {', '.join(names)} and does not list all of them")
        time.sleep(_LISTED_SECONDS / 100)


def _discard(producer: KafkaProducer) -> None:
    """Closes a producer without waiting for what it did not send."""
    with contextlib.suppress(KafkaError):
        producer._sender.force_close()  # `close` alone flushes first, and gives up where that does not end
        producer.close(timeout=_CLOSE_SECONDS)


class KafkaLog:
    """See `EventLog`."""

    def __init__(self, settings: Kafka, *, max_pending_bytes: int = 64 << 20) -> None:
        self._settings = settings
        self._max_pending_bytes = max_pending_bytes
        self._producer: KafkaProducer | None = None
        self._publisher: KafkaProducer | None = None
        self._partitions = 0
        self._sent: dict[PackedRecord, float] = {}  # on their way, oldest first, and since when
        self._decide = threading.Lock()  # the producer's thread and ours both decide records
        self._closing = threading.Event()
        self._failure = "Kafka was not reached yet"
        self._publish_lock = threading.Lock()
        self._is_open_only = False

    def open(self) -> None:
        """For who appends no events (commands, consumers): all but `append` and `mark` works after it."""
        self._is_open_only = True

    def close(self) -> None:
        """Undoes `open`."""
        self._closing.set()
        if self._publisher is not None:
            _discard(self._publisher)
            self._publisher = None

    async def start(self) -> None:
        """See `EventLog`."""
        self._queue = AppendQueue(self._max_pending_bytes)
        self._thread = threading.Thread(target=self._send_until_closed, name="log-send")
        self._thread.start()

    async def stop(self) -> None:
        """See `EventLog`."""
        self._queue.close()
        self._closing.set()
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self.close)

    @property
    def partitions(self) -> int:
        """See `EventLog`."""
        if not self._partitions and self._is_open_only:
            self._partitions = self._read_partitions()
        if not self._partitions:
            raise LogUnavailable(self._failure)
        return self._partitions

    def _read_partitions(self) -> int:
        self.check_topic(Topic.EVENTS)
        with _translated("be reached"):
            admin = KafkaAdminClient(**connection(self._settings), bootstrap_timeout_ms=5000, request_timeout_ms=5000)
            try:
                described = admin.describe_topics([topic_name(self._settings, Topic.EVENTS)])
            finally:
                admin.close()
        return len(described[0]["partitions"])

    @property
    def pending_bytes(self) -> int:
        """What waits for an acknowledgement."""
        return self._queue.pending_bytes

    def append(self, entries: Sequence[Entry], accepted_ms: int, project_id: str = "") -> "asyncio.Future[Position]":
        """See `EventLog`."""
        if self._producer is None:
            raise LogUnavailable(self._failure)
        return self._queue.put(entries, accepted_ms, project_id)

    def mark(self, record: bytes, accepted_ms: int, partition: int | None = None) -> "asyncio.Future[Position]":
        """See `EventLog`."""
        if self._producer is None:
            raise LogUnavailable(self._failure)
        return self._queue.put_marker(record, accepted_ms, partition)

    def check(self) -> None:
        """See `EventLog`. The last acknowledgement tells; after one that failed, Kafka is asked.

        Without it a process that is asked before it gets requests would stay out of use after Kafka was away once.
        """
        if self._failure and self._producer is not None:
            self.check_topic(Topic.EVENTS)
            self._failure = ""
        if self._failure:
            raise LogUnavailable(self._failure)

    def _send_until_closed(self) -> None:
        while (producer := self._connect_until_closed()) is not None:
            finished = self._send_until_stuck(producer)
            self._producer = None
            _discard(producer)
            self._give_up()
            if finished:
                break

    def _send_until_stuck(self, producer: KafkaProducer) -> bool:
        """Sends what comes; whether it ended because the log was closed.

        Else records are overdue. kafka-python should have given them up, but after a broker hung for longer than the
        delivery time-out its sender waits for ever (3.0.12): another producer is needed.
        """
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
        limit = self._settings.delivery_timeout_seconds + _OVERDUE_SECONDS
        return oldest is not None and time.monotonic() - oldest > limit

    def _give_up(self) -> None:
        """Answers all that wait: what was sent, and what was not yet."""
        for record in list(self._sent):
            self._failed(record, LogUnavailable("not confirmed in time"))
        waiting = self._queue.take_waiting()
        for append in waiting:
            append.error = LogUnavailable(self._failure or "The event log is closing")
        self._queue.answer(waiting)

    def _connect_until_closed(self) -> KafkaProducer | None:
        while not self._closing.is_set():
            try:
                return self._connect()
            except LogUnavailable as error:
                self._failure = error.message
                _log.warning("waiting for Kafka", reason=error.message)
            except Exception as error:  # noqa: BLE001 - the thread must live: it is asked again a second later
                self._failure = f"Kafka cannot be reached: {error}"
                _log.exception("waiting for Kafka")
            self._give_up()
            self._closing.wait(_RECONNECT_SECONDS)
        return None

    def _connect(self) -> KafkaProducer:
        self.check_topic(Topic.EVENTS)
        with _translated("be reached"):
            producer = self._make_producer()
        topic = topic_name(self._settings, Topic.EVENTS)
        try:
            with _translated(f"tell the partitions of {topic}"):
                partitions = producer.partitions_for(topic)
        except LogUnavailable:
            _discard(producer)
            raise
        self._partitions, self._producer, self._failure = len(partitions or ()), producer, ""
        return producer

    def _make_producer(self) -> KafkaProducer:
        delivery_ms = int(self._settings.delivery_timeout_seconds * 1000)
        return KafkaProducer(
            **connection(self._settings),
            metrics_enabled=False,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,  # lingering is done above, where events can still share a record
            delivery_timeout_ms=delivery_ms,
            request_timeout_ms=max(1000, delivery_ms // 2),
            max_block_ms=min(delivery_ms, _BLOCK_MS),
            max_request_size=4 << 20,
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=5000,
        )

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
            self._failure = ""
            decided = record.stored(metadata.offset)
        self._queue.answer(decided)

    def _failed(self, record: PackedRecord, error: Exception) -> None:
        failure = LogUnavailable(f"Kafka did not confirm events: {type(error).__name__}")
        failure.__cause__ = error
        with self._decide:
            if self._sent.pop(record, None) is None:
                return
            self._failure = failure.message
            decided = record.failed(failure)
        _log.warning("events not confirmed", partition=record.partition, reason=repr(error))
        self._queue.answer(decided)

    def check_topic(self, topic: Topic) -> None:
        """Whether the topic is there; asks Kafka anew. Without it, kafka-python waits for a missing topic in vain.

        Raises:
            LogUnavailable: it is not, or Kafka does not answer.
        """
        name = topic_name(self._settings, topic)
        with _translated("be reached"):
            admin = KafkaAdminClient(**connection(self._settings), bootstrap_timeout_ms=5000, request_timeout_ms=5000)
            try:
                if name not in set(admin.list_topics()):
                    raise LogUnavailable(f"The topic {name} does not exist: run 'penstock migrate'")
            finally:
                admin.close()

    def append_record(self, partition: int, record: bytes) -> int:
        """See `EventLog`."""
        return self._publish(Topic.EVENTS, partition, None, record)

    def publish(self, topic: Topic, key: str, value: bytes | None) -> int:
        """See `EventLog`."""
        return self._publish(topic, 0, key.encode(), value)

    def _publish(self, topic: Topic, partition: int, key: bytes | None, value: bytes | None) -> int:
        name = topic_name(self._settings, topic)
        with self._publish_lock, _translated(f"take a record of {name}"):
            if self._publisher is None:
                self.check_topic(topic)
                self._publisher = self._make_producer()
            try:
                future = self._publisher.send(name, key=key, value=value, partition=partition)
                return int(future.get(timeout=self._settings.delivery_timeout_seconds + _OVERDUE_SECONDS).offset)
            except KafkaError:
                _discard(self._publisher)  # see `_send_until_stuck`
                self._publisher = None
                raise

    def tail(self, topic: Topic, starts: Mapping[int, int]) -> "KafkaTail":
        """See `EventLog`."""
        self.check_topic(topic)
        with _translated("be reached"):
            consumer = KafkaConsumer(
                **connection(self._settings),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                bootstrap_timeout_ms=5000,
            )
        return KafkaTail(consumer, topic, topic_name(self._settings, topic), starts)


class KafkaTail:
    """See `LogTail`."""

    def __init__(self, consumer: KafkaConsumer, topic: Topic, name: str, starts: Mapping[int, int]) -> None:
        self._consumer = consumer
        self._topic = topic
        self._partitions = {TopicPartition(name, number): number for number in starts}
        consumer.assign(list(self._partitions))
        for partition, number in self._partitions.items():
            consumer.seek(partition, starts[number])

    def poll(self, *, timeout_seconds: float, max_bytes: int) -> list[StoredRecord]:
        """See `LogTail`. `max_bytes` is left to the consumer's own fetch limits."""
        with _translated("be read"):
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
        with _translated("tell where a topic ends"):
            ends = self._consumer.end_offsets(list(self._partitions))
        return {number: ends[partition] for partition, number in self._partitions.items()}

    def position(self, partition: int) -> int:
        """See `LogTail`."""
        place = next(known for known, number in self._partitions.items() if number == partition)
        with _translated("be read"):
            return int(self._consumer.position(place))

    def close(self) -> None:
        """See `LogTail`."""
        self._consumer.close()

"""kafka-python's producer as the log uses it: idempotent, confirmed by all in-sync replicas, and given up in time."""

import contextlib

from kafka import KafkaProducer
from kafka.errors import KafkaError

from penstock.eventlog.kafka.cluster import REACHED_MS, connection
from penstock.settings import Kafka

_CLOSE_SECONDS = 1.0
_BLOCK_MS = 1000
"""How long kafka-python may wait for metadata: it holds up all requests behind the one that needs it."""

_OVERDUE_SECONDS = 0.5


def given_up_seconds(settings: Kafka) -> float:
    """How long after it was sent a record is given up, whatever kafka-python does.

    kafka-python should do it at the delivery time-out. But after a broker hung for longer than that its sender waits
    for ever (3.0.12), and another producer is needed.
    """
    return settings.delivery_timeout_seconds + _OVERDUE_SECONDS


def make_producer(settings: Kafka) -> KafkaProducer:
    """A producer that has found a broker.

    Raises:
        KafkaError: there is none.
    """
    delivery_ms = int(settings.delivery_timeout_seconds * 1000)
    return KafkaProducer(
        **connection(settings),
        metrics_enabled=False,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,  # who appends lingers, while events can still share a record
        delivery_timeout_ms=delivery_ms,
        request_timeout_ms=max(1000, delivery_ms // 2),
        max_block_ms=min(delivery_ms, _BLOCK_MS),
        max_request_size=4 << 20,
        allow_auto_create_topics=False,
        bootstrap_timeout_ms=REACHED_MS,
    )


def discard(producer: KafkaProducer) -> None:
    """Closes a producer without waiting for what it did not send."""
    with contextlib.suppress(KafkaError):
        producer._sender.force_close()  # `close` alone flushes first, and gives up where that does not end
        producer.close(timeout=_CLOSE_SECONDS)

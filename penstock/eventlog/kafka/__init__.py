"""The scaled-out log: Apache Kafka through kafka-python.

`KafkaLog` keeps the contract. Below it: `appender` sends events, `tail` reads, `producer` and `cluster` are what both
need of kafka-python, and `decoders` mends a fault of it.
"""

from penstock.eventlog.kafka.cluster import check_topic, create_topics
from penstock.eventlog.kafka.log import KafkaLog

__all__ = ["KafkaLog", "check_topic", "create_topics"]

"""Reaching a Kafka cluster: what its clients are told, whether it has the topics, and how they are made."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from penstock.errors import LogUnavailable
from penstock.eventlog.kafka.decoders import compile_alone
from penstock.settings import Kafka
from schemas.topics import POLICIES, Topic

REACHED_MS = 5000
"""How long a new client may look for a broker."""

_IN_TIME = {"bootstrap_timeout_ms": REACHED_MS, "request_timeout_ms": REACHED_MS}

_LISTED_SECONDS = 10.0

_log = structlog.get_logger(__name__)

compile_alone()


@contextmanager
def translated(doing: str) -> Iterator[None]:
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


@contextmanager
def _admin(settings: Kafka, **timeouts: int) -> Iterator[KafkaAdminClient]:
    with translated("be reached"):
        admin = KafkaAdminClient(**connection(settings), **timeouts)
        try:
            yield admin
        finally:
            admin.close()


def check_topic(settings: Kafka, topic: Topic) -> None:
    """Whether the topic is there; asks Kafka anew. Without it, kafka-python waits for a missing topic in vain.

    Raises:
        LogUnavailable: it is not, or Kafka does not answer.
    """
    name = topic_name(settings, topic)
    with _admin(settings, **_IN_TIME) as admin:
        if name not in set(admin.list_topics()):
            raise LogUnavailable(f"The topic {name} does not exist: run 'penstock migrate'")


def count_partitions(settings: Kafka, topic: Topic) -> int:
    """How many partitions the topic has.

    Raises:
        LogUnavailable: it is not there, or Kafka does not answer.
    """
    check_topic(settings, topic)
    with _admin(settings, **_IN_TIME) as admin:
        described = admin.describe_topics([topic_name(settings, topic)])
    return len(described[0]["partitions"])


def create_topics(settings: Kafka, *, dry_run: bool = False) -> list[str]:
    """Creates the topics that are missing and returns their names.

    Raises:
        LogUnavailable: Kafka does not answer.
    """
    with _admin(settings) as admin:
        existing = set(admin.list_topics())
        missing = [topic for topic in Topic if topic_name(settings, topic) not in existing]
        if missing and not dry_run:
            _create(admin, settings, missing)
            _await_listed(admin, [topic_name(settings, topic) for topic in missing])
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

"""Where the tests' Kafka and ClickHouse come from: containers where Docker runs, else processes of this machine.

It is decided once a run and printed at its head. TEST_SERVICES=docker or =local decides it otherwise.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.containers.docker import Docker, DockerFailed
from tests.containers.images import CLICKHOUSE, KAFKA, Images, is_stand_in
from tests.support.containers import remove_abandoned
from tests.support.services import ServiceUnavailable

VARIABLE = "TEST_SERVICES"
_CHOICES = ("auto", "docker", "local")
_DECIDED = {KAFKA: "TEST_KAFKA_IMAGE", CLICKHOUSE: "TEST_CLICKHOUSE_IMAGE"}
"""Tells the processes of a run what was decided; empty: no container."""


@dataclass(frozen=True)
class Provider:
    """What was decided.

    Attributes:
        kafka: the image; empty for a process of this machine.
        clickhouse: the same.
        reason: why.
    """

    kafka: str
    clickhouse: str
    reason: str

    def __str__(self) -> str:
        if not self.kafka:
            return f"services: Kafka's broker and chDB's bridge as processes of this machine ({self.reason})"
        named = [f"{image}{' (stand-in)' * is_stand_in(image)}" for image in (self.kafka, self.clickhouse)]
        return f"services: containers of {' and '.join(named)} ({self.reason})"

    @property
    def fails_when_told(self) -> bool:
        """Whether its ClickHouse takes faults: a server does not, chDB in its place does."""
        return not self.clickhouse or is_stand_in(self.clickhouse)


def decide() -> Provider:
    """Looks for an engine and images, and leaves the answer to the processes that this one starts.

    Raises:
        ServiceUnavailable: Docker is asked for, and no engine or no image can be had; or the variable makes no sense.
    """
    found = _decide(os.environ.get(VARIABLE, "auto"))
    os.environ[_DECIDED[KAFKA]], os.environ[_DECIDED[CLICKHOUSE]] = found.kafka, found.clickhouse
    return found


def decided() -> Provider:
    """What the head of this run decided."""
    kafka, clickhouse = (os.environ.get(name) for name in _DECIDED.values())
    if kafka is None or clickhouse is None:
        return decide()
    return Provider(kafka, clickhouse, "decided before")


def _decide(choice: str) -> Provider:
    if choice not in _CHOICES:
        raise ServiceUnavailable(f"{VARIABLE} is {choice!r}: it may be {', '.join(_CHOICES)}")
    if choice == "local":
        return Provider("", "", f"{VARIABLE}=local")
    docker = Docker()
    version = docker.version()
    if version:
        remove_abandoned(docker)
    try:
        if not version:
            raise ServiceUnavailable("no Docker engine answers")
        images = Images(docker, lambda text: print(text, flush=True))
        return Provider(images.get(KAFKA), images.get(CLICKHOUSE), f"Docker {version}")
    except (ServiceUnavailable, DockerFailed) as missing:
        if choice == "docker":
            raise ServiceUnavailable(str(missing)) from None
        return Provider("", "", str(missing).splitlines()[0])

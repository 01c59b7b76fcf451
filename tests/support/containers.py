"""Kafka and ClickHouse in containers, by testcontainers; `provider` says when.

They are made from the official images or from the stand-ins of `tests.containers`, which take the same settings. Data and
port outlive a stop or kill, as the container does; it is removed at the end.
"""

from __future__ import annotations

import http.client
import os
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from tests.containers.docker import Docker
from tests.support.breakable import Breakable
from tests.support.clickhouse_server import TakesFaults, pings
from tests.support.kafka_broker import FAST_RETURN, FAST_START, broker_settings, knows_itself
from tests.support.services import LOOPBACK, free_port, wait_until

# Before testcontainers is imported: what it would start to clean up after us cannot be pulled everywhere, and it takes the
# bridge's address for this machine's.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", LOOPBACK)

_OWNER = "penstock-test.owner"
"""A label: the process whose container it is."""

_STOP_SECONDS = 30


def remove_abandoned(docker: Docker) -> None:
    """Removes the containers of runs that ended without doing it."""
    shown = docker("ps", "--all", f"--filter=label={_OWNER}", f'--format={{{{.ID}}}} {{{{.Label "{_OWNER}"}}}}')
    owners = dict(line.split(maxsplit=1) for line in shown.splitlines())
    if left := [one for one, owner in owners.items() if _is_gone(*owner.rsplit("/", 1))]:
        docker("rm", "--force", "--volumes", *left)


def _is_gone(host: str, pid: str) -> bool:
    """Of another host's processes nothing is known."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return host == socket.gethostname()
    except PermissionError:
        pass
    return False


class ServiceContainer(Breakable, ABC):
    """One service; see `tests.support.breakable`.

    Args:
        image: it is in the engine.
    """

    ready_within_seconds: ClassVar[float] = 60.0

    def __init__(self, image: str) -> None:
        self.image = image
        self.host = LOOPBACK
        self.port = free_port()
        self._made: Any = None  # testcontainers has no types

    @property
    @abstractmethod
    def inner_port(self) -> int:
        """Where it listens within."""

    @abstractmethod
    def variables(self) -> Mapping[str, str]:
        """Its settings."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """One short attempt at a round trip."""

    @property
    def _container(self) -> Any:
        found = self._made.get_wrapped_container()
        found.reload()
        return found

    @property
    def running(self) -> bool:
        return self._made is not None and self._container.status in ("running", "paused")

    def start(self) -> None:
        """Starts it and waits until requests are answered.

        Raises:
            TimeoutError: it does not answer; its last words are in the message.
        """
        if self._made is None:
            self._made = self._create()
            self._made.start()
        else:
            self._container.start()
        try:
            wait_until(self._is_ready, self.ready_within_seconds, f"{self.image} to answer")
        except TimeoutError as late:
            said = self._container.logs(tail=40).decode(errors="replace")
            self._made.stop()
            raise TimeoutError(f"{late}\n{said}") from None

    def stop(self) -> int:
        self.resume()
        self._container.stop(timeout=_STOP_SECONDS)
        return int(self._container.attrs["State"]["ExitCode"])

    def kill(self) -> None:
        self.resume()
        if self.running:
            self._container.kill()
            self._container.wait()

    def pause(self) -> None:
        self._container.pause()

    def resume(self) -> None:
        if self._made is not None and self._container.status == "paused":
            self._container.unpause()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._made.stop()

    def _create(self) -> Any:
        from testcontainers.core.container import DockerContainer

        made = DockerContainer(self.image)
        for name, value in self.variables().items():
            made.with_env(name, value)
        made.ports[f"{self.inner_port}/tcp"] = (self.host, self.port)  # type: ignore[assignment] # with_bind_ports would open it to the network
        return made.with_kwargs(labels={_OWNER: f"{socket.gethostname()}/{os.getpid()}"})


class KafkaContainer(ServiceContainer):
    """One broker that is its own controller."""

    inner_port = 9092

    def __init__(self, image: str) -> None:
        super().__init__(image)
        self.bootstrap_servers = f"{self.host}:{self.port}"

    def variables(self) -> dict[str, str]:
        """The settings of `kafka_broker`, as the image takes them."""
        inner = {
            "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
        }
        settings = broker_settings(
            Path("/var/lib/kafka/data"),
            f"{inner['advertised.listeners']},CONTROLLER://localhost:9093",
            FAST_RETURN | inner,
        )
        named = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}
        return {**named, "KAFKA_HEAP_OPTS": " ".join(("-Xmx512m", *FAST_START))}

    def _is_ready(self) -> bool:
        try:
            return knows_itself(self.host, self.port)
        except (OSError, struct.error):
            return False


class ClickHouseContainer(ServiceContainer, TakesFaults):
    """One server, or chDB in its place; only that takes faults."""

    inner_port = 8123

    def __init__(self, image: str) -> None:
        super().__init__(image)
        self.url = f"http://{self.host}:{self.port}"

    def variables(self) -> dict[str, str]:
        """The user `default` without a password, as the stand-in has it."""
        return {"CLICKHOUSE_SKIP_USER_SETUP": "1"}

    def _is_ready(self) -> bool:
        try:
            return pings(self.host, self.port)
        except (OSError, http.client.HTTPException):
            return False

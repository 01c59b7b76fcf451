"""What a run stands on: the deployment, its services, and everything of it that can be broken."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import httpx

from tests.chaos.options import Options
from tests.support.clickhouse_server import BridgeServer
from tests.support.deployments import Deployment, Embedded, ScaledOut, port_of
from tests.support.kafka_broker import KafkaBroker
from tests.support.services import LOOPBACK, Process, Service

_TERMINATE_SECONDS = 30.0


@dataclass(slots=True, eq=False)
class Target:
    """A process of the product, or a service behind it.

    Attributes:
        kind: faults are counted by it; two `ingest` are one kind.
        url: of a process of the product.
        busy: held while a fault is under way.
    """

    name: str
    what: Process | Service
    url: str = ""
    busy: Lock = field(default_factory=Lock)

    @property
    def kind(self) -> str:
        """Without the number."""
        return self.name.partition("-")[0]

    @property
    def is_ours(self) -> bool:
        """Whether it is a process of the product."""
        return isinstance(self.what, Process)

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        if isinstance(self.what, Service):
            return self.what.stop()
        return self.what.terminate(_TERMINATE_SECONDS)

    def lives(self) -> bool:
        """Whether it has started so far that it answers."""
        return self._says("/healthz")

    def ready(self) -> bool:
        """Whether it can do its work."""
        return self._says("/readyz")

    def _says(self, path: str) -> bool:
        if not self.url:
            return self.what.running
        try:
            return httpx.get(self.url + path, timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def becomes_ready(self, timeout_seconds: float) -> bool:
        """Waits for it; False where it was not ready in time, or ended."""
        deadline = time.monotonic() + timeout_seconds
        while not self.ready():
            if time.monotonic() > deadline or not self.what.running:
                return False
            time.sleep(0.05)
        return True


@dataclass(frozen=True, slots=True)
class Stage:
    """A running deployment."""

    deployment: Deployment
    targets: list[Target]

    def target(self, name: str) -> Target:
        """The target of that name."""
        return next(target for target in self.targets if target.name == name)


@contextmanager
def opened(options: Options) -> Iterator[Stage]:
    """Starts everything in the options' directory; ends everything, however the run went."""
    if options.form == "embedded":
        with _started(Embedded(options.directory), []) as stage:
            yield stage
        return
    with _services(options.directory) as (broker, bridge):
        deployment = ScaledOut(options.directory, broker, bridge, ingests=2, consumers=options.consumers)
        with _started(deployment, [Target("kafka", broker), Target("clickhouse", bridge)]) as stage:
            yield stage


@contextmanager
def _services(directory: Path) -> Iterator[tuple[KafkaBroker, BridgeServer]]:
    for name in ("kafka", "clickhouse"):
        (directory / name).mkdir()
    with KafkaBroker(directory / "kafka") as broker, BridgeServer(directory / "clickhouse") as bridge:
        yield broker, bridge


@contextmanager
def _started(deployment: Deployment, services: list[Target]) -> Iterator[Stage]:
    targets = [
        Target(name, process, f"http://{LOOPBACK}:{port_of(process)}")
        for name, process in deployment.processes().items()
    ]
    try:
        deployment.start()
        yield Stage(deployment, targets + services)
    finally:
        deployment.stop()

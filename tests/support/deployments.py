"""The product as users run it: processes of the command line, reached over HTTP. Two forms, one interface.

The end-to-end tests know nothing else of a form than what is declared here.
"""

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import httpx

from penstock.clock import SystemClock
from penstock.opening import opened_log
from penstock.projects import create_project
from penstock.settings import load
from tests.support import preloaded
from tests.support.breakable import Broker, ClickHouseService
from tests.support.kafka_cluster import KafkaCluster
from tests.support.services import LOOPBACK, Process, free_port

PENSTOCK = [sys.executable, "-m", "penstock"]
_READY_SECONDS = 60


@dataclass(frozen=True)
class Project:
    """A project and its keys."""

    id: str
    public_key: str
    secret_key: str

    @property
    def tracking(self) -> dict[str, str]:
        """The headers of a write."""
        return {"Authorization": f"Bearer {self.public_key}"}

    @property
    def reading(self) -> dict[str, str]:
        """The headers of a read."""
        return {"Authorization": f"Bearer {self.secret_key}"}


def clean_environment(extra: dict[str, str]) -> dict[str, str]:
    """This process's environment without anybody's PENSTOCK_ settings, and with `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return {**kept, **extra}


class Deployment(ABC):
    """A running product."""

    name: str
    ingest_urls: Sequence[str]
    query_url: str
    host: str = LOOPBACK
    """This machine's address, as the product sees it."""
    has_old_proxy: bool = False
    """Whether the HAProxy of the stand-in is in front."""

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        """`settings`: variables beyond those that the form needs."""
        self.directory = directory
        self.settings = dict(settings or {})

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The settings."""

    @abstractmethod
    def processes(self) -> dict[str, Process]:
        """All processes, by name."""

    @abstractmethod
    def start(self) -> None:
        """Starts everything and waits until it is ready."""

    def wait_ready(self) -> None:
        """Waits until every process says that it can do its work."""
        for process in self.processes().values():
            wait_ready(f"http://{LOOPBACK}:{port_of(process)}", process)

    def stop(self) -> None:
        """Ends everything."""
        for process in self.processes().values():
            process.kill()

    def cli(self, *arguments: str, timeout_seconds: float = 150) -> subprocess.CompletedProcess[str]:
        """Runs a command of `penstock` beside the running product."""
        environment = clean_environment(self.environment())
        return preloaded.run([*PENSTOCK, *arguments], timeout_seconds=timeout_seconds, env=environment)

    def cli_json(self, *arguments: str) -> Any:
        """The same with --json, which must succeed."""
        done = self.cli(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def create_project(self) -> Project:
        """A fresh project, usable at once: what the command does, without the second in which it starts."""
        with patch.dict(os.environ, clean_environment(self.environment()), clear=True), opened_log(load()) as log:
            made = create_project(log, f"test {uuid4().hex[:8]}", SystemClock().now_ms())
        project = Project(made.project.id, made.public.text, made.secret.text)
        self.wait_for_key(project.secret_key)
        return project

    def wait_for_key(self, key: str) -> None:
        """Waits until every process knows the key."""
        headers = {"Authorization": f"Bearer {key}"}
        for process in self.processes().values():
            assert process.running, process.log_tail()
        for url in {*self.ingest_urls}:
            _wait_until(lambda url=url: httpx.post(f"{url}/v1/track", headers=headers, json={}).status_code == 422)
        _wait_until(lambda: httpx.get(f"{self.query_url}/events/names", headers=headers).status_code == 200)

    def age_ms(self, project: Project) -> int:
        """How old a read says that its view is."""
        answer = httpx.get(f"{self.query_url}/events?limit=1", headers=project.reading)
        return int(answer.headers["X-Data-Age-Ms"])

    def process(self, name: str, *arguments: str, **settings: str) -> Process:
        """A process of `penstock`, not started; `settings` are its own."""
        return Process(
            [*PENSTOCK, *arguments],
            log_file=self.directory / f"{name}.log",
            env=_only(clean_environment({**self.environment(), **settings})),
        )


def _only(environment: dict[str, str]) -> dict[str, str]:
    """`Process` adds to this process's environment: empty out what must not be inherited."""
    assert not [name for name in os.environ if name.startswith("PENSTOCK_") and name not in environment]
    return environment


def _wait_until(predicate: Any) -> None:
    from tests.support.services import wait_until

    def tolerant() -> bool:
        try:
            return bool(predicate())
        except httpx.HTTPError:
            return False

    wait_until(tolerant, 30, "the product to answer", poll_seconds=0.05)


def port_of(process: Process) -> str:
    """The port that a process was told to listen on."""
    return process.args[process.args.index("--port") + 1]


def wait_ready(url: str, process: Process) -> None:
    """Waits until the process says that it can do its work."""

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    process.wait_ready(ready, _READY_SECONDS, f"{url} to be ready")


class Embedded(Deployment):
    """`penstock up`."""

    name = "embedded"

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(directory, settings)
        self.port = free_port()
        self.query_url = f"http://{LOOPBACK}:{self.port}"
        self.ingest_urls = [self.query_url]
        self._up = self.process("up", "up", "--port", str(self.port))

    def environment(self) -> dict[str, str]:
        return {"PENSTOCK_DATA_DIR": str(self.directory / "data"), **self.settings}

    def processes(self) -> dict[str, Process]:
        return {"up": self._up}

    def start(self) -> None:
        self._up.start()
        self.wait_ready()


class ScaledOut(Deployment):
    """`penstock ingest`, `consume` and `query` on a real Kafka and on ClickHouse's HTTP interface.

    Args:
        ingests: how many `ingest` take requests.
        consumers: how many `consume` share the partitions.
    """

    name = "kafka"

    def __init__(
        self,
        directory: Path,
        broker: Broker | KafkaCluster,
        clickhouse: ClickHouseService,
        settings: Mapping[str, str] | None = None,
        *,
        ingests: int = 1,
        consumers: int = 1,
    ) -> None:
        super().__init__(directory, settings)
        self._broker = broker
        self._clickhouse = clickhouse
        self._suffix = uuid4().hex[:8]
        self._processes: dict[str, Process] = {}
        self.ingest_urls = self._prepare("ingest", ingests)
        (self.query_url,) = self._prepare("query", 1)
        self._prepare("consume", consumers)

    def _prepare(self, command: str, count: int) -> list[str]:
        """Processes of a command; where they will listen."""
        ports = [free_port() for _ in range(count)]
        for number, port in enumerate(ports, 1):
            name = command if number == 1 else f"{command}-{number}"
            self._processes[name] = self.process(name, command, "--port", str(port))
        return [f"http://{LOOPBACK}:{port}" for port in ports]

    def environment(self) -> dict[str, str]:
        return {
            "PENSTOCK_KAFKA__BOOTSTRAP_SERVERS": self._broker.bootstrap_servers,
            "PENSTOCK_KAFKA__TOPIC_PREFIX": f"e2e-{self._suffix}",
            "PENSTOCK_KAFKA__GROUP": f"e2e-{self._suffix}",
            "PENSTOCK_CLICKHOUSE__URL": self._clickhouse.url,
            "PENSTOCK_CLICKHOUSE__DATABASE": f"e2e_{self._suffix}",
            **self.settings,
        }

    def processes(self) -> dict[str, Process]:
        return self._processes

    def start(self) -> None:
        done = self.cli("migrate")
        assert done.returncode == 0, done.stderr
        for process in self._processes.values():
            process.start()
        self.wait_ready()

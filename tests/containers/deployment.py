"""What compose runs, as the end-to-end tests see a product: one address, and commands in a container."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from tests.containers.compose import PORTS, Compose
from tests.containers.images import is_stand_in
from tests.support.deployments import Deployment
from tests.support.services import Process, wait_until


class Composed(Deployment):
    """The project that compose runs already. Its processes are not the tests' to start or to kill."""

    name = "compose"

    def __init__(self, compose: Compose, directory: Path) -> None:
        super().__init__(directory)
        self.compose = compose
        self.ingest_urls = [compose.url]
        self.query_url = compose.url
        self.host = compose.gateway()
        self.has_old_proxy = is_stand_in(compose.variables["HAPROXY_IMAGE"])
        self._addresses = {one.service: one.address("storage") for one in compose.containers("kafka", "clickhouse")}

    def environment(self) -> dict[str, str]:
        """Settings for this process, beside the containers; see `known_names`."""
        return {
            "PENSTOCK_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
            "PENSTOCK_KAFKA__TOPIC_PREFIX": "penstock",
            "PENSTOCK_CLICKHOUSE__URL": f"http://{self._addresses['clickhouse']}:8123",
            "PENSTOCK_CLICKHOUSE__USERNAME": "penstock",
            "PENSTOCK_CLICKHOUSE__PASSWORD": self.compose.variables["CLICKHOUSE_PASSWORD"],
        }

    @contextmanager
    def known_names(self) -> Iterator[None]:
        """While it lasts, this process knows the names that containers have for each other."""
        asked = socket.getaddrinfo

        def known(host: Any, *arguments: Any, **more: Any) -> Any:
            return asked(self._addresses.get(host, host), *arguments, **more)

        with patch.object(socket, "getaddrinfo", known):
            yield

    def processes(self) -> Mapping[str, Process]:  # type: ignore[override] # none that a test may touch
        return {}

    def start(self) -> None:
        """It runs."""

    def cli(self, *arguments: str, timeout_seconds: float = 150) -> subprocess.CompletedProcess[str]:
        return self.compose.execute("consume", "penstock", *arguments, timeout_seconds=timeout_seconds)

    def wait_for_key(self, key: str) -> None:
        """Also of the processes that the balancer does not choose just now."""
        headers = {"Authorization": f"Bearer {key}"}
        urls = [f"http://{one.address('default')}:{PORTS[one.service]}" for one in self.compose.containers(*PORTS)]

        def is_known(url: str) -> bool:
            is_write = url.endswith(f":{PORTS['ingest']}")
            path, method = ("/v1/track", "POST") if is_write else ("/events/names", "GET")
            return httpx.request(method, url + path, headers=headers).status_code != 401

        wait_until(lambda: all(map(is_known, urls)), 30, "every process to know the key", poll_seconds=0.05)

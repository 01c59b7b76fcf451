"""Processes are killed and stopped under load: what was acknowledged is there, once."""

import threading
from typing import Any

import httpx
import pytest

from tests.support.client import Client
from tests.support.deployments import Deployment, Project, wait_ready
from tests.support.services import wait_until

pytestmark = pytest.mark.services


class Load:
    """Posts with retries until told to stop; remembers what was acknowledged."""

    def __init__(self, deployment: Deployment, project: Project) -> None:
        self._deployment = deployment
        self._project = project
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._post, args=(number,)) for number in range(4)]
        self.acknowledged: set[str] = set()
        self.unexpected: list[str] = []

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _post(self, thread: int) -> None:
        urls, number = self._deployment.ingest_urls, 0
        with httpx.Client(timeout=15) as http:
            while not self._stopping.is_set():
                key, number = f"{thread}-{number}", number + 1
                self._until_acknowledged(http, urls[number % len(urls)], key)

    def _until_acknowledged(self, http: httpx.Client, url: str, key: str) -> None:
        body = {"event": "load", "email": f"user{len(key) % 3}@example.com"}
        headers = {**self._project.tracking, "Idempotency-Key": key}
        while not self._stopping.is_set():
            try:
                answer = http.post(f"{url}/v1/track", headers=headers, json=body)
            except httpx.HTTPError:
                self._stopping.wait(0.05)
                continue
            if answer.status_code == 200:
                self.acknowledged.add(answer.json()["event"])
                return
            if answer.status_code != 503:
                self.unexpected.append(answer.text)
                return
            self._stopping.wait(0.1)


def _check(deployment: Deployment, project: Project, load: Load) -> None:
    """Every acknowledged event is in every read, and nothing is there twice. More than acknowledged may be there."""
    client = Client(deployment, project)

    def found() -> list[str]:
        return [row["id"] for row in client.all_events(eventName="load")]

    wait_until(lambda: load.acknowledged <= set(found()), 60, "all acknowledged events", poll_seconds=0.5)
    ids: list[str] = []
    wait_until(lambda: _stable(found, ids), 20, "the list to be stable", poll_seconds=0.5)
    assert len(ids) == len(set(ids))
    assert client.counts() == {"load": len(ids)}
    assert not load.unexpected
    client.close()


def _stable(found: Any, ids: list[str]) -> bool:
    now = found()
    same: bool = now == ids
    ids[:] = now
    return same


def test_kill_9_of_every_process_loses_nothing_and_doubles_nothing(own_deployment: Deployment) -> None:
    project = own_deployment.create_project()
    with Load(own_deployment, project) as load:
        for process in own_deployment.processes().values():
            before = len(load.acknowledged)
            wait_until(lambda before=before: len(load.acknowledged) > before + 50, 60, "load")  # type: ignore[misc]
            process.kill()
            process.start()
    for name, process in own_deployment.processes().items():
        wait_ready(_url(own_deployment, name, process), process)
    _check(own_deployment, project, load)


def _url(deployment: Deployment, name: str, process: Any) -> str:
    port = process.args[process.args.index("--port") + 1]
    return f"http://127.0.0.1:{port}"


def test_sigterm_under_load_exits_0_within_ten_seconds_and_loses_nothing(own_deployment: Deployment) -> None:
    project = own_deployment.create_project()
    with Load(own_deployment, project) as load:
        for process in own_deployment.processes().values():
            before = len(load.acknowledged)
            wait_until(lambda before=before: len(load.acknowledged) > before + 50, 60, "load")  # type: ignore[misc]
            assert process.terminate(10) == 0, process.log_tail()
            process.start()
    for name, process in own_deployment.processes().items():
        wait_ready(_url(own_deployment, name, process), process)
    _check(own_deployment, project, load)

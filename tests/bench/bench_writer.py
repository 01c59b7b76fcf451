"""From the log into the tables: how fast a backlog is written, and how soon an event is visible under steady load."""

import asyncio
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.bench.report import report
from tests.support.clickhouse_server import BridgeServer
from tests.support.deployments import Deployment, Embedded, Project, ScaledOut, wait_ready
from tests.support.kafka_broker import KafkaBroker
from tests.support.services import wait_until

pytestmark = pytest.mark.bench

BACKLOG = 1_000_000


def _count(deployment: Deployment, project: Project) -> int:
    answer = httpx.get(f"{deployment.query_url}/events/stats", headers=project.reading, timeout=30)
    return sum(row["count"] for row in answer.json()) if answer.status_code == 200 else 0


def _seconds_to_write(start: Callable[[], None], deployment: Deployment, project: Project) -> float:
    """From the first event in the tables to the last: what starting a process takes is not what is measured."""
    start()
    wait_until(lambda: _count(deployment, project) > 0, 60, "the first events", poll_seconds=0.02)
    started, first = time.monotonic(), _count(deployment, project)
    wait_until(lambda: _count(deployment, project) >= BACKLOG, 300, "the backlog", poll_seconds=0.1)
    return (time.monotonic() - started) * BACKLOG / (BACKLOG - first)


def _fill(deployment: Deployment, project: Project) -> None:
    """Puts the backlog into the log, past ingest, in records as ingest makes them from batches."""
    command = [sys.executable, "-m", "tests.bench.fill_log", project.id, str(BACKLOG)]
    subprocess.run(command, env=deployment.process("none")._env, check=True, timeout=600)


def test_embedded_backlog(tmp_path: Path) -> None:
    deployment = Embedded(tmp_path)
    made = deployment.cli_json("project", "create", "bench")
    project = Project(made["projectId"], made["publicKey"], made["secretKey"])
    _fill(deployment, project)
    up = deployment.processes()["up"]

    def start() -> None:
        up.start()
        wait_ready(deployment.query_url, up)

    try:
        seconds = _seconds_to_write(start, deployment, project)
    finally:
        deployment.stop()
    report("embedded, log to tables", BACKLOG / seconds, "events/s", least=100_000)


def test_kafka_backlog(tmp_path: Path) -> None:
    with KafkaBroker(fast_start=False) as broker, BridgeServer() as bridge:
        deployment = ScaledOut(tmp_path, broker, bridge, ingests=2)
        try:
            deployment.start()
            project = deployment.create_project()
            consume = deployment.processes()["consume"]
            consume.terminate(20)
            _fill(deployment, project)
            seconds = _seconds_to_write(consume.start, deployment, project)
        finally:
            deployment.stop()
    report("kafka, log to tables", BACKLOG / seconds, "events/s", least=100_000)


class SteadyLoad:
    """2,000 single posts a second, paced, from one thread with raw sockets: httpx would take a core for it."""

    def __init__(self, deployment: Deployment, project: Project, per_second: int = 2000) -> None:
        self._deployment = deployment
        self._project = project
        self._per_second = per_second
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.acknowledged = 0
        self.failed = 0

    def __enter__(self) -> "SteadyLoad":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    async def _run(self) -> None:
        connections = 32
        await asyncio.gather(*[self._connection(number, connections) for number in range(connections)])

    async def _connection(self, number: int, connections: int) -> None:
        url = httpx.URL(self._deployment.ingest_urls[number % len(self._deployment.ingest_urls)])
        reader, writer = await asyncio.open_connection(url.host, url.port)
        pause, due = connections / self._per_second, time.monotonic() + number / self._per_second
        while not self._stopping.is_set():
            await asyncio.sleep(max(0, due - time.monotonic()))
            due += pause
            writer.write(self._request(number))
            status = int((await reader.readline()).split()[1])
            await self._rest(reader)
            self.acknowledged += status == 200
            self.failed += status != 200
        writer.close()

    def _request(self, number: int) -> bytes:
        body = b'{"event":"steady","email":"person%d@example.com","data":{"number":%d}}' % (number, self.acknowledged)
        key = self._project.public_key.encode()
        head = b"POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n" % key
        return head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async def _rest(self, reader: asyncio.StreamReader) -> None:
        length = 0
        while (line := await reader.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        await reader.readexactly(length)


def _post_to_visible(deployment: Deployment, project: Project, probes: int = 200) -> list[float]:
    """Seconds from the acknowledgement of a probe to the answer of a read that must show it."""
    seconds = []
    with httpx.Client(timeout=30) as http:
        for _ in range(probes):
            body = {"event": "probe", "email": f"{uuid4().hex}@example.com"}
            posted = http.post(f"{deployment.ingest_urls[0]}/v1/track", headers=project.tracking, json=body)
            acknowledged = time.monotonic()
            headers = project.reading | {"X-After-Position": posted.headers["X-Position"]}
            read = http.get(
                f"{deployment.query_url}/events", headers=headers, params={"eventName": "probe", "limit": 1}
            )
            assert read.status_code == 200, read.text
            assert read.json()["events"][0]["id"] == posted.json()["event"]
            seconds.append(time.monotonic() - acknowledged)
            time.sleep(0.03)
    return sorted(seconds)


def _visible(form: str, deployment: Deployment, project: Project) -> None:
    with SteadyLoad(deployment, project) as load:
        time.sleep(3)
        before, started = load.acknowledged, time.monotonic()
        seconds = _post_to_visible(deployment, project)
        rate = (load.acknowledged - before) / (time.monotonic() - started)
    p99 = seconds[int(len(seconds) * 0.99) - 1]
    report(f"{form}, post to visible at {rate:,.0f} events/s, p50", statistics.median(seconds) * 1000, "ms")
    report(f"{form}, post to visible at {rate:,.0f} events/s, p99", p99 * 1000, "ms", least=1000)
    assert load.failed == 0
    assert p99 <= 5  # a generous deadline; the figure is what counts


def test_embedded_visible(embedded: Embedded, embedded_project: Project) -> None:
    _visible("embedded", embedded, embedded_project)


def test_kafka_visible(scaled_out: ScaledOut, scaled_out_project: Project) -> None:
    _visible("kafka", scaled_out, scaled_out_project)


@pytest.fixture(autouse=True)
def _settled() -> Iterator[None]:
    yield
    time.sleep(1)

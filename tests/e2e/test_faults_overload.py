"""More comes in than the log takes: memory stays bounded, what is refused is told when to come again, nothing is lost."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.client import Client
from tests.support.deployments import Embedded, Project
from tests.support.logs import commits_blocked
from tests.support.services import Process, wait_until

pytestmark = pytest.mark.services

CLIENTS = 160
BATCH_EVENTS = 1000
BODY = json.dumps([{"event": "flood", "email": "ada@example.com", "data": "x" * 4800}] * BATCH_EVENTS).encode()
"""Nearly the 5 MiB that a batch may have; all clients together have 780 MB under way."""

MORE_BYTES = 450 << 20
"""What it may take more than at rest: what waits for the log and what arrives have 64 MiB each, and are held as text, as
events, as records, and by the allocator."""


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Embedded]:
    running = Embedded(tmp_path)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def peak_bytes(process: Process) -> int:
    """The most memory that the process has had."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


@contextmanager
def flood(product: Embedded, project: Project) -> Iterator[list[httpx.Response]]:
    """Batches from all clients, without a rest; all that was answered."""
    ending = threading.Event()
    answers: list[httpx.Response] = []
    headers = project.tracking | {"Content-Type": "application/json"}

    def post() -> None:
        with httpx.Client(timeout=60) as http:
            while not ending.is_set():
                answers.append(http.post(f"{product.query_url}/v1/track/batch", headers=headers, content=BODY))

    threads = [threading.Thread(target=post) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def test_a_flood_while_the_log_is_slow_is_refused_and_does_not_fill_the_memory(product: Embedded) -> None:
    project = product.create_project()
    client = Client(product, project)
    client.batch([{"event": "before", "email": "ada@example.com"}] * BATCH_EVENTS)
    process = product.processes()["up"]
    at_rest = peak_bytes(process)
    with commits_blocked(product.directory / "data"), flood(product, project) as answers:
        wait_until(lambda: len(answers) > 1.2 * CLIENTS, 60, "answers")
    assert peak_bytes(process) - at_rest < MORE_BYTES
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 503}
    assert statuses.count(503) > CLIENTS / 2
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status_code == 503)

    client.track({"event": "after", "email": "ada@example.com"})
    client.get("/events", after=client.position)
    stored = {"before": BATCH_EVENTS, "after": 1, "flood": statuses.count(200) * BATCH_EVENTS}
    wait_until(lambda: sum(client.counts().values()) >= sum(stored.values()), 60, "all events", poll_seconds=0.2)
    assert client.counts() == {name: count for name, count in stored.items() if count}
    client.close()

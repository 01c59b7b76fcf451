"""Beside a segment over a million contacts that is computed over and over: ingest, and the reads of another project."""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.bench import wrk
from tests.bench.report import report
from tests.support.client import Client
from tests.support.deployments import Embedded, Project

pytestmark = pytest.mark.bench

CONTACTS = 1_000_000
READS = 300


@contextmanager
def _computing(deployment: Embedded, project: Project, segment_id: str) -> Iterator[list[float]]:
    """While it lasts, all contacts are evaluated again and again; the list tells the seconds of each time."""
    took: list[float] = []
    ending = threading.Event()

    def compute() -> None:
        url = f"{deployment.query_url}/segments/{segment_id}/compute"
        with httpx.Client(timeout=60, headers=project.reading) as http:
            while not ending.is_set():
                started = time.monotonic()
                assert http.post(url).status_code == 200
                took.append(time.monotonic() - started)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield took
    finally:
        ending.set()
        thread.join()


def _read_ms(client: Client) -> tuple[float, float]:
    """p50 and p99 of reads of a page, one after the other."""
    took = []
    for _ in range(READS):
        started = time.perf_counter()
        client.read("/events", limit=50)
        took.append((time.perf_counter() - started) * 1000)
        time.sleep(0.01)
    return statistics.median(took), sorted(took)[int(READS * 0.99) - 1]


def _post(deployment: Embedded, project: Project) -> float:
    return statistics.median(
        wrk.run(deployment.query_url, "track.lua", key=project.public_key, seconds=6).per_second for _ in range(3)
    )


def test_a_segment_of_a_million_contacts_slows_neither_ingest_nor_other_projects(tmp_path: Path) -> None:
    deployment = Embedded(tmp_path)
    deployment.start()
    try:
        large, other = deployment.create_project(), deployment.create_project()
        filling, beside = Client(deployment, large), Client(deployment, other)
        for start in range(0, CONTACTS, 1000):
            filling.batch(
                [
                    {"event": "signup", "email": f"p{number}@example.com", "data": {"plan": "pro", "n": number}}
                    for number in range(start, start + 1000)
                ]
            )
        filling.read("/events", after=filling.position, limit=1)
        for number in range(200):
            beside.track({"event": "x", "email": f"p{number}@example.com"})
        beside.read("/events", after=beside.position, limit=1)
        filters = [
            {"field": "data.n", "operator": "lessThan", "value": 10_000},
            {"field": "event.signup", "operator": "triggeredWithin", "value": 30, "unit": "days"},
        ]
        condition = {"logic": "AND", "groups": [{"filters": filters}]}
        body = {"name": "Early", "condition": condition, "trackMembership": True}
        made = filling.create("/segments", body)
        with _computing(deployment, large, made["id"]):
            time.sleep(10)  # the entries of its members are emitted
        posts, (p50, p99) = _post(deployment, other), _read_ms(beside)
        with _computing(deployment, large, made["id"]) as took:
            posts_beside, (p50_beside, p99_beside) = _post(deployment, other), _read_ms(beside)
        report(f"a pass over {CONTACTS:,} contacts (of {len(took)})", statistics.median(took), "s")
        report("single POSTs of another project beside it", posts_beside, "events/s", limit=posts)
        report("reads of another project beside it, p50", p50_beside, "ms", limit=p50)
        report("reads of another project beside it, p99", p99_beside, "ms", limit=p99)
        assert took, "no pass ended meanwhile"
        assert posts_beside >= 0.5 * posts
        assert p50_beside <= 2 * p50
        filling.close()
        beside.close()
    finally:
        deployment.stop()

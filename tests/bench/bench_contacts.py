"""What contacts cost: a million events with `data`, posted and visible, with the projection and without it."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.bench.report import report
from tests.support.deployments import Embedded, Project
from tests.support.services import wait_until

pytestmark = pytest.mark.bench

EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
_BATCH = 1000
_SENDERS = 4
_ROUNDS = 3
_MOST = 1.25

_DROP = """
import sys
from pathlib import Path
from penstock.clickhouse.chdb import open_embedded
from penstock.settings import ClickHouse
tables = open_embedded(Path(sys.argv[1]), ClickHouse())
tables.execute("DROP VIEW contact_facts_view SYNC")
tables.close()
"""
"""By a process of its own, while nothing else has the tables."""


@dataclass(frozen=True)
class Cost:
    """Of one event.

    Attributes:
        cpu_us: of the server's processor time, ingest and projection together, in microseconds.
        passed_us: from the first post until all is visible, divided by the events.
    """

    cpu_us: float
    passed_us: float


class Side:
    """A deployment of its own."""

    def __init__(self, directory: Path, *, has_contacts: bool) -> None:
        self._deployment = Embedded(directory)
        made = self._deployment.cli_json("project", "create", "bench")
        self._project = Project(made["projectId"], made["publicKey"], made["secretKey"])
        self._stored = 0
        if not has_contacts:
            self._deployment.start()
            self._deployment.processes()["up"].terminate(20)
            subprocess.run([sys.executable, "-c", _DROP, str(directory / "data")], check=True, timeout=60)

    def stop(self) -> None:
        self._deployment.stop()

    def cost(self, bodies: Sequence[bytes]) -> Cost:
        """Posts all events and waits until they are visible, on a server that has just started."""
        self._deployment.start()
        up = self._deployment.processes()["up"]
        try:
            self._post(bodies[:1])  # warm
            cpu, started = _cpu_seconds(up.pid), time.monotonic()
            self._post(bodies)
            passed, used = time.monotonic() - started, _cpu_seconds(up.pid) - cpu
        finally:
            up.terminate(20)
        return Cost(used / EVENTS * 1e6, passed / EVENTS * 1e6)

    def _post(self, bodies: Sequence[bytes]) -> None:
        headers = {**self._project.tracking, "Content-Type": "application/json"}
        with httpx.Client(headers=headers, timeout=60) as http, ThreadPoolExecutor(_SENDERS) as pool:
            url = f"{self._deployment.ingest_urls[0]}/v1/track/batch"
            for answer in pool.map(lambda body: http.post(url, content=body), bodies):
                assert answer.status_code == 200, answer.text
        self._stored += len(bodies) * _BATCH
        wait_until(lambda: self._counted() == self._stored, 120, "the events", poll_seconds=0.05)

    def _counted(self) -> int:
        answer = httpx.get(f"{self._deployment.query_url}/events/stats", headers=self._project.reading, timeout=30)
        return sum(row["count"] for row in answer.json()) if answer.status_code == 200 else -1


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _bodies(people: int) -> list[bytes]:
    return [
        b"["
        + b",".join(
            b'{"event":"order completed","email":"person%d@example.com",'
            b'"data":{"plan":"pro","amount":49.9,"number":%d,"source":"web"}}' % (number * 7919 % people, number)
            for number in range(start, start + _BATCH)
        )
        + b"]"
        for start in range(0, EVENTS, _BATCH)
    ]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    made = [Side(tmp_path_factory.mktemp("contacts"), has_contacts=has_contacts) for has_contacts in (True, False)]
    yield made[0], made[1]
    for side in made:
        side.stop()


@pytest.mark.parametrize("people", [5_000, 100_000])
def test_a_million_events_with_data(sides: tuple[Side, Side], people: int) -> None:
    """In rounds of both, of which the one in the middle counts: no machine is equally fast all the time."""
    bodies = _bodies(people)
    rounds = [(sides[0].cost(bodies), sides[1].cost(bodies)) for _ in range(_ROUNDS)]
    for what, unit in (("cpu_us", "us CPU"), ("passed_us", "us")):
        ratios = [getattr(ours, what) / getattr(without, what) for ours, without in rounds]
        ours, without = sorted(rounds, key=lambda pair: getattr(pair[0], what) / getattr(pair[1], what))[_ROUNDS // 2]
        name = f"an event with data, {people:,} contacts, {'processor' if what == 'cpu_us' else 'time until visible'}"
        report(name, getattr(ours, what), unit, limit=getattr(without, what))
        assert statistics.median(ratios) <= _MOST, ratios

"""Reads at ten million rows, over HTTP, one at a time: the median of each, beside the engine's `SELECT 1`."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bench.report import report
from tests.support.deployments import Embedded, Project

pytestmark = pytest.mark.bench

ROWS = int(os.environ.get("BENCH_ROWS", "10000000"))


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Reads"]:
    directory: Path = tmp_path_factory.mktemp("reads")
    deployment = Embedded(directory)
    made = deployment.cli_json("project", "create", "bench")
    project = Project(made["projectId"], made["publicKey"], made["secretKey"])
    command = [sys.executable, "-m", "tests.bench.seed_tables", str(directory / "data"), project.id, str(ROWS)]
    subprocess.run(command, check=True, timeout=1200)
    try:
        deployment.start()
        time.sleep(5)  # the merges that the seeding left behind
        yield Reads(deployment.query_url, project)
    finally:
        deployment.stop()


class Reads:
    """A keep-alive client that times its reads."""

    def __init__(self, url: str, project: Project) -> None:
        self._http = httpx.Client(base_url=url, headers=project.reading, timeout=60)

    def get(self, path: str, **parameters: Any) -> Any:
        """One read that must succeed."""
        answer = self._http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def median_ms(self, read: Callable[[int], object], times: int = 41) -> float:
        """The median of `times` reads, after two that warm up."""
        seconds = []
        for number in range(-2, times):
            started = time.perf_counter()
            read(number)
            if number >= 0:
                seconds.append(time.perf_counter() - started)
        return statistics.median(seconds) * 1000


def _instant(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def test_a_request_that_reads_nothing(reads: Reads) -> None:
    report("reads: /healthz, what HTTP itself costs", reads.median_ms(lambda _: reads.get("/healthz")), "ms")


def test_newest_hundred(reads: Reads) -> None:
    assert len(reads.get("/events", limit=100)["events"]) == 100
    report("reads: newest 100", reads.median_ms(lambda _: reads.get("/events", limit=100)), "ms", least=15)


def test_newest_hundred_of_a_name(reads: Reads) -> None:
    median = reads.median_ms(lambda number: reads.get("/events", limit=100, eventName=f"event {number % 20}"))
    report("reads: newest 100 of a name", median, "ms")


def test_newest_fifty_of_a_contact(reads: Reads) -> None:
    contacts = [row["contactId"] for row in reads.get("/events", limit=100)["events"]]
    median = reads.median_ms(lambda number: reads.get(f"/events/contact/{contacts[number]}"))
    report("reads: newest 50 of a contact", median, "ms", least=15)


def test_names(reads: Reads) -> None:
    assert len(reads.get("/events/names")["eventNames"]) == 20
    report("reads: names", reads.median_ms(lambda _: reads.get("/events/names")), "ms", least=10)


def test_stats_of_all_time(reads: Reads) -> None:
    total = sum(row["count"] for row in reads.get("/events/stats"))
    assert total == ROWS * 6 // 10
    report("reads: stats, all time", reads.median_ms(lambda _: reads.get("/events/stats")), "ms", least=10)


def test_stats_between_two_instants(reads: Reads) -> None:
    median = reads.median_ms(
        lambda number: reads.get("/events/stats", startDate=_instant(200 + number / 7), endDate=_instant(number / 7))
    )
    report("reads: stats between two instants, 200 days", median, "ms", least=10)


def test_stats_by_day_over_a_year(reads: Reads) -> None:
    median = reads.median_ms(
        lambda _: reads.get(
            "/events/stats", interval="day", timezone="Europe/Berlin", startDate=_instant(364), endDate=_instant(0)
        )
    )
    report("reads: stats by day, a year, Europe/Berlin", median, "ms")

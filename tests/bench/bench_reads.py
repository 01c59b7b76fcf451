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

    def missing(self, id_: str) -> None:
        """The trace of an event that is not there."""
        assert self._http.get(f"/events/{id_}/trace").status_code == 404

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


# --- the trace of one event


def _some(reads: Reads, wanted: Callable[[dict[str, Any]], bool]) -> list[str]:
    """Ids of fifty events, spread over the year."""
    found: list[str] = []
    for day in range(5, 360, 5):
        page = reads.get("/events", limit=1000, endDate=_instant(day))["events"]
        found += [row["id"] for row in page if wanted(row)][:1]
    assert len(found) >= 50
    return found


def _version(row: dict[str, Any]) -> str:
    return str(row["id"])[14]


def _is_late(row: dict[str, Any]) -> bool:
    """Whether it was received long after it happened: its id begins with the time of receipt."""
    received_ms = int(row["id"][:8] + row["id"][9:13], 16)
    happened = datetime.fromisoformat(row["createdAt"])
    return _version(row) == "7" and received_ms / 1000 - happened.timestamp() > 86_400


def _trace(reads: Reads, what: str, ids: list[str]) -> float:
    trace = reads.get(f"/events/{ids[0]}/trace")
    assert trace["status"] == "stored"
    assert trace["stored"]["lastOffset"] - trace["stored"]["firstOffset"] == 999
    median = reads.median_ms(lambda number: reads.get(f"/events/{ids[number]}/trace"))
    report(f"reads: trace of {what}", median, "ms", least=20)
    return median


def test_the_trace_of_an_event(reads: Reads) -> None:
    ids = _some(reads, lambda row: _version(row) == "7" and not _is_late(row))
    assert _trace(reads, "an event", ids) <= 20


def test_the_trace_of_an_event_with_a_derived_id(reads: Reads) -> None:
    assert _trace(reads, "an event with a derived id", _some(reads, lambda row: _version(row) == "5")) <= 20


def test_the_trace_of_an_event_that_was_received_long_after_it_happened(reads: Reads) -> None:
    assert _trace(reads, "an event received late", _some(reads, _is_late)) <= 20


def test_the_trace_of_an_event_that_is_not_there(reads: Reads) -> None:
    ids = _some(reads, lambda row: _version(row) == "7")
    unknown = [f"{id_[:-4]}{number:04x}" for number, id_ in enumerate(ids)]
    report("reads: trace of no event", reads.median_ms(lambda number: reads.missing(unknown[number])), "ms")

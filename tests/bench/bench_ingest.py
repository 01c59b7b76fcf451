"""Acknowledged events per second, beside a bare application on the same server: guarantees on, everything running."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.bench import wrk
from tests.bench.report import report
from tests.support.deployments import Embedded, Project, ScaledOut
from tests.support.services import LOOPBACK, Process, free_port

pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    log: Path = tmp_path_factory.mktemp("bare") / "bare.log"
    with Process([sys.executable, "-m", "tests.bench.bare_asgi", str(port)], log_file=log) as process:
        url = f"http://{LOOPBACK}:{port}"

        def answers() -> bool:
            try:
                return httpx.get(url).status_code == 200
            except httpx.HTTPError:
                return False

        process.wait_ready(answers, 30, "the bare application to answer")
        yield url


@pytest.fixture(scope="module")
def bare_per_second(bare: str) -> float:
    measured = wrk.run(bare, "track.lua", seconds=6)
    report("bare ASGI application, single POST", measured.per_second, "requests/s")
    return measured.per_second


def test_embedded_single(bare_per_second: float, embedded: Embedded, embedded_project: Project) -> None:
    wrk.run(embedded.query_url, "track.lua", key=embedded_project.public_key, seconds=3)  # warm
    measured = wrk.run(embedded.query_url, "track.lua", key=embedded_project.public_key)
    report(f"embedded, single POST ({measured})", measured.per_second, "events/s", limit=bare_per_second, least=8_000)
    assert measured.failed == 0
    assert measured.per_second >= 0.3 * bare_per_second


def test_embedded_batches(bare: str, embedded: Embedded, embedded_project: Project) -> None:
    limit = wrk.run(bare, "batch.lua", connections=16, seconds=5)
    measured = wrk.run(embedded.query_url, "batch.lua", key=embedded_project.public_key, connections=16)
    report(
        f"embedded, batches of 100 ({measured})",
        measured.per_second * 100,
        "events/s",
        limit=limit.per_second * 100,
        least=150_000,
    )
    assert measured.failed == 0


def test_kafka_single(bare_per_second: float, scaled_out: ScaledOut, scaled_out_project: Project) -> None:
    url = scaled_out.ingest_urls[0]
    wrk.run(url, "track.lua", key=scaled_out_project.public_key, seconds=5)  # warm: the broker's JVM too
    measured = wrk.run(url, "track.lua", key=scaled_out_project.public_key)
    report(f"kafka, single POST ({measured})", measured.per_second, "events/s", limit=bare_per_second, least=6_000)
    assert measured.failed == 0


def test_kafka_batches(bare: str, scaled_out: ScaledOut, scaled_out_project: Project) -> None:
    limit = wrk.run(bare, "batch.lua", connections=16, seconds=5)
    measured = wrk.run(scaled_out.ingest_urls[0], "batch.lua", key=scaled_out_project.public_key, connections=16)
    report(
        f"kafka, batches of 100 ({measured})",
        measured.per_second * 100,
        "events/s",
        limit=limit.per_second * 100,
        least=80_000,
    )
    assert measured.failed == 0

"""A project that floods a running product does not starve another one. Ratios are compared, never times."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.client import Client
from tests.support.deployments import Embedded, Project
from tests.support.logs import commits_blocked
from tests.support.services import wait_until

pytestmark = pytest.mark.services

FLOODING = 30
"""Requests of the loud project that are under way at any time; its share of the places is 32."""

PAGE = 200
"""Events of one read: enough to be work, and so few that no read waits as long as it may, on a slow machine either."""


class Narrow(Embedded):
    """`penstock up` with little room, so that little fills it."""

    def environment(self) -> dict[str, str]:
        small = {"PENSTOCK_QUERY__THREADS": "1", "PENSTOCK_INGEST__MAX_PENDING_BYTES": "1048576"}
        return super().environment() | small


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    running = Narrow(tmp_path_factory.mktemp("narrow"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def loud(narrow: Embedded) -> Project:
    return narrow.create_project()


@pytest.fixture(scope="module")
def quiet(narrow: Embedded) -> Project:
    return narrow.create_project()


def caller(narrow: Embedded, headers: dict[str, str]) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=100)
    return httpx.AsyncClient(base_url=narrow.query_url, headers=headers, timeout=60, limits=limits)


def test_reads_of_one_project_do_not_wait_for_all_reads_of_another(
    narrow: Embedded, loud: Project, quiet: Project
) -> None:
    for project in (loud, quiet):
        client = Client(narrow, project)
        client.batch([{"event": "seen", "email": f"u{number}@example.com"} for number in range(1000)])
        client.read("/events", after=client.position, limit=1)
        client.close()
    answered = 0

    async def flood(http: httpx.AsyncClient) -> None:
        nonlocal answered
        while True:
            answer = await http.get("/events", params={"limit": PAGE})
            assert answer.status_code == 200, answer.text
            answered += 1

    async def scenario() -> float:
        reads = 20
        async with caller(narrow, loud.reading) as flooding, caller(narrow, quiet.reading) as calm:
            tasks = [asyncio.create_task(flood(flooding)) for _ in range(FLOODING)]
            await asyncio.to_thread(wait_until, lambda: answered >= FLOODING, 30, "the flood to flow")
            before = answered
            for _ in range(reads):
                answer = await calm.get("/events", params={"limit": PAGE})
                assert answer.status_code == 200, answer.text
            found = (answered - before) / reads
            assert not any(task.done() for task in tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return found

    assert asyncio.run(scenario()) < FLOODING / 2  # first come, first served makes it all of them


def test_events_of_one_project_are_taken_while_another_floods_a_log_at_a_standstill(
    narrow: Embedded, loud: Project, quiet: Project
) -> None:
    large = {"event": "seen", "email": "ada@example.com", "data": "x" * 60_000}

    async def scenario() -> tuple[list[int], list[int]]:
        async with caller(narrow, loud.tracking) as flooding, caller(narrow, quiet.tracking) as calm:
            with commits_blocked(Path(narrow.environment()["PENSTOCK_DATA_DIR"])):
                flood = [asyncio.create_task(flooding.post("/v1/track", json=large)) for _ in range(40)]
                await asyncio.to_thread(wait_until, lambda: sum(task.done() for task in flood) >= 30, 4, "refusals")
                posts = [asyncio.create_task(calm.post("/v1/track", json=large)) for _ in range(4)]
                await asyncio.sleep(0.2)
                assert not any(task.done() for task in posts)
            return [(await task).status_code for task in flood], [(await task).status_code for task in posts]

    loud_statuses, quiet_statuses = asyncio.run(scenario())
    assert loud_statuses.count(503) >= 30
    assert loud_statuses.count(200) == 40 - loud_statuses.count(503)
    assert quiet_statuses == [200] * 4

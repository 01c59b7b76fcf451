"""The limit of events for each project: what is answered over it, what every answer says, and who is not concerned."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.settings import MIB, Ingest
from tests.support.limits import at_most
from tests.support.logs import commits_blocked, commits_failing
from tests.support.requests import EVENT, Api, error_of, serving

pytestmark = pytest.mark.anyio

SLOW = at_most(events=10)

HEADERS = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]


@pytest.fixture
async def limited(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Api]:
    async with serving(tmp_path, limits=SLOW) as made:
        yield made


def told(response: httpx.Response) -> list[int]:
    return [int(response.headers[name]) for name in HEADERS]


def refused(response: httpx.Response) -> int:
    """How long a 429 asks to wait."""
    error = error_of(response, 429, "RATE_LIMIT_EXCEEDED")
    assert "events per second" in error["message"]
    assert error["suggestion"]
    assert response.headers["ratelimit-reset"] == response.headers["retry-after"]
    return int(response.headers["retry-after"])


async def metric(api: Api, name: str) -> float:
    lines = (await api.client.get("/metrics")).text.splitlines()
    [value] = [line.rsplit(" ", 1)[1] for line in lines if line.startswith(f"{name} ")]
    return float(value)


async def test_without_a_limit_no_answer_speaks_of_one(api: Api) -> None:
    answers = [await api.track(EVENT), await api.track({}), await api.batch([EVENT]), await api.batch(b"x")]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("ratelimit")]


async def test_track_over_the_limit_is_429_and_nothing_is_stored(limited: Api) -> None:
    for number in range(10):
        answer = await limited.track(EVENT)
        assert answer.status_code == 200
        limit, remaining, reset = told(answer)
        assert (limit, remaining) == (10, 9 - number)
        assert 0 <= (number + 1) * 1000 - reset <= 100
    answer = await limited.track(EVENT)
    assert 900 <= refused(answer) <= 1000
    assert told(answer)[:2] == [10, 0]
    assert "x-position" not in answer.headers
    assert len(limited.stored()) == 10
    assert await metric(limited, 'penstock_rate_limited_total{kind="write"}') == 1
    assert await metric(limited, 'penstock_rate_limited_total{kind="read"}') == 0


async def test_a_batch_costs_its_events_and_passes_or_is_refused_whole(limited: Api) -> None:
    answer = await limited.batch([EVENT] * 7)
    assert (answer.status_code, told(answer)[:2]) == (200, [10, 3])
    answer = await limited.batch([EVENT] * 4)
    assert 900 <= refused(answer) <= 1000
    assert told(answer)[:2] == [10, 3]
    answer = await limited.batch([EVENT, {}, EVENT])  # what is not valid costs the same
    assert (answer.json()["data"]["accepted"], told(answer)[:2]) == (2, [10, 0])
    assert len(limited.stored()) == 9


async def test_a_batch_larger_than_the_burst_passes_once_and_leaves_a_debt(limited: Api) -> None:
    answer = await limited.batch([EVENT] * 100)
    assert (answer.status_code, told(answer)[:2]) == (200, [10, 0])
    refused(await limited.batch([EVENT] * 100))
    assert refused(await limited.track(EVENT)) >= 80_000
    assert len(limited.stored()) == 100


async def test_over_the_limit_a_body_is_not_read(limited: Api) -> None:
    assert (await limited.batch([EVENT] * 10)).status_code == 200
    for path in ("/v1/track", "/v1/track/batch"):
        refused(await limited.post(path, b"no JSON"))


async def test_answers_that_are_errors_say_what_is_left_too_and_an_unreadable_batch_costs_one(limited: Api) -> None:
    wrong: list[tuple[str, Any, int]] = [
        ("/v1/track", {}, 422),
        ("/v1/track", b"no JSON", 400),
        ("/v1/track/batch", b"no JSON", 400),
        ("/v1/track/batch", [], 200),
    ]
    for number, (path, body, status) in enumerate(wrong):
        answer = await limited.post(path, body)
        assert (answer.status_code, told(answer)[:2]) == (status, [10, 9 - number])
    with commits_failing(limited.directory):
        answer = await limited.track(EVENT)
    error_of(answer, 503, "SERVICE_UNAVAILABLE")
    assert told(answer)[:2] == [10, 5]


async def test_who_has_no_key_has_no_limit_and_takes_nothing_from_anybody(limited: Api) -> None:
    for _ in range(20):
        answer = await limited.track(EVENT, key="pk_unknown")
        assert answer.status_code == 401
        assert "ratelimit-limit" not in answer.headers
    assert told(await limited.track(EVENT))[1] == 9


async def test_projects_have_a_limit_each_and_the_keys_of_a_project_one_together(limited: Api) -> None:
    other = limited.make_project()
    await limited.batch([EVENT] * 10)
    refused(await limited.track(EVENT, key=limited.project.secret.text))
    assert told(await limited.track(EVENT, key=other.public.text))[1] == 9


async def test_a_browser_may_read_the_answer_over_the_limit(limited: Api) -> None:
    await limited.batch([EVENT] * 10)
    answer = await limited.track(EVENT, headers={"Origin": "https://shop.example"})
    refused(answer)
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"retry-after", *HEADERS} <= exposed


async def test_a_project_that_floods_a_log_at_a_standstill_leaves_room_for_another(tmp_path: Path) -> None:
    async with serving(tmp_path, ingest=Ingest(max_pending_bytes=MIB)) as api:
        other = api.make_project()
        large = {**EVENT, "data": "x" * 60_000}
        with commits_blocked(tmp_path):
            flood = [asyncio.create_task(api.track(large)) for _ in range(40)]
            await asyncio.sleep(0.2)
            over = [task.result() for task in flood if task.done()]
            quiet = [asyncio.create_task(api.track(large, key=other.public.text)) for _ in range(4)]
            await asyncio.sleep(0.2)
            assert not any(task.done() for task in quiet)
        for answer in over:
            assert "of this project" in error_of(answer, 503, "SERVICE_UNAVAILABLE")["message"]
            assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert len(over) >= 30
        assert [(await task).status_code for task in quiet] == [200] * 4
        assert [(await task).status_code for task in flood].count(200) == 40 - len(over)

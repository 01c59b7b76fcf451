"""Deletions under load: what the suite notices, against a product that is only answers."""

import time
from math import inf
from random import Random
from typing import Any

import httpx
import msgspec
import pytest

from tests.chaos.deleting import delete_name
from tests.chaos.deletions import Expected
from tests.chaos.posting import Answer
from tests.chaos.scene import Scene
from tests.support.deployments import Project

pytestmark = pytest.mark.anyio

PROJECT = Project("p", "pk", "sk")


def answer(status: int, body: Any) -> Answer:
    return Answer(status, msgspec.json.encode(body), httpx.Headers())


class World:
    """A scene in which every name of the pool has an acknowledged event, and answers in the place of a product."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, deleted: Answer | None, listed: list[int]) -> None:
        self.scene = Scene([PROJECT], ["http://ingest"], "http://query", rate=1000, workers=1)
        self.scene.delete_url = "http://query"
        self.deleted, self.listed = deleted, listed
        self.asked: list[tuple[str, str]] = []
        monkeypatch.setattr(self.scene.requests, "send", self.send)
        self.name = self.scene.doomed_name(0, Random(0))
        self.marker = self.scene.ledger.draw(0, self.name, time.monotonic())
        self.scene.deletions.note_event(self.marker)
        self.scene.ledger.acknowledge(self.marker, "00000000-0000-4000-8000-000000000001", time.monotonic())

    async def send(self, method: str, url: str, *_: Any) -> Answer | None:
        self.asked.append((method, url))
        rows = [{"id": "x", "data": {"marker": marker}} for marker in self.listed]
        return self.deleted if method == "DELETE" else answer(200, {"events": rows})

    async def delete(self) -> set[str]:
        await delete_name(self.scene, Random(0), 0)
        await self.scene.requests.close()
        return set(self.scene.complaints.counts)


async def test_a_right_deletion_is_no_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, answer(200, {"deletedCount": 1}), [])
    assert await world.delete() == set()
    assert world.asked[0] == ("DELETE", f"http://query/events/drop%20%C3%BC%20{world.name.split()[-1]}")
    assert world.scene.deletions.expected(world.marker) is Expected.GONE


async def test_a_wrong_count_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await World(monkeypatch, answer(200, {"deletedCount": 0}), []).delete() == {"deletedCount"}


async def test_an_event_that_is_listed_after_the_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await World(monkeypatch, answer(200, {"deletedCount": 1}), [0]).delete() == {"deleted event listed"}


async def test_a_pending_deletion_counts_at_the_end_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, answer(202, {"deletedCount": None, "status": "pending"}), [0])
    assert await world.delete() == set()
    assert len(world.asked) == 1
    assert world.scene.deletions.expected(world.marker) is Expected.GONE


async def test_a_deletion_without_an_answer_retires_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, None, [])
    assert await world.delete() == set()
    assert world.scene.doomed_name(0, Random(0)) != world.name
    assert world.scene.deletions.expected(world.marker) is Expected.EITHER
    assert world.scene.ledger.times(world.marker)[1] < inf

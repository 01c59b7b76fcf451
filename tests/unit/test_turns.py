"""Turns on an event loop. Nothing here waits for real time: the clock is a number, and turns end when a test says so."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from penstock.errors import Unavailable
from query_api.turns import Turns


class Scene:
    """Some who ask for turns, and the order in which they got them."""

    def __init__(self, at_once: int = 1, max_waiting: int = 100, max_wait_seconds: float = 60) -> None:
        self.now = 0.0
        self.turns = Turns(
            at_once, max_waiting=max_waiting, max_wait_seconds=max_wait_seconds, seconds=lambda: self.now
        )
        self.order: list[str] = []
        self._ends: list[asyncio.Event] = []

    async def _one(self, project: str) -> None:
        async with self.turns.turn(project):
            self.order.append(project)
            end = asyncio.Event()
            self._ends.append(end)
            await end.wait()

    async def ask(self, *projects: str) -> list["asyncio.Task[None]"]:
        tasks = [asyncio.create_task(self._one(project)) for project in projects]
        await settled()
        return tasks

    async def end_one(self, after_seconds: float = 1.0) -> None:
        """The oldest turn ends."""
        self.now += after_seconds
        self._ends.pop(0).set()
        await settled()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def on_loop(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 10))


@pytest.mark.parametrize("threads", [1, 4])
def test_a_read_waits_for_one_turn_of_a_project_with_a_hundred_reads(threads: int) -> None:
    async def scenario() -> None:
        scene = Scene(at_once=threads, max_waiting=250)
        flood = await scene.ask(*["loud"] * 100)
        await scene.ask("quiet")
        assert scene.order == ["loud"] * threads
        await scene.end_one()
        await scene.end_one()
        assert "quiet" in scene.order
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)

    on_loop(scenario())


def test_over_the_bounds_it_refuses_and_tells_when_by_the_measured_time() -> None:
    async def scenario() -> None:
        scene = Scene(at_once=2, max_waiting=20)
        await scene.ask(*["loud"] * 2)
        await scene.end_one(3.0)
        await scene.ask(*["loud"] * 11)
        [refused] = await scene.ask("loud")
        error = refused.exception()
        assert isinstance(error, Unavailable)
        assert error.retry_after_seconds == 17  # 11 of 3 seconds by 2 at a time
        [other] = await scene.ask("quiet")
        assert not other.done()

    on_loop(scenario())


def test_who_waits_too_long_is_refused_and_forgotten() -> None:
    async def scenario() -> None:
        scene = Scene(max_wait_seconds=0)
        await scene.ask("loud")
        waiting = await scene.ask("quiet", "quiet")
        for task in waiting:
            with pytest.raises(Unavailable):
                await task
        await scene.end_one()
        await scene.ask("later")
        assert scene.order == ["loud", "later"]

    on_loop(scenario())


def test_a_turn_is_not_lost_where_its_owner_goes_away_as_it_comes() -> None:
    async def scenario() -> None:
        scene = Scene()
        async with scene.turns.turn("loud"):
            [leaving, _] = await scene.ask("leaving", "next")
        leaving.cancel()  # it has the turn by now, and does not know it yet
        await settled()
        assert leaving.cancelled()
        assert scene.order == ["next"]

    on_loop(scenario())


def test_turns_of_those_who_left_before_go_to_the_next_and_are_free_afterwards() -> None:
    async def scenario() -> None:
        scene = Scene()
        await scene.ask("loud")
        [leaving, _] = await scene.ask("leaving", "next")
        leaving.cancel()
        await scene.end_one()
        assert scene.order == ["loud", "next"]
        await scene.end_one()
        await scene.ask("last")
        assert scene.order == ["loud", "next", "last"]

    on_loop(scenario())

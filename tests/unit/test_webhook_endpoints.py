"""Queues of endpoints, on an event loop. Requests end when a test says so; what is a moment in the product is less here."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers.webhooks import endpoints as module
from consumers.webhooks.endpoints import Endpoints

pytestmark = pytest.mark.anyio

MOMENT = 0.05
FIRST_PAUSE = 0.04
LONGEST_PAUSE = 0.16

Logged = list[MutableMapping[str, Any]]

NEVER = 1e6
"""Seconds that no test takes."""


@pytest.fixture(autouse=True)
def _quick_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOMENT_SECONDS", MOMENT)
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", FIRST_PAUSE)
    monkeypatch.setattr(module, "_LONGEST_PAUSE_SECONDS", LONGEST_PAUSE)


@pytest.fixture
def no_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer is a quick one, however long the machine takes."""
    monkeypatch.setattr(module, "_MOMENT_SECONDS", NEVER)


def endpoint_of(item: str) -> str:
    """Items are named after their endpoint: `a-1` is of `a`."""
    return item.partition("-")[0]


class Scene:
    """Requests that were begun, and end when they are told to.

    Attributes:
        well: endpoints that answer at once.
        begun: all requests, in their order.
        running: those that have not ended.
        most: how many ran at the same time.
    """

    def __init__(self, *, in_all: int = 16, per_endpoint: int = 4, queued: int = 1000, well: str = "") -> None:
        self.well = well
        self.begun: list[str] = []
        self.begun_at: dict[str, float] = {}
        self.running: dict[str, asyncio.Future[bool]] = {}
        self.cancelled: list[str] = []
        self.most = 0
        self.endpoints: Endpoints[str] = Endpoints(
            self._handle, in_all=in_all, per_endpoint=per_endpoint, queued=queued
        )

    async def _handle(self, item: str) -> bool:
        self.begun.append(item)
        self.begun_at[item] = time.monotonic()
        end: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.running[item] = end
        self.most = max(self.most, len(self.running))
        if endpoint_of(item) in self.well.split():
            asyncio.get_running_loop().call_soon(self.answer, item)
        try:
            return await end
        except asyncio.CancelledError:
            self.cancelled.append(item)
            raise
        finally:
            del self.running[item]

    def offer(self, *items: str) -> int:
        """How many of them were taken."""
        return sum(self.endpoints.offer(endpoint_of(item), item) for item in items)

    def answer(self, *items: str) -> None:
        for item in items:
            if item in self.running and not self.running[item].done():
                self.running[item].set_result(True)

    def give_up(self, item: str) -> None:
        """There was no answer."""
        self.running[item].set_result(False)

    def running_of(self, endpoint: str) -> list[str]:
        return [item for item in self.running if endpoint_of(item) == endpoint]

    def begun_of(self, endpoint: str) -> list[str]:
        return [item for item in self.begun if endpoint_of(item) == endpoint]


@pytest.fixture
async def scenes() -> AsyncIterator[list[Scene]]:
    """To be ended with the test."""
    found: list[Scene] = []
    yield found
    for scene in found:
        await scene.endpoints.close(0)


def items(endpoint: str, count: int, start: int = 1) -> list[str]:
    return [f"{endpoint}-{number}" for number in range(start, start + count)]


async def until(is_so: Callable[[], object], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


async def settled() -> None:
    """What can happen without time passing did."""
    for _ in range(10):
        await asyncio.sleep(0)


async def moments(count: float) -> None:
    """To see that nothing happens in them."""
    until_when = time.monotonic() + count * MOMENT
    await until(lambda: time.monotonic() >= until_when)


@pytest.fixture
def logged() -> Iterator[Logged]:
    """What is logged."""
    with capture_logs() as found:
        yield found


# --- order


@pytest.mark.usefixtures("no_moment")
async def test_items_of_an_endpoint_are_begun_in_their_order(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(well="a"))
    scene.offer(*items("a", 200))
    await until(lambda: len(scene.begun) == 200)
    assert scene.begun == items("a", 200)


@pytest.mark.usefixtures("no_moment")
async def test_endpoints_take_turns(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(in_all=2, well="a b c"))
    scene.offer("a-1", "a-2", "a-3", "a-4", "b-1", "c-1", "c-2")
    await until(lambda: len(scene.begun) == 7)
    assert scene.begun == ["a-1", "a-2", "b-1", "c-1", "a-3", "c-2", "a-4"]


@pytest.mark.usefixtures("no_moment")
async def test_a_newcomer_waits_for_one_of_each_other_endpoint_and_not_for_all_that_they_have(
    scenes: list[Scene],
) -> None:
    scenes.append(scene := Scene(in_all=2, well="a b c"))
    scene.offer(*items("a", 400), *items("b", 400))
    await until(lambda: len(scene.begun) > 20)
    before = len(scene.begun)
    scene.offer("c-1")
    await until(lambda: "c-1" in scene.begun)
    assert scene.begun.index("c-1") <= before + 3


# --- how much may wait


async def test_only_so_many_wait_for_an_endpoint(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(queued=3))
    assert scene.endpoints.room("a") == 3
    assert scene.offer(*items("a", 10)) == 4  # one is begun
    assert scene.endpoints.room("a") == 0
    assert scene.endpoints.room("b") == 3
    assert scene.offer("b-1") == 1
    await settled()
    assert scene.begun == ["a-1", "b-1"]
    scene.answer("a-1")
    await until(lambda: len(scene.begun) == 4)
    assert scene.endpoints.room("a") == 2
    assert scene.offer("a-11", "a-12", "a-13") == 2
    scene.well = "a"
    scene.answer(*scene.running_of("a"))
    await until(lambda: scene.endpoints.room("a") == 3 and not scene.running_of("a"))
    assert scene.begun_of("a") == ["a-1", "a-2", "a-3", "a-4", "a-11", "a-12"]


# --- how many at the same time


@pytest.mark.usefixtures("no_moment")
async def test_an_endpoint_gets_more_at_a_time_as_it_answers_up_to_a_limit(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(in_all=100, per_endpoint=8))
    scene.offer(*items("a", 1000))
    at_a_time = []
    for _ in range(6):
        await settled()
        at_a_time.append(len(scene.running))
        scene.answer(*scene.running)
    assert at_a_time[0] == 1
    assert at_a_time[1] == 2
    assert at_a_time == sorted(at_a_time)
    assert at_a_time[-2:] == [8, 8]
    assert scene.most == 8


@pytest.mark.usefixtures("no_moment")
async def test_of_all_endpoints_only_so_many_are_asked_at_a_time(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(in_all=16, per_endpoint=8))
    for name in "abcdefghijklmnopqrstuvwxyz":
        scene.offer(*items(name, 10))
    for _ in range(100):
        await settled()
        scene.answer(*scene.running)
    assert len(scene.begun) == 260
    assert 8 <= scene.most <= 16


async def test_an_endpoint_that_becomes_slow_is_back_at_one_request(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(per_endpoint=4, well="a"))
    scene.offer(*items("a", 100))
    await until(lambda: len(scene.begun) > 20)
    scene.well = ""
    await settled()
    assert len(scene.running) == 4
    await moments(4)
    slow = list(scene.running)
    assert len(slow) == 4
    before = len(scene.begun)
    scene.answer(*slow)
    await settled()
    assert len(scene.begun) == before + 1
    assert len(scene.running) == 1


async def test_a_request_that_is_slow_takes_none_of_the_places_of_quick_ones(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(in_all=4, well="c d"))
    scene.offer("a-1", "b-1", "c-1", "d-1")
    await settled()
    assert scene.begun == ["a-1", "b-1"]
    await moments(2)
    scene.answer("a-1")  # half of the room is for what hangs
    await until(lambda: {"c-1", "d-1"} <= set(scene.begun), 1)
    assert list(scene.running) == ["b-1"]


async def test_never_more_run_than_there_is_room_for_though_new_ones_hang(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(in_all=16, per_endpoint=16, well="w"))
    scene.offer(*items("w", 1000))
    await until(lambda: len(scene.begun) > 100)
    for number in range(300):
        scene.offer(f"silent{number}-1")
    await moments(4)
    scene.well = ""  # hangs from now on, with as many requests as it may have
    await moments(4)
    assert scene.most <= 16


# --- endpoints that do not answer


async def test_an_endpoint_that_never_answers_holds_one_request(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(well="b"))
    scene.offer(*items("a", 100), *items("b", 100))
    await until(lambda: len(scene.begun_of("b")) == 100)
    await moments(6)
    assert scene.begun_of("a") == ["a-1"]
    assert list(scene.running) == ["a-1"]


async def test_an_endpoint_that_stops_to_answer_goes_on_with_one_request(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(well="a"))
    scene.offer(*items("a", 200))
    await until(lambda: len(scene.begun) > 20)
    scene.well = ""
    await settled()
    assert len(scene.running) == 4
    for item in list(scene.running):
        scene.give_up(item)
    before = len(scene.begun)
    await until(lambda: len(scene.begun) > before)
    await moments(3)
    assert len(scene.begun) == before + 1


async def test_after_each_request_without_an_answer_it_rests_longer_up_to_a_limit(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene())
    scene.offer(*items("a", 8))
    ended_at = []
    for number in range(1, 7):
        await until(lambda number=number: len(scene.begun) == number)  # type: ignore[misc] # bound as it is now
        ended_at.append(time.monotonic())
        scene.give_up(f"a-{number}")
    await until(lambda: len(scene.begun) == 7)
    rests = [scene.begun_at[f"a-{number + 2}"] - ended_at[number] for number in range(6)]
    for rest, least in zip(rests, [0.04, 0.08, 0.16, 0.16, 0.16, 0.16], strict=True):
        assert least * 0.98 <= rest < least + 0.5


async def test_an_answer_ends_the_long_rests(scenes: list[Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    scenes.append(scene := Scene())
    scene.offer(*items("a", 10))
    for number in (1, 2, 3):
        await until(lambda number=number: len(scene.begun) == number)  # type: ignore[misc] # bound as it is now
        scene.give_up(f"a-{number}")
    await until(lambda: len(scene.begun) == 4)
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.25)  # the fourth would be of 2 seconds
    monkeypatch.setattr(module, "_LONGEST_PAUSE_SECONDS", NEVER)
    scene.answer("a-4")
    await until(lambda: len(scene.running) == 2)
    started = time.monotonic()
    scene.give_up("a-5")
    scene.answer("a-6")
    await until(lambda: "a-7" in scene.begun)
    assert 0.24 < time.monotonic() - started < 1.5


async def test_an_endpoint_rests_although_nothing_else_waited_when_it_did_not_answer(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene())
    scene.offer("a-1")
    await settled()
    failed_at = time.monotonic()
    scene.give_up("a-1")
    await settled()
    scene.offer("a-2")
    await until(lambda: "a-2" in scene.begun)
    assert scene.begun_at["a-2"] - failed_at >= FIRST_PAUSE * 0.98


async def test_others_go_on_while_one_rests(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(well="b"))
    scene.offer("a-1", "a-2")
    await settled()
    scene.give_up("a-1")
    scene.offer(*items("b", 50))
    await settled()
    await until(lambda: len(scene.begun_of("b")) == 50)
    await until(lambda: "a-2" in scene.begun)


# --- many endpoints that do not answer


async def test_hundreds_that_are_silent_do_not_keep_a_busy_healthy_one_from_its_turns(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(in_all=16, well="w"))
    scene.offer(*items("w", 500))
    await until(lambda: len(scene.begun) > 10)
    for number in range(300):
        scene.offer(f"silent{number}-1", f"silent{number}-2")
    await until(lambda: len(scene.begun_of("w")) == 500, 2)
    assert len(scene.begun) > 500  # and some silent ones were tried


async def test_hundreds_that_are_silent_do_not_keep_an_idle_healthy_one_from_starting(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(in_all=16, well="w"))
    for number in range(20):  # it is asked now and then, and always answers
        scene.offer(f"w-{number}")
        await until(lambda number=number: f"w-{number}" in scene.begun and not scene.running)  # type: ignore[misc]
    for number in range(300):
        scene.offer(f"silent{number}-1")
    await moments(6)
    scene.offer("w-now")
    await until(lambda: "w-now" in scene.begun, 1)


async def test_hundreds_that_time_out_let_a_new_healthy_one_start_in_its_turn(scenes: list[Scene]) -> None:
    scenes.append(scene := Scene(in_all=16, well="w"))
    for number in range(300):
        scene.offer(f"silent{number}-1")
    scene.offer("w-1")

    def time_out() -> bool:
        for item in [one for one in scene.running if endpoint_of(one) != "w" and not scene.running[one].done()]:
            scene.give_up(item)
        return "w-1" in scene.begun

    await until(time_out)
    assert len(scene.begun) <= 301


# --- failures here


async def test_an_exception_ends_one_request_and_nothing_else(scenes: list[Scene], logged: Logged) -> None:
    scenes.append(scene := Scene(in_all=2, well="b"))
    scene.offer("a-1", "a-2", *items("b", 20))
    await settled()
    scene.running["a-1"].set_exception(RuntimeError("a bug"))
    await until(lambda: len(scene.begun_of("b")) == 20)
    await until(lambda: "a-2" in scene.begun)
    scene.answer("a-2")
    await until(lambda: not scene.running)
    assert scene.endpoints.room("a") == 1000
    assert [(one["event"], one["log_level"]) for one in logged] == [("a delivery failed here", "error")]


async def test_exceptions_give_their_places_back(scenes: list[Scene], logged: Logged) -> None:
    scenes.append(scene := Scene(in_all=4))
    for number in range(40):
        scene.offer(f"a{number}-1")

    def fail_all() -> bool:
        for end in scene.running.values():
            if not end.done():
                end.set_exception(OSError("a bug"))
        return len(scene.begun) == 40

    await until(fail_all)
    await until(lambda: not scene.running)
    scene.well = "b"
    scene.offer("b-1")
    await until(lambda: "b-1" in scene.begun, 1)
    assert len(logged) == 40


@pytest.mark.usefixtures("logged")
async def test_everything_that_was_taken_is_handled_once_whatever_becomes_of_the_others() -> None:
    drawn = random.Random(7)
    handled: list[str] = []

    async def handle(item: str) -> bool:
        handled.append(item)
        kind = drawn.random()
        await asyncio.sleep(MOMENT * 1.5 if kind < 0.02 else kind * 0.002)
        if kind > 0.98:
            raise RuntimeError("a bug")
        return kind < 0.95

    endpoints: Endpoints[str] = Endpoints(handle, in_all=16, per_endpoint=8, queued=10)
    offered = [f"{drawn.choice('abcdefghijklmnopqrstuvwxyz')}-{number}" for number in range(600)]
    for item in offered:
        await until(lambda item=item: endpoints.offer(endpoint_of(item), item), 20)  # type: ignore[misc]
    await until(lambda: len(handled) == 600, 20)
    await endpoints.close(5)
    assert Counter(handled) == Counter(offered)
    for name in "abcdefghijklmnopqrstuvwxyz":
        mine = [item for item in handled if endpoint_of(item) == name]
        assert mine == [item for item in offered if endpoint_of(item) == name]


# --- the end


async def test_the_end_waits_for_what_runs_and_begins_no_more() -> None:
    scene = Scene()
    scene.offer("a-1", "a-2", "b-1")
    await settled()
    closing = asyncio.create_task(scene.endpoints.close(60))
    await settled()
    assert scene.offer("a-3", "c-1") == 0
    scene.answer("a-1")
    await settled()
    assert not closing.done()
    scene.answer("b-1")
    await asyncio.wait_for(closing, 5)
    assert scene.begun == ["a-1", "b-1"]
    assert scene.cancelled == []


async def test_what_does_not_end_in_time_is_abandoned() -> None:
    scene = Scene()
    scene.offer("a-1", "a-2", "b-1")
    await settled()
    started = time.monotonic()
    await asyncio.wait_for(scene.endpoints.close(0.05), 5)
    assert 0.04 < time.monotonic() - started < 2
    assert sorted(scene.cancelled) == ["a-1", "b-1"]
    assert not scene.running
    await moments(6)
    assert scene.begun == ["a-1", "b-1"]


async def test_the_end_of_nothing_is_quick_and_may_come_twice() -> None:
    scene = Scene(well="a")
    scene.offer("a-1")
    await until(lambda: scene.begun and not scene.running)
    await asyncio.wait_for(scene.endpoints.close(NEVER), 5)
    await asyncio.wait_for(scene.endpoints.close(NEVER), 5)
    assert scene.offer("a-2") == 0

"""Whose request begins next. Time is skipped: a loop whose clock jumps to what is due next."""

import asyncio
import random
import selectors
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from consumers.webhooks import endpoints as module
from consumers.webhooks.endpoints import Endpoints
from consumers.webhooks.standing import Repute, Standing

HANGS = 15.0
QUICK = 0.005
AT_ONCE = QUICK + 0.0001
"""The clock adds up floating-point numbers."""


class _Skipping(selectors.DefaultSelector):
    skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("nothing will happen any more")
        self.skipped += max(0.0, timeout)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.skipped


def run(scene: Coroutine[Any, Any, None]) -> None:
    with capture_logs(), asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(scene)


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(repr=False)
class World:
    """Endpoints as they behave, and what they saw.

    Attributes:
        takes: how long an endpoint takes to answer, and whether it does well; `QUICK` and well unless it is named.
        running: how many requests it has, and the most that it had.
        waited: for each request that began, how long it had waited.
    """

    takes: dict[str, tuple[float, bool | None]] = field(default_factory=dict)
    running: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    began: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    waited: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def handle(self, item: tuple[str, float]) -> bool | None:
        name, offered_at = item
        self.order.append(name)
        self.began[name].append(now())
        self.waited[name].append(now() - offered_at)
        self.running[name] += 1
        self.most[name] = max(self.most[name], self.running[name])
        self.most["in all"] = max(self.most["in all"], self.running.total())
        try:
            seconds, is_well = self.takes.get(name, (QUICK, True))
            await asyncio.sleep(seconds)
        finally:
            self.running[name] -= 1
        return is_well

    def endpoints(self, *, in_all: int = 64, per_endpoint: int = 8, queued: int = 1000) -> Endpoints[tuple[str, float]]:
        return Endpoints(self.handle, in_all=in_all, per_endpoint=per_endpoint, queued=queued)


Offering = Endpoints[tuple[str, float]]


def offer(endpoints: Offering, name: str, times: int = 1, *, has_failed: bool = False) -> None:
    for _ in range(times):
        assert endpoints.offer(name, (name, now()), has_failed=has_failed)


async def until(condition: Callable[[], bool], *, within: float = 600.0) -> None:
    """Looks often where it is to be soon."""
    deadline, pause = now() + within, min(0.2, within / 100)
    while not condition():
        assert now() < deadline, "it did not come to that"
        await asyncio.sleep(pause)


async def trusted(world: World, endpoints: Offering, *names: str, share: int = 8) -> None:
    """Lets endpoints do well until each has its whole share."""
    before = {name: len(world.order) and world.order.count(name) for name in names}
    for name in names:
        offer(endpoints, name, share * 3)
    await until(lambda: all(world.order.count(name) == before[name] + share * 3 for name in names))
    await until(lambda: not world.running.total())


def names(kind: str, number: int) -> list[str]:
    return [f"{kind}-{one}" for one in range(number)]


# --- turns and bounds --------------------------------------------------------------------------------------------------


def test_endpoints_take_turns_and_the_first_of_each_comes_first() -> None:
    async def scene() -> None:
        world = World()
        endpoints = world.endpoints(in_all=2)
        await trusted(world, endpoints, "a", "b", "c")
        world.order.clear()
        offer(endpoints, "a", 50)
        offer(endpoints, "b", 2)
        offer(endpoints, "c")
        await until(lambda: len(world.order) == 53)
        assert world.order[:8].count("a") <= 5
        assert set(world.order[8:]) == {"a"}

    run(scene())


def test_no_more_run_at_once_than_may_of_one_and_of_all() -> None:
    async def scene() -> None:
        world = World()
        endpoints = world.endpoints(in_all=20, per_endpoint=8)
        for name in names("well", 6):
            offer(endpoints, name, 100)
        await until(lambda: len(world.order) == 600)
        assert max(world.most[name] for name in names("well", 6)) <= 8
        assert 12 <= world.most["in all"] <= 20

    run(scene())


def test_one_alone_gets_its_whole_share_once_it_has_answered_some() -> None:
    async def scene() -> None:
        world = World()
        endpoints = world.endpoints(per_endpoint=8)
        offer(endpoints, "well", 100)
        await asyncio.sleep(0)
        assert world.running["well"] == 1
        await until(lambda: world.running["well"] == 8, within=QUICK * 5)
        await until(lambda: len(world.order) == 100)
        assert world.most["well"] == 8

    run(scene())


def test_a_full_queue_takes_no_more_and_says_how_much_it_would() -> None:
    async def scene() -> None:
        world = World({"hangs": (HANGS, False)})
        endpoints = world.endpoints(queued=3)
        assert endpoints.room("hangs") == 3
        offer(endpoints, "hangs", 4)  # one of them began
        assert endpoints.room("hangs") == 0
        assert not endpoints.offer("hangs", ("hangs", 0.0))
        assert endpoints.room("another") == 3
        await until(lambda: endpoints.room("hangs") == 1)
        offer(endpoints, "hangs")

    run(scene())


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**32))
def test_every_item_is_handled_once_whatever_endpoints_do(in_all: int, per_endpoint: int, seed: int) -> None:
    async def scene() -> None:
        chance = random.Random(seed)
        handled: Counter[int] = Counter()
        running: Counter[str] = Counter()

        async def handle(item: tuple[str, int]) -> bool | None:
            name, number = item
            handled[number] += 1
            running[name] += 1
            assert running[name] <= per_endpoint
            assert running.total() <= in_all
            await asyncio.sleep(chance.choice([0, 0.01, 0.9, 1.1, 15]))
            running[name] -= 1
            if chance.random() < 0.1:
                raise ValueError("broken off")
            return chance.choice([True, True, False, None])

        endpoints = Endpoints(handle, in_all=in_all, per_endpoint=per_endpoint, queued=100)
        for number in range(60):
            name = chance.choice("abcdef")
            assert endpoints.offer(name, (name, number), has_failed=chance.random() < 0.3)
            await asyncio.sleep(chance.choice([0, 0, 0.01, 2]))
        await until(lambda: len(handled) == 60, within=5000)
        assert set(handled.values()) == {1}
        await until(lambda: not running.total())
        await endpoints.close(0)

    run(scene())


# --- what others do ----------------------------------------------------------------------------------------------------


def latencies(world: World, *healthy: str) -> float:
    """The longest that a request to one of them waited, in seconds."""
    return max(max(world.waited[name]) for name in healthy)


@pytest.mark.parametrize(("per_second", "seconds"), [(1, 600), (10, 120), (500, 20)])
def test_hundreds_of_dead_endpoints_delay_nobody(per_second: int, seconds: int) -> None:
    async def scene() -> None:
        dead = names("dead", 400)
        world = World(dict.fromkeys(dead, (HANGS, False)))
        endpoints = world.endpoints(in_all=64)
        for name in dead:
            offer(endpoints, name, 20, has_failed=True)
        for _ in range(seconds * per_second):
            offer(endpoints, "well")  # at first nothing is known of it
            await asyncio.sleep(1 / per_second)
        assert latencies(world, "well") <= 0.03
        assert max(world.waited["well"][20:]) <= AT_ONCE
        assert world.most["in all"] < 64

    run(scene())


def test_endpoints_that_die_at_once_leave_places_to_others() -> None:
    async def scene() -> None:
        dying = names("dying", 60)
        world = World()
        endpoints = world.endpoints(in_all=64)
        await trusted(world, endpoints, "well", *dying)
        world.takes = dict.fromkeys(dying, (HANGS, False))
        world.waited.clear()
        for _ in range(600):
            for name in dying:
                endpoints.offer(name, (name, now()))
            offer(endpoints, "well", 2)
            await asyncio.sleep(0.1)
        assert latencies(world, "well") <= AT_ONCE

    run(scene())


def test_hundreds_that_were_idle_and_died_leave_places_to_those_that_answered_lately() -> None:
    async def scene() -> None:
        dying = names("dying", 300)
        world = World()
        endpoints = world.endpoints(in_all=64)
        await trusted(world, endpoints, *dying)
        await asyncio.sleep(120)
        await trusted(world, endpoints, "well")
        world.takes = dict.fromkeys(dying, (HANGS, False))
        world.waited.clear()
        for _ in range(600):
            for name in dying:
                endpoints.offer(name, (name, now()))
            offer(endpoints, "well", 2)
            await asyncio.sleep(0.1)
        assert latencies(world, "well") <= AT_ONCE
        assert world.most["in all"] <= 64

    run(scene())


def test_new_endpoints_that_hang_leave_places_to_those_that_are_known() -> None:
    async def scene() -> None:
        hanging = names("new", 200)
        world = World(dict.fromkeys(hanging, (HANGS, False)))
        endpoints = world.endpoints(in_all=64)
        await trusted(world, endpoints, "well")
        world.waited.clear()
        world.most.clear()
        for name in hanging:
            offer(endpoints, name, 5)
        for _ in range(300):
            offer(endpoints, "well", 3)
            await asyncio.sleep(0.1)
        assert latencies(world, "well") <= AT_ONCE * 2
        assert 48 < world.most["in all"] <= 48 + 3

    run(scene())


def test_slow_endpoints_get_on_in_half_of_the_room() -> None:
    async def scene() -> None:
        slow = names("slow", 50)
        world = World(dict.fromkeys(slow, (3.0, True)))
        endpoints = world.endpoints(in_all=64)
        for name in slow:
            offer(endpoints, name, 10)
        await asyncio.sleep(4)
        offer(endpoints, "well", 20)
        await until(lambda: world.order.count("well") == 20)
        assert latencies(world, "well") < 0.1
        await until(lambda: len(world.order) == 520, within=500 * 3 / 32 + 10)

    run(scene())


def test_one_slow_endpoint_alone_widens_its_share_little_by_little() -> None:
    async def scene() -> None:
        world = World({"slow": (2.0, True)})
        endpoints = world.endpoints(per_endpoint=8)
        offer(endpoints, "slow", 200)
        await asyncio.sleep(10)
        assert world.most["slow"] <= 4
        await until(lambda: len(world.order) == 200)
        assert world.most["slow"] == 8

    run(scene())


def test_one_that_answers_some_and_lets_others_hang_is_not_trusted() -> None:
    async def scene() -> None:
        world = World()
        mixed = names("mixed", 100)
        chance = random.Random(3)

        async def handle(item: tuple[str, float]) -> bool | None:
            hangs = item[0] in mixed and chance.random() < 0.3
            world.takes[item[0]] = (HANGS, False) if hangs else (QUICK, True)
            return await world.handle(item)

        endpoints = Endpoints(handle, in_all=64, per_endpoint=8, queued=10_000)
        await trusted(world, endpoints, "well")
        for name in mixed:
            offer(endpoints, name, 200)
        world.waited.clear()
        for _ in range(600):
            offer(endpoints, "well")
            await asyncio.sleep(0.1)
        assert latencies(world, "well") <= AT_ONCE

    run(scene())


# --- the share of one --------------------------------------------------------------------------------------------------


def test_a_dead_endpoint_has_one_request_at_a_time_and_rests_longer_and_longer() -> None:
    async def scene() -> None:
        world = World()
        endpoints = world.endpoints()
        await trusted(world, endpoints, "dead")
        world.takes["dead"] = (0.0, False)
        world.began.clear()
        offer(endpoints, "dead", 100)
        await until(lambda: len(world.began["dead"]) == 16)
        began = world.began["dead"]
        pauses = [after - before for before, after in pairwise(began[8:])]
        assert all(after >= before - 1e-6 for before, after in pairwise(pauses))
        assert pauses[-1] == pytest.approx(30, abs=0.01)
        assert began[7] - began[0] < 0.01  # eight had begun before the first answer
        assert world.running["dead"] <= 1

    run(scene())


def test_an_endpoint_that_recovers_has_its_whole_share_at_once() -> None:
    async def scene() -> None:
        world = World({"back": (HANGS, False)})
        endpoints = world.endpoints()
        offer(endpoints, "back", 300)
        await asyncio.sleep(300)
        assert world.most["back"] == 1
        del world.takes["back"]
        await until(lambda: world.running["back"] == 8, within=31 + HANGS + QUICK * 4)

    run(scene())


def test_a_single_failure_costs_half_of_the_share_and_no_rest() -> None:
    async def scene() -> None:
        world = World()
        endpoints = world.endpoints()
        await trusted(world, endpoints, "well")
        world.takes["well"] = (QUICK, False)
        offer(endpoints, "well")
        await until(lambda: world.order.count("well") == 25 and not world.running["well"])
        del world.takes["well"]
        await asyncio.sleep(QUICK)
        offer(endpoints, "well", 10)
        await asyncio.sleep(0)
        assert world.running["well"] == 4

    run(scene())


@pytest.mark.parametrize("is_raising", [True, False])
def test_what_tells_nothing_of_the_endpoint_changes_nothing(is_raising: bool) -> None:
    async def scene() -> None:
        world = World()

        async def handle(item: tuple[str, float]) -> bool | None:
            is_well = await world.handle(item)
            if is_well is None and is_raising:
                raise RuntimeError("the tables are away")
            return is_well

        endpoints = Endpoints(handle, in_all=64, per_endpoint=8, queued=100)
        await trusted(world, endpoints, "well")
        world.takes["well"] = (QUICK, None)
        offer(endpoints, "well", 50)
        await until(lambda: len(world.order) == 74 and not world.running["well"])
        offer(endpoints, "well", 10)
        await asyncio.sleep(0)
        assert world.running["well"] == 8

    run(scene())


def test_what_is_thought_of_idle_endpoints_is_forgotten_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene() -> None:
        monkeypatch.setattr(module, "_REMEMBERED", 10)
        world = World({"hangs": (HANGS, False)})
        endpoints = world.endpoints()
        await trusted(world, endpoints, "first")
        offer(endpoints, "hangs", 2)
        for name in names("well", 50):
            offer(endpoints, name)
            await asyncio.sleep(QUICK)
        await asyncio.sleep(QUICK * 2)
        assert len(endpoints._known) == 11  # and the one that is not idle
        assert "hangs" in endpoints._known
        offer(endpoints, "first", 10)
        await asyncio.sleep(0)
        assert world.running["first"] == 1  # as one that is new

    run(scene())


def test_an_endpoint_that_is_idle_for_a_moment_has_its_share_still() -> None:
    async def scene() -> None:
        world = World()
        endpoints = world.endpoints()
        await trusted(world, endpoints, "well")
        await asyncio.sleep(5)
        offer(endpoints, "well", 10)
        await asyncio.sleep(0)
        assert world.running["well"] == 8
        await until(lambda: not world.running["well"])
        await asyncio.sleep(3600)
        offer(endpoints, "well", 10)
        await asyncio.sleep(0)
        assert world.running["well"] == 1  # it may have died in the meantime

    run(scene())


def test_one_that_waits_for_room_rests_as_well_when_it_fails() -> None:
    async def scene() -> None:
        world = World({"dead": (1.2, True)})
        endpoints = world.endpoints(in_all=4)
        offer(endpoints, "dead")
        await asyncio.sleep(1.5)  # its share is two now, and there is room for one
        world.takes["dead"] = (0.0, False)
        offer(endpoints, "dead", 10)
        await asyncio.sleep(0.4)
        assert len(world.began["dead"]) == 2
        await asyncio.sleep(0.2)
        assert len(world.began["dead"]) == 3

    run(scene())


def test_one_that_was_late_is_trusted_again_when_it_was_quick_for_long_enough() -> None:
    async def scene() -> None:
        world = World()
        endpoints = world.endpoints()
        await trusted(world, endpoints, "well")
        known = endpoints._known["well"].repute
        world.takes["well"] = (2.0, True)
        offer(endpoints, "well")
        await asyncio.sleep(1.5)
        del world.takes["well"]
        assert known.standing is Standing.DOUBTED
        offer(endpoints, "well", 20)
        await asyncio.sleep(0.3)
        assert (known.standing, known.late) == (Standing.DOUBTED, 1)  # one still hangs
        await asyncio.sleep(0.5)
        offer(endpoints, "well")
        await asyncio.sleep(0.1)
        assert (known.standing, known.late) == (Standing.TRUSTED, 0)

    run(scene())


def test_one_that_is_still_asked_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        monkeypatch.setattr(module, "_REMEMBERED", 0)
        world = World()
        endpoints = world.endpoints()
        offer(endpoints, "well", 3)
        await asyncio.sleep(QUICK * 1.5)
        world.takes["well"] = (HANGS, True)
        offer(endpoints, "well")
        await asyncio.sleep(QUICK * 2)
        assert (world.running["well"], "well" in endpoints._known) == (1, True)
        await asyncio.sleep(HANGS)
        assert "well" not in endpoints._known

    run(scene())


def test_trust_is_earned_by_quick_answers_in_a_row() -> None:
    repute = Repute(Standing.UNPROVEN)
    for _ in range(7):
        repute.did_well(was_late=False, most=8)
    repute.did_badly()
    for _ in range(7):
        repute.did_well(was_late=False, most=8)
    assert repute.standing is Standing.UNPROVEN
    repute.did_well(was_late=False, most=8)
    assert (repute.standing, repute.share) == (Standing.TRUSTED, 8)


def test_quick_failures_are_doubted_as_well_once_they_are_many() -> None:
    repute = Repute(Standing.TRUSTED, share=8.0)
    shares = []
    for _ in range(4):
        repute.did_badly()
        shares.append((repute.share, repute.standing))
    assert shares == [(4, Standing.TRUSTED), (2, Standing.TRUSTED), (1, Standing.DOUBTED), (1, Standing.DOUBTED)]


def test_one_that_is_doubted_is_doubted_still_after_a_long_time() -> None:
    repute = Repute(Standing.DOUBTED, share=4.0)
    repute.was_idle(86_400)
    assert (repute.standing, repute.share) == (Standing.DOUBTED, 1)


def test_a_good_answer_ends_the_long_rests() -> None:
    repute = Repute(Standing.DOUBTED)
    assert [repute.rest_seconds() for _ in range(3)] == [0.5, 1, 2]
    repute.did_well(was_late=True, most=8)
    repute.did_badly()
    assert repute.rest_seconds() == 0.5


@pytest.mark.parametrize("rests", range(12))
def test_no_rest_is_longer_than_half_a_minute(rests: int) -> None:
    repute = Repute(Standing.DOUBTED, rests=rests)
    assert 0.5 <= repute.rest_seconds() <= 30


# --- the end -----------------------------------------------------------------------------------------------------------


def test_the_end_waits_for_what_runs_and_begins_nothing() -> None:
    async def scene() -> None:
        world = World({"a": (2.0, True)})
        endpoints = world.endpoints()
        offer(endpoints, "a", 10)
        await asyncio.sleep(0.1)
        began = now()
        await endpoints.close(5)
        assert now() - began == pytest.approx(1.9, abs=0.01)
        assert (world.order, world.running["a"]) == (["a"], 0)
        assert not endpoints.offer("a", ("a", 0.0))
        await asyncio.sleep(60)
        assert world.order == ["a"]

    run(scene())


def test_the_end_does_not_wait_for_ever() -> None:
    async def stubborn(_: object) -> bool | None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await asyncio.sleep(3)
                raise

    async def hanging(_: object) -> bool | None:
        await asyncio.sleep(3600)
        return True

    async def scene(handle: Callable[[object], Awaitable[bool | None]], most: float) -> None:
        endpoints: Endpoints[object] = Endpoints(handle, in_all=4, per_endpoint=4, queued=10)
        endpoints.offer("a", object())
        await asyncio.sleep(0)
        began = now()
        await endpoints.close(2)
        assert 2 <= now() - began <= most

    run(scene(hanging, 2.1))
    run(scene(stubborn, 3.1))


def test_whoever_cancels_all_that_runs_begins_nothing_by_that() -> None:
    async def scene() -> None:
        world = World({"a": (HANGS, True)})
        endpoints = world.endpoints()
        offer(endpoints, "a", 10)
        await asyncio.sleep(0.1)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(60)
        assert world.order == ["a"]

    run(scene())


def test_the_end_of_nothing_is_at_once() -> None:
    async def scene() -> None:
        await World().endpoints().close(5)
        assert now() == 0

    run(scene())

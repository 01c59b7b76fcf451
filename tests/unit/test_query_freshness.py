"""How old the view is and when a position is visible, on tables that say what the test wants."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from penstock.clickhouse.progress import Progress
from penstock.errors import NotYetVisible, TablesUnavailable
from query_api.freshness import Freshness
from tests.support.services import wait_until

NOW = 1_000_000


class FrozenClock:
    """Stands at `now`; how much time has passed it tells apart, as it does not depend on what the clock is set to."""

    def __init__(self) -> None:
        self.now = NOW
        self.passed_ms = 0

    def now_ms(self) -> int:
        return self.now

    def passed_seconds(self) -> float:
        return self.passed_ms / 1000


class Writers:
    """What the tables say, and how often they were asked."""

    def __init__(self, *progress: Progress) -> None:
        self.say(*progress)
        self.asked = 0
        self.broken: Exception | None = None

    def say(self, *progress: Progress) -> None:
        self.progress = {one.partition: one for one in progress}

    def __call__(self) -> dict[int, Progress]:
        self.asked += 1
        if self.broken:
            raise self.broken
        return self.progress


def written(partition: int, through: int, *, caught_up: bool = True, complete: int = NOW, at: int = NOW) -> Progress:
    return Progress(partition, 1, 1, through, None, caught_up, complete, at)


def play(
    writers: Writers, clock: FrozenClock, script: Any, ends: Mapping[int, int] = MappingProxyType({})
) -> Freshness:
    """Runs `script(freshness)` beside the task, once that has asked."""

    async def scene() -> Freshness:
        freshness = Freshness(writers, clock, ends=lambda: ends, passed_seconds=clock.passed_seconds)
        task = asyncio.create_task(freshness.run())
        await asyncio.sleep(0.02)
        assert writers.asked
        await script(freshness)
        assert not task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return freshness

    return asyncio.run(scene())


async def nothing(_: Freshness) -> None:
    """Just runs."""


def age(
    *progress: Progress, later_ms: int = 0, set_back_ms: int = 0, ends: Mapping[int, int] = MappingProxyType({})
) -> int:
    clock = FrozenClock()
    freshness = play(Writers(*progress), clock, nothing, ends)
    clock.now += later_ms - set_back_ms
    clock.passed_ms += later_ms
    return freshness.age_ms()


def test_the_age_is_0_while_all_writers_have_caught_up() -> None:
    assert age(written(0, 1), written(1, 1)) == 0
    assert age(written(0, 1, complete=NOW - 2000, at=NOW - 2999)) == 0


def test_a_writer_that_lags_makes_the_view_as_old_as_what_it_completed() -> None:
    assert age(written(0, 1), written(1, 1, caught_up=False, complete=NOW - 700)) == 700


def test_a_writer_that_is_silent_is_not_believed() -> None:
    assert age(written(0, 1), later_ms=2999) == 0
    assert age(written(0, 1), later_ms=3000) == 3000


def test_without_any_writer_the_view_is_as_old_as_the_process() -> None:
    assert age(later_ms=1234) == 1234


def test_a_writer_that_completed_nothing_counts_from_the_start_too() -> None:
    assert age(written(0, -1, caught_up=False, complete=0), later_ms=50) == 50


def test_an_age_of_what_lags_is_never_0_nor_negative() -> None:
    assert age(written(0, 1, caught_up=False, complete=NOW)) == 1
    assert age(written(0, 1, caught_up=False, complete=NOW + 500)) == 1


def test_the_age_is_0_only_where_all_that_was_acknowledged_here_is_visible() -> None:
    writers = written(0, 1, complete=NOW - 700), written(1, 4)
    assert age(*writers, ends={0: 2, 1: 5}) == 0
    assert age(*writers, ends={0: 3, 1: 5}) == 700
    assert age(written(0, 1), ends={0: 3}) == 1
    assert age(written(0, 1), ends={0: 2, 1: 0}) == 0
    assert age(written(0, 1), ends={0: 2, 1: 1}) == 1


HOUR_MS = 3_600_000


def test_where_the_clock_was_set_back_the_age_is_what_has_passed_since() -> None:
    assert age(written(0, 1), later_ms=2999, set_back_ms=HOUR_MS) == 0
    assert age(written(0, 1), later_ms=3000, set_back_ms=HOUR_MS) == 3000
    assert age(written(0, 1, caught_up=False), later_ms=700, set_back_ms=HOUR_MS) == 700
    assert age(later_ms=1234, set_back_ms=HOUR_MS) == 1234


def test_where_the_clock_was_set_back_a_writer_that_goes_on_is_believed() -> None:
    writers, clock = Writers(written(0, 1)), FrozenClock()

    async def script(freshness: Freshness) -> None:
        clock.now -= HOUR_MS
        clock.passed_ms += 5000
        assert freshness.age_ms() == 5000
        writers.say(replace(written(0, 2, complete=clock.now, at=clock.now), sequence=2))
        await asyncio.sleep(0.3)
        assert freshness.age_ms() == 0

    play(writers, clock, script)


def test_while_the_tables_do_not_answer_the_view_ages() -> None:
    writers, clock = Writers(written(0, 1)), FrozenClock()

    async def script(freshness: Freshness) -> None:
        writers.broken = TablesUnavailable("away")
        clock.passed_ms += 4000
        await asyncio.sleep(0.3)
        assert freshness.age_ms() == 4000

    play(writers, clock, script)


def test_a_visible_position_is_not_waited_for() -> None:
    async def script(freshness: Freshness) -> None:
        await freshness.wait_for({0: 5, 1: 1}, 0.0001)
        await freshness.wait_for({}, 0.0001)

    play(Writers(written(0, 5), written(1, 9)), FrozenClock(), script)


@pytest.mark.parametrize("position", [{0: 6}, {2: 0}, {0: 5, 2: 0}])
def test_a_position_that_is_not_reached_ends_in_an_error(position: dict[int, int]) -> None:
    async def script(freshness: Freshness) -> None:
        with pytest.raises(NotYetVisible):
            await freshness.wait_for(position, 0.05)

    play(Writers(written(0, 5)), FrozenClock(), script)


def test_all_who_wait_share_the_questions() -> None:
    writers = Writers(written(0, 5))

    async def script(freshness: Freshness) -> None:
        before = writers.asked
        waiting = [asyncio.create_task(freshness.wait_for({0: 6}, 20)) for _ in range(200)]
        await asyncio.to_thread(wait_until, lambda: writers.asked - before >= 2, 20, "the questions of all")
        assert writers.asked - before <= 100  # each for itself: 400
        writers.say(written(0, 6))
        await asyncio.wait_for(asyncio.gather(*waiting), 20)

    play(writers, FrozenClock(), script)


def test_who_gives_up_does_not_keep_the_questions_coming() -> None:
    writers = Writers(written(0, 5))

    async def script(freshness: Freshness) -> None:
        with pytest.raises(NotYetVisible):
            await freshness.wait_for({0: 6}, 0.02)
        assert not freshness._waiters
        await asyncio.sleep(0.02)
        before = writers.asked
        await asyncio.sleep(0.1)
        assert writers.asked - before <= 1

    play(writers, FrozenClock(), script)


@pytest.mark.parametrize("error", [TablesUnavailable("gone"), RuntimeError("bug")])
def test_a_question_that_fails_is_asked_again(error: Exception) -> None:
    writers = Writers(written(0, 5))

    async def script(freshness: Freshness) -> None:
        writers.broken = error
        waiting: Coroutine[Any, Any, None] = freshness.wait_for({0: 6}, 20)
        task = asyncio.create_task(waiting)
        await asyncio.sleep(0.05)
        writers.broken = None
        writers.say(written(0, 6))
        await asyncio.wait_for(task, 20)

    play(writers, FrozenClock(), script)

"""What waits for the log: bounded in all, shared by projects, and told how long it will last."""

import pytest

from penstock.errors import LogOverloaded
from penstock.eventlog.pending import PendingBytes


class Seconds:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def pending(seconds: Seconds) -> PendingBytes:
    return PendingBytes(1000, seconds)


def filled(pending: PendingBytes, project: str, size: int = 10) -> int:
    """Adds until the project is refused; how much it got."""
    held = 0
    while True:
        try:
            pending.add(project, size)
        except LogOverloaded:
            return held
        held += size


def retry_after(pending: PendingBytes, project: str) -> int:
    with pytest.raises(LogOverloaded) as refused:
        pending.add(project, 600)
    return refused.value.retry_after_seconds


def test_a_project_that_floods_leaves_room_for_others(pending: PendingBytes) -> None:
    assert filled(pending, "loud") == 500
    assert filled(pending, "quiet") == 330
    assert filled(pending, "third") > 100
    assert pending.total <= 1000


def test_who_holds_nothing_gets_in_even_with_more_than_a_share(pending: PendingBytes) -> None:
    filled(pending, "loud")
    pending.add("quiet", 450)
    with pytest.raises(LogOverloaded):
        pending.add("third", 51)
    pending.add("third", 50)


def test_what_is_done_makes_room_again_and_a_project_without_anything_is_forgotten(pending: PendingBytes) -> None:
    filled(pending, "loud")
    pending.add("quiet", 10)
    with pytest.raises(LogOverloaded):
        pending.add("loud", 10)
    pending.remove("quiet", 10)
    for _ in range(20):
        pending.remove("loud", 10)
    assert pending.total == 300
    assert filled(pending, "loud") == 200  # alone again: up to half
    for _ in range(50):
        pending.remove("loud", 10)
    assert pending.total == 0


def test_what_is_larger_than_the_bound_gets_in_where_nothing_waits(pending: PendingBytes) -> None:
    pending.add("any", 5000)
    with pytest.raises(LogOverloaded):
        pending.add("other", 1)


def test_the_waiting_time_is_what_waits_by_the_speed_of_late(pending: PendingBytes, seconds: Seconds) -> None:
    for _ in range(50):
        pending.add("loud", 10)
    assert retry_after(pending, "loud") == 1  # nothing is known yet
    seconds.now += 1
    for _ in range(10):
        pending.remove("loud", 10)
    pending.forget_the_past()
    assert retry_after(pending, "loud") == 4  # 400 at 100 a second


def test_where_nothing_goes_the_waiting_time_grows_up_to_its_limit(pending: PendingBytes, seconds: Seconds) -> None:
    pending.add("loud", 500)
    for later, expected in ((0, 1), (5, 5), (10, 15), (100, 30)):
        seconds.now += later
        assert retry_after(pending, "loud") == expected


def test_a_standstill_is_forgotten_soon_after_it_is_over(pending: PendingBytes, seconds: Seconds) -> None:
    pending.add("loud", 1000)
    seconds.now += 60
    for _ in range(40):
        pending.remove("loud", 10)
        pending.forget_the_past()
        seconds.now += 0.1
    assert retry_after(pending, "loud") <= 10  # 600 at 100 a second


def test_the_speed_of_an_idle_time_does_not_count(pending: PendingBytes, seconds: Seconds) -> None:
    pending.add("loud", 10)
    seconds.now += 1
    pending.remove("loud", 10)
    seconds.now += 3600
    pending.add("loud", 1000)
    seconds.now += 0.5
    pending.remove("loud", 200)
    assert retry_after(pending, "loud") == 2  # 800 at 400 a second

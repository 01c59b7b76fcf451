"""Shares and waiting times where more comes than goes."""

import pytest

from penstock.overload import is_over_share, retry_after_seconds


@pytest.mark.parametrize(
    ("held", "total", "holders", "is_over"),
    [
        (50, 50, 1, False),  # half of it is anybody's
        (51, 51, 1, True),  # alone: the other half is for who comes next
        (33, 66, 2, False),
        (34, 67, 2, True),
        (34, 50, 2, False),  # while less than half is taken, nobody is refused
        (20, 95, 4, False),
        (21, 95, 4, True),
    ],
)
def test_above_half_of_the_bound_a_project_holds_no_more_than_its_share(
    held: int, total: int, holders: int, is_over: bool
) -> None:
    assert is_over_share(held=held, total=total, bound=100, holders=holders) is is_over


@pytest.mark.parametrize("projects", [1, 2, 3, 10, 100])
def test_there_is_room_for_one_more_project_however_many_flood(projects: int) -> None:
    bound, held = 10_000, dict.fromkeys(range(projects), 0)
    for number in range(bound):
        project = number % projects
        over = is_over_share(held=held[project] + 1, total=sum(held.values()) + 1, bound=bound, holders=projects)
        held[project] += not over
    assert bound - sum(held.values()) >= bound // (projects + 1)


@pytest.mark.parametrize(
    ("waiting", "done", "seconds", "expected"),
    [
        (1000, 500, 1.0, 2),
        (1000, 400, 1.0, 3),  # rounded up
        (10, 5000, 1.0, 1),  # no less than a second
        (1_000_000, 10, 1.0, 30),  # no more than half a minute
        (1000, 0, 0.0, 1),  # nothing is known yet
        (1000, 0, 7.5, 8),  # stands still: as long again
        (1000, 0, 500.0, 30),
        (5, 4, 0.0, 1),  # nothing took any time
    ],
)
def test_it_is_worth_another_try_when_what_waits_is_done(
    waiting: float, done: float, seconds: float, expected: int
) -> None:
    assert retry_after_seconds(waiting, done, seconds) == expected

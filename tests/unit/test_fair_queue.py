"""Whose turn it is."""

from query_api.fair_queue import FairQueue


def queue_of(bound: int, *items: str) -> FairQueue[str]:
    """Items are named after their project: `a1` is of `a`."""
    queue: FairQueue[str] = FairQueue(bound)
    for item in items:
        assert queue.put(item[0], item)
    return queue


def drained(queue: FairQueue[str]) -> list[str]:
    found = []
    while (item := queue.take()) is not None:
        found.append(item)
    return found


def test_projects_take_turns_and_the_first_of_each_comes_first() -> None:
    queue = queue_of(100, "a1", "a2", "a3", "a4", "b1", "c1", "c2")
    assert drained(queue) == ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]
    assert len(queue) == 0


def test_a_newcomer_waits_for_one_of_each_other_project_and_not_for_all_that_they_ask() -> None:
    queue = queue_of(1000, *[f"a{number}" for number in range(400)], "b1")
    assert queue.take() == "a0"
    assert queue.put("c", "c1")
    assert [queue.take() for _ in range(3)] == ["b1", "a1", "c1"]


def test_who_comes_back_comes_after_the_others() -> None:
    queue = queue_of(100, "a1", "b1", "b2")
    assert queue.take() == "a1"
    assert queue.put("a", "a2")
    assert drained(queue) == ["b1", "a2", "b2"]


def test_one_project_gets_half_of_the_places_and_others_find_room() -> None:
    queue: FairQueue[int] = FairQueue(20)
    assert sum(queue.put("loud", number) for number in range(100)) == 10
    assert sum(queue.put("quiet", number) for number in range(100)) == 6
    assert queue.put("third", 0)
    assert sum(queue.put(f"{number}", number) for number in range(100)) == 3
    assert len(queue) == 20


def test_who_gives_up_leaves_room() -> None:
    queue = queue_of(4, "a1", "a2", "b1")
    assert not queue.put("a", "a3")
    queue.discard("a", "a1")
    queue.discard("b", "b1")
    queue.discard("b", "b1")  # twice is fine
    queue.discard("c", "c1")
    assert len(queue) == 1
    assert queue.put("a", "a3")
    assert drained(queue) == ["a2", "a3"]

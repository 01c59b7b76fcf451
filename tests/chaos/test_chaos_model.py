"""The fault suite notices what it is there to notice: each way in which reads may be wrong is told."""

from collections.abc import Callable, Iterator
from math import inf
from random import Random
from typing import Any
from uuid import UUID

import pytest

from tests.chaos.compare import Comparison
from tests.chaos.complaints import Complaints
from tests.chaos.deletions import Deletion, Deletions, Expected
from tests.chaos.drafts import wire_time
from tests.chaos.ledger import Ledger
from tests.chaos.options import Options
from tests.chaos.plan import faults
from tests.chaos.reads import Reads
from tests.chaos.sums import Sums

EVENTS = 6
FIRST_MS = 1_795_417_200_123


def event_id(marker: int) -> str:
    return str(UUID(int=marker + 1))


class World:
    """Some acknowledged events, a maybe, and the rows that a right list has of them, newest first."""

    def __init__(self) -> None:
        self.ledger, self.complaints = Ledger(), Complaints()
        self.deletions = Deletions(self.ledger)
        for marker in range(EVENTS):
            self.ledger.draw(0, "signup", float(marker))
            assert self.ledger.acknowledge(marker, event_id(marker), marker + 0.5)
        self.maybe = self.ledger.draw(0, "signup", float(EVENTS))
        self.rows = [self.row(marker) for marker in reversed(range(EVENTS))]

    def row(self, marker: int, **data: Any) -> dict[str, Any]:
        return {
            "id": event_id(marker),
            "name": "signup",
            "createdAt": wire_time(FIRST_MS + marker),
            "contactId": str(UUID(int=0)),
            "contact": {"email": "ada@example.com"},
            "data": {"marker": marker, "who": "ada@example.com", **data},
        }

    def complained(self) -> set[str]:
        Comparison(0, self.ledger, self.deletions, self.complaints).list_all(self.rows)
        return set(self.complaints.counts)


def test_nothing_is_wrong_with_a_right_list() -> None:
    world = World()
    assert world.complained() == set()


def test_a_maybe_may_be_there_once() -> None:
    world = World()
    world.rows.insert(0, world.row(world.maybe))
    assert world.complained() == set()


BREAKS: dict[str, Callable[[World], None]] = {
    "missing": lambda world: world.rows.__delitem__(2),
    "double": lambda world: world.rows.append({**world.row(5), "createdAt": wire_time(FIRST_MS - 1)}),
    "order of the list": lambda world: world.rows.reverse(),
    "unknown event": lambda world: world.rows.insert(0, world.row(99)),
    "other id": lambda world: world.rows.__setitem__(0, {**world.rows[0], "id": event_id(77)}),
    "a retry replaced the first": lambda world: world.rows.__setitem__(0, world.row(5, late=True)),
    "not as sent": lambda world: world.rows.__setitem__(0, world.row(5, at=FIRST_MS + 6)),
}


@pytest.mark.parametrize("wrong", BREAKS)
def test_each_wrong_list_is_told(wrong: str) -> None:
    world = World()
    BREAKS[wrong](world)
    assert world.complained() == {wrong}


def test_a_maybe_that_is_there_twice_is_told() -> None:
    world = World()
    world.rows[:0] = [{**world.row(world.maybe), "id": event_id(50)}, world.row(world.maybe)]
    assert world.complained() == {"double"}


def test_an_event_that_comes_back_after_its_deletion_is_told() -> None:
    world = World()
    world.deletions.begin((0, "signup"), 3.7).answered = 4.2
    assert world.complained() == {"deleted and still there"}
    assert world.complaints.counts["deleted and still there"] == 4


@pytest.mark.parametrize(
    ("deletion", "expected"),
    [
        (Deletion(1.0, 1.2), Expected.THERE),
        (Deletion(1.0, 2.2), Expected.EITHER),
        (Deletion(2.4, 2.6), Expected.EITHER),
        (Deletion(2.4, inf), Expected.EITHER),
        (Deletion(2.6, 2.7), Expected.GONE),
        (Deletion(2.6, inf), Expected.EITHER),
    ],
)
def test_what_a_deletion_says_of_an_event(deletion: Deletion, expected: Expected) -> None:
    """The event was sent at 2 and acknowledged at 2.5."""
    world = World()
    world.deletions.begin((0, "signup"), deletion.sent).answered = deletion.answered
    assert world.deletions.expected(2) is expected


def test_how_many_a_deletion_can_have_removed() -> None:
    world = World()
    for marker in range(EVENTS):
        world.deletions.note_event(marker)
    first = world.deletions.begin((0, "signup"), 2.2)
    first.answered = 3.2
    assert world.deletions.count_between((0, "signup"), first) == (2, 4)
    second = world.deletions.begin((0, "signup"), 7.0)
    second.answered = 8.0
    assert world.deletions.count_between((0, "signup"), second) == (2, 4)


def sums_of(world: World) -> Sums:
    listed = Comparison(0, world.ledger, world.deletions, world.complaints).list_all(world.rows)
    return Sums(0, listed, world.complaints)


@pytest.mark.parametrize("path", ["/events/names", "/events/stats"])
def test_sums_that_differ_from_the_list_are_told(path: str) -> None:
    world = World()
    sums = sums_of(world)

    def read(asked: str, **span: str) -> Any:
        if "interval" in span or (asked == path and not span):
            return {"eventNames": []} if asked == "/events/names" else []
        return {"eventNames": ["signup"]} if asked == "/events/names" else [{"name": "signup", "count": EVENTS}]

    sums.check(read, Random(0))
    assert any(text.startswith(f"sums differ: project 0: {path.rpartition('/')[2]}") for text in world.complaints.texts)


def emitted(number: int, at_ms: int) -> dict[str, Any]:
    about = {"contactId": str(UUID(int=0)), "contact": {"email": "ada@example.com"}}
    return {"id": event_id(number), "name": "contact.subscribed", "createdAt": wire_time(at_ms), "data": None, **about}


def test_events_that_were_emitted_are_in_the_sums_although_nobody_sent_them() -> None:
    world = World()
    world.rows.insert(0, emitted(70, FIRST_MS + 60))
    sums = sums_of(world)
    assert not world.complaints
    sums.check(lambda path, **_: {"eventNames": ["signup"]} if path == "/events/names" else [], Random(0))
    assert any("names: ['signup'] where ['signup', 'contact.subscribed']" in text for text in world.complaints.texts)


class OtherLists(Reads):
    """The lists by contact and by name, without one row."""

    def __init__(self, rows: list[dict[str, Any]], left_out: dict[str, Any]) -> None:
        self._rows = [row for row in rows if row is not left_out]

    def events(self, path: str = "/events", **parameters: Any) -> Iterator[dict[str, Any]]:
        return (row for row in self._rows if row["name"] == parameters.get("eventName", row["name"]))


@pytest.mark.parametrize("left_out", [None, 0, 1, 3])
def test_lists_by_contact_and_name_that_differ_from_the_list_are_told(left_out: int | None) -> None:
    world = World()
    world.rows[:0] = [emitted(71, FIRST_MS + 61), emitted(70, FIRST_MS + 60)]
    comparison = Comparison(0, world.ledger, world.deletions, world.complaints)
    listed = comparison.list_all(world.rows)
    comparison.sample(OtherLists(world.rows, {} if left_out is None else world.rows[left_out]), listed, Random(0))
    assert set(world.complaints.counts) == (set() if left_out is None else {"lists differ"})


def test_what_was_erased_and_comes_back_is_told() -> None:
    world = World()
    world.deletions.begin_erasure([1, 2], 3.0).answered = 4.0
    assert world.complained() == {"deleted and still there"}
    assert world.complaints.counts["deleted and still there"] == 2


def test_a_seed_repeats_the_faults_and_another_does_not() -> None:
    def some(seed: str) -> list[str]:
        options = Options("kafka", seed)
        plan = faults(options.random("faults"), ["ingest", "consume", "kafka"], options)
        return [str(next(plan)) for _ in range(50)]

    assert some("a") == some("a") != some("b")

"""What the tables should have of a log, decided from its records alone."""

import uuid
from collections.abc import Iterable
from contextlib import closing

import msgspec
import pytest

from consumers.expected import EventLine, Expectation, ExpectedRecord, Removals, id_number, read_removal
from consumers.first_copies import FirstCopies
from consumers.letters import DeadPlaces
from consumers.people import People
from consumers.people_fold import PeopleFold
from penstock.errors import StartError
from penstock.eventlog import StoredRecord
from schemas.deletion import Deletion
from schemas.erasure import Erasure
from schemas.event import Event
from schemas.record import EVENTS_FORMAT, NEWEST_FORMAT, pack_deletion
from tests.support.fixtures import event
from tests.support.records import record, stored

DERIVED_ID = str(uuid.uuid4())


def expected(
    records: Iterable[StoredRecord], through: int = 100, dead: Iterable[tuple[int, int | None]] = ()
) -> list[ExpectedRecord]:
    """What is expected of each record of partition 0."""
    listed = list(records)
    places = DeadPlaces()
    for offset, index in dead:
        places.add(0, offset, index)
    removals = Removals({0: through})
    for one in listed:
        removal = read_removal(one)
        if removal:
            removals.add(one.partition, one.offset, removal)
    with closing(FirstCopies()) as copies, closing(People()) as people:
        expectation = Expectation(places, removals, copies.is_first, PeopleFold(people))
        return [expectation.of(one) for one in listed]


def derived(name: str = "viewed") -> Event:
    return event(event_id=DERIVED_ID, name=name, derived=True)


def deletion(offset: int, name: str, project_id: str | None = None) -> StoredRecord:
    of = project_id or event().project_id
    return stored(pack_deletion(Deletion(str(uuid.uuid4()), of, name), accepted_ms=1), offset)


def test_every_event_is_expected_at_its_place() -> None:
    events = [event(), event(name="other")]
    (found,) = expected([record(0, events)])
    assert [(one.index, one.line.id, one.number) for one in found.events] == [
        (index, one.id, uuid.UUID(one.id).int) for index, one in enumerate(events)
    ]
    assert (found.in_log, found.derived) == (2, [])


@pytest.mark.parametrize("bad", [{"occurred_at": "yesterday"}, {"contact_id": "nobody"}])
def test_an_event_without_a_time_or_a_contact_is_unreadable_and_ends_nothing(bad: dict[str, str]) -> None:
    (found,) = expected([record(0, [event(), msgspec.structs.replace(event(), **bad), event()])])
    assert (len(found.events), found.unreadable, found.in_log) == (2, 1, 3)


def test_of_copies_the_first_is_expected() -> None:
    found = expected([record(0, [event(), derived(), derived()]), record(1, [derived()])])
    assert [(len(one.events), one.repeated, len(one.derived)) for one in found] == [(2, 1, 1), (0, 1, 0)]


def test_a_copy_behind_one_that_was_set_aside_is_the_first() -> None:
    found = expected([record(0, [derived()]), record(1, [derived(), derived()])], dead=[(0, 0)])
    assert [(one.dead, len(one.events), one.repeated) for one in found] == [(1, 0, 0), (0, 1, 1)]


def test_the_same_copy_is_asked_about_again_with_the_same_answer() -> None:
    with closing(FirstCopies()) as copies:
        number = id_number(DERIVED_ID)
        asked = [(0, 3, 1), (0, 3, 2), (0, 4, 1), (1, 3, 2), (0, 3, 1), (0, 4, 1)]
        assert [copies.is_first(number, *place) for place in asked] == [True, False, False, True, True, False]


def test_a_record_that_was_set_aside_counts_as_one_event() -> None:
    found = expected([stored(b"nonsense", 0), record(1, 3)], dead=[(0, None), (1, None)])
    assert [(one.dead, one.in_log) for one in found] == [(1, 1), (1, 1)]


@pytest.mark.parametrize("value", [b"nonsense", b"", None, (record(0, 1).value or b"")[:-1]])
def test_a_record_that_cannot_be_read_and_was_not_set_aside_is_no_event_less(value: bytes | None) -> None:
    (found,) = expected([stored(value, 0)])
    assert (found.unreadable, found.in_log) == (1, 1)


def test_an_event_that_cannot_be_read_is_dead_or_missing() -> None:
    bad = event(event_id="no id")
    assert [one.unreadable for one in expected([record(0, [event(), bad])])] == [1]
    assert [(one.unreadable, one.dead) for one in expected([record(0, [event(), bad])], dead=[(0, 1)])] == [(0, 1)]


def test_a_deletion_removes_what_stands_before_it_of_its_name_and_project() -> None:
    other = str(uuid.uuid4())
    events = [event(name="gone"), event(name="stays"), event(name="gone", project_id=other)]
    found = expected([record(0, events), deletion(1, "gone"), record(2, events)])
    assert [(one.deleted, len(one.events), one.in_log) for one in found] == [(1, 2, 3), (0, 0, 0), (0, 3, 3)]


def test_the_last_deletion_of_a_name_counts() -> None:
    gone = [event(name="gone")]
    found = expected([record(0, gone), deletion(1, "gone"), record(2, gone), deletion(3, "gone"), record(4, gone)])
    assert [one.deleted for one in found] == [1, 0, 1, 0, 0]


def test_a_copy_of_a_deleted_event_stays_refused() -> None:
    found = expected([record(0, [derived("gone")]), deletion(1, "gone"), record(2, [derived("gone")])])
    assert [(one.deleted, one.repeated, len(one.derived)) for one in found] == [(1, 0, 1), (0, 0, 0), (0, 1, 0)]


def test_a_deletion_behind_what_is_compared_removes_nothing_for_sure() -> None:
    removals = Removals({0: 5})
    one = EventLine("", event().project_id, "gone", "")
    removals.add(0, 6, Deletion("", one.project_id, one.name))
    assert not removals.has(0, 5, one)
    assert removals.may_have(0, 5, one)
    assert not removals.may_have(0, 6, one)
    assert not removals.may_have(1, 5, one)
    assert removals.is_coming(0, (one.project_id, one.name))
    assert not removals.is_coming(1, (one.project_id, one.name))


def test_an_erasure_removes_all_of_its_contact_and_nothing_that_comes_later() -> None:
    removals = Removals({0: 10})
    one = EventLine("", event().project_id, "any", "", contact_id=str(uuid.uuid4()))
    removals.add(0, 6, Erasure("", one.project_id, one.contact_id, ""))
    removals.add(0, 12, Erasure("", one.project_id, one.contact_id, ""))
    assert removals.has(0, 5, one)
    assert removals.has_erased(0, 5, one)
    assert not removals.has(0, 6, one)
    assert not removals.has(0, 5, EventLine("", one.project_id, "any", "", contact_id="another"))
    assert removals.may_have(0, 11, one)
    assert removals.may_have_erased(0, 11, one)
    assert removals.is_erasing(0, (one.project_id, one.contact_id))
    assert removals.is_coming(0, (one.project_id, "any other name"))


def test_a_deletion_that_cannot_be_read_is_a_record_that_cannot() -> None:
    broken = (deletion(0, "gone").value or b"").replace(b"gone", b"live")
    (found,) = expected([stored(broken, 0)])
    assert found.unreadable == 1


def test_a_newer_format_ends_it_with_words() -> None:
    head = b'"format":%d' % EVENTS_FORMAT
    newer = (record(0, 1).value or b"").replace(head, b'"format":%d' % (NEWEST_FORMAT + 1), 1)
    with pytest.raises(StartError, match="upgrade"):
        expected([stored(newer, 0)])

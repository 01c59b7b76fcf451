"""Contacts as the writer makes them of the log: their state, the events that changes emit, their erasure."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.migrate import migrate_tables
from tests.support.faults import Crash, FaultyTables, crash_points
from tests.support.fixtures import drop, need_chdb
from tests.support.people import Person, Said
from tests.support.story import Story
from tests.support.tables import open_test_tables

ADA, BOB = "ada@example.com", "bob@example.com"


@pytest.fixture(scope="module")
def long_story() -> Iterator[Story]:
    need_chdb()
    tables = open_test_tables()
    yield Story(tables)
    drop(tables)


@pytest.fixture
def story(long_story: Story) -> Story:
    """On chDB alone: what is decided here depends on no driver."""
    long_story.begin()
    return long_story


def track(who: str = ADA, **said: Any) -> Said:
    return Said("track", who, **said)


# --- what becomes of the subscription ---------------------------------------------------------------------------------


@pytest.mark.parametrize("subscribed", [True, False, None])
def test_a_new_contact_has_the_value_that_its_event_brings_else_true_and_no_contact_event(
    story: Story, subscribed: bool | None
) -> None:
    story.tell(track(subscribed=subscribed))
    story.write()
    assert story.people() == {ADA: Person(subscribed is not False, {}, 0, [], 1)}


def test_a_change_of_an_existing_contact_emits_its_event_once(story: Story) -> None:
    story.tell(track())
    story.tell(track(subscribed=False, ms=1), track(subscribed=False, ms=2), track(ms=3))
    story.tell(track(subscribed=True, ms=4), track(subscribed=True, ms=5))
    story.write(max_rows=1)
    story.check()
    assert [name for name, _ in story.people()[ADA].emitted] == ["contact.unsubscribed", "contact.subscribed"]


def test_a_contact_that_is_known_since_the_same_batch_exists(story: Story) -> None:
    story.tell(track(), track(BOB, subscribed=False), track(subscribed=False, ms=1))
    story.write()
    story.check()
    assert [len(person.emitted) for person in story.people().values()] in ([1, 0], [0, 1])


def test_a_late_event_emits_nothing_where_a_later_one_decides(story: Story) -> None:
    story.tell(track(subscribed=True, ms=10))
    story.tell(track(subscribed=False, ms=5))
    story.write()
    story.check()
    assert story.people()[ADA].emitted == []


@pytest.mark.parametrize("kind", ["bounce", "complaint"])
def test_a_bounce_and_a_complaint_unsubscribe_with_their_reason_also_an_unknown_contact(
    story: Story, kind: Any
) -> None:
    story.tell(Said(kind, ADA))
    story.tell(Said(kind, ADA, ms=1))
    story.write()
    story.check()
    assert story.people()[ADA].emitted == [("contact.unsubscribed", {"reason": kind})]


def test_a_contact_hook_that_changes_nothing_is_no_event_and_still_counts_as_the_last_word(story: Story) -> None:
    story.tell(track(subscribed=True), Said("hook", ADA, ms=20, subscribed=True), track(subscribed=False, ms=10))
    story.write()
    story.check()
    assert story.people()[ADA].subscribed
    assert story.people()[ADA].emitted == []


def test_a_retry_has_no_effect_on_the_contact(story: Story) -> None:
    story.tell(track(key="k", subscribed=True, data='{"a":1}'))
    story.tell(track(key="k", subscribed=False, data='{"a":2}', ms=5))
    story.write(max_rows=1)
    story.check()


# --- what becomes of the data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "objects",
    [
        ['{"a":1,"b":2}', '{"b":null,"c":3}'],
        ['{"a":1}', '{"a":""}'],
        ['{"a":1}', '{"a":{"value":2,"persistent":false}}'],
        ['{"a":1}', '{"a":{"value":2,"persistent":true}}'],
        ['{"a":1}', '{"a":{"persistent":false}}'],
        ['{"a":1}', '{"a":{"value":2,"persistent":false,"persistent":true}}'],
        ['{"a":1}', '{"a":2,"a":""}'],
        ['{"a":1}', '{"a":"","a":2}', '{"a":3,"a":""}'],
        ['{"a":1}', '{"\\u0061":{"value":2,"\\u0070ersistent":false}}'],
        ['{"a":1}', '{"a":1e400,"b":2}', '{"b":1e400}'],
        ['{"a":123456789012345678901234567890}', '{"b":-0.0,"c":1E5}'],
        ['{"a":1,"id":"x","email":"y","plunk_id":1,"plunk_email":1,"unsubscribeUrl":1,"subscribeUrl":1,"manageUrl":1}'],
        ['{"a":1}', "[1]", '"text"', "7", "null", ""],
        ['{"a":1}', "{}", '{"":5}', '{"a b":{"c":[1,{"d":null}]}}'],
        ['{"a":"\\u0000\\ud83d\\ude00"}', '{"\\u0000":"é"}'],
        ['{"a":{"b":1}}', '{"a":{"c":2}}'],
    ],
)
def test_data_is_merged_by_the_rules(story: Story, objects: list[str]) -> None:
    for number, data in enumerate(objects):
        story.tell(track(data=data, ms=number))
    for number, data in enumerate(reversed(objects)):
        story.tell(track(BOB, data=data, ms=-number))
    story.write(max_rows=1)
    story.check()
    story.tables.execute("OPTIMIZE TABLE contacts FINAL")
    story.check()


def test_data_of_mails_and_reasons_of_hooks_touch_no_field(story: Story) -> None:
    story.tell(Said("open", ADA, data='{"a":1}'), Said("hook", ADA, subscribed=False, data='{"reason":"asked"}'))
    story.tell(Said("patch", ADA, ms=1, data='{"b":2}'))
    story.write()
    story.check()
    assert story.people()[ADA].data == {"b": 2}


# --- erasure ----------------------------------------------------------------------------------------------------------


def test_an_erased_contact_is_gone_with_its_events_and_begins_anew(story: Story) -> None:
    story.tell(track(data='{"a":1}', key="k"), track(BOB), track(subscribed=False, ms=90_000_000))
    story.tell(Said("erase", ADA))
    story.write()
    story.check()
    assert story.people().keys() == {BOB}
    story.tell(track(key="k"), track(ms=5, subscribed=False, data='{"b":1}'))
    story.write()
    story.check()
    assert story.people()[ADA] == Person(False, {"b": 1}, 5, [], 1)


def test_an_erasure_takes_nothing_from_anybody_else(story: Story) -> None:
    story.tell(*[track(f"{number}@example.com", ms=number, data='{"a":1}', subscribed=False) for number in range(5)])
    story.tell(Said("erase", "3@example.com"))
    story.tell(Said("erase", "nobody@example.com"))
    story.write()
    story.check()


def test_erasures_that_stand_together_are_carried_out_together_each_for_itself(story: Story) -> None:
    story.tell(*[track(f"{n}@example.com", ms=n * 100_000, data='{"a":1}', subscribed=n > 3) for n in range(6)])
    story.tell(*[track(f"{n}@example.com", ms=n, subscribed=False) for n in range(6)])
    for number in (1, 4, 2, 1):
        story.tell(Said("erase", f"{number}@example.com"))
    story.tell(track("4@example.com", subscribed=False))
    story.write()
    story.check()


@pytest.mark.parametrize("max_rows", [1, 50_000])
def test_a_change_of_a_contact_that_was_erased_before_it_is_void(story: Story, max_rows: int) -> None:
    late: dict[str, Any] = {"subscribed": False, "known_only": True}
    story.tell(track(), track(BOB))
    story.tell(Said("erase", ADA))
    story.tell(Said("patch", ADA, data='{"a":1}', **late), Said("hook", ADA, **late), Said("hook", BOB, **late))
    story.write(max_rows=max_rows)
    story.check()
    assert story.people().keys() == {BOB}
    story.tell(Said("patch", ADA, data='{"a":1}', **late), track(subscribed=False), Said("patch", ADA, **late))
    story.write(max_rows=max_rows)
    story.check()
    assert story.people()[ADA].emitted == []


def test_both_drivers_come_to_the_same(both_tables: ClientTables) -> None:
    migrate_tables(both_tables)
    story = Story(both_tables)
    story.tell(track(data='{"a":1e400}', key="k"), track(BOB, subscribed=True), track(subscribed=False, ms=-1))
    story.tell(Said("complaint", BOB), Said("patch", ADA, data='{"b":"\\u0000"}', subscribed=True, ms=1))
    story.write()
    story.check()
    story.tell(Said("erase", BOB))
    story.tell(track(BOB, subscribed=False))
    story.write()
    story.check()


def test_a_crash_at_any_statement_changes_nothing_of_what_becomes_of_contacts(story: Story) -> None:
    """The next writer has other limits, and must come to the same events."""
    tables = story.tables

    def grow() -> None:
        story.tell(track(data='{"a":1}', ms=1), track(BOB, subscribed=False), track(subscribed=False, key="k"))
        story.tell(
            Said("bounce", ADA, ms=3), Said("hook", BOB, ms=1, subscribed=True), Said("patch", BOB, data='{"b":1}')
        )
        story.tell(track(subscribed=True, ms=9), track(key="k"), track(BOB, subscribed=True, ms=2))
        story.tell(Said("erase", BOB))
        story.tell(track(BOB, subscribed=False, ms=4), track(BOB, subscribed=True, ms=5))

    grow()
    watched = FaultyTables(tables)
    story.write(watched)
    story.check()
    for at in crash_points(watched.statements):
        story.begin()
        grow()
        with suppress(Crash):  # the last one comes through
            story.write(FaultyTables(tables, at=at))
        story.write(max_rows=1)
        story.check()
    assert "insert contact_facts" in watched.statements
    assert any(one.startswith("DELETE FROM contacts ") for one in watched.statements)

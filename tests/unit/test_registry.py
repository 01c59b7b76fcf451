"""The registry: what it knows follows from the records of the control topic, however they are read."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from penstock.registry import Registry
from schemas.registry import (
    UNKNOWN_OFFSET,
    Registered,
    Segment,
    SigningSecret,
    Workflow,
    WorkflowState,
    encode_registered,
    registry_key,
    segment_key,
    workflow_key,
    workflow_state_key,
)

PROJECT = "6f0c2f52-5b5a-4a52-9a3b-0d8a63c1f0aa"
OTHER = "6f0c2f52-5b5a-4a52-9a3b-0d8a63c1f0bb"
CONDITION = '{"logic":"AND","groups":[{"filters":[{"field":"subscribed","operator":"equals","value":true}]}]}'
MADE = "2026-11-23T07:00:00.000Z"
LATER = "2026-11-23T08:00:00.000Z"


def uuid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def segment(number: int, slug: str = "vip", **more: Any) -> Segment:
    members: dict[str, Any] = {"project_id": PROJECT, "condition": CONDITION, "tracked": True, "created_at": MADE}
    members |= more
    return Segment(id=uuid_of(number), name="VIP", slug=slug, revision="1", updated_at=MADE, **members)


def workflow(number: int, **more: Any) -> Workflow:
    secrets = (SigningSecret("whsec_x"),)
    members: dict[str, Any] = {"project_id": PROJECT, "enabled": True, "created_at": MADE, "updated_at": MADE}
    members |= more
    return Workflow(
        id=uuid_of(number), name="CRM", event_name="signup", url="https://example.com", secrets=secrets, **members
    )


class Topic:
    """The records of a control topic, and registries that read them."""

    def __init__(self) -> None:
        self.records: list[tuple[int, str, bytes | None]] = []

    def put(self, *registered: Registered) -> None:
        for one in registered:
            self.records.append((len(self.records), registry_key(one), encode_registered(one)))

    def gone(self, key: str) -> None:
        self.records.append((len(self.records), key, None))

    def compact(self, *, tombstones: bool = True) -> None:
        """Keeps the newest record of each key, at its offset."""
        newest = {key: offset for offset, key, _ in self.records}
        self.records = [
            (offset, key, value)
            for offset, key, value in self.records
            if newest[key] == offset and (tombstones or value is not None)
        ]

    def read(self, registry: Registry | None = None) -> Registry:
        registry = registry or Registry()
        for offset, key, value in self.records:
            registry.apply(key, value, offset)
        return registry


@pytest.fixture
def topic() -> Topic:
    return Topic()


def ids(found: list[Segment] | list[Workflow]) -> list[str]:
    return [one.id for one in found]


# --- what is known -----------------------------------------------------------------------------------------------------


def test_what_was_put_is_known_in_its_project_alone(topic: Topic) -> None:
    topic.put(segment(1), workflow(2), segment(3, project_id=OTHER), workflow(4, project_id=OTHER))
    registry = topic.read()
    assert (ids(registry.segments(PROJECT)), ids(registry.workflows(PROJECT))) == ([uuid_of(1)], [uuid_of(2)])
    assert registry.segment(PROJECT, uuid_of(3)) is None
    assert registry.workflow(PROJECT, uuid_of(4)) is None
    assert registry.segment_of_slug(PROJECT, "vip") == replace(segment(1), first_offset=0)
    assert registry.segment_of_slug(OTHER, "vip") == replace(segment(3, project_id=OTHER), first_offset=2)
    assert len(registry.all_workflows()) == 2


def test_the_oldest_comes_first_and_of_the_same_age_the_lower_id(topic: Topic) -> None:
    topic.put(segment(3, "c"), segment(1, "a", created_at=LATER), segment(2, "b"))
    topic.put(workflow(6), workflow(4, created_at=LATER), workflow(5))
    registry = topic.read()
    assert ids(registry.segments(PROJECT)) == [uuid_of(2), uuid_of(3), uuid_of(1)]
    assert ids(registry.workflows(PROJECT)) == [uuid_of(5), uuid_of(6), uuid_of(4)]


def test_the_newest_record_of_a_key_counts(topic: Topic) -> None:
    topic.put(segment(1), replace(segment(1), name="Very important", first_offset=0))
    topic.put(workflow(2), replace(workflow(2), enabled=False))
    registry = topic.read()
    assert [one.name for one in registry.segments(PROJECT)] == ["Very important"]
    assert [one.enabled for one in registry.workflows(PROJECT)] == [False]


def test_tracked_are_those_whose_membership_is_computed_and_emitted(topic: Topic) -> None:
    topic.put(segment(1, "a"), segment(2, "b", tracked=False), segment(3, "c", condition=""))
    topic.put(segment(4, "d", project_id=OTHER))
    assert ids(topic.read().tracked_segments()) == [uuid_of(1), uuid_of(4)]


def test_a_list_that_was_asked_for_does_not_change_later(topic: Topic) -> None:
    topic.put(segment(1, "a"))
    registry = topic.read()
    before = registry.segments(PROJECT)
    topic.put(segment(2, "b"))
    topic.read(registry)
    assert (len(before), len(registry.segments(PROJECT))) == (1, 2)


def test_records_of_others_are_passed_over(topic: Topic) -> None:
    registry = Registry()
    for key in (f"project/{PROJECT}", "key/abc", "", "segments/1", "unknown/1"):
        registry.apply(key, b"whatever", 0)
    assert registry.segments(PROJECT) == []


def test_a_record_that_is_not_readable_changes_nothing(topic: Topic) -> None:
    topic.put(segment(1))
    registry = topic.read()
    with pytest.raises(msgspec.DecodeError):
        registry.apply(segment_key(uuid_of(1)), b'{"id":5}', 1)
    assert ids(registry.segments(PROJECT)) == [uuid_of(1)]


# --- what is gone ------------------------------------------------------------------------------------------------------


def test_a_tombstone_removes_and_frees_the_slug(topic: Topic) -> None:
    topic.put(segment(1), workflow(2))
    topic.gone(segment_key(uuid_of(1)))
    topic.gone(workflow_key(uuid_of(2)))
    registry = topic.read()
    assert (registry.segments(PROJECT), registry.workflows(PROJECT)) == ([], [])
    assert registry.segment_of_slug(PROJECT, "vip") is None
    topic.put(segment(3))
    assert ids(topic.read(registry).segments(PROJECT)) == [uuid_of(3)]


def test_a_tombstone_of_what_was_never_known_is_fine(topic: Topic) -> None:
    topic.put(segment(1))
    for key in (segment_key(uuid_of(9)), workflow_key(uuid_of(9)), workflow_state_key(uuid_of(9))):
        topic.gone(key)
    assert ids(topic.read().segments(PROJECT)) == [uuid_of(1)]


def test_the_tombstone_of_a_void_segment_leaves_the_one_that_has_the_slug(topic: Topic) -> None:
    topic.put(segment(1), segment(2))
    topic.gone(segment_key(uuid_of(2)))
    holder = topic.read().segment_of_slug(PROJECT, "vip")
    assert holder is not None
    assert holder.id == uuid_of(1)


# --- two segments with one slug ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_of_two_with_one_slug_the_one_whose_record_stands_first_has_it(topic: Topic, first: int, second: int) -> None:
    topic.put(segment(first), segment(second))
    registry = topic.read()
    assert ids(registry.segments(PROJECT)) == [uuid_of(first)]
    assert registry.segment(PROJECT, uuid_of(second)) is None
    assert registry.segment_of_slug(PROJECT, "vip") == replace(segment(first), first_offset=0)


def test_one_slug_in_two_projects_or_two_slugs_in_one_are_no_race(topic: Topic) -> None:
    topic.put(segment(1), segment(2, project_id=OTHER), segment(3, "another"))
    registry = topic.read()
    assert ids(registry.segments(PROJECT)) == [uuid_of(1), uuid_of(3)]
    assert ids(registry.segments(OTHER)) == [uuid_of(2)]


def test_where_the_first_record_stands_is_known_and_carried(topic: Topic) -> None:
    topic.put(workflow(9), segment(1))
    known = topic.read().segment(PROJECT, uuid_of(1))
    assert known is not None
    assert known.first_offset == 1
    topic.put(replace(known, name="Very important"))
    topic.compact()
    again = topic.read().segment(PROJECT, uuid_of(1))
    assert again is not None
    assert (again.name, again.first_offset) == ("Very important", 1)
    assert segment(1).first_offset == UNKNOWN_OFFSET


def test_after_compaction_the_first_one_still_has_the_slug_though_its_record_stands_last(topic: Topic) -> None:
    topic.put(segment(1), segment(2), replace(segment(1), name="Very important", first_offset=0))
    live = topic.read()
    topic.compact()
    assert [key for _, key, _ in topic.records] == [segment_key(uuid_of(2)), segment_key(uuid_of(1))]
    for registry in (live, topic.read()):
        holder = registry.segment_of_slug(PROJECT, "vip")
        assert holder is not None
        assert (holder.id, holder.name) == (uuid_of(1), "Very important")


def test_after_compaction_a_void_segment_is_still_none(topic: Topic) -> None:
    topic.put(segment(1), segment(2), replace(segment(1), name="Very important", first_offset=0))
    topic.compact()
    assert ids(topic.read().segments(PROJECT)) == [uuid_of(1)]


def test_a_void_segment_is_the_same_to_who_followed_and_to_who_reads_later(topic: Topic) -> None:
    topic.put(segment(1), segment(2))
    topic.gone(segment_key(uuid_of(1)))
    live = topic.read()
    topic.compact(tombstones=False)
    assert ids(live.segments(PROJECT)) == ids(topic.read().segments(PROJECT))


def test_a_void_segment_that_was_removed_leaves_no_trace_after_compaction(topic: Topic) -> None:
    topic.put(segment(1), segment(2))
    topic.gone(segment_key(uuid_of(2)))
    topic.put(replace(segment(1), name="Very important", first_offset=0))
    for tombstones in (True, False):
        topic.compact(tombstones=tombstones)
        assert ids(topic.read().segments(PROJECT)) == [uuid_of(1)]


# --- what became of deliveries -----------------------------------------------------------------------------------------


def test_without_a_word_of_it_a_workflow_sends_and_does_not_fail(topic: Topic) -> None:
    topic.put(workflow(1), workflow(2, enabled=False))
    registry = topic.read()
    assert registry.state_of(workflow(1)) == WorkflowState(uuid_of(1), MADE)
    assert [registry.is_sending(one) for one in registry.workflows(PROJECT)] == [True, False]


def test_a_state_counts_while_the_workflow_is_what_it_was(topic: Topic) -> None:
    topic.put(workflow(1), WorkflowState(uuid_of(1), MADE, failing=True))
    registry = topic.read()
    assert registry.state_of(workflow(1)).failing
    assert registry.is_sending(workflow(1))
    topic.put(WorkflowState(uuid_of(1), MADE, gone=True))
    topic.read(registry)
    assert (registry.state_of(workflow(1)).failing, registry.state_of(workflow(1)).gone) == (False, True)
    assert not registry.is_sending(workflow(1))


def test_a_change_of_the_workflow_makes_its_state_void(topic: Topic) -> None:
    topic.put(workflow(1), WorkflowState(uuid_of(1), MADE, failing=True, gone=True))
    changed = replace(workflow(1), updated_at=LATER)
    topic.put(changed)
    registry = topic.read()
    assert registry.state_of(changed) == WorkflowState(uuid_of(1), LATER)
    assert registry.is_sending(changed)


def test_a_state_that_comes_late_says_nothing_of_the_workflow_as_it_is_now(topic: Topic) -> None:
    changed = replace(workflow(1), updated_at=LATER)
    topic.put(workflow(1), changed, WorkflowState(uuid_of(1), MADE, gone=True))
    assert not topic.read().state_of(changed).gone


def test_a_state_goes_with_its_tombstone(topic: Topic) -> None:
    topic.put(workflow(1), WorkflowState(uuid_of(1), MADE, gone=True))
    topic.gone(workflow_state_key(uuid_of(1)))
    assert topic.read().is_sending(workflow(1))


# --- reading again -----------------------------------------------------------------------------------------------------


def test_records_that_are_read_twice_change_nothing(topic: Topic) -> None:
    topic.put(segment(1), segment(2), segment(3, "b"), workflow(4), WorkflowState(uuid_of(4), MADE, failing=True))
    topic.put(replace(segment(1), name="Very important", first_offset=0))
    topic.gone(segment_key(uuid_of(3)))
    registry = topic.read()
    before = (registry.segments(PROJECT), registry.workflows(PROJECT), registry.state_of(workflow(4)))
    topic.read(registry)
    assert (registry.segments(PROJECT), registry.workflows(PROJECT), registry.state_of(workflow(4))) == before


def test_who_reads_what_compaction_left_knows_the_same(topic: Topic) -> None:
    topic.put(segment(1), segment(2, "b"), workflow(3), WorkflowState(uuid_of(3), MADE, failing=True))
    topic.put(replace(segment(2, "b"), name="Very important", first_offset=1), replace(workflow(3), name="ERP"))
    topic.gone(segment_key(uuid_of(1)))
    topic.put(segment(4))
    before = topic.read()
    for tombstones in (True, False):
        topic.compact(tombstones=tombstones)
        after = topic.read()
        assert after.segments(PROJECT) == before.segments(PROJECT)
        assert after.workflows(PROJECT) == before.workflows(PROJECT)
        assert after.state_of(workflow(3)) == before.state_of(workflow(3))

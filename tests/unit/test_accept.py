"""From the bytes of an event to an entry for the log. What a client sees of it is in tests/wire/test_track.py."""

import json
import tracemalloc
from typing import Any
from uuid import UUID

import pytest

from ingest.accept import Accepted, Caller, accept_item, accept_track
from penstock.auth import Principal
from penstock.errors import MalformedBody, ValidationFailed
from schemas.event import Event, decode_event
from schemas.ids import contact_id
from schemas.topics import partition_of

PROJECT = "6f0c2f52-5b5a-4a52-9a3b-0d8a63c1f0aa"
NOW_MS = 1_795_417_200_123
CALLER = Caller(Principal(UUID(PROJECT), PROJECT, "public", True), NOW_MS, partitions=6)
EVENT = {"event": "signup", "email": "Ada@Example.com"}


def track(body: Any, key: str | None = None, caller: Caller = CALLER) -> Accepted:
    return accept_track(body if isinstance(body, bytes) else json.dumps(body).encode(), caller, key)


def problems(body: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationFailed) as failed:
        track(body)
    return [(error.field, error.code) for error in failed.value.field_errors]


def test_the_line_is_the_event_and_leaves_out_what_it_does_not_have() -> None:
    accepted = track(EVENT)
    assert decode_event(accepted.line) == Event(
        PROJECT, accepted.event, "signup", "2026-11-23T07:00:00.123Z", accepted.contact, "ada@example.com"
    )
    assert accepted.timestamp == "2026-11-23T07:00:00.123Z"
    assert accepted.derived is False


def test_the_events_of_a_contact_all_go_to_the_partition_of_its_id() -> None:
    for number in range(50):
        accepted = track({**EVENT, "email": f"user{number}@example.com"})
        assert accepted.contact == contact_id(PROJECT, f"user{number}@example.com")
        assert accepted.partition == partition_of(accepted.contact, 6)
        one_partition = Caller(CALLER.principal, NOW_MS, partitions=1)
        assert track({**EVENT, "email": f"user{number}@example.com"}, caller=one_partition).partition == 0


def test_contacts_spread_over_the_partitions() -> None:
    found = [track({**EVENT, "email": f"user{number}@example.com"}).partition for number in range(600)]
    assert all(60 <= found.count(partition) <= 140 for partition in range(6))


def test_a_key_makes_the_id_and_marks_the_entry_as_derived() -> None:
    first, again = track(EVENT, "k"), track({**EVENT, "event": "other"}, "k")
    assert first.event == again.event
    assert first.derived
    assert decode_event(first.line).derived


def test_an_items_own_key_goes_before_the_default() -> None:
    body = json.dumps({**EVENT, "idempotencyKey": "own"}).encode()
    assert accept_item(body, CALLER, "default").event == track(EVENT, "own").event
    assert accept_item(json.dumps(EVENT).encode(), CALLER, "default").event == track(EVENT, "default").event
    assert accept_item(json.dumps(EVENT).encode(), CALLER, None).derived is False


def test_the_receipt_is_kept_only_where_it_differs_from_the_time_of_the_event() -> None:
    assert decode_event(track({**EVENT, "timestamp": "2026-11-23T07:00:00.123Z"}).line).received_at == ""
    assert decode_event(track({**EVENT, "timestamp": "2020-01-01"}).line).received_at == "2026-11-23T07:00:00.123Z"


def test_problems_are_in_the_order_of_the_members_whatever_they_are() -> None:
    assert problems(
        {"timestamp": "2030-01-01", "data": {"locale": 1}, "subscribed": 1, "email": 1, "event": "email.x"}
    ) == [
        ("event", "reserved_event"),
        ("email", "invalid_type"),
        ("subscribed", "invalid_type"),
        ("data.locale", "invalid_type"),
        ("timestamp", "too_big"),
    ]


def test_a_wrong_type_hides_no_problem_of_another_member() -> None:
    assert problems({"event": 1, "email": "nobody", "timestamp": "never"}) == [
        ("event", "invalid_type"),
        ("email", "invalid_string"),
        ("timestamp", "invalid_string"),
    ]


def test_a_later_copy_of_a_member_makes_good_what_an_earlier_one_had_wrong() -> None:
    assert track(b'{"event":1,"email":"a@b.co","event":"x"}').line


@pytest.mark.parametrize(
    "body", [b'{"event":1,', b'{"event":1}}', b'{"event":1,"x":NaN}', b"[1,", b'{"event":1,"x":' + b"[" * 30_000]
)
def test_what_is_no_json_is_malformed_also_behind_a_wrong_type(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        track(body)


@pytest.mark.parametrize("body", [b'{"event":1e999}', b'{"subscribed":1e999}', b'{"event":' + b"9" * 5000 + b"}"])
def test_a_number_of_any_size_where_none_belongs_is_named(body: bytes) -> None:
    assert ("event", "invalid_type") in problems(body)


def test_addresses_that_are_none_are_not_kept_in_memory() -> None:
    track({**EVENT, "email": "warm@example.com"})
    tracemalloc.start()
    for number in range(300):
        with pytest.raises(ValidationFailed):
            track({**EVENT, "email": f"{number}" + "x" * 50_000})
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2_000_000  # all of them would be 15 MB

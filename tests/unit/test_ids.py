"""Identities against the standard library's, which is slower and right."""

from uuid import UUID, uuid4, uuid5

import pytest

from schemas.ids import contact_id, derived_event_id, event_id, random_digits

PROJECT = "6f0c2f52-5b5a-4a52-9a3b-0d8a63c1f0aa"


@pytest.mark.parametrize("email", ["ada@example.com", "иван@пример.рф", "a" * 320, ""])
def test_a_contact_id_is_uuid5_of_project_and_address(email: str) -> None:
    assert contact_id(PROJECT, email) == str(uuid5(UUID(PROJECT), email))


def test_a_derived_event_id_is_uuid5_of_the_contact_and_cause_and_key() -> None:
    contact = str(uuid4())
    assert derived_event_id(contact, "idempotency", "k:0") == str(uuid5(UUID(contact), "idempotency:k:0"))


def test_equal_keys_of_two_causes_do_not_meet() -> None:
    contact = str(uuid4())
    assert derived_event_id(contact, "idempotency", "k") != derived_event_id(contact, "sns", "k")


def test_the_ids_are_part_of_the_format_and_must_never_change() -> None:
    contact = contact_id(PROJECT, "ada@example.com")
    assert contact == "fbb124fb-623e-50bd-915b-c1b3e12ab743"
    assert derived_event_id(contact, "idempotency", "order-5") == "ff252378-c720-5ab5-8dee-fb0958167092"


@pytest.mark.parametrize("unix_ms", [0, 1, 1763881200000, (1 << 48) - 1])
def test_an_event_id_is_a_uuid7_that_begins_with_its_time(unix_ms: int) -> None:
    made = [UUID(event_id(unix_ms)) for _ in range(100)]
    assert {(found.version, found.variant, found.int >> 80) for found in made} == {
        (7, "specified in RFC 4122", unix_ms)
    }
    assert str(made[0]) == str(UUID(str(made[0])))


def test_ids_of_later_milliseconds_sort_behind_as_text() -> None:
    made = [event_id(1763881200000 + number) for number in range(100)]
    assert made == sorted(made)


def test_ids_of_one_millisecond_sort_in_the_order_in_which_they_were_given_out() -> None:
    made = [event_id(1763881200000) for _ in range(1000)]
    assert made == sorted(made)


def test_ids_do_not_repeat_where_the_clock_steps_back_and_forth() -> None:
    made = {event_id(1763881200000 + number % 2) for number in range(10_000)}
    assert len(made) == 10_000


def test_ids_do_not_repeat_also_where_the_random_bytes_are_fetched_anew() -> None:
    made = {event_id(1763881200000) for _ in range(50_000)}
    assert len(made) == 50_000


def test_all_random_bits_are_used() -> None:
    free = (0xFFF << 64) | ((1 << 62) - 1)
    ones, zeros = 0, 0
    for number in range(200):
        bits = UUID(event_id(1763881200000 + number)).int & ((1 << 80) - 1)
        ones, zeros = ones | bits, zeros | ~bits
    assert ones & free == free & ~(1 << 47)  # the counter's first bit stays 0
    assert zeros & free == free


def test_random_digits_differ() -> None:
    assert len(random_digits(24)) == 24
    assert random_digits(24) != random_digits(24)

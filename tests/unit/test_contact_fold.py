"""From rows to a contact: what wins, what counts for nothing, and that merges make no difference."""

import json
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.contact_fold import ContactRow, fold
from query_api.contact_results import contact_body

CREATED_MS = 1_790_000_000_000


def version(ms: int, offset: int = 0, index: int = 0) -> int:
    return ms << 80 | offset << 32 | (index + 1) * 2


def row(data: str = "", at: int = 1, *, created_ms: int = CREATED_MS, said: int = 1) -> ContactRow:
    return ContactRow("ada@example.com", "the-id", created_ms, said, version(at) if data else 0, data)


def data_of(*objects: str) -> Any:
    """Of objects that came in this order."""
    rows = [row(text, at) for at, text in enumerate(objects, 1)]
    return json.loads(contact_body(fold(rows)))["data"]


def test_a_contact_of_which_nothing_was_said_is_subscribed_and_has_no_data() -> None:
    assert json.loads(contact_body(fold([row()]))) == {
        "id": "the-id",
        "email": "ada@example.com",
        "subscribed": True,
        "data": {},
        "createdAt": "2026-09-21T14:13:20.000Z",
        "updatedAt": "2026-09-21T14:13:20.000Z",
    }


@pytest.mark.parametrize("order", [1, -1])
def test_what_was_said_last_of_the_subscription_counts(order: int) -> None:
    rows = [row(said=version(5) | 1), row(said=version(7)), row(said=1)][::order]
    assert fold(rows).subscribed is False
    assert fold([*rows, row(said=version(7, offset=1) | 1)]).subscribed is True


def test_it_was_created_when_the_first_happened() -> None:
    assert fold([row(created_ms=7), row(created_ms=5), row(created_ms=6)]).created_ms == 5


def test_it_was_updated_by_the_last_data_the_last_word_or_its_creation() -> None:
    assert fold([row(created_ms=7)]).updated_ms == 7
    assert fold([row('{"a":1}', 9, created_ms=7)]).updated_ms == 9
    assert fold([row('{"a":1}', 9, created_ms=7), row(said=version(11), created_ms=8)]).updated_ms == 11
    assert fold([row('{"a":1}', 3, created_ms=7)]).updated_ms == 7


def test_of_each_key_the_last_value_counts_whatever_the_order_of_the_rows() -> None:
    rows = [row('{"a":3}', 3), row('{"a":1,"b":1}', 1), row('{"b":2,"c":2}', 2)]
    assert fold(rows).data == fold(rows[::-1]).data == {"a": b"3", "b": b"2", "c": b"2"}


def test_keys_stand_in_the_order_in_which_they_were_set() -> None:
    assert list(data_of('{"a":1,"b":1}', '{"a":2}')) == ["b", "a"]


def test_null_deletes_a_key_and_a_later_value_brings_it_back() -> None:
    assert data_of('{"a":1,"b":1}', '{"a":null}') == {"b": 1}
    assert data_of('{"a":1}', '{"a":null}', '{"a":2}') == {"a": 2}
    assert data_of('{"a":null}') == {}


def test_an_empty_string_is_ignored() -> None:
    assert data_of('{"a":1}', '{"a":"","b":""}') == {"a": 1}


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        ('{"value":1,"persistent":false}', False),
        ('{ "persistent" : false , "value" : null }', False),
        ('{"value":1,"persist\\u0065nt":false}', False),
        ('{"value":1,"persistent":true,"persistent":false}', False),
        ('{"value":1,"persistent":true}', True),
        ('{"value":1,"persistent":0}', True),
        ('{"value":1}', True),
        ('{"persistent":false}', True),
        ('[{"value":1,"persistent":false}]', True),
        ('" "', True),
        ("0", True),
        ("false", True),
        ("[]", True),
        ("{}", True),
    ],
)
def test_what_is_not_to_persist_is_ignored(value: str, is_kept: bool) -> None:
    assert data_of('{"a":1}', f'{{"a":{value}}}') == {"a": json.loads(value) if is_kept else 1}


def test_keys_of_the_system_are_ignored() -> None:
    keys = ["id", "email", "plunk_id", "plunk_email", "unsubscribeUrl", "subscribeUrl", "manageUrl"]
    assert data_of(json.dumps({**dict.fromkeys(keys, 1), "Id": 2})) == {"Id": 2}


def test_values_keep_their_text() -> None:
    values = ["1.10", "1e400", "12345678901234567890123", '"\\u00e9\\ud83d\\ude00\\u0000/"', '{ "b":1, "b":2 }']
    sent = ",".join(f'"k{number}":{value}' for number, value in enumerate(values))
    assert f'"data":{{{sent}}}'.encode() in contact_body(fold([row(f"{{{sent}}}")]))


def test_of_a_key_that_comes_twice_in_one_object_the_last_counts() -> None:
    assert data_of('{"a":1,"b":1,"a":2}') == {"a": 2, "b": 1}
    assert data_of('{"a":1}', '{"a":2,"a":null}') == {}


VALUES = st.sampled_from(["1", "2", "null", '""', '{"value":1,"persistent":false}', "[0]"])
OBJECTS = st.lists(st.lists(st.tuples(st.sampled_from("abc"), VALUES), max_size=3, unique_by=lambda one: one[0]))


def shape(members: list[tuple[str, str]]) -> Any:
    """As the tables have it: equal shapes set, delete and ignore the same keys."""
    return sorted((key, value if "persistent" in value or value == '""' else "") for key, value in members)


def text_of(members: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f'"{key}":{value}' for key, value in members) + "}"


@given(OBJECTS)
def test_it_makes_no_difference_which_rows_are_merged(objects: list[list[tuple[str, str]]]) -> None:
    rows = [(shape(members), row(text_of(members), at)) for at, members in enumerate(objects, 1)]
    by_shape = groupby(sorted(rows, key=lambda one: (one[0], one[1].version)), key=lambda one: one[0])
    merged = [list(some)[-1][1] for _, some in by_shape]
    assert list(fold([row(), *(one for _, one in rows)]).data.items()) == list(fold([row(), *merged]).data.items())

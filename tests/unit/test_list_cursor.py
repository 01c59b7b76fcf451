"""Cursors of the lists of segments, workflows and members: opaque, URL-safe, and nothing else is one of that list."""

from base64 import urlsafe_b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.contact_cursor import to_token as contact_token
from query_api.cursor import MalformedCursor, Place
from query_api.cursor import to_token as event_token
from query_api.list_cursor import ListName, ListPlace, from_token, to_token
from schemas.times import to_wire

MADE = "2026-11-23T07:00:00.000Z"
ID = "00000000-0000-4000-8000-00000000abcd"
LISTS: list[ListName] = ["segments", "workflows", "members"]
PLACES = st.builds(
    ListPlace, st.one_of(st.just(""), st.integers(0, 4_102_444_800_000).map(to_wire)), st.uuids().map(str)
)


@given(st.sampled_from(LISTS), PLACES)
def test_a_token_is_read_back_as_its_place_and_needs_no_escaping(of: ListName, place: ListPlace) -> None:
    token = to_token(of, place)
    assert from_token(of, token) == place
    assert token.isascii()
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.sampled_from(LISTS), st.text())
def test_other_text_is_refused_without_another_error(of: ListName, text: str) -> None:
    with pytest.raises(MalformedCursor):
        from_token(of, text)


@pytest.mark.parametrize("of", LISTS)
def test_a_token_of_another_list_is_refused(of: ListName) -> None:
    others = [to_token(other, ListPlace(MADE, ID)) for other in LISTS if other != of]
    for token in (*others, event_token(Place(5, ID)), contact_token("ada@example.com")):
        with pytest.raises(MalformedCursor):
            from_token(of, token)


@pytest.mark.parametrize("text", ["segments-1.", f"segments-2.{MADE}.{ID}", f"segments-1.{ID}", f"segments-1.{MADE}.x"])
def test_a_token_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(MalformedCursor):
        from_token("segments", urlsafe_b64encode(text.encode()).decode().rstrip("="))


@given(PLACES, st.integers(0, 200), st.characters())
def test_a_changed_token_is_refused_or_one(place: ListPlace, index: int, character: str) -> None:
    token = to_token("segments", place)
    changed = token[:index] + character + token[index + 1 :]
    with suppress(MalformedCursor):
        assert to_token("segments", from_token("segments", changed)) == changed

"""Cursors: opaque, URL-safe, and nothing else is one."""

from base64 import urlsafe_b64encode
from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.cursor import MalformedCursor, Place, from_token, to_token

PLACES = st.builds(Place, st.integers(0, 9_999_999_999_999), st.uuids().map(str))


@given(PLACES)
def test_a_token_is_read_back_as_its_place(place: Place) -> None:
    assert from_token(to_token(place)) == place


@given(PLACES)
def test_a_token_needs_no_escaping_in_a_url(place: Place) -> None:
    token = to_token(place)
    assert token.isascii()
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.text())
def test_other_text_is_refused_without_another_error(text: str) -> None:
    with pytest.raises(MalformedCursor):
        from_token(text)


def test_a_token_with_something_behind_it_is_refused() -> None:
    longer = urlsafe_b64encode(b"1.5.00000000-0000-4000-8000-000000000001-").decode().rstrip("=")
    with pytest.raises(MalformedCursor):
        from_token(longer)


@given(PLACES, st.integers(0, 200), st.characters())
def test_a_changed_token_is_refused_or_a_place(place: Place, index: int, character: str) -> None:
    token = to_token(place)
    changed = token[:index] + character + token[index + 1 :]
    with suppress(MalformedCursor):
        assert UUID(from_token(changed).event_id)

"""Cursors of the list of contacts: opaque, URL-safe, and nothing else is one."""

from base64 import urlsafe_b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.contact_cursor import from_token, to_token
from query_api.cursor import MalformedCursor, Place
from query_api.cursor import to_token as event_token

EMAILS = st.text(min_size=1, max_size=320)


@given(EMAILS)
def test_a_token_is_read_back_as_its_address_and_needs_no_escaping(email: str) -> None:
    token = to_token(email)
    assert from_token(token) == email
    assert token.isascii()
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.text())
def test_other_text_is_refused_without_another_error(text: str) -> None:
    with pytest.raises(MalformedCursor):
        from_token(text)


@pytest.mark.parametrize("text", [b"contact-1.", b"contact-1.\xff", b"contact-2.ada@example.com", b"ada@example.com"])
def test_a_token_of_something_else_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedCursor):
        from_token(urlsafe_b64encode(text).decode().rstrip("="))


def test_a_cursor_of_events_is_refused() -> None:
    with pytest.raises(MalformedCursor):
        from_token(event_token(Place(5, "00000000-0000-4000-8000-000000000001")))


@given(EMAILS, st.integers(0, 200), st.characters())
def test_a_changed_token_is_refused_or_one(email: str, index: int, character: str) -> None:
    token = to_token(email)
    changed = token[:index] + character + token[index + 1 :]
    with suppress(MalformedCursor):
        assert to_token(from_token(changed)) == changed

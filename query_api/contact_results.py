"""Contacts to the bodies of answers, as bytes. Pure."""

from collections.abc import Iterable

import msgspec

from query_api.contact_cursor import to_token
from query_api.contact_fold import Contact
from schemas.times import to_wire

PENDING = b'{"status":"pending"}'
"""The answer where a change will happen, but has not yet."""

_encode = msgspec.json.encode


def contact_body(contact: Contact) -> bytes:
    """One contact."""
    return _encode(_members(contact))


def contacts_body(contacts: Iterable[Contact], last: str | None) -> bytes:
    """A page of contacts.

    Args:
        last: the address with which the page ends where there is a next one.
    """
    cursor = None if last is None else to_token(last)
    return _encode({"contacts": [_members(contact) for contact in contacts], "cursor": cursor})


def _members(contact: Contact) -> dict[str, object]:
    return {
        "id": contact.id,
        "email": contact.email,
        "subscribed": contact.subscribed,
        "data": {key: msgspec.Raw(value) for key, value in contact.data.items()},
        "createdAt": to_wire(contact.created_ms),
        "updatedAt": to_wire(contact.updated_ms),
    }

"""What the contact routes are asked: raw parameters and bodies to frozen requests. Pure."""

from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from penstock.data import data_errors
from penstock.errors import FieldError, ValidationFailed
from penstock.members import Members, decode
from query_api.fields import Fields

DEFAULT_CONTACTS_LIMIT = 100


@dataclass(frozen=True, slots=True)
class ContactsRequest:
    """A page of a project's contacts, by address.

    Attributes:
        search: only those whose address begins like this (in lower case); "" for all.
        subscribed: only those that are, or are not; None for all.
        after: the address with which the page before ended; "" for the first page.
    """

    search: str = ""
    subscribed: bool | None = None
    limit: int = DEFAULT_CONTACTS_LIMIT
    after: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What of a contact is to change.

    Attributes:
        subscribed: None leaves it as it is.
        data: the text of the object that is merged; "" for none.
    """

    subscribed: bool | None
    data: str


class _ChangeBody(Members, gc=False):
    """The members that mean something."""

    STAND_INS: ClassVar[dict[str, Any]] = {"subscribed": True}

    subscribed: bool | UnsetType = UNSET
    data: msgspec.Raw = msgspec.Raw(b"")


_decoder = msgspec.json.Decoder(_ChangeBody)


def contacts_request(fields: Fields) -> ContactsRequest:
    """The parameters of the list of contacts. A `+` may arrive as a blank, which no address has."""
    return ContactsRequest(
        search=(fields.text("search") or "").replace(" ", "+").lower(),
        subscribed=fields.flag("subscribed"),
        limit=fields.limit(DEFAULT_CONTACTS_LIMIT),
        after=fields.contacts_cursor(),
    )


def change_request(body: bytes) -> Change:
    """What the body of a change asks for.

    Raises:
        MalformedBody: not JSON.
        ValidationFailed: names every field that is wrong.
    """
    asked = decode(body, _decoder, _field_errors, 0)
    if wrong := _field_errors(asked):
        raise ValidationFailed(wrong)
    return Change(None if asked.subscribed is UNSET else asked.subscribed, bytes(asked.data).decode())


def _field_errors(asked: _ChangeBody, _: int = 0) -> list[FieldError]:
    """All that is wrong with the values of a body whose members have the right types."""
    data = bytes(asked.data)
    if asked.subscribed is UNSET and not data:
        return [FieldError("body", "Must have subscribed or data", "custom")]
    if data and data[:1] != b"{":
        return [FieldError("data", "Must be an object", "invalid_type")]
    return data_errors(data)

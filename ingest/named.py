"""Bodies of hooks that name a contact by its address or by its id. Pure: no I/O, no clock.

In two steps: whom an id stands for is asked in between, of all items at once.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from msgspec import UNSET, UnsetType

from ingest.fields import email_error
from penstock.errors import FieldError, NotFound, RequestError
from penstock.members import Members
from schemas.ids import contact_id, is_uuid

Text = str | UnsetType

_ANY_EMAIL = "x@example.com"
_ANY_CONTACT = "00000000-0000-5000-8000-000000000000"


class Named(Members, gc=False):
    """One of `email` and `contactId` is there; if both are, they belong together."""

    STAND_INS: ClassVar[dict[str, Any]] = {"email": _ANY_EMAIL, "contactId": _ANY_CONTACT}

    email: Text = UNSET
    contactId: Text = UNSET  # noqa: N815 - wire spelling
    timestamp: Text = UNSET


def unnamed(read: Iterable[Named | RequestError]) -> set[str]:
    """The ids of the contacts whose address is not given."""
    return {
        body.contactId.lower()
        for body in read
        if isinstance(body, Named) and body.email is UNSET and body.contactId is not UNSET
    }


def email_of(body: Named, emails: Mapping[str, str]) -> str:
    """The address of the contact that is named; `emails` has those of the `unnamed` ones, as far as there are such.

    Raises:
        NotFound: there is no such contact.
    """
    if body.email is not UNSET:
        return body.email
    found = "" if body.contactId is UNSET else emails.get(body.contactId.lower(), "")
    if not found:
        raise NotFound(f"There is no contact {body.contactId}")
    return found


def contact_errors(project_id: str, body: Named) -> list[FieldError | None]:
    """All that is wrong with who is named."""
    email, contact = body.email, body.contactId
    if email is UNSET and contact is UNSET:
        return [FieldError("email", "Required", "invalid_type")]
    wrong_email = None if email is UNSET else email_error(email)
    if contact is UNSET:
        return [wrong_email]
    if not is_uuid(contact):
        return [wrong_email, FieldError("contactId", "Not a UUID", "invalid_string")]
    if email is UNSET or wrong_email or _is_stand_in(email, contact):
        return [wrong_email]
    if contact_id(project_id, email.lower()) == contact.lower():
        return []
    return [FieldError("contactId", "Not the id of the contact with this address", "custom")]


def _is_stand_in(email: str, contact: str) -> bool:
    """Whether one of the two was of a wrong type. By identity: the same text may be sent as well."""
    return email is _ANY_EMAIL or contact is _ANY_CONTACT

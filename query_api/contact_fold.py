"""A contact, from the rows that the tables keep of it: one for each shape of data (see `contacts` in the migrations).

Pure. The result is the same however many of the earlier objects of a shape are merged away by then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.contact_data import folded

_MS_BIT = 80
"""From this bit on a version is the moment, in milliseconds since 1970; a subscription's lowest bit is its value."""


@dataclass(frozen=True, slots=True)
class ContactRow:
    """What is kept of one contact and one shape of data.

    Attributes:
        created_ms: when the first of it happened, milliseconds since 1970.
        subscription: the version of what was last said of it, and in the lowest bit what; 1 where nothing was.
        version: of `data`, 0 for none.
        data: the text of an object, "" for none.
    """

    email: str
    contact_id: str
    created_ms: int
    subscription: int
    version: int
    data: str


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact as it is now.

    Attributes:
        data: the JSON text of each value; who was set last stands last.
        created_ms: when the first that is known of it happened, milliseconds since 1970.
        updated_ms: when the last happened that said something of its data or its subscription.
    """

    id: str
    email: str
    subscribed: bool
    data: Mapping[str, bytes]
    created_ms: int
    updated_ms: int


def fold(rows: Sequence[ContactRow]) -> Contact:
    """The contact of these rows, of which there is one at least; their order means nothing."""
    created_ms = min(row.created_ms for row in rows)
    subscription = max(row.subscription for row in rows)
    version = max(row.version for row in rows)
    return Contact(
        id=rows[0].contact_id,
        email=rows[0].email,
        subscribed=bool(subscription & 1),
        data=folded((row.version, row.data) for row in rows if row.data),
        created_ms=created_ms,
        updated_ms=max(created_ms, subscription >> _MS_BIT, version >> _MS_BIT),
    )

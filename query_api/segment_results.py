"""Segments and their members to the bodies of answers, as bytes. Pure.

A condition is put into the body as it was sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from query_api.list_cursor import ListPlace, to_token
from query_api.paging import Page
from schemas.registry import Segment
from schemas.times import to_wire

_NULL = msgspec.Raw(b"null")
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Member:
    """A contact that is in a segment.

    Attributes:
        entered_ms: when it entered, milliseconds since 1970; None where that is not kept.
    """

    contact_id: str
    email: str
    entered_ms: int | None


def segment_body(segment: Segment, members: int) -> bytes:
    """One segment, and how many are in it."""
    return _encode(_members(segment, members))


def segments_body(page: Page[Segment], counts: Mapping[str, int]) -> bytes:
    """A page of segments.

    Args:
        counts: by the segments' ids; one that is missing has no members.
    """
    found = [_members(segment, counts.get(segment.id, 0)) for segment in page.found]
    return _encode({"segments": found, "cursor": page.end and to_token("segments", page.end)})


def members_body(found: Sequence[Member], end: str | None) -> bytes:
    """A page of members.

    Args:
        end: the contact with which the page ends where there is a next one.
    """
    members = [
        {
            "contactId": one.contact_id,
            "email": one.email,
            "enteredAt": None if one.entered_ms is None else to_wire(one.entered_ms),
        }
        for one in found
    ]
    return _encode({"members": members, "cursor": end and to_token("members", ListPlace("", end))})


def _members(segment: Segment, members: int) -> dict[str, object]:
    return {
        "id": segment.id,
        "name": segment.name,
        "slug": segment.slug,
        "condition": msgspec.Raw(segment.condition.encode()) if segment.condition else _NULL,
        "trackMembership": segment.tracked,
        "memberCount": members,
        "createdAt": segment.created_at,
        "updatedAt": segment.updated_at,
    }

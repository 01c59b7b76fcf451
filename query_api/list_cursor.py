"""Places in the lists of segments, of workflows and of members, as the opaque text that clients hand back.

A token says of which list it is: one of another list is none.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Literal

from query_api.cursor import MalformedCursor
from query_api.fields import Fields

ListName = Literal["segments", "workflows", "members", "deliveries"]

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TEXT = re.compile(rf"([a-z]+)-1\.([0-9TZ:.-]{{0,24}})\.({_UUID})".encode())


@dataclass(frozen=True, slots=True)
class ListPlace:
    """Where a page ended.

    Attributes:
        created_at: when what stands there was made, as on the wire; "" in a list that is sorted by ids alone.
        id: its id, in lower case.
    """

    created_at: str
    id: str


def to_token(of: ListName, place: ListPlace) -> str:
    """The text for the client: URL-safe base64 with the list's name and a version."""
    return urlsafe_b64encode(f"{of}-1.{place.created_at}.{place.id}".encode()).decode().rstrip("=")


def from_token(of: ListName, token: str) -> ListPlace:
    """The place that `token` stands for.

    Raises:
        MalformedCursor: it stands for none of that list.
    """
    if not _TOKEN.fullmatch(token) or len(token) % 4 == 1:
        raise MalformedCursor("not a cursor")
    match = _TEXT.fullmatch(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    place = ListPlace(match[2].decode(), match[3].decode()) if match else None
    if place is None or to_token(of, place) != token:
        raise MalformedCursor("not a cursor")
    return place


def list_place(fields: Fields, of: ListName) -> ListPlace | None:
    """The parameter `cursor`: the place behind which the page begins; None for the first page."""
    text = fields.text("cursor")
    try:
        return from_token(of, text) if text else None
    except MalformedCursor:
        fields.wrong("cursor", f"Not a cursor that a list of {of} has answered", "invalid_string")
        return None

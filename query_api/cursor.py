"""Places in a list of events, as the opaque text that clients hand back to get the next page."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TEXT = re.compile(rb"1\.(\d{1,13})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class MalformedCursor(ValueError):
    """The text was not made by `to_token`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the next one begins right behind this event.

    Attributes:
        occurred_ms: when the event happened, milliseconds since 1970.
        event_id: its id, as text in lower case.
    """

    occurred_ms: int
    event_id: str


def to_token(place: Place) -> str:
    """The text for the client: URL-safe base64 with a leading version."""
    return urlsafe_b64encode(f"1.{place.occurred_ms}.{place.event_id}".encode()).decode().rstrip("=")


def from_token(token: str) -> Place:
    """The place that `token` stands for.

    Raises:
        MalformedCursor: it stands for none.
    """
    if not _TOKEN.fullmatch(token) or len(token) % 4 == 1:
        raise MalformedCursor("not a cursor")
    match = _TEXT.fullmatch(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    if match is None:
        raise MalformedCursor("not a cursor")
    return Place(int(match[1]), match[2].decode())

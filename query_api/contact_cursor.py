"""Places in the list of contacts, as the opaque text that clients hand back to get the next page."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from query_api.cursor import MalformedCursor

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,2048}")
_VERSION = "contact-1."


def to_token(email: str) -> str:
    """The text for the client, of a page that ended with this address: URL-safe base64 with a leading version."""
    return urlsafe_b64encode(f"{_VERSION}{email}".encode()).decode().rstrip("=")


def from_token(token: str) -> str:
    """The address that `token` stands for.

    Raises:
        MalformedCursor: it stands for none.
    """
    if not _TOKEN.fullmatch(token) or len(token) % 4 == 1:
        raise MalformedCursor("not a cursor")
    try:
        text = urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except UnicodeDecodeError as error:
        raise MalformedCursor("not a cursor") from error
    email = text.removeprefix(_VERSION)
    if not email or to_token(email) != token:
        raise MalformedCursor("not a cursor")
    return email

"""Positions: how far in the log a write went, as the opaque text of `X-Position`.

The text is URL-safe base64 of `partition:offset` pairs, with a leading version: clients hand it back, nothing else.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

Position = Mapping[int, int]
"""The last offset of a write in each partition that it touched; empty where nothing had to be written."""

_TEXT = re.compile(rb"1(?:\.\d{1,5}:\d{1,19})*\Z")


class MalformedPosition(ValueError):
    """The text was not made by `to_token`."""


def to_token(position: Position) -> str:
    """The text for the header."""
    pairs = "".join(f".{partition}:{offset}" for partition, offset in sorted(position.items()))
    return urlsafe_b64encode(f"1{pairs}".encode()).decode().rstrip("=")


def from_token(token: str) -> dict[int, int]:
    """The position that `token` stands for.

    Raises:
        MalformedPosition: it stands for none.
    """
    try:
        text = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except ValueError as error:
        raise MalformedPosition("not a position") from error
    if not _TEXT.match(text):
        raise MalformedPosition("not a position")
    pairs = (pair.split(b":") for pair in text.split(b".")[1:])
    position = {int(partition): int(offset) for partition, offset in pairs}
    if to_token(position) != token:  # the decoder above skips what is not base64
        raise MalformedPosition("not a position")
    return position

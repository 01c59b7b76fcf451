"""The JSON body of a request to the query API."""

from fastapi import Request

from penstock.body import JSON_TYPES, BodyRoom, expect_once, media_type, read_body

_BODIES_AT_ONCE = 64
"""So many bodies may arrive in pieces at the same time."""

_ONCE = (b"content-type", b"content-encoding")


class Bodies:
    """Reads bodies of a limited size, of which so many may be under way.

    Args:
        max_bytes: of one, decompressed.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._room = BodyRoom(_BODIES_AT_ONCE * max_bytes)

    async def read(self, request: Request) -> bytes:
        """The body, decompressed.

        Raises:
            MalformedBody, PayloadTooLarge, UnsupportedMediaType: it is not taken.
        """
        expect_once(request.scope, _ONCE)
        head = dict(request.scope["headers"])
        media_type(head.get(b"content-type"), JSON_TYPES)
        encoding = head.get(b"content-encoding")
        return await read_body(request.scope, request.receive, self._max_bytes, encoding, self._room)

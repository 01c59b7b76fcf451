"""From an HTTP request to the bytes of its body: type, encoding and size."""

import zlib
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

import zstandard
from starlette.types import Receive, Scope

from penstock.errors import LogOverloaded, MalformedBody, PayloadTooLarge, UnsupportedMediaType

JSON_TYPES = frozenset({b"application/json"})
NDJSON_TYPES = frozenset({b"application/x-ndjson", b"application/ndjson", b"application/jsonl"})

_GZIP = 31  # zlib's window bits for a gzip header and checksum

_PIECE_BYTES = 4096
"""What is decompressed at once. It bounds what a bomb yields before it is noticed (gzip: 1,032 times as much), and what
is copied where one member ends and the next begins: a body may consist of hundreds of thousands of empty ones."""


def media_type(header: bytes | None, allowed: Collection[bytes]) -> bytes:
    """The body's media type; JSON where the request names none.

    Raises:
        UnsupportedMediaType: it is not one of `allowed`, or not UTF-8.
    """
    if not header:
        return b"application/json"
    kind, _, parameters = header.lower().partition(b";")
    kind = kind.strip()
    charset = parameters.partition(b"charset=")[2].split(b";")[0].strip(b' "')
    if kind not in allowed or charset not in (b"", b"utf-8", b"utf8", b"us-ascii"):
        readable = ", ".join(sorted(name.decode() for name in allowed))
        raise UnsupportedMediaType(
            f"The content type {header.decode('latin-1')!r} is not supported", suggestion=f"Send {readable} in UTF-8."
        )
    return kind


def expect_once(scope: Scope, names: Collection[bytes]) -> None:
    """Which of several headers of a name is meant, nobody can say.

    Raises:
        MalformedBody: there are several of one of `names`.
    """
    present = [name for name, _ in scope["headers"]]
    for name in names:
        if present.count(name) > 1:
            raise MalformedBody(f"The header {name.decode()} is repeated", suggestion="Send it once.")


_FRAMING_BYTES = 64 * 1024
"""What cannot be compressed grows a little, and members may be empty: so much more than decompressed may be sent."""


class BodyRoom:
    """The memory for bodies that come in pieces, while they come. One event loop's use only.

    What has arrived whole is with the log within the same step of the loop, and counts there.
    """

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes

    def take(self, size: int) -> None:
        """Sets `size` bytes aside.

        Raises:
            LogOverloaded: there are not so many left.
        """
        if size > self._left:
            raise LogOverloaded("Too many large bodies arrive at once")
        self._left -= size

    def give_back(self, size: int) -> None:
        """Undoes `take`."""
        self._left += size


async def read_body(scope: Scope, receive: Receive, max_bytes: int, encoding: bytes | None, room: BodyRoom) -> bytes:
    """The whole body, decompressed; never holds much more than `max_bytes`, nor than `room` has.

    Raises:
        LogOverloaded: `room` is used up; what was read is thrown away.
        PayloadTooLarge: more than `max_bytes` decompressed, or more as sent than that could be.
        UnsupportedMediaType: an encoding that is not gzip or zstd.
        MalformedBody: not in the encoding that the header names, or the caller went away before its end.
    """
    decompress = _decompressor(encoding)
    max_sent_bytes = max_bytes if decompress is None else max_bytes + max_bytes // 8 + _FRAMING_BYTES
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await _rest(body, receive, max_sent_bytes, room)
    elif message["type"] == "http.disconnect":
        raise _cut_off()
    if len(body) > max_sent_bytes:
        raise _too_large(max_bytes)
    return body if decompress is None else decompress(body, max_bytes)


async def _rest(start: bytes, receive: Receive, max_sent_bytes: int, room: BodyRoom) -> bytes:
    chunks, size, more = [start], len(start), True
    room.take(size)
    try:
        while more and size <= max_sent_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _cut_off()
            chunk = message.get("body", b"")
            room.take(len(chunk))
            chunks.append(chunk)
            size += len(chunk)
            more = message.get("more_body", False)
        return b"".join(chunks)
    finally:
        room.give_back(size)


def _cut_off() -> MalformedBody:
    return MalformedBody("The connection closed before the end of the body")


def _too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The body is larger than {max_bytes} bytes (decompressed)", suggestion="Send fewer or smaller events."
    )


def _decompressor(encoding: bytes | None) -> Callable[[bytes, int], bytes] | None:
    name = (encoding or b"").strip().lower()
    if name in (b"", b"identity"):
        return None
    if name in (b"gzip", b"x-gzip"):
        return _gunzip
    if name == b"zstd":
        return _unzstd
    refused = UnsupportedMediaType(
        f"The content encoding {name.decode('latin-1')!r} is not supported", suggestion="Send gzip, zstd or none."
    )
    refused.headers = {"Accept-Encoding": "gzip, zstd"}
    raise refused


class _Stream(Protocol):
    """A decompressor of one member (gzip) or frame (zstd)."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _pieces(body: bytes, begin: Callable[[], _Stream]) -> Iterator[bytes]:
    """What `body` decompresses to, piece by piece, over all its members.

    Raises:
        MalformedBody: the last member is cut off.
    """
    at, stream = 0, begin()
    while at < len(body):
        if stream.eof:
            stream = begin()
        piece = body[at : at + _PIECE_BYTES]
        yield stream.decompress(piece)
        at += len(piece) - len(stream.unused_data)
    if body and not stream.eof:
        raise MalformedBody("The compressed body is cut off")


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    parts, size = [], 0
    try:
        for part in _pieces(body, lambda: zlib.decompressobj(_GZIP)):
            parts.append(part)
            size += len(part)
            if size > max_bytes:
                raise _too_large(max_bytes)
    except zlib.error as error:
        raise MalformedBody(f"The body is not gzip, as its Content-Encoding says: {error}") from error
    return b"".join(parts)


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    """The bounded reader goes first, as a piece may become 4 MiB a frame; it cannot tell a frame that is cut off."""
    try:
        with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
            if len(reader.read(max_bytes + 1)) > max_bytes:
                raise _too_large(max_bytes)
        decompressor = zstandard.ZstdDecompressor()
        return b"".join(_pieces(body, decompressor.decompressobj))
    except zstandard.ZstdError as error:
        raise MalformedBody(f"The body is not zstd, as its Content-Encoding says: {error}") from error

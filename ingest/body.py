"""From an HTTP request to the bytes of its body: type, encoding and size."""

import zlib
from collections.abc import Callable, Collection, Iterator

import zstandard
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from penstock.errors import MalformedBody, PayloadTooLarge, UnsupportedMediaType

JSON_TYPES = frozenset({b"application/json"})
NDJSON_TYPES = frozenset({b"application/x-ndjson", b"application/ndjson", b"application/jsonl"})

_GZIP = 31  # zlib's window bits for a gzip header and checksum


def media_type(header: bytes | None, allowed: Collection[bytes]) -> bytes:
    """The body's media type; JSON where the request names none.

    Raises:
        UnsupportedMediaType: it is not one of `allowed`, or not UTF-8.
    """
    if header is None:
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


async def read_body(scope: Scope, receive: Receive, max_bytes: int, encoding: bytes | None) -> bytes:
    """The whole body, decompressed; never holds much more than `max_bytes`.

    Raises:
        PayloadTooLarge: more than `max_bytes`, as sent or decompressed.
        UnsupportedMediaType: an encoding that is not gzip or zstd.
        MalformedBody: not in the encoding that the header names.
        ClientDisconnect: the caller went away.
    """
    decompress = _decompressor(encoding)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await _rest(body, receive, max_bytes)
    elif message["type"] == "http.disconnect":
        raise ClientDisconnect
    if decompress is not None:
        body = decompress(body, max_bytes)
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


async def _rest(start: bytes, receive: Receive, max_bytes: int) -> bytes:
    chunks, size, more = [start], len(start), True
    while more:
        if size > max_bytes:
            raise _too_large(max_bytes)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
    return b"".join(chunks)


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


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    """All members of a gzip body; stops as soon as it is too large, so a bomb costs `max_bytes` at most."""
    parts, room = [], max_bytes + 1
    while body:
        stream = zlib.decompressobj(_GZIP)
        try:
            parts.append(stream.decompress(body, room))
        except zlib.error as error:
            raise MalformedBody("The body is not gzip, as its Content-Encoding says") from error
        room -= len(parts[-1])
        if room <= 0:
            raise _too_large(max_bytes)
        if not stream.eof:
            raise MalformedBody("The gzip body is cut off")
        body = stream.unused_data
    return b"".join(parts)


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    """All frames of a zstd body. The bounded reader goes first, as it cannot tell a frame that is cut off."""
    try:
        with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
            if len(reader.read(max_bytes + 1)) > max_bytes:
                raise _too_large(max_bytes)
        return b"".join(_zstd_frames(body))
    except zstandard.ZstdError as error:
        raise MalformedBody("The body is not zstd, as its Content-Encoding says") from error


def _zstd_frames(body: bytes) -> Iterator[bytes]:
    while body:
        frame = zstandard.ZstdDecompressor().decompressobj()
        yield frame.decompress(body)
        if not frame.eof:
            raise MalformedBody("The zstd body is cut off")
        body = frame.unused_data

"""From a request's body to its bytes. What a client sees of it is in tests/wire/test_errors.py."""

import asyncio
import gzip
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
import zstandard

from penstock.body import JSON_TYPES, BodyRoom, media_type, read_body
from penstock.errors import MalformedBody, PayloadTooLarge, RequestError, UnsupportedMediaType

LIMIT = 64 * 1024
MIB = 1 << 20


def read(*chunks: bytes, encoding: bytes | None = None, limit: int = LIMIT) -> bytes:
    """What `read_body` makes of a body that arrives in `chunks`."""
    messages: Sequence[Any] = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, 1)
    ]
    waiting = iter(messages)

    async def receive() -> Any:
        return next(waiting)

    return asyncio.run(read_body({"type": "http"}, receive, limit, encoding, BodyRoom(limit * 2)))


COMPRESS = {
    b"gzip": lambda body: gzip.compress(body, 1),
    b"zstd": lambda body: zstandard.compress(body, 1),
}
ENCODINGS = pytest.mark.parametrize("encoding", sorted(COMPRESS))


@pytest.mark.parametrize("chunks", [[b""], [b"abc"], [b"a", b"", b"bc"], [b"", b"abc", b""]])
def test_the_chunks_are_joined(chunks: list[bytes]) -> None:
    assert read(*chunks) == b"".join(chunks)


@ENCODINGS
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, LIMIT])
def test_a_compressed_body_of_any_size_comes_back(encoding: bytes, size: int) -> None:
    body = bytes(range(256)) * 256
    sent = COMPRESS[encoding](body[:size])
    assert read(sent, encoding=encoding) == body[:size]
    assert read(*[sent[number : number + 1] for number in range(len(sent))], encoding=encoding) == body[:size]


@ENCODINGS
def test_one_byte_over_the_limit_is_too_large(encoding: bytes) -> None:
    for sent in (COMPRESS[encoding](bytes(LIMIT + 1)), COMPRESS[encoding](bytes(LIMIT)) + COMPRESS[encoding](b"x")):
        with pytest.raises(PayloadTooLarge):
            read(sent, encoding=encoding)


@ENCODINGS
def test_every_cut_of_a_compressed_body_is_malformed(encoding: bytes) -> None:
    sent = COMPRESS[encoding](b"some text" * 100)
    for end in range(1, len(sent)):
        with pytest.raises(MalformedBody):
            read(sent[:end], encoding=encoding)


@ENCODINGS
def test_a_bomb_costs_not_much_more_memory_than_the_limit(encoding: bytes) -> None:
    bombs = [
        COMPRESS[encoding](bytes(64 * MIB)),
        COMPRESS[encoding](bytes(MIB)) * 64,
        COMPRESS[encoding](bytes(LIMIT)) * 500,
    ]
    for bomb in bombs:
        tracemalloc.start()
        with pytest.raises(PayloadTooLarge):
            read(bomb, encoding=encoding, limit=5 * MIB)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 32 * MIB


def test_zstd_frames_to_be_skipped_are_skipped() -> None:
    skipped = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    assert read(skipped + zstandard.compress(b"text") + skipped, encoding=b"zstd") == b"text"


def test_a_frame_that_wants_a_window_of_a_gigabyte_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=30)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(RequestError):
        read(compressor.compress(b"text") + compressor.flush(), encoding=b"zstd")


def test_a_body_as_sent_is_limited_too() -> None:
    with pytest.raises(PayloadTooLarge):
        read(b"x" * LIMIT, b"x")
    assert read(b"x" * LIMIT, b"") == b"x" * LIMIT


@pytest.mark.parametrize("cut", [1, LIMIT, LIMIT + 5, LIMIT + 20])
def test_a_compressed_body_may_be_larger_as_sent_than_the_limit_however_it_arrives(cut: int) -> None:
    sent = gzip.compress(b"x" * LIMIT, 0)
    assert len(sent) > LIMIT + 20
    assert read(sent[:cut], sent[cut:], encoding=b"gzip") == b"x" * LIMIT


def test_a_compressed_body_as_sent_is_limited_too() -> None:
    empty_members = gzip.compress(b"") * 10_000
    with pytest.raises(PayloadTooLarge):
        read(empty_members, encoding=b"gzip")
    with pytest.raises(PayloadTooLarge):
        read(empty_members, b"more", encoding=b"gzip", limit=len(empty_members) // 2)


@pytest.mark.parametrize(
    "header", [None, b"", b"application/json", b"Application/JSON ; Charset=UTF-8", b'application/json;charset="utf-8"',
               b"application/json; charset=utf-8; profile=x", b"application/json; charset=us-ascii", b"application/json;"],
)  # fmt: skip
def test_json_in_utf_8_is_taken(header: bytes | None) -> None:
    assert media_type(header, JSON_TYPES) == b"application/json"


@pytest.mark.parametrize(
    "header",
    [b"text/json", b"application/json; charset=utf-16", b"application/jsonx", b"application/ld+json", b"\xff", b";"],
)
def test_another_type_is_not(header: bytes) -> None:
    with pytest.raises(UnsupportedMediaType):
        media_type(header, JSON_TYPES)


@pytest.mark.parametrize("chunks", [[], [b"some"], [b"some", b" more"]])
def test_a_body_whose_end_never_comes_is_malformed(chunks: list[bytes]) -> None:
    waiting: Any = iter([{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks])

    async def receive() -> Any:
        return next(waiting, {"type": "http.disconnect"})

    with pytest.raises(MalformedBody, match="closed"):
        asyncio.run(read_body({"type": "http"}, receive, LIMIT, None, BodyRoom(LIMIT)))

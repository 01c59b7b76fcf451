"""From the bytes of a batch to its items. What a client sees of it is in tests/wire/test_track_batch.py."""

import pytest

from ingest.batch import BatchLimits, split
from penstock.errors import MalformedBody, PayloadTooLarge, ValidationFailed

JSON, NDJSON = b"application/json", b"application/x-ndjson"
LIMITS = BatchLimits(3, 1024)


def items(body: bytes, kind: bytes = JSON) -> list[bytes]:
    return [bytes(item) for item in split(body, kind, LIMITS)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"[]", []), (b" [ 1 , { \"a\" : 2 } ] ", [b"1", b'{ "a" : 2 }']), (b'\n\t{"events":[1,"x"],"events":[2]}', [b"2"]),
     (b'{"more":[5],"events":[]}', [])],
)  # fmt: skip
def test_json_items_keep_their_own_text(body: bytes, expected: list[bytes]) -> None:
    assert items(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"", []), (b"\n \r\n\t\n", []), (b"1\n2", [b"1", b"2"]), (b"1\r\n\r\n 2\t\r\n", [b"1", b"2"]), (b"\f\n", [b"\f"]), (b'{"a":"\\n"}\n', [b'{"a":"\\n"}']),
     (b"[1,2]\nnull\n\xff", [b"[1,2]", b"null", b"\xff"]), ("1\u20282".encode(), ["1\u20282".encode()])],
)  # fmt: skip
def test_ndjson_items_are_the_lines_that_are_not_blank(body: bytes, expected: list[bytes]) -> None:
    assert items(body, NDJSON) == expected


@pytest.mark.parametrize(
    ("body", "kind"), [(b"[1,2,3,4]", JSON), (b'{"events":[1,2,3,4]}', JSON), (b"1\n2\n3\n4", NDJSON)]
)
def test_one_item_too_many_is_too_large(body: bytes, kind: bytes) -> None:
    with pytest.raises(PayloadTooLarge, match="4 events, at most 3"):
        items(body, kind)
    assert len(items(body.replace(b",4", b"").replace(b"\n4", b""), kind)) == 3


@pytest.mark.parametrize("body", [b"null", b"5", b"{}", b'{"events":{}}', b'{"events":[],"events":5}'])
def test_json_that_is_no_batch_is_not_valid(body: bytes) -> None:
    with pytest.raises(ValidationFailed):
        items(body)


@pytest.mark.parametrize("body", [b"", b"[", b'{"events":5,', b'{"events":5}x', b"5,", b"[" * 50_000, b"\xff"])
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        items(body)

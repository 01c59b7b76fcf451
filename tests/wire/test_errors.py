"""One error shape on every route and status, request ids, and what a request's body may do to the process."""

import asyncio
import gzip
import json
import random
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import zstandard
from fastapi import FastAPI

from penstock.errors import NotFound, TablesRefused
from penstock.http import install
from penstock.settings import Ingest
from penstock.telemetry import Metrics
from tests.support.logs import commits_blocked, commits_failing
from tests.support.requests import EVENT, Api, error_of, problems_of, serving

pytestmark = pytest.mark.anyio

KIB = 1024
MIB = 1024 * KIB


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The forced faults of these tests would fill the report with their traces."""
    with structlog.testing.capture_logs():
        yield


# --- the shape ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/v1",
        "/v1/track/",
        "/v1/track/nope",
        "/events/x/y",
        "/%00",
        "/v1/Track",
        "/v1/track%0A",
        "/v1/track/batch%0A",
        "/healthz%0A",
    ],
)
async def test_an_unknown_route_is_404_resource_not_found_on_every_method(api: Api, method: str, path: str) -> None:
    error_of(await api.client.request(method, path), 404, "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/track/batch"])
async def test_another_method_of_a_write_route_is_405_with_allow(api: Api, method: str, path: str) -> None:
    response = await api.client.request(method, path)
    error_of(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_another_method_of_a_framework_route_is_405_with_allow(api: Api, path: str) -> None:
    response = await api.client.post(path)
    error_of(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET, HEAD"


async def test_an_unexpected_error_of_a_write_route_is_500_and_tells_nothing_of_the_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as api:
        monkeypatch.setattr(api.log, "append", lambda *_: 1 / 0)
        with structlog.testing.capture_logs() as lines:
            error = error_of(await api.track(EVENT), 500, "INTERNAL_SERVER_ERROR")
        assert "division" not in str(error)
        assert error["requestId"] in str(lines)
        monkeypatch.undo()
        assert (await api.track(EVENT)).status_code == 200


async def test_an_unexpected_error_of_a_framework_route_is_500_of_the_same_shape(tmp_path: Path) -> None:
    def broken() -> None:
        raise RuntimeError("secret of the inside")

    async with serving(tmp_path, checks={"log": broken}) as api:
        response = await api.client.get("/readyz")
        error_of(response, 500, "INTERNAL_SERVER_ERROR")
        assert "secret" not in response.text
        assert (await api.client.get("/healthz")).status_code == 200


async def test_errors_of_the_framework_and_of_ours_in_its_routes_have_the_same_shape() -> None:
    app = FastAPI()

    @app.get("/numbers/{number}")
    async def number(number: int, limit: int) -> int:
        if number == 404:
            raise NotFound("There is no such number")
        if number == 500:
            raise TablesRefused("of the inside", 60)
        return number + limit

    transport = httpx.ASGITransport(install(app, Metrics()))
    async with httpx.AsyncClient(transport=transport, base_url="http://penstock") as client:
        assert problems_of(await client.get("/numbers/x?limit=y")) == [
            ("number", "invalid_type"),
            ("limit", "invalid_type"),
        ]
        error_of(await client.get("/numbers/404?limit=1"), 404, "RESOURCE_NOT_FOUND")
        error_of(await client.get("/numbers/500?limit=1"), 500, "INTERNAL_SERVER_ERROR")
        assert (await client.get("/numbers/1?limit=1")).json() == 2


async def test_all_field_errors_are_reported_together_with_zods_codes(api: Api) -> None:
    body = {"event": "", "email": "nobody", "subscribed": "yes", "data": {"locale": 1}, "timestamp": "tomorrow"}
    assert problems_of(await api.track(body)) == [
        ("event", "too_small"),
        ("email", "invalid_string"),
        ("subscribed", "invalid_type"),
        ("data.locale", "invalid_type"),
        ("timestamp", "invalid_string"),
    ]
    assert problems_of(await api.track({"timestamp": "2026-11-23T08:00:00Z"})) == [
        ("event", "invalid_type"),
        ("email", "invalid_type"),
        ("timestamp", "too_big"),
    ]
    assert problems_of(await api.track({"event": "email.sent", "email": 5}))[0] == ("event", "reserved_event")


async def test_a_missing_member_is_required_as_zod_says_it(api: Api) -> None:
    error = error_of(await api.track({}), 422, "VALIDATION_ERROR")
    assert error["errors"] == [
        {"field": "event", "message": "Required", "code": "invalid_type"},
        {"field": "email", "message": "Required", "code": "invalid_type"},
    ]
    assert error["message"] == "Request validation failed"
    assert "details" not in error


# --- X-Request-ID ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/track", "/nope", "/healthz", "/"])
async def test_every_response_has_a_request_id_of_its_own(api: Api, path: str) -> None:
    first, second = [(await api.client.get(path)).headers["x-request-id"] for _ in range(2)]
    assert first != second
    assert first.isalnum()


@pytest.mark.parametrize("inbound", ["x", "a-b_c.d:e/f", "with blanks in it", "~" * 128, '{"json":"?"}'])
async def test_an_inbound_request_id_of_up_to_128_printable_characters_is_kept(api: Api, inbound: str) -> None:
    for path in ("/v1/track", "/nope", "/healthz"):
        response = await api.client.get(path, headers={"X-Request-ID": inbound})
        assert response.headers["x-request-id"] == inbound
        if response.status_code >= 400:
            assert response.json()["error"]["requestId"] == inbound


@pytest.mark.parametrize(
    "inbound", [b"", b"x" * 129, b"a\x00b", b"a\tb", b"a\x7f", "é".encode(), b"\xff", b"a\r\nb: c"]
)
async def test_any_other_inbound_request_id_is_replaced(api: Api, inbound: bytes) -> None:
    response = await api.client.get("/v1/track", headers={b"X-Request-ID": inbound})
    fresh = response.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{24}", fresh)
    assert response.json()["error"]["requestId"] == fresh


async def test_a_successful_write_has_a_request_id_too(api: Api) -> None:
    response = await api.track(EVENT, headers={"X-Request-ID": "mine"})
    assert (response.status_code, response.headers["x-request-id"]) == (200, "mine")


# --- 503 ---------------------------------------------------------------------------------------------------------------


async def test_where_the_log_cannot_take_events_503_with_retry_after_and_nothing_half_done(api: Api) -> None:
    with commits_failing(api.directory):
        for response in (await api.track(EVENT), await api.batch([EVENT] * 10)):
            error_of(response, 503, "SERVICE_UNAVAILABLE")
            assert int(response.headers["retry-after"]) >= 1
            assert "x-position" not in response.headers
    assert api.stored() == []

    answer = await api.tracked()  # it recovers by itself

    assert [event.id for event in api.stored()] == [answer["event"]]


async def test_more_than_memory_is_set_aside_for_is_503_and_not_taken(tmp_path: Path) -> None:
    async with serving(tmp_path, ingest=Ingest(max_pending_bytes=MIB)) as api:
        large = {**EVENT, "data": "x" * 60_000}
        with commits_blocked(tmp_path):
            waiting = [asyncio.create_task(api.track(large)) for _ in range(30)]
            await asyncio.sleep(0.2)
            refused = [task.result() for task in waiting if task.done()]
            assert 10 <= len(refused) < 30
            for response in refused:
                error_of(response, 503, "SERVICE_UNAVAILABLE")
                assert int(response.headers["retry-after"]) >= 1
        answers = [await task for task in waiting]
        accepted = [answer.json()["event"] for answer in answers if answer.status_code == 200]
        assert len(accepted) == 30 - len(refused)
        assert sorted(event.id for event in api.stored()) == sorted(accepted)


async def test_bodies_that_arrive_slowly_share_the_memory_that_is_set_aside(tmp_path: Path) -> None:
    """However many clients there are, each of whom may send megabytes: or they would be held until memory is gone."""
    async with serving(tmp_path, ingest=Ingest(max_pending_bytes=MIB, max_batch_bytes=MIB)) as api:
        headers = {"Authorization": f"Bearer {api.project.public.text}", "Content-Type": "application/json"}
        item = json.dumps({**EVENT, "data": "x" * 50_000}).encode()
        ending = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"["
            for _ in range(8):
                yield item + b","
            await ending.wait()
            yield item + b"]"

        arriving = [
            asyncio.create_task(api.client.post("/v1/track/batch", content=slowly(), headers=headers)) for _ in range(9)
        ]
        await asyncio.sleep(0.2)
        refused = [task.result() for task in arriving if task.done()]
        for response in refused:
            error_of(response, 503, "SERVICE_UNAVAILABLE")
            assert int(response.headers["retry-after"]) >= 1
        assert len(refused) == 7
        assert (await api.track(EVENT)).status_code == 200  # a small one needs none of it
        ending.set()
        statuses = [(await task).status_code for task in arriving]
        assert (statuses.count(200), statuses.count(503)) == (1, 8)  # a project has half of the log's queue
        again = await api.client.post("/v1/track/batch", content=slowly(), headers=headers)
        assert again.status_code == 200


# --- bodies: type, encoding, size --------------------------------------------------------------------------------------


def padded(size: int) -> bytes:
    """An event of exactly `size` bytes."""
    start = b'{"event":"signup","email":"ada@example.com","data":"'
    return start + b"x" * (size - len(start) - 2) + b'"}'


def compressed(encoding: str, body: bytes) -> bytes:
    return gzip.compress(body, 1) if encoding == "gzip" else zstandard.compress(body, 1)


ENCODINGS = pytest.mark.parametrize("encoding", ["gzip", "zstd"])


@pytest.mark.parametrize("path", ["/v1/track", "/v1/track/batch"])
@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"', "application/json;v=1"],
)
async def test_json_in_utf_8_is_taken(api: Api, path: str, kind: str) -> None:
    body = EVENT if path == "/v1/track" else [EVENT]
    assert (await api.post(path, body, headers={"Content-Type": kind})).status_code == 200


async def test_without_a_content_type_the_body_is_json(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.project.public.text}"}
    response = await api.client.post("/v1/track", content=b'{"event":"a","email":"a@b.co"}', headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/v1/track", "/v1/track/batch"])
@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/xml",
        "application/cloudevents+json",
        "json",
    ],
)
async def test_another_content_type_is_415_and_names_what_is_taken(api: Api, path: str, kind: str) -> None:
    error = error_of(await api.post(path, EVENT, headers={"Content-Type": kind}), 415, "UNSUPPORTED_MEDIA_TYPE")
    assert "application/json" in error["suggestion"]
    assert api.stored() == []


async def test_one_event_is_no_ndjson(api: Api) -> None:
    response = await api.track(EVENT, headers={"Content-Type": "application/x-ndjson"})
    error_of(response, 415, "UNSUPPORTED_MEDIA_TYPE")


@ENCODINGS
async def test_a_compressed_body_is_stored_as_the_plain_one_is(api: Api, encoding: str) -> None:
    body = b'{"event":"signup","email":"ada@example.com","data":{"b" : 1.50, "a":"\xc3\xa9"}}'
    response = await api.track(compressed(encoding, body), headers={"Content-Encoding": encoding.upper()})
    assert response.status_code == 200, response.text
    assert api.last().data == '{"b" : 1.50, "a":"é"}'


@ENCODINGS
async def test_several_members_in_a_row_are_one_body(api: Api, encoding: str) -> None:
    body = padded(40_000)
    parts = b"".join(compressed(encoding, body[start : start + 7_001]) for start in range(0, len(body), 7_001))
    assert (await api.track(parts, headers={"Content-Encoding": encoding})).status_code == 200
    assert len(api.last().data) == 40_000 - 54 + 2


async def test_identity_and_an_empty_content_encoding_mean_plain(api: Api) -> None:
    for encoding in ("identity", ""):
        assert (await api.track(EVENT, headers={"Content-Encoding": encoding})).status_code == 200


@pytest.mark.parametrize("encoding", ["br", "deflate", "compress", "gzip, gzip", "zstd, gzip", "utf-8", "*"])
async def test_another_encoding_is_415_and_names_what_is_taken(api: Api, encoding: str) -> None:
    response = await api.track(EVENT, headers={"Content-Encoding": encoding})
    error = error_of(response, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert "gzip" in error["suggestion"]
    assert response.headers["accept-encoding"] == "gzip, zstd"


@ENCODINGS
@pytest.mark.parametrize("damage", ["cut", "empty", "plain", "garbage behind", "second cut", "flipped"])
async def test_a_damaged_compressed_body_is_400(api: Api, encoding: str, damage: str) -> None:
    good = (
        zstandard.ZstdCompressor(write_checksum=True).compress(padded(500))
        if encoding == "zstd"
        else gzip.compress(padded(500))
    )
    body = {
        "cut": good[:-3],
        "empty": b"",
        "plain": padded(100),
        "garbage behind": good + b"garbage",
        "second cut": good + good[:-3],
        "flipped": good[:-2] + bytes([good[-2] ^ 1]) + good[-1:],
    }[damage]
    error_of(await api.track(body, headers={"Content-Encoding": encoding}), 400, "BAD_REQUEST")
    assert api.stored() == []


@ENCODINGS
@pytest.mark.parametrize("path", ["/v1/track", "/v1/track/batch"])
async def test_a_bomb_is_413(api: Api, encoding: str, path: str) -> None:
    bomb = compressed(encoding, bytes(100 * MIB))
    error_of(await api.post(path, bomb, headers={"Content-Encoding": encoding}), 413, "PAYLOAD_TOO_LARGE")
    assert api.stored() == []


async def test_bombs_of_many_members_and_of_one_that_tells_its_size_are_413(api: Api) -> None:
    of_members = zstandard.compress(bytes(60 * KIB)) * 1000
    of_one_window = zstandard.ZstdCompressor(level=22).compress(bytes(100 * MIB))
    for bomb in (of_members, of_one_window):
        error_of(await api.batch(bomb, headers={"Content-Encoding": "zstd"}), 413, "PAYLOAD_TOO_LARGE")
    of_members = gzip.compress(bytes(60 * KIB)) * 1000
    error_of(await api.batch(of_members, headers={"Content-Encoding": "gzip"}), 413, "PAYLOAD_TOO_LARGE")


@ENCODINGS
async def test_a_hundred_thousand_empty_members_cost_no_more_than_their_bytes(api: Api, encoding: str) -> None:
    body = compressed(encoding, b"") * 100_000 + compressed(encoding, b"[]")
    started = asyncio.get_running_loop().time()
    assert (await api.batch(body, headers={"Content-Encoding": encoding})).status_code == 200
    assert asyncio.get_running_loop().time() - started < 5  # what is behind each member is not copied again and again


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
async def test_an_event_of_64_kib_is_taken_and_one_byte_more_is_413(api: Api, encoding: str) -> None:
    headers = {"Content-Encoding": encoding}
    for size, status in ((64 * KIB, 200), (64 * KIB + 1, 413)):
        body = padded(size) if encoding == "identity" else compressed(encoding, padded(size))
        response = await api.track(body, headers=headers)
        assert response.status_code == status, response.text
    error_of(response, 413, "PAYLOAD_TOO_LARGE")
    assert len(api.stored()) == 1


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
async def test_a_batch_of_5_mib_is_taken_and_one_byte_more_is_413(api: Api, encoding: str) -> None:
    items = [padded(60 * KIB)] * 85
    exact = b"[" + b",".join(items) + b"]"
    exact += b" " * (5 * MIB - len(exact))
    for body, status in ((exact, 200), (exact + b" ", 413)):
        sent = body if encoding == "identity" else compressed(encoding, body)
        response = await api.batch(sent, headers={"Content-Encoding": encoding})
        assert response.status_code == status, response.text
    error_of(response, 413, "PAYLOAD_TOO_LARGE")
    assert len(api.stored()) == 85


async def test_the_limits_come_from_the_settings(tmp_path: Path) -> None:
    limits = Ingest(max_event_bytes=KIB, max_batch_bytes=2 * KIB, max_batch_events=3)
    async with serving(tmp_path, ingest=limits) as api:
        assert (await api.track(padded(KIB))).status_code == 200
        error_of(await api.track(padded(KIB + 1)), 413, "PAYLOAD_TOO_LARGE")
        error_of(await api.batch(b"[" + b" " * 2 * KIB), 413, "PAYLOAD_TOO_LARGE")
        error_of(await api.batch([EVENT] * 4), 413, "PAYLOAD_TOO_LARGE")
        assert (await api.batch([EVENT] * 3)).status_code == 200


async def chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def test_a_chunked_body_without_a_length_is_taken_and_limited(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.project.public.text}", "Content-Type": "application/json"}
    for size, status in ((64 * KIB, 200), (64 * KIB + 1, 413), (10 * MIB, 413)):
        response = await api.client.post("/v1/track", content=chunks(padded(size), 1000), headers=headers)
        assert response.status_code == status
    error_of(response, 413, "PAYLOAD_TOO_LARGE")
    assert len(api.stored()) == 1


async def test_an_endless_body_is_left_at_the_limit(api: Api) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * MIB:
            sent += 64 * KIB
            yield b"x" * 64 * KIB

    headers = {"Authorization": f"Bearer {api.project.public.text}"}
    error_of(await api.client.post("/v1/track/batch", content=endless(), headers=headers), 413, "PAYLOAD_TOO_LARGE")
    assert sent <= 6 * MIB


@pytest.mark.parametrize("pieces", [[], [b'{"event":"a",']])
async def test_a_caller_that_goes_away_stores_nothing_and_is_no_fault_of_ours(api: Api, pieces: list[bytes]) -> None:
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"})
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    transport: Any = api.client._transport
    key = api.project.public.text.encode()
    headers = [(b"authorization", b"Bearer " + key), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/track", "headers": headers, "query_string": b""}
    with structlog.testing.capture_logs() as lines:
        await transport.app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert lines == []
    assert api.stored() == []


# --- bodies: nasty JSON ------------------------------------------------------------------------------------------------


def event_with(data: bytes) -> bytes:
    return b'{"event":"signup","email":"ada@example.com","data":' + data + b"}"


STORED_EXACTLY = [
    b"null",
    b"true",
    b'""',
    b"0",
    b"-0",
    b"-0.0",
    b"1.50",
    b"1E+2",
    b"1e999",
    b"-1e-999",
    b"123456789012345678901234567890",
    b"9" * 400,
    b"-" + b"9" * 10_000,
    b"0." + b"1" * 1000,
    b"[]",
    b"{}",
    b'{"b":1,"a":2}',
    b'{"a":1,"a":2,"a":{"a":1,"a":2}}',
    b'{"":1}',
    b'{ "a" :\t[ 1 ,\r\n 2 ] }',
    b'"\\u0000"',
    b'{"\\u0000":"\\u0000"}',
    b'"\\ud83d\\ude00"',
    '"\U0001f600 \' \\" \\\\ \\/ \\b\\f\\n\\r\\t é \u2028 \ufeff \x7f"'.encode(),
    b'{"__proto__":{"x":1},"constructor":null}',
    b"[" * 64 + b"]" * 64,
    b'{"a":' * 64 + b"1" + b"}" * 64,
    b'[{"a":' * 32 + b"1" + b"}]" * 32,
    b'["' + b"[" * 1000 + b'"]',
    b'["\\"' + b"{" * 1000 + b'"]',
    b"[" + b"[]," * 1000 + b"[]]",
    b"[" + b"1," * 20_000 + b"1]",
    b'{"locale":"de"}',
    b'{"locale":""}',
    b'{"locale":null}',
    b'{"other":{"locale":5}}',
    b'[{"locale":5}]',
    b'"locale"',
    b'{"Locale":5}',
    b'{"locale":5,"locale":"de"}',
]


@pytest.mark.parametrize("data", STORED_EXACTLY, ids=lambda data: data[:30].decode(errors="replace"))
async def test_data_is_stored_exactly_as_sent(api: Api, data: bytes) -> None:
    response = await api.track(event_with(b" \n" + data + b"\t "))
    assert response.status_code == 200, response.text
    assert api.last().data.encode() == data


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b'[{"a":' * 33 + b"1" + b"}]" * 33,
        b'{"a":[' * 33 + b"1" + b"]}" * 33,
        b"[" + b"[]," * 100 + b"[" * 64 + b"]" * 64 + b"]",
        b"[" * 500 + b"]" * 500,
    ],
    ids=["arrays", "objects", "arrays of objects", "objects of arrays", "one branch", "500"],
)
async def test_data_nested_deeper_than_64_is_422_on_data(api: Api, data: bytes) -> None:
    assert problems_of(await api.track(event_with(data))) == [("data", "custom")]
    assert api.stored() == []


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
async def test_nesting_that_exhausts_the_stack_is_400(api: Api, opening: bytes) -> None:
    body = opening * (60_000 // len(opening))
    for sent in (event_with(body), body, b'{"event":"a","email":"a@b.co","unknown":' + body):
        error_of(await api.track(sent), 400, "BAD_REQUEST")
    error_of(await api.batch(b"[" + body), 400, "BAD_REQUEST")


@pytest.mark.parametrize("locale", [b"5", b"true", b"{}", b"[]", b'{"value":"de","persistent":false}'])
@pytest.mark.parametrize("key", [b'"locale"', b'"loc\\u0061le"'])
async def test_a_locale_that_is_no_string_is_422_on_data_locale(api: Api, locale: bytes, key: bytes) -> None:
    assert problems_of(await api.track(event_with(b"{" + key + b":" + locale + b"}"))) == [
        ("data.locale", "invalid_type")
    ]


NOT_JSON = [
    b"",
    b" ",
    b"\xef\xbb\xbf" + event_with(b"1"),
    event_with(b"1").decode().encode("utf-16"),
    event_with(b"1") + b"x",
    event_with(b"1") * 2,
    event_with(b"1")[:-1],
    event_with(b"1") + b"\x00",
    b"{'event':'a','email':'a@b.co'}",
    b'{"event":"a","email":"a@b.co",}',
    b'{"event":"a" "email":"a@b.co"}',
    b"undefined",
    b"event=a&email=a@b.co",
    b'{"event":"\x00","email":"a@b.co"}',
    b'{"event":"a\nb","email":"a@b.co"}',
    b'{"event":"\xff","email":"a@b.co"}',
    b'{"event":"\xed\xa0\x80","email":"a@b.co"}',
    b'{"event":"\\ud800","email":"a@b.co"}',
    b'{"event":"\\udc00\\ud800","email":"a@b.co"}',
    b'{"event":"\\ud800 and on","email":"a@b.co"}',
    b'{"event":"a","email":"\\ud800@b.co"}',
    b'{"\\ud800":1,"event":"a","email":"a@b.co"}',
    b'{"event":"a","email":"a@b.co","unknown":NaN}',
    b'{"event":"a","email":"a@b.co","unknown":"\xff"}',
    b'{"\xff":1,"event":"a","email":"a@b.co"}',
    # a wrong type before what is no JSON: the type must not be all that is looked at
    b'{"event":1,"email":"a@b.co"',
    b'{"event":1,"email":nonsense}',
    b'{"event":1,"data":"\\ud800"}',
    b"[1,2",
    b"[1,2]]",
    b"null null",
    *[
        event_with(data)
        for data in (
            b"NaN",
            b"[NaN]",
            b"Infinity",
            b"-Infinity",
            b"01",
            b"+1",
            b"1.",
            b".5",
            b"0x10",
            b"1_000",
            b"'a'",
            b'"\x00"',
            b'"\n"',
            b'"\x1f"',
            b'"\\q"',
            b'"\\u00g0"',
            b'"\\ud800"',
            b'"\\udc00"',
            b'"\\ud800\\u0041"',
            b'"\\ud800 and more text"',
            b'{"\\udfff":1}',
            b'"\xff"',
            b'"\xed\xa0\x80"',
            b'"\xc0\x80"',
            b"[1,]",
            b"{,}",
            b"{a:1}",
            b"[1]]",
            b"/*c*/1",
            b"tru",
            b"",
        )
    ],
]


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: repr(body[-40:]))
async def test_what_is_not_json_in_utf_8_is_400(api: Api, body: bytes) -> None:
    error_of(await api.track(body), 400, "BAD_REQUEST")
    assert api.stored() == []


@pytest.mark.parametrize(
    "body", [b"null", b"true", b"5", b'"text"', b"[]", b'[{"event":"a","email":"a@b.co"}]', b"1e999"]
)
async def test_json_that_is_no_object_is_422_on_the_body(api: Api, body: bytes) -> None:
    assert problems_of(await api.track(body)) == [("body", "invalid_type")]


async def test_of_a_member_that_comes_twice_the_last_counts(api: Api) -> None:
    body = b'{"event":"first","email":"a@b.co","data":1,"event":"last","data":2,"email":"c@d.co"}'
    await api.tracked(body)
    assert (api.last().name, api.last().email, api.last().data) == ("last", "c@d.co", "2")

    await api.tracked(b'{"event":5,"event":"good","email":"a@b.co","subscribed":null,"subscribed":false}')
    assert (api.last().name, api.last().subscribed) == ("good", False)

    assert problems_of(await api.track(b'{"event":"good","event":5,"email":"a@b.co"}')) == [("event", "invalid_type")]


async def test_random_bytes_never_get_anything_but_a_4xx_of_the_one_shape(api: Api) -> None:
    source = random.Random(7)
    for _ in range(200):
        body = source.randbytes(source.randrange(200))
        headers = {"Content-Encoding": source.choice(["identity", "gzip", "zstd"])}
        for response in (await api.track(body, headers=headers), await api.batch(body, headers=headers)):
            assert 400 <= response.status_code < 500
            error_of(response, response.status_code, response.json()["error"]["code"])

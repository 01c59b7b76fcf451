"""`POST /v1/track/batch`: each sentence of the contract about it has a test named after it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from penstock.settings import Ingest
from schemas.position import from_token
from schemas.wire import BatchResponse
from tests.support.logs import commits_blocked, stored_records
from tests.support.requests import EVENT, NOW, Api, error_of, problems_of, serving

pytestmark = pytest.mark.anyio

KIB = 1024
BAD: dict[str, Any] = {"event": "", "email": "nobody"}
NDJSON = {"Content-Type": "application/x-ndjson"}


def named(*names: str) -> list[dict[str, Any]]:
    return [{**EVENT, "event": name} for name in names]


def names_of(api: Api) -> list[str]:
    return [event.name for event in api.stored()]


def codes(answer: dict[str, Any]) -> list[str]:
    """The outcome of each item: the error's code, "" where it was accepted."""
    return [result.get("error", {}).get("code", "") for result in answer["results"]]


# --- the three forms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [{}, {"other": 1, "Events": 5}])
async def test_an_array_and_an_object_with_events_mean_the_same(api: Api, members: dict[str, Any]) -> None:
    for body in (named("a", "b"), {**members, "events": named("a", "b")}):
        answer = await api.batched(body)
        assert (answer["accepted"], answer["rejected"]) == (2, 0)
    assert names_of(api) == ["a", "b", "a", "b"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\r\n \t\r\n"])
@pytest.mark.parametrize("last", ["", "end"])
@pytest.mark.parametrize(
    "kind", ["application/x-ndjson", "application/x-ndjson; charset=utf-8", "Application/X-NDJSON"]
)
async def test_ndjson_is_one_event_a_line_whatever_ends_the_lines(api: Api, end: str, last: str, kind: str) -> None:
    body = end.join(json.dumps(item) for item in named("a", "b", "c")) + (end if last else "")
    answer = await api.batched(body.encode(), headers={"Content-Type": kind})
    assert (answer["accepted"], answer["rejected"], len(answer["results"])) == (3, 0, 3)
    assert names_of(api) == ["a", "b", "c"]


@pytest.mark.parametrize("wrap", ["[%s]", '{"other":"\\udc00","events":[%s]}'])
@pytest.mark.parametrize("header", [{}, {"Idempotency-Key": "k"}])
async def test_half_of_a_surrogate_pair_is_that_items_error(api: Api, wrap: str, header: dict[str, str]) -> None:
    items = [json.dumps(item) for item in named("a", "cut", "c")]
    body = wrap % ",".join(items).replace("cut", "\\ud83d")
    answer = await api.batched(body.encode(), headers=header)
    assert codes(answer) == ["", "BAD_REQUEST", ""]
    assert "half of a surrogate pair" in answer["results"][1]["error"]["message"]
    assert names_of(api) == ["a", "c"]


async def test_a_line_of_64_kib_is_taken_whatever_ends_it(api: Api) -> None:
    line = json.dumps({**EVENT, "data": ""})
    line = line.replace('"data": ""', f'"data": "{"x" * (64 * KIB - len(line))}"')
    assert len(line) == 64 * KIB
    for end in ("\n", "\r\n", " \t\r\n"):
        answer = await api.batched(f"{line}{end}{line}{end}".encode(), headers=NDJSON)
        assert answer["accepted"] == 2


async def test_a_malformed_line_is_that_items_error_and_not_the_requests(api: Api) -> None:
    lines = [json.dumps(named("good")[0]).encode()] * 2
    bad = [b"{", b"not json", b'{"event":"\xff"}', b"\xef\xbb\xbf{}", b"{} {}", b"[" * 5000, b'{"event":1,', b"\x00"]
    answer = await api.batched(b"\n".join([lines[0], *bad, lines[1]]), headers=NDJSON)
    assert codes(answer) == ["", *["BAD_REQUEST"] * len(bad), ""]
    assert (answer["accepted"], answer["rejected"]) == (2, len(bad))
    assert [result["error"]["statusCode"] for result in answer["results"][1:-1]] == [400] * len(bad)
    assert names_of(api) == ["good", "good"]


async def test_a_line_that_is_json_but_no_event_is_that_items_error(api: Api) -> None:
    answer = await api.batched(b'null\n5\n"text"\n[]\n{}', headers=NDJSON)
    assert codes(answer) == ["VALIDATION_ERROR"] * 5
    fields = [[problem["field"] for problem in result["error"]["errors"]] for result in answer["results"]]
    assert fields == [["body"]] * 4 + [["event", "email"]]


@pytest.mark.parametrize(("body", "headers"), [([], {}), ({"events": []}, {}), (b"", NDJSON), (b"\n\r\n \n", NDJSON)])
async def test_an_empty_batch_is_accepted_and_has_a_position(api: Api, body: Any, headers: dict[str, str]) -> None:
    response = await api.batch(body, headers=headers)
    assert response.status_code == 200
    assert response.json() == {"success": True, "data": {"accepted": 0, "rejected": 0, "results": []}}
    assert from_token(response.headers["x-position"]) == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [(b"null", "body"), (b"5", "body"), (b'"text"', "body"), (b"true", "body"), (b"{}", "events"),
     (b'{"events":null}', "events"), (b'{"events":{}}', "events"), (b'{"events":"x"}', "events"), (b'{"Events":[]}', "events"),
     (json.dumps(EVENT).encode(), "events")],
)  # fmt: skip
async def test_json_that_is_no_batch_is_422(api: Api, body: bytes, field: str) -> None:
    assert problems_of(await api.batch(body)) == [(field, "invalid_type")]


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"[", b"[{]", b"[{}", b'{"events":[}', b'{"events":5', b'{"events":5,', b"[]]", b"[1,]", b"[NaN]", b"\xef\xbb\xbf[]",
     b'["\xff"]', b"5 5", b'{"events":[]}{}', b"{}\n{}"],
)  # fmt: skip
async def test_a_body_that_is_no_json_is_the_requests_error(api: Api, body: bytes) -> None:
    error_of(await api.batch(body), 400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-ndjson+json", "application/x-www-form-urlencoded", "text/csv"]
)
async def test_another_content_type_is_415(api: Api, kind: str) -> None:
    error_of(await api.batch(named("a"), headers={"Content-Type": kind}), 415, "UNSUPPORTED_MEDIA_TYPE")


# --- outcomes ----------------------------------------------------------------------------------------------------------


async def test_the_answer_counts_and_has_one_result_per_item_in_order(api: Api) -> None:
    response = await api.batch([*named("a"), BAD, *named("b", "email.sent"), 5, *named("c")])

    assert response.status_code == 200
    body = response.json()
    BatchResponse.model_validate(body)
    assert body.keys() == {"success", "data"}
    answer = body["data"]
    assert answer.keys() == {"accepted", "rejected", "results"}
    assert (answer["accepted"], answer["rejected"]) == (3, 3)
    assert codes(answer) == ["", "VALIDATION_ERROR", "", "VALIDATION_ERROR", "VALIDATION_ERROR", ""]
    accepted = [result for result in answer["results"] if "error" not in result]
    assert all(result.keys() == {"event", "contact", "timestamp"} for result in accepted)
    assert [(event.name, event.id) for event in api.stored()] == list(
        zip("abc", [result["event"] for result in accepted], strict=True)
    )


async def test_a_rejected_item_has_the_error_that_it_would_have_alone(api: Api) -> None:
    for item in (
        BAD,
        named("email.sent")[0],
        {**EVENT, "data": {"locale": 1}},
        {},
        5,
        {**EVENT, "timestamp": "2030-01-01"},
    ):
        alone = error_of(await api.track(item), 422, "VALIDATION_ERROR")
        [result] = (await api.batched([item]))["results"]
        assert result == {"error": {name: value for name, value in alone.items() if name != "requestId"}}


async def test_valid_items_are_accepted_even_where_all_others_are_not(api: Api) -> None:
    answer = await api.batched([BAD] * 500 + named("good") + [BAD] * 499)
    assert (answer["accepted"], answer["rejected"]) == (1, 999)
    assert names_of(api) == ["good"]


async def test_a_batch_without_a_valid_item_is_200_with_a_position_too(api: Api) -> None:
    response = await api.batch([BAD, BAD])
    assert response.status_code == 200
    assert response.json()["data"]["accepted"] == 0
    assert from_token(response.headers["x-position"]) == {}
    assert api.stored() == []


async def test_every_item_may_have_all_that_an_event_may_have(api: Api) -> None:
    item = {**EVENT, "email": "Bob@Example.com", "data": {"a": 1}, "subscribed": False, "timestamp": "2020-01-01"}
    [result, plain] = (await api.batched([item, EVENT]))["results"]
    event = api.stored()[0]
    assert (event.email, event.data, event.subscribed) == ("bob@example.com", '{"a": 1}', False)
    assert (result["timestamp"], plain["timestamp"]) == ("2020-01-01T00:00:00.000Z", NOW)
    assert result["contact"] == (await api.tracked(item))["contact"]


async def test_the_data_of_items_is_stored_exactly_as_sent(api: Api) -> None:
    texts = ['{ "b":1.50, "a" : 1e999 }', "9" * 400, '{"a":1,"a":2}', '"\\u0000"', "[" * 64 + "]" * 64]
    items = [f'{{"data":{text} ,"event":"a","email":"a@b.co"}}' for text in texts]
    await api.batched(f"[{','.join(items)}]".encode())
    await api.batched("\n".join(items).encode(), headers=NDJSON)
    assert [event.data for event in api.stored()] == texts * 2


async def test_the_answer_comes_after_the_log_has_all_accepted_items(api: Api) -> None:
    with commits_blocked(api.directory):
        request = asyncio.create_task(api.batch(named("a", "b")))
        await asyncio.sleep(0.3)
        assert not request.done()
    assert (await request).status_code == 200
    assert names_of(api) == ["a", "b"]


async def test_the_position_covers_all_records_of_the_batch(api: Api) -> None:
    large = [{**EVENT, "data": "x" * 50_000}] * 100  # more than one record holds
    response = await api.batch(large)
    assert response.status_code == 200
    records = stored_records(api.log)
    assert len(records) > 1
    assert from_token(response.headers["x-position"]) == {0: records[-1].offset}
    assert len(api.stored()) == 100


# --- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["array", "object", "ndjson"])
async def test_1000_events_are_taken_and_1001_are_413_and_none_is_stored(api: Api, form: str) -> None:
    def body(count: int) -> Any:
        if form == "ndjson":
            return b"\n".join([json.dumps(EVENT).encode()] * count)
        return [EVENT] * count if form == "array" else {"events": [EVENT] * count}

    headers = NDJSON if form == "ndjson" else {}
    error_of(await api.batch(body(1001), headers=headers), 413, "PAYLOAD_TOO_LARGE")
    assert api.stored() == []

    answer = await api.batched(body(1000), headers=headers)
    assert answer["accepted"] == 1000
    assert [event.id for event in api.stored()] == [result["event"] for result in answer["results"]]


@pytest.mark.parametrize("form", ["array", "ndjson"])
async def test_an_item_over_64_kib_is_that_items_error(api: Api, form: str) -> None:
    start = b'{"event":"signup","email":"ada@example.com","data":"'
    exact = start + b"x" * (64 * KIB - len(start) - 2) + b'"}'
    over = exact.replace(b'x"}', b'xx"}')
    small = json.dumps(EVENT).encode()
    items = [small, over, exact, small]
    body = b"\n".join(items) if form == "ndjson" else b"[" + b",\n".join(items) + b"]"
    answer = await api.batched(body, headers=NDJSON if form == "ndjson" else {})
    assert codes(answer) == ["", "PAYLOAD_TOO_LARGE", "", ""]
    assert answer["results"][1]["error"]["statusCode"] == 413
    assert len(api.stored()) == 3


async def test_a_deep_item_is_that_items_error(api: Api) -> None:
    deep = b'{"event":"a","email":"a@b.co","data":' + b'[{"a":' * 33 + b"1" + b"}]" * 33 + b"}"
    good = json.dumps(EVENT).encode()
    answer = await api.batched(b"[" + good + b"," + deep + b"," + good + b"]")
    assert codes(answer) == ["", "VALIDATION_ERROR", ""]


async def test_an_item_is_limited_by_the_settings(tmp_path: Path) -> None:
    async with serving(tmp_path, ingest=Ingest(max_event_bytes=KIB)) as api:
        answer = await api.batched([EVENT, {**EVENT, "data": "x" * KIB}])
        assert codes(answer) == ["", "PAYLOAD_TOO_LARGE"]


# --- idempotency -------------------------------------------------------------------------------------------------------


async def test_an_item_may_have_a_key_that_means_what_the_header_means_for_one_event(api: Api) -> None:
    alone = await api.tracked(headers={"Idempotency-Key": "order-5"})
    [first, second] = (await api.batched([{**EVENT, "idempotencyKey": "order-5"}, EVENT]))["results"]
    assert first["event"] == alone["event"]
    assert second["event"] != alone["event"]
    assert [event.derived for event in api.stored()] == [True, True, False]


async def test_the_header_gives_item_i_the_key_k_colon_i_where_it_has_none(api: Api) -> None:
    header = {"Idempotency-Key": "k"}
    items = [EVENT, {**EVENT, "idempotencyKey": "own"}, BAD, EVENT]
    results = (await api.batched(items, headers=header))["results"]
    again = (await api.batched(items, headers=header))["results"]
    assert again == results

    for index, key in ((0, "k:0"), (1, "own"), (3, "k:3")):
        assert results[index]["event"] == (await api.tracked(headers={"Idempotency-Key": key}))["event"]
    assert all(event.derived for event in api.stored())


async def test_a_header_of_255_characters_is_a_key_for_every_item(api: Api) -> None:
    results = (await api.batched([EVENT] * 11, headers={"Idempotency-Key": "x" * 255}))["results"]
    assert len({result["event"] for result in results}) == 11


async def test_the_same_key_twice_in_one_batch_is_one_event_for_the_same_address(api: Api) -> None:
    items = [{**EVENT, "idempotencyKey": "k"}, {**EVENT, "event": "other", "idempotencyKey": "k"}]
    other = {**EVENT, "email": "bob@example.com", "idempotencyKey": "k"}
    answer = await api.batched([*items, other])
    first, second, third = [result["event"] for result in answer["results"]]
    assert answer["accepted"] == 3
    assert first == second != third


@pytest.mark.parametrize(
    ("key", "code"),
    [("", "too_small"), ("x" * 256, "too_big"), ("schlüssel", "invalid_string"), ("a\nb", "invalid_string"),
     (5, "invalid_type"), (None, "invalid_type")],
)  # fmt: skip
async def test_a_bad_key_is_that_items_error(api: Api, key: Any, code: str) -> None:
    answer = await api.batched([EVENT, {**EVENT, "idempotencyKey": key}, {**BAD, "idempotencyKey": key}])
    assert codes(answer) == ["", "VALIDATION_ERROR", "VALIDATION_ERROR"]
    one, many = [result["error"]["errors"] for result in answer["results"][1:]]
    assert [(problem["field"], problem["code"]) for problem in one] == [("idempotencyKey", code)]
    assert [problem["field"] for problem in many] == ["event", "email", "idempotencyKey"]
    assert len(api.stored()) == 1


async def test_a_key_of_255_characters_is_taken(api: Api) -> None:
    assert (await api.batched([{**EVENT, "idempotencyKey": "~" * 255}]))["accepted"] == 1

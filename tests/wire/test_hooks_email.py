"""`POST /v1/hooks/email`: each sentence of the contract about it has a test named after it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.event import Event
from schemas.names import MAIL_EVENTS
from schemas.position import from_token
from schemas.wire import BatchResponse, MailHookRequest, TrackResponse
from tests.support.limits import at_most
from tests.support.logs import commits_blocked
from tests.support.requests import NOW, Api, error_of, problems_of, serving

pytestmark = pytest.mark.anyio

KIB = 1024
HOOK = "/v1/hooks/email"
REPORT: dict[str, Any] = {"event": "email.delivery", "email": "ada@example.com"}
DEEP = "[" * 65 + "]" * 65


async def report(api: Api, body: Any, **more: Any) -> httpx.Response:
    return await api.post(HOOK, body, key=api.project.secret.text, **more)


async def reported(api: Api, body: Any, **more: Any) -> dict[str, Any]:
    """The `data` of a 200."""
    response = await report(api, body, **more)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()["data"]
    return answer


async def stored_from(api: Api, **members: Any) -> Event:
    await reported(api, {**REPORT, **members})
    return api.last()


@pytest.fixture
async def limited(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Api]:
    async with serving(tmp_path, limits=at_most(events=3)) as made:
        yield made


# --- one report ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAIL_EVENTS)
async def test_each_of_the_seven_names_is_taken_and_stored(api: Api, name: str) -> None:
    event = await stored_from(api, event=name)
    assert (event.name, event.email, event.occurred_at, event.received_at) == (name, "ada@example.com", NOW, "")


async def test_the_answer_is_that_of_a_track(api: Api) -> None:
    response = await report(api, {**REPORT, "timestamp": "2026-11-01T10:00:00+01:00"})
    TrackResponse.model_validate(response.json())
    body, event = response.json(), api.last()
    assert body["data"] == {"contact": event.contact_id, "event": event.id, "timestamp": "2026-11-01T09:00:00.000Z"}
    assert body == {"success": True, "data": body["data"], **body["data"]}
    assert from_token(response.headers["x-position"])
    assert (event.occurred_at, event.received_at) == ("2026-11-01T09:00:00.000Z", NOW)


async def test_the_contact_is_the_one_of_the_tracked_address(api: Api) -> None:
    tracked = await api.tracked({"event": "signup", "email": "ada@example.com"})
    assert (await reported(api, {**REPORT, "email": "Ada@Example.com"}))["contact"] == tracked["contact"]
    assert api.last().email == "ada@example.com"


async def test_email_id_is_stored(api: Api) -> None:
    assert (await stored_from(api, emailId="mail-1")).email_id == "mail-1"
    assert (await stored_from(api)).email_id == ""


async def test_data_is_stored_exactly_as_sent(api: Api) -> None:
    data = '{"subject": "Hi", "b":1, "b":2.50, "n":123456789012345678901234567890, "locale":7}'
    await reported(api, f'{{"event":"email.open","email":"ada@example.com","data":{data}}}'.encode())
    assert api.last().data == data


async def test_members_that_mean_nothing_are_ignored(api: Api) -> None:
    event = await stored_from(api, subscribed=True, idempotencyKey="k", other={"a": 1})
    assert (event.subscribed, event.derived) == (None, False)


async def test_what_is_accepted_is_valid_by_the_description_too(api: Api) -> None:
    body = {**REPORT, "id": "1", "emailId": "2", "messageId": "3", "timestamp": "2026-01-01", "data": [1]}
    MailHookRequest.model_validate(body)
    await reported(api, body)


async def test_the_200_comes_after_the_log_has_the_event(api: Api) -> None:
    with commits_blocked(api.directory):
        response = await report(api, REPORT)
    error_of(response, 503, "SERVICE_UNAVAILABLE")
    assert int(response.headers["retry-after"]) >= 1
    assert api.stored() == []


# --- what counts once --------------------------------------------------------------------------------------------------


async def test_the_senders_id_makes_a_redelivery_the_same_event(api: Api) -> None:
    first = await reported(api, {**REPORT, "id": "r-1"})
    again = await reported(api, {**REPORT, "id": "r-1", "event": "email.open", "timestamp": "2026-11-01", "data": 1})
    other = await reported(api, {**REPORT, "id": "r-2"})
    assert again["event"] == first["event"] != other["event"]
    assert [event.derived for event in api.stored()] == [True, True, True]


async def test_the_id_goes_before_message_id_and_timestamp(api: Api) -> None:
    mail = {**REPORT, "messageId": "m-1", "timestamp": "2026-11-01"}
    ids = {(await reported(api, {**mail, "id": key}))["event"] for key in ("1", "2")}
    assert len(ids) == 2


@pytest.mark.parametrize("timestamp", ["2026-11-01T09:00:00.000Z", "2026-11-01T10:00:00+01:00"])
async def test_event_message_id_timestamp_and_email_together_make_it_the_same(api: Api, timestamp: str) -> None:
    first = await reported(api, {**REPORT, "messageId": "m-1", "timestamp": "2026-11-01T09:00:00Z"})
    again = await reported(api, {**REPORT, "messageId": "m-1", "timestamp": timestamp, "emailId": "e", "data": {}})
    assert again["event"] == first["event"]
    assert api.last().derived


@pytest.mark.parametrize(
    "other",
    [
        {"event": "email.open"},
        {"messageId": "m-2"},
        {"timestamp": "2026-11-01T09:00:00.001Z"},
        {"email": "grace@example.com"},
    ],
)
async def test_where_one_of_the_four_differs_it_is_another_event(api: Api, other: dict[str, str]) -> None:
    mail = {**REPORT, "messageId": "m-1", "timestamp": "2026-11-01T09:00:00Z"}
    assert (await reported(api, mail))["event"] != (await reported(api, {**mail, **other}))["event"]


@pytest.mark.parametrize("members", [{}, {"messageId": "m-1"}, {"timestamp": "2026-11-01"}])
async def test_else_every_post_counts(api: Api, members: dict[str, str]) -> None:
    ids = {(await reported(api, {**REPORT, **members}))["event"] for _ in range(2)}
    assert len(ids) == 2
    assert [event.derived for event in api.stored()] == [False, False]


async def test_a_senders_id_and_an_idempotency_key_never_meet(api: Api) -> None:
    tracked = await api.tracked({"event": "signup", "email": "ada@example.com"}, headers={"Idempotency-Key": "1"})
    mail = await reported(api, {**REPORT, "id": "1"})
    assert mail["event"] != tracked["event"]


# --- what it says of the subscription ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("email.complaint", None),
        ("email.complaint", {"bounceType": "Transient"}),
        ("email.bounce", None),
        ("email.bounce", "Transient"),
        ("email.bounce", {}),
        ("email.bounce", {"bounceType": "Permanent"}),
        ("email.bounce", {"bounceType": "Undetermined"}),
        ("email.bounce", {"bounceType": "transient"}),
        ("email.bounce", {"bounceType": ["Transient"]}),
        ("email.bounce", {"bounceType": None}),
    ],
)
async def test_a_bounce_and_a_complaint_unsubscribe(api: Api, name: str, data: Any) -> None:
    members = {} if data is None else {"data": data}
    assert (await stored_from(api, event=name, **members)).subscribed is False


async def test_a_transient_bounce_does_not(api: Api) -> None:
    assert (await stored_from(api, event="email.bounce", data={"bounceType": "Transient"})).subscribed is None
    escaped = b'{"event":"email.bounce","email":"ada@example.com","data":{ "bounceType":"Trans\\u0069ent"}}'
    await reported(api, escaped)
    assert api.last().subscribed is None


@pytest.mark.parametrize("name", sorted({*MAIL_EVENTS} - {"email.bounce", "email.complaint"}))
async def test_the_other_events_say_nothing_of_it(api: Api, name: str) -> None:
    assert (await stored_from(api, event=name, data={"bounceType": "Permanent"})).subscribed is None


# --- an array ------------------------------------------------------------------------------------------------------------


async def test_an_array_has_one_outcome_per_item_in_order(api: Api) -> None:
    bad = {"event": "signup", "email": "nobody"}
    response = await report(api, [REPORT, bad, {**REPORT, "event": "email.open"}, 5])
    BatchResponse.model_validate(response.json())
    answer = response.json()["data"]
    assert (answer["accepted"], answer["rejected"]) == (2, 2)
    first, refused, second, number = answer["results"]
    assert [event.id for event in api.stored()] == [first["event"], second["event"]]
    assert [event.name for event in api.stored()] == ["email.delivery", "email.open"]
    assert [problem["code"] for problem in refused["error"]["errors"]] == ["invalid_enum_value", "invalid_string"]
    assert number["error"]["errors"][0]["field"] == "body"
    assert from_token(response.headers["x-position"])


async def test_an_empty_array_does_nothing(api: Api) -> None:
    assert await reported(api, []) == {"accepted": 0, "rejected": 0, "results": []}


async def test_an_item_over_64_kib_is_its_own_error(api: Api) -> None:
    answer = await reported(api, [{**REPORT, "data": "x" * 64 * KIB}, REPORT])
    assert answer["results"][0]["error"]["code"] == "PAYLOAD_TOO_LARGE"
    assert answer["accepted"] == 1


async def test_half_of_a_surrogate_pair_is_its_items_error(api: Api) -> None:
    item = json.dumps(REPORT)
    half = item.replace("ada", "\\ud83d")
    answer = await reported(api, f"[{item},{half}]".encode())
    assert (answer["accepted"], answer["results"][1]["error"]["code"]) == (1, "BAD_REQUEST")


async def test_more_than_1000_are_too_many(api: Api) -> None:
    error_of(await report(api, [REPORT] * 1001), 413, "PAYLOAD_TOO_LARGE")
    assert (await reported(api, [REPORT] * 1000))["accepted"] == 1000
    assert len(api.stored()) == 1000


async def test_copies_in_one_array_have_one_id(api: Api) -> None:
    answer = await reported(api, [{**REPORT, "id": "r-1"}] * 2)
    assert len({result["event"] for result in answer["results"]}) == 1


# --- what is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"event": "email.opened"}, ("event", "invalid_enum_value")),
        ({"event": "Email.sent"}, ("event", "invalid_enum_value")),
        ({"event": "signup"}, ("event", "invalid_enum_value")),
        ({"event": "contact.subscribed"}, ("event", "invalid_enum_value")),
        ({"event": ""}, ("event", "invalid_enum_value")),
        ({"event": 5}, ("event", "invalid_type")),
        ({"email": "nobody"}, ("email", "invalid_string")),
        ({"email": " ada@example.com"}, ("email", "invalid_string")),
        ({"email": None}, ("email", "invalid_type")),
        ({"email": "a" * 310 + "@example.com"}, ("email", "too_big")),
        ({"timestamp": "yesterday"}, ("timestamp", "invalid_string")),
        ({"timestamp": "2026-11-23T07:05:00.124Z"}, ("timestamp", "too_big")),
        ({"timestamp": 1}, ("timestamp", "invalid_type")),
        ({"id": ""}, ("id", "too_small")),
        ({"id": "x" * 999}, ("id", "too_big")),
        ({"id": 7}, ("id", "invalid_type")),
        ({"emailId": ""}, ("emailId", "too_small")),
        ({"emailId": None}, ("emailId", "invalid_type")),
        ({"messageId": ""}, ("messageId", "too_small")),
        ({"messageId": []}, ("messageId", "invalid_type")),
        ({"data": json.loads(DEEP)}, ("data", "custom")),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_stored(
    api: Api, members: dict[str, Any], problem: tuple[str, str]
) -> None:
    assert problems_of(await report(api, {**REPORT, **members})) == [problem]
    assert api.stored() == []


async def test_everything_that_is_wrong_is_named_together(api: Api) -> None:
    body = {"email": 1, "timestamp": "x", "id": "", "emailId": False, "messageId": ""}
    assert problems_of(await report(api, body)) == [
        ("event", "invalid_type"),
        ("email", "invalid_type"),
        ("timestamp", "invalid_string"),
        ("id", "too_small"),
        ("emailId", "invalid_type"),
        ("messageId", "too_small"),
    ]


async def test_the_projects_limit_counts_each_item(limited: Api) -> None:
    assert (await reported(limited, [REPORT, REPORT]))["accepted"] == 2
    error_of(await report(limited, [REPORT, REPORT]), 429, "RATE_LIMIT_EXCEEDED")
    await reported(limited, REPORT)


@pytest.mark.parametrize("name", MAIL_EVENTS)
async def test_they_enter_by_no_other_route(api: Api, name: str) -> None:
    item = {"event": name, "email": "ada@example.com"}
    assert problems_of(await api.track(item)) == [("event", "reserved_event")]
    answer = await api.batched([item])
    assert answer["results"][0]["error"]["errors"][0]["code"] == "reserved_event"
    assert api.stored() == []

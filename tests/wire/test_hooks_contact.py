"""`POST /v1/hooks/contact`: each sentence of the contract about it has a test named after it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from penstock.errors import TablesUnavailable
from penstock.settings import Limits
from schemas.event import Event
from schemas.ids import contact_id
from schemas.position import from_token
from schemas.wire import BatchResponse, ContactHookRequest, TrackResponse
from tests.support.limits import at_most
from tests.support.logs import commits_blocked
from tests.support.requests import NOW, NOW_MS, Api, KnownContacts, error_of, problems_of, serving

pytestmark = pytest.mark.anyio

KIB = 1024
HOOK = "/v1/hooks/contact"
ADA = "ada@example.com"
CHANGE: dict[str, Any] = {"email": ADA, "subscribed": False}
NOBODY = "00000000-0000-5000-8000-00000000abcd"


@pytest.fixture
def contacts() -> KnownContacts:
    return KnownContacts()


@pytest.fixture
async def api(tmp_path: Path, anyio_backend: str, contacts: KnownContacts) -> AsyncIterator[Api]:
    async with serving(tmp_path, contacts=contacts, limits=Limits()) as made:
        yield made


async def report(api: Api, body: Any, **more: Any) -> httpx.Response:
    return await api.post(HOOK, body, key=api.project.secret.text, **more)


async def reported(api: Api, body: Any, **more: Any) -> dict[str, Any]:
    """The `data` of a 200."""
    response = await report(api, body, **more)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()["data"]
    return answer


async def stored_from(api: Api, **members: Any) -> Event:
    await reported(api, {**CHANGE, **members})
    return api.last()


def id_of(api: Api, email: str) -> str:
    return contact_id(api.project.project.id, email)


def known(api: Api, contacts: KnownContacts, email: str = ADA) -> str:
    """The id of a contact that there is."""
    contact = id_of(api, email)
    contacts.emails[api.project.project.id, contact] = email
    return contact


# --- one change ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("subscribed", "name"), [(True, "contact.subscribed"), (False, "contact.unsubscribed")])
async def test_a_change_is_stored_under_the_name_of_its_event(api: Api, subscribed: bool, name: str) -> None:
    event = await stored_from(api, subscribed=subscribed)
    assert (event.name, event.subscribed, event.change) == (name, subscribed, True)
    assert (event.email, event.contact_id, event.data) == (ADA, id_of(api, ADA), "")
    assert (event.occurred_at, event.received_at, event.derived) == (NOW, "", False)


async def test_the_answer_is_that_of_a_track(api: Api) -> None:
    response = await report(api, {**CHANGE, "timestamp": "2026-11-01T10:00:00+01:00"})
    TrackResponse.model_validate(response.json())
    body, event = response.json(), api.last()
    assert body["data"] == {"contact": event.contact_id, "event": event.id, "timestamp": "2026-11-01T09:00:00.000Z"}
    assert body == {"success": True, "data": body["data"], **body["data"]}
    assert (UUID(event.id).version, UUID(event.id).int >> 80) == (7, NOW_MS)
    assert from_token(response.headers["x-position"])
    assert (event.occurred_at, event.received_at) == ("2026-11-01T09:00:00.000Z", NOW)


@pytest.mark.parametrize("reason", ["preference center", "x" * 255, 'a "quoted"\u0000 ünïcode 😀'])
async def test_the_reason_is_the_events_data(api: Api, reason: str) -> None:
    assert json.loads((await stored_from(api, reason=reason)).data) == {"reason": reason}


async def test_the_contact_is_the_one_of_the_tracked_address(api: Api) -> None:
    tracked = await api.tracked({"event": "signup", "email": ADA})
    assert (await reported(api, {**CHANGE, "email": "Ada@Example.com"}))["contact"] == tracked["contact"]
    assert api.last().email == ADA


async def test_every_post_counts(api: Api) -> None:
    assert len({(await reported(api, CHANGE))["event"] for _ in range(2)}) == 2


async def test_members_that_mean_nothing_are_ignored(api: Api) -> None:
    event = await stored_from(api, data={"a": 1}, event="signup", other=[])
    assert (event.data, event.name) == ("", "contact.unsubscribed")


async def test_what_is_accepted_is_valid_by_the_description_too(api: Api, contacts: KnownContacts) -> None:
    body = {**CHANGE, "contactId": known(api, contacts), "reason": "r", "timestamp": "2026-01-01"}
    ContactHookRequest.model_validate(body)
    await reported(api, body)


async def test_the_200_comes_after_the_log_has_the_change(api: Api) -> None:
    with commits_blocked(api.directory):
        response = await report(api, CHANGE)
    error_of(response, 503, "SERVICE_UNAVAILABLE")
    assert api.stored() == []


# --- who is meant ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", [str.lower, str.upper])
async def test_a_contact_can_be_named_by_its_id(api: Api, contacts: KnownContacts, spelling: Any) -> None:
    contact = known(api, contacts)
    answer = await reported(api, {"contactId": spelling(contact), "subscribed": True})
    assert answer["contact"] == contact
    assert (api.last().email, api.last().contact_id) == (ADA, contact)


async def test_an_unknown_contact_id_is_404_and_nothing_is_stored(api: Api) -> None:
    error_of(await report(api, {"contactId": NOBODY, "subscribed": True}), 404, "RESOURCE_NOT_FOUND")
    assert api.stored() == []


async def test_another_projects_contact_is_unknown(api: Api, contacts: KnownContacts) -> None:
    other = api.make_project().project.id
    contact = contact_id(other, ADA)
    contacts.emails[other, contact] = ADA
    error_of(await report(api, {"contactId": contact, "subscribed": True}), 404, "RESOURCE_NOT_FOUND")


async def test_an_address_and_an_id_that_belong_together_are_fine_and_nobody_is_asked(
    api: Api, contacts: KnownContacts
) -> None:
    answer = await reported(api, {"email": "Ada@example.com", "contactId": id_of(api, ADA), "subscribed": True})
    assert answer["contact"] == id_of(api, ADA)
    assert contacts.asked == []


async def test_an_address_and_an_id_that_do_not_are_an_error_of_the_id(api: Api) -> None:
    body = {**CHANGE, "contactId": id_of(api, "grace@example.com")}
    assert problems_of(await report(api, body)) == [("contactId", "custom")]
    assert problems_of(await report(api, {**body, "reason": ""})) == [("contactId", "custom"), ("reason", "too_small")]
    assert problems_of(await report(api, {**body, "subscribed": 1})) == [
        ("contactId", "custom"),
        ("subscribed", "invalid_type"),
    ]


async def test_where_nobody_knows_whom_an_id_stands_for_it_is_503_and_an_address_still_works(
    api: Api, contacts: KnownContacts
) -> None:
    contacts.failure = TablesUnavailable("ClickHouse does not answer", retry_after_seconds=7)
    refused = await report(api, {"contactId": NOBODY, "subscribed": True})
    assert "`email`" in error_of(refused, 503, "SERVICE_UNAVAILABLE")["message"]
    assert refused.headers["retry-after"] == "7"
    error_of(await report(api, [CHANGE, {"contactId": NOBODY, "subscribed": True}]), 503, "SERVICE_UNAVAILABLE")
    assert api.stored() == []
    await reported(api, CHANGE)


# --- an array ------------------------------------------------------------------------------------------------------------


async def test_an_array_has_one_outcome_per_item_in_order(api: Api, contacts: KnownContacts) -> None:
    contact = known(api, contacts, "grace@example.com")
    by_id = {"contactId": contact, "subscribed": True}
    body = [CHANGE, {"subscribed": 1}, by_id, {"contactId": NOBODY, "subscribed": True}, 5, by_id]
    response = await report(api, body)
    BatchResponse.model_validate(response.json())
    answer = response.json()["data"]
    assert (answer["accepted"], answer["rejected"]) == (3, 3)
    first, refused, second, unknown, number, third = answer["results"]
    assert [event.id for event in api.stored()] == [first["event"], second["event"], third["event"]]
    assert [event.email for event in api.stored()] == [ADA, "grace@example.com", "grace@example.com"]
    assert [problem["code"] for problem in refused["error"]["errors"]] == ["invalid_type", "invalid_type"]
    assert (unknown["error"]["code"], unknown["error"]["statusCode"]) == ("RESOURCE_NOT_FOUND", 404)
    assert number["error"]["errors"][0]["field"] == "body"
    assert from_token(response.headers["x-position"])
    assert contacts.asked == [{contact, NOBODY}], "all at once"


async def test_an_empty_array_does_nothing(api: Api, contacts: KnownContacts) -> None:
    assert await reported(api, []) == {"accepted": 0, "rejected": 0, "results": []}
    assert contacts.asked == []


async def test_an_item_over_64_kib_is_its_own_error(api: Api) -> None:
    answer = await reported(api, [{**CHANGE, "x": "x" * 64 * KIB}, CHANGE])
    assert answer["results"][0]["error"]["code"] == "PAYLOAD_TOO_LARGE"
    assert answer["accepted"] == 1


async def test_more_than_1000_are_too_many(api: Api) -> None:
    error_of(await report(api, [CHANGE] * 1001), 413, "PAYLOAD_TOO_LARGE")
    assert (await reported(api, [CHANGE] * 1000))["accepted"] == 1000


# --- what is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"email": "nobody"}, ("email", "invalid_string")),
        ({"email": ""}, ("email", "invalid_string")),
        ({"email": " ada@example.com"}, ("email", "invalid_string")),
        ({"email": None}, ("email", "invalid_type")),
        ({"email": "a" * 310 + "@example.com"}, ("email", "too_big")),
        ({"contactId": "x"}, ("contactId", "invalid_string")),
        ({"contactId": ""}, ("contactId", "invalid_string")),
        ({"contactId": 5}, ("contactId", "invalid_type")),
        ({"contactId": NOBODY}, ("contactId", "custom")),
        ({"subscribed": "yes"}, ("subscribed", "invalid_type")),
        ({"subscribed": None}, ("subscribed", "invalid_type")),
        ({"reason": ""}, ("reason", "too_small")),
        ({"reason": "x" * 256}, ("reason", "too_big")),
        ({"reason": None}, ("reason", "invalid_type")),
        ({"timestamp": "yesterday"}, ("timestamp", "invalid_string")),
        ({"timestamp": "2026-11-23T07:05:00.124Z"}, ("timestamp", "too_big")),
        ({"timestamp": 1}, ("timestamp", "invalid_type")),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_stored(
    api: Api, members: dict[str, Any], problem: tuple[str, str]
) -> None:
    assert problems_of(await report(api, {**CHANGE, **members})) == [problem]
    assert api.stored() == []


async def test_neither_address_nor_id_is_an_error_of_the_address(api: Api) -> None:
    assert problems_of(await report(api, {"subscribed": True})) == [("email", "invalid_type")]
    assert problems_of(await report(api, {"contactId": 5, "subscribed": True})) == [("contactId", "invalid_type")]


async def test_everything_that_is_wrong_is_named_together(api: Api) -> None:
    body = {"email": 1, "contactId": "x", "reason": "", "timestamp": "x"}
    assert problems_of(await report(api, body)) == [
        ("email", "invalid_type"),
        ("contactId", "invalid_string"),
        ("subscribed", "invalid_type"),
        ("reason", "too_small"),
        ("timestamp", "invalid_string"),
    ]


async def test_the_projects_limit_counts_each_item_before_anybody_is_asked(tmp_path: Path) -> None:
    contacts = KnownContacts()
    async with serving(tmp_path, limits=at_most(events=3), contacts=contacts) as limited:
        assert (await reported(limited, [CHANGE, CHANGE]))["accepted"] == 2
        by_id = {"contactId": NOBODY, "subscribed": True}
        error_of(await report(limited, [by_id, by_id]), 429, "RATE_LIMIT_EXCEEDED")
        assert contacts.asked == []
        await reported(limited, CHANGE)

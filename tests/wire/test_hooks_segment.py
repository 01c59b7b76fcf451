"""`POST /v1/hooks/segment`: each sentence of the contract about it has a test named after it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.errors import LogUnavailable
from schemas.event import Event
from schemas.ids import contact_id
from schemas.registry import Segment
from schemas.wire import BatchResponse, SegmentHookRequest, TrackResponse
from tests.support.requests import NOW, Api, KnownContacts, KnownSegments, error_of, problems_of, serving

pytestmark = pytest.mark.anyio

HOOK = "/v1/hooks/segment"
ADA = "ada@example.com"
STEP: dict[str, Any] = {"segment": "vip", "email": ADA, "action": "entry"}
NOBODY = "00000000-0000-5000-8000-00000000abcd"
SEGMENT_ID = "6f0c2f52-5b5a-4a52-9a3b-0d8a63c1f0aa"


@pytest.fixture
def contacts() -> KnownContacts:
    return KnownContacts()


@pytest.fixture
def segments() -> KnownSegments:
    return KnownSegments()


@pytest.fixture
async def api(
    tmp_path: Path, anyio_backend: str, contacts: KnownContacts, segments: KnownSegments
) -> AsyncIterator[Api]:
    async with serving(tmp_path, contacts=contacts, segments=segments) as made:
        yield made


async def report(api: Api, body: Any, **more: Any) -> httpx.Response:
    return await api.post(HOOK, body, key=api.project.secret.text, **more)


async def stored_from(api: Api, **members: Any) -> Event:
    response = await report(api, {**STEP, **members})
    assert response.status_code == 200, response.text
    return api.last()


def registered(api: Api, *, tracked: bool = False, condition: str = "") -> Segment:
    made = "2026-11-23T07:00:00.000Z"
    return Segment(SEGMENT_ID, api.project.project.id, "VIP", "vip", condition, tracked, "1", made, made)


@pytest.mark.parametrize("action", ["entry", "exit"])
async def test_a_step_is_a_change_whose_event_has_the_answered_id(api: Api, action: str) -> None:
    response = await report(api, {**STEP, "action": action})
    answer = TrackResponse.model_validate(response.json())
    stored = api.last()
    assert (stored.name, stored.change, stored.known_only) == (f"segment.vip.{action}", True, False)
    assert (stored.id, stored.contact_id) == (str(answer.data.event), str(answer.data.contact))
    assert (stored.email, stored.occurred_at, stored.data) == (ADA, NOW, "")
    assert stored.contact_id == contact_id(api.project.project.id, ADA)
    assert "x-position" in response.headers


async def test_of_a_registered_segment_the_event_tells_the_id(api: Api, segments: KnownSegments) -> None:
    segments.segments = [registered(api)]
    assert (await stored_from(api)).data == f'{{"segmentId":"{SEGMENT_ID}"}}'


async def test_another_projects_segment_is_none_of_ours(api: Api, segments: KnownSegments) -> None:
    made = registered(api)
    segments.segments = [Segment(made.id, NOBODY, *[getattr(made, name) for name in made.__struct_fields__[2:]])]
    assert (await stored_from(api)).data == ""


@pytest.mark.parametrize(("tracked", "condition", "status"),
                         [(True, "{}", 409), (False, "{}", 200), (True, "", 200), (False, "", 200)])  # fmt: skip
async def test_a_segment_whose_condition_is_tracked_here_takes_no_reports(
    api: Api, segments: KnownSegments, tracked: bool, condition: str, status: int
) -> None:
    segments.segments = [registered(api, tracked=tracked, condition=condition)]
    response = await report(api, STEP)
    assert response.status_code == status
    if status == 409:
        assert "'vip'" in error_of(response, 409, "CONFLICT")["message"]
        assert api.stored() == []


async def test_a_contact_may_be_named_by_its_id(api: Api, contacts: KnownContacts) -> None:
    ada = contact_id(api.project.project.id, ADA)
    contacts.emails[api.project.project.id, ada] = ADA
    response = await report(api, {"segment": "vip", "contactId": ada.upper(), "action": "entry"})
    assert response.status_code == 200, response.text
    assert (api.last().email, api.last().known_only) == (ADA, True)


async def test_an_unknown_contact_id_is_404(api: Api) -> None:
    response = await report(api, {"segment": "vip", "contactId": NOBODY, "action": "entry"})
    error_of(response, 404, "RESOURCE_NOT_FOUND")
    assert api.stored() == []


async def test_a_timestamp_says_when_it_happened(api: Api) -> None:
    stored = await stored_from(api, timestamp="2026-11-01T00:00:00+01:00")
    assert (stored.occurred_at, stored.received_at) == ("2026-10-31T23:00:00.000Z", NOW)


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, [("segment", "invalid_type"), ("email", "invalid_type"), ("action", "invalid_type")]),
        ({**STEP, "segment": ""}, [("segment", "invalid_string")]),
        ({**STEP, "segment": "VIP"}, [("segment", "invalid_string")]),
        ({**STEP, "segment": "a.b"}, [("segment", "invalid_string")]),
        ({**STEP, "segment": "a" * 101}, [("segment", "invalid_string")]),
        ({**STEP, "segment": "vip\n"}, [("segment", "invalid_string")]),
        ({**STEP, "segment": 5}, [("segment", "invalid_type")]),
        ({**STEP, "action": "enter"}, [("action", "invalid_enum_value")]),
        ({**STEP, "action": None}, [("action", "invalid_type")]),
        ({**STEP, "email": "ada"}, [("email", "invalid_string")]),
        ({**STEP, "contactId": "x"}, [("contactId", "invalid_string")]),
        ({**STEP, "contactId": NOBODY}, [("contactId", "custom")]),
        ({**STEP, "timestamp": "soon"}, [("timestamp", "invalid_string")]),
        ({"segment": "!", "email": "x", "action": "y", "timestamp": 5},
         [("segment", "invalid_string"), ("email", "invalid_string"), ("action", "invalid_enum_value"), ("timestamp", "invalid_type")]),
    ],
)  # fmt: skip
async def test_all_that_is_wrong_is_named(api: Api, body: Any, problems: list[tuple[str, str]]) -> None:
    assert problems_of(await report(api, body)) == problems
    assert api.stored() == []


async def test_of_an_array_each_item_has_its_own_outcome(api: Api, segments: KnownSegments) -> None:
    segments.segments = [registered(api, tracked=True, condition="{}")]
    free = {**STEP, "segment": "friends"}
    response = await report(api, [free, STEP, {**free, "action": "?"}, {**free, "email": "bob@example.com"}])
    answer = BatchResponse.model_validate(response.json()).data
    assert (answer.accepted, answer.rejected) == (2, 2)
    codes = [one["error"]["code"] if "error" in one else "" for one in response.json()["data"]["results"]]
    assert codes == ["", "CONFLICT", "VALIDATION_ERROR", ""]
    assert [event.email for event in api.stored()] == [ADA, "bob@example.com"]


async def test_without_the_control_topic_it_is_503_and_nothing_happened(api: Api, segments: KnownSegments) -> None:
    segments.failure = LogUnavailable("not now")
    error_of(await report(api, STEP), 503, "SERVICE_UNAVAILABLE")
    assert api.stored() == []


async def test_the_document_describes_the_body(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    operation = document["paths"][HOOK]["post"]
    assert {"200", "401", "404", "409", "422", "503"} <= operation["responses"].keys()
    one, many = operation["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert one == many["items"]
    assert one.keys() == {"title", "description", "type", "properties", "required"}
    assert one["properties"].keys() == SegmentHookRequest.model_json_schema()["properties"].keys()

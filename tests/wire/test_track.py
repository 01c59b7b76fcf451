"""`POST /v1/track`: each sentence of the contract about it has a test named after it."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from penstock.control import read_all
from schemas.control import encode_subject
from schemas.position import from_token
from schemas.record import unpack
from schemas.times import parse_iso, to_ms, to_wire
from schemas.topics import Topic
from schemas.wire import TrackResponse
from tests.support.logs import commits_blocked, events_of, stored_records
from tests.support.requests import EVENT, NOW, NOW_MS, Api, error_of, problems_of, serving

pytestmark = pytest.mark.anyio

MINUTE = 60_000


def keyed(key: str | bytes) -> dict[str, str | bytes]:
    return {"Idempotency-Key": key}


# --- the answer --------------------------------------------------------------------------------------------------------


async def test_the_answer_has_the_ids_and_the_time_and_repeats_them_flat(api: Api) -> None:
    response = await api.track(EVENT)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    TrackResponse.model_validate(body, extra="forbid")
    assert body.keys() == {"success", "data", "contact", "event", "timestamp"}
    assert body["success"] is True
    assert body["data"] == {name: body[name] for name in ("contact", "event", "timestamp")}
    assert str(UUID(body["contact"])) == body["contact"]
    assert str(UUID(body["event"])) == body["event"]
    assert body["timestamp"] == NOW


async def test_what_the_answer_says_is_what_the_log_has(api: Api) -> None:
    answer = await api.tracked({**EVENT, "data": {"a": 1}, "subscribed": False})

    [event] = api.stored()
    assert (event.id, event.contact_id, event.occurred_at) == (answer["event"], answer["contact"], answer["timestamp"])
    assert (event.project_id, event.name, event.email) == (api.project.project.id, "signup", "ada@example.com")
    assert (event.data, event.subscribed, event.derived, event.email_id) == ('{"a": 1}', False, False, "")


async def test_unknown_members_are_ignored(api: Api) -> None:
    await api.tracked({**EVENT, "name": 5, "id": None, "projectId": "x", "idempotencyKey": 5, "": {"deep": [1]}})
    assert api.last().data == ""


async def test_the_200_is_sent_only_after_the_log_has_the_event_durably(api: Api) -> None:
    with commits_blocked(api.directory):
        request = asyncio.create_task(api.track(EVENT))
        await asyncio.sleep(0.3)
        assert not request.done()
        assert api.stored() == []
    response = await request
    assert response.status_code == 200
    assert [event.id for event in api.stored()] == [response.json()["event"]]


async def test_what_was_acknowledged_is_there_when_the_file_is_opened_anew(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.tracked()
    async with serving(tmp_path) as again:
        assert [event.id for event in again.stored()] == [answer["event"]]


async def test_x_position_is_url_safe_and_says_where_the_event_is(api: Api) -> None:
    for _ in range(3):
        response = await api.track(EVENT)
        token = response.headers["x-position"]
        assert token.replace("-", "").replace("_", "").isalnum()
        [(partition, offset)] = from_token(token).items()
        [found] = [
            record for record in stored_records(api.log) if (record.partition, record.offset) == (partition, offset)
        ]
        assert response.json()["event"] in [event.id for event in events_of(found)]


async def test_requests_at_the_same_time_all_get_their_own_answer(api: Api) -> None:
    responses = await asyncio.gather(*[api.track({**EVENT, "event": f"event {number}"}) for number in range(100)])
    stored = {event.name: event.id for event in api.stored()}
    assert stored == {f"event {number}": response.json()["event"] for number, response in enumerate(responses)}


# --- event -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["a", " ", "  signup  ", "\tsignup\n", "Order #5 \"paid\" \\ 'ok'", "Регистрация", "注册", "\U0001f600" * 255, "x" * 255,
     "\x00", "a\x00b", "\x7f\u2028\ufeff", "e\u0301", "$set", "a/b?c=d&e", "%2F", "<script>", "null"],
)  # fmt: skip
async def test_a_name_of_1_to_255_characters_is_kept_verbatim(api: Api, name: str) -> None:
    for escaped in (True, False):
        await api.tracked(json.dumps({**EVENT, "event": name}, ensure_ascii=escaped).encode())
        assert api.last().name == name


@pytest.mark.parametrize(
    ("name", "code"),
    [("", "too_small"), ("x" * 256, "too_big"), ("\U0001f600" * 256, "too_big")]
    + [(wrong, "invalid_type") for wrong in (None, 5, True, ["a"], {"a": 1})],
)
async def test_any_other_name_is_422(api: Api, name: Any, code: str) -> None:
    assert problems_of(await api.track({**EVENT, "event": name})) == [("event", code)]
    assert api.stored() == []


RESERVED = [
    "email.", "email.sent", "email.delivery", "email.anything at all", "email.open.twice",
    "contact.subscribed", "contact.unsubscribed",
    "segment.vip.entry", "segment.vip.exit", "segment.a.b.c.entry", "segment..exit", "segment.entry", "segment.exit",
]  # fmt: skip
FREE = [
    "contact.created", "segment.created", "emails.sent", "Email.sent", "EMAIL.SENT", "email", "email sent", " email.sent",
    "xemail.sent", "contact.subscribed ", "Contact.Subscribed", "contact.subscribed.x", "contact.subscribe", "contact.",
    "segment.vip", "segment.vip.entry ", "segment.vip.Entry", "segment.vip.entries", "Segment.vip.entry", "segments.vip.entry",
    "segment.vipentry", "segment", "vip.entry", "segmentvip.exit",
]  # fmt: skip


@pytest.mark.parametrize("name", RESERVED)
async def test_reserved_names_are_422_reserved_event_and_nothing_is_stored(api: Api, name: str) -> None:
    for body in ({**EVENT, "event": name}, {"event": name, "email": "nobody", "subscribed": 1, "data": {"locale": 1}}):
        assert problems_of(await api.track(body))[0] == ("event", "reserved_event")
        assert problems_of(await api.track(body, key=api.project.secret.text))[0] == ("event", "reserved_event")
    assert api.stored() == []


@pytest.mark.parametrize("name", FREE)
async def test_other_names_are_free(api: Api, name: str) -> None:
    await api.tracked({**EVENT, "event": name})
    assert api.last().name == name


# --- email and contact -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "email",
    ["ada@example.com", "ada+tag@example.com", "first.last@sub.example.co.uk", "a@b.co", "1@2.de", "o'hara@example.com",
     "!#$%&'*+/=?^_`{|}~-@example.com", "x-y_z@ex-am-ple.com", "-a-@example.com", "ada@xn--mnchen-3ya.de",
     "ada@example.xn--p1ai", "ada@münchen.de", "jörg@example.de", "иван@пример.рф", "用户@例子.公司",
     "संपर्क@डाटामेल.भारत", "ada@example.museum", "e\u0301@example.com", "a" * 308 + "@example.com",
     "a" * 64 + "@" + ".".join(["b" * 63] * 3 + ["b" * 59, "com"])],
)  # fmt: skip
async def test_a_plain_address_of_up_to_320_characters_is_taken(api: Api, email: str) -> None:
    assert len(email) <= 320
    await api.tracked({**EVENT, "email": email})
    assert api.last().email == email


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("Ada@Example.COM", "ada@example.com"), ("ADA+TAG@EXAMPLE.COM", "ada+tag@example.com"), ("ЖЕНЯ@ПРИМЕР.РФ", "женя@пример.рф"),
     ("İ@example.com", "i\u0307@example.com")],
)  # fmt: skip
async def test_the_address_is_lower_cased_and_the_contact_is_the_same(api: Api, sent: str, kept: str) -> None:
    first = await api.tracked({**EVENT, "email": sent})
    second = await api.tracked({**EVENT, "email": kept})
    assert first["contact"] == second["contact"]
    assert [event.email for event in api.stored()] == [kept, kept]


@pytest.mark.parametrize(
    "email",
    ["", " ", "ada", "@", "ada@", "@example.com", "ada@example", "ada@localhost", " ada@example.com", "ada@example.com ",
     "\tada@example.com", "ada@example.com\n", "ada@example.com\r\n", "\u00a0ada@example.com", "\ufeffada@example.com",
     "ada@example.com\u200b", "ada @example.com", "ada@ example.com", "ada@exam ple.com", "Ada <ada@example.com>",
     "<ada@example.com>", "mailto:ada@example.com", "ada@@example.com", "ada@b@example.com", ".ada@example.com",
     "ada.@example.com", "a..da@example.com", "ada@.example.com", "ada@example.com.", "ada@example..com", "ada@-example.com",
     "ada@example-.com", "ada@example.c0m@", "ada@127.0.0.1", "ada@[127.0.0.1]", '"ada lovelace"@example.com', "ada,b@example.com",
     "ada@example.com,b@example.com", "ada;b@example.com", "ada(comment)@example.com", "ada\\@example.com", "a\x00da@example.com",
     "ada@exam_ple.123", "a" * 309 + "@example.com", "a" * 50_000 + "@example.com"],
)  # fmt: skip
async def test_anything_else_is_422_on_email_and_not_trimmed(api: Api, email: str) -> None:
    code = "too_big" if len(email) > 320 else "invalid_string"
    assert problems_of(await api.track({**EVENT, "email": email})) == [("email", code)]
    assert api.stored() == []


@pytest.mark.parametrize("email", [None, 5, True, ["ada@example.com"], {"address": "ada@example.com"}])
async def test_an_address_that_is_no_string_is_422(api: Api, email: Any) -> None:
    assert problems_of(await api.track({**EVENT, "email": email})) == [("email", "invalid_type")]


async def test_the_contact_id_is_a_uuid_v5_of_project_and_address(api: Api) -> None:
    answer = await api.tracked({**EVENT, "email": "Ada@Example.com"})
    assert answer["contact"] == str(uuid5(UUID(api.project.project.id), "ada@example.com"))


async def test_the_same_person_has_the_same_contact_id_in_every_instance(api: Api, tmp_path: Path) -> None:
    first = await api.tracked()
    (tmp_path / "other").mkdir()
    async with serving(tmp_path / "other") as other:
        other.know(api.project.project, api.project.public.record)
        second = await other.tracked(key=api.project.public.text)
    assert first["contact"] == second["contact"]


async def test_distinct_projects_give_distinct_contact_ids(api: Api) -> None:
    other = api.make_project()
    assert (await api.tracked())["contact"] != (await api.tracked(key=other.public.text))["contact"]


async def test_distinct_addresses_give_distinct_contact_ids(api: Api) -> None:
    ids = {(await api.tracked({**EVENT, "email": f"ada{number}@example.com"}))["contact"] for number in range(20)}
    assert len(ids) == 20


# --- ids of events and idempotency -------------------------------------------------------------------------------------


async def test_without_a_key_the_event_id_is_a_new_uuid_v7_of_the_time_of_receipt(api: Api) -> None:
    first = UUID((await api.tracked({**EVENT, "timestamp": "2020-01-01"}))["event"])
    second = UUID((await api.tracked())["event"])
    assert (first.version, second.version) == (7, 7)
    assert first != second
    assert first.int >> 80 == second.int >> 80 == NOW_MS


async def test_a_retry_with_the_same_key_answers_the_same_event_and_contact(api: Api) -> None:
    first = await api.tracked(headers=keyed("order-5"))
    api.clock.ms += 86_400_000
    again = await api.tracked(
        {**EVENT, "event": "other", "data": [1], "email": "ADA@example.com"}, headers=keyed("order-5")
    )

    assert (again["event"], again["contact"]) == (first["event"], first["contact"])
    assert UUID(first["event"]).version == 5
    stored = api.stored()
    assert [event.id for event in stored] == [first["event"]] * 2  # the writer refuses the second: see tests/e2e
    assert [event.derived for event in stored] == [True, True]


async def test_the_record_says_whether_it_holds_derived_ids(api: Api) -> None:
    await api.tracked()
    await api.tracked(headers=keyed("k"))
    assert [unpack(record.value or b"").derived for record in stored_records(api.log)] == [False, True]


async def test_a_retry_reaches_the_same_partition_whatever_instance_it_is_sent_to(api: Api, tmp_path: Path) -> None:
    first = await api.tracked(headers=keyed("k"))
    (tmp_path / "other").mkdir()
    async with serving(tmp_path / "other") as other:
        other.know(api.project.project, api.project.secret.record)
        again = await other.tracked(headers=keyed("k"), key=api.project.secret.text)
    assert again["event"] == first["event"]


async def test_the_id_depends_on_key_contact_and_project(api: Api) -> None:
    other = api.make_project()
    ids = [
        (await api.tracked(headers=keyed("k")))["event"],
        (await api.tracked(headers=keyed("K")))["event"],
        (await api.tracked(headers=keyed("k:0")))["event"],
        (await api.tracked({**EVENT, "email": "bob@example.com"}, headers=keyed("k")))["event"],
        (await api.tracked(headers=keyed("k"), key=other.public.text))["event"],
        (await api.tracked())["event"],
    ]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("key", ["k", "0", "with blanks", '"quoted"', "a,b;c=d", "~" * 255, "!" * 255])
async def test_a_key_is_1_to_255_printable_ascii_characters(api: Api, key: str) -> None:
    first, second = await api.tracked(headers=keyed(key)), await api.tracked(headers=keyed(key))
    assert first["event"] == second["event"]


@pytest.mark.parametrize("key", [b"", b"x" * 256, "schlüssel".encode(), b"\xff", b"a\x00b", b"a\tb", b"a\x7f", b"a\nb"])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/track/batch"])
async def test_any_other_key_is_400(api: Api, path: str, key: bytes) -> None:
    body: Any = EVENT if path == "/v1/track" else [EVENT]
    error = error_of(await api.post(path, body, headers=keyed(key)), 400, "BAD_REQUEST")
    assert "Idempotency-Key" in error["message"]
    assert api.stored() == []


@pytest.mark.parametrize("header", ["Idempotency-Key", "Content-Encoding", "Content-Type"])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/track/batch"])
async def test_a_header_that_is_repeated_is_400(api: Api, path: str, header: str) -> None:
    value = {"Content-Encoding": "identity", "Content-Type": "application/json"}.get(header, "k")
    twice = [("Authorization", f"Bearer {api.project.public.text}"), (header, value), (header, value)]
    error = error_of(await api.client.post(path, content=b"{}", headers=twice), 400, "BAD_REQUEST")
    assert error["message"] == f"The header {header.lower()} is repeated"


@pytest.mark.parametrize("half", ["\\ud83d", "\\udc00", "\\uD83D \\uDE00", "\\ude00\\ud83d", "\\ud83d\\u0041"])
@pytest.mark.parametrize("member", ["data", "other", "event"])
async def test_half_of_a_surrogate_pair_is_400_and_told(api: Api, half: str, member: str) -> None:
    body = json.dumps({**EVENT, member: "cut"}).replace("cut", f"hi {half}").encode()
    error = error_of(await api.post("/v1/track", body), 400, "BAD_REQUEST")
    assert "half of a surrogate pair" in error["message"]


@pytest.mark.parametrize("whole", ["\\ud83d\\ude00", "\\\\ud83d"])
async def test_a_whole_surrogate_pair_or_what_looks_like_half_of_one_is_taken(api: Api, whole: str) -> None:
    await api.tracked(json.dumps({**EVENT, "data": "cut"}).replace("cut", whole).encode())
    assert api.stored()[-1].data == f'"{whole}"'


# --- timestamp ---------------------------------------------------------------------------------------------------------


async def test_without_a_timestamp_the_event_happened_at_the_time_of_receipt(api: Api) -> None:
    assert (await api.tracked())["timestamp"] == NOW
    assert (api.last().occurred_at, api.last().received_at) == (NOW, "")


async def test_a_timestamp_sets_when_the_event_happened_and_the_receipt_is_kept(api: Api) -> None:
    assert (await api.tracked({**EVENT, "timestamp": "2020-02-29T12:00:00Z"}))[
        "timestamp"
    ] == "2020-02-29T12:00:00.000Z"
    assert (api.last().occurred_at, api.last().received_at) == ("2020-02-29T12:00:00.000Z", NOW)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678Z"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02T03:04Z", "2026-01-02T03:04:00.000Z"),
        ("2026-01-02T03:04:05.6Z", "2026-01-02T03:04:05.600Z"),
        ("2026-01-02T03:04:05.67Z", "2026-01-02T03:04:05.670Z"),
        ("2026-01-02T03:04:05,678Z", "2026-01-02T03:04:05.678Z"),
        ("2026-01-02T03:04:05.678999Z", "2026-01-02T03:04:05.678Z"),
        ("2026-01-02T03:04:05.678999999Z", "2026-01-02T03:04:05.678Z"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05.000Z"),
        ("2026-01-02T03:04:05-0330", "2026-01-02T06:34:05.000Z"),
        ("2026-01-02T03:04:05.1239999999Z", "2026-01-02T03:04:05.123Z"),
        ("2026-01-02T03:04:05," + "9" * 1000 + "+00:00", "2026-01-02T03:04:05.999Z"),
        ("2026-01-02T03:04:05+14", "2026-01-01T13:04:05.000Z"),
        ("2026-01-02T03:04:05-00:00", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02t03:04:05z", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02 03:04:05Z", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02", "2026-01-02T00:00:00.000Z"),
        ("2024-02-29", "2024-02-29T00:00:00.000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        ("1969-12-31T23:00:00-01:00", "1970-01-01T00:00:00.000Z"),
    ],
)
async def test_the_forms_of_iso_8601_that_are_taken(api: Api, sent: str, kept: str) -> None:
    assert (await api.tracked({**EVENT, "timestamp": sent}))["timestamp"] == kept
    assert api.last().occurred_at == kept


@pytest.mark.parametrize(
    "sent",
    ["", " ", "now", "yesterday", "2026", "2026-01", "2026-13-01", "2026-02-30", "2025-02-29", "2026-01-02T24:00:01Z",
     "2026-01-02T25:00:00Z", "2026-01-02T03:60:00Z", "2026-01-02T03:04:60Z", "2026-01-02T", "2026-01-02T03", "2026-01-02Z",
     "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05+24:00", "2026-01-02T03:04:05 Z",
     " 2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z ", "2026-01-02T03:04:05Z\n", "01/02/2026", "20260102T030405Z",
     "2026-W01-1", "2026-002", "1763881200", "1763881200000", "0000-01-01", "+12026-01-02T03:04:05Z", "-2026-01-02",
     "２０２６-01-02", "2026-01-02T03:04:05[Europe/Berlin]", "Thu, 01 Jan 2026 00:00:00 GMT"],
)  # fmt: skip
async def test_anything_else_is_422_on_timestamp(api: Api, sent: str) -> None:
    assert problems_of(await api.track({**EVENT, "timestamp": sent})) == [("timestamp", "invalid_string")]


@pytest.mark.parametrize("sent", [None, 5, 1763881200000, True, [], {}])
async def test_a_timestamp_that_is_no_string_is_422(api: Api, sent: Any) -> None:
    assert problems_of(await api.track({**EVENT, "timestamp": sent})) == [("timestamp", "invalid_type")]


@pytest.mark.parametrize(
    ("ahead_ms", "accepted"),
    [(4 * MINUTE + 59_000, True), (5 * MINUTE, True), (5 * MINUTE + 1, False), (5 * MINUTE + 1_000, False)],
)
async def test_more_than_5_minutes_ahead_is_422(api: Api, ahead_ms: int, accepted: bool) -> None:
    sent = to_wire(NOW_MS + ahead_ms)
    response = await api.track({**EVENT, "timestamp": sent})
    if accepted:
        assert response.json()["timestamp"] == sent
    else:
        assert problems_of(response) == [("timestamp", "too_big")]


@pytest.mark.parametrize(
    "sent", ["1969-12-31T23:59:59.999Z", "1900-01-01", "0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00+00:01"]
)
async def test_before_1970_is_422(api: Api, sent: str) -> None:
    assert problems_of(await api.track({**EVENT, "timestamp": sent})) == [("timestamp", "too_small")]


@pytest.mark.parametrize("sent", ["9999-12-31T23:59:59-14:00", "9999-12-31"])
async def test_the_end_of_the_calendar_is_too_far_ahead(api: Api, sent: str) -> None:
    assert problems_of(await api.track({**EVENT, "timestamp": sent})) == [("timestamp", "too_big")]


async def test_times_on_the_wire_are_utc_with_milliseconds_and_z(api: Api) -> None:
    for ms in (0, 1, 999, NOW_MS):
        api.clock.ms = ms
        text = (await api.tracked())["timestamp"]
        assert (to_ms(parse_iso(text)), len(text), text[-1]) == (ms, 24, "Z")


# --- data and subscribed -----------------------------------------------------------------------------------------------


async def test_absent_data_and_null_are_told_apart(api: Api) -> None:
    await api.tracked()
    await api.tracked({**EVENT, "data": None})
    assert [event.data for event in api.stored()] == ["", "null"]


@pytest.mark.parametrize(("sent", "kept"), [(True, True), (False, False)])
async def test_subscribed_is_kept_with_the_event(api: Api, sent: bool, kept: bool) -> None:
    await api.tracked({**EVENT, "subscribed": sent})
    assert api.last().subscribed is kept


async def test_absent_subscribed_says_nothing(api: Api) -> None:
    await api.tracked()
    assert api.last().subscribed is None


@pytest.mark.parametrize("sent", [None, "yes", "true", "", 0, 1, [], {}])
async def test_subscribed_that_is_no_boolean_is_422(api: Api, sent: Any) -> None:
    assert problems_of(await api.track({**EVENT, "subscribed": sent})) == [("subscribed", "invalid_type")]


async def test_projects_are_known_from_the_control_topic_alone(api: Api) -> None:
    ring = read_all(api.log)
    assert [encode_subject(project) for project in ring.projects()] == [encode_subject(api.project.project)]
    assert not [record for record in stored_records(api.log) if record.topic is not Topic.EVENTS]

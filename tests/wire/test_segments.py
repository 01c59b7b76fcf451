"""The routes of segments: each sentence of the contract about them has a test named after it.

The control topic is followed in the same moment, and the tables hold what a test puts there, as the writer would.
"""

import asyncio
import gzip
import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from penstock.auth import KeyRing
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.progress import Progress, write_progress
from penstock.conditions.compiling import MAX_LAYERS
from penstock.errors import LogUnavailable, TablesUnavailable
from penstock.settings import Query, Settings
from penstock.telemetry import Metrics
from query_api import computing, matching_queries, segment_answers
from query_api.list_cursor import ListPlace
from query_api.list_cursor import to_token as list_token
from schemas.position import to_token as position_token
from schemas.registry import Segment as Kept
from schemas.registry import Workflow as KeptWorkflow
from schemas.registry import segment_key
from schemas.tables import SEGMENT_PROGRESS
from schemas.times import to_wire
from schemas.wire_reads import Pending
from schemas.wire_registry import MembersPage, Segment, SegmentsPage
from tests.support.limits import at_most
from tests.support.registered import (
    AT,
    NOBODY,
    RacedControl,
    Steps,
    changed,
    condition,
    made,
    member_of,
    plan,
    problems,
    send,
    served,
    track,
    triggered,
)
from tests.support.tables import open_test_tables
from tests.wire.test_reads import Account, Api, NoMarkers, error_of

BOTH = pytest.mark.parametrize("prefix", ["", "/v1"])
PRO = condition(plan("pro"))
VIP = {"name": "VIP users", "condition": PRO}
ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"


class Partitions(NoMarkers):
    """A log of so many partitions, into which these routes put nothing."""

    partitions = 2


@pytest.fixture(scope="module")
def tables() -> Iterator[ClientTables]:
    opened = open_test_tables()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def keys() -> KeyRing:
    ring = KeyRing()
    ring.is_complete = True
    return ring


@pytest.fixture(scope="module")
def shared_control() -> RacedControl:
    return RacedControl()


@pytest.fixture(scope="module")
def api(tables: ClientTables, keys: KeyRing, shared_control: RacedControl) -> Iterator[Api]:
    with served(tables, keys, shared_control, Partitions()) as opened:
        yield opened


@pytest.fixture
def control(shared_control: RacedControl) -> Iterator[RacedControl]:
    yield shared_control
    shared_control.failure = None
    shared_control.before.clear()


@pytest.fixture
def account(keys: KeyRing, tables: ClientTables) -> Account:
    return Account(keys, tables)


@pytest.fixture
def other(keys: KeyRing, tables: ClientTables) -> Account:
    return Account(keys, tables)


@pytest.fixture(scope="module")
def steps(tables: ClientTables) -> Steps:
    return Steps(tables)


def make(api: Api, account: Account, **members: Any) -> Any:
    return made(api, "/segments", account, {**VIP, **members})


def of(segment: Any) -> str:
    return f"/segments/{segment['id']}"


def kept(account: Account, slug: str = "vip-users", **more: Any) -> Kept:
    """A segment that another process made."""
    now = to_wire(AT)
    members: dict[str, Any] = {"name": "Elsewhere", "condition": "", "tracked": False, "revision": "1"} | more
    return Kept(id=str(uuid4()), project_id=account.id, slug=slug, created_at=now, updated_at=now, **members)


def workflow(account: Account, **more: Any) -> KeptWorkflow:
    now = to_wire(AT)
    return KeptWorkflow(str(uuid4()), account.id, "CRM", True, "signup", "https://example.com", (), now, now, **more)


def slugs(page: Any) -> list[str]:
    return [segment["slug"] for segment in page["segments"]]


def emails(page: Any) -> list[str]:
    return sorted(member["email"] for member in page["members"])


# --- making one --------------------------------------------------------------------------------------------------------


@BOTH
def test_a_segment_has_exactly_the_members_of_the_contract(api: Api, account: Account, prefix: str) -> None:
    before = to_wire(time.time_ns() // 1_000_000)
    track(account, ADA, data='{"plan":"pro"}')
    track(account, BOB, data='{"plan":"free"}')
    segment = made(api, f"{prefix}/segments", account, {**VIP, "other": 5})
    assert list(segment) == [
        "id", "name", "slug", "condition", "trackMembership", "memberCount", "createdAt", "updatedAt",
    ]  # fmt: skip
    assert (segment["name"], segment["slug"], segment["condition"]) == ("VIP users", "vip-users", PRO)
    assert (segment["trackMembership"], segment["memberCount"]) == (False, 1)
    assert before <= segment["createdAt"] == segment["updatedAt"] <= to_wire(time.time_ns() // 1_000_000)
    assert UUID(segment["id"]).version == 4
    Segment.model_validate(segment, extra="forbid")
    assert api.get(f"{prefix}{of(segment)}", account) == segment


def test_the_condition_is_answered_as_it_was_sent(api: Api, account: Account) -> None:
    text = (
        '{ "groups":[{"filters":[{"value":1.50,"operator":"equals","field":"data.n\\u00e9"}],"x":1e400}],"logic":"OR" }'
    )
    body = f'{{"name":"n","condition":{text}}}'.encode()
    response = send(api, "POST", "/segments", account, body)
    assert response.status_code == 201, response.text
    assert f'"condition":{text},' in response.text
    assert f'"condition":{text},' in api.send("GET", of(response.json()), account.secret).text


def test_null_means_that_the_membership_is_computed_elsewhere(
    api: Api, account: Account, control: RacedControl
) -> None:
    segment = make(api, account, condition=None)
    assert segment["condition"] is None
    assert control.segment(account, segment["id"]).condition == ""
    Segment.model_validate(segment, extra="forbid")


def test_what_is_kept_is_what_was_asked_for(api: Api, account: Account, control: RacedControl) -> None:
    segment = make(api, account, trackMembership=True)
    found = control.segment(account, segment["id"])
    assert (found.tracked, found.slug, found.project_id) == (True, "vip-users", account.id)
    assert UUID(found.revision).version == 4
    assert json.loads(found.condition) == PRO
    assert control.published[-1][0] == segment_key(segment["id"])


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("VIP Users!", "vip-users"),
        ("snake_case-and-9", "snake_case-and-9"),
        ("  A  b ", "--a--b-"),
        ("Größe", "gre"),
        ("a\tb", "a-b"),
        ("日本", "segment"),
        ("!?", "segment"),
        ("-", "-"),
        ("x" * 255, "x" * 100),
    ],
)
def test_the_slug_is_made_from_the_name(api: Api, account: Account, name: str, slug: str) -> None:
    segment = make(api, account, name=name)
    assert (segment["name"], segment["slug"]) == (name, slug)


def test_a_slug_that_is_taken_gets_a_number(api: Api, account: Account, other: Account) -> None:
    assert [make(api, account)["slug"] for _ in range(3)] == ["vip-users", "vip-users-2", "vip-users-3"]
    assert make(api, other)["slug"] == "vip-users"
    assert [make(api, account, name="y" * 120)["slug"] for _ in range(2)] == ["y" * 100, "y" * 98 + "-2"]
    assert [make(api, account, name="本")["slug"] for _ in range(2)] == ["segment", "segment-2"]


def test_a_slug_may_be_given(api: Api, account: Account) -> None:
    for slug in ("a", "9_-", "z" * 100):
        assert make(api, account, slug=slug)["slug"] == slug


def test_a_given_slug_must_be_free(api: Api, account: Account, other: Account, control: RacedControl) -> None:
    first = make(api, account, slug="mine")
    before = len(control.published)
    error = error_of(send(api, "POST", "/segments", account, {**VIP, "slug": "mine"}), 409, "CONFLICT")
    assert "VIP users" in error["message"]
    assert error["details"] == {"segment": {"id": first["id"], "name": "VIP users"}}
    assert len(control.published) == before
    assert make(api, other, slug="mine")["slug"] == "mine"


def test_the_slug_of_a_segment_that_is_gone_is_free(api: Api, account: Account) -> None:
    segment = make(api, account, slug="mine")
    assert send(api, "DELETE", of(segment), account).status_code == 204
    assert make(api, account, slug="mine")["id"] != segment["id"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"name": ""}, ("name", "too_small")),
        ({"name": " \t"}, ("name", "invalid_string")),
        ({"name": "x" * 256}, ("name", "too_big")),
        ({"name": 5}, ("name", "invalid_type")),
        ({"name": None}, ("name", "invalid_type")),
        ({"slug": ""}, ("slug", "invalid_string")),
        ({"slug": "A"}, ("slug", "invalid_string")),
        ({"slug": "a b"}, ("slug", "invalid_string")),
        ({"slug": "a\n"}, ("slug", "invalid_string")),
        ({"slug": "é"}, ("slug", "invalid_string")),
        ({"slug": "x" * 101}, ("slug", "invalid_string")),
        ({"slug": None}, ("slug", "invalid_type")),
        ({"trackMembership": None}, ("trackMembership", "invalid_type")),
        ({"trackMembership": "true"}, ("trackMembership", "invalid_type")),
        ({"condition": []}, ("condition", "invalid_type")),
        ({"condition": "x"}, ("condition", "invalid_type")),
        ({"condition": {"logic": "AND", "groups": []}}, ("condition.groups", "too_small")),
        ({"condition": condition(plan("a"), logic="NOT")}, ("condition.logic", "invalid_enum_value")),
        (
            {"condition": condition(plan("a"), {"field": "email", "operator": "exists"})},
            ("condition.groups[0].filters[1].operator", "invalid_enum_value"),
        ),
        (
            {"condition": condition(plan("a"), conditions=condition({"field": "plan", "operator": "equals"}))},
            ("condition.groups[0].conditions.groups[0].filters[0].field", "invalid_enum_value"),
        ),
        (
            {"condition": condition({"field": "trigger.data.x", "operator": "exists"})},
            ("condition.groups[0].filters[0].field", "invalid_enum_value"),
        ),
    ],
)
def test_what_is_wrong_with_a_new_segment_is_named(
    api: Api, account: Account, control: RacedControl, members: Any, expected: tuple[str, str]
) -> None:
    before = len(control.published)
    assert problems(send(api, "POST", "/segments", account, {**VIP, **members})) == [expected]
    assert len(control.published) == before


def test_name_and_condition_are_required(api: Api, account: Account) -> None:
    required = [("name", "invalid_type"), ("condition", "invalid_type")]
    assert problems(send(api, "POST", "/segments", account, {})) == required
    assert problems(send(api, "POST", "/segments", account, [])) == [("body", "invalid_type")]
    assert problems(send(api, "POST", "/segments", account, b'"x"')) == [("body", "invalid_type")]


def test_all_that_is_wrong_is_told_together(api: Api, account: Account) -> None:
    filters = [member_of(NOBODY), {"field": "email", "operator": "within"}, member_of("x")]
    body = {"name": "", "slug": "A", "condition": condition(*filters, logic="XOR"), "trackMembership": 1}
    assert problems(send(api, "POST", "/segments", account, body)) == [
        ("name", "too_small"),
        ("slug", "invalid_string"),
        ("condition.logic", "invalid_enum_value"),
        ("condition.groups[0].filters[1].operator", "invalid_enum_value"),
        ("condition.groups[0].filters[2].field", "invalid_string"),
        ("trackMembership", "invalid_type"),
        ("condition.groups[0].filters[0].field", "custom"),
    ]


def test_a_body_follows_the_common_rules(api: Api, account: Account) -> None:
    segment = make(api, account)
    for method, path in (("POST", "/segments"), ("PATCH", of(segment))):
        for body in (b"", b"{", b'{"name":"\\ud800"}', b'{"a":' + b"[" * 30_000, b'{"name":"\xff"}'):
            error_of(send(api, method, path, account, body), 400, "BAD_REQUEST")
        for headers in ({"Content-Type": "text/plain"}, {"Content-Encoding": "br"}):
            error_of(send(api, method, path, account, VIP, headers=headers), 415, "UNSUPPORTED_MEDIA_TYPE")
        fits = json.dumps({**VIP, "more": ""}).encode()
        fits = fits[:-2] + b"x" * (64 * 1024 - len(fits)) + fits[-2:]
        packed = {"Content-Encoding": "gzip"}
        assert send(api, method, path, account, gzip.compress(fits), headers=packed).status_code in (200, 201)
        error_of(send(api, method, path, account, fits + b" "), 413, "PAYLOAD_TOO_LARGE")
        error_of(send(api, method, path, account, gzip.compress(fits + b" "), headers=packed), 413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("nested", [b'{"logic":"AND","groups":[{"conditions":', b"[", b'{"a":'])
def test_a_condition_that_is_nested_without_end_is_refused(api: Api, account: Account, nested: bytes) -> None:
    closing = {b"[": b"]", b'{"a":': b"}"}.get(nested, b"}]}")
    for depth in (12, 100):
        text = nested * depth + b"1" + closing * depth
        response = send(api, "POST", "/segments", account, b'{"name":"n","condition":%b}' % text)
        assert {field.partition(".")[0] for field, _ in problems(response)} == {"condition"}
    text = nested * 1500 + b"1" + closing * 1500
    error_of(send(api, "POST", "/segments", account, b'{"name":"n","condition":%b}' % text), 400, "BAD_REQUEST")


def test_a_condition_that_cannot_be_answered_is_refused(
    api: Api, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching_queries, "MAX_STATEMENT", 2500)
    long = condition(*(plan(f"p{number}") for number in range(20)))
    assert problems(send(api, "POST", "/segments", account, {**VIP, "condition": long})) == [("condition", "too_big")]
    assert make(api, account)


def test_it_is_made_only_once_its_members_are_counted(
    tables: ClientTables, keys: KeyRing, account: Account, control: RacedControl
) -> None:
    with served(Broken(), keys, control, Partitions()) as api:  # type: ignore[arg-type]  # only select is called
        before = len(control.published)
        error_of(send(api, "POST", "/segments", account, VIP), 503, "SERVICE_UNAVAILABLE")
        assert len(control.published) == before


# --- references --------------------------------------------------------------------------------------------------------


def test_a_reference_to_no_segment_of_the_project_is_named(api: Api, account: Account, other: Account) -> None:
    foreign = make(api, other)
    own = make(api, account)
    asked = condition(
        plan("a"), member_of(foreign["id"]), conditions=condition(member_of(own["id"]), member_of(NOBODY))
    )
    response = send(api, "POST", "/segments", account, {**VIP, "condition": asked})
    assert problems(response) == [
        ("condition.groups[0].filters[1].field", "custom"),
        ("condition.groups[0].conditions.groups[0].filters[1].field", "custom"),
    ]
    messages = [wrong["message"] for wrong in response.json()["error"]["errors"]]
    assert messages == [f"There is no segment {unknown}" for unknown in (foreign["id"], NOBODY)]


def test_a_segment_may_refer_to_others(api: Api, account: Account) -> None:
    track(account, ADA, data='{"plan":"pro"}')
    track(account, ADA, BOB, name="purchase")
    first = make(api, account)
    upper = {"field": f"segment.{first['id'].upper()}", "operator": "notMemberOfSegment"}
    second = make(api, account, condition=condition(upper, triggered("purchase")))
    third = make(api, account, condition=condition(member_of(second["id"])))
    assert [one["memberCount"] for one in (first, second, third)] == [1, 1, 1]


def test_a_reference_that_leads_back_is_named(api: Api, account: Account) -> None:
    first = make(api, account)
    second = make(api, account, condition=condition(plan("a"), member_of(first["id"])))
    third = make(api, account, condition=condition(plan("a"), conditions=condition(member_of(second["id"]))))
    for leads_back in (first, second, third):
        asked = condition(plan("a"), member_of(leads_back["id"]))
        response = send(api, "PATCH", of(first), account, {"condition": asked})
        assert problems(response) == [("condition.groups[0].filters[1].field", "custom")]
    assert changed(api, of(second), account, {"condition": PRO})
    assert changed(api, of(first), account, {"condition": condition(member_of(second["id"]))})
    response = send(api, "PATCH", of(second), account, {"condition": condition(member_of(third["id"]))})
    assert problems(response) == [("condition.groups[0].filters[0].field", "custom")]


def test_segments_lead_on_over_so_many_steps_and_no_further(api: Api, account: Account) -> None:
    chain = [make(api, account)]
    while len(chain) < MAX_LAYERS:
        chain.append(make(api, account, condition=condition(member_of(chain[-1]["id"]))))
    further = {**VIP, "condition": condition(member_of(chain[-1]["id"]))}
    assert problems(send(api, "POST", "/segments", account, further)) == [("condition", "too_big")]
    beneath = make(api, account)
    response = send(api, "PATCH", of(chain[0]), account, {"condition": condition(member_of(beneath["id"]))})
    assert problems(response) == [("condition", "too_big")]


def test_references_are_checked_in_a_change_too(api: Api, account: Account) -> None:
    segment = make(api, account)
    response = send(api, "PATCH", of(segment), account, {"condition": condition(member_of(NOBODY))})
    assert problems(response) == [("condition.groups[0].filters[0].field", "custom")]


# --- two at once -------------------------------------------------------------------------------------------------------


def test_a_derived_slug_that_another_process_took_a_moment_before_is_tried_with_the_next_number(
    api: Api, account: Account, control: RacedControl
) -> None:
    theirs = kept(account)
    control.before = [theirs]
    segment = make(api, account)
    assert segment["slug"] == "vip-users-2"
    assert {one.slug: one.id for one in control.registry.segments(account.id)} == {
        "vip-users": theirs.id,
        "vip-users-2": segment["id"],
    }
    ours = segment_key(segment["id"])
    assert [(key, value is None) for key, value in control.published[-4:]] == [
        (segment_key(theirs.id), False),
        (ours, False),
        (ours, True),
        (ours, False),
    ]


def test_a_given_slug_that_another_process_took_a_moment_before_is_taken(
    api: Api, account: Account, control: RacedControl
) -> None:
    theirs = kept(account, "mine")
    control.before = [theirs]
    error = error_of(send(api, "POST", "/segments", account, {**VIP, "slug": "mine"}), 409, "CONFLICT")
    assert error["details"] == {"segment": {"id": theirs.id, "name": "Elsewhere"}}
    assert [one.id for one in control.registry.segments(account.id)] == [theirs.id]
    assert control.published[-1][1] is None


# --- changing one ------------------------------------------------------------------------------------------------------


@BOTH
def test_a_change_is_merged_and_the_slug_stays(api: Api, account: Account, prefix: str) -> None:
    track(account, ADA, data='{"plan":"free"}')
    segment = make(api, account)
    other_plan = condition(plan("free"))
    body = changed(api, prefix + of(segment), account, {"name": "Others", "condition": other_plan})
    assert body == {
        **segment,
        "name": "Others",
        "condition": other_plan,
        "memberCount": 1,
        "updatedAt": body["updatedAt"],
    }
    assert body["updatedAt"] > segment["updatedAt"]
    assert api.get(of(segment), account) == body


@pytest.mark.parametrize(
    "change", [{"name": "Others"}, {"condition": condition(plan("a"))}, {"condition": None}, {"trackMembership": True}]
)
def test_one_of_the_three_is_enough_and_leaves_the_others(api: Api, account: Account, change: Any) -> None:
    segment = make(api, account)
    body = changed(api, of(segment), account, change)
    assert body == {**segment, **change, "memberCount": 0, "updatedAt": body["updatedAt"]}


def test_the_revision_changes_with_the_condition_and_the_tracking_alone(
    api: Api, account: Account, control: RacedControl
) -> None:
    segment = make(api, account)
    expected = [
        ({"name": "Others"}, False),
        ({"condition": PRO, "trackMembership": False}, False),
        ({"condition": condition(plan("a"))}, True),
        ({"trackMembership": True}, True),
        ({"condition": None}, True),
        ({"condition": None, "name": "Again"}, False),
    ]
    for change, is_another in expected:
        before = control.segment(account, segment["id"])
        changed(api, of(segment), account, json.dumps(change).encode())
        after = control.segment(account, segment["id"])
        assert (after.revision != before.revision) is is_another, change
        assert after.updated_at > before.updated_at
        assert UUID(after.revision).version == 4
        assert after.first_offset == before.first_offset >= 0
        assert after.created_at == before.created_at


def test_where_the_first_record_stands_is_in_every_later_one(api: Api, account: Account, control: RacedControl) -> None:
    segment = make(api, account, trackMembership=True)
    stands_at = len(control.published) - 1
    changed(api, of(segment), account, {"name": "Others"})
    value = control.published[-1][1]
    assert value
    assert msgspec.json.decode(value, type=Kept).first_offset == stands_at


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [("body", "custom")]),
        ({"slug": "vip-users"}, [("body", "custom")]),
        ({"unknown": 1}, [("body", "custom")]),
        ([], [("body", "invalid_type")]),
        ({"name": ""}, [("name", "too_small")]),
        ({"name": "  "}, [("name", "invalid_string")]),
        ({"trackMembership": None}, [("trackMembership", "invalid_type")]),
        ({"name": "x", "slug": "another"}, [("slug", "custom")]),
        ({"name": "x", "slug": "A"}, [("slug", "invalid_string")]),
        ({"condition": 5, "name": 5}, [("name", "invalid_type"), ("condition", "invalid_type")]),
    ],
)
def test_what_is_wrong_with_a_change_is_named(
    api: Api, account: Account, control: RacedControl, change: Any, expected: list[tuple[str, str]]
) -> None:
    segment = make(api, account)
    before = len(control.published)
    assert problems(send(api, "PATCH", of(segment), account, change)) == expected
    wrong_id = [("id", "invalid_string"), *(one for one in expected if one != ("slug", "custom"))]
    assert problems(send(api, "PATCH", "/segments/x", account, change)) == wrong_id
    assert len(control.published) == before


def test_a_slug_that_is_the_same_changes_nothing(api: Api, account: Account) -> None:
    segment = make(api, account)
    assert changed(api, of(segment), account, {"name": "Others", "slug": "vip-users"})["slug"] == "vip-users"
    response = send(api, "PATCH", of(segment), account, {"name": "Others", "slug": "others"})
    assert "cannot be changed" in response.text


# --- removing one ------------------------------------------------------------------------------------------------------


@BOTH
def test_a_segment_that_is_removed_is_gone(api: Api, account: Account, control: RacedControl, prefix: str) -> None:
    segment = make(api, account)
    response = api.send("DELETE", prefix + of(segment), account.secret)
    assert (response.status_code, response.content) == (204, b"")
    assert control.published[-1] == (segment_key(segment["id"]), None)
    assert api.get("/segments", account) == {"segments": [], "cursor": None}
    for unknown in (segment["id"], NOBODY, make(api, Account(account.keys, account.tables))["id"]):
        for method, path in (
            ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/members"), ("POST", "/compute"),
        ):  # fmt: skip
            body = {"name": "x"} if method == "PATCH" else None
            response = send(api, method, f"/segments/{unknown}{path}", account, body)
            error_of(response, 404, "RESOURCE_NOT_FOUND")
            assert ("x-data-age-ms" in response.headers) is (method == "GET")


def test_a_segment_that_others_refer_to_is_kept(api: Api, account: Account, control: RacedControl) -> None:
    segment = make(api, account)
    asked = condition(plan("a"), conditions=condition(member_of(segment["id"])))
    user = make(api, account, name="User", condition=asked)
    flow = workflow(account, condition=json.dumps(condition(member_of(segment["id"]))))
    control.put(flow, workflow(account))
    error = error_of(send(api, "DELETE", of(segment), account), 409, "CONFLICT")
    assert error["details"] == {
        "usedInSegments": [{"id": user["id"], "name": "User"}],
        "usedInWorkflows": [{"id": flow.id, "name": "CRM"}],
    }
    assert send(api, "DELETE", of(user), account).status_code == 204
    error = error_of(send(api, "DELETE", of(segment), account), 409, "CONFLICT")
    assert error["details"]["usedInSegments"] == []
    control.put(replace(flow, condition=""))
    assert send(api, "DELETE", of(segment), account).status_code == 204


# --- the list ----------------------------------------------------------------------------------------------------------


@BOTH
def test_segments_are_listed_newest_first(
    api: Api, account: Account, other: Account, control: RacedControl, prefix: str
) -> None:
    control.put(kept(account, "old"), kept(other, "foreign"))
    names = [make(api, account, name=name)["slug"] for name in ("first", "second")]
    page = api.get(f"{prefix}/segments", account)
    SegmentsPage.model_validate(page, extra="forbid")
    assert (slugs(page)[-1], set(slugs(page)[:2]), page["cursor"]) == ("old", set(names), None)
    assert page["segments"] == sorted(page["segments"], key=lambda one: (one["createdAt"], one["id"]), reverse=True)
    assert page["segments"][-1] == api.get(of(page["segments"][-1]), account)


def test_following_the_cursor_visits_every_segment_exactly_once(
    api: Api, account: Account, control: RacedControl
) -> None:
    now = [kept(account, f"s{number:02}") for number in range(13)]
    control.put(*now, *(replace(kept(account, f"t{number}"), created_at=to_wire(AT + number)) for number in range(5)))
    everything = slugs(api.get("/segments", account))
    assert len(set(everything)) == 18
    for limit in (1, 17, 18, 19, 5):
        found: list[str] = []
        cursor, pages = "", 0
        while cursor is not None:
            page = api.get("/segments", account, limit=limit, cursor=cursor)
            found, cursor, pages = found + slugs(page), page["cursor"], pages + 1
            if limit == 5:
                make(api, account, name="newer")
        assert (found, pages) == (everything, -(-18 // limit))


def test_the_default_limit_is_100(api: Api, account: Account, control: RacedControl) -> None:
    control.put(*(kept(account, f"s{number}") for number in range(101)))
    page = api.get("/segments", account)
    assert len(page["segments"]) == 100
    assert len(api.get("/segments", account, cursor=page["cursor"])["segments"]) == 1
    assert len(api.get("/segments", account, limit=1000)["segments"]) == 101


@pytest.mark.parametrize("path", ["/segments", f"/segments/{NOBODY}/members"])
@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"limit": "0"}, ("limit", "too_small")),
        ({"limit": "1001"}, ("limit", "too_big")),
        ({"limit": "abc"}, ("limit", "invalid_type")),
        ({"cursor": "x"}, ("cursor", "invalid_string")),
        ({"cursor": "MS41LjA"}, ("cursor", "invalid_string")),
        ({"cursor": list_token("workflows", ListPlace(to_wire(AT), NOBODY))}, ("cursor", "invalid_string")),
    ],
)
def test_bad_parameters_are_named(
    api: Api, account: Account, path: str, params: dict[str, str], problem: tuple[str, str]
) -> None:
    assert api.problems(path, account, **params) == {problem}


def test_a_page_of_long_conditions_ends_early_and_no_segment_is_passed_over(
    api: Api, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    track(account, ADA, data='{"plan":"p3"}')
    for number in range(7):
        make(api, account, name=f"s{number}", condition=condition(plan(f"p{number}"), logic="OR"))
    everything = api.get("/segments", account)["segments"]
    assert [one["memberCount"] for one in everything].count(1) == 1
    for most, fewest_pages in ((100_000, 1), (1300, 2), (10, 7)):
        monkeypatch.setattr(segment_answers, "MAX_STATEMENT", most)
        found: list[Any] = []
        cursor, pages = "", 0
        while cursor is not None:
            page = api.get("/segments", account, cursor=cursor)
            found, cursor, pages = found + page["segments"], page["cursor"], pages + 1
        assert found == everything
        assert pages >= fewest_pages


# --- how many are in it ------------------------------------------------------------------------------------------------


def test_members_of_a_tracked_segment_are_those_whose_entry_was_emitted(
    api: Api, account: Account, steps: Steps
) -> None:
    track(account, ADA, BOB, EVE, data='{"plan":"pro"}')
    segment = make(api, account, trackMembership=True)
    assert segment["memberCount"] == 0
    steps.take(account, segment, ADA, entered=True)
    steps.take(account, segment, BOB, entered=True)
    assert api.get(of(segment), account)["memberCount"] == 2
    steps.take(account, segment, ADA, entered=False)
    assert api.get(of(segment), account)["memberCount"] == 1
    assert changed(api, of(segment), account, {"trackMembership": False})["memberCount"] == 3
    assert changed(api, of(segment), account, {"trackMembership": True})["memberCount"] == 1


def test_members_of_a_segment_without_a_condition_are_those_that_were_reported(
    api: Api, account: Account, steps: Steps
) -> None:
    segment = make(api, account, condition=None)
    steps.take(account, segment, ADA, entered=True)
    assert api.get(of(segment), account)["memberCount"] == 1


def test_members_of_an_untracked_segment_are_those_that_match_now(api: Api, account: Account, steps: Steps) -> None:
    segment = make(api, account)
    steps.take(account, segment, BOB, entered=True)
    assert api.get(of(segment), account)["memberCount"] == 0
    track(account, ADA, BOB, data='{"plan":"pro"}')
    assert api.get(of(segment), account)["memberCount"] == 2
    track(account, BOB, data='{"plan":"free"}', at=AT + 1)
    assert api.get(of(segment), account)["memberCount"] == 1


def test_a_page_counts_all_its_segments_in_two_statements(
    tables: ClientTables, keys: KeyRing, account: Account, steps: Steps
) -> None:
    metrics = Metrics()
    track(account, ADA, data='{"plan":"pro"}')
    with served(tables, keys, RacedControl(), Partitions(), metrics=metrics) as api:
        tracked = [make(api, account, name=f"t{number}", trackMembership=True) for number in range(3)]
        matched = [
            make(api, account, name=f"m{number}", condition=condition(plan(name)))
            for number, name in enumerate(("pro", "free", "pro"))
        ]
        steps.take(account, tracked[1], ADA, entered=True)
        before = asked(metrics)
        counts = {one["id"]: one["memberCount"] for one in api.get("/segments", account)["segments"]}
        assert [counts[one["id"]] for one in tracked] == [0, 1, 0]
        assert [counts[one["id"]] for one in matched] == [1, 0, 1]
        assert {name: count - before.get(name, 0) for name, count in asked(metrics).items()} == {
            "member_counts": 1,
            "match_counts": 1,
        }


def asked(metrics: Metrics) -> dict[str, int]:
    """How often each statement was asked."""
    samples = [one for family in metrics.query_seconds.collect() for one in family.samples]
    return {one.labels["query"]: int(one.value) for one in samples if one.name.endswith("_count")}


# --- who is in it ------------------------------------------------------------------------------------------------------


@BOTH
def test_members_of_a_tracked_segment_have_the_time_of_their_entry(
    api: Api, account: Account, steps: Steps, prefix: str
) -> None:
    segment = make(api, account, trackMembership=True)
    ada = steps.take(account, segment, ADA, entered=True)
    steps.take(account, segment, BOB, entered=True)
    steps.take(account, segment, BOB, entered=False)
    steps.take(account, segment, ADA, entered=False, at=AT + 1)
    steps.take(account, segment, ADA, entered=True, at=AT + 2)
    page = api.get(f"{prefix}{of(segment)}/members", account)
    assert page == {"members": [{"contactId": ada, "email": ADA, "enteredAt": to_wire(AT + 2)}], "cursor": None}
    MembersPage.model_validate(page, extra="forbid")


def test_the_newest_step_is_the_last_one_in_the_log_whenever_it_happened(
    api: Api, account: Account, steps: Steps
) -> None:
    segment = make(api, account, condition=None)
    steps.take(account, segment, ADA, entered=True, at=AT + 9)
    steps.take(account, segment, ADA, entered=False, at=AT)
    assert api.get(f"{of(segment)}/members", account)["members"] == []


def test_members_of_an_untracked_segment_are_contacts_and_entered_at_no_time(
    api: Api, account: Account, steps: Steps
) -> None:
    segment = make(api, account)
    steps.take(account, segment, EVE, entered=True)
    [ada, _] = track(account, ADA, BOB, data='{"plan":"pro"}')
    track(account, BOB, data='{"plan":"free"}', at=AT + 1)
    page = api.get(f"{of(segment)}/members", account)
    assert page == {"members": [{"contactId": ada, "email": ADA, "enteredAt": None}], "cursor": None}


def test_nobody_is_in_an_empty_segment(api: Api, account: Account) -> None:
    for segment in (make(api, account), make(api, account, trackMembership=True), make(api, account, condition=None)):
        assert api.get(f"{of(segment)}/members", account) == {"members": [], "cursor": None}


@pytest.mark.parametrize("tracked", [True, False])
def test_following_the_cursor_visits_every_member_exactly_once(
    api: Api, account: Account, steps: Steps, tracked: bool
) -> None:
    segment = make(api, account, trackMembership=tracked)
    everyone = sorted(f"u{number:02}@example.com" for number in range(23))
    track(account, *everyone, "free@example.com", data='{"plan":"pro"}')
    track(account, "free@example.com", data='{"plan":"free"}', at=AT + 1)
    for email in [*everyone, "free@example.com"]:
        steps.take(account, segment, email, entered=True)
    steps.take(account, segment, "free@example.com", entered=False)
    for limit in (1, 5, 22, 23, 24):
        found, pages = walk(api, account, segment, limit=limit)
        assert sorted(found) == everyone
        assert pages == -(-23 // limit)
        assert found == walk(api, account, segment, limit=1000)[0]


def walk(api: Api, account: Account, segment: Any, **params: Any) -> tuple[list[str], int]:
    """The addresses of all pages, and how many pages there were."""
    found: list[str] = []
    cursor, pages = "", 0
    while cursor is not None:
        page = api.get(f"{of(segment)}/members", account, cursor=cursor, **params)
        assert len(page["members"]) <= params["limit"]
        found += [one["email"] for one in page["members"]]
        cursor, pages = page["cursor"], pages + 1
    return found, pages


def test_tracked_or_not_members_come_in_the_same_order(api: Api, account: Account, steps: Steps) -> None:
    everyone = [f"u{number}@example.com" for number in range(9)]
    track(account, *everyone, data='{"plan":"pro"}')
    segments = [make(api, account), make(api, account, trackMembership=True)]
    for email in everyone:
        steps.take(account, segments[1], email, entered=True)
    untracked, tracked = (walk(api, account, segment, limit=4)[0] for segment in segments)
    assert untracked == tracked


def test_the_default_limit_of_members_is_100(api: Api, account: Account, steps: Steps) -> None:
    track(account, *(f"u{number}@example.com" for number in range(101)), data='{"plan":"pro"}')
    page = api.get(f"{of(make(api, account))}/members", account)
    assert len(page["members"]) == 100
    assert page["cursor"]


def test_where_many_have_left_a_page_ends_early_and_nobody_is_passed_over(
    api: Api, account: Account, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_answers, "_MOST_LOOKED_AT", 6)
    segment = make(api, account, condition=None)
    everyone = [f"u{number:02}@example.com" for number in range(40)]
    for email in everyone:
        steps.take(account, segment, email, entered=True)
    for email in everyone[:35]:
        steps.take(account, segment, email, entered=False)
    found, pages = walk(api, account, segment, limit=2)
    assert sorted(found) == everyone[35:]
    assert pages >= 40 // 9


def test_who_is_in_another_segment_or_another_project_is_not_listed(
    api: Api, account: Account, other: Account, steps: Steps
) -> None:
    mine, another = make(api, account, condition=None), make(api, account, condition=None)
    steps.take(account, another, ADA, entered=True)
    steps.take(other, mine, BOB, entered=True)
    assert api.get(f"{of(mine)}/members", account)["members"] == []
    assert api.get(of(mine), account)["memberCount"] == 0


# --- computing one -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [{}, {"condition": None}, {"condition": None, "trackMembership": True}])
def test_what_is_not_evaluated_is_only_counted(
    api: Api, account: Account, control: RacedControl, steps: Steps, members: Any
) -> None:
    segment = make(api, account, **members)
    track(account, ADA, data='{"plan":"pro"}')
    steps.take(account, segment, ADA, entered=True)
    before = len(control.published)
    for prefix in ("", "/v1"):
        response = send(api, "POST", f"{prefix}{of(segment)}/compute", account)
        assert (response.status_code, response.json()) == (200, {**segment, "memberCount": 1})
    assert len(control.published) == before


def evaluated(tables: ClientTables, segment: Kept, *partitions: int) -> None:
    """The evaluator says that it has compared all contacts of these partitions with the segment."""
    rows = [
        {
            "log_partition": partition,
            "segment_id": segment.id,
            "revision": segment.revision,
            "evaluated_through": 5,
            "evaluated_at": to_wire(AT),
        }
        for partition in partitions
    ]
    tables.insert(SEGMENT_PROGRESS, b"\n".join(map(msgspec.json.encode, rows)), token=str(uuid4()))


def computing_while(api: Api, account: Account, segment: Any, work: Any) -> httpx.Response:
    """The answer to a computation, while something else happens a moment later."""

    async def later() -> None:
        await asyncio.sleep(0.25)
        await asyncio.to_thread(work)

    async def both() -> httpx.Response:
        headers = {"Authorization": f"Bearer {account.secret}"}
        answer, _ = await asyncio.gather(api.client.post(f"{of(segment)}/compute", headers=headers), later())
        return answer

    answer: httpx.Response = api.run(both())
    return answer


def test_a_tracked_segment_is_answered_once_all_partitions_are_compared_with_a_new_revision(
    api: Api, account: Account, control: RacedControl, tables: ClientTables, steps: Steps
) -> None:
    segment = make(api, account, trackMembership=True)
    before = control.segment(account, segment["id"])
    evaluated(tables, before, 0, 1)
    started = time.monotonic()

    def evaluate() -> None:
        renewed = control.segment(account, segment["id"])
        assert renewed == replace(before, revision=renewed.revision)
        assert renewed.revision != before.revision
        evaluated(tables, renewed, 0)
        time.sleep(0.25)
        steps.take(account, segment, ADA, entered=True)
        evaluated(tables, renewed, 1)

    response = computing_while(api, account, segment, evaluate)
    assert (response.status_code, response.json()) == (200, {**segment, "memberCount": 1})
    assert 0.5 <= time.monotonic() - started < 5


def test_a_computation_that_is_not_done_in_time_is_pending(
    api: Api, account: Account, control: RacedControl, tables: ClientTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "COMPUTED_SECONDS", 0.5)
    segment = make(api, account, trackMembership=True)
    evaluated(tables, control.segment(account, segment["id"]), 0, 1)
    response = computing_while(
        api, account, segment, lambda: evaluated(tables, control.segment(account, segment["id"]), 1)
    )
    assert (response.status_code, response.json()) == (202, {"status": "pending"})
    Pending.model_validate(response.json(), extra="forbid")


def test_the_revision_of_a_later_change_does_as_well(
    api: Api, account: Account, control: RacedControl, tables: ClientTables
) -> None:
    segment = make(api, account, trackMembership=True)

    def change() -> None:
        control.put(replace(control.segment(account, segment["id"]), revision="later"))
        evaluated(tables, control.segment(account, segment["id"]), 0, 1)

    assert computing_while(api, account, segment, change).status_code == 200


def test_a_segment_that_is_tracked_no_more_is_not_waited_for(api: Api, account: Account, control: RacedControl) -> None:
    track(account, ADA, data='{"plan":"pro"}')
    segment = make(api, account, trackMembership=True)
    response = computing_while(
        api,
        account,
        segment,
        lambda: control.put(replace(control.segment(account, segment["id"]), tracked=False)),
    )
    assert (response.status_code, response.json()["memberCount"]) == (200, 1)


def test_a_segment_that_is_removed_meanwhile_is_gone(api: Api, account: Account, control: RacedControl) -> None:
    segment = make(api, account, trackMembership=True)

    def remove() -> None:
        control.registry.apply(segment_key(segment["id"]), None, 10**6)

    error_of(computing_while(api, account, segment, remove), 404, "RESOURCE_NOT_FOUND")


def test_a_computation_goes_on_while_the_tables_do_not_answer(
    keys: KeyRing, account: Account, control: RacedControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "COMPUTED_SECONDS", 0.3)
    tracked = kept(account, tracked=True, condition=json.dumps(PRO))
    control.put(tracked)
    with served(Broken(), keys, control, Partitions()) as api:  # type: ignore[arg-type]  # only select is called
        response = send(api, "POST", f"/segments/{tracked.id}/compute", account)
        assert (response.status_code, response.json()) == (202, {"status": "pending"})
        assert control.segment(account, tracked.id).revision != tracked.revision


# --- all routes --------------------------------------------------------------------------------------------------------


class Broken:
    """Tables that do not answer."""

    database = "none"

    def select(self, sql: str, parameters: object = None) -> Any:
        raise TablesUnavailable("ClickHouse does not answer")


def everything(api: Api, account: Account, segment_id: str = NOBODY) -> list[httpx.Response]:
    """The answer of each route."""
    one = f"/segments/{segment_id}"
    return [
        send(api, "GET", "/segments", account),
        send(api, "GET", one, account),
        send(api, "GET", f"{one}/members", account),
        *writes(api, account, segment_id),
    ]


def writes(api: Api, account: Account, segment_id: str = NOBODY) -> list[httpx.Response]:
    one = f"/segments/{segment_id}"
    return [
        send(api, "POST", "/segments", account, VIP),
        send(api, "PATCH", one, account, {"name": "x"}),
        send(api, "POST", f"{one}/compute", account),
        send(api, "DELETE", one, account),
    ]


ROUTES = pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/segments"),
        ("POST", "/segments"),
        ("GET", f"/segments/{NOBODY}"),
        ("PATCH", f"/segments/{NOBODY}"),
        ("DELETE", f"/segments/{NOBODY}"),
        ("GET", f"/segments/{NOBODY}/members"),
        ("POST", f"/segments/{NOBODY}/compute"),
    ],
)


@BOTH
@ROUTES
def test_only_a_secret_key_is_taken(api: Api, account: Account, method: str, path: str, prefix: str) -> None:
    error_of(api.send(method, prefix + path, account.public), 401, "INVALID_API_KEY")
    error_of(api.send(method, prefix + path), 401, "MISSING_AUTH")


@ROUTES
def test_an_id_that_is_no_uuid_is_named(api: Api, account: Account, method: str, path: str) -> None:
    if NOBODY in path:
        response = send(api, method, path.replace(NOBODY, "x"), account, {"name": "x"})
        assert problems(response) == [("id", "invalid_string")]


def test_an_id_may_be_in_upper_case(api: Api, account: Account) -> None:
    segment = make(api, account)
    assert api.get(f"/segments/{segment['id'].upper()}", account) == segment


def test_a_disabled_project_reads_and_does_not_write(
    api: Api, keys: KeyRing, tables: ClientTables, control: RacedControl
) -> None:
    disabled = Account(keys, tables, enabled=False)
    segment = kept(disabled)
    control.put(segment)
    before = len(control.published)
    answers = everything(api, disabled, segment.id)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 403, 403, 403, 403]
    error_of(answers[-1], 403, "PROJECT_DISABLED")
    assert len(control.published) == before


def test_the_projects_limit_counts_every_route(tables: ClientTables, keys: KeyRing, account: Account) -> None:
    settings = Settings(limits=at_most(reads=7))
    with served(tables, keys, RacedControl(), Partitions(), settings=settings) as api:
        assert [answer.status_code for answer in everything(api, account)] == [200, 404, 404, 201, 404, 404, 404]
        refused = everything(api, account)
        assert {answer.status_code for answer in refused} == {429}
        assert all("ratelimit-limit" in answer.headers for answer in refused)


def test_every_read_says_how_old_its_view_is_and_waits_for_its_position(keys: KeyRing) -> None:
    opened = open_test_tables()
    now = time.time_ns() // 1_000_000
    write_progress(opened, [Progress(0, 1, 1, 7, None, True, now, now)])
    account, control = Account(keys, opened), RacedControl()
    segment = kept(account)
    control.put(segment)
    settings = Settings(query=Query(after_position_seconds=0.2))
    with served(opened, keys, control, Partitions(), settings=settings) as api:
        for path in ("/segments", f"/segments/{segment.id}", f"/segments/{segment.id}/members"):
            api.get(path, account, position_token({0: 7}))
            late = {"X-After-Position": position_token({0: 8})}
            error_of(api.send("GET", path, account.secret, headers=late), 503, "SERVICE_UNAVAILABLE")
            assert api.problems(path, account, "nonsense") == {("X-After-Position", "invalid_string")}
    opened.close()


@BOTH
def test_other_methods_are_refused_and_told(api: Api, prefix: str) -> None:
    for path, allowed in (
        ("/segments", "GET, HEAD, POST"),
        (f"/segments/{NOBODY}", "GET, HEAD, PATCH, DELETE"),
        (f"/segments/{NOBODY}/members", "GET, HEAD"),
        (f"/segments/{NOBODY}/compute", "POST"),
    ):
        response = api.send("PUT", prefix + path)
        error_of(response, 405, "METHOD_NOT_ALLOWED")
        assert response.headers["allow"] == allowed


def test_tables_that_do_not_answer_are_503(keys: KeyRing, account: Account, control: RacedControl) -> None:
    segment = kept(account, condition=json.dumps(PRO))
    control.put(segment)
    with served(Broken(), keys, control, Partitions()) as api:  # type: ignore[arg-type]  # only select is called
        for answer in everything(api, account, segment.id)[:6]:
            error_of(answer, 503, "SERVICE_UNAVAILABLE")
            assert int(answer.headers["retry-after"]) >= 1


def test_a_log_that_does_not_answer_is_503(api: Api, account: Account, control: RacedControl) -> None:
    segment = make(api, account)
    control.failure = LogUnavailable("away")
    for answer in everything(api, account, segment["id"]):
        error_of(answer, 503, "SERVICE_UNAVAILABLE")


def test_other_origins_are_answered_only_where_the_settings_say_so(
    tables: ClientTables, keys: KeyRing, account: Account
) -> None:
    settings = Settings(query=Query(cors_origins=["https://admin.example"]))
    with served(tables, keys, RacedControl(), Partitions(), settings=settings) as api:
        for origin, allowed in (("https://admin.example", "https://admin.example"), ("https://evil.example", None)):
            response = send(api, "GET", "/segments", account, headers={"Origin": origin})
            assert response.headers.get("access-control-allow-origin") == allowed
        asked = {"Origin": "https://admin.example", "Access-Control-Request-Method": "PATCH"}
        preflight = api.send("OPTIONS", f"/segments/{NOBODY}", headers=asked)
        assert preflight.status_code == 204
        assert "PATCH" in preflight.headers["access-control-allow-methods"]


# --- the document ------------------------------------------------------------------------------------------------------


def test_the_document_describes_the_routes(api: Api) -> None:
    document = api.send("GET", "/openapi.json").json()
    paths = {path: item for path, item in document["paths"].items() if path.startswith("/segments")}
    found = {(path, method): one for path, item in paths.items() for method, one in item.items()}
    common = {"401", "422", "429", "500", "503"}
    expected = {
        ("/segments", "get"): ("list_segments", {"200"}),
        ("/segments", "post"): ("make_segment", {"201", "400", "403", "409", "413", "415"}),
        ("/segments/{id}", "get"): ("get_segment", {"200", "404"}),
        ("/segments/{id}", "patch"): ("change_segment", {"200", "400", "403", "404", "413", "415"}),
        ("/segments/{id}", "delete"): ("remove_segment", {"204", "403", "404", "409"}),
        ("/segments/{id}/members", "get"): ("list_members", {"200", "404"}),
        ("/segments/{id}/compute", "post"): ("compute_segment", {"200", "202", "403", "404"}),
    }
    assert {key: (one["operationId"], one["responses"].keys() - common) for key, one in found.items()} == expected
    for one in found.values():
        assert common <= one["responses"].keys()
        assert (one["security"], one["tags"]) == ([{"key": []}], ["segments"])
        assert one["description"]
    listed = {"limit", "cursor", "X-After-Position"}
    assert {one["name"] for one in found["/segments", "get"]["parameters"]} == listed
    assert {one["name"] for one in found["/segments/{id}/members", "get"]["parameters"]} == {"id", *listed}
    for method, path, members in (
        ("post", "/segments", {"name", "condition", "trackMembership", "slug"}),
        ("patch", "/segments/{id}", {"name", "condition", "trackMembership"}),
    ):
        body = found[path, method]["requestBody"]["content"]["application/json"]["schema"]
        assert body["properties"].keys() == members


def test_what_the_document_refers_to_is_in_it(api: Api) -> None:
    document = api.send("GET", "/openapi.json").json()
    wanted = references(document)
    assert "#/components/schemas/Condition" in wanted
    assert {f"#/components/schemas/{name}" for name in document["components"]["schemas"]} >= wanted


def references(value: Any) -> set[str]:
    """All that is referred to."""
    if isinstance(value, list):
        return {found for one in value for found in references(one)}
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return own | {found for one in value.values() for found in references(one)}

"""Who uses the events of a name, and that such events are kept: each sentence of the contract about it has a test.

The log is a stand-in that takes markers, and nothing follows them; the whole way is an end-to-end test's.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from penstock.auth import KeyRing
from penstock.clickhouse.gateway import ClientTables
from penstock.errors import LogUnavailable, TablesUnavailable
from penstock.settings import Query, Settings
from query_api import deleting
from schemas.names import MAIL_EVENTS
from schemas.position import Position
from schemas.position import to_token as position_token
from schemas.record import unpack_deletion
from schemas.registry import Segment, Workflow
from schemas.times import to_wire
from schemas.wire_registry import Usage
from tests.support.limits import at_most
from tests.support.registered import AT, RacedControl, condition, made, plan, problems, send, served, track, triggered
from tests.support.tables import open_test_tables
from tests.wire.test_reads import Account, Api, NoMarkers, error_of

BOTH = pytest.mark.parametrize("prefix", ["", "/v1"])
ADA, BOB = "ada@example.com", "bob@example.com"
SIGNUP = json.dumps(condition(triggered("signup")))


class Marked(NoMarkers):
    """A log that takes every marker, and says when."""

    def __init__(self) -> None:
        super().__init__()
        self.is_held = asyncio.Event()
        self.release: asyncio.Event | None = None

    def mark(self, record: bytes, accepted_ms: int, partition: int | None = None) -> "asyncio.Future[Position]":
        self.names.append(unpack_deletion(record).removal.name)
        self.is_held.set()
        return asyncio.ensure_future(self._taken())

    async def _taken(self) -> Position:
        if self.release:
            await self.release.wait()
        return {0: 7}


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
def shared_log() -> Marked:
    return Marked()


@pytest.fixture(scope="module")
def api(tables: ClientTables, keys: KeyRing, shared_control: RacedControl, shared_log: Marked) -> Iterator[Api]:
    with served(tables, keys, shared_control, shared_log) as opened:
        yield opened


@pytest.fixture
def control(shared_control: RacedControl) -> Iterator[RacedControl]:
    yield shared_control
    shared_control.failure = None
    shared_control.before.clear()


@pytest.fixture
def log(shared_log: Marked, monkeypatch: pytest.MonkeyPatch) -> Iterator[Marked]:
    monkeypatch.setattr(deleting, "CONFIRMED_SECONDS", 0.01)
    shared_log.names.clear()
    yield shared_log
    shared_log.release = None


@pytest.fixture
def account(keys: KeyRing, tables: ClientTables) -> Account:
    return Account(keys, tables)


@pytest.fixture
def other(keys: KeyRing, tables: ClientTables) -> Account:
    return Account(keys, tables)


def segment(account: Account, slug: str, text: str = SIGNUP, **more: Any) -> Segment:
    now = to_wire(AT)
    members: dict[str, Any] = {"tracked": False} | more
    return Segment(
        str(uuid4()), account.id, slug.upper(), slug, text, revision="1", created_at=now, updated_at=now, **members
    )


def workflow(account: Account, name: str, event_name: str, **more: Any) -> Workflow:
    now = to_wire(AT)
    members: dict[str, Any] = {"enabled": True, "url": "https://example.com", "secrets": ()} | more
    return Workflow(
        id=str(uuid4()),
        project_id=account.id,
        name=name,
        event_name=event_name,
        created_at=now,
        updated_at=now,
        **members,
    )


def usage(api: Api, account: Account, name: str, prefix: str = "") -> Any:
    return api.get(f"{prefix}/events/{quote(name, safe='')}/usage", account)


def delete(api: Api, account: Account, name: str, prefix: str = "") -> httpx.Response:
    return send(api, "DELETE", f"{prefix}/events/{quote(name, safe='')}", account)


def named(*users: Segment | Workflow) -> list[dict[str, str]]:
    return [{"id": one.id, "name": one.name} for one in users]


# --- who uses a name ---------------------------------------------------------------------------------------------------


@BOTH
def test_usage_has_exactly_the_members_of_the_contract(api: Api, account: Account, prefix: str) -> None:
    track(account, ADA, ADA, BOB)
    track(account, ADA, name="purchase")
    body = usage(api, account, "signup", prefix)
    assert body == {
        "usedInSegments": [],
        "usedInWorkflows": [],
        "totalCount": 3,
        "uniqueContacts": 2,
        "canDelete": True,
    }
    assert list(body) == ["usedInSegments", "usedInWorkflows", "totalCount", "uniqueContacts", "canDelete"]
    Usage.model_validate(body, extra="forbid")


def test_a_name_without_events_is_used_by_nobody(api: Api, account: Account, other: Account) -> None:
    track(other, ADA)
    expected = {"usedInSegments": [], "usedInWorkflows": [], "totalCount": 0, "uniqueContacts": 0, "canDelete": True}
    assert usage(api, account, "signup") == expected


def test_events_of_nobody_are_no_contact(api: Api, account: Account) -> None:
    account.store(account.event(AT, email=""), account.event(AT, email=ADA))
    body = usage(api, account, "signup")
    assert (body["totalCount"], body["uniqueContacts"]) == (2, 1)


def test_segments_are_named_whose_condition_asks_for_the_name_wherever_that_stands(
    api: Api, account: Account, other: Account, control: RacedControl
) -> None:
    nested = condition(plan("a"), conditions=condition(plan("b"), conditions=condition(triggered("signup"))))
    where = {**triggered("signup"), "where": [{"field": "data.plan", "operator": "exists"}]}
    second = {"logic": "OR", "groups": [{"filters": [plan("a")]}, {"filters": [where]}]}
    users = [
        segment(account, "plain"),
        segment(account, "tracked", tracked=True),
        segment(account, "nested", json.dumps(nested)),
        segment(account, "second", json.dumps(second)),
    ]
    others = [
        segment(account, "another", json.dumps(condition(triggered("signups")))),
        segment(
            account, "value", json.dumps(condition(plan("signup"), {"field": "data.signup", "operator": "exists"}))
        ),
        segment(account, "none", ""),
        segment(other, "foreign"),
    ]
    control.put(*users, *others)
    body = usage(api, account, "signup")
    assert sorted(body["usedInSegments"], key=str) == sorted(named(*users), key=str)
    assert (body["usedInWorkflows"], body["canDelete"]) == ([], False)


def test_workflows_are_named_that_it_triggers_or_whose_condition_asks_for_it(
    api: Api, account: Account, other: Account, control: RacedControl
) -> None:
    users = [
        workflow(account, "Triggered", "signup"),
        workflow(account, "Off", "signup", enabled=False),
        workflow(account, "Asking", "purchase", condition=SIGNUP),
        workflow(account, "Both", "signup", condition=SIGNUP),
    ]
    control.put(*users, workflow(account, "Another", "purchase"), workflow(other, "Foreign", "signup"))
    body = usage(api, account, "signup")
    assert sorted(body["usedInWorkflows"], key=str) == sorted(named(*users), key=str)
    assert (body["usedInSegments"], body["canDelete"]) == ([], False)


def test_what_uses_a_name_no_more_is_not_named(api: Api, account: Account, control: RacedControl) -> None:
    user = segment(account, "user")
    control.put(user, replace(user, condition=""))
    assert usage(api, account, "signup")["canDelete"] is True


@pytest.mark.parametrize("name", [*MAIL_EVENTS, "contact.subscribed", "segment.vip.entry", "email.x"])
def test_a_reserved_name_is_counted_and_can_never_be_deleted(api: Api, account: Account, name: str) -> None:
    track(account, ADA, name=name)
    body = usage(api, account, name)
    assert (body["totalCount"], body["uniqueContacts"], body["canDelete"]) == (1, 1, False)
    error_of(delete(api, account, name), 400, "BAD_REQUEST")


def test_a_mail_event_is_asked_for_by_its_own_name(api: Api, account: Account, control: RacedControl) -> None:
    user = segment(account, "openers", json.dumps(condition({"field": "email.open", "operator": "triggered"})))
    control.put(user)
    assert usage(api, account, "email.open")["usedInSegments"] == named(user)


AWKWARD_NAMES = [
    "a/usage",
    "usage",
    "a/usage/usage",
    "contact",
    "contact/x",
    "names",
    "stats",
    "x/trace",
    "a/b",
    "größe",
    "a\nb",
    "a\n",
    " ",
    "%2F",
    'quoted "name" \\',
]


@BOTH
@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_exactly_the_name_in_the_path_is_meant(
    api: Api, account: Account, control: RacedControl, name: str, prefix: str
) -> None:
    user = segment(account, "user", json.dumps(condition(triggered(name))))
    control.put(user)
    track(account, ADA, name=name)
    body = usage(api, account, name, prefix)
    assert (body["usedInSegments"], body["totalCount"]) == (named(user), 1)


def test_other_routes_of_such_names_are_what_they_were(api: Api, account: Account, log: Marked) -> None:
    for name in AWKWARD_NAMES:
        assert delete(api, account, name).status_code == 202
    assert log.names == AWKWARD_NAMES
    contact = "00000000-0000-4000-8000-000000000001"
    assert api.get(f"/events/contact/{contact}", account) == {"events": [], "cursor": None}
    assert api.problems("/events/contact/usage/x", account) == {("contactId", "invalid_string")}
    for path in ("/events/usage", "/events/x/usage/", "/events/x/usage%0A", "/events/x%0A/usage%0A"):
        response = api.send("GET", path, account.secret)
        error_of(response, 405, "METHOD_NOT_ALLOWED")
        assert response.headers["allow"] == "DELETE"
    assert api.send("POST", "/events/x/usage", account.secret).headers["allow"] == "GET, HEAD, DELETE"


def test_a_name_that_cannot_be_one_is_named(api: Api, account: Account) -> None:
    for path, code in (
        ("/events//usage", "too_small"),
        (f"/events/{'x' * 256}/usage", "too_big"),
        ("/events/%FF/usage", "invalid_string"),
    ):
        assert problems(api.send("GET", path, account.secret)) == [("eventName", code)]
    late = {"X-After-Position": "x"}
    expected = [("eventName", "too_small"), ("X-After-Position", "invalid_string")]
    assert problems(api.send("GET", "/events//usage", account.secret, headers=late)) == expected


def test_usage_is_a_read_like_others(
    api: Api, keys: KeyRing, tables: ClientTables, account: Account, control: RacedControl
) -> None:
    error_of(api.send("GET", "/events/x/usage", account.public), 401, "INVALID_API_KEY")
    error_of(api.send("GET", "/events/x/usage"), 401, "MISSING_AUTH")
    head = api.send("HEAD", "/events/x/usage", account.secret)
    assert (head.status_code, head.content) == (200, b"")
    disabled = Account(keys, tables, enabled=False)
    assert usage(api, disabled, "signup")["canDelete"] is True
    control.failure = LogUnavailable("away")
    error_of(api.send("GET", "/events/x/usage", account.secret), 503, "SERVICE_UNAVAILABLE")


def test_usage_waits_for_its_position_and_counts_against_the_limit(
    tables: ClientTables, keys: KeyRing, account: Account
) -> None:
    settings = Settings(query=Query(after_position_seconds=0.1), limits=at_most(reads=2))
    with served(tables, keys, RacedControl(), Marked(), settings=settings) as api:
        late = {"X-After-Position": position_token({0: 8})}
        error_of(api.send("GET", "/events/x/usage", account.secret, headers=late), 503, "SERVICE_UNAVAILABLE")
        assert usage(api, account, "x")["totalCount"] == 0
        error_of(api.send("GET", "/events/x/usage", account.secret), 429, "RATE_LIMIT_EXCEEDED")


def test_tables_that_do_not_answer_are_503(keys: KeyRing, account: Account) -> None:
    class Broken:
        database = "none"

        def select(self, sql: str, parameters: object = None) -> Any:
            raise TablesUnavailable("ClickHouse does not answer")

    with served(Broken(), keys, RacedControl(), Marked()) as api:  # type: ignore[arg-type]  # only select is called
        error_of(api.send("GET", "/events/x/usage", account.secret), 503, "SERVICE_UNAVAILABLE")


# --- what is used is kept ----------------------------------------------------------------------------------------------


@BOTH
def test_events_that_are_used_are_kept(
    api: Api, account: Account, control: RacedControl, log: Marked, prefix: str
) -> None:
    asking, triggered_by = segment(account, "asking"), workflow(account, "Off", "signup", enabled=False)
    control.put(asking, triggered_by)
    error = error_of(delete(api, account, "signup", prefix), 409, "CONFLICT")
    assert error["details"] == {"usedInSegments": named(asking), "usedInWorkflows": named(triggered_by)}
    assert log.names == []
    assert delete(api, account, "purchase", prefix).status_code == 202
    control.put(replace(asking, condition=""))
    error = error_of(delete(api, account, "signup", prefix), 409, "CONFLICT")
    assert error["details"] == {"usedInSegments": [], "usedInWorkflows": named(triggered_by)}
    control.put(replace(triggered_by, event_name="purchase"))
    assert delete(api, account, "signup", prefix).status_code == 202
    assert log.names == ["purchase", "signup"]


def test_what_another_project_uses_is_deleted(api: Api, account: Account, other: Account, log: Marked) -> None:
    made(api, "/segments", other, {"name": "x", "condition": json.loads(SIGNUP)})
    assert delete(api, account, "signup").status_code == 202
    assert log.names == ["signup"]


def test_nothing_is_deleted_while_it_is_not_known_who_uses_it(
    api: Api, account: Account, control: RacedControl, log: Marked
) -> None:
    control.failure = LogUnavailable("away")
    error_of(delete(api, account, "signup"), 503, "SERVICE_UNAVAILABLE")
    assert log.names == []


def test_no_use_begins_between_the_look_and_the_marker(
    api: Api, account: Account, control: RacedControl, log: Marked
) -> None:
    """The marker hangs; whoever wants to use the name meanwhile waits for it."""
    headers = {"Authorization": f"Bearer {account.secret}"}
    body = {"name": "x", "condition": json.loads(SIGNUP)}

    async def both() -> tuple[int, int, bool]:
        log.is_held, log.release = asyncio.Event(), asyncio.Event()
        deletion = asyncio.create_task(api.client.delete("/events/signup", headers=headers))
        await asyncio.wait_for(log.is_held.wait(), 5)
        use = asyncio.create_task(api.client.post("/segments", headers=headers, json=body))
        await asyncio.sleep(0.3)
        was_used = bool(control.registry.segments(account.id))
        log.release.set()
        return (await deletion).status_code, (await use).status_code, was_used

    assert api.run(both()) == (202, 201, False)
    error_of(delete(api, account, "signup"), 409, "CONFLICT")


# --- the document ------------------------------------------------------------------------------------------------------


def test_the_document_describes_usage_and_the_conflict(api: Api) -> None:
    paths = api.send("GET", "/openapi.json").json()["paths"]
    asked = paths["/events/{eventName}/usage"]["get"]
    assert (asked["operationId"], asked["tags"], asked["security"]) == ("event_usage", ["events"], [{"key": []}])
    assert {one["name"] for one in asked["parameters"]} == {"eventName", "X-After-Position"}
    assert {"200", "401", "422", "429", "500", "503"} <= asked["responses"].keys()
    assert asked["description"]
    deletion = paths["/events/{eventName}"]["delete"]
    assert "`usedInWorkflows`" in deletion["responses"]["409"]["description"]

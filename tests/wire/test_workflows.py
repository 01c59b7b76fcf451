"""The routes of workflows: each sentence of the contract about them has a test named after it.

The control topic is followed in the same moment; nothing is delivered here.
"""

import base64
import gzip
import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import structlog
from msgspec.structs import replace

from penstock.auth import KeyRing
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.progress import Progress, write_progress
from penstock.errors import LogUnavailable
from penstock.settings import Query, Settings, Webhooks
from query_api import matching_queries
from query_api.list_cursor import ListPlace
from query_api.list_cursor import to_token as list_token
from schemas.position import to_token as position_token
from schemas.registry import Segment, SigningSecret, WorkflowState, workflow_key, workflow_state_key
from schemas.registry import Workflow as Kept
from schemas.times import parse_iso, to_ms, to_wire
from schemas.wire_registry import MadeWorkflow, RotatedSecret, Workflow, WorkflowsPage
from tests.support.limits import at_most
from tests.support.registered import (
    AT,
    NOBODY,
    RacedControl,
    changed,
    condition,
    made,
    member_of,
    plan,
    problems,
    send,
    served,
)
from tests.support.tables import open_test_tables
from tests.wire.test_reads import Account, Api, NoMarkers, error_of

BOTH = pytest.mark.parametrize("prefix", ["", "/v1"])
URL = "https://example.com/hooks/penstock"
TELL = {"name": "Tell the CRM", "trigger": {"eventName": "signup"}, "webhook": {"url": URL}}
PRO = condition(plan("pro"), {"field": "trigger.data.amount", "operator": "greaterThan", "value": 5})
DAY_MS = 24 * 60 * 60 * 1000


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
    with served(tables, keys, shared_control, NoMarkers()) as opened:
        yield opened


@pytest.fixture
def control(shared_control: RacedControl) -> Iterator[RacedControl]:
    yield shared_control
    shared_control.failure = None


@pytest.fixture
def account(keys: KeyRing, tables: ClientTables) -> Account:
    return Account(keys, tables)


@pytest.fixture
def other(keys: KeyRing, tables: ClientTables) -> Account:
    return Account(keys, tables)


def make(api: Api, account: Account, **members: Any) -> Any:
    return made(api, "/workflows", account, {**TELL, **members})


def of(workflow: Any) -> str:
    return f"/workflows/{workflow['id']}"


def shown(workflow: Any) -> Any:
    """As every later answer has it."""
    return {name: value for name, value in workflow.items() if name != "secret"}


def kept(account: Account, name: str = "Elsewhere", **more: Any) -> Kept:
    """A workflow that another process made."""
    now = to_wire(AT)
    members: dict[str, Any] = {"enabled": True, "created_at": now, "updated_at": now} | more
    secrets = (SigningSecret("whsec_elsewhere"),)
    return Kept(
        id=str(uuid4()), project_id=account.id, name=name, event_name="signup", url=URL, secrets=secrets, **members
    )


def segment(account: Account) -> Segment:
    now = to_wire(AT)
    return Segment(str(uuid4()), account.id, "VIP", str(uuid4()), "", False, "1", now, now)


def rotate(api: Api, account: Account, workflow: Any, prefix: str = "") -> str:
    response = send(api, "POST", f"{prefix}{of(workflow)}/secret/rotate", account)
    assert response.status_code == 200, response.text
    RotatedSecret.model_validate(response.json(), extra="forbid")
    assert list(response.json()) == ["secret"]
    secret: str = response.json()["secret"]
    return secret


# --- making one --------------------------------------------------------------------------------------------------------


@BOTH
def test_a_workflow_has_exactly_the_members_of_the_contract(api: Api, account: Account, prefix: str) -> None:
    before = to_wire(time.time_ns() // 1_000_000)
    body = {
        **TELL,
        "trigger": {"eventName": "purchase", "condition": PRO, "more": 1},
        "webhook": {"url": URL, "headers": {"X-Tenant": "7"}, "more": 1},
        "more": 1,
    }
    workflow = made(api, f"{prefix}/workflows", account, body)
    assert list(workflow) == [
        "id", "name", "enabled", "status", "trigger", "webhook", "createdAt", "updatedAt", "secret",
    ]  # fmt: skip
    assert (workflow["name"], workflow["enabled"], workflow["status"]) == ("Tell the CRM", True, "active")
    assert workflow["trigger"] == {"eventName": "purchase", "condition": PRO}
    assert workflow["webhook"] == {"url": URL, "headers": {"X-Tenant": "7"}}
    assert before <= workflow["createdAt"] == workflow["updatedAt"] <= to_wire(time.time_ns() // 1_000_000)
    assert UUID(workflow["id"]).version == 4
    MadeWorkflow.model_validate(workflow, extra="forbid")
    read = api.get(f"{prefix}{of(workflow)}", account)
    Workflow.model_validate(read, extra="forbid")
    assert read == shown(workflow)


def test_what_there_is_none_of_is_left_out(api: Api, account: Account) -> None:
    for trigger in ({"eventName": "signup"}, {"eventName": "signup", "condition": None}):
        for webhook in ({"url": URL}, {"url": URL, "headers": {}}):
            workflow = make(api, account, trigger=trigger, webhook=webhook)
            assert (workflow["trigger"], workflow["webhook"]) == ({"eventName": "signup"}, {"url": URL})


def test_the_condition_is_answered_as_it_was_sent(api: Api, account: Account) -> None:
    text = '{ "groups":[{"filters":[{"value":1.50,"operator":"equals","field":"data.n"}]}],"logic":"OR" }'
    trigger = f'{{"eventName":"x","condition":{text}}}'
    body = f'{{"name":"n","trigger":{trigger},"webhook":{{"url":"{URL}"}}}}'.encode()
    response = send(api, "POST", "/workflows", account, body)
    assert f'"condition":{text}}}' in response.text
    assert f'"condition":{text}}}' in api.send("GET", of(response.json()), account.secret).text


@pytest.mark.parametrize("name", ["email.open", "contact.subscribed", "segment.vip.entry", "größe/1", "x" * 255])
def test_any_event_triggers_one_of_the_system_too(api: Api, account: Account, name: str) -> None:
    assert make(api, account, trigger={"eventName": name})["trigger"] == {"eventName": name}


def test_the_secret_is_that_of_standard_webhooks(api: Api, account: Account, control: RacedControl) -> None:
    secrets = [make(api, account)["secret"] for _ in range(2)]
    assert len(set(secrets)) == 2
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    assert {one.secrets for one in control.registry.workflows(account.id)} == {(SigningSecret(one),) for one in secrets}


def test_no_other_answer_has_the_secret(api: Api, account: Account) -> None:
    workflow = make(api, account)
    first, second = workflow["secret"], rotate(api, account, workflow)
    answers = [
        send(api, "GET", "/workflows", account),
        send(api, "GET", of(workflow), account),
        send(api, "PATCH", of(workflow), account, {"name": "x"}),
        send(api, "PATCH", of(workflow), account, {"name": ""}),
        send(api, "DELETE", of(workflow), account),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 422, 204]
    for answer in answers:
        for secret in (first, second):
            assert secret not in answer.text


def test_secrets_are_in_no_log_and_no_error(api: Api, account: Account, control: RacedControl) -> None:
    header = {"url": "https://me:pass-9@example.com/x", "headers": {"Authorization": "Bearer token-9\x00", "X": 5}}
    with structlog.testing.capture_logs() as logged:
        workflow = make(api, account)
        rotated = rotate(api, account, workflow)
        refused = send(api, "PATCH", of(workflow), account, {"webhook": header})
        control.failure = LogUnavailable("away")
        failed = [
            send(api, "POST", f"{of(workflow)}/secret/rotate", account),
            send(api, "PATCH", of(workflow), account, {"name": "x"}),
        ]
    assert {answer.status_code for answer in failed} == {503}
    assert ("webhook.headers.Authorization", "invalid_string") in problems(refused)
    said = str(logged) + refused.text + "".join(answer.text for answer in failed)
    for secret in (workflow["secret"], rotated, "token-9", "pass-9", "whsec_"):
        assert secret not in said


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"name": ""}, [("name", "too_small")]),
        ({"name": " "}, [("name", "invalid_string")]),
        ({"name": "x" * 256}, [("name", "too_big")]),
        ({"name": None}, [("name", "invalid_type")]),
        ({"enabled": None}, [("enabled", "invalid_type")]),
        ({"enabled": "yes"}, [("enabled", "invalid_type")]),
        ({"trigger": None}, [("trigger", "invalid_type")]),
        ({"trigger": {}}, [("trigger.eventName", "invalid_type")]),
        ({"trigger": {"eventName": ""}}, [("trigger.eventName", "too_small")]),
        ({"trigger": {"eventName": "x" * 256}}, [("trigger.eventName", "too_big")]),
        ({"trigger": {"eventName": 5}}, [("trigger.eventName", "invalid_type")]),
        ({"trigger": {"eventName": "x", "condition": 5}}, [("trigger.condition", "invalid_type")]),
        (
            {"trigger": {"eventName": "x", "condition": condition({"field": "trigger.x", "operator": "exists"})}},
            [("trigger.condition.groups[0].filters[0].field", "invalid_enum_value")],
        ),
        (
            {"trigger": {"eventName": "x", "condition": condition(plan("a"), member_of(NOBODY))}},
            [("trigger.condition.groups[0].filters[1].field", "custom")],
        ),
        ({"webhook": None}, [("webhook", "invalid_type")]),
        ({"webhook": []}, [("webhook", "invalid_type")]),
        ({"webhook": {}}, [("webhook.url", "invalid_type")]),
        ({"webhook": {"url": 5}}, [("webhook.url", "invalid_type")]),
        ({"webhook": {"url": URL, "headers": None}}, [("webhook.headers", "invalid_type")]),
        ({"webhook": {"url": URL, "headers": []}}, [("webhook.headers", "invalid_type")]),
    ],
)
def test_what_is_wrong_with_a_new_workflow_is_named(
    api: Api, account: Account, control: RacedControl, members: Any, expected: list[tuple[str, str]]
) -> None:
    before = len(control.published)
    assert problems(send(api, "POST", "/workflows", account, {**TELL, **members})) == expected
    assert len(control.published) == before


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/hooks",
        "ftp://example.com",
        "https://",
        "https://example.com/a b",
        "https://example.com/#x",
        "https://me:pass@example.com/",
        "https://example.com/" + "x" * 3000,
    ],
)
def test_what_is_no_url_of_an_endpoint_is_named(api: Api, account: Account, url: str) -> None:
    expected = [("webhook.url", "invalid_string")]
    assert problems(send(api, "POST", "/workflows", account, {**TELL, "webhook": {"url": url}})) == expected
    workflow = make(api, account)
    assert problems(send(api, "PATCH", of(workflow), account, {"webhook": {"url": url}})) == expected


def test_the_settings_may_name_the_only_ports(tables: ClientTables, keys: KeyRing, account: Account) -> None:
    settings = Settings(webhooks=Webhooks(allowed_ports=[443]))
    with served(tables, keys, RacedControl(), NoMarkers(), settings=settings) as api:
        assert make(api, account, webhook={"url": "https://example.com:443/x"})
        webhook = {"url": "https://example.com:8443/x"}
        response = send(api, "POST", "/workflows", account, {**TELL, "webhook": webhook})
        assert problems(response) == [("webhook.url", "invalid_string")]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("X Tenant", "7", "invalid_string"),
        ("", "7", "invalid_string"),
        ("X:", "7", "invalid_string"),
        ("Größe", "7", "invalid_string"),
        ("x\r\ny", "7", "invalid_string"),
        ("X" * 101, "7", "too_big"),
        ("Host", "7", "custom"),
        ("content-length", "7", "custom"),
        ("Content-Type", "7", "custom"),
        ("Content-Encoding", "7", "custom"),
        ("Transfer-Encoding", "7", "custom"),
        ("CONNECTION", "7", "custom"),
        ("TE", "7", "custom"),
        ("Trailer", "7", "custom"),
        ("Upgrade", "7", "custom"),
        ("Keep-Alive", "7", "custom"),
        ("Proxy-Authorization", "7", "custom"),
        ("Webhook-Signature", "7", "custom"),
        ("webhook-anything", "7", "custom"),
        ("X-A", 7, "invalid_type"),
        ("X-A", None, "invalid_type"),
        ("X-A", "ä", "invalid_string"),
        ("X-A", "a\r\nX-B: 1", "invalid_string"),
        ("X-A", "a\t", "invalid_string"),
        ("X-A", " a", "invalid_string"),
        ("X-A", "x" * 1001, "too_big"),
    ],
)
def test_a_header_that_cannot_be_sent_is_named(api: Api, account: Account, name: str, value: Any, code: str) -> None:
    webhook = {"url": URL, "headers": {"X-Good": "1", name: value}}
    response = send(api, "POST", "/workflows", account, {**TELL, "webhook": webhook})
    assert problems(response) == [(f"webhook.headers.{name}", code)]


def test_headers_are_few_and_each_is_there_once(api: Api, account: Account) -> None:
    most = {f"X-{number}": "v" for number in range(20)}
    limits = {"A" * 100: "x" * 1000, "!#$%&'*+.^_`|~": "", "Te-x": "a b", "Hosts": "~"}
    for headers in (most, limits):
        assert make(api, account, webhook={"url": URL, "headers": headers})["webhook"]["headers"] == headers
    for headers, expected in (
        ({**most, "X-20": "v"}, ("webhook.headers", "too_big")),
        ({"X-a": "1", "x-A": "2"}, ("webhook.headers.x-A", "custom")),
    ):
        webhook = {"url": URL, "headers": headers}
        assert problems(send(api, "POST", "/workflows", account, {**TELL, "webhook": webhook})) == [expected]


def test_all_that_is_wrong_is_told_together(api: Api, account: Account) -> None:
    required = [("name", "invalid_type"), ("trigger", "invalid_type"), ("webhook", "invalid_type")]
    assert problems(send(api, "POST", "/workflows", account, {})) == required
    assert problems(send(api, "POST", "/workflows", account, [])) == [("body", "invalid_type")]
    asked = condition(member_of(NOBODY), {"field": "email", "operator": "within"})
    body = {
        "name": "",
        "enabled": 1,
        "trigger": {"condition": asked},
        "webhook": {"url": "x", "headers": {"host": "1", "X-A": 5}},
    }
    assert problems(send(api, "POST", "/workflows", account, body)) == [
        ("name", "too_small"),
        ("enabled", "invalid_type"),
        ("trigger.eventName", "invalid_type"),
        ("trigger.condition.groups[0].filters[1].operator", "invalid_enum_value"),
        ("webhook.url", "invalid_string"),
        ("webhook.headers.host", "custom"),
        ("webhook.headers.X-A", "invalid_type"),
        ("trigger.condition.groups[0].filters[0].field", "custom"),
    ]


def test_a_body_follows_the_common_rules(api: Api, account: Account) -> None:
    workflow = make(api, account)
    for method, path in (("POST", "/workflows"), ("PATCH", of(workflow))):
        for body in (b"", b"{", b'{"name":"\\ud800"}', b'{"name":"\xff"}'):
            error_of(send(api, method, path, account, body), 400, "BAD_REQUEST")
        for headers in ({"Content-Type": "text/plain"}, {"Content-Encoding": "br"}):
            error_of(send(api, method, path, account, TELL, headers=headers), 415, "UNSUPPORTED_MEDIA_TYPE")
        fits = json.dumps({**TELL, "more": ""}).encode()
        fits = fits[:-2] + b"x" * (64 * 1024 - len(fits)) + fits[-2:]
        packed = {"Content-Encoding": "gzip"}
        assert send(api, method, path, account, gzip.compress(fits), headers=packed).status_code in (200, 201)
        error_of(send(api, method, path, account, fits + b" "), 413, "PAYLOAD_TOO_LARGE")


def test_a_condition_that_cannot_be_answered_is_refused(
    api: Api, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching_queries, "MAX_STATEMENT", 2500)
    trigger = {"eventName": "x", "condition": condition(*(plan(f"p{number}") for number in range(20)))}
    response = send(api, "POST", "/workflows", account, {**TELL, "trigger": trigger})
    assert problems(response) == [("trigger.condition", "too_big")]


def test_a_condition_may_refer_to_segments_of_the_project(
    api: Api, account: Account, other: Account, control: RacedControl
) -> None:
    own, foreign = segment(account), segment(other)
    control.put(own, foreign)
    asked = condition(member_of(own.id))
    assert make(api, account, trigger={"eventName": "x", "condition": asked})["trigger"]["condition"] == asked
    trigger = {"eventName": "x", "condition": condition(plan("a"), conditions=condition(member_of(foreign.id)))}
    response = send(api, "POST", "/workflows", account, {**TELL, "trigger": trigger})
    assert problems(response) == [("trigger.condition.groups[0].conditions.groups[0].filters[0].field", "custom")]


# --- changing one ------------------------------------------------------------------------------------------------------


@BOTH
def test_a_change_is_merged(api: Api, account: Account, control: RacedControl, prefix: str) -> None:
    workflow = shown(
        make(api, account, trigger={"eventName": "a", "condition": PRO}, webhook={"url": URL, "headers": {"X-A": "1"}})
    )
    another = "https://example.org/"
    for change, expected in (
        ({"name": "Others"}, {"name": "Others"}),
        ({"enabled": False}, {"enabled": False, "status": "disabled"}),
        ({"webhook": {"url": another}}, {"webhook": {"url": another, "headers": {"X-A": "1"}}}),
        ({"webhook": {"headers": {"X-B": "2"}}}, {"webhook": {"url": another, "headers": {"X-B": "2"}}}),
        ({"webhook": {"headers": {}}}, {"webhook": {"url": another}}),
        ({"trigger": {"eventName": "a", "condition": PRO}}, {}),
        ({"trigger": {"eventName": "b"}}, {"trigger": {"eventName": "b"}}),
        ({"enabled": True, "name": "Back", "more": 1}, {"enabled": True, "name": "Back", "status": "active"}),
    ):
        secrets = control.workflow(account, workflow["id"]).secrets
        body = changed(api, prefix + of(workflow), account, change)
        assert body == {**workflow, **expected, "updatedAt": body["updatedAt"]}
        Workflow.model_validate(body, extra="forbid")
        assert body["updatedAt"] > workflow["updatedAt"]
        assert api.get(of(workflow), account) == body
        assert control.workflow(account, workflow["id"]).secrets == secrets
        workflow = body


def test_a_change_has_another_time_than_the_one_before_whatever_the_clock_says(
    api: Api, account: Account, control: RacedControl
) -> None:
    ahead = kept(account, updated_at="2099-01-01T00:00:00.999Z")
    control.put(ahead)
    body = changed(api, f"/workflows/{ahead.id}", account, {"name": "x"})
    assert body["updatedAt"] == "2099-01-01T00:00:01.000Z"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [("body", "custom")]),
        ({"more": 1}, [("body", "custom")]),
        ([], [("body", "invalid_type")]),
        ({"name": ""}, [("name", "too_small")]),
        ({"enabled": None}, [("enabled", "invalid_type")]),
        ({"trigger": {}}, [("trigger.eventName", "invalid_type")]),
        ({"trigger": {"condition": None}}, [("trigger.eventName", "invalid_type")]),
        ({"webhook": {}}, [("webhook", "custom")]),
        ({"webhook": {"more": 1}, "name": 5}, [("name", "invalid_type"), ("webhook", "custom")]),
        ({"webhook": {"headers": {"te": "1"}}}, [("webhook.headers.te", "custom")]),
        (
            {"trigger": {"eventName": "x", "condition": condition(member_of(NOBODY))}},
            [("trigger.condition.groups[0].filters[0].field", "custom")],
        ),
    ],
)
def test_what_is_wrong_with_a_change_is_named(
    api: Api, account: Account, control: RacedControl, change: Any, expected: list[tuple[str, str]]
) -> None:
    workflow = make(api, account)
    before = len(control.published)
    assert problems(send(api, "PATCH", of(workflow), account, change)) == expected
    assert problems(send(api, "PATCH", "/workflows/x", account, change)) == [("id", "invalid_string"), *expected]
    assert len(control.published) == before


# --- how its deliveries go ---------------------------------------------------------------------------------------------


def test_the_status_says_how_deliveries_go(api: Api, account: Account, control: RacedControl) -> None:
    for enabled, state, expected in (
        (True, {}, "active"),
        (True, {"failing": True}, "failing"),
        (True, {"gone": True}, "disabled"),
        (True, {"failing": True, "gone": True}, "disabled"),
        (False, {}, "disabled"),
        (False, {"failing": True}, "disabled"),
    ):
        workflow = kept(account, enabled=enabled)
        control.put(workflow, WorkflowState(workflow.id, workflow.updated_at, **state))
        body = api.get(f"/workflows/{workflow.id}", account)
        assert (body["enabled"], body["status"]) == (enabled, expected)
        assert body in api.get("/workflows", account)["workflows"]


def test_a_change_makes_void_that_it_failed_or_was_gone(api: Api, account: Account, control: RacedControl) -> None:
    for state in ({"failing": True}, {"gone": True}):
        workflow = kept(account)
        control.put(workflow, WorkflowState(workflow.id, workflow.updated_at, **state))
        assert changed(api, f"/workflows/{workflow.id}", account, {"name": "x"})["status"] == "active"
        assert api.get(f"/workflows/{workflow.id}", account)["status"] == "active"
        assert control.registry.is_sending(control.workflow(account, workflow.id))


# --- another secret ----------------------------------------------------------------------------------------------------


@BOTH
def test_a_new_secret_signs_and_the_former_one_does_for_24_hours_more(
    api: Api, account: Account, control: RacedControl, prefix: str
) -> None:
    workflow = make(api, account)
    before = time.time_ns() // 1_000_000
    secret = rotate(api, account, workflow, prefix)
    newest, former = control.workflow(account, workflow["id"]).secrets
    assert secret != workflow["secret"]
    assert secret.startswith("whsec_")
    assert newest == SigningSecret(secret)
    assert former.text == workflow["secret"]
    assert 0 <= to_ms(parse_iso(former.expires_at)) - before - DAY_MS < 10_000


def test_never_more_than_two_secrets_sign(api: Api, account: Account, control: RacedControl) -> None:
    workflow = make(api, account)
    second, third = rotate(api, account, workflow), rotate(api, account, workflow)
    newest, former = control.workflow(account, workflow["id"]).secrets
    assert (newest, former.text) == (SigningSecret(third), second)
    assert former.expires_at
    control.put(replace(control.workflow(account, workflow["id"]), secrets=(newest, SigningSecret("x", to_wire(AT)))))
    fourth = rotate(api, account, workflow)
    assert [one.text for one in control.workflow(account, workflow["id"]).secrets] == [fourth, third]


def test_a_rotation_changes_nothing_else(api: Api, account: Account, control: RacedControl) -> None:
    workflow = kept(account)
    control.put(workflow, WorkflowState(workflow.id, workflow.updated_at, gone=True))
    rotate(api, account, {"id": workflow.id})
    after = control.workflow(account, workflow.id)
    assert replace(after, secrets=workflow.secrets) == workflow
    assert api.get(f"/workflows/{workflow.id}", account)["status"] == "disabled"


# --- removing one ------------------------------------------------------------------------------------------------------


@BOTH
def test_a_workflow_that_is_removed_is_gone(api: Api, account: Account, control: RacedControl, prefix: str) -> None:
    workflow = make(api, account)
    control.put(WorkflowState(workflow["id"], workflow["updatedAt"], failing=True))
    response = api.send("DELETE", prefix + of(workflow), account.secret)
    assert (response.status_code, response.content) == (204, b"")
    assert control.published[-2:] == [
        (workflow_state_key(workflow["id"]), None),
        (workflow_key(workflow["id"]), None),
    ]
    assert api.get("/workflows", account) == {"workflows": [], "cursor": None}
    foreign = make(api, Account(account.keys, account.tables))
    for unknown in (workflow["id"], NOBODY, foreign["id"]):
        for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/secret/rotate")):
            body = {"name": "x"} if method == "PATCH" else None
            response = send(api, method, f"/workflows/{unknown}{path}", account, body)
            error_of(response, 404, "RESOURCE_NOT_FOUND")
            assert ("x-data-age-ms" in response.headers) is (method == "GET")


# --- the list ----------------------------------------------------------------------------------------------------------


@BOTH
def test_workflows_are_listed_newest_first(
    api: Api, account: Account, other: Account, control: RacedControl, prefix: str
) -> None:
    control.put(kept(account, "old"), kept(other, "foreign"))
    make(api, account, name="new")
    page = api.get(f"{prefix}/workflows", account)
    WorkflowsPage.model_validate(page, extra="forbid")
    assert ([one["name"] for one in page["workflows"]], page["cursor"]) == (["new", "old"], None)


def test_following_the_cursor_visits_every_workflow_exactly_once(
    api: Api, account: Account, control: RacedControl
) -> None:
    control.put(*(kept(account, f"s{number}") for number in range(7)))
    control.put(*(kept(account, f"t{number}", created_at=to_wire(AT + number)) for number in range(4)))
    everything = api.get("/workflows", account)["workflows"]
    assert len(everything) == 11
    for limit in (1, 3, 10, 11, 12):
        found: list[Any] = []
        cursor, pages = "", 0
        while cursor is not None:
            page = api.get("/workflows", account, limit=limit, cursor=cursor)
            found, cursor, pages = found + page["workflows"], page["cursor"], pages + 1
        assert (found, pages) == (everything, -(-11 // limit))


def test_the_default_limit_is_100(api: Api, account: Account, control: RacedControl) -> None:
    control.put(*(kept(account) for _ in range(101)))
    page = api.get("/workflows", account)
    assert len(page["workflows"]) == 100
    assert len(api.get("/workflows", account, cursor=page["cursor"])["workflows"]) == 1


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"limit": "0"}, ("limit", "too_small")),
        ({"limit": "1001"}, ("limit", "too_big")),
        ({"cursor": "x"}, ("cursor", "invalid_string")),
        ({"cursor": list_token("segments", ListPlace(to_wire(AT), NOBODY))}, ("cursor", "invalid_string")),
    ],
)
def test_bad_parameters_are_named(api: Api, account: Account, params: dict[str, str], problem: tuple[str, str]) -> None:
    assert api.problems("/workflows", account, **params) == {problem}


# --- all routes --------------------------------------------------------------------------------------------------------


def writes(api: Api, account: Account, workflow_id: str = NOBODY) -> list[httpx.Response]:
    one = f"/workflows/{workflow_id}"
    return [
        send(api, "POST", "/workflows", account, TELL),
        send(api, "PATCH", one, account, {"name": "x"}),
        send(api, "POST", f"{one}/secret/rotate", account),
        send(api, "DELETE", one, account),
    ]


def everything(api: Api, account: Account, workflow_id: str = NOBODY) -> list[httpx.Response]:
    """The answer of each route."""
    one = f"/workflows/{workflow_id}"
    reads = [send(api, "GET", "/workflows", account), send(api, "GET", one, account)]
    return [*reads, *writes(api, account, workflow_id)]


ROUTES = pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/workflows"),
        ("POST", "/workflows"),
        ("GET", f"/workflows/{NOBODY}"),
        ("PATCH", f"/workflows/{NOBODY}"),
        ("DELETE", f"/workflows/{NOBODY}"),
        ("POST", f"/workflows/{NOBODY}/secret/rotate"),
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


def test_a_disabled_project_reads_and_does_not_write(
    api: Api, keys: KeyRing, tables: ClientTables, control: RacedControl
) -> None:
    disabled = Account(keys, tables, enabled=False)
    workflow = kept(disabled)
    control.put(workflow)
    before = len(control.published)
    answers = everything(api, disabled, workflow.id)
    assert [answer.status_code for answer in answers] == [200, 200, 403, 403, 403, 403]
    error_of(answers[-1], 403, "PROJECT_DISABLED")
    assert len(control.published) == before


def test_the_projects_limit_counts_every_route(tables: ClientTables, keys: KeyRing, account: Account) -> None:
    settings = Settings(limits=at_most(reads=6))
    with served(tables, keys, RacedControl(), NoMarkers(), settings=settings) as api:
        assert [answer.status_code for answer in everything(api, account)] == [200, 404, 201, 404, 404, 404]
        refused = everything(api, account)
        assert {answer.status_code for answer in refused} == {429}
        assert all("ratelimit-limit" in answer.headers for answer in refused)


def test_every_read_says_how_old_its_view_is_and_waits_for_its_position(keys: KeyRing) -> None:
    opened = open_test_tables()
    now = time.time_ns() // 1_000_000
    write_progress(opened, [Progress(0, 1, 1, 7, None, True, now, now)])
    account, control = Account(keys, opened), RacedControl()
    workflow = kept(account)
    control.put(workflow)
    settings = Settings(query=Query(after_position_seconds=0.2))
    with served(opened, keys, control, NoMarkers(), settings=settings) as api:
        for path in ("/workflows", f"/workflows/{workflow.id}"):
            api.get(path, account, position_token({0: 7}))
            late = {"X-After-Position": position_token({0: 8})}
            error_of(api.send("GET", path, account.secret, headers=late), 503, "SERVICE_UNAVAILABLE")
            assert api.problems(path, account, "nonsense") == {("X-After-Position", "invalid_string")}
    opened.close()


@BOTH
def test_other_methods_are_refused_and_told(api: Api, prefix: str) -> None:
    for path, allowed in (
        ("/workflows", "GET, HEAD, POST"),
        (f"/workflows/{NOBODY}", "GET, HEAD, PATCH, DELETE"),
        (f"/workflows/{NOBODY}/secret/rotate", "POST"),
    ):
        response = api.send("PUT", prefix + path)
        error_of(response, 405, "METHOD_NOT_ALLOWED")
        assert response.headers["allow"] == allowed


def test_a_log_that_does_not_answer_is_503(api: Api, account: Account, control: RacedControl) -> None:
    workflow = make(api, account)
    control.failure = LogUnavailable("away")
    for answer in everything(api, account, workflow["id"]):
        error_of(answer, 503, "SERVICE_UNAVAILABLE")
        assert int(answer.headers["retry-after"]) >= 1


def test_other_origins_are_answered_only_where_the_settings_say_so(
    tables: ClientTables, keys: KeyRing, account: Account
) -> None:
    settings = Settings(query=Query(cors_origins=["https://admin.example"]))
    with served(tables, keys, RacedControl(), NoMarkers(), settings=settings) as api:
        for origin, allowed in (("https://admin.example", "https://admin.example"), ("https://evil.example", None)):
            response = send(api, "GET", "/workflows", account, headers={"Origin": origin})
            assert response.headers.get("access-control-allow-origin") == allowed


# --- the document ------------------------------------------------------------------------------------------------------


def test_the_document_describes_the_routes(api: Api) -> None:
    document = api.send("GET", "/openapi.json").json()
    paths = {path: item for path, item in document["paths"].items() if path.startswith("/workflows")}
    ours = {path: item for path, item in paths.items() if "deliver" not in path and not path.endswith("/replay")}
    found = {(path, method): one for path, item in ours.items() for method, one in item.items()}
    common = {"401", "422", "429", "500", "503"}
    expected = {
        ("/workflows", "get"): ("list_workflows", {"200"}),
        ("/workflows", "post"): ("make_workflow", {"201", "400", "403", "413", "415"}),
        ("/workflows/{id}", "get"): ("get_workflow", {"200", "404"}),
        ("/workflows/{id}", "patch"): ("change_workflow", {"200", "400", "403", "404", "413", "415"}),
        ("/workflows/{id}", "delete"): ("remove_workflow", {"204", "403", "404"}),
        ("/workflows/{id}/secret/rotate", "post"): ("rotate_secret", {"200", "403", "404"}),
    }
    assert {key: (one["operationId"], one["responses"].keys() - common) for key, one in found.items()} == expected
    for one in found.values():
        assert common <= one["responses"].keys()
        assert (one["security"], one["tags"]) == ([{"key": []}], ["workflows"])
        assert one["description"]
    assert {one["name"] for one in found["/workflows", "get"]["parameters"]} == {"limit", "cursor", "X-After-Position"}
    for method, path in (("post", "/workflows"), ("patch", "/workflows/{id}")):
        body = found[path, method]["requestBody"]["content"]["application/json"]["schema"]
        assert body["properties"].keys() == {"name", "enabled", "trigger", "webhook"}
    answers = {
        (path, method): one["responses"].get("201", one["responses"].get("200"))["content"]["application/json"][
            "schema"
        ]
        for (path, method), one in found.items()
        if method != "delete"
    }
    with_secret = {
        key for key, schema in answers.items()
        if "secret" in document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
    }  # fmt: skip
    assert with_secret == {("/workflows", "post"), ("/workflows/{id}/secret/rotate", "post")}

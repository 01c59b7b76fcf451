"""The routes of deliveries: each sentence of the contract about them has a test named after it.

Nothing is sent here: the tables hold what planning and attempts would have stated, and events as the writer puts them.
"""

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

from consumers.webhooks.outcomes import begun, ended, given_up
from consumers.webhooks.sending import Answer
from penstock.auth import KeyRing
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.progress import Progress, write_progress
from penstock.deliveries import (
    DEAD,
    DELIVERED,
    FAILED,
    INTERRUPTED,
    PENDING,
    Attempt,
    Delivery,
    insert_rows,
    open_deliveries,
    requested_deliveries,
)
from penstock.errors import LogUnavailable, TablesUnavailable
from penstock.settings import Query, Settings
from query_api import redelivering
from query_api.list_cursor import ListPlace
from query_api.list_cursor import to_token as list_token
from schemas.position import to_token as position_token
from schemas.registry import Segment, SigningSecret, Workflow
from schemas.times import parse_iso, to_ms, to_wire
from schemas.wire_deliveries import DeliveriesPage, DeliveryWithAttempts, Replay, Replayed
from tests.support.limits import at_most
from tests.support.registered import AT, NOBODY, RacedControl, condition, member_of, plan, problems, send, served, track
from tests.support.tables import open_test_tables
from tests.wire.test_reads import Account, Api, NoMarkers, error_of

BOTH = pytest.mark.parametrize("prefix", ["", "/v1"])
STATUSES = [PENDING, DELIVERED, FAILED, DEAD]
EACH_STATUS = pytest.mark.parametrize("status", STATUSES)
ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"
ALWAYS = {"startDate": "2020-01-01", "endDate": "2030-01-01"}
DAY_MS = 24 * 60 * 60 * 1000
PARTITION = 3


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


@pytest.fixture
def workflow(account: Account, control: RacedControl) -> Workflow:
    return made(control, account)


def made(control: RacedControl, account: Account, rule: Any = None, **more: Any) -> Workflow:
    """A workflow of the project."""
    now, secrets = to_wire(AT), (SigningSecret("whsec_x"),)
    members: dict[str, Any] = {"enabled": True, "event_name": "signup", "url": "https://example.com"} | more
    text = json.dumps(rule) if rule else ""
    found = Workflow(
        id=str(uuid4()),
        project_id=account.id,
        name="CRM",
        secrets=secrets,
        created_at=now,
        updated_at=now,
        condition=text,
        **members,
    )
    control.put(found)
    return found


def delivery(workflow: Workflow, number: int = 0, **more: Any) -> Delivery:
    """One that became due so many milliseconds later than another."""
    at = AT + number
    times = {"occurred_ms": at, "created_ms": at, "due_since_ms": at, "next_attempt_ms": at}
    return Delivery(
        **{
            "id": str(uuid4()),
            "project_id": workflow.project_id,
            "workflow_id": workflow.id,
            "event_id": str(uuid4()),
            "log_partition": PARTITION,
            **times,
            **more,
        }
    )


def put(account: Account, *deliveries: Delivery) -> None:
    """States them, one after another."""
    for one in deliveries:
        insert_rows(account.tables, [one])


def attempted(one: Delivery, answer: Answer, at: int, after_ms: int = 0) -> tuple[Delivery, list[Attempt]]:
    """What an attempt makes of a delivery, with the rows of the attempt, as the sender states them."""
    beginning = begun(one, at)
    end = ended(beginning, answer, at + after_ms, 0.5)
    return end.delivery, [beginning.attempt, end.attempt]


def in_status(workflow: Workflow, status: str, number: int = 0) -> Delivery:
    """A delivery that came to be so."""
    one = delivery(workflow, number)
    if status == PENDING:
        return one
    if status == DEAD:
        return given_up(one, "The event was deleted")
    return attempted(one, Answer(200 if status == DELIVERED else 500, 5), one.created_ms)[0]


def of(workflow: Workflow, one: Delivery | None = None) -> str:
    return f"/workflows/{workflow.id}/deliveries{f'/{one.id}' if one else ''}"


def listed(api: Api, account: Account, workflow: Workflow, **params: Any) -> list[str]:
    """The ids of the first page, which is the only one."""
    page = api.get(of(workflow), account, **params)
    assert page["cursor"] is None
    return [one["id"] for one in page["deliveries"]]


def ids(*deliveries: Delivery) -> list[str]:
    return [one.id for one in deliveries]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


# --- the list ----------------------------------------------------------------------------------------------------------


@BOTH
def test_a_delivery_has_exactly_the_members_of_the_contract(
    api: Api, account: Account, workflow: Workflow, prefix: str
) -> None:
    failed, attempts = attempted(delivery(workflow), Answer(503, 21, "The endpoint answered 503"), AT + 7, 30)
    insert_rows(account.tables, [failed], attempts)
    page = api.get(prefix + of(workflow), account)
    assert page == {
        "deliveries": [
            {
                "id": failed.id,
                "eventId": failed.event_id,
                "status": "failed",
                "attempts": 1,
                "createdAt": to_wire(AT),
                "lastStatusCode": 503,
                "lastError": "The endpoint answered 503",
                "nextAttemptAt": to_wire(failed.next_attempt_ms),
            }
        ],
        "cursor": None,
    }
    assert failed.next_attempt_ms > AT + 37
    DeliveriesPage.model_validate(page, extra="forbid")


def test_members_that_say_nothing_are_left_out(api: Api, account: Account, workflow: Workflow) -> None:
    pending = delivery(workflow, 4)
    unanswered, _ = attempted(delivery(workflow, 3), Answer(None, 9, "The endpoint did not answer in time"), AT)
    delivered, _ = attempted(delivery(workflow, 2), Answer(204, 9), AT)
    dead = given_up(delivery(workflow, 1), "The event was deleted")
    gone, _ = attempted(delivery(workflow, 0), Answer(410, 9, "The endpoint answered 410"), AT)
    put(account, pending, unanswered, delivered, dead, gone)
    page = api.get(of(workflow), account)
    DeliveriesPage.model_validate(page, extra="forbid")
    always = {"id", "eventId", "status", "attempts", "createdAt"}
    assert [set(one) - always for one in page["deliveries"]] == [
        {"nextAttemptAt"},
        {"lastError", "nextAttemptAt"},
        {"lastStatusCode"},
        {"lastError"},
        {"lastStatusCode", "lastError"},
    ]
    assert [one["status"] for one in page["deliveries"]] == [PENDING, FAILED, DELIVERED, DEAD, DEAD]
    for one in page["deliveries"]:
        single = api.get(f"{of(workflow)}/{one['id']}", account)
        assert {**one, "attempts": [], "attemptCount": 0} == single


def test_an_attempt_under_way_is_listed_as_one_without_an_answer_and_changes_nothing_else(
    api: Api, account: Account, workflow: Workflow
) -> None:
    one = in_status(workflow, FAILED)
    insert_rows(account.tables, [one], [begun(one, AT + 6000).attempt])
    (found,) = api.get(of(workflow), account)["deliveries"]
    assert (found["status"], found["attempts"], found["lastStatusCode"]) == (FAILED, 1, 500)
    assert api.get(of(workflow, one), account)["attempts"] == [
        {"at": to_wire(AT + 6000), "statusCode": None, "durationMs": 0, "error": INTERRUPTED, "response": ""}
    ]


def test_a_workflow_without_deliveries_has_an_empty_list(api: Api, account: Account, workflow: Workflow) -> None:
    for params in ({}, {"status": "dead"}):
        assert api.get(of(workflow), account, **params) == {"deliveries": [], "cursor": None}


def test_deliveries_are_listed_newest_first(api: Api, account: Account, workflow: Workflow) -> None:
    old, middle, new = (delivery(workflow, number) for number in (0, 1, 1000))
    late = delivery(workflow, 2, occurred_ms=AT - 5 * DAY_MS)
    put(account, middle, new, late, old)
    assert listed(api, account, workflow) == ids(new, late, middle, old)


def test_the_newest_row_of_a_delivery_counts_and_it_is_listed_once(
    api: Api, account: Account, workflow: Workflow
) -> None:
    one, two = delivery(workflow, 1), delivery(workflow, 0)
    failed, _ = attempted(one, Answer(500, 1, "The endpoint answered 500"), AT)
    delivered, _ = attempted(failed, Answer(200, 1), AT)
    put(account, delivered, one, two, failed, one)  # what is written late is not newer
    found = api.get(of(workflow), account)["deliveries"]
    assert [(row["id"], row["status"], row["attempts"]) for row in found] == [
        (one.id, DELIVERED, 2),
        (two.id, PENDING, 0),
    ]
    assert "lastError" not in found[0]


@BOTH
@EACH_STATUS
def test_the_list_may_be_of_one_status(
    api: Api, account: Account, workflow: Workflow, status: str, prefix: str
) -> None:
    every = {one: in_status(workflow, one, number) for number, one in enumerate(STATUSES)}
    put(account, *every.values())
    page = api.get(prefix + of(workflow), account, status=status)
    assert [(one["id"], one["status"]) for one in page["deliveries"]] == [(every[status].id, status)]
    assert page["cursor"] is None


def test_only_the_status_that_a_delivery_has_now_counts(api: Api, account: Account, workflow: Workflow) -> None:
    one = delivery(workflow)
    failed, _ = attempted(one, Answer(500, 1), AT)
    delivered, _ = attempted(failed, Answer(200, 1), AT)
    for state in (one, failed, delivered):
        put(account, state)
        found = {status: listed(api, account, workflow, status=status) for status in STATUSES}
        assert found == {status: ids(one) if status == state.status else [] for status in STATUSES}


def test_an_empty_parameter_means_none(api: Api, account: Account, workflow: Workflow) -> None:
    deliveries = [in_status(workflow, status, number) for number, status in enumerate(STATUSES)]
    put(account, *deliveries)
    assert listed(api, account, workflow, status="", limit="", cursor="") == ids(*reversed(deliveries))


def walk(api: Api, account: Account, workflow: Workflow, between: Any = lambda: None, **params: Any) -> list[list[str]]:
    """The ids on each page; `between` is called between two of them."""
    pages: list[list[str]] = []
    cursor = ""
    while cursor is not None:
        page = api.get(of(workflow), account, cursor=cursor, **params)
        pages.append([one["id"] for one in page["deliveries"]])
        cursor = page["cursor"]
        between()
    return pages


def test_following_the_cursor_visits_every_delivery_exactly_once(
    api: Api, account: Account, workflow: Workflow
) -> None:
    deliveries = [in_status(workflow, STATUSES[number % 4], number // 5) for number in range(23)]
    insert_rows(account.tables, [delivery(workflow, index // 5, id=one.id) for index, one in enumerate(deliveries)])
    insert_rows(account.tables, deliveries)
    for params in ({}, {"status": PENDING}, {"status": DEAD}):
        wanted = [one for one in deliveries if params.get("status", one.status) == one.status]
        everything = listed(api, account, workflow, **params)
        assert sorted(everything) == sorted(ids(*wanted))
        for limit in (1, 2, 5, len(wanted) - 1, len(wanted), 100):
            pages = walk(api, account, workflow, limit=limit, **params)
            assert [one for page in pages for one in page] == everything
            assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
            assert len(pages) == -(-len(wanted) // limit)


@pytest.mark.parametrize("status", ["", PENDING])
def test_following_the_cursor_misses_none_while_new_ones_come_and_others_go_on(
    api: Api, account: Account, workflow: Workflow, status: str
) -> None:
    deliveries = [delivery(workflow, number // 3) for number in range(12)]
    put(account, *deliveries)
    arriving = iter(range(100, 200))

    def between() -> None:
        for _ in range(3):
            put(account, delivery(workflow, next(arriving)))
        insert_rows(account.tables, [begun(one, AT).delivery for one in deliveries])

    visited = [one for page in walk(api, account, workflow, between, limit=5, status=status) for one in page]
    assert sorted(visited) == sorted(ids(*deliveries))


def test_the_default_limit_is_100(api: Api, account: Account, workflow: Workflow) -> None:
    insert_rows(account.tables, [delivery(workflow, number) for number in range(101)])
    assert [len(page) for page in walk(api, account, workflow)] == [100, 1]
    assert [len(page) for page in walk(api, account, workflow, limit=1000)] == [101]


def place(created_at: str, id_: str = NOBODY) -> str:
    return list_token("deliveries", ListPlace(created_at, id_))


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"limit": "0"}, ("limit", "too_small")),
        ({"limit": "-1"}, ("limit", "too_small")),
        ({"limit": "1001"}, ("limit", "too_big")),
        ({"limit": "abc"}, ("limit", "invalid_type")),
        ({"status": "sent"}, ("status", "invalid_enum_value")),
        ({"status": "Dead"}, ("status", "invalid_enum_value")),
        ({"status": "pending,dead"}, ("status", "invalid_enum_value")),
        ({"cursor": "x"}, ("cursor", "invalid_string")),
        ({"cursor": list_token("workflows", ListPlace(to_wire(AT), NOBODY))}, ("cursor", "invalid_string")),
        ({"cursor": list_token("members", ListPlace("", NOBODY))}, ("cursor", "invalid_string")),
    ],
)
def test_bad_parameters_are_named(
    api: Api, account: Account, workflow: Workflow, params: dict[str, str], problem: tuple[str, str]
) -> None:
    assert api.problems(of(workflow), account, **params) == {problem}


@pytest.mark.parametrize("created_at", ["", "T", "99", "2026-99-01T00:00:00.000Z", "-1"])
def test_a_cursor_that_no_list_has_answered_is_named(
    api: Api, account: Account, workflow: Workflow, created_at: str
) -> None:
    for status in ("", "dead"):
        found = api.problems(of(workflow), account, cursor=place(created_at), status=status)
        assert found == {("cursor", "invalid_string")}


def test_a_cursor_of_any_moment_is_taken(api: Api, account: Account, workflow: Workflow) -> None:
    one = delivery(workflow)
    put(account, one)
    for moment, expected in ((0, []), (AT, []), (AT + 1, [one.id]), (4_102_444_800_000, [one.id])):
        token = place(to_wire(moment), "00000000-0000-0000-0000-000000000000")
        assert listed(api, account, workflow, cursor=token) == expected


def test_all_that_is_wrong_is_told_together(api: Api, account: Account) -> None:
    found = api.problems("/workflows/x/deliveries", account, "nonsense", limit=0, status="x", cursor="x")
    assert {field for field, _ in found} == {"id", "limit", "status", "cursor", "X-After-Position"}
    assert api.problems("/workflows/x/deliveries/y", account, "nonsense") == {
        ("id", "invalid_string"),
        ("deliveryId", "invalid_string"),
        ("X-After-Position", "invalid_string"),
    }


def test_a_list_has_no_deliveries_of_another_workflow_or_project(
    api: Api, account: Account, other: Account, control: RacedControl
) -> None:
    first, second, foreign = made(control, account), made(control, account), made(control, other)
    own = [delivery(one) for one in (first, second, foreign)]
    put(account, *own, replace(delivery(first), project_id=other.id))
    assert listed(api, account, first) == ids(own[0])
    assert listed(api, account, second) == ids(own[1])
    assert listed(api, other, foreign) == ids(own[2])


# --- one of them -------------------------------------------------------------------------------------------------------


@BOTH
def test_a_delivery_is_answered_with_each_attempt(api: Api, account: Account, workflow: Workflow, prefix: str) -> None:
    one, rows = delivery(workflow), []
    answers = [
        Answer(None, 10_000, "The endpoint did not answer in time"),
        Answer(500, 12, "The endpoint answered 500", 'größer \u0000 "than" 😀\ufffd'),
        Answer(200, 3, None, "x" * 1024),
    ]
    for number, answer in enumerate(answers):
        one, attempts = attempted(one, answer, AT + 60_000 * number, answer.duration_ms)
        rows += attempts
    insert_rows(account.tables, [one], rows[::-1])
    stranger = delivery(workflow)
    insert_rows(account.tables, [stranger], [Attempt(stranger.id, 1, AT)])
    body = api.get(prefix + of(workflow, one), account)
    assert body == {
        "id": one.id,
        "eventId": one.event_id,
        "status": "delivered",
        "attempts": [
            {
                "at": to_wire(AT + 60_000 * number),
                "statusCode": answer.status_code,
                "durationMs": answer.duration_ms,
                "error": answer.error,
                "response": answer.response,
            }
            for number, answer in enumerate(answers)
        ],
        "attemptCount": 3,
        "createdAt": to_wire(AT),
        "lastStatusCode": 200,
    }
    DeliveryWithAttempts.model_validate(body, extra="forbid")


def test_attempts_stand_in_their_order(api: Api, account: Account, workflow: Workflow) -> None:
    one = replace(delivery(workflow), attempts=12, status=FAILED)
    rows = [Attempt(one.id, number, AT + number * 1000, 500, has_ended=True) for number in range(1, 13)]
    insert_rows(account.tables, [one], rows[::-1])
    found = api.get(of(workflow, one), account)["attempts"]
    assert [attempt["at"] for attempt in found] == [to_wire(row.at_ms) for row in rows]


def test_an_attempt_of_a_process_that_ended_stays_beside_the_one_that_repeats_it(
    api: Api, account: Account, workflow: Workflow
) -> None:
    one = delivery(workflow)
    lost = Attempt(one.id, 1, AT)
    done, rows = attempted(one, Answer(200, 4, None, "ok"), AT + 5000)
    insert_rows(account.tables, [done], [lost, *rows])
    found = api.get(of(workflow, done), account)
    assert [(row["at"], row["error"], row["statusCode"]) for row in found["attempts"]] == [
        (to_wire(AT), INTERRUPTED, None),
        (to_wire(AT + 5000), None, 200),
    ]
    assert found["attemptCount"] == 2


def test_ids_may_be_in_upper_case(api: Api, account: Account, workflow: Workflow) -> None:
    one = delivery(workflow)
    put(account, one)
    path = f"/workflows/{workflow.id.upper()}/deliveries"
    assert api.get(path, account)["deliveries"][0]["id"] == one.id
    assert api.get(f"{path}/{one.id.upper()}", account)["id"] == one.id
    assert send(api, "POST", f"{path}/{one.id.upper()}/retry", account).json()["id"] == one.id
    assert wanted(account, one).id == one.id


# --- trying one again --------------------------------------------------------------------------------------------------


def retried(api: Api, account: Account, workflow: Workflow, one: Delivery, prefix: str = "") -> Any:
    """The body of the answer, which reads repeat."""
    before = to_wire(now_ms())
    response = send(api, "POST", f"{prefix}{of(workflow, one)}/retry", account)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    DeliveryWithAttempts.model_validate(body, extra="forbid")
    assert body["status"] == PENDING
    assert before <= body["nextAttemptAt"] <= to_wire(now_ms())
    assert api.get(of(workflow, one), account) == body
    return body


def wanted(account: Account, one: Delivery) -> Delivery:
    """As the sender finds it, among what was asked for, and among what is open."""
    asked = requested_deliveries(account.tables, {PARTITION}, now_ms() - 60_000, 10_000)
    (found,) = [row for row in asked if row.id == one.id]
    assert found in open_deliveries(account.tables, {PARTITION}, now_ms(), 10_000)
    return found


@BOTH
@EACH_STATUS
def test_a_retry_makes_a_delivery_due_now_whatever_came_of_it(
    api: Api, account: Account, workflow: Workflow, status: str, prefix: str
) -> None:
    one = in_status(workflow, status)
    put(account, one)
    body = retried(api, account, workflow, one, prefix)
    assert (body["id"], body["eventId"], body["createdAt"]) == (one.id, one.event_id, to_wire(AT))
    found = wanted(account, one)
    assert to_wire(found.next_attempt_ms) == body["nextAttemptAt"]
    assert (found.attempts, found.log_partition, found.occurred_ms) == (one.attempts, PARTITION, AT)
    assert listed(api, account, workflow, status=PENDING) == ids(one)
    assert listed(api, account, workflow) == ids(one)


def test_a_retry_answers_the_attempts_so_far_and_what_came_of_the_last_one(
    api: Api, account: Account, workflow: Workflow
) -> None:
    failed, rows = attempted(delivery(workflow), Answer(500, 3, "The endpoint answered 500", "no"), AT, 3)
    insert_rows(account.tables, [failed], rows)
    body = retried(api, account, workflow, failed)
    assert (body["lastStatusCode"], body["lastError"], body["attemptCount"]) == (500, "The endpoint answered 500", 1)
    assert [(row["statusCode"], row["response"]) for row in body["attempts"]] == [(500, "no")]


def test_a_delivery_that_is_retried_is_tried_for_24_hours_from_then_on(
    api: Api, account: Account, workflow: Workflow
) -> None:
    old = given_up(delivery(workflow), "The workflow was disabled for a day")
    put(account, old)
    retried(api, account, workflow, old)
    found = wanted(account, old)
    again, _ = attempted(found, Answer(500, 1), found.due_since_ms + DAY_MS - 1)
    assert again.status == FAILED
    again, _ = attempted(found, Answer(500, 1), found.due_since_ms + DAY_MS)
    assert again.status == DEAD


@pytest.mark.parametrize("answer", [Answer(200, 1), Answer(500, 1, "The endpoint answered 500"), Answer(410, 1)])
def test_the_outcome_of_an_attempt_under_way_does_not_undo_a_retry(
    api: Api, account: Account, workflow: Workflow, answer: Answer
) -> None:
    one, _ = attempted(delivery(workflow), Answer(500, 1), AT)
    beginning = begun(one, AT + 5000)
    insert_rows(account.tables, [one], [beginning.attempt])
    body = retried(api, account, workflow, one)
    end = ended(beginning, answer, AT + 6000, 0.5)
    insert_rows(account.tables, [end.delivery], [end.attempt])
    after = api.get(of(workflow, one), account)
    assert {name: value for name, value in after.items() if name != "attempts"} == {
        name: value for name, value in body.items() if name != "attempts"
    }
    assert [row["statusCode"] for row in after["attempts"]] == [answer.status_code]
    assert listed(api, account, workflow, status=PENDING) == ids(one)
    assert wanted(account, one).next_attempt_ms == to_ms(parse_iso(body["nextAttemptAt"]))


def test_an_attempt_that_began_before_a_retry_and_is_stated_after_it_does_not_undo_it_either(
    api: Api, account: Account, workflow: Workflow
) -> None:
    one = delivery(workflow)
    put(account, one)
    retried(api, account, workflow, one)
    delivered, rows = attempted(one, Answer(200, 1), AT)
    insert_rows(account.tables, [delivered], rows)
    assert api.get(of(workflow, one), account)["status"] == PENDING


def test_the_attempt_that_was_asked_for_counts(api: Api, account: Account, workflow: Workflow) -> None:
    one = in_status(workflow, DEAD)
    put(account, one)
    retried(api, account, workflow, one)
    delivered, rows = attempted(wanted(account, one), Answer(200, 1, None, "ok"), now_ms())
    insert_rows(account.tables, [delivered], rows)
    found = api.get(of(workflow, one), account)
    assert (found["status"], found["attemptCount"], "nextAttemptAt" in found) == (DELIVERED, 1, False)
    assert one.id not in [
        row.id for row in requested_deliveries(account.tables, {PARTITION}, now_ms() - 60_000, 10_000)
    ]


def test_to_ask_for_a_retry_twice_is_harmless(api: Api, account: Account, workflow: Workflow) -> None:
    one = in_status(workflow, DELIVERED)
    put(account, one)
    for _ in range(3):
        retried(api, account, workflow, one)
    assert wanted(account, one).attempts == 1


def test_a_retry_takes_any_body_and_none(api: Api, account: Account, workflow: Workflow) -> None:
    one = delivery(workflow)
    put(account, one)
    for body in (None, b"", b"{}", b"x", b"[]"):
        assert send(api, "POST", f"{of(workflow, one)}/retry", account, body).status_code == 200


# --- sending events again ----------------------------------------------------------------------------------------------


def replayed(api: Api, account: Account, workflow: Workflow, prefix: str = "", **dates: str) -> int:
    """How many deliveries were made."""
    response = send(api, "POST", f"{prefix}/workflows/{workflow.id}/replay", account, dates or ALWAYS)
    assert response.status_code == 202, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    Replayed.model_validate(body, extra="forbid")
    count: int = body["deliveries"]
    assert body == {"deliveries": count, "status": "pending"}
    return count


def sent_again(api: Api, account: Account, workflow: Workflow) -> list[str]:
    """The ids of the events of all deliveries, in order."""
    return sorted(one["eventId"] for one in api.get(of(workflow), account, limit=1000)["deliveries"])


@BOTH
def test_a_replay_makes_a_delivery_of_each_event(api: Api, account: Account, workflow: Workflow, prefix: str) -> None:
    before = to_wire(now_ms())
    events = [account.event(AT + number, email=email) for number, email in enumerate([ADA, ADA, BOB])]
    account.store(*events)
    assert replayed(api, account, workflow, prefix) == 3
    page = api.get(of(workflow), account)
    DeliveriesPage.model_validate(page, extra="forbid")
    found = page["deliveries"]
    assert sorted(one["eventId"] for one in found) == sorted(event.id for event in events)
    assert len({one["id"] for one in found}) == 3
    for one in found:
        assert one.keys() == {"id", "eventId", "status", "attempts", "createdAt", "nextAttemptAt"}
        assert (one["status"], one["attempts"]) == (PENDING, 0)
        assert before <= one["createdAt"] == one["nextAttemptAt"] <= to_wire(now_ms())
        assert UUID(one["id"])


def test_what_is_replayed_is_what_the_senders_look_at(api: Api, account: Account, workflow: Workflow) -> None:
    event = account.event(AT)
    line = {**msgspec.to_builtins(event), "log_partition": PARTITION}
    account.tables.insert("events", msgspec.json.encode(line))
    assert replayed(api, account, workflow) == 1
    (listed_one,) = api.get(of(workflow), account)["deliveries"]
    found = wanted(account, delivery(workflow, id=listed_one["id"]))
    made_at = to_ms(parse_iso(listed_one["createdAt"]))
    assert found == Delivery(
        id=listed_one["id"],
        project_id=account.id,
        workflow_id=workflow.id,
        event_id=event.id,
        occurred_ms=AT,
        log_partition=PARTITION,
        created_ms=made_at,
        due_since_ms=made_at,
        next_attempt_ms=made_at,
        requested_ms=made_at,
    )
    delivered, rows = attempted(found, Answer(200, 5, None, "ok"), made_at)
    insert_rows(account.tables, [delivered], rows)
    assert api.get(of(workflow, delivered), account)["attempts"][0]["response"] == "ok"


def test_events_from_before_the_workflow_are_sent_too_and_those_that_were_sent_before(
    api: Api, account: Account, workflow: Workflow
) -> None:
    old, new = account.store(account.event(AT - 90 * DAY_MS), account.event(AT + 5))
    before = in_status(workflow, DELIVERED)
    put(account, replace(before, event_id=new))
    assert replayed(api, account, workflow) == 2
    assert sent_again(api, account, workflow) == sorted([old, new, new])
    assert api.get(of(workflow, before), account)["status"] == DELIVERED


def test_each_replay_sends_them_once_more(api: Api, account: Account, workflow: Workflow) -> None:
    (event,) = account.store(account.event(AT))
    assert [replayed(api, account, workflow) for _ in range(3)] == [1, 1, 1]
    found = api.get(of(workflow), account)["deliveries"]
    assert [one["eventId"] for one in found] == [event] * 3
    assert len({event, *(one["id"] for one in found)}) == 4


def test_only_events_of_the_triggers_name_and_the_project_are_sent(
    api: Api, account: Account, other: Account, control: RacedControl
) -> None:
    names = ["signup", "email.open", "contact.unsubscribed", "segment.vip.entry", "größe/1", "Signup"]
    events = {name: account.store(account.event(AT, name)) for name in names}
    for name in names:
        other.store(other.event(AT, name))
    for name in names:
        one = made(control, account, event_name=name)
        assert replayed(api, account, one) == 1
        assert sent_again(api, account, one) == events[name]


def test_nothing_to_send_is_told(api: Api, account: Account, workflow: Workflow) -> None:
    assert replayed(api, account, workflow) == 0
    account.store(account.event(AT))
    assert replayed(api, account, workflow, startDate="2020-01-01", endDate="2020-12-31") == 0


def test_only_events_that_meet_the_condition_are_sent(api: Api, account: Account, control: RacedControl) -> None:
    events = {}
    for email, level, number in ((ADA, "pro", 3), (ADA, "pro", 9), (BOB, "free", 9), (EVE, "pro", 10)):
        data = json.dumps({"plan": level, "amount": number})
        (events[email, number],) = account.store(account.event(AT + number, email=email, data=data))
    track(account, ADA, name="other", data='{"amount":50}', at=AT + 50)
    amount = {"field": "trigger.data.amount", "operator": "greaterThan", "value": 5}
    of_contact = {"field": "data.amount", "operator": "equals", "value": 50}
    twice = {"field": "event.signup", "operator": "countEquals", "value": 2}
    for rule, expected in (
        (condition(plan("pro")), [(ADA, 3), (ADA, 9), (EVE, 10)]),
        (condition(amount), [(ADA, 9), (BOB, 9), (EVE, 10)]),
        (condition(plan("pro"), amount), [(ADA, 9), (EVE, 10)]),
        (condition(of_contact, amount), [(ADA, 9)]),
        (condition(twice), [(ADA, 3), (ADA, 9)]),
        (condition(plan("none")), []),
    ):
        one = made(control, account, rule)
        assert replayed(api, account, one) == len(expected), rule
        assert sent_again(api, account, one) == sorted(events[key] for key in expected)
    workflow = made(control, account, condition(plan("pro"), amount))
    ninth = to_wire(AT + 9)
    assert replayed(api, account, workflow, startDate=ninth, endDate=ninth) == 1
    assert sent_again(api, account, workflow) == [events[ADA, 9]]


def test_a_condition_may_ask_for_segments(api: Api, account: Account, control: RacedControl) -> None:
    now = to_wire(AT)
    text = json.dumps(condition(plan("pro")))
    segment = Segment(str(uuid4()), account.id, "VIP", "vip", text, False, "1", now, now)
    control.put(segment)
    (pro,) = account.store(account.event(AT, email=ADA, data='{"plan":"pro"}'))
    (free,) = account.store(account.event(AT, email=BOB, data='{"plan":"free"}'))
    inside, outside = member_of(segment.id), member_of(segment.id) | {"operator": "notMemberOfSegment"}
    for rule, expected in ((inside, pro), (outside, free)):
        one = made(control, account, condition(rule))
        assert replayed(api, account, one) == 1
        assert sent_again(api, account, one) == [expected]


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (("2026-03-01", "2026-03-01"), [1, 2, 3, 4]),
        (("2026-02-28", "2026-03-01"), [0, 1, 2, 3, 4]),
        (("2026-03-01", "2026-03-02"), [1, 2, 3, 4, 5]),
        (("2026-03-01T12:00:00Z", "2026-03-01"), [2, 3, 4]),
        (("2026-03-01", "2026-03-01T12:00:00Z"), [1, 2]),
        (("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"), [2]),
        (("2026-03-01T12:00:00.000Z", "2026-03-01T12:00:00.001Z"), [2, 3]),
        (("2026-03-01T13:00:00+01:00", "2026-03-01T13:00:00.000+01"), [2]),
        (("2026-03-01 12:00", "2026-03-01 12:00"), [2]),
        (("0001-01-01", "9999-12-31"), [0, 1, 2, 3, 4, 5]),
        (("2026-03-02T00:00:00.001Z", "9999-12-31"), []),
        (("1960-01-01", "1969-12-31"), []),
        (("2300-01-01", "2400-01-01"), []),
    ],
)
def test_both_dates_are_included_and_one_without_a_time_is_the_whole_day(
    api: Api, account: Account, workflow: Workflow, dates: tuple[str, str], expected: list[int]
) -> None:
    moments = [
        "2026-02-28T23:59:59.999",
        "2026-03-01T00:00:00",
        "2026-03-01T12:00:00",
        "2026-03-01T12:00:00.001",
        "2026-03-01T23:59:59.999",
        "2026-03-02T00:00:00",
    ]
    events = account.store(*map(account.event, moments))
    start, end = dates
    assert replayed(api, account, workflow, startDate=start, endDate=end) == len(expected)
    assert sent_again(api, account, workflow) == sorted(events[index] for index in expected)


REQUIRED = [("startDate", "invalid_type"), ("endDate", "invalid_type")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, REQUIRED),
        ({"startDate": "2026-03-01"}, REQUIRED[1:]),
        ({"endDate": "2026-03-01"}, REQUIRED[:1]),
        ({"startDate": None, "endDate": None}, REQUIRED),
        ({"startDate": 5, "endDate": []}, REQUIRED),
        ({"startDate": "", "endDate": " "}, [("startDate", "invalid_string"), ("endDate", "invalid_string")]),
        ({"startDate": "today", "endDate": "2026-02-30"}, [("startDate", "invalid_string"), ("endDate", "invalid_string")]),
        ({"startDate": "\u0000", "endDate": "2026-03-01"}, [("startDate", "invalid_string")]),
        ({"startDate": "2026-03-02", "endDate": "2026-03-01"}, [("startDate", "custom")]),
        ({"startDate": "2026-03-01T12:00:00.001Z", "endDate": "2026-03-01T12:00:00Z"}, [("startDate", "custom")]),
        ([], [("body", "invalid_type")]),
        ("x", [("body", "invalid_type")]),
        (5, [("body", "invalid_type")]),
    ],
)  # fmt: skip
def test_both_dates_are_required_and_checked(
    api: Api, account: Account, workflow: Workflow, body: Any, expected: list[tuple[str, str]]
) -> None:
    account.store(account.event(AT))
    content = json.dumps(body).encode()
    assert problems(send(api, "POST", f"/workflows/{workflow.id}/replay", account, content)) == expected
    assert problems(send(api, "POST", "/workflows/x/replay", account, content)) == [("id", "invalid_string"), *expected]
    assert listed(api, account, workflow) == []


def test_other_members_of_the_body_are_ignored_and_of_one_that_comes_twice_the_last_counts(
    api: Api, account: Account, workflow: Workflow
) -> None:
    account.store(account.event(AT))
    body = b'{"more":5,"startDate":7,"startDate":"2026-01-01","endDate":"2026-12-31"}'
    response = send(api, "POST", f"/workflows/{workflow.id}/replay", account, body)
    assert (response.status_code, response.json()) == (202, {"deliveries": 1, "status": "pending"})


def test_the_body_of_a_replay_follows_the_common_rules(api: Api, account: Account, workflow: Workflow) -> None:
    path = f"/workflows/{workflow.id}/replay"
    for body in (b"", b"{", b'{"startDate":"\\ud800"}', b'{"a":' + b"[" * 30_000, b'{"startDate":"\xff"}'):
        error_of(send(api, "POST", path, account, body), 400, "BAD_REQUEST")
    for headers in ({"Content-Type": "text/plain"}, {"Content-Encoding": "br"}):
        error_of(send(api, "POST", path, account, ALWAYS, headers=headers), 415, "UNSUPPORTED_MEDIA_TYPE")
    fits = json.dumps({**ALWAYS, "more": ""}).encode()
    fits = fits[:-2] + b"x" * (64 * 1024 - len(fits)) + fits[-2:]
    packed = {"Content-Encoding": "gzip"}
    assert send(api, "POST", path, account, gzip.compress(fits), headers=packed).status_code == 202
    error_of(send(api, "POST", path, account, fits + b" "), 413, "PAYLOAD_TOO_LARGE")
    error_of(send(api, "POST", path, account, gzip.compress(fits + b" "), headers=packed), 413, "PAYLOAD_TOO_LARGE")


def test_more_events_than_are_replayed_at_once_are_refused_and_none_is_sent(
    api: Api, account: Account, control: RacedControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.store(*(account.event(AT + number, data='{"plan":"pro"}') for number in range(4)))
    monkeypatch.setattr(redelivering, "MAX_REPLAYED", 3)
    for rule in (None, condition(plan("pro"))):
        one = made(control, account, rule)
        response = send(api, "POST", f"/workflows/{one.id}/replay", account, ALWAYS)
        assert problems(response) == [("endDate", "too_big")]
        assert listed(api, account, one) == []
        assert replayed(api, account, one, startDate=to_wire(AT), endDate=to_wire(AT + 2)) == 3


def test_replays_are_listed_as_the_newest(api: Api, account: Account, workflow: Workflow) -> None:
    event, _ = account.store(account.event(AT - DAY_MS), account.event(AT, "other"))
    put(account, delivery(workflow))
    assert replayed(api, account, workflow) == 1
    newest, _ = api.get(of(workflow), account)["deliveries"]
    assert newest["eventId"] == event


# --- all routes --------------------------------------------------------------------------------------------------------


def writes(api: Api, account: Account, workflow_id: str, delivery_id: str = NOBODY) -> list[httpx.Response]:
    one = f"/workflows/{workflow_id}"
    return [
        send(api, "POST", f"{one}/deliveries/{delivery_id}/retry", account),
        send(api, "POST", f"{one}/replay", account, ALWAYS),
    ]


def everything(api: Api, account: Account, workflow_id: str, delivery_id: str = NOBODY) -> list[httpx.Response]:
    """The answer of each route."""
    many = f"/workflows/{workflow_id}/deliveries"
    reads = [send(api, "GET", many, account), send(api, "GET", f"{many}/{delivery_id}", account)]
    return [*reads, *writes(api, account, workflow_id, delivery_id)]


ROUTES = pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/workflows/{NOBODY}/deliveries"),
        ("GET", f"/workflows/{NOBODY}/deliveries/{NOBODY}"),
        ("POST", f"/workflows/{NOBODY}/deliveries/{NOBODY}/retry"),
        ("POST", f"/workflows/{NOBODY}/replay"),
    ],
)


@BOTH
@ROUTES
def test_only_a_secret_key_is_taken(api: Api, account: Account, method: str, path: str, prefix: str) -> None:
    error_of(api.send(method, prefix + path, account.public), 401, "INVALID_API_KEY")
    error_of(api.send(method, prefix + path), 401, "MISSING_AUTH")


@ROUTES
def test_ids_that_are_no_uuids_are_named(api: Api, account: Account, method: str, path: str) -> None:
    response = send(api, method, path.replace(NOBODY, "x"), account, ALWAYS if path.endswith("replay") else None)
    named = [("id", "invalid_string"), ("deliveryId", "invalid_string")]
    assert problems(response) == named[: path.count(NOBODY)]


@BOTH
@ROUTES
def test_an_unknown_workflow_is_404(api: Api, account: Account, method: str, path: str, prefix: str) -> None:
    response = send(api, method, prefix + path, account, ALWAYS if path.endswith("replay") else None)
    error_of(response, 404, "RESOURCE_NOT_FOUND")
    assert ("x-data-age-ms" in response.headers) is (method == "GET")


def test_a_workflow_that_is_gone_and_one_of_another_project_are_404(
    api: Api, account: Account, other: Account, control: RacedControl, workflow: Workflow
) -> None:
    foreign = made(control, other)
    account.store(account.event(AT))
    other.store(other.event(AT))
    deliveries = [in_status(one, DEAD) for one in (workflow, foreign)]
    put(account, *deliveries)
    assert send(api, "DELETE", f"/workflows/{workflow.id}", account).status_code == 204
    for one, its in zip((workflow, foreign), deliveries, strict=True):
        for response in everything(api, account, one.id, its.id):
            error_of(response, 404, "RESOURCE_NOT_FOUND")
    assert api.get(of(foreign, deliveries[1]), other)["status"] == DEAD
    assert listed(api, other, foreign) == ids(deliveries[1])


def test_a_delivery_of_another_workflow_or_project_is_404(
    api: Api, account: Account, other: Account, control: RacedControl, workflow: Workflow
) -> None:
    beside, foreign = made(control, account), made(control, other)
    theirs = [in_status(one, DEAD) for one in (beside, foreign)]
    smuggled = replace(in_status(workflow, DEAD), project_id=other.id)
    put(account, *theirs, smuggled)
    for one in (*ids(*theirs, smuggled), NOBODY):
        for method, path in (("GET", ""), ("POST", "/retry")):
            response = send(api, method, f"{of(workflow)}/{one}{path}", account)
            error = error_of(response, 404, "RESOURCE_NOT_FOUND")
            assert one in error["message"]
            assert ("x-data-age-ms" in response.headers) is (method == "GET")
    assert api.get(of(beside, theirs[0]), account)["status"] == DEAD
    assert api.get(of(foreign, theirs[1]), other)["status"] == DEAD


def test_a_disabled_project_reads_and_does_not_write(
    api: Api, keys: KeyRing, tables: ClientTables, control: RacedControl
) -> None:
    disabled = Account(keys, tables, enabled=False)
    workflow = made(control, disabled)
    disabled.store(disabled.event(AT))
    one = in_status(workflow, DEAD)
    put(disabled, one)
    answers = everything(api, disabled, workflow.id, one.id)
    assert [answer.status_code for answer in answers] == [200, 200, 403, 403]
    for answer in answers[2:]:
        error_of(answer, 403, "PROJECT_DISABLED")
    assert listed(api, disabled, workflow) == ids(one)
    assert api.get(of(workflow, one), disabled)["status"] == DEAD


def test_deliveries_of_a_disabled_workflow_are_answered(api: Api, account: Account, control: RacedControl) -> None:
    workflow = made(control, account, enabled=False)
    one = in_status(workflow, FAILED)
    put(account, one)
    assert [answer.status_code for answer in everything(api, account, workflow.id, one.id)] == [200, 200, 200, 202]


def test_the_projects_limit_counts_every_route(
    tables: ClientTables, keys: KeyRing, account: Account, workflow: Workflow, control: RacedControl
) -> None:
    settings = Settings(limits=at_most(reads=4))
    with served(tables, keys, control, NoMarkers(), settings=settings) as api:
        answers = everything(api, account, workflow.id)
        assert [answer.status_code for answer in answers] == [200, 404, 404, 202]
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["3", "2", "1", "0"]
        for answer in everything(api, account, workflow.id):
            error_of(answer, 429, "RATE_LIMIT_EXCEEDED")
            assert int(answer.headers["retry-after"]) >= 1


def test_every_read_says_how_old_its_view_is_and_waits_for_its_position(keys: KeyRing) -> None:
    opened = open_test_tables()
    now = now_ms()
    write_progress(opened, [Progress(0, 1, 1, 7, None, True, now, now)])
    account, control = Account(keys, opened), RacedControl()
    workflow = made(control, account)
    one = delivery(workflow)
    put(account, one)
    settings = Settings(query=Query(after_position_seconds=0.1))
    with served(opened, keys, control, NoMarkers(), settings=settings) as api:
        for path in (of(workflow), of(workflow, one)):
            api.get(path, account, position_token({0: 7}))
            late = {"X-After-Position": position_token({0: 8})}
            error_of(api.send("GET", path, account.secret, headers=late), 503, "SERVICE_UNAVAILABLE")
            assert api.problems(path, account, "nonsense") == {("X-After-Position", "invalid_string")}
    opened.close()


def test_head_answers_as_get_does(api: Api, account: Account, workflow: Workflow) -> None:
    one = delivery(workflow)
    put(account, one)
    for path in (of(workflow), of(workflow, one)):
        got, head = (send(api, method, path, account) for method in ("GET", "HEAD"))
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(got.content))


@BOTH
def test_other_methods_are_refused_and_told(api: Api, prefix: str) -> None:
    for path, allowed in (
        (f"/workflows/{NOBODY}/deliveries", "GET, HEAD"),
        (f"/workflows/{NOBODY}/deliveries/{NOBODY}", "GET, HEAD"),
        (f"/workflows/{NOBODY}/deliveries/{NOBODY}/retry", "POST"),
        (f"/workflows/{NOBODY}/replay", "POST"),
    ):
        response = api.send("PUT", prefix + path)
        error_of(response, 405, "METHOD_NOT_ALLOWED")
        assert response.headers["allow"] == allowed


def test_a_log_that_does_not_answer_is_503(
    api: Api, account: Account, control: RacedControl, workflow: Workflow
) -> None:
    one = in_status(workflow, DEAD)
    put(account, one)
    control.failure = LogUnavailable("away")
    for answer in everything(api, account, workflow.id, one.id):
        error_of(answer, 503, "SERVICE_UNAVAILABLE")
        assert int(answer.headers["retry-after"]) >= 1
    control.failure = None
    assert api.get(of(workflow, one), account)["status"] == DEAD


def away(*_: object, **__: object) -> None:
    raise TablesUnavailable("ClickHouse does not answer")


def test_tables_that_do_not_answer_are_503(
    api: Api, account: Account, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = in_status(workflow, DEAD)
    put(account, one)
    with monkeypatch.context() as patch:
        patch.setattr(account.tables, "select", away)
        answers = everything(api, account, workflow.id, one.id)
    for answer in answers:
        error_of(answer, 503, "SERVICE_UNAVAILABLE")
        assert int(answer.headers["retry-after"]) >= 1


def test_what_cannot_be_written_is_503(
    api: Api, account: Account, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.store(account.event(AT))
    one = in_status(workflow, DEAD)
    put(account, one)
    with monkeypatch.context() as patch:
        patch.setattr(account.tables, "insert", away)
        patch.setattr(account.tables, "execute", away)
        answers = writes(api, account, workflow.id, one.id)
    for answer in answers:
        error_of(answer, 503, "SERVICE_UNAVAILABLE")
        assert int(answer.headers["retry-after"]) >= 1
    assert listed(api, account, workflow, status=DEAD) == listed(api, account, workflow) == ids(one)


# --- the document ------------------------------------------------------------------------------------------------------


def test_the_document_describes_the_routes(api: Api) -> None:
    document = api.send("GET", "/openapi.json").json()
    ours = {path: item for path, item in document["paths"].items() if "deliver" in path or path.endswith("/replay")}
    found = {(path, method): one for path, item in ours.items() for method, one in item.items()}
    common = {"401", "422", "429", "500", "503"}
    many, one = "/workflows/{id}/deliveries", "/workflows/{id}/deliveries/{deliveryId}"
    replay = "/workflows/{id}/replay"
    expected = {
        (many, "get"): ("list_deliveries", {"200", "404"}),
        (one, "get"): ("get_delivery", {"200", "404"}),
        (f"{one}/retry", "post"): ("retry_delivery", {"200", "403", "404"}),
        (replay, "post"): ("replay_events", {"202", "400", "403", "404", "413", "415"}),
    }
    assert {key: (its["operationId"], its["responses"].keys() - common) for key, its in found.items()} == expected
    for its in found.values():
        assert common <= its["responses"].keys()
        assert (its["security"], its["tags"]) == ([{"key": []}], ["deliveries"])
        assert its["description"]
    parameters = {key: {one["name"] for one in its["parameters"]} for key, its in found.items()}
    assert parameters == {
        (many, "get"): {"id", "status", "limit", "cursor", "X-After-Position"},
        (one, "get"): {"id", "deliveryId", "X-After-Position"},
        (f"{one}/retry", "post"): {"id", "deliveryId"},
        (replay, "post"): {"id", "Content-Encoding"},
    }
    (statuses,) = [one for one in found[many, "get"]["parameters"] if one["name"] == "status"]
    assert statuses["schema"]["enum"] == STATUSES
    body = found[replay, "post"]["requestBody"]
    assert body["required"]
    assert body["content"]["application/json"]["schema"] == Replay.model_json_schema()
    assert set(Replay.model_json_schema()["required"]) == {"startDate", "endDate"}


def test_the_documents_answers_are_the_models_that_real_ones_are_compared_with(api: Api) -> None:
    document = api.send("GET", "/openapi.json").json()
    schemas, paths = document["components"]["schemas"], document["paths"]
    many, one = "/workflows/{id}/deliveries", "/workflows/{id}/deliveries/{deliveryId}"

    def answer(path: str, method: str, status: str) -> Any:
        content = paths[path][method]["responses"][status]["content"]
        assert list(content) == ["application/json"]
        return schemas[content["application/json"]["schema"]["$ref"].rpartition("/")[2]]

    page = answer(many, "get", "200")
    assert page["properties"].keys() == DeliveriesPage.model_fields.keys() == set(page["required"])
    in_list = schemas[page["properties"]["deliveries"]["items"]["$ref"].rpartition("/")[2]]
    single, again = answer(one, "get", "200"), answer(f"{one}/retry", "post", "200")
    assert single == again
    assert single["properties"].keys() == DeliveryWithAttempts.model_fields.keys()
    always = {"id", "eventId", "status", "attempts", "createdAt"}
    assert set(in_list["required"]) == always
    assert set(single["required"]) == {*always, "attemptCount"}
    for schema in (in_list, single):
        assert schema["properties"]["status"]["enum"] == STATUSES
        assert {"lastStatusCode", "lastError", "nextAttemptAt"} <= schema["properties"].keys()
    attempt = schemas[single["properties"]["attempts"]["items"]["$ref"].rpartition("/")[2]]
    assert set(attempt["required"]) == {"at", "statusCode", "durationMs", "error", "response"}
    replayed_ = answer("/workflows/{id}/replay", "post", "202")
    assert replayed_["properties"].keys() == Replayed.model_fields.keys() == set(replayed_["required"])

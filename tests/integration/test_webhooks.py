"""Deliveries behind the writer: every matching event once, wherever a process ends; what comes of attempts."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from consumers.webhooks.dispatching import Dispatcher
from consumers.webhooks.sending import Answer
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.migrate import migrate_tables
from penstock.deliveries import open_deliveries
from penstock.settings import Webhooks
from penstock.webhook_secrets import new_secret
from schemas.registry import SigningSecret
from tests.support.behind import NOW_MS, Behind, ids
from tests.support.faults import Crash, FaultyDatabases, crash_points
from tests.support.fixtures import drop, need_chdb
from tests.support.tables import open_test_tables

ADA, BOB = "ada@example.com", "bob@example.com"
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def tables() -> Iterator[ClientTables]:
    need_chdb()
    made = open_test_tables(migrated=False)
    migrate_tables(made)
    yield made
    drop(made)


@pytest.fixture(scope="module")
def one_behind(tables: ClientTables, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    made = Behind(tables, tmp_path_factory.mktemp("log"))
    yield made
    made.close()


@pytest.fixture
def behind(one_behind: Behind) -> Behind:
    one_behind.begin()
    return one_behind


class Endpoint:
    """Answers what it is told to, and keeps what it got; what is another project's is taken without a word."""

    def __init__(self, project: str, *statuses: int | None) -> None:
        self._project = project
        self.statuses = list(statuses)
        self.got: list[dict[str, Any]] = []

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """See `Sender`."""
        sent = msgspec.json.decode(body)
        if sent["data"]["projectId"] != self._project:
            return Answer(200, 3)
        self.got.append({"url": url, "headers": dict(headers), **sent})
        status = self.statuses.pop(0) if self.statuses else 200
        return Answer(status, 3, None if status == 200 else "no", "ok" if status == 200 else "")


async def _at_once(work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


def dispatch(behind: Behind, endpoint: Endpoint, act: Callable[[Dispatcher], Awaitable[None]] | None = None) -> None:
    """A dispatcher loads what is open, sends what is due, and ends."""

    async def work() -> None:
        sender: Any = endpoint
        dispatcher = Dispatcher(behind.webhook_place(), Webhooks(), sender, _at_once)
        journal = asyncio.create_task(dispatcher.journal.run())
        await dispatcher.look()
        if act is not None:
            await act(dispatcher)
        while act is None and dispatcher.is_busy:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        await dispatcher.close(10)
        journal.cancel()

    asyncio.run(work())


def told(behind: Behind) -> list[tuple[str, int, int, str]]:
    """Each delivery of the project: status, attempts, the last status code and error."""
    rows = behind.tables.select(
        "SELECT argMax(status, version), argMax(attempts, version), argMax(last_status_code, version),"
        " argMax(last_error, version) FROM deliveries WHERE project_id = {project:UUID} GROUP BY id ORDER BY id",
        {"project": behind.project},
    )
    return [(str(a), int(str(b)), int(str(c)), str(d)) for a, b, c, d in rows]


def attempts(behind: Behind) -> list[tuple[int, int, str]]:
    rows = behind.tables.select(
        "SELECT number, argMax(status_code, version), argMax(error, version) FROM delivery_attempts WHERE delivery_id IN"
        " (SELECT id FROM deliveries WHERE project_id = {project:UUID}) GROUP BY delivery_id, number, at ORDER BY number",
        {"project": behind.project},
    )
    return [(int(str(a)), int(str(b)), str(c)) for a, b, c in rows]


def test_each_matching_event_is_due_once_for_each_workflow_from_when_it_was_made(behind: Behind) -> None:
    behind.track(("signup", ADA, {"n": 0}))
    behind.clock.ms = NOW_MS + 1
    try:
        rule = {"logic": "AND", "groups": [{"filters": [
            {"field": "trigger.data.n", "operator": "greaterThan", "value": 1},
            {"field": "data.vip", "operator": "equals", "value": True}]}]}  # fmt: skip
        behind.workflow("signup")
        chosen = behind.workflow("signup", rule)
        behind.workflow("other")
        behind.track(("signup", ADA, {"n": 1, "vip": True}), ("signup", ADA, {"n": 2}), ("signup", BOB, {"n": 3}))
        behind.write()
        due = behind.plan()
    finally:
        behind.clock.ms = NOW_MS
    own = [one for one in due if one.delivery.project_id == behind.project]
    assert len(own) == 4
    assert [one.event[2] for one in own if one.delivery.workflow_id == chosen.id] == ['{"n": 2}']
    assert behind.plan() == []


def test_a_crash_at_any_statement_loses_no_delivery_and_makes_none_twice(behind: Behind) -> None:
    def story() -> None:
        behind.begin()
        behind.workflow("signup")
        behind.track(("signup", ADA, None), ("signup", BOB, None), ("left", BOB, None))
        behind.write()

    story()
    watched = FaultyDatabases(behind.tables)
    assert len(set(ids(behind.plan(watched)))) == 2
    assert {"insert deliveries", "insert delivery_progress"} <= set(watched.statements)
    for at in crash_points(watched.statements):
        story()
        with suppress(Crash):
            behind.plan(FaultyDatabases(behind.tables, at=at))
        behind.plan()
        assert [one[:2] for one in told(behind)] == [("pending", 0)] * 2, at
        endpoint = Endpoint(behind.project)
        dispatch(behind, endpoint)
        assert [one[:3] for one in told(behind)] == [("delivered", 1, 200)] * 2, at
        assert sorted(one["data"]["contact"]["email"] for one in endpoint.got) == [ADA, BOB]


def test_a_process_that_ended_in_an_attempt_leaves_it_told_and_the_next_one_repeats_it(behind: Behind) -> None:
    behind.workflow("signup")
    behind.track(("signup", ADA, None))
    behind.write()
    behind.plan()

    class Hanging(Endpoint):
        async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
            raise asyncio.CancelledError

    async def die(_: Dispatcher) -> None:
        await asyncio.sleep(0.1)

    dispatch(behind, Hanging(behind.project), die)
    assert attempts(behind) == [(1, 0, "The process ended before an answer came")]
    behind.clock.ms = NOW_MS + 1
    try:
        dispatch(behind, Endpoint(behind.project, 200))
    finally:
        behind.clock.ms = NOW_MS
    assert [one[:3] for one in told(behind)] == [("delivered", 2, 200)]
    assert [one[:2] for one in attempts(behind)] == [(1, 0), (2, 200)]


def sent(behind: Behind, *statuses: int | None, **more: Any) -> tuple[Endpoint, Any]:
    """One event, and what an endpoint that answers so leaves of it."""
    made = behind.workflow("signup", **more)
    behind.track(("signup", ADA, {"a": 1}))
    behind.write()
    behind.plan()
    endpoint = Endpoint(behind.project, *statuses)
    dispatch(behind, endpoint)
    return endpoint, made


def test_what_fails_is_due_again_and_410_disables(behind: Behind) -> None:
    endpoint, made = sent(behind, 500)
    assert [one[:3] for one in told(behind)] == [("failed", 1, 500)]
    (open_one,) = [one for one in open_deliveries(behind.tables, [0, 1], NOW_MS, 10) if one.workflow_id == made.id]
    assert 0 < open_one.next_attempt_ms - NOW_MS < 30_000
    behind.clock.ms = open_one.next_attempt_ms
    try:
        endpoint.statuses = [410]
        dispatch(behind, endpoint)
        assert [one[:3] for one in told(behind)] == [("dead", 2, 410)]
        assert behind.control.registry.state_of(made).gone
        assert not behind.control.registry.is_sending(made)
    finally:
        behind.clock.ms = NOW_MS


def test_after_a_day_it_is_given_up_and_the_workflow_fails_until_one_succeeds(behind: Behind) -> None:
    endpoint, made = sent(behind, None)
    state = behind.control.registry.state_of
    behind.clock.ms = NOW_MS + DAY_MS
    try:
        endpoint.statuses = [503]
        dispatch(behind, endpoint)
        assert [one[:3] for one in told(behind)] == [("dead", 2, 503)]
        assert state(made).failing
        behind.track(("signup", BOB, None))
        behind.write()
        behind.plan()
        dispatch(behind, endpoint)
        assert not state(made).failing
    finally:
        behind.clock.ms = NOW_MS


def test_an_event_that_was_deleted_is_not_sent_again(behind: Behind) -> None:
    endpoint, _ = sent(behind, 500)
    behind.tables.execute(f"DELETE FROM events WHERE project_id = '{behind.project}'")
    behind.clock.ms = NOW_MS + 60_000
    try:
        dispatch(behind, endpoint)
    finally:
        behind.clock.ms = NOW_MS
    assert len(endpoint.got) == 1
    assert told(behind) == [("dead", 1, 500, "The event was deleted")]


def test_a_workflow_that_is_gone_or_disabled_is_sent_nothing(behind: Behind) -> None:
    endpoint, made = sent(behind, 500)
    behind.control.put(msgspec.structs.replace(made, enabled=False))
    behind.clock.ms = NOW_MS + 60_000
    try:
        dispatch(behind, endpoint)
        assert [one[:2] for one in told(behind)] == [("failed", 1)]
        behind.control.publish_removal(made)
        dispatch(behind, endpoint)
    finally:
        behind.clock.ms = NOW_MS
    assert len(endpoint.got) == 1
    assert told(behind) == [("dead", 1, 500, "The workflow was deleted")]


def test_the_workflows_headers_are_sent_and_its_live_secrets_sign(behind: Behind) -> None:
    past, later = "2026-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z"
    secrets = tuple(SigningSecret(new_secret(), end) for end in ("", later, past))
    endpoint, _ = sent(behind, 200, headers={"X-Shop": "5"}, secrets=secrets)
    headers = endpoint.got[0]["headers"]
    assert headers["X-Shop"] == "5"
    assert headers["webhook-id"] == endpoint.got[0]["data"]["id"]
    assert len(headers["webhook-signature"].split()) == 2

"""ClickHouse is away, slow, or fails: events are taken in all the same, and counted exactly once it works again."""

import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.support.breakable import Bridge
from tests.support.clickhouse_faults import Fault
from tests.support.client import Client
from tests.support.deployments import ScaledOut
from tests.support.load import Load, expect_exactly
from tests.support.services import wait_until

pytestmark = pytest.mark.services

AWAY_SECONDS = 11
"""Longer than a consumer's session: the group would change if waiting looked like death."""

QUERY_TIMEOUT_SECONDS = 2
"""Of the shared deployment."""

READS = ["/events", "/events/names", "/events/stats", f"/events/contact/{uuid4()}"]
INSERTS = "INSERT INTO"
INSERT_EVENTS = "INSERT INTO events"


@pytest.fixture(scope="module")
def client(scaled_out: ScaledOut) -> Iterator[Client]:
    made = Client(scaled_out, scaled_out.create_project())
    yield made
    made.close()


def says_when_to_retry(answer: httpx.Response) -> bool:
    """Whether it is our 503: with a time to come again, and in the one shape of errors."""
    error = answer.json()["error"]
    return answer.status_code == 503 and error["statusCode"] == 503 and int(answer.headers["Retry-After"]) >= 1


def test_events_are_taken_in_while_clickhouse_is_away_and_are_all_there_once_it_is_back(
    mended: ScaledOut, bridge: Bridge
) -> None:
    project = mended.create_project()
    client = Client(mended, project)
    with Load(mended, project, threads=2, pause_seconds=0.02) as load:
        load.wait_for_more()
        bridge.kill()
        away = time.monotonic()
        while time.monotonic() < away + AWAY_SECONDS:
            for path in READS:
                assert says_when_to_retry(client.get(path))
            time.sleep(0.5)
        load.wait_for_more(1)
        bridge.start()
        load.wait_for_more()
    client.close()
    meanwhile = load.since(away)
    assert {answer.status for answer in meanwhile} == {200}
    assert max(answer.seconds for answer in meanwhile) < AWAY_SECONDS - 2  # none waited for the tables
    expect_exactly(load, mended, project)
    assert all(process.running for process in mended.processes().values())


def test_a_slow_clickhouse_makes_the_view_older_and_nothing_else(mended: ScaledOut, bridge: Bridge) -> None:
    project = mended.create_project()
    client = Client(mended, project)
    slow = Fault(INSERTS, times=None, delay_seconds=0.4)
    with bridge.faulty(slow) as hits, Load(mended, project, threads=2, pause_seconds=0.01) as load:
        wait_until(lambda: hits()[0] >= 10, 30, "some slow inserts")
        load.wait_for_more()
        assert client.read("/events/names") == {"eventNames": ["load"]}
        assert int(client.get("/events").headers["X-Data-Age-Ms"]) > 0
    client.close()
    assert load.statuses() == {200}
    expect_exactly(load, mended, project)


def fault(code: int | None, effect: str, **more: object) -> Fault:
    return Fault(INSERT_EVENTS, code=code, drop=code is None, effect=effect, **more)  # type: ignore[arg-type] # from a table


FAULTS = {
    "not enough space": fault(243, "none"),
    "not enough space, after some tables had it": fault(243, "some"),
    "memory limit": fault(241, "none"),
    "memory limit, after all tables had it": fault(241, "all"),
    "too many parts": fault(252, "none", times=3),
    "too many parts, after some tables had it": fault(252, "some", times=2),
    "network error, after all tables had it": fault(210, "all", times=2),
    "no answer": fault(None, "none", times=2),
    "no answer, after some tables had it": fault(None, "some"),
    "no answer, after all tables had it": fault(None, "all", times=3),
    "a late answer": Fault(INSERT_EVENTS, delay_seconds=1.5),
}


@pytest.mark.parametrize("what", FAULTS)
def test_an_insert_that_fails_is_repeated_until_every_table_has_it_once(
    mended: ScaledOut, bridge: Bridge, client: Client, what: str
) -> None:
    """Of one contact, so that they are one insert: see `Fault.effect`."""
    del mended
    name = f"{what} {uuid4().hex[:8]}"
    with bridge.faulty(FAULTS[what]) as hits:
        client.batch([{"event": name, "email": "ada@example.com"} for _ in range(50)])
        wait_until(lambda: hits() == [FAULTS[what].times], 20, "the fault")
        expect_count(client, name, 50)


def expect_count(client: Client, name: str, count: int) -> None:
    """So many in the counts, in the list, and in the contacts' lists, once the writer is done with the last write."""
    wait_until(lambda: client.get("/events", after=client.position).is_success, 20, "the last write to be visible")
    rows = list(client.all_events(eventName=name))
    ids = {row["id"] for row in rows}
    assert (client.counts()[name], len(rows), len(ids)) == (count, count, count)
    contacts = {row["contactId"] for row in rows}
    found = [row for contact in contacts for row in client.all_events(f"/events/contact/{contact}")]
    assert sorted(row["id"] for row in found if row["name"] == name) == sorted(ids)


@pytest.mark.parametrize("effect", ["none", "all"])
@pytest.mark.parametrize("number", range(4))
def test_any_insert_of_the_writer_may_be_lost_or_lose_its_answer(
    mended: ScaledOut, bridge: Bridge, client: Client, number: int, effect: str
) -> None:
    """Whichever it is: the range, the events, the new mark, a heartbeat; in all partitions."""
    del mended
    name = f"{number} {effect} {uuid4().hex[:8]}"
    lost = Fault(INSERTS, skip=number, code=None, drop=True, effect=effect)  # type: ignore[arg-type] # from a table
    with bridge.faulty(lost) as hits:
        client.batch([{"event": name, "email": f"user{one}@example.com"} for one in range(40)])
        wait_until(lambda: hits() == [1], 20, "the fault")
        expect_count(client, name, 40)


def test_while_no_insert_succeeds_reads_answer_from_what_is_there_and_tell_its_age(
    mended: ScaledOut, bridge: Bridge, client: Client
) -> None:
    """As with a ClickHouse whose disk is full."""
    del mended
    client.track({"event": "before", "email": "ada@example.com"})
    expect_count(client, "before", 1)
    with bridge.faulty(Fault(INSERTS, times=None, code=243)) as hits:
        for _ in range(20):
            client.track({"event": "during", "email": "ada@example.com"})
        wait_until(lambda: hits()[0] >= 4, 20, "inserts to fail")
        assert client.counts()["before"] == 1
        wait_until(lambda: int(client.get("/events").headers["X-Data-Age-Ms"]) > 3000, 15, "the view to be old")
        client.track({"event": "during", "email": "ada@example.com"})
    expect_count(client, "during", 21)
    wait_until(lambda: client.get("/events").headers["X-Data-Age-Ms"] == "0", 15, "the view to be new")


def test_a_clickhouse_that_hangs_costs_a_read_its_time_out(mended: ScaledOut, bridge: Bridge) -> None:
    project = mended.create_project()
    bridge.pause()
    try:
        started = time.monotonic()
        answer = httpx.get(f"{mended.query_url}/events", headers=project.reading, timeout=30)
        assert says_when_to_retry(answer)
        assert time.monotonic() - started < QUERY_TIMEOUT_SECONDS + 3
    finally:
        bridge.resume()
    assert httpx.get(f"{mended.query_url}/events", headers=project.reading).status_code == 200

"""The trace of an event: where it is, said of every state that it may be in, and to its own project only."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4, uuid5

import msgspec
import pytest

from consumers.deadletter import DeadLetter
from penstock.auth import KeyRing
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.progress import Progress, write_progress
from schemas.event import Event, decode_mark, encode_event
from schemas.ids import event_id
from schemas.position import to_token
from schemas.times import to_wire
from schemas.wire_reads import EventTrace
from tests.support.services import wait_until
from tests.support.tables import open_test_tables
from tests.wire.test_reads import BOTH, Account, Api, error_of, ms, served

RECEIVED = "2026-03-01T12:00:00.123"
RECEIVED_MS = ms(RECEIVED)
NOWHERE = str(UUID(int=0))


@pytest.fixture(scope="module")
def keys() -> KeyRing:
    ring = KeyRing()
    ring.is_complete = True
    return ring


@pytest.fixture(scope="module")
def tables() -> Iterator[ClientTables]:
    opened = open_test_tables()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def api(tables: ClientTables, keys: KeyRing) -> Iterator[Api]:
    with served(tables, keys) as made:
        yield made


@pytest.fixture
def account(keys: KeyRing, tables: ClientTables) -> Account:
    return Account(keys, tables)


@pytest.fixture(scope="module")
def fresh(keys: KeyRing) -> Iterator[tuple[Api, Account]]:
    """An application on tables of its own, for what the writers say of themselves."""
    own = open_test_tables()
    with served(own, keys) as api:
        yield api, Account(keys, own)
    own.close()


def store(account: Account, event: Event, partition: int = 0, offset: int = 0, index: int = 0) -> None:
    """The event in the tables, at a place in the log."""
    place: dict[str, object] = {"log_partition": partition, "log_offset": offset, "log_index": index}
    line = {**place, **msgspec.json.decode(encode_event(event))}
    account.tables.insert("events", msgspec.json.encode(line), token=str(uuid4()))
    mark = decode_mark(encode_event(event))
    if mark.derived or mark.is_late:
        place = {"id": event.id, "log_partition": partition, "log_offset": offset}
        where = {"project_id": event.project_id, "occurred_at": event.occurred_at}
        account.tables.insert("derived_ids" if mark.derived else "late_ids", msgspec.json.encode(place | where))


def derived(account: Account, at: str = RECEIVED) -> Event:
    return account.event(at, id=str(uuid5(UUID(account.id), at)), derived=True)


def missing(api: Api, account: Account, id_: str) -> dict[str, Any]:
    response = api.send("GET", f"/events/{id_}/trace", account.secret)
    assert int(response.headers["x-data-age-ms"]) >= 0
    return error_of(response, 404, "RESOURCE_NOT_FOUND")


@BOTH
def test_a_stored_event_tells_all_that_happened_to_it(api: Api, account: Account, prefix: str) -> None:
    write_progress(account.tables, [Progress(3, 1, 1, 16, pending=(15, 21))])
    event = account.event(RECEIVED, id=event_id(RECEIVED_MS))
    store(account, event, partition=3, offset=17, index=2)
    trace = api.get(f"{prefix}/events/{event.id}/trace", account)
    stored_at = trace["visibleAt"]
    assert abs(ms(stored_at[:-1]) - time.time() * 1000) < 60_000
    assert trace == {
        "id": event.id,
        "status": "stored",
        "projectId": account.id,
        "name": "signup",
        "contactId": event.contact_id,
        "acceptedAt": f"{RECEIVED}Z",
        "log": {"topic": "events", "partition": 3, "offset": 17, "index": 2},
        "position": to_token({3: 17}),
        "stored": {"at": stored_at, "firstOffset": 15, "lastOffset": 21},
        "visibleAt": stored_at,
    }
    EventTrace.model_validate(trace, extra="forbid")


@pytest.mark.parametrize("occurred", ["1970-01-01T00:00:00.000", "2026-03-01T12:00:00.000", "2026-03-01T12:05:00.000"])
def test_an_event_that_was_sent_with_a_time_is_found_by_its_receipt(api: Api, account: Account, occurred: str) -> None:
    event = account.event(occurred, id=event_id(RECEIVED_MS), received_at=to_wire(RECEIVED_MS))
    store(account, event)
    assert api.get(f"/events/{event.id}/trace", account)["acceptedAt"] == f"{RECEIVED}Z"


def test_an_event_with_a_derived_id_is_found(api: Api, account: Account) -> None:
    event = derived(account)
    store(account, event, partition=1, offset=4)
    trace = api.get(f"/events/{event.id}/trace", account)
    assert (trace["status"], trace["log"]["offset"]) == ("stored", 4)
    assert "firstOffset" not in trace["stored"]  # nobody announced a batch: it is left out


def test_of_overlapping_batches_the_one_that_was_carried_out_is_told(api: Api, account: Account) -> None:
    """The others are those of writers that were fenced before they inserted."""
    for sequence, (epoch, span) in enumerate([(5, (0, 9)), (7, (10, 19)), (6, (8, 12)), (5, (10, 15)), (7, (20, 40))]):
        write_progress(account.tables, [Progress(5, epoch, sequence, 0, pending=span)])
    found = []
    for offset in (0, 9, 10, 19, 20, 40):
        event = account.event(RECEIVED, id=event_id(RECEIVED_MS))
        store(account, event, partition=5, offset=offset)
        stored = api.get(f"/events/{event.id}/trace", account)["stored"]
        found.append((stored["firstOffset"], stored["lastOffset"]))
    assert found == [(0, 9), (8, 12), (10, 19), (10, 19), (20, 40), (20, 40)]


@pytest.mark.parametrize("kind", ["derived", "late"])
def test_a_deleted_event_whose_id_has_a_row_is_known_to_be_deleted(api: Api, account: Account, kind: str) -> None:
    late = account.event("2001-01-01T00:00:00", id=event_id(RECEIVED_MS), received_at=to_wire(RECEIVED_MS))
    event = derived(account) if kind == "derived" else late
    store(account, event, partition=1, offset=4)
    account.tables.delete("events", "project_id = {project:UUID}", {"project": account.id})
    trace = api.get(f"/events/{event.id}/trace", account)
    assert trace == {
        "id": event.id,
        "status": "deleted",
        "projectId": account.id,
        "log": {"topic": "events", "partition": 1, "offset": 4},
        "position": to_token({1: 4}),
    }
    EventTrace.model_validate(trace, extra="forbid")


def set_aside(account: Account, line: bytes, offset: int = 6, index: int | None = 1) -> DeadLetter:
    letter = DeadLetter(2, offset, index, "the tables refuse it", line)
    account.tables.insert("dead_letters", letter.row(RECEIVED_MS + 5))
    return letter


def test_a_dead_letter_tells_why(api: Api, account: Account) -> None:
    event = account.event(RECEIVED, id=event_id(RECEIVED_MS))
    letter = set_aside(account, b'{"log_index":1,' + encode_event(event)[1:])
    trace = api.get(f"/events/{event.id}/trace", account)
    assert trace == {
        "id": event.id,
        "status": "dead",
        "projectId": account.id,
        "name": "signup",
        "contactId": event.contact_id,
        "acceptedAt": f"{RECEIVED}Z",
        "log": {"topic": "events", "partition": 2, "offset": 6, "index": 1},
        "position": to_token({2: 6}),
        "deadLetter": {"id": letter.key, "reason": letter.reason, "deadAt": to_wire(RECEIVED_MS + 5)},
    }
    EventTrace.model_validate(trace, extra="forbid")


def test_a_dead_letter_of_which_little_is_known(api: Api, account: Account) -> None:
    """Whatever is wrong with the event, the letter itself is never refused."""
    id_ = str(uuid4())
    parts: list[dict[str, Any]] = [
        {"contact_id": "nobody", "occurred_at": "yesterday", "name": 7},
        {"contact_id": 5, "occurred_at": "0001-01-01T00:00:00Z", "name": None},
        {"occurred_at": "9999-12-31T23:59:59Z"},
        {"occurred_at": ["x"], "received_at": {}},
    ]
    for offset, part in enumerate(parts):
        set_aside(account, msgspec.json.encode({"project_id": account.id, "id": id_, **part}), offset)
    for line in (b"nonsense", b"\xff", b"[]", b"", b'{"id":"x"}', b'{"id":5,"project_id":null}'):
        set_aside(account, line, 100)
    set_aside(account, b"a whole record", index=None)
    trace = api.get(f"/events/{id_}/trace", account)
    assert trace.keys() == {"id", "status", "projectId", "log", "position", "deadLetter"}
    assert trace["log"]["offset"] == 3
    missing(api, account, NOWHERE)


def test_an_event_that_was_stored_after_all_is_stored(api: Api, account: Account) -> None:
    event = account.event(RECEIVED, id=event_id(RECEIVED_MS), derived=True)
    set_aside(account, b'{"log_index":1,' + encode_event(event)[1:])
    store(account, event, offset=90)
    assert api.get(f"/events/{event.id}/trace", account)["status"] == "stored"


def test_another_projects_event_is_none_whatever_became_of_it(api: Api, keys: KeyRing, account: Account) -> None:
    other = Account(keys, account.tables)
    plain, again = account.event(RECEIVED, id=event_id(RECEIVED_MS)), derived(account)
    gone, dead = derived(account, "2026-03-02T12:00:00"), account.event(RECEIVED, id=event_id(RECEIVED_MS))
    for event in (plain, again, gone):
        store(account, event)
    account.tables.delete("events", "id = {id:UUID}", {"id": gone.id})
    set_aside(account, b'{"log_index":1,' + encode_event(dead)[1:])
    statuses = [api.get(f"/events/{event.id}/trace", account)["status"] for event in (plain, again, gone, dead)]
    assert statuses == ["stored", "stored", "deleted", "dead"]
    for event in (plain, again, gone, dead):
        missing(api, other, event.id)


NEVER_SENT = f"{RECEIVED_MS:012x}"[:8] + "-" + f"{RECEIVED_MS:012x}"[8:] + "-7abc-8def-0123456789ab"


@pytest.mark.parametrize("id_", [NEVER_SENT, str(uuid5(UUID(int=0), "x")), NOWHERE, "f" * 8 + NOWHERE[8:]])
def test_an_unknown_event_is_404_and_says_how_old_the_view_is(fresh: tuple[Api, Account], id_: str) -> None:
    api, account = fresh

    def written(caught_up: bool, age_ms: int, sequence: int) -> None:
        now = time.time_ns() // 1_000_000
        write_progress(account.tables, [Progress(0, 1, sequence, 7, None, caught_up, now - age_ms, now)])

    def told(word: str) -> str:
        """The message, once it has the word: the application looks several times a second how far the writers are."""

        def message() -> str:
            api.run(asyncio.sleep(0.05))
            found = str(missing(api, account, id_)["message"])
            return found if word in found else ""

        return wait_until(message, 10, f"the message to say {word!r}")

    written(False, 60_000, time.time_ns())
    assert "ms old" in told("yet")
    written(True, 0, time.time_ns())
    assert ("deleted" in told("all that was accepted is stored")) is (UUID(id_).version == 7)


@pytest.mark.parametrize("id_", ["x", "1", NEVER_SENT[:-1], NEVER_SENT.replace("-", ""), "%20", "null"])
def test_an_id_that_is_no_uuid_is_named(api: Api, account: Account, id_: str) -> None:
    assert api.problems(f"/events/{id_}/trace", account) == {("id", "invalid_string")}


def test_an_id_may_be_in_upper_case(api: Api, account: Account) -> None:
    event = account.event(RECEIVED, id=event_id(RECEIVED_MS))
    store(account, event)
    assert api.get(f"/events/{event.id.upper()}/trace", account)["id"] == event.id


def test_only_a_secret_key_may_trace(api: Api, account: Account) -> None:
    path = f"/events/{uuid4()}/trace"
    error_of(api.send("GET", path), 401, "MISSING_AUTH")
    error_of(api.send("GET", path, account.public), 401, "INVALID_API_KEY")


def test_a_name_that_ends_like_the_route_can_still_be_deleted(api: Api, account: Account) -> None:
    response = api.send("DELETE", "/events/a%2Ftrace", account.secret)
    error_of(response, 503, "SERVICE_UNAVAILABLE")  # there is no log here: the deletion's own answer

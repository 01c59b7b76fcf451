"""The routes of contacts: each sentence of the contract about them has a test named after it.

The log is a stand-in that stores what it is given at once, as the writer would; the whole way is an end-to-end test's.
"""

import asyncio
import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from penstock.auth import KeyRing
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.generations import Generations, LiveTables
from penstock.clickhouse.progress import Progress, read_progress, write_progress
from penstock.contacts import ContactDirectory, Polling
from penstock.errors import LogUnavailable, TablesUnavailable
from penstock.settings import Limits, Query, Settings
from penstock.telemetry import Metrics
from query_api import changing, create_app
from query_api.contact_cursor import to_token
from schemas.erasure import Erasure
from schemas.event import Event, decode_event
from schemas.ids import contact_id
from schemas.position import Position, from_token
from schemas.position import to_token as position_token
from schemas.record import is_removal, unpack, unpack_erasure
from schemas.tables import CONTACT_FACTS, CONTACTS
from schemas.times import to_wire
from schemas.wire_reads import Contact, ContactsPage, Pending
from tests.support.control import InstantControl
from tests.support.limits import at_most
from tests.support.tables import open_test_tables
from tests.wire.test_reads import Account, Api, error_of, start

BOTH = pytest.mark.parametrize("prefix", ["", "/v1"])
ADA = "ada@example.com"
AT = 1_790_000_000_000
AT_WIRE = "2026-09-21T14:13:20.000Z"
NOBODY = "00000000-0000-5000-8000-00000000abcd"


@dataclass
class StoringLog:
    """A log of one partition, whose writer is there at once, or not at all."""

    tables: ClientTables
    partitions: int = 1
    is_followed: bool = True
    failure: Exception | None = None
    marked: list[Event | Erasure] = field(default_factory=list)
    offset: int = 0

    def mark(self, record: bytes, accepted_ms: int, partition: int | None = None) -> "asyncio.Future[Position]":
        assert partition == 0
        if self.failure:
            raise self.failure
        removal = unpack_erasure(record).removal if is_removal(record) else None
        event = removal or decode_event(b"{" + unpack(record).lines.partition(b",")[2])
        self.marked.append(event)
        self.offset += 1
        if self.is_followed:
            self._follow(event)
        done: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        done.set_result({0: self.offset})
        return done

    def _follow(self, event: Event | Erasure) -> None:
        if isinstance(event, Erasure):
            condition = "project_id = {project:UUID} AND email = {email:String}"
            self.tables.delete(CONTACTS, condition, {"project": event.project_id, "email": event.email})
        else:
            self.tables.insert(CONTACT_FACTS, fact(event, self.offset))
        self.say()

    def say(self) -> None:
        now = time.time_ns() // 1_000_000
        write_progress(self.tables, [Progress(0, 1, self.offset, self.offset, None, True, now, now)])


def fact(event: Event, offset: int) -> bytes:
    return msgspec.json.encode(
        {
            "project_id": event.project_id,
            "contact_id": event.contact_id,
            "email": event.email,
            "occurred_at": event.occurred_at,
            "subscribed": event.subscribed,
            "data": event.data,
            "log_partition": 0,
            "log_offset": offset,
            "log_index": 0,
        }
    )


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


@contextmanager
def served(
    tables: ClientTables, keys: KeyRing, log: StoringLog, limits: Limits | None = None, query: Query | None = None
) -> Iterator[Api]:
    settings = Settings(limits=limits or Limits(), query=query or Query())
    live = LiveTables(Generations(tables))
    directory = ContactDirectory(live, lambda: {0: log.offset + 1}, Polling(lambda: read_progress(tables)))
    app = create_app(
        settings,
        live=live,
        markers=log,
        contacts=directory,
        registrar=InstantControl().registrar(),
        authenticate=keys,
        metrics=Metrics(),
        checks={},
    )
    with asyncio.Runner() as runner:
        api = Api(app, runner)
        stop = runner.run(start(app))
        try:
            yield api
        finally:
            runner.run(api.client.aclose())
            runner.run(stop())
            directory.close()


@pytest.fixture(scope="module")
def shared_log(tables: ClientTables) -> StoringLog:
    return StoringLog(tables)


@pytest.fixture(scope="module")
def api(tables: ClientTables, keys: KeyRing, shared_log: StoringLog) -> Iterator[Api]:
    shared_log.say()
    with served(tables, keys, shared_log) as made:
        yield made


@pytest.fixture
def log(shared_log: StoringLog) -> Iterator[StoringLog]:
    shared_log.marked.clear()
    yield shared_log
    shared_log.is_followed, shared_log.failure = True, None
    shared_log.say()


@pytest.fixture
def account(keys: KeyRing, tables: ClientTables) -> Account:
    return Account(keys, tables)


@pytest.fixture
def other(keys: KeyRing, tables: ClientTables) -> Account:
    return Account(keys, tables)


def told(account: Account, *emails: str, at: int = AT, data: str = "", subscribed: bool | None = None) -> list[str]:
    """Something is said of contacts; their ids."""
    ids = [contact_id(account.id, email) for email in emails]
    events = [
        Event(account.id, "", "", to_wire(at), contact, email, data=data, subscribed=subscribed)
        for contact, email in zip(ids, emails, strict=True)
    ]
    account.tables.insert(CONTACT_FACTS, b"\n".join(fact(event, index) for index, event in enumerate(events)))
    return ids


def emails(page: Any) -> list[str]:
    return [contact["email"] for contact in page["contacts"]]


def walk(
    api: Api, account: Account, between: Callable[[], object] = lambda: None, **params: Any
) -> tuple[list[str], int]:
    """The addresses of all pages, by following the cursor to its end, and how many pages there were."""
    found: list[str] = []
    cursor, pages = "", 0
    while cursor is not None:
        page = api.get("/contacts", account, cursor=cursor, **params)
        assert len(page["contacts"]) <= params.get("limit", 1000)
        found += emails(page)
        cursor = page["cursor"]
        pages += 1
        between()
    return found, pages


def change(api: Api, account: Account, contact: str, body: Any, **more: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **more.pop("headers", {})}
    return api.send("PATCH", f"/contacts/{contact}", account.secret, content=content, headers=headers, **more)


def changed(api: Api, account: Account, contact: str, body: Any, **more: Any) -> Any:
    """The body of a 200."""
    response = change(api, account, contact, body, **more)
    assert response.status_code == 200, response.text
    return response.json()


def erase(api: Api, account: Account, contact: str) -> httpx.Response:
    return api.send("DELETE", f"/contacts/{contact}", account.secret)


def problems(response: httpx.Response) -> set[tuple[str, str]]:
    return {(wrong["field"], wrong["code"]) for wrong in error_of(response, 422, "VALIDATION_ERROR")["errors"]}


# --- one contact -------------------------------------------------------------------------------------------------------


@BOTH
def test_a_contact_has_exactly_the_members_of_the_contract(api: Api, account: Account, prefix: str) -> None:
    [contact] = told(account, ADA, data='{"plan":"pro"}')
    told(account, ADA, at=AT + 5, subscribed=False)
    body = api.get(f"{prefix}/contacts/{contact}", account)
    assert body == {
        "id": contact,
        "email": ADA,
        "subscribed": False,
        "data": {"plan": "pro"},
        "createdAt": AT_WIRE,
        "updatedAt": to_wire(AT + 5),
    }
    assert list(body) == ["id", "email", "subscribed", "data", "createdAt", "updatedAt"]
    Contact.model_validate(body, extra="forbid")


def test_data_is_the_fold_of_everything_whatever_is_merged(api: Api, account: Account, tables: ClientTables) -> None:
    objects = ['{"b":1,"a":1.10}', '{"a":null,"c":1e400}', '{"b":"","d":"\\u00e9"}', '{"b":2,"a":3}']
    for at, data in enumerate(objects):
        [contact] = told(account, ADA, at=AT + at, data=data)
    told(account, ADA, at=AT + 9)
    before = api.send("GET", f"/contacts/{contact}", account.secret).text
    assert '"data":{"c":1e400,"d":"\\u00e9","b":2,"a":3}' in before
    assert f'"updatedAt":"{to_wire(AT + 3)}"' in before
    tables.execute(f"OPTIMIZE TABLE {CONTACTS} FINAL")
    assert api.send("GET", f"/contacts/{contact}", account.secret).text == before


def test_what_happened_earlier_and_came_later_does_not_win(api: Api, account: Account) -> None:
    [contact] = told(account, ADA, at=AT + 1, data='{"a":1}', subscribed=True)
    told(account, ADA, at=AT, data='{"a":0}', subscribed=False)
    body = api.get(f"/contacts/{contact}", account)
    assert (body["data"], body["subscribed"], body["createdAt"]) == ({"a": 1}, True, AT_WIRE)


def test_an_id_may_be_in_upper_case(api: Api, account: Account) -> None:
    [contact] = told(account, ADA)
    assert api.get(f"/contacts/{contact.upper()}", account)["id"] == contact


def test_an_unknown_contact_is_404_and_says_how_old_the_view_is(api: Api, account: Account, other: Account) -> None:
    [contact] = told(other, ADA)
    for unknown in (NOBODY, contact):
        response = api.send("GET", f"/contacts/{unknown}", account.secret)
        error_of(response, 404, "RESOURCE_NOT_FOUND")
        assert int(response.headers["x-data-age-ms"]) >= 0


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_id_that_is_no_uuid_is_named(api: Api, account: Account, method: str) -> None:
    response = api.send(method, "/contacts/x", account.secret, content=b'{"subscribed":true}')
    assert problems(response) == {("id", "invalid_string")}


def test_events_without_an_address_are_no_contact(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-01T12:00:00", email=""))
    assert api.get("/contacts", account) == {"contacts": [], "cursor": None}
    error_of(api.send("GET", f"/contacts/{UUID(int=0)}", account.secret), 404, "RESOURCE_NOT_FOUND")


def test_an_event_makes_a_contact(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-01T12:00:00", data='{"plan":"pro"}', subscribed=False))
    [contact] = api.get("/contacts", account)["contacts"]
    assert (contact["data"], contact["subscribed"]) == ({"plan": "pro"}, False)


# --- the list ----------------------------------------------------------------------------------------------------------


@BOTH
def test_contacts_are_listed_by_address(api: Api, account: Account, other: Account, prefix: str) -> None:
    told(account, "bob@example.com", ADA, "é@example.com", "zoe@example.com")
    told(other, "another@example.com")
    page = api.get(f"{prefix}/contacts", account)
    ContactsPage.model_validate(page, extra="forbid")
    assert emails(page) == [ADA, "bob@example.com", "zoe@example.com", "é@example.com"]
    assert page["contacts"][0] == api.get(f"/contacts/{page['contacts'][0]['id']}", account)


def test_following_the_cursor_visits_every_contact_exactly_once(api: Api, account: Account) -> None:
    everyone = sorted(f"u{number % 7}-{number}@example.com" for number in range(23))
    told(account, *everyone, data='{"a":1}')
    told(account, *everyone[::2], at=AT + 1, data='{"b":1}')
    for limit in (1, 5, 22, 23, 24):
        assert walk(api, account, limit=limit) == (everyone, -(-23 // limit))


def test_following_the_cursor_misses_none_while_new_ones_arrive(api: Api, account: Account) -> None:
    before = [f"u{number}@example.com" for number in range(10)]
    told(account, *before)
    arriving = iter(range(100))
    visited, _ = walk(api, account, lambda: told(account, f"u{next(arriving)}-new@example.com"), limit=3)
    assert len(set(visited)) == len(visited)
    assert [email for email in visited if "new" not in email] == before


def test_the_default_limit_is_100(api: Api, account: Account) -> None:
    told(account, *(f"u{number:03}@example.com" for number in range(101)))
    page = api.get("/contacts", account)
    assert (len(page["contacts"]), page["cursor"]) == (100, to_token("u099@example.com"))


def test_search_finds_by_the_start_of_the_address_and_ignores_case(api: Api, account: Account) -> None:
    told(account, ADA, "adam@example.com", "ad@example.com", "ada+news@example.com", "éa@example.com", "éb@example.com")
    assert emails(api.get("/contacts", account, search="ADA")) == ["ada+news@example.com", ADA, "adam@example.com"]
    assert emails(api.get("/contacts", account, search="ada@")) == [ADA]
    assert emails(api.get("/contacts", account, search="ada+")) == ["ada+news@example.com"]
    assert emails(api.send("GET", "/contacts?search=ada+", account.secret).json()) == ["ada+news@example.com"]
    assert emails(api.get("/contacts", account, search="É")) == ["éa@example.com", "éb@example.com"]
    for text in ("example", "%", "_", "'", "\\", "\x00", "\U0010ffff", "x" * 2000):
        assert api.get("/contacts", account, search=text) == {"contacts": [], "cursor": None}
    assert walk(api, account, search="ad", limit=1) == (
        ["ad@example.com", "ada+news@example.com", ADA, "adam@example.com"],
        4,
    )


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_subscribed_chooses_those_that_are_or_are_not(api: Api, account: Account, limit: int) -> None:
    everyone = sorted(f"u{number:02}@example.com" for number in range(30))
    left, back = everyone[3::5], everyone[3::10]
    told(account, *everyone, data='{"a":1}')
    told(account, *left, at=AT + 1, subscribed=False)
    told(account, *back, at=AT + 2, subscribed=True, data='{"b":1}')
    gone = [email for email in left if email not in back]
    assert walk(api, account, subscribed="false", limit=limit)[0] == gone
    assert walk(api, account, subscribed="true", limit=limit)[0] == [email for email in everyone if email not in gone]
    assert walk(api, account, subscribed="false", search="u0", limit=limit)[0] == ["u08@example.com"]
    page = api.get("/contacts", account, subscribed="false", limit=len(gone))
    assert (emails(page), page["cursor"]) == (gone, None)


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"limit": "0"}, ("limit", "too_small")),
        ({"limit": "1001"}, ("limit", "too_big")),
        ({"limit": "abc"}, ("limit", "invalid_type")),
        ({"subscribed": "yes"}, ("subscribed", "invalid_type")),
        ({"cursor": "x"}, ("cursor", "invalid_string")),
        ({"cursor": "MS41LjA"}, ("cursor", "invalid_string")),
    ],
)
def test_bad_parameters_are_named(api: Api, account: Account, params: dict[str, str], problem: tuple[str, str]) -> None:
    assert api.problems("/contacts", account, **params) == {problem}


def test_a_read_waits_for_its_position(tables: ClientTables, keys: KeyRing, account: Account, log: StoringLog) -> None:
    [contact] = told(account, ADA)
    with served(tables, keys, log, query=Query(after_position_seconds=0.2)) as api:
        for path in ("/contacts", f"/contacts/{contact}"):
            api.get(path, account, position_token({0: log.offset}))
            late = {"X-After-Position": position_token({0: log.offset + 1})}
            error_of(api.send("GET", path, account.secret, headers=late), 503, "SERVICE_UNAVAILABLE")
            assert api.problems(path, account, "nonsense") == {("X-After-Position", "invalid_string")}


# --- a change ------------------------------------------------------------------------------------------------------------


def test_a_change_is_merged_and_answers_the_contact_as_it_is_then(api: Api, account: Account, log: StoringLog) -> None:
    [contact] = told(account, ADA, data='{"plan":"free","old":1}')
    body = changed(api, account, contact, b'{"subscribed":false,"data":{"plan":1.10,"old":null,"id":5,"x":""}}')
    Contact.model_validate(body, extra="forbid")
    assert (body["subscribed"], body["data"]) == (False, {"plan": 1.1})
    assert (body["createdAt"], body["updatedAt"] > AT_WIRE) == (AT_WIRE, True)
    assert body == api.get(f"/contacts/{contact}", account)
    [event] = log.marked
    assert isinstance(event, Event)
    assert (event.name, event.email, event.contact_id, event.change) == ("", ADA, contact, True)
    assert (event.subscribed, event.data) == (False, '{"plan":1.10,"old":null,"id":5,"x":""}')
    assert UUID(event.id).version == 7


def test_one_of_the_two_is_enough_and_leaves_the_other(api: Api, account: Account) -> None:
    [contact] = told(account, ADA, data='{"a":1}', subscribed=True)
    assert changed(api, account, contact, {"subscribed": False})["data"] == {"a": 1}
    assert changed(api, account, contact, {"data": {"b": 2}, "other": 5})["subscribed"] is False
    assert changed(api, account, contact, {"data": {}})["data"] == {"a": 1, "b": 2}


def test_a_read_with_the_position_of_a_change_sees_it(api: Api, account: Account) -> None:
    [contact] = told(account, ADA)
    response = change(api, account, contact, {"data": {"a": 1}})
    assert from_token(response.headers["x-position"])
    assert api.get(f"/contacts/{contact}", account, response.headers["x-position"])["data"] == {"a": 1}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ("body", "custom")),
        ([], ("body", "invalid_type")),
        ({"subscribed": None}, ("subscribed", "invalid_type")),
        ({"data": None}, ("data", "invalid_type")),
        ({"data": [1]}, ("data", "invalid_type")),
        ({"data": {"locale": 1}}, ("data.locale", "invalid_type")),
    ],
)
def test_what_is_wrong_with_a_change_is_named(
    api: Api, account: Account, log: StoringLog, body: Any, expected: tuple[str, str]
) -> None:
    [contact] = told(account, ADA)
    assert problems(change(api, account, contact, body)) == {expected}
    assert problems(change(api, account, "x", body)) == {("id", "invalid_string"), expected}
    assert log.marked == []


def test_a_body_follows_the_common_rules(api: Api, account: Account) -> None:
    [contact] = told(account, ADA)
    error_of(change(api, account, contact, b'{"data":{"a":NaN}}'), 400, "BAD_REQUEST")
    error_of(change(api, account, contact, b""), 400, "BAD_REQUEST")
    text = {"Content-Type": "text/plain"}
    error_of(change(api, account, contact, b"{}", headers=text), 415, "UNSUPPORTED_MEDIA_TYPE")
    brotli = {"Content-Encoding": "br"}
    error_of(change(api, account, contact, b"{}", headers=brotli), 415, "UNSUPPORTED_MEDIA_TYPE")
    frame = '{"data":{"a":""}}'
    fits = frame[:-3] + "x" * (64 * 1024 - len(frame)) + frame[-3:]
    squeezed = {"Content-Encoding": "gzip"}
    assert len(changed(api, account, contact, gzip.compress(fits.encode()), headers=squeezed)["data"]["a"]) > 65_000
    error_of(change(api, account, contact, (fits + " ").encode()), 413, "PAYLOAD_TOO_LARGE")
    error_of(
        change(api, account, contact, gzip.compress((fits + " ").encode()), headers=squeezed), 413, "PAYLOAD_TOO_LARGE"
    )


def test_a_change_that_is_not_visible_in_time_is_pending(
    api: Api, account: Account, log: StoringLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "VISIBLE_SECONDS", 0.1)
    [contact] = told(account, ADA)
    log.is_followed = False
    response = change(api, account, contact, {"data": {"a": 1}})
    assert (response.status_code, response.json()) == (202, {"status": "pending"})
    Pending.model_validate(response.json(), extra="forbid")
    assert from_token(response.headers["x-position"]) == {0: log.offset}


# --- an erasure ----------------------------------------------------------------------------------------------------------


@BOTH
def test_an_erasure_removes_the_contact_and_answers_204(
    api: Api, account: Account, log: StoringLog, prefix: str
) -> None:
    [contact, _] = told(account, ADA, "bob@example.com", data='{"a":1}')
    response = api.send("DELETE", f"{prefix}/contacts/{contact}", account.secret)
    assert (response.status_code, response.content) == (204, b"")
    assert from_token(response.headers["x-position"])
    [erasure] = log.marked
    assert isinstance(erasure, Erasure)
    assert (erasure.project_id, erasure.contact_id, erasure.email) == (account.id, contact, ADA)
    error_of(api.send("GET", f"/contacts/{contact}", account.secret), 404, "RESOURCE_NOT_FOUND")
    assert emails(api.get("/contacts", account)) == ["bob@example.com"]


def test_what_is_gone_is_404(api: Api, account: Account, other: Account, log: StoringLog) -> None:
    [contact] = told(account, ADA)
    [foreign] = told(other, ADA)
    assert erase(api, account, contact).status_code == 204
    for unknown in (contact, foreign, NOBODY):
        error_of(erase(api, account, unknown), 404, "RESOURCE_NOT_FOUND")
        error_of(change(api, account, unknown, {"subscribed": True}), 404, "RESOURCE_NOT_FOUND")
    assert len(log.marked) == 1


def test_an_erasure_that_is_not_carried_out_in_time_is_pending(
    api: Api, account: Account, log: StoringLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "CONFIRMED_SECONDS", 0.1)
    [contact] = told(account, ADA)
    log.is_followed = False
    response = erase(api, account, contact)
    assert (response.status_code, response.json()) == (202, {"status": "pending"})
    assert from_token(response.headers["x-position"]) == {0: log.offset}


# --- both -------------------------------------------------------------------------------------------------------------------


def writes(api: Api, account: Account, contact: str) -> list[httpx.Response]:
    return [change(api, account, contact, {"subscribed": True}), erase(api, account, contact)]


def test_a_contact_is_not_called_unknown_before_the_log_is_stored(
    api: Api, account: Account, log: StoringLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.contacts._STORED_SECONDS", 0.1)
    log.offset += 1
    for response in writes(api, account, NOBODY):
        error_of(response, 503, "SERVICE_UNAVAILABLE")
        assert int(response.headers["retry-after"]) >= 1


def test_a_log_that_takes_nothing_is_503(api: Api, account: Account, log: StoringLog) -> None:
    [contact] = told(account, ADA)
    log.failure = LogUnavailable("away")
    for response in writes(api, account, contact):
        error_of(response, 503, "SERVICE_UNAVAILABLE")


def test_a_disabled_project_reads_and_does_not_write(
    api: Api, keys: KeyRing, tables: ClientTables, log: StoringLog
) -> None:
    disabled = Account(keys, tables, enabled=False)
    [contact] = told(disabled, ADA)
    for response in writes(api, disabled, contact):
        error_of(response, 403, "PROJECT_DISABLED")
    assert api.get(f"/contacts/{contact}", disabled)["email"] == ADA
    assert log.marked == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/contacts"),
        ("GET", f"/contacts/{NOBODY}"),
        ("PATCH", f"/contacts/{NOBODY}"),
        ("DELETE", f"/contacts/{NOBODY}"),
    ],
)
def test_only_a_secret_key_is_taken(api: Api, account: Account, method: str, path: str) -> None:
    error_of(api.send(method, path, account.public), 401, "INVALID_API_KEY")
    error_of(api.send(method, path), 401, "MISSING_AUTH")


def test_the_projects_limit_counts_every_route(tables: ClientTables, keys: KeyRing, log: StoringLog) -> None:
    account = Account(keys, tables)
    with served(tables, keys, log, at_most(reads=4)) as api:
        statuses = [api.send("GET", "/contacts", account.secret).status_code]
        statuses += [response.status_code for response in writes(api, account, NOBODY)]
        statuses += [api.send("GET", f"/contacts/{NOBODY}", account.secret).status_code]
        assert statuses == [200, 404, 404, 404]
        refused = [*writes(api, account, NOBODY), api.send("GET", "/contacts", account.secret)]
        assert {response.status_code for response in refused} == {429}
        assert all("ratelimit-limit" in response.headers for response in refused)


@BOTH
def test_other_methods_are_refused_and_told(api: Api, prefix: str) -> None:
    for path, allowed in (("/contacts", "GET, HEAD"), (f"/contacts/{NOBODY}", "GET, HEAD, PATCH, DELETE")):
        response = api.send("PUT", prefix + path)
        error_of(response, 405, "METHOD_NOT_ALLOWED")
        assert response.headers["allow"] == allowed


def test_tables_that_do_not_answer_are_503(keys: KeyRing, account: Account, tables: ClientTables) -> None:
    class Broken:
        def select(self, sql: str, parameters: object = None) -> Any:
            raise TablesUnavailable("ClickHouse does not answer")

    broken: Any = Broken()
    with served(broken, keys, StoringLog(tables)) as api:
        for method, path in (("GET", "/contacts"), ("GET", f"/contacts/{NOBODY}"), ("DELETE", f"/contacts/{NOBODY}")):
            error_of(api.send(method, path, account.secret), 503, "SERVICE_UNAVAILABLE")


def test_the_document_describes_the_routes(api: Api) -> None:
    paths = api.send("GET", "/openapi.json").json()["paths"]
    assert {method: operation["operationId"] for method, operation in paths["/contacts/{id}"].items()} == {
        "get": "get_contact",
        "patch": "change_contact",
        "delete": "erase_contact",
    }
    listed = paths["/contacts"]["get"]
    names = {"limit", "cursor", "search", "subscribed", "X-After-Position"}
    assert {parameter["name"] for parameter in listed["parameters"]} == names
    asked = paths["/contacts/{id}"]["patch"]
    assert asked["requestBody"]["content"]["application/json"]["schema"]["properties"].keys() == {"subscribed", "data"}
    assert {"200", "202", "400", "401", "403", "404", "413", "415", "422", "429", "503"} <= asked["responses"].keys()
    erasing = paths["/contacts/{id}"]["delete"]
    assert {"204", "202", "401", "403", "404", "422", "429", "503"} <= erasing["responses"].keys()
    assert "200" not in erasing["responses"]
    for operation in (listed, asked, erasing, paths["/contacts/{id}"]["get"]):
        assert operation["security"] == [{"key": []}]
        assert operation["description"]
        assert operation["tags"] == ["contacts"]


# --- how large a contact may be -----------------------------------------------------------------------------------------


def test_a_contact_shows_the_data_that_was_set_last_up_to_1_mib(api: Api, account: Account) -> None:
    for number in range(20):
        data = json.dumps({f"key{number}": "x" * 60_000})
        (ada,) = told(account, ADA, at=AT + number, data=data, subscribed=number > 0)
    found = api.get(f"/contacts/{ada}", account)
    assert list(found["data"]) == [f"key{number}" for number in range(3, 20)]
    assert (found["subscribed"], found["createdAt"]) == (True, AT_WIRE)


def test_a_page_that_would_be_too_large_ends_early_and_no_contact_is_passed_over(api: Api, account: Account) -> None:
    expected = [f"{number:02}@example.com" for number in range(60)]
    for part in range(3):
        told(account, *expected, at=AT + part, data=json.dumps({f"key{part}": "x" * 60_000}))
    found, pages = walk(api, account, limit=1000)
    assert found == expected
    assert pages == 2

"""The JSON of the read routes: each sentence of the contract about them has a test named after it."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import pytest
from starlette.types import ASGIApp, Message

from penstock.auth import KeyRing, new_key
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.generations import Generations, LiveTables
from penstock.clickhouse.progress import Progress, write_progress
from penstock.errors import LogUnavailable, TablesUnavailable
from penstock.settings import Limits, Query, Settings
from penstock.telemetry import Metrics
from query_api import create_app
from query_api.cursor import Place, to_token
from schemas.control import Project, control_key, encode_subject
from schemas.event import Event, encode_event
from schemas.ids import contact_id
from schemas.position import Position
from schemas.position import to_token as position_token
from schemas.record import unpack_deletion
from schemas.times import to_ms, to_wire
from schemas.wire import ErrorResponse
from schemas.wire_reads import ContactEventsPage, EventNames, EventsPage, NameCount, NameSeries
from tests.support.control import InstantControl
from tests.support.limits import at_most
from tests.support.requests import KnownContacts
from tests.support.tables import open_test_tables

BOTH = pytest.mark.parametrize("prefix", ["", "/v1"])
ROUTES = ["/events", "/events/names", "/events/stats", "/events/contact/00000000-0000-4000-8000-000000000001"]


def ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


@dataclass
class Account:
    """A project of a test's own, and what it sends."""

    keys: KeyRing
    tables: ClientTables
    id: str = field(default_factory=lambda: str(uuid4()))
    enabled: bool = True

    def __post_init__(self) -> None:
        project = Project(self.id, "test", "2026-01-01T00:00:00.000Z", self.enabled)
        self.keys.apply(control_key(project), encode_subject(project))
        self.secret = self.key("secret")
        self.public = self.key("public")

    def key(self, kind: Any) -> str:
        made = new_key(kind, self.id, "2026-01-01T00:00:00.000Z")
        self.keys.apply(control_key(made.record), encode_subject(made.record))
        return made.text

    def event(self, at: str | int, name: str = "signup", email: str = "ada@example.com", **more: Any) -> Event:
        when = to_wire(ms(at) if isinstance(at, str) else at)
        contact = contact_id(self.id, email) if email else str(UUID(int=0))
        return Event(
            project_id=self.id,
            id=more.pop("id", str(uuid4())),
            name=name,
            occurred_at=when,
            contact_id=contact,
            email=email,
            **more,
        )

    def store(self, *events: Event) -> list[str]:
        """Inserts the events; their ids."""
        self.tables.insert("events", b"\n".join(map(encode_event, events)), token=str(uuid4()))
        return [event.id for event in events]


class Api:
    """The application, with its background task, behind a synchronous face."""

    def __init__(self, app: ASGIApp, runner: asyncio.Runner) -> None:
        self._runner = runner
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://penstock")

    def send(self, method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        headers = ({"Authorization": f"Bearer {key}"} if key else {}) | more.pop("headers", {})
        return self._runner.run(self.client.request(method, path, headers=headers, **more))

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    def get(self, path: str, account: Account, position: str | None = None, **params: Any) -> Any:
        """The body of a 200."""
        headers = {} if position is None else {"X-After-Position": position}
        response = self.send("GET", path, account.secret, params=params, headers=headers)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        assert int(response.headers["x-data-age-ms"]) >= 0
        return response.json()

    def problems(self, path: str, account: Account, position: str | None = None, **params: Any) -> set[Any]:
        """(field, code) of a 422."""
        headers = {} if position is None else {"X-After-Position": position}
        response = self.send("GET", path, account.secret, params=params, headers=headers)
        error = error_of(response, 422, "VALIDATION_ERROR")
        return {(problem["field"], problem["code"]) for problem in error["errors"]}


def error_of(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error member, once the whole body has the one shape."""
    assert response.status_code == status, response.text
    body = response.json()
    ErrorResponse.model_validate(body)
    error: dict[str, Any] = body["error"]
    assert (error["code"], error["statusCode"], body["message"]) == (code, status, error["message"])
    assert error["requestId"] == response.headers["x-request-id"]
    return error


class NoMarkers:
    """No log: nothing is deleted here (see test_deletes.py); the names of what was to be are kept."""

    partitions = 1

    def __init__(self) -> None:
        self.names: list[str] = []

    def mark(self, record: bytes, accepted_ms: int, partition: int | None = None) -> "asyncio.Future[Position]":
        self.names.append(unpack_deletion(record).removal.name)
        raise LogUnavailable("There is no log in this test")


@contextmanager
def served(
    tables: ClientTables,
    keys: KeyRing,
    query: Query | None = None,
    limits: Limits | None = None,
    markers: NoMarkers | None = None,
) -> Iterator[Api]:
    settings = Settings(query=query or Query(), limits=limits or Limits())
    live = LiveTables(Generations(tables))
    markers = markers or NoMarkers()
    app = create_app(
        settings,
        live=live,
        markers=markers,
        contacts=KnownContacts(),
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


async def start(app: ASGIApp) -> Callable[[], Coroutine[Any, Any, None]]:
    """Runs the lifespan as a server does; what it returns ends it."""
    heard: asyncio.Queue[Message] = asyncio.Queue()
    said: asyncio.Queue[Message] = asyncio.Queue()

    async def serve() -> None:
        await app({"type": "lifespan"}, heard.get, said.put)

    task = asyncio.create_task(serve())
    await heard.put({"type": "lifespan.startup"})
    assert (await said.get())["type"] == "lifespan.startup.complete"

    async def stop() -> None:
        await heard.put({"type": "lifespan.shutdown"})
        await task

    return stop


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


@pytest.fixture
def other(keys: KeyRing, tables: ClientTables) -> Account:
    return Account(keys, tables)


def ids(page: Any) -> list[str]:
    return [event["id"] for event in page["events"]]


def walk(
    api: Api, path: str, account: Account, between: Callable[[], object] = lambda: None, **params: Any
) -> list[str]:
    """The ids of all pages, following the cursor to its end."""
    found: list[str] = []
    cursor = ""
    while True:
        page = api.get(path, account, cursor=cursor, **params)
        assert len(page["events"]) <= params.get("limit", 1000)
        found += ids(page)
        cursor = page["cursor"]
        if cursor is None:
            return found
        between()


# Rows and order


@BOTH
def test_a_row_has_exactly_the_members_of_the_contract(api: Api, account: Account, prefix: str) -> None:
    event = account.event("2026-03-01T12:00:00.123", data='{"plan":"pro"}', email_id="mail-1")
    account.store(event)
    page = api.get(f"{prefix}/events", account)
    assert page == {
        "events": [
            {
                "id": event.id,
                "name": "signup",
                "data": {"plan": "pro"},
                "projectId": account.id,
                "contactId": event.contact_id,
                "emailId": "mail-1",
                "createdAt": "2026-03-01T12:00:00.123Z",
                "contact": {"email": "ada@example.com"},
            }
        ],
        "cursor": None,
    }
    assert list(page["events"][0]) == [
        "id",
        "name",
        "data",
        "projectId",
        "contactId",
        "emailId",
        "createdAt",
        "contact",
    ]


def test_what_is_missing_is_null(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-01T12:00:00", email=""))
    [row] = api.get("/events", account)["events"]
    assert (row["data"], row["emailId"], row["contact"]) == (None, None, None)


def test_data_is_answered_as_it_was_sent_byte_for_byte(api: Api, account: Account) -> None:
    sent = (
        '{ "b":1.10,"a":1e400,"n":12345678901234567890123, "dup":1,"dup":2,"s":"\\u00e9\\ud83d\\ude00 \\u0000 é/\\/" }'
    )
    account.store(account.event("2026-03-01T12:00:00", data=sent))
    response = api.send("GET", "/events", account.secret)
    assert f'"data":{sent},' in response.text


def test_bodies_are_what_the_document_says(api: Api, account: Account) -> None:
    event = account.event("2026-03-01T12:00:00")
    account.store(event)
    EventsPage.model_validate(api.get("/events", account), extra="forbid")
    ContactEventsPage.model_validate(api.get(f"/events/contact/{event.contact_id}", account), extra="forbid")
    EventNames.model_validate(api.get("/events/names", account), extra="forbid")
    NameCount.model_validate(api.get("/events/stats", account)[0], extra="forbid")
    NameSeries.model_validate(api.get("/events/stats", account, interval="day")[0], extra="forbid")


def test_newest_first_then_id_descending_as_text(api: Api, account: Account) -> None:
    same = [
        account.event("2026-03-01T12:00:00", id=f"{digit}0000000-0000-4000-8000-00000000000{9 - int(digit, 16) % 9}")
        for digit in "0179af"
    ]
    older = account.event("2026-03-01T11:59:59.999", id="ffffffff-0000-4000-8000-000000000000")
    newer = account.event("2026-03-01T12:00:00.001", id="00000000-0000-4000-8000-000000000000")
    account.store(older, *same, newer)
    expected = [newer.id, *sorted((event.id for event in same), reverse=True), older.id]
    assert ids(api.get("/events", account)) == expected


@BOTH
def test_following_the_cursor_visits_every_event_exactly_once(api: Api, account: Account, prefix: str) -> None:
    moments = [ms("2026-03-01T12:00:00") + (index // 7) for index in range(40)]
    account.store(*(account.event(moment) for moment in moments[:25]))
    account.store(*(account.event(moment) for moment in moments[25:]))
    everything = ids(api.get(f"{prefix}/events", account))
    assert len(set(everything)) == 40
    for limit in (1, 3, 7, 39, 40):
        assert walk(api, f"{prefix}/events", account, limit=limit) == everything


def test_following_the_cursor_misses_none_while_new_ones_arrive(api: Api, account: Account) -> None:
    before = account.store(*(account.event(ms("2026-03-01T12:00:00") + index // 4) for index in range(20)))
    arriving = iter(range(100))
    visited = walk(
        api,
        "/events",
        account,
        lambda: account.store(account.event(ms("2026-03-02T00:00:00") + next(arriving))),
        limit=3,
    )
    assert sorted(visited) == sorted(before)


def test_the_cursor_is_url_safe_and_null_on_the_last_page(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-01T12:00:00"), account.event("2026-03-01T12:00:00"))
    cursor = api.get("/events", account, limit=1)["cursor"]
    assert quote(cursor, safe="") == cursor
    assert api.get("/events", account, limit=1, cursor=cursor)["cursor"] is None
    assert api.get("/events", account, limit=2)["cursor"] is None


def test_the_default_limits_are_100_and_50(api: Api, account: Account) -> None:
    account.store(*(account.event(ms("2026-03-01T12:00:00") + index) for index in range(101)))
    contact = contact_id(account.id, "ada@example.com")
    assert len(api.get("/events", account)["events"]) == 100
    assert len(api.get(f"/events/contact/{contact}", account)["events"]) == 50
    assert len(api.get("/events", account, limit=1000)["events"]) == 101


# Names in queries

ODD_NAMES = [
    "a/b",
    "ünï€😀",
    "nul\x00inside",
    "quote'\"`\\",
    "percent%2F",
    " blank ",
    "{name:String}",
    "tab\tline\n",
    "#?&=+;",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_matched_exactly_whatever_is_in_it(api: Api, account: Account, name: str) -> None:
    [wanted, *_] = account.store(
        account.event("2026-03-01T12:00:00", name),
        account.event("2026-03-01T12:00:00", name.upper() + "x"),
        account.event("2026-03-01T12:00:00", name.strip() + "."),
    )
    assert ids(api.get("/events", account, eventName=name)) == [wanted]
    assert api.get("/events/stats", account, eventName=name) == [{"name": name, "count": 1}]
    [series] = api.get("/events/stats", account, eventName=name, interval="day")
    assert (series["name"], series["count"]) == (name, 1)
    assert name in api.get("/events/names", account)["eventNames"]


def test_a_name_is_case_sensitive_and_not_trimmed(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-01T12:00:00", "Signup"))
    assert api.get("/events", account, eventName="signup")["events"] == []
    assert api.get("/events", account, eventName="Signup ")["events"] == []


def test_by_name_the_cursor_visits_every_event_exactly_once(api: Api, account: Account) -> None:
    names = ["common", "common", "rare"]
    account.store(*(account.event(ms("2026-03-01T12:00:00") + index // 5, names[index % 3]) for index in range(33)))
    for name, count in (("common", 22), ("rare", 11)):
        visited = walk(api, "/events", account, limit=4, eventName=name)
        assert len(visited) == len(set(visited)) == count


# Dates


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"startDate": "2026-03-02T00:00:00.000Z"}, "BCDE"),
        ({"endDate": "2026-03-02T00:00:00.000Z"}, "AB"),
        ({"startDate": "2026-03-02T00:00:00.001Z"}, "CDE"),
        ({"startDate": "2026-03-02", "endDate": "2026-03-02"}, "BCD"),
        ({"endDate": "2026-03-01"}, "A"),
        ({"startDate": "2026-03-03"}, "E"),
        ({"startDate": "2026-03-02T02:00:00+02:00", "endDate": "2026-03-02T01:00:00+01:00"}, "B"),
        ({"startDate": "2026-03-02T02:00:00 02:00", "endDate": "2026-03-02T01:00:00 01:00"}, "B"),
        ({"startDate": "2026-03-02T13:00"}, "DE"),
        ({"startDate": "", "endDate": ""}, "ABCDE"),
        ({"startDate": "0001-01-01", "endDate": "9999-12-31"}, "ABCDE"),
        ({"startDate": "0001-01-01T00:00:00+14:00", "endDate": "9999-12-31T23:59:59-14:00"}, "ABCDE"),
        ({"startDate": "2200-01-01", "endDate": "2300-01-01"}, ""),
        ({"endDate": "1969-12-31"}, ""),
        ({"startDate": "2026-03-02T00:00:00.0005Z", "endDate": "2026-03-02T12:00:00.0005Z"}, "C"),
    ],
)
def test_dates_are_inclusive_and_a_date_without_time_is_that_utc_day(
    api: Api, account: Account, params: dict[str, str], expected: str
) -> None:
    account.store(
        account.event("2026-03-01T23:59:59.999", "A"),
        account.event("2026-03-02T00:00:00.000", "B"),
        account.event("2026-03-02T12:00:00.000", "C"),
        account.event("2026-03-02T23:59:59.999", "D"),
        account.event("2026-03-03T00:00:00.000", "E"),
    )
    listed = [event["name"] for event in api.get("/events", account, **params)["events"]]
    assert "".join(sorted(listed)) == expected
    assert "".join(entry["name"] for entry in api.get("/events/stats", account, **params)) == expected


def test_a_date_without_time_is_that_day_in_the_timezone(api: Api, account: Account) -> None:
    account.store(
        account.event("2026-03-01T22:59:59.999", "before"),
        account.event("2026-03-01T23:00:00.000", "first"),
        account.event("2026-03-02T22:59:59.999", "last"),
        account.event("2026-03-02T23:00:00.000", "after"),
    )
    day = {"startDate": "2026-03-02", "endDate": "2026-03-02", "timezone": "Europe/Berlin"}
    assert [entry["name"] for entry in api.get("/events/stats", account, **day)] == ["first", "last"]
    found = api.get("/events/stats", account, interval="day", **day)
    assert [entry["buckets"] for entry in found] == [[{"start": "2026-03-01T23:00:00.000Z", "count": 1}]] * 2


# Names and stats


def test_names_are_by_count_descending_then_name(api: Api, account: Account) -> None:
    counts = {"b": 2, "a": 2, "Z": 2, "é": 2, "many": 3, "email.open": 1}
    account.store(*(account.event("2026-03-01T12:00:00", name) for name, count in counts.items() for _ in range(count)))
    account.store(account.event("2026-03-01T12:00:00", "email.open"))
    expected = ["many", "Z", "a", "b", "email.open", "é"]
    assert api.get("/events/names", account)["eventNames"] == expected
    assert api.get("/events/stats", account) == [
        {"name": name, "count": 3 if name == "many" else 2} for name in expected
    ]
    dated = api.get("/events/stats", account, startDate="2026-01-01", endDate="2026-12-31")
    assert dated == api.get("/events/stats", account)


def test_a_project_without_events_has_none(api: Api, account: Account) -> None:
    assert api.get("/events", account) == {"events": [], "cursor": None}
    assert api.get("/events/names", account) == {"eventNames": []}
    assert api.get("/events/stats", account) == []
    assert api.get("/events/stats", account, startDate="2026-01-01", endDate="2026-01-02") == []
    for dates in ({}, {"startDate": "2026-01-01"}, {"startDate": "2026-01-01", "endDate": "2026-01-02"}):
        assert api.get("/events/stats", account, interval="day", **dates) == []


def test_an_event_that_was_inserted_twice_counts_once(api: Api, account: Account, tables: ClientTables) -> None:
    line = encode_event(account.event("2026-03-01T12:00:00"))
    for _ in range(2):
        tables.insert("events", line, token=f"once-{account.id}")
    assert len(api.get("/events", account)["events"]) == 1
    assert api.get("/events/stats", account) == [{"name": "signup", "count": 1}]
    assert api.get("/events/stats", account, startDate="2026-03-01") == [{"name": "signup", "count": 1}]
    assert api.get("/events/stats", account, startDate="2026-03-01T12:00:00.000Z", endDate="2026-03-01T12:00:00Z") == [
        {"name": "signup", "count": 1}
    ]


def test_a_name_whose_events_were_all_removed_is_not_listed(api: Api, account: Account, tables: ClientTables) -> None:
    account.store(account.event("2026-03-01T12:00:00", "gone"), account.event("2026-03-01T12:00:00", "stays"))
    values = {"project": account.id}
    tables.delete("event_counts", "project_id = {project:UUID} AND name = 'gone'", values)
    assert api.get("/events/names", account)["eventNames"] == ["stays"]
    assert [entry["name"] for entry in api.get("/events/stats", account)] == ["stays"]
    assert [entry["name"] for entry in api.get("/events/stats", account, startDate="2026-03-01")] == ["stays"]


def test_buckets_reach_from_the_first_event_to_the_last_empty_ones_too(api: Api, account: Account) -> None:
    account.store(
        account.event("2026-03-01T12:30:00", "a"),
        account.event("2026-03-01T14:59:59.999", "a"),
        account.event("2026-03-01T14:00:00", "b"),
        account.event("2026-03-01T14:00:00", "b"),
        account.event("2026-03-01T14:00:00.001", "b"),
    )

    def buckets(*counts: int) -> list[Any]:
        return [
            {"start": f"2026-03-01T{hour}:00:00.000Z", "count": count}
            for hour, count in zip((12, 13, 14), counts, strict=True)
        ]

    assert api.get("/events/stats", account, interval="hour") == [
        {"name": "b", "count": 3, "buckets": buckets(0, 0, 3)},
        {"name": "a", "count": 2, "buckets": buckets(1, 0, 1)},
    ]
    [alone] = api.get("/events/stats", account, interval="hour", eventName="b")
    assert alone["buckets"] == [{"start": "2026-03-01T14:00:00.000Z", "count": 3}]


def test_buckets_reach_from_start_date_to_end_date_empty_ones_too(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-02T12:00:00"), account.event("2026-03-02T12:00:00.001"))
    [found] = api.get(
        "/events/stats", account, interval="day", startDate="2026-02-28", endDate="2026-03-02T12:00:00.000Z"
    )
    assert found["count"] == 1
    assert [(bucket["start"][:10], bucket["count"]) for bucket in found["buckets"]] == [
        ("2026-02-28", 0),
        ("2026-03-01", 0),
        ("2026-03-02", 1),
    ]


def test_the_first_bucket_starts_before_start_date_but_counts_only_from_it(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-02T11:00:00.000"), account.event("2026-03-02T11:00:00.001"))
    [found] = api.get("/events/stats", account, interval="month", startDate="2026-03-02T11:00:00.001Z")
    assert found["buckets"] == [{"start": "2026-03-01T00:00:00.000Z", "count": 1}]


def test_weeks_begin_on_monday(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-01T23:59:59"), account.event("2026-03-02T00:00:00"))
    [found] = api.get("/events/stats", account, interval="week")
    assert [(bucket["start"], bucket["count"]) for bucket in found["buckets"]] == [
        ("2026-02-23T00:00:00.000Z", 1),
        ("2026-03-02T00:00:00.000Z", 1),
    ]


def test_days_are_those_of_the_timezone_when_clocks_are_turned(api: Api, account: Account) -> None:
    account.store(
        account.event("2026-03-28T22:59:59"), account.event("2026-03-28T23:00:00"), account.event("2026-03-29T22:00:00")
    )
    [found] = api.get("/events/stats", account, interval="day", timezone="Europe/Berlin")
    assert [(bucket["start"], bucket["count"]) for bucket in found["buckets"]] == [
        ("2026-03-27T23:00:00.000Z", 1),
        ("2026-03-28T23:00:00.000Z", 1),
        ("2026-03-29T22:00:00.000Z", 1),
    ]


@pytest.mark.parametrize("interval", ["hour", "day", "week", "month"])
def test_buckets_add_up_in_a_zone_with_half_hours(api: Api, account: Account, interval: str) -> None:
    moments = [ms("2026-01-01T18:29:59.999") + index * 2_345_678 for index in range(60)]
    account.store(*(account.event(moment) for moment in moments))
    [found] = api.get("/events/stats", account, interval=interval, timezone="Asia/Kolkata")
    starts = [ms(bucket["start"][:-1]) for bucket in found["buckets"]]
    expected = [0] * len(starts)
    for moment in moments:
        expected[max(index for index, start in enumerate(starts) if start <= moment)] += 1
    assert [bucket["count"] for bucket in found["buckets"]] == expected
    assert all((start // 60_000 + 330) % 60 == 0 for start in starts)


def test_a_future_end_date_is_fine(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-01T12:00:00"))
    [found] = api.get("/events/stats", account, interval="month", startDate="2026-03-01", endDate="2300-12-31")
    assert (len(found["buckets"]), found["count"]) == (275 * 12 - 2, 1)


def test_over_10_000_buckets_are_refused(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-01T12:00:00"))
    dates = {"startDate": "2026-01-01T00:00:00Z", "interval": "hour"}
    last = ms("2026-01-01T00:00:00") + 10_000 * 3_600_000
    [found] = api.get("/events/stats", account, endDate=to_wire(last - 1), **dates)
    assert len(found["buckets"]) == 10_000
    assert api.problems("/events/stats", account, endDate=to_wire(last), **dates) == {("interval", "too_big")}
    far = {"startDate": "0001-01-01", "endDate": "9999-12-31"}
    for interval in ("hour", "day", "week", "month"):
        assert api.problems("/events/stats", account, interval=interval, **far) == {("interval", "too_big")}


def test_10_000_days_of_a_zone_with_half_hours_can_be_asked(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-01T18:29:59.999"), account.event("2026-03-01T18:30:00"))
    [found] = api.get(
        "/events/stats", account, interval="day", timezone="Asia/Kolkata", startDate="1999-01-01", endDate="2026-05-18"
    )
    assert len(found["buckets"]) == 10_000
    assert [bucket for bucket in found["buckets"] if bucket["count"]] == [
        {"start": "2026-02-28T18:30:00.000Z", "count": 1},
        {"start": "2026-03-01T18:30:00.000Z", "count": 1},
    ]


def test_a_day_that_the_zone_skipped_has_no_events(api: Api, account: Account) -> None:
    account.store(account.event("2011-12-30T10:00:00"))
    day = {"startDate": "2011-12-30", "endDate": "2011-12-30", "timezone": "Pacific/Apia"}
    assert api.get("/events/stats", account, **day) == []
    assert api.get("/events/stats", account, interval="day", **day) == []


# One contact


@BOTH
def test_a_contacts_events_have_no_contact(api: Api, account: Account, prefix: str) -> None:
    mine = account.event("2026-03-01T12:00:00", data="[1]", email_id="m")
    account.store(mine, account.event("2026-03-01T12:00:00", email="bob@example.com"))
    assert api.get(f"{prefix}/events/contact/{mine.contact_id}", account) == {
        "events": [
            {
                "id": mine.id,
                "name": "signup",
                "data": [1],
                "projectId": account.id,
                "contactId": mine.contact_id,
                "emailId": "m",
                "createdAt": "2026-03-01T12:00:00.000Z",
            }
        ],
        "cursor": None,
    }


def test_a_contacts_cursor_visits_every_event_exactly_once(api: Api, account: Account) -> None:
    mine = account.store(*(account.event(ms("2026-03-01T12:00:00") + index // 5) for index in range(23)))
    account.store(*(account.event(ms("2026-03-01T12:00:00") + index, email="bob@example.com") for index in range(9)))
    visited = walk(api, f"/events/contact/{contact_id(account.id, 'ada@example.com')}", account, limit=4)
    assert sorted(visited) == sorted(mine)


def test_an_unknown_contact_has_an_empty_list(api: Api, account: Account) -> None:
    assert api.get(f"/events/contact/{uuid4()}", account) == {"events": [], "cursor": None}


def test_a_contact_id_may_be_in_upper_case(api: Api, account: Account) -> None:
    event = account.event("2026-03-01T12:00:00")
    account.store(event)
    assert len(api.get(f"/events/contact/{event.contact_id.upper()}", account)["events"]) == 1


# Whose data


def test_a_project_never_sees_anothers_data(api: Api, account: Account, other: Account) -> None:
    theirs = other.event("2026-03-01T12:00:00", "secret")
    other.store(theirs)
    cursor = to_token(Place(ms("2027-01-01T00:00:00"), theirs.id))
    for params in ({}, {"eventName": "secret"}, {"cursor": cursor}, {"startDate": "2026-01-01"}):
        assert api.get("/events", account, **params)["events"] == []
    assert api.get(f"/events/contact/{theirs.contact_id}", account)["events"] == []
    assert api.get("/events/names", account) == {"eventNames": []}
    for params in ({}, {"interval": "day"}, {"startDate": "2026-01-01"}, {"startDate": "2026-03-01T12:00:00.000Z"}):
        assert api.get("/events/stats", account, **params) == []


def test_a_disabled_project_can_be_read(api: Api, keys: KeyRing, tables: ClientTables) -> None:
    disabled = Account(keys, tables, enabled=False)
    disabled.store(disabled.event("2026-03-01T12:00:00"))
    assert len(api.get("/events", disabled)["events"]) == 1


@pytest.mark.parametrize("route", [prefix + route for prefix in ("", "/v1") for route in ROUTES])
def test_reads_take_a_secret_key_only(api: Api, account: Account, route: str) -> None:
    assert api.send("GET", route, account.secret).status_code == 200
    error_of(api.send("GET", route), 401, "MISSING_AUTH")
    error_of(api.send("GET", route, headers={"Authorization": account.secret}), 401, "MISSING_AUTH")
    error_of(api.send("GET", route, account.public), 401, "INVALID_API_KEY")
    twice = [("Authorization", f"Bearer {account.secret}")] * 2
    error_of(api.run(api.client.get(route, headers=twice)), 401, "MISSING_AUTH")
    error_of(api.send("GET", route, "sk_unknown"), 401, "INVALID_API_KEY")


def test_who_has_no_key_learns_nothing_of_the_parameters(api: Api) -> None:
    error_of(api.send("GET", "/events", params={"limit": "abc"}), 401, "MISSING_AUTH")
    error_of(api.send("GET", "/events/contact/x"), 401, "MISSING_AUTH")


# Parameters that are wrong

BAD_LIMITS = {
    "too_small": ["0", "-1", "-0", "000"],
    "too_big": ["1001", "9" * 5000],
    "invalid_type": ["abc", "1e2", "١", " 5", "5 ", "+5", "5.0", "0x5", "1_0", "--1", "\x00"],
}
BAD_DATES = [
    "x",
    "2026-13-01",
    "2026-02-30",
    "2026-01-01T25:00:00Z",
    "20260101",
    "1767225600000",
    "2026-01-01Z",
    "now",
    "２026-01-01",
    " ",
    "2026-01-01T00:00:00+99:00",
]
BAD_CURSORS = ["x", "!", "AAAA", "null", "0", "é", "\x00", to_token(Place(0, "0" * 36)) + "A", "A" * 5000]


@pytest.mark.parametrize(("code", "limit"), [(code, limit) for code, limits in BAD_LIMITS.items() for limit in limits])
def test_a_bad_limit_is_named(api: Api, account: Account, code: str, limit: str) -> None:
    assert api.problems("/events", account, limit=limit) == {("limit", code)}
    assert api.problems(f"/events/contact/{uuid4()}", account, limit=limit) == {("limit", code)}


@pytest.mark.parametrize("date", BAD_DATES)
@pytest.mark.parametrize("name", ["startDate", "endDate"])
def test_a_bad_date_is_named(api: Api, account: Account, name: str, date: str) -> None:
    assert api.problems("/events", account, **{name: date}) == {(name, "invalid_string")}
    assert api.problems("/events/stats", account, **{name: date}) == {(name, "invalid_string")}
    assert api.problems("/events/stats", account, interval="day", **{name: date}) == {(name, "invalid_string")}


def test_start_after_end_is_named(api: Api, account: Account) -> None:
    for dates in (
        ("2026-01-02", "2026-01-01"),
        ("2026-01-01T00:00:00.001Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00.0002Z", "2026-01-01T00:00:00.0001Z"),
        ("9999-12-31", "9999-06-01"),
        ("0001-02-01", "0001-01-01"),
        ("9999-12-31T00:00:00Z", "9999-01-02T00:00:00Z"),
        ("9999-06-01T00:00:00Z", "9999-05-31"),
    ):
        for route in ("/events", "/events/stats"):
            params = {"startDate": dates[0], "endDate": dates[1]}
            assert api.problems(route, account, **params) == {("startDate", "custom")}
    assert api.get("/events", account, startDate="2026-01-01T00:00:00Z", endDate="2026-01-01T00:00:00Z") is not None


@pytest.mark.parametrize("cursor", BAD_CURSORS)
def test_a_bad_cursor_is_named(api: Api, account: Account, cursor: str) -> None:
    assert api.problems("/events", account, cursor=cursor) == {("cursor", "invalid_string")}
    assert api.problems(f"/events/contact/{uuid4()}", account, cursor=cursor) == {("cursor", "invalid_string")}


@pytest.mark.parametrize("interval", ["year", "Day", "DAY", "1d", "day ", "minute"])
def test_a_bad_interval_is_named(api: Api, account: Account, interval: str) -> None:
    assert api.problems("/events/stats", account, interval=interval) == {("interval", "invalid_enum_value")}


@pytest.mark.parametrize(
    "zone",
    [
        "Mars/Phobos",
        "europe/berlin",
        "../etc/passwd",
        "Europe",
        "/etc/localtime",
        "+02:00",
        "\x00",
        "é",
        "localtime",
        "posixrules",
        "posix/Europe/Berlin",
        "right/UTC",
    ],
)
def test_a_bad_timezone_is_named(api: Api, account: Account, zone: str) -> None:
    for more in ({}, {"interval": "day"}):
        assert api.problems("/events/stats", account, timezone=zone, **more) == {("timezone", "invalid_string")}


NOBODY = "3f1c9a52-6f0e-4b7d-9d0a-2f4be1c7a001"


@pytest.mark.parametrize(
    "contact",
    [
        "x",
        "1",
        NOBODY[:-1],
        NOBODY.replace("-", ""),
        f"{{{NOBODY}}}",
        "%20",
        "null",
        "%00",
        "",
        "a%2Fb",
        "a/b",
        f"{NOBODY}%0A",
        f"{NOBODY}%0Ax",
    ],
)
def test_a_contact_id_that_is_no_uuid_is_named(api: Api, account: Account, contact: str) -> None:
    assert api.problems(f"/events/contact/{contact}", account) == {("contactId", "invalid_string")}


def test_all_problems_are_reported_together(api: Api, account: Account) -> None:
    params = {"limit": "0", "startDate": "x", "endDate": "y", "cursor": "z"}
    expected = {
        ("limit", "too_small"),
        ("startDate", "invalid_string"),
        ("endDate", "invalid_string"),
        ("cursor", "invalid_string"),
    }
    position = ("X-After-Position", "invalid_string")
    assert api.problems("/events", account, "?", **params) == expected | {position}
    assert api.problems("/events/stats", account, interval="x", timezone="y", startDate="z") == {
        ("interval", "invalid_enum_value"),
        ("timezone", "invalid_string"),
        ("startDate", "invalid_string"),
    }


def test_empty_parameters_mean_none(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-01T12:00:00"))
    empty = {"eventName": "", "startDate": "", "endDate": "", "limit": "", "cursor": ""}
    assert api.get("/events", account, **empty) == api.get("/events", account)
    empty = {"eventName": "", "startDate": "", "endDate": "", "interval": "", "timezone": ""}
    assert api.get("/events/stats", account, **empty) == [{"name": "signup", "count": 1}]


def test_of_a_repeated_parameter_the_last_counts(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-01T12:00:00"), account.event("2026-03-01T12:00:00"))
    response = api.send("GET", "/events?limit=abc&limit=1", account.secret)
    assert len(response.json()["events"]) == 1


# Routes and framing


@pytest.mark.parametrize("path", ["/unknown", "/event", "/v1", "/v1/contact", "/nothing/events", "/v2/events"])
def test_an_unknown_route_is_404_in_our_shape(api: Api, account: Account, path: str) -> None:
    error_of(api.send("GET", path, account.secret), 404, "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize("path", ["/events/unknown", "/events/", "/v1/events/a%2Fb", "/events/contact"])
def test_a_name_alone_can_only_be_deleted(api: Api, account: Account, path: str) -> None:
    response = api.send("GET", path, account.secret)
    error_of(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "DELETE"


@pytest.mark.parametrize("route", ROUTES)
def test_a_wrong_method_is_405_with_allow(api: Api, account: Account, route: str) -> None:
    for method in ("POST", "PUT", "PATCH"):
        response = api.send(method, route, account.secret)
        error_of(response, 405, "METHOD_NOT_ALLOWED")
        assert response.headers["allow"] == ("GET, HEAD" if route == "/events" else "GET, HEAD, DELETE")


@pytest.mark.parametrize("route", [*ROUTES, "/healthz", "/metrics", "/openapi.json", "/docs"])
def test_head_is_answered_as_get_is_but_for_the_body(api: Api, account: Account, route: str) -> None:
    head, get = (api.send(method, route, account.secret) for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers.keys() == get.headers.keys()
    assert head.headers["content-type"] == get.headers["content-type"]
    if route != "/metrics":
        assert head.headers["content-length"] == str(len(get.content))


def test_head_of_what_cannot_be_got_is_405_with_allow(api: Api, account: Account) -> None:
    response = api.send("HEAD", "/events/unknown", account.secret)
    assert (response.status_code, response.headers["allow"]) == (405, "DELETE")


AWKWARD_NAMES = [
    "ends in\n",
    "ends in\r\n",
    "in\nside",
    "\nbegins",
    "\n",
    "\n\n",
    "names\n",
    "contact/x/y",
    "a/trace\n",
]


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_exactly_the_name_in_the_path_is_deleted(keys: KeyRing, account: Account, name: str, prefix: str) -> None:
    markers = NoMarkers()
    with served(account.tables, keys, markers=markers) as api:
        api.send("DELETE", f"{prefix}/events/{quote(name, safe='')}", account.secret)
    assert markers.names == [name]


@pytest.mark.parametrize("name", ["%FF", "a%FFb", "%EF%BF%BD%80", "%ED%A0%80"])
def test_a_name_that_is_no_text_is_no_other_name(keys: KeyRing, account: Account, name: str) -> None:
    markers = NoMarkers()
    with served(account.tables, keys, markers=markers) as api:
        for path, method in ((f"/events/{name}", "DELETE"), (f"/events?eventName={name}", "GET")):
            error = error_of(api.send(method, path, account.secret), 422, "VALIDATION_ERROR")
            assert [(wrong["field"], wrong["code"]) for wrong in error["errors"]] == [("eventName", "invalid_string")]
        api.send("DELETE", "/events/%EF%BF%BD", account.secret)
    assert markers.names == ["\ufffd"]


@pytest.mark.parametrize("path", ["/events/names%0A", "/events/stats%0A", "/v1/events/names%0A", "/events/x/trace%0A"])
def test_a_path_with_a_newline_behind_it_is_another_path(api: Api, account: Account, path: str) -> None:
    response = api.send("GET", path, account.secret)
    assert (response.status_code, response.headers["allow"]) == (405, "DELETE")
    error_of(api.send("GET", "/events%0A", account.secret), 404, "RESOURCE_NOT_FOUND")


def test_the_request_id_is_kept(api: Api, account: Account) -> None:
    for params, status in (({}, 200), ({"limit": "0"}, 422)):
        response = api.send("GET", "/events", account.secret, params=params, headers={"X-Request-ID": "mine-1"})
        assert (response.status_code, response.headers["x-request-id"]) == (status, "mine-1")


def test_the_document_describes_every_read(api: Api) -> None:
    document = api.send("GET", "/openapi.json").json()
    paths = document["paths"].items()
    found = {path: item["get"] for path, item in paths if path.startswith("/events") and "get" in item}
    assert {operation["operationId"] for operation in found.values()} == {
        "list_events",
        "list_event_names",
        "count_events",
        "list_contact_events",
        "trace_event",
        "event_usage",
    }
    for operation in found.values():
        assert {"200", "401", "422", "429", "500", "503"} <= set(operation["responses"])
        assert operation["responses"]["422"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorResponse")
        assert operation["security"] == [{"key": []}]
        assert operation["description"]
    assert {parameter["name"] for parameter in found["/events"]["parameters"]} == {
        "eventName",
        "limit",
        "cursor",
        "startDate",
        "endDate",
        "X-After-Position",
    }


def test_tables_that_do_not_answer_are_503_with_retry_after(keys: KeyRing, account: Account) -> None:
    class Broken:
        def select(self, sql: str, parameters: object = None) -> Any:
            raise TablesUnavailable("ClickHouse does not answer")

    with served(Broken(), keys) as broken:  # type: ignore[arg-type]  # only select is called
        for route in ROUTES:
            response = broken.send("GET", route, account.secret)
            error_of(response, 503, "SERVICE_UNAVAILABLE")
            assert int(response.headers["retry-after"]) >= 1


# Freshness


@contextmanager
def fresh(keys: KeyRing, wait_seconds: float = 0.3) -> Iterator[tuple[Api, Account]]:
    """An application on tables of its own: what is known of the writers is no project's, but everyone's."""
    tables = open_test_tables()
    with served(tables, keys, Query(after_position_seconds=wait_seconds)) as api:
        yield api, Account(keys, tables)
    tables.close()


def written(partition: int, through: int, *, sequence: int = 1, caught_up: bool = True, age_ms: int = 0) -> Progress:
    now = time.time_ns() // 1_000_000
    return Progress(partition, 1, sequence, through, None, caught_up, now - age_ms, now)


def test_a_visible_position_is_answered_at_once(keys: KeyRing) -> None:
    with fresh(keys) as (api, account):
        write_progress(account.tables, [written(0, 7), written(3, 9)])
        for position in ({}, {0: 7}, {0: 1, 3: 9}):
            for route in ROUTES:
                api.get(route, account, position_token(position))


def test_a_position_is_waited_for(keys: KeyRing) -> None:
    with fresh(keys, 5) as (api, account):
        write_progress(account.tables, [written(0, 7)])

        async def later() -> None:
            await asyncio.sleep(0.3)
            account.store(account.event("2026-03-01T12:00:00"))
            write_progress(account.tables, [written(0, 8, sequence=2)])

        async def both() -> httpx.Response:
            headers = {"Authorization": f"Bearer {account.secret}", "X-After-Position": position_token({0: 8})}
            answer, _ = await asyncio.gather(api.client.get("/events", headers=headers), later())
            return answer

        response: httpx.Response = api.run(both())
        assert len(response.json()["events"]) == 1


@pytest.mark.parametrize("position", [{0: 8}, {5: 0}, {0: 7, 1: 0}])
def test_a_position_that_is_not_visible_in_time_is_503_with_retry_after(
    keys: KeyRing, position: dict[int, int]
) -> None:
    with fresh(keys) as (api, account):
        write_progress(account.tables, [written(0, 7)])
        started = time.monotonic()
        response = api.send("GET", "/events", account.secret, headers={"X-After-Position": position_token(position)})
        error_of(response, 503, "SERVICE_UNAVAILABLE")
        assert int(response.headers["retry-after"]) >= 1
        assert 0.25 < time.monotonic() - started < 15


@pytest.mark.parametrize("position", ["x", "", "Mg", "!!!", "null", position_token({0: 1}) + "!", "A" * 5000, "é"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_malformed_position_is_named(api: Api, account: Account, route: str, position: str) -> None:
    headers = {b"Authorization": f"Bearer {account.secret}".encode(), b"X-After-Position": position.encode("latin-1")}
    response = api.run(api.client.get(route, headers=headers))
    [problem] = error_of(response, 422, "VALIDATION_ERROR")["errors"]
    assert (problem["field"], problem["code"]) == ("X-After-Position", "invalid_string")


def test_the_age_is_0_when_the_writers_have_caught_up(keys: KeyRing) -> None:
    with fresh(keys) as (api, account):
        assert age(api, account) < 10_000  # nobody has written: as old as the process
        write_progress(account.tables, [written(0, 7), written(1, 3)])
        api.run(asyncio.sleep(0.3))
        assert age(api, account) == 0
        write_progress(account.tables, [written(1, 3, sequence=2, caught_up=False, age_ms=60_000)])
        api.run(asyncio.sleep(0.3))
        assert 60_000 <= age(api, account) < 70_000


def age(api: Api, account: Account) -> int:
    return int(api.send("GET", "/events", account.secret).headers["x-data-age-ms"])


def test_a_writer_that_is_silent_is_not_believed(keys: KeyRing) -> None:
    with fresh(keys) as (api, account):
        now = time.time_ns() // 1_000_000
        write_progress(account.tables, [Progress(0, 1, 1, 7, None, True, now - 20_000, now - 20_000)])
        api.run(asyncio.sleep(0.3))
        assert 20_000 <= age(api, account) < 30_000


def test_a_body_is_json_in_utf_8(api: Api, account: Account) -> None:
    account.store(account.event("2026-03-01T12:00:00", "größe"))
    assert json.loads(api.send("GET", "/events/names", account.secret).content) == {"eventNames": ["größe"]}


# The limit of reads


def told(response: httpx.Response) -> list[str | None]:
    return [response.headers.get(f"ratelimit-{name}") for name in ("limit", "remaining")]


def test_without_a_limit_no_read_speaks_of_one(api: Api, account: Account) -> None:
    for path in ROUTES:
        assert told(api.send("GET", path, account.secret)) == [None, None]


def test_each_project_has_a_limit_of_reads_and_every_answer_says_what_is_left(
    tables: ClientTables, keys: KeyRing, account: Account, other: Account
) -> None:
    limits = at_most(reads=6)
    with served(tables, keys, Query(cors_origins=["https://admin.example"]), limits) as api:
        for number, path in enumerate([*ROUTES, "/v1/events"]):
            answer = api.send("GET", path, account.secret)
            assert (answer.status_code, told(answer)) == (200, ["6", str(5 - number)])
        answer = api.send("GET", "/events", account.secret, params={"limit": "0"})
        error_of(answer, 422, "VALIDATION_ERROR")
        assert told(answer) == ["6", "0"]

        answer = api.send("GET", "/events", account.secret, headers={"Origin": "https://admin.example"})
        assert "reads per second" in error_of(answer, 429, "RATE_LIMIT_EXCEEDED")["message"]
        assert told(answer) == ["6", "0"]
        assert 900 <= int(answer.headers["retry-after"]) <= 1000
        assert answer.headers["ratelimit-reset"] == answer.headers["retry-after"]
        assert "RateLimit-Remaining" in answer.headers["access-control-expose-headers"]
        assert 'penstock_rate_limited_total{kind="read"} 1.0' in api.send("GET", "/metrics").text

        assert told(api.send("GET", "/events", other.secret)) == ["6", "5"]
        assert told(api.send("GET", "/events", "sk_unknown")) == [None, None]
        document = api.send("GET", "/openapi.json").json()
        assert document["paths"]["/events"]["get"]["operationId"] == "list_events"

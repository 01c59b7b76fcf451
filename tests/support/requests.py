"""The ingest application as a client sees it, and what there is to look at behind it.

The application is the real one over a real SQLite log, so a 200 in these tests means what it means in production.
"""

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ingest.app import create_app
from ingest.contacts import ContactDirectory
from ingest.segments import SegmentDirectory
from ingest.sns.source import sns_source
from penstock.auth import KeyRing, NewKey, new_key
from penstock.errors import Unavailable
from penstock.eventlog import EventLog
from penstock.eventlog.sqlite import SqliteLog
from penstock.projects import NewProject, create_project
from penstock.readiness import Check
from penstock.settings import Ingest, Limits, Query, Settings, Sns
from penstock.telemetry import Metrics
from schemas.control import KeyKind, Subject, control_key, encode_subject
from schemas.event import Event
from schemas.registry import Segment
from schemas.times import parse_iso, to_ms, to_wire
from schemas.wire import ErrorResponse
from tests.support.logs import stored_events

NOW = "2026-11-23T07:00:00.123Z"
NOW_MS = to_ms(parse_iso(NOW))

EVENT = {"event": "signup", "email": "ada@example.com"}

_ERROR_MEMBERS = {"code", "message", "statusCode", "requestId", "errors", "details", "suggestion"}


@dataclass
class FrozenClock:
    """The time stands still until a test moves it."""

    ms: int = NOW_MS

    def now_ms(self) -> int:
        """See `penstock.clock.Clock`."""
        return self.ms


@dataclass
class KnownContacts:
    """The contacts that a test knows: addresses by project and id."""

    emails: dict[tuple[str, str], str] = field(default_factory=dict)
    asked: list[set[str]] = field(default_factory=list)
    failure: Unavailable | None = None

    async def emails_of(self, project_id: str, contact_ids: Collection[str]) -> Mapping[str, str]:
        """See `ingest.contacts.ContactDirectory`."""
        self.asked.append(set(contact_ids))
        if self.failure:
            raise self.failure
        found = {contact: self.emails.get((project_id, contact), "") for contact in contact_ids}
        return {contact: email for contact, email in found.items() if email}


@dataclass
class KnownSegments:
    """The segments that a test knows."""

    segments: list[Segment] = field(default_factory=list)
    failure: Unavailable | None = None

    async def segments_of(self, project_id: str, slugs: Collection[str]) -> Mapping[str, Segment]:
        """See `ingest.segments.SegmentDirectory`."""
        if self.failure:
            raise self.failure
        return {one.slug: one for one in self.segments if one.project_id == project_id and one.slug in slugs}


@dataclass
class Api:
    """The application, a project, and its log."""

    client: httpx.AsyncClient
    log: EventLog
    directory: Path
    project: NewProject
    clock: FrozenClock = field(default_factory=FrozenClock)
    ring: KeyRing = field(default_factory=KeyRing)

    def know(self, *subjects: Subject) -> None:
        """Tells the application of projects and keys, as the control topic would."""
        for subject in subjects:
            self.ring.apply(control_key(subject), encode_subject(subject))

    def make_project(self, name: str = "another") -> NewProject:
        """One more project, which the application knows."""
        made = create_project(self.log, name, self.clock.now_ms())
        self.know(made.project, made.public.record, made.secret.record)
        return made

    def make_key(self, kind: KeyKind) -> NewKey:
        """One more key of the project, which the application knows."""
        made = new_key(kind, self.project.project.id, to_wire(self.clock.now_ms()))
        self.know(made.record)
        return made

    async def post(
        self, path: str, body: Any, *, headers: Mapping[str, str | bytes] | None = None, key: str | None = None
    ) -> httpx.Response:
        """One write with the project's public key; `body` as bytes, or as what becomes JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given: dict[str, str | bytes] = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {key or self.project.public.text}",
            **(headers or {}),
        }
        return await self.client.post(path, content=content, headers=raw_headers(given))

    async def track(self, body: Any, **more: Any) -> httpx.Response:
        """`POST /v1/track`."""
        return await self.post("/v1/track", body, **more)

    async def batch(self, body: Any, **more: Any) -> httpx.Response:
        """`POST /v1/track/batch`."""
        return await self.post("/v1/track/batch", body, **more)

    async def tracked(self, body: Any = None, **more: Any) -> dict[str, str]:
        """The `data` of a 200."""
        response = await self.track(EVENT if body is None else body, **more)
        assert response.status_code == 200, response.text
        answer: dict[str, str] = response.json()["data"]
        return answer

    async def batched(self, body: Any, **more: Any) -> dict[str, Any]:
        """The `data` of a batch's 200."""
        response = await self.batch(body, **more)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()["data"]
        return answer

    def stored(self) -> list[Event]:
        """All events in the log."""
        return stored_events(self.log)

    def last(self) -> Event:
        """The one that was stored last."""
        return self.stored()[-1]


def raw_headers(headers: Mapping[str, str | bytes]) -> dict[bytes, bytes]:
    """The headers as bytes, which may be any."""
    return {name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in headers.items()}


@asynccontextmanager
async def serving(
    directory: Path,
    *,
    ingest: Ingest | None = None,
    query: Query | None = None,
    limits: Limits | None = None,
    log: EventLog | None = None,
    checks: Mapping[str, Check] | None = None,
    sns: Sns | None = None,
    contacts: ContactDirectory | None = None,
    segments: SegmentDirectory | None = None,
) -> AsyncIterator[Api]:
    """The application over a log in `directory`, or over the (open) `log`."""
    settings = Settings(ingest=ingest or Ingest(), query=query or Query(), limits=limits or Limits(), sns=sns or Sns())
    own = SqliteLog(directory, max_pending_bytes=settings.ingest.max_pending_bytes)
    await own.start()
    log = log or own
    clock, ring = FrozenClock(), KeyRing()
    ring.is_complete = True
    checks = {"log": log.check} if checks is None else checks
    try:
        async with sns_source(settings.sns) as source:
            app = create_app(
                settings,
                log=log,
                authenticate=ring,
                clock=clock,
                metrics=Metrics(),
                checks=checks,
                sns=source,
                contacts=contacts or KnownContacts(),
                segments=segments or KnownSegments(),
            )
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://penstock") as client:
                project = create_project(own, "test", clock.now_ms())
                api = Api(client, log, directory, project, clock, ring)
                api.know(project.project, project.public.record, project.secret.record)
                yield api
    finally:
        await own.stop()


def error_of(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error member, once the whole answer has the one shape and says the same everywhere."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    ErrorResponse.model_validate(body)
    error: dict[str, Any] = body["error"]
    assert body.keys() == {"success", "error", "message", "timestamp"}
    assert error.keys() <= _ERROR_MEMBERS
    assert body["success"] is False
    assert all(error.values()), "empty members are omitted"
    assert (error["code"], error["statusCode"]) == (code, status)
    assert error["message"] == body["message"]
    assert error["requestId"] == response.headers["x-request-id"]
    assert to_wire(to_ms(parse_iso(body["timestamp"]))) == body["timestamp"]
    return error


def problems_of(response: httpx.Response) -> list[tuple[str, str]]:
    """Field and code of everything that a 422 names."""
    error = error_of(response, 422, "VALIDATION_ERROR")
    assert all(problem["message"] for problem in error["errors"])
    return [(problem["field"], problem["code"]) for problem in error["errors"]]

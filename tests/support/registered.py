"""The query API over a registry: what tests of segments, workflows and their uses have in common."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from penstock.auth import KeyRing
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.generations import Generations, LiveTables
from penstock.settings import Settings
from penstock.telemetry import Metrics
from query_api import create_app
from query_api.deleting import Markers
from schemas.ids import contact_id
from schemas.registry import Registered, Segment, Workflow, encode_registered, registry_key
from schemas.tables import MEMBERSHIPS
from schemas.times import to_wire
from schemas.topics import Topic
from tests.support.control import InstantControl
from tests.support.requests import KnownContacts
from tests.wire.test_reads import Account, Api, error_of, start

AT = 1_790_000_000_000
AT_WIRE = "2026-09-21T14:13:20.000Z"
NOBODY = "00000000-0000-4000-8000-00000000abcd"


@dataclass
class RacedControl(InstantControl):
    """A control topic to which other processes publish something right before the next record of ours."""

    before: list[Registered] = field(default_factory=list)

    def publish(self, topic: Topic, key: str, value: bytes | None) -> int:
        """See `InstantControl`."""
        others, self.before = self.before, []
        for other in others:
            super().publish(topic, registry_key(other), encode_registered(other))
        return super().publish(topic, key, value)

    def segment(self, account: Account, segment_id: str) -> Segment:
        """What is kept of a segment."""
        found = self.registry.segment(account.id, segment_id)
        assert found
        return found

    def workflow(self, account: Account, workflow_id: str) -> Workflow:
        """What is kept of a workflow."""
        found = self.registry.workflow(account.id, workflow_id)
        assert found
        return found


@contextmanager
def served(
    tables: ClientTables,
    keys: KeyRing,
    control: InstantControl,
    markers: Markers,
    *,
    settings: Settings | None = None,
    metrics: Metrics | None = None,
) -> Iterator[Api]:
    """The application."""
    app = create_app(
        settings or Settings(),
        live=LiveTables(Generations(tables)),
        markers=markers,
        contacts=KnownContacts(),
        registrar=control.registrar(),
        authenticate=keys,
        metrics=metrics or Metrics(),
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


def send(api: Api, method: str, path: str, account: Account, body: Any = None, **more: Any) -> httpx.Response:
    """A request with the project's secret key; `body` as bytes, or as what becomes JSON.

    Whatever changed something has a position, which a read may hand back.
    """
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **more.pop("headers", {})}
    answer = api.send(method, path, account.secret, content=content, headers=headers, **more)
    assert ("x-position" in answer.headers) == (method not in ("GET", "HEAD") and answer.is_success), answer.headers
    return answer


def made(api: Api, path: str, account: Account, body: Any) -> Any:
    """The body of a 201."""
    response = send(api, "POST", path, account, body)
    assert response.status_code == 201, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def changed(api: Api, path: str, account: Account, body: Any) -> Any:
    """The body of a change's 200."""
    response = send(api, "PATCH", path, account, body)
    assert response.status_code == 200, response.text
    return response.json()


def problems(response: httpx.Response) -> list[tuple[str, str]]:
    """Field and code of all that a 422 names, in its order."""
    found = error_of(response, 422, "VALIDATION_ERROR")["errors"]
    assert all(wrong["message"] for wrong in found)
    return [(wrong["field"], wrong["code"]) for wrong in found]


def condition(*filters: Any, logic: str = "AND", **more: Any) -> dict[str, Any]:
    """A condition of one group."""
    return {"logic": logic, "groups": [{"filters": list(filters), **more}]}


def plan(value: str) -> dict[str, Any]:
    """A filter of contacts whose `data.plan` it is."""
    return {"field": "data.plan", "operator": "equals", "value": value}


def triggered(name: str) -> dict[str, Any]:
    """A filter of contacts that have an event of that name."""
    return {"field": f"event.{name}", "operator": "triggered"}


def member_of(segment_id: str) -> dict[str, Any]:
    """A filter of the members of a segment."""
    return {"field": f"segment.{segment_id}", "operator": "memberOfSegment"}


def track(account: Account, *emails: str, name: str = "signup", data: str = "", at: int = AT) -> list[str]:
    """Stores an event of each contact; their ids."""
    account.store(*(account.event(at, name, email, data=data) for email in emails))
    return [contact_id(account.id, email) for email in emails]


@dataclass
class Steps:
    """Entries and exits as the writer stores them, each behind the one before."""

    tables: ClientTables
    offset: int = 0

    def take(self, account: Account, segment: Any, email: str, *, entered: bool, at: int = AT) -> str:
        """A contact enters or leaves the segment, which was answered like this; the contact's id."""
        self.offset += 1
        contact = contact_id(account.id, email)
        row = {
            "project_id": account.id,
            "segment_id": segment["id"],
            "slug": segment["slug"],
            "contact_id": contact,
            "email": email,
            "occurred_at": to_wire(at),
            "entered": entered,
            "log_partition": 0,
            "log_offset": self.offset,
            "log_index": 0,
        }
        self.tables.insert(MEMBERSHIPS, msgspec.json.encode(row), token=str(uuid4()))
        return contact

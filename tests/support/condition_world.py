"""Tables in which conditions are asked of contacts, and short spellings of conditions."""

import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.migrate import migrate_tables
from penstock.conditions import Condition, read_condition
from penstock.conditions.compiling import SETTINGS, Compiled, Scope, compile_conditions, matches
from schemas.ids import contact_id
from schemas.times import to_wire
from tests.support.condition_reference import Someone, Told, holds
from tests.support.fixtures import SERVER_URL_VARIABLE, drop, need_chdb, needed, server_tables, the_clickhouse
from tests.support.tables import open_test_tables

NOW_MS = 1_795_417_200_123
DAY_MS = 86_400_000
HOUR_MS = 3_600_000

Matches = dict[str, list[bool]]
"""Whether contacts meet each of some conditions, by their addresses."""


def ask(field: str, operator: str, value: Any = None, **more: Any) -> dict[str, Any]:
    """A filter; without a value where that is None."""
    return {"field": field, "operator": operator, **({} if value is None else {"value": value}), **more}


def span(field: str, operator: str, value: float, unit: str, **more: Any) -> dict[str, Any]:
    """A filter on a span of time."""
    return ask(field, operator, value, unit=unit, **more)


def rule(*filters: Any, logic: str = "AND") -> dict[str, Any]:
    """A condition, with a group for each filter."""
    return {"logic": logic, "groups": [{"filters": [one]} for one in filters]}


def read(condition: Any) -> Condition:
    """What the product makes of it."""
    return read_condition(json.dumps(condition).encode(), "condition", with_trigger=True)


def compiled(
    project: str, conditions: Sequence[Any], segments: Mapping[str, Any], scope: Scope, *, trigger_data: str = "''"
) -> Compiled:
    """The conditions as SQL."""
    catalog = {id_: None if one is None else read(one) for id_, one in segments.items()}
    return compile_conditions(
        project, [read(one) for one in conditions], catalog, NOW_MS, scope, trigger_data=trigger_data
    )


def by_address(rows: Sequence[Sequence[object]]) -> Matches:
    """Rows of an address and an array; no address comes twice."""
    found = {}
    for email, matched in rows:
        assert isinstance(matched, list)
        found[str(email)] = [bool(one) for one in matched]
    assert len(found) == len(rows)
    return found


class World:
    """Tables that many examples share; each example has a project of its own."""

    def __init__(self, tables: ClientTables) -> None:
        self.tables = tables

    def fill(self, people: Sequence[Someone]) -> str:
        """The contacts of a new project, through the real views; in two parts, so that there is something to fold."""
        project = str(uuid.uuid4())
        told = [(one.email, event) for one in people for event in [*one.told, *_steps(one)]]
        lines = [_line(project, email, event, offset) for offset, (email, event) in enumerate(told)]
        for some in (lines[::2], lines[1::2]):
            if some:
                self.tables.insert("events", b"\n".join(some))
        return project

    def matching(self, project: str, conditions: Sequence[Any], segments: Mapping[str, Any], scope: Scope) -> Matches:
        """What the tables say."""
        asked = compiled(project, conditions, segments, scope)
        rows = self.tables.select(f"{matches(asked)} SETTINGS {SETTINGS}", asked.values)
        assert all(contact == contact_id(project, str(email)) for email, contact, _, _ in rows)
        return by_address([(email, matched) for email, _, _, matched in rows])

    def triggered(self, project: str, conditions: Sequence[Any], trigger_data: str) -> Matches:
        """The same, where an event with such data has triggered."""
        asked = compiled(project, conditions, {}, Scope(), trigger_data="said")
        sql = (
            f"SELECT email, [{', '.join(asked.predicates)}]"
            f" FROM (SELECT *, {{own:String}} AS said FROM ({asked.contacts})) SETTINGS {SETTINGS}"
        )
        return by_address(self.tables.select(sql, {**asked.values, "own": trigger_data}))

    def check(self, people: Sequence[Someone], conditions: Sequence[Any], segments: Mapping[str, Any]) -> None:
        """Both evaluators agree, about all contacts, and about some."""
        project = self.fill(people)
        expected = {one.email: [holds(condition, one, segments, NOW_MS) for condition in conditions] for one in people}
        assert self.matching(project, conditions, segments, Scope()) == expected
        some = [one.email for one in people][:2]
        scope = Scope(emails=some, contact_ids=[contact_id(project, email) for email in some])
        assert self.matching(project, conditions, segments, scope) == {email: expected[email] for email in some}


def _steps(one: Someone) -> list[Told]:
    """Its entries and exits, as the events that tell of them."""
    steps = [(segment, "entry") for segment in one.entered] + [(segment, "exit") for segment in one.left]
    return [Told(f"segment.x.{step}", one.told[0].ms, json.dumps({"segmentId": segment})) for segment, step in steps]


def _line(project: str, email: str, told: Told, offset: int) -> bytes:
    return msgspec.json.encode(
        {
            "project_id": project,
            "id": str(uuid.uuid4()),
            "name": told.name,
            "occurred_at": to_wire(told.ms),
            "contact_id": contact_id(project, email),
            "email": email,
            "data": told.data,
            **({} if told.subscribed is None else {"subscribed": told.subscribed}),
            "log_partition": 0,
            "log_offset": offset,
            "log_index": 0,
        }
    )


@pytest.fixture(scope="module", params=["chdb", pytest.param("server", marks=pytest.mark.services)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Tables of either driver, for all tests of a module."""
    if request.param == "chdb":
        need_chdb()
        tables = open_test_tables()
    else:
        tables = server_tables(os.environ.get(SERVER_URL_VARIABLE) or needed(the_clickhouse).url)
        migrate_tables(tables)
    yield World(tables)
    drop(tables)

"""What the compiled SQL says of contacts is what a plain evaluator says, operator by operator and at random."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.migrate import migrate_tables
from penstock.conditions import read_condition
from penstock.conditions.compiling import Scope, compile_conditions, matches
from schemas.ids import contact_id
from schemas.times import to_wire
from tests.support.condition_reference import Someone, Told, holds
from tests.support.fixtures import drop, need_chdb, needed, server_tables, the_bridge
from tests.support.tables import open_test_tables

NOW_MS = 1_795_417_200_123
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
NOW = to_wire(NOW_MS)
ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@other.org"
OUTSIDE, INSIDE, OTHER = (f"00000000-0000-4000-8000-00000000000{number}" for number in "123")


class World:
    """Tables that many examples share; each example has a project of its own."""

    def __init__(self, tables: ClientTables) -> None:
        self.tables = tables

    def fill(self, people: Sequence[Someone]) -> str:
        """The contacts of a new project, through the real views."""
        project, lines, offset = str(uuid.uuid4()), [], 0
        for one in people:
            for told in one.told:
                lines.append(_line(project, one.email, told, offset))
                offset += 1
            for segment in sorted(one.entered):
                name, data = "segment.x.entry", json.dumps({"segmentId": segment})
                lines.append(_line(project, one.email, Told(name, one.told[0].ms, data), offset))
                offset += 1
        if lines:
            self.tables.insert("events", b"\n".join(lines))
        return project

    def matching(
        self, project: str, conditions: Sequence[Any], segments: Mapping[str, Any], scope: Scope
    ) -> dict[str, list[bool]]:
        """What the tables say, by address."""
        catalog = {id_: None if one is None else _read(one) for id_, one in segments.items()}
        compiled = compile_conditions(project, [_read(one) for one in conditions], catalog, NOW_MS, scope)
        rows = self.tables.select(matches(compiled), compiled.values)
        found = {}
        for email, _, _, matched in rows:
            assert isinstance(matched, list)
            found[str(email)] = [bool(one) for one in matched]
        assert len(found) == len(rows)
        return found

    def check(self, people: Sequence[Someone], conditions: Sequence[Any], segments: Mapping[str, Any]) -> None:
        """Both evaluators agree, about all contacts, and about some."""
        project = self.fill(people)
        expected = {one.email: [holds(condition, one, segments, NOW_MS) for condition in conditions] for one in people}
        assert self.matching(project, conditions, segments, Scope()) == expected
        some = [one.email for one in people][:2]
        scope = Scope(emails=some, contact_ids=[contact_id(project, email) for email in some])
        assert self.matching(project, conditions, segments, scope) == {email: expected[email] for email in some}


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


def _read(condition: Any) -> Any:
    return read_condition(json.dumps(condition).encode(), "condition")


@pytest.fixture(scope="module", params=["chdb", pytest.param("server", marks=pytest.mark.services)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "chdb":
        need_chdb()
        tables = open_test_tables()
    else:
        tables = server_tables(needed(the_bridge).url)
        migrate_tables(tables)
    yield World(tables)
    drop(tables)


def rule(*filters: Any, logic: str = "AND") -> dict[str, Any]:
    return {"logic": logic, "groups": [{"filters": [one]} for one in filters]}


def ask(field: str, operator: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, **({} if value is None else {"value": value}), **more}


def span(field: str, operator: str, value: float, unit: str, **more: Any) -> dict[str, Any]:
    return ask(field, operator, value, unit=unit, **more)


# --- operator by operator ----------------------------------------------------------------------------------------------

EDGE_MS = NOW_MS - 2 * DAY_MS
PEOPLE = [
    Someone(ADA, [
        Told("signup", EDGE_MS - 1, '{"plan":"pro","n":1,"tags":["a",1,true],"deep":{"x":{"y":"z"},"n":null}}', True),
        Told("purchase", EDGE_MS, '{"sum":10,"item":{"sku":"a"}}'),
        Told("purchase", NOW_MS - HOUR_MS, '{"sum":20,"sku":"x","at":"2026-11-20"}'),
        Told("email.open", NOW_MS - HOUR_MS, '{"plan":"not mine"}'),
    ]),
    Someone(BOB, [
        Told("signup", EDGE_MS, '{"plan":"Pro","n":"1","flag":true,"since":"2026-11-20T10:00:00+02:00","é\\u0000\\"":"ü"}'),
        Told("purchase", EDGE_MS - 1, '{"sum":10.0}'),
        Told("left", NOW_MS, "", False),
    ]),
    Someone(EVE, [
        Told("signup", NOW_MS - 3 * DAY_MS, '{"plan":"free","n":1.0,"flag":false,"big":123456789012345678901234567890}'),
        Told("viewed", NOW_MS - 3 * DAY_MS, '{"plan":null,"huge":1e400,"text":"1e400 \\"12345678901234567890\\"","n":2,"n":3}'),
        Told("viewed", NOW_MS - 3 * DAY_MS, '{"kept":{"value":1,"persistent":false},"wrapped":{"value":1,"persistent":true},"empty":"","id":"x"}'),
        Told("viewed", NOW_MS + 60_000, '[{"plan":"pro"}]'),
    ], {OUTSIDE}),
    Someone("nul@x.org", [Told("late", NOW_MS, '{"n":-0.0,"plan":"","since":"2026-02-31","deep":{"n":5,"n":6}}'),
                          Told("early", NOW_MS - DAY_MS, '{"n":7,"since":"2026-11-24"}')]),
    Someone("bare@x.org", [Told("late", NOW_MS - DAY_MS)]),
]  # fmt: skip

SEGMENTS: dict[str, Any] = {
    OUTSIDE: None,
    INSIDE: rule(ask("data.plan", "equals", "pro")),
    OTHER: rule(ask(f"segment.{INSIDE}", "notMemberOfSegment"), ask(f"segment.{OUTSIDE}", "notMemberOfSegment")),
}

_VALUES: list[Any] = [
    "pro",
    "Pro",
    "",
    "1",
    1,
    1.0,
    2,
    3,
    0,
    -1,
    True,
    False,
    "2026-11-20",
    "ü",
    "z",
    10**30,
    1e308,
    "p",
]
_DATA_FIELDS = [f"data.{path}" for path in (
    "plan", "n", "flag", "tags", "deep", "deep.x.y", "deep.n", "deep.x", "missing", "since", "big", "huge", "text",
    "kept", "wrapped", "wrapped.value", "empty", "id", 'é\u0000"', "n.x", "tags.0")]  # fmt: skip
_COUNTING = ["countEquals", "countGreaterThan", "countGreaterThanOrEqual", "countLessThan", "countLessThanOrEqual"]
_WHERE = [
    ask("data.sum", "equals", 10), ask("data.sum", "greaterThan", 10), ask("data.item.sku", "exists"),
    ask("data.sku", "notEquals", "y"), span("data.at", "within", 10, "days"), ask("data.sum", "lessThanOrEqual", 20),
]  # fmt: skip
_DAYS = [to_wire(EDGE_MS)[:10], to_wire(EDGE_MS), to_wire(EDGE_MS - 1), NOW[:10], "2026-11-24T00:00:00", "1970-01-01"]

CASES: dict[str, list[Any]] = {
    "email": [ask("email", operator, value)
              for operator in ("equals", "notEquals", "contains", "notContains")
              for value in (ADA, "ADA@Example.com", "EXAMPLE", "@", "%", "_", "a\\", "'")],
    "subscribed": [ask("subscribed", operator, value) for operator in ("equals", "notEquals") for value in (True, False)],
    "moments": [ask(field, operator, value)
                for field in ("createdAt", "updatedAt")
                for operator in ("equals", "notEquals", "greaterThan", "greaterThanOrEqual", "lessThan", "lessThanOrEqual")
                for value in _DAYS],
    "ages": [span(field, operator, value, unit)
             for field in ("createdAt", "updatedAt", "data.since", "data.plan", "data.n")
             for operator in ("within", "olderThan")
             for value, unit in ((2, "days"), (48, "hours"), (2880, "minutes"), (0.5, "days"), (7, "days"), (1e9, "days"))],
    "equality": [ask(field, operator, value)
                 for field in _DATA_FIELDS for operator in ("equals", "notEquals") for value in _VALUES],
    "order": [ask(field, operator, value)
              for field in _DATA_FIELDS
              for operator in ("greaterThan", "greaterThanOrEqual", "lessThan", "lessThanOrEqual")
              for value in _VALUES if not isinstance(value, bool)],
    "containing": [ask(field, operator, value)
                   for field in _DATA_FIELDS for operator in ("contains", "notContains") for value in _VALUES],
    "existence": [ask(field, operator) for field in _DATA_FIELDS for operator in ("exists", "notExists")],
    "events": [ask(field, operator, where=where)
               for field in ("event.purchase", "event.viewed", "event.never", "email.open", "email.click")
               for operator in ("triggered", "notTriggered") for where in ([], *[[one] for one in _WHERE], _WHERE[:3])],
    "recent events": [span(field, operator, value, unit, where=where)
                      for field in ("event.purchase", "event.viewed", "event.never", "email.open")
                      for operator in ("triggeredWithin", "notTriggeredWithin", "triggeredOlderThan")
                      for value, unit in ((2, "days"), (48, "hours"), (59, "minutes"), (1, "hours"))
                      for where in ([], _WHERE[:1])],
    "counts": [ask("event.purchase", operator, value, **more)
               for operator in _COUNTING for value in (0, 1, 2, 10**20)
               for more in ({}, {"within": {"value": 2, "unit": "days"}}, {"where": _WHERE[:1]},
                            {"within": {"value": 2, "unit": "days"}, "where": _WHERE[5:]})],
    "segments": [ask(f"segment.{id_}", operator)
                 for id_ in (OUTSIDE, INSIDE, OTHER, OTHER.upper(), str(uuid.UUID(int=7)))
                 for operator in ("memberOfSegment", "notMemberOfSegment")],
}  # fmt: skip


@pytest.fixture(scope="module")
def project(world: World) -> str:
    return world.fill(PEOPLE)


@pytest.mark.parametrize("kind", CASES)
def test_every_operator_says_what_the_reference_says(world: World, project: str, kind: str) -> None:
    filters = CASES[kind]
    segments = {**SEGMENTS, OTHER.upper(): SEGMENTS[OTHER]}
    for start in range(0, len(filters), 60):
        some = [rule(one) for one in filters[start : start + 60]]
        found = world.matching(project, some, SEGMENTS, Scope())
        for one in PEOPLE:
            expected = [holds(condition, one, segments, NOW_MS) for condition in some]
            wrong = [pair[0] for pair in zip(some, expected, found[one.email], strict=True) if pair[1] != pair[2]]
            assert not wrong, (one.email, [condition["groups"][0]["filters"] for condition in wrong])


@pytest.mark.parametrize("kind", CASES)
def test_no_case_is_idle(kind: str) -> None:
    """Of each kind some condition holds of some contact, and some does not."""
    answers = {holds(rule(one), who, SEGMENTS, NOW_MS) for one in CASES[kind] for who in PEOPLE}
    assert answers == {True, False}


def test_groups_are_joined_by_their_logic_and_filters_in_a_group_by_and(world: World) -> None:
    pro, old, bought = (
        ask("data.plan", "equals", "pro"),
        span("createdAt", "olderThan", 2, "days"),
        ask("event.purchase", "triggered"),
    )
    nested = {"logic": "OR", "groups": [{"filters": [pro]}, {"filters": [old], "conditions": rule(bought)}]}
    conditions = [
        rule(pro, old, logic="OR"), rule(pro, old), {"logic": "OR", "groups": [{"filters": [pro, old]}, {"filters": [bought]}]},
        nested, {"logic": "AND", "groups": [{"conditions": nested}, {"filters": [old], "conditions": rule(pro, bought, logic="OR")}]},
    ]  # fmt: skip
    world.check(PEOPLE, conditions, SEGMENTS)


def test_of_segments_that_refer_to_each_other_nobody_is_a_member_and_nothing_fails(world: World, project: str) -> None:
    loop = {
        INSIDE: rule(ask(f"segment.{OTHER}", "memberOfSegment")),
        OTHER: rule(ask(f"segment.{INSIDE}", "memberOfSegment")),
    }
    found = world.matching(project, [loop[INSIDE], loop[OTHER]], loop, Scope())
    assert set(map(tuple, found.values())) == {(False, False)}


def test_a_scope_of_partitions_has_their_contacts_only(world: World, project: str) -> None:
    conditions = [rule(ask("event.purchase", "triggered"), ask("data.plan", "exists"), logic="OR")]
    assert world.matching(project, conditions, {}, Scope(partitions=[1, 2])) == {}
    assert world.matching(project, conditions, {}, Scope(partitions=[0])) == world.matching(
        project, conditions, {}, Scope()
    )


# --- at random ---------------------------------------------------------------------------------------------------------

_scalars = st.sampled_from(["a", "b", "ab", "", 0, 1, 1.5, -1, True, False, 10**20])
_json = st.recursive(
    st.one_of(_scalars, st.none(), st.sampled_from(["2026-11-20", "2026-11-21T10:00:00Z"])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("xyz"), inner, max_size=2)),
    max_leaves=4,
)
_texts = st.one_of(
    st.just(""),
    st.dictionaries(st.sampled_from(["x", "y", "z", "id"]), _json, max_size=3).map(json.dumps),
    st.sampled_from(['{"x":1,"x":2}', '{"x":1e400,"y":"a"}', "[1]", '{"x":{"value":1,"persistent":false}}']),
)
_moments = st.sampled_from(
    [NOW_MS - span_ms + off for span_ms in (0, HOUR_MS, DAY_MS, 2 * DAY_MS) for off in (-1, 0, 1)]
)
_told = st.builds(
    Told, st.sampled_from(["e", "f", "email.open"]), _moments, _texts, st.sampled_from([None, None, True, False])
)
_someone = st.builds(
    lambda told, entered: (told, {OUTSIDE} if entered else set()),
    st.lists(_told, min_size=1, max_size=4),
    st.booleans(),
)
_people = st.lists(_someone, min_size=1, max_size=4).map(
    lambda found: [Someone(f"p{number}@x.org", told, entered) for number, (told, entered) in enumerate(found)]
)

_paths = st.sampled_from(["data.x", "data.y", "data.x.y", "data.z", "data.id"])
_units = st.sampled_from([(1, "days"), (24, "hours"), (60, "minutes"), (2, "days")])
_data_filters = st.one_of(
    st.builds(ask, _paths, st.sampled_from(["equals", "notEquals", "contains", "notContains"]), _scalars),
    st.builds(
        ask, _paths, st.sampled_from(["greaterThan", "greaterThanOrEqual", "lessThan", "lessThanOrEqual"]),
        st.sampled_from(["a", "b", 0, 1, 1.5]),
    ),
    st.builds(ask, _paths, st.sampled_from(["exists", "notExists"])),
    st.builds(lambda path, operator, unit: span(path, operator, *unit), _paths, st.sampled_from(["within", "olderThan"]), _units),
)  # fmt: skip
_wheres = st.lists(_data_filters, max_size=2)
_names = st.sampled_from(["event.e", "event.f", "email.open"])
_filters = st.one_of(
    _data_filters,
    _data_filters,
    st.builds(lambda name, operator, where: ask(name, operator, where=where),
              _names, st.sampled_from(["triggered", "notTriggered"]), _wheres),
    st.builds(lambda name, operator, unit, where: span(name, operator, *unit, where=where),
              _names, st.sampled_from(["triggeredWithin", "notTriggeredWithin", "triggeredOlderThan"]), _units, _wheres),
    st.builds(lambda name, operator, value, unit, where: ask(name, operator, value, where=where, **({"within": {"value": unit[0], "unit": unit[1]}} if unit else {})),
              _names, st.sampled_from(_COUNTING), st.integers(0, 3), st.none() | _units, _wheres),
    st.builds(ask, st.just("subscribed"), st.sampled_from(["equals", "notEquals"]), st.booleans()),
    st.builds(ask, st.just("email"), st.sampled_from(["equals", "contains", "notContains"]), st.sampled_from(["P1", "p0@x.org", "X"])),
    st.builds(ask, st.sampled_from(["createdAt", "updatedAt"]), st.sampled_from(["equals", "notEquals", "greaterThan", "lessThanOrEqual"]), st.sampled_from(_DAYS)),
    st.builds(lambda name, operator, unit: span(name, operator, *unit), st.sampled_from(["createdAt", "updatedAt"]), st.sampled_from(["within", "olderThan"]), _units),
    st.builds(ask, st.sampled_from([f"segment.{OUTSIDE}", f"segment.{INSIDE}"]), st.sampled_from(["memberOfSegment", "notMemberOfSegment"])),
)  # fmt: skip


def _groups(nested: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    groups = st.builds(
        lambda filters, inner: {"filters": filters, **({"conditions": inner} if inner else {})},
        st.lists(_filters, min_size=1, max_size=2),
        st.none() | nested,
    )
    return st.builds(
        lambda logic, found: {"logic": logic, "groups": found},
        st.sampled_from(["AND", "OR"]),
        st.lists(groups, min_size=1, max_size=2),
    )


_conditions = _groups(_groups(st.none()))


@given(people=_people, conditions=st.lists(_conditions, min_size=1, max_size=4), inner=_filters)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_condition_says_what_the_reference_says(
    world: World, people: list[Someone], conditions: list[Any], inner: Any
) -> None:
    segments = {
        OUTSIDE: None,
        INSIDE: rule(inner if not inner["field"].startswith("segment.") else ask("data.x", "exists")),
    }
    world.check(people, conditions, segments)

"""What the compiled SQL says of contacts is what a plain evaluator says, operator by operator and at random."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.conditions.compiling import Scope
from schemas.times import to_wire
from tests.support.condition_reference import Someone, Told, holds
from tests.support.condition_world import DAY_MS, HOUR_MS, NOW_MS, World, ask, rule, span, world

__all__ = ["world"]

NOW = to_wire(NOW_MS)
ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@other.org"
OUTSIDE, INSIDE, OTHER, NOBODY = (f"00000000-0000-4000-8000-00000000000{number}" for number in "abcd")


# --- operator by operator ----------------------------------------------------------------------------------------------

EDGE_MS = NOW_MS - 2 * DAY_MS
PEOPLE = [
    Someone(ADA, [
        Told("signup", EDGE_MS - 1, '{"plan":"pro","n":1,"tags":["a",1,true],"deep":{"x":{"y":"z"},"n":null}}', True),
        Told("purchase", EDGE_MS, '{"sum":10,"item":{"sku":"a"}}'),
        Told("purchase", NOW_MS - HOUR_MS, '{"sum":20,"sku":"x","at":"2026-11-20","gift":true}'),
        Told("email.open", NOW_MS - HOUR_MS, '{"plan":"not mine"}'),
    ], {OUTSIDE}, {OUTSIDE}),
    Someone(BOB, [
        Told("signup", EDGE_MS, '{"plan":"Pro","n":"1","flag":true,"since":"2026-11-20T10:00:00+02:00","é\\u0000\\"":"ü"}'),
        Told("purchase", EDGE_MS - 1, '{"sum":10.0,"gift":1}'),
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
    Someone("odd@x.org", [
        Told("late", NOW_MS - DAY_MS, '{"tags":["26652514244828945995",26652514244828945995,1e400],"n":5,"id":7}'),
        Told("late", NOW_MS - DAY_MS + 1, '{"deep":{"x":{"y":26652514244828945995},"n":[1e400]},"n":3,"n":""}'),
        Told("late", NOW_MS - DAY_MS + 2, '{"kept":{"v\\u0061lue":1,"persist\\u0065nt":false},"huge":-1e400,"big":1e-400,"bare":{"persistent":false}}'),
        Told("late", NOW_MS - DAY_MS + 3, '{"wrapped":{"persistent":false,"value":1,"persistent":true},"flag":"true"}'),
        Told("late", NOW_MS - DAY_MS + 4, '{"\\ud83d\\ude00":"\\ud83d\\ude00\\u0000\\n","text":"{\\"x\\":1}","plan":{"x":1}}'),
    ]),
]  # fmt: skip

_DATES = [
    "2026-11-24", "2026-11-23T06:00:00.123Z", "2026-11-23T06:00:00.122Z", "2026-11-23 07:00:00,1229", "2026-11-23t09:00+02",
    "2026-11-23T08:59:59.999+0200", "2026-11-23T12:30-02:00", "2024-02-29", "2023-02-29", "2026-11-31", "2026-11-39", "2026-13-01",
    "2026-00-01", "2026-11-00", "2026-11-23T24:00", "2026-11-23T07:60", "2026-11-23T07:00:60", "2026-11-23T07:00+24:00",
    "2026-11-23T07", "20261123", "0001-01-01", "0000-01-01", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59.999Z",
    " 2026-11-23", "2026-11-23\n", "1795417200", "2026-11-23T07:00Z[UTC]", "today",
]  # fmt: skip
PEOPLE.append(
    Someone("dates@x.org", [Told("late", NOW_MS, json.dumps({f"d{at}": one for at, one in enumerate(_DATES)}))])
)

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
    "sp",
    26652514244828945995,
    "\U0001f600\0\n",
]
_DATA_FIELDS = [f"data.{path}" for path in (
    "plan", "n", "flag", "tags", "deep", "deep.x.y", "deep.n", "deep.x", "missing", "since", "big", "huge", "text",
    "kept", "wrapped", "wrapped.value", "empty", "id", 'é\u0000"', "n.x", "tags.0", "bare", "\U0001f600", "text.x")]  # fmt: skip
_COUNTING = ["countEquals", "countGreaterThan", "countGreaterThanOrEqual", "countLessThan", "countLessThanOrEqual"]
_WHERE = [
    ask("data.sum", "equals", 10), ask("data.sum", "greaterThan", 10), ask("data.item.sku", "exists"),
    ask("data.sku", "notEquals", "y"), span("data.at", "within", 10, "days"), ask("data.sum", "lessThanOrEqual", 20),
    ask("data.gift", "equals", 1), ask("data.gift", "equals", True), ask("data.item.sku", "contains", "a"),
]  # fmt: skip
_DAYS = [
    to_wire(EDGE_MS)[:10],
    to_wire(EDGE_MS),
    to_wire(EDGE_MS - 1),
    to_wire(EDGE_MS - 2),
    NOW[:10],
    "2026-11-24T00:00:00",
    "1970-01-01",
]

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
    "dates": [span(f"data.d{at}", operator, 1, "hours") for at in range(len(_DATES)) for operator in ("within", "olderThan")],
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
                 for id_ in (OUTSIDE, INSIDE, OTHER, OTHER.upper(), NOBODY)
                 for operator in ("memberOfSegment", "notMemberOfSegment")],
}  # fmt: skip


@pytest.fixture(scope="module")
def project(world: World) -> str:
    return world.fill(PEOPLE)


@pytest.mark.parametrize("kind", CASES)
def test_every_operator_says_what_the_reference_says(world: World, project: str, kind: str) -> None:
    filters = CASES[kind]
    for start in range(0, len(filters), 60):
        some = [rule(one) for one in filters[start : start + 60]]
        found = world.matching(project, some, SEGMENTS, Scope())
        for one in PEOPLE:
            expected = [holds(condition, one, SEGMENTS, NOW_MS) for condition in some]
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


@pytest.mark.parametrize("operator", ["memberOfSegment", "notMemberOfSegment"])
def test_of_segments_that_lead_back_to_themselves_nobody_is_a_member(world: World, project: str, operator: str) -> None:
    """In whatever order they are asked for; of one that leads to them, who meets its condition then."""
    loop = {
        INSIDE: rule(ask(f"segment.{OTHER}", operator)),
        OTHER: rule(ask(f"segment.{INSIDE}", operator), ask("data.plan", "equals", "pro"), logic="OR"),
        OUTSIDE: rule(ask(f"segment.{OTHER}", "notMemberOfSegment"), ask(f"segment.{NOBODY}", "notMemberOfSegment")),
    }  # fmt: skip
    asked = [rule(ask(f"segment.{id_}", "memberOfSegment")) for id_ in (INSIDE, OTHER, OUTSIDE)]
    for conditions, expected in ((asked, (False, False, True)), (asked[::-1], (True, False, False))):
        found = world.matching(project, conditions, loop, Scope())
        assert set(map(tuple, found.values())) == {expected}


def test_a_scope_of_partitions_has_their_contacts_only(world: World, project: str) -> None:
    conditions = [
        rule(ask("event.purchase", "triggered"), ask("data.plan", "exists"), logic="OR"),
        rule(ask(f"segment.{OUTSIDE}", "memberOfSegment")),
    ]
    everyone = world.matching(project, conditions, SEGMENTS, Scope())
    assert len(everyone) == len(PEOPLE)
    for partitions, expected in (([1, 2], {}), ([], {}), ([0], everyone), ([2, 0], everyone)):
        assert world.matching(project, conditions, SEGMENTS, Scope(partitions=partitions)) == expected


_OF_TRIGGER = [
    {**one, "field": f"trigger.{one['field']}"}
    for kind in ("equality", "order", "containing", "existence", "ages") for one in CASES[kind]
    if one["field"] in ("data.plan", "data.n", "data.tags", "data.deep.x.y", "data.since", "data.id")
][::7]  # fmt: skip


@pytest.mark.parametrize(
    "trigger_data",
    ["", "[1]", "null", '{"plan":"pro","n":1e400,"id":1,"since":"2026-11-20"}', '{"tags":["a",1,true],"n":1,"n":2}',
     '{"deep":{"x":{"y":26652514244828945995}},"plan":"p","since":"2026-11-23T00:00:00Z"}'],
)  # fmt: skip
def test_what_the_triggering_event_says_is_looked_at_as_data_is(world: World, project: str, trigger_data: str) -> None:
    for start in range(0, len(_OF_TRIGGER), 40):
        some = [rule(one) for one in _OF_TRIGGER[start : start + 40]]
        found = world.triggered(project, some, trigger_data)
        assert found[ADA] == [holds(condition, PEOPLE[0], {}, NOW_MS, trigger_data) for condition in some]
        assert set(map(tuple, found.values())) == {tuple(found[ADA])}


def test_a_trigger_is_looked_at_beside_its_contact(world: World, project: str) -> None:
    conditions = [rule(ask("trigger.data.plan", "equals", "pro"), ask("data.plan", "equals", "pro"))]
    found = world.triggered(project, conditions, '{"plan":"pro"}')
    assert {email for email, matched in found.items() if matched == [True]} == {ADA}


# --- at random ---------------------------------------------------------------------------------------------------------

EXAMPLES = settings().max_examples * 2 // 5
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
    lambda told, steps: (told, {OUTSIDE} if steps else set(), {OUTSIDE} if steps == "left" else set()),
    st.lists(_told, min_size=1, max_size=4),
    st.sampled_from(["", "entered", "left"]),
)
_people = st.lists(_someone, min_size=1, max_size=4).map(
    lambda found: [Someone(f"p{number}@x.org", *one) for number, one in enumerate(found)]
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
    st.builds(ask, st.sampled_from([f"segment.{id_}" for id_ in (OUTSIDE, INSIDE, OTHER, NOBODY)]), st.sampled_from(["memberOfSegment", "notMemberOfSegment"])),
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


@given(people=_people, conditions=st.lists(_conditions, min_size=1, max_size=4), inner=_conditions, other=_conditions)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_condition_says_what_the_reference_says(
    world: World, people: list[Someone], conditions: list[Any], inner: Any, other: Any
) -> None:
    world.check(people, conditions, {OUTSIDE: None, INSIDE: inner, OTHER: other})

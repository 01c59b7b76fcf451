"""The statements that conditions become: what they read, and that neither filters nor data make them fail or grow."""

import json
from typing import Any

import pytest

from penstock.conditions.compiling import MAX_LAYERS, SETTINGS, Scope, layers, matches
from schemas.tables import EVENTS_BY_CONTACT, EVENTS_BY_NAME, MEMBERSHIPS
from tests.support.condition_reference import Someone, Told, holds
from tests.support.condition_world import DAY_MS, NOW_MS, World, ask, by_address, compiled, read, rule, span, world

__all__ = ["world"]

PROJECT = "00000000-0000-4000-8000-000000000001"
SEGMENTS = [f"00000000-0000-4000-8000-{number:012}" for number in range(1, MAX_LAYERS + 100)]
PEOPLE = [Someone(f"{number}@x.org", [Told("e", NOW_MS, json.dumps({"n": number}))]) for number in range(3)]


# --- what is read ------------------------------------------------------------------------------------------------------

_LISTED = Scope(emails=["ada@example.com"], contact_ids=[PROJECT])
_TABLES = {EVENTS_BY_NAME, EVENTS_BY_CONTACT, MEMBERSHIPS, "finalizeAggregation(data)"}


@pytest.mark.parametrize(
    ("one", "scope", "tables"),
    [
        (ask("email", "equals", "ada@example.com"), Scope(), set()),
        (span("updatedAt", "within", 1, "days"), _LISTED, set()),
        (ask("trigger.data.x", "exists"), Scope(), set()),
        (ask("data.id", "exists"), Scope(), set()),
        (ask("data.x.y", "exists"), _LISTED, {"finalizeAggregation(data)"}),
        (ask("event.x", "triggered"), Scope(), {EVENTS_BY_NAME}),
        (ask("event.x", "triggered"), Scope(partitions=[1]), {EVENTS_BY_NAME}),
        (ask("event.x", "countLessThan", 1, where=[ask("data.x", "exists")]), _LISTED, {EVENTS_BY_CONTACT}),
        (ask(f"segment.{SEGMENTS[0]}", "memberOfSegment"), _LISTED, {MEMBERSHIPS}),
        (ask(f"segment.{SEGMENTS[1]}", "memberOfSegment"), Scope(), {EVENTS_BY_NAME}),
        (ask(f"segment.{SEGMENTS[2]}", "notMemberOfSegment"), Scope(), set()),
    ],
)
def test_only_what_is_asked_for_is_read(one: Any, scope: Scope, tables: set[str]) -> None:
    catalog = {SEGMENTS[0]: None, SEGMENTS[1]: rule(ask("event.x", "triggered"))}
    sql = matches(compiled(PROJECT, [rule(one)], catalog, scope))
    assert {name for name in _TABLES if f" {name} " in sql} == tables


@pytest.mark.parametrize(
    ("more", "days"),
    [
        ([], 2),
        ([span("event.y", "notTriggeredWithin", 3, "days")], 3),
        ([ask("event.x", "triggered")], None),
        ([span("event.y", "triggeredOlderThan", 1, "days")], None),
        ([ask("event.y", "countEquals", 0)], None),
    ],
)
def test_events_are_read_as_far_back_as_any_filter_looks(more: list[Any], days: int | None) -> None:
    recent = ask("event.x", "countEquals", 1, within={"value": 2, "unit": "days"})
    found = compiled(PROJECT, [rule(span("event.x", "triggeredWithin", 1, "days"), recent, *more)], {}, Scope())
    bound = found.contacts.partition("name IN {")[2].partition("GROUP BY")[0]
    assert ("occurred_at >= " in bound) is (days is not None)
    if days:
        (name,) = [name for name, value in found.values.items() if value == NOW_MS - days * DAY_MS]
        assert name in bound


def test_equal_counts_and_values_are_computed_once() -> None:
    where = [ask("data.x.y", "equals", 1)]
    counts = [ask("event.x", operator, value, where=where) for operator in ("countEquals", "countLessThan") for value in (1, 2)]  # fmt: skip
    counts += [ask("event.x", "triggered", where=where), ask("event.x", "notTriggered", where=where)]
    sql = compiled(PROJECT, [rule(one, ask("data.x.y", "exists")) for one in counts], {}, Scope()).contacts
    assert sql.count("countIf(") == 1
    assert sql.count("arrayFold(") == 2


def test_what_callers_choose_is_bound() -> None:
    odd = "o'kk\\\"{}\0"
    where = [ask(f"data.{odd}.{odd}", "contains", odd)]
    filters = [
        ask("email", "contains", odd), ask(f"data.{odd}.{odd}", "equals", odd), ask(f"event.{odd}", "triggered", where=where),
        ask(f"trigger.data.{odd}", "lessThan", odd), ask(f"segment.{SEGMENTS[0]}", "memberOfSegment"),
    ]  # fmt: skip
    scope = Scope(emails=[odd], contact_ids=[SEGMENTS[0]])
    found = compiled(PROJECT, [rule(*filters)], {SEGMENTS[0]: None}, scope)
    assert not {"kk", "00000000"} & {text for text in ("kk", "00000000") if text in matches(found)}
    assert all(name.startswith("condition_") for name in found.values)


# --- segments ----------------------------------------------------------------------------------------------------------


def test_segments_are_computed_behind_those_that_they_refer_to() -> None:
    def referring(*ids: int) -> Any:
        return read(rule(ask("email", "contains", "@"), *(ask(f"segment.{SEGMENTS[id_]}", "memberOfSegment") for id_ in ids)))  # fmt: skip

    loop = {5: referring(6), 6: referring(5, 1), 7: referring(7)}
    known = {0: referring(1, 2), 1: referring(3), 2: referring(), 3: None, 4: referring(5, 9), **loop}
    catalog = {SEGMENTS[number]: one for number, one in known.items()}

    def found(*wanted: int) -> list[list[int]]:
        return [[SEGMENTS.index(id_) for id_ in layer] for layer in layers([SEGMENTS[one] for one in wanted], catalog)]

    assert found() == found(3) == found(7) == found(8) == []
    assert found(1) == found(5) == [[1]]
    assert found(0) == [[1, 2], [0]]
    assert found(0, 2, 1, 3) == [[1, 2], [0]]
    assert found(4) == found(4, 5, 6, 7) == [[1], [4]]


def test_segments_lead_on_for_some_steps(world: World) -> None:
    """Each is everybody whom the one before is not."""
    chain = {id_: rule(ask(f"segment.{other}", "notMemberOfSegment"), ask("data.n", "greaterThan", 0))
             for id_, other in zip(SEGMENTS[1:], SEGMENTS[:-1], strict=True)}  # fmt: skip
    project = world.fill(PEOPLE)
    last = rule(ask(f"segment.{SEGMENTS[MAX_LAYERS]}", "notMemberOfSegment"))
    found = world.matching(project, [last], chain, Scope())
    assert found == {one.email: [holds(last, one, chain, NOW_MS)] for one in PEOPLE}
    assert sorted(found.values()) == [[True]] * 3 if MAX_LAYERS % 2 == 0 else [[False]] * 2 + [[True]]
    beyond = rule(ask(f"segment.{SEGMENTS[MAX_LAYERS + 1]}", "notMemberOfSegment"))
    assert list(world.matching(project, [beyond], chain, Scope()).values()) == [[True]] * 3


# --- what it costs -----------------------------------------------------------------------------------------------------


def test_a_hundred_segments_are_computed_side_by_side(world: World) -> None:
    segments = {id_: rule(ask("data.n", "lessThan", number)) for number, id_ in enumerate(SEGMENTS[:100])}
    condition = rule(*[ask(f"segment.{id_}", "memberOfSegment") for id_ in list(segments)[2:]])
    found = world.matching(world.fill(PEOPLE), [condition], segments, Scope())
    assert [found[one.email] for one in PEOPLE] == [[True], [True], [False]]


def test_a_hundred_filters_of_the_long_kinds_are_a_statement_that_the_tables_take(world: World) -> None:
    deep = ".a" * 7
    filters = [one for number in range(20) for one in (
        ask(f"data.k{number}{deep}", "contains", str(number)), span(f"data.d{number}", "within", number + 1, "days"),
        ask(f"trigger.data.k{number}{deep}", "contains", str(number)), ask(f"event.e{number}", "countGreaterThan", 3),
        ask(f"event.w{number}", "triggered", where=[ask(f"data.k{number}{deep}", "notContains", number)]),
    )]  # fmt: skip
    condition = rule(*filters, logic="OR")
    assert len(matches(compiled(PROJECT, [condition], {}, Scope(), trigger_data="said"))) < 120_000
    assert list(world.triggered(world.fill(PEOPLE), [condition], "{}").values()) == [[False]] * 3


def test_data_of_thousands_of_keys_takes_no_more_than_other_data(world: World) -> None:
    """Whoever may track can send it."""
    numbered = ",".join(f'"k{number}":{number}' for number in range(5000))
    repeated = ",".join('"k1":{"k2":1,"k2":1}' for _ in range(2500))
    texts = [f"{{{numbered}}}", f"{{{repeated}}}", f'{{"k1":{{"value":{{{numbered}}},"persistent":true}}}}']
    people = [Someone(f"{at}@x.org", [Told("e", NOW_MS, text)]) for at, text in enumerate(texts)]
    conditions = [rule(one) for one in (
        ask("data.k1", "equals", 1), ask("data.k1.k2", "equals", 1), ask("data.k1.value.k2", "equals", 2),
        ask("event.e", "triggered", where=[ask("data.k1.k2", "exists")]))]  # fmt: skip
    found = compiled(world.fill(people), conditions, {}, Scope())
    sql = f"SELECT email, matches FROM ({matches(found)}) SETTINGS {SETTINGS}, max_memory_usage = 200000000"
    assert by_address(world.tables.select(sql, found.values)) == {
        one.email: [holds(condition, one, {}, NOW_MS) for condition in conditions] for one in people
    }

"""The planner: whatever the instants and buckets, what it counts is what there is."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.clickhouse.contract import Row
from query_api.adding import series, totals
from query_api.buckets import Interval, boundaries
from query_api.counting import CountRequest, count_statements
from query_api.params import Span
from query_api.statements import END_OF_TIME_MS
from schemas.event import Event, encode_event
from schemas.times import to_wire
from tests.support.tables import open_test_tables

HOUR = 3_600_000
START = 1_774_738_800_000
"""2026-03-28T23:00Z, a day in Berlin with 23 hours; a whole hour, so that instants near it are near every boundary."""

MONROVIA = 31_536_000_000
"""1971-01-01, when Monrovia's hours began at 44 minutes and 30 seconds past those of UTC: buckets divide minutes there."""

PROJECT = str(uuid4())
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"]
NEAR = st.builds(
    lambda hours, seconds, milliseconds: START + hours * HOUR + seconds * 1000 + milliseconds,
    st.integers(-2, 50),
    st.sampled_from([0, 0, 1, 2, 1799, 1800, 2700, 3599]),
    st.sampled_from([0, 0, 1, 500, 999]),
)
"""Instants that meet units exactly, by one, and amid; the events' own are drawn likewise."""

Found = dict[str, Counter[int]]


def _events() -> list[tuple[int, str]]:
    chance = random.Random(7)
    moments = [
        START
        + chance.randrange(48) * HOUR
        + chance.choice([0, 1, 1799, 1800, 2700, 3599]) * 1000
        + chance.choice([0, 1, 500, 999])
        for _ in range(1500)
    ]
    moments += [MONROVIA + chance.randrange(10 * 24 * HOUR) // 10_000 * 10_000 for _ in range(500)]
    return [(moment, chance.choice(["a", "a", "a", "b", "ü/\x00'"])) for moment in moments]


EVENTS = _events()


@pytest.fixture(scope="module")
def select() -> Iterator[Callable[[CountRequest], list[Row]]]:
    tables = open_test_tables()
    for project in (PROJECT, str(uuid4())):
        lines = [
            encode_event(
                Event(
                    project_id=project,
                    id=str(uuid4()),
                    name=name,
                    occurred_at=to_wire(moment),
                    contact_id=project,
                    email="a@b.cd",
                )
            )
            for moment, name in EVENTS
        ]
        tables.insert("events", b"\n".join(lines))

    def ask(asked: CountRequest) -> list[Row]:
        found = [tables.select(one.sql, one.values) for one in count_statements(asked)]
        if not asked.boundaries:
            return totals(found)
        return [[one.name, one.total, one.buckets] for one in series(found)]

    yield ask
    tables.close()


def expected(span: Span, name: str | None, bounds: list[int]) -> list[Row]:
    """The same by looking at every event."""
    start = -1 if span.start_ms is None else span.start_ms
    end = 2**63 if span.end_ms is None else span.end_ms
    totals: Counter[str] = Counter()
    buckets: dict[str, Counter[int]] = {}
    for moment, found in EVENTS:
        if start <= moment < end and name in (None, found):
            totals[found] += 1
            if bounds:
                begin = max(bound for bound in bounds if bound * 1000 <= moment)
                buckets.setdefault(found, Counter())[begin] += 1
    rows: list[Row] = [[found, total] for found, total in sorted(totals.items(), key=lambda item: (-item[1], item[0]))]
    return [[*row, dict(buckets[str(row[0])])] for row in rows] if bounds else rows


@settings(max_examples=120, deadline=None)
@given(NEAR | st.none(), NEAR | st.none(), st.sampled_from([None, "a", "ü/\x00'", "none"]))
def test_totals_between_any_two_instants_are_exact(
    select: Callable[[CountRequest], list[Row]], start: int | None, end: int | None, name: str | None
) -> None:
    span = Span(start, end)
    assert select(CountRequest(PROJECT, name, span)) == expected(span, name, [])


@settings(max_examples=120, deadline=None)
@given(NEAR, NEAR, st.sampled_from([None, "a"]), st.tuples(st.sampled_from(Interval), st.sampled_from(ZONES)))
def test_buckets_of_any_zone_are_exact(
    select: Callable[[CountRequest], list[Row]], one: int, other: int, name: str | None, kind: tuple[Interval, str]
) -> None:
    start, end = min(one, other), max(one, other) + 1
    interval, zone = kind
    bounds = boundaries(start // 1000, (end - 1) // 1000, interval, ZoneInfo(zone))
    rows = select(CountRequest(PROJECT, name, Span(start, end), bounds))
    assert rows == expected(Span(start, end), name, bounds)


@pytest.mark.parametrize(("interval", "days"), [(Interval.DAY, 9), (Interval.HOUR, 1), (Interval.HOUR, 9)])
def test_buckets_that_divide_minutes_are_exact(
    select: Callable[[CountRequest], list[Row]], interval: Interval, days: int
) -> None:
    span = Span(MONROVIA + 12_345, MONROVIA + days * 24 * HOUR + 6_789)
    assert span.start_ms is not None
    assert span.end_ms is not None
    bounds = boundaries(span.start_ms // 1000, span.end_ms // 1000, interval, ZoneInfo("Africa/Monrovia"))
    assert all(bound % 60 == 30 for bound in bounds)
    rows = select(CountRequest(PROJECT, None, span, bounds))
    assert rows == expected(span, None, bounds)


def sql_of(start: int | None, end: int | None, *bounds: int) -> str:
    statements = count_statements(CountRequest(PROJECT, None, Span(start, end), bounds))
    return "; ".join(one.sql for one in statements)


def units_of(sql: str) -> list[str]:
    """The units of time that are counted, from coarse to fine, and `events` where single events are."""
    found = re.findall(r"unit_seconds = (\d+)", sql)
    return [*found, "events"] if " FROM events " in sql else found


DAY = 24 * HOUR
MIDNIGHT = START + HOUR


def test_whole_units_are_counted_by_the_longest_alone() -> None:
    assert units_of(sql_of(MIDNIGHT, MIDNIGHT + 5 * DAY)) == ["86400"]
    assert units_of(sql_of(None, None)) == ["86400"]
    assert units_of(sql_of(START, START + 5 * DAY)) == ["86400", "3600"]


def test_divided_units_are_counted_by_the_next_shorter_ones() -> None:
    assert units_of(sql_of(START + 1000, START + 5 * DAY)) == ["86400", "3600", "60", "events"]
    assert units_of(sql_of(START + 60_000, START + HOUR)) == ["60"]


def test_events_are_counted_one_by_one_in_the_divided_minutes_only() -> None:
    sql = sql_of(START + 1, START + 5 * HOUR + 1)
    assert units_of(sql) == ["3600", "60", "events"]
    assert sql.count("occurred_at >=") == 2
    assert f"{START + 1}," in sql
    assert f"{START + 60_000}," in sql
    assert units_of(sql_of(START + 1, START + 900)) == ["events"]


def test_an_hour_that_a_bucket_divides_is_counted_by_the_minute() -> None:
    half = START // 1000 + 1800
    sql = sql_of(START, START + 3 * HOUR, START // 1000, half, half + 3600 * 4)
    assert units_of(sql) == ["3600", "60"]
    halves = range(half - 3600, half + 4 * 3600, 3600)
    assert units_of(sql_of(START, START + 3 * HOUR, *halves)) == ["60"]


@pytest.mark.parametrize(
    "span", [Span(5, 5), Span(9, 4), Span(-10, -5), Span(END_OF_TIME_MS, None), Span(2**62, 2**63), Span(None, -1)]
)
def test_a_range_with_nothing_in_it_can_be_asked(select: Callable[[CountRequest], list[Row]], span: Span) -> None:
    assert select(CountRequest(PROJECT, None, span)) == []


def test_a_name_is_a_value_and_never_text_of_the_statement() -> None:
    asked = CountRequest(PROJECT, "'; DROP TABLE events", Span(START, START + 1))
    for statement in count_statements(asked):
        assert "DROP" not in statement.sql
        assert statement.values == {"project": PROJECT, "name": asked.event_name}

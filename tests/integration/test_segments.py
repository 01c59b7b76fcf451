"""Segments behind the writer: entries and exits once each, wherever a process ends; what is compared when."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.migrate import migrate_tables
from tests.support.behind import NOW_MS, Behind
from tests.support.faults import Crash, FaultyDatabases, crash_points
from tests.support.fixtures import drop, need_chdb
from tests.support.tables import open_test_tables

ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"


def rule(*filters: Any) -> dict[str, Any]:
    return {"logic": "AND", "groups": [{"filters": list(filters)}]}


PRO = rule({"field": "data.plan", "operator": "equals", "value": "pro"})
BUYERS = rule({"field": "event.bought", "operator": "countGreaterThanOrEqual", "value": 2})


@pytest.fixture(scope="module")
def tables() -> Iterator[ClientTables]:
    need_chdb()
    made = open_test_tables(migrated=False)
    migrate_tables(made)
    yield made
    drop(made)


@pytest.fixture(scope="module")
def one_behind(tables: ClientTables, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    made = Behind(tables, tmp_path_factory.mktemp("log"))
    yield made
    made.close()


@pytest.fixture
def behind(one_behind: Behind) -> Behind:
    one_behind.begin()
    return one_behind


def settle(behind: Behind, rounds: int = 3) -> None:
    """Until nothing comes any more."""
    for _ in range(rounds):
        behind.write()
        behind.follow_segments()
    behind.write()


def test_who_comes_to_match_enters_and_who_stops_leaves_once_each(behind: Behind) -> None:
    behind.segment("pro", PRO)
    behind.segment("buyers", BUYERS)
    behind.pass_segments()
    behind.track(("viewed", ADA, {"plan": "pro"}), ("bought", BOB, None))
    settle(behind)
    assert behind.steps() == [("pro.entry", ADA)]
    behind.track(("bought", BOB, None), ("viewed", ADA, {"plan": "free"}), ("viewed", ADA, {"plan": "free"}))
    settle(behind)
    assert sorted(behind.steps()) == [("buyers.entry", BOB), ("pro.entry", ADA), ("pro.exit", ADA)]
    behind.track(("viewed", ADA, {"plan": "pro"}))
    settle(behind)
    assert [name for name, who in behind.steps() if who == ADA] == ["pro.entry", "pro.exit", "pro.entry"]


def test_a_segment_that_is_new_or_changed_is_compared_with_all_contacts(behind: Behind) -> None:
    behind.track(("viewed", ADA, {"plan": "pro"}), ("viewed", BOB, {"plan": "free"}))
    behind.write()
    made = behind.segment("pro", PRO)
    behind.pass_segments()
    settle(behind)
    assert behind.steps() == [("pro.entry", ADA)]
    free = rule({"field": "data.plan", "operator": "equals", "value": "free"})
    text = msgspec.json.encode(free).decode()
    behind.control.put(msgspec.structs.replace(made, condition=text, revision="another"))
    behind.pass_segments()
    settle(behind)
    assert sorted(behind.steps()) == [("pro.entry", ADA), ("pro.entry", BOB), ("pro.exit", ADA)]


def test_a_segment_that_refers_to_one_that_was_changed_is_compared_anew(behind: Behind) -> None:
    inner = behind.segment("inner", PRO, tracked=False)
    behind.segment("outer", rule({"field": f"segment.{inner.id}", "operator": "notMemberOfSegment"}))
    behind.pass_segments()
    behind.track(("viewed", ADA, {"plan": "pro"}))
    settle(behind)
    assert behind.steps() == []
    never = msgspec.json.encode(rule({"field": "email", "operator": "equals", "value": "x"})).decode()
    behind.control.put(msgspec.structs.replace(inner, condition=never, revision="another"))
    behind.pass_segments()
    settle(behind)
    assert behind.steps() == [("outer.entry", ADA)]


def test_time_alone_is_looked_at_twice_a_minute(behind: Behind) -> None:
    behind.segment("old", rule({"field": "createdAt", "operator": "olderThan", "value": 1, "unit": "minutes"}))
    behind.segment("pro", PRO)
    behind.track(("viewed", ADA, {"plan": "pro"}))
    behind.pass_segments()
    settle(behind)
    assert behind.steps() == [("pro.entry", ADA)]
    try:
        behind.clock.ms = NOW_MS + 60_001
        watched = FaultyDatabases(behind.tables)
        behind.pass_segments(watched)
        settle(behind)
        assert behind.steps() == [("pro.entry", ADA), ("old.entry", ADA)]
        behind.clock.ms += 29_000
        idle = FaultyDatabases(behind.tables)
        behind.pass_segments(idle)
    finally:
        behind.clock.ms = NOW_MS
    assert "append" in watched.statements


def test_tracking_that_is_off_emits_nothing_and_a_segment_of_another_project_neither(behind: Behind) -> None:
    behind.segment("off", PRO, tracked=False)
    behind.segment("other", PRO, id="00000000-0000-4000-8000-00000000aaaa")
    behind.begin()
    behind.track(("viewed", ADA, {"plan": "pro"}))
    behind.pass_segments()
    settle(behind)
    assert behind.steps() == []


@pytest.mark.parametrize("work", ["follow", "pass"])
def test_a_crash_at_any_statement_emits_each_entry_and_exit_once(behind: Behind, work: str) -> None:
    def step(faulty: FaultyDatabases | None = None) -> None:
        behind.follow_segments(faulty) if work == "follow" else behind.pass_segments(faulty)

    def story() -> None:
        behind.begin()
        made = behind.segment("pro", PRO)
        if work == "follow":
            behind.pass_segments()
        behind.track(("a", ADA, {"plan": "pro"}), ("a", BOB, {"plan": "pro"}), ("a", EVE, {"plan": "free"}))
        behind.write()
        if work == "pass":
            behind.control.put(msgspec.structs.replace(made, revision="another"))

    def check(case: object) -> None:
        step()
        settle(behind)
        assert sorted(behind.steps()) == [("pro.entry", ADA), ("pro.entry", BOB)], case
        behind.track(("a", ADA, {"plan": "free"}))
        settle(behind)
        assert sorted(behind.steps()) == [("pro.entry", ADA), ("pro.entry", BOB), ("pro.exit", ADA)], case

    story()
    watched = FaultyDatabases(behind.tables)
    step(watched)
    check("no crash")
    assert {"append", "insert segment_progress"} <= set(watched.statements)
    for at in crash_points(watched.statements):
        for is_stored in (True, False):
            story()
            with suppress(Crash):
                step(FaultyDatabases(behind.tables, at=at))
            if is_stored:
                behind.write()
            check((at, is_stored))


def test_who_was_erased_and_comes_anew_enters_anew_also_where_it_is_told_late(behind: Behind, tmp_path: Path) -> None:
    """The number of the change begins anew with the contact: its id must not be one that was used."""
    del tmp_path
    behind.segment("pro", PRO)
    behind.pass_segments()
    behind.track(("a", ADA, {"plan": "pro"}))
    settle(behind)
    behind.erase(ADA)
    settle(behind)
    assert behind.steps() == []
    behind.track(("a", ADA, {"plan": "pro"}))
    settle(behind)
    assert behind.steps() == [("pro.entry", ADA)]

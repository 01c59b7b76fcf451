"""Rebuilds on real tables: interrupted at any statement, after faults in the live tables, beside a writer."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers import rebuild
from consumers.comparison import Difference, difference
from consumers.pipeline import Pipeline
from consumers.rebuild import Rebuild, Rebuilt
from consumers.sink import LogEnds
from penstock.clickhouse.building import PROJECTIONS as REBUILT
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.generations import Generations
from penstock.clickhouse.migrate import migrate, migrate_tables
from penstock.clock import SystemClock
from penstock.errors import StartError, TablesHeld, WriterFenced
from penstock.eventlog.sqlite import SqliteLog
from penstock.settings import Writer
from penstock.telemetry import Metrics
from schemas.deletion import Deletion
from schemas.event import Event
from schemas.record import pack_deletion
from schemas.topics import Topic
from tests.support.breakable import ClickHouseService
from tests.support.faults import Crash, FaultyDatabases
from tests.support.fixtures import drop_generations, entry, event, server_tables
from tests.support.stored import PROJECTIONS, projected
from tests.support.tables import open_test_tables

pytestmark = pytest.mark.services


class World:
    """A log, its tables, and a writer of the live ones."""

    def __init__(self, tables: ClientTables, directory: Path) -> None:
        self.tables = tables
        self.log = SqliteLog(directory, partitions=2)
        self._runner = asyncio.Runner()
        self._runner.run(self.log.start())
        self.generations = Generations(tables)
        self.expected = 0

    def close(self) -> None:
        self._runner.run(self.log.stop())
        self._runner.close()
        drop_generations(self.tables)

    def append(self, events: list[Event]) -> None:
        async def work() -> None:
            await self.log.append([entry(one, 2) for one in events], 1)

        self._runner.run(work())

    def grow(self) -> None:
        """Events, one late, a second copy, deleted ones, a later one of their name; a contact that leaves and is changed."""
        once, late = event(derived=True), msgspec.structs.replace(event(), received_at="2026-11-25T07:00:00.000Z")
        self.append([event() for _ in range(19)] + [late, once, once] + [event(name="doomed") for _ in range(6)])
        deletion = Deletion(event().id, once.project_id, "doomed")

        async def mark() -> None:
            await self.log.mark(pack_deletion(deletion, accepted_ms=1), 1)

        self._runner.run(mark())
        leaves = msgspec.structs.replace(event(contact=late.contact_id), subscribed=False)
        enters = msgspec.structs.replace(event(name="segment.vip.entry", contact=late.contact_id, data=""), change=True)
        changes = msgspec.structs.replace(event(name="", contact=late.contact_id), change=True)
        self.append([event(name="doomed"), leaves, enters, changes])
        self.expected += 24 if self.expected else 25  # the deletion also removes the later one of the last time

    def pipeline(self, generations: Generations | None = None) -> Pipeline:
        return Pipeline(
            Writer(),
            log=self.log,
            for_writing=(generations or self.generations).for_writing,
            clock=SystemClock(),
            metrics=Metrics(),
            owner="live",
        )

    def write(self) -> None:
        pipeline = self.pipeline()
        tail = self.log.tail(Topic.EVENTS, pipeline.claim(range(2)))
        with closing(tail), closing(pipeline):
            pipeline.write(tail.poll(timeout_seconds=0, max_bytes=1 << 30), LogEnds(tail.ends(), 1))

    def rebuild(self, only: str | None = None, generations: Generations | None = None) -> Rebuilt:
        work = Rebuild(
            Writer(),
            log=self.log,
            generations=generations or self.generations,
            clock=SystemClock(),
            report=lambda _: None,
            grace_seconds=0,
        )
        return work.run(only)

    def check(self, case: object = "") -> None:
        found = projected(self.generations.live().tables)
        assert found == dict.fromkeys(PROJECTIONS, self.expected), case


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(open_test_tables(), tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["chdb", "server"])
def any_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "chdb":
        tables = open_test_tables()
    else:
        server: ClickHouseService = request.getfixturevalue("clickhouse")
        tables = server_tables(server.url)
        migrate_tables(tables)
    made = World(tables, tmp_path)
    yield made
    made.close()


def wrong(done: Rebuilt) -> dict[str, tuple[int, int]]:
    return {one.table: (one.missing, one.surplus) for one in done.differences if one.missing or one.surplus}


def test_the_rebuilt_tables_are_live_and_equal(any_world: World) -> None:
    any_world.grow()
    any_world.write()
    any_world.check()
    done = any_world.rebuild()
    assert (done.generation, done.is_resumed, wrong(done)) == (2, False, {})
    assert [one.table for one in done.differences] == list(REBUILT)
    any_world.check()
    any_world.grow()
    any_world.write()
    any_world.check()
    assert any_world.rebuild().generation == 3
    any_world.check()


_INTERRUPTIONS = 6
"""Spread over the statements of a rebuild, which are about a hundred."""


def test_a_rebuild_that_is_interrupted_anywhere_changes_nothing_and_is_started_again(world: World) -> None:
    world.grow()
    world.write()
    watched = FaultyDatabases(world.tables)
    world.rebuild(generations=Generations(watched))
    step = -(-len(watched.statements) // _INTERRUPTIONS)
    for at, after in zip(range(3, len(watched.statements), step), itertools.cycle((False, True)), strict=False):
        generations = Generations(FaultyDatabases(world.tables, at=at, after=after))
        try:
            world.rebuild(generations=generations)
        except Crash:
            world.check((at, after, "interrupted"))
        world.generations.release(world.generations.live().number)  # the hold runs out
        world.grow()
        world.write()
        world.check((at, after, "written"))
        world.rebuild()
        world.check((at, after, "rebuilt"))


@pytest.mark.parametrize("only", REBUILT)
def test_one_projection_for_itself_even_if_interrupted_before(world: World, only: str) -> None:
    world.grow()
    world.write()
    with pytest.raises(Crash):
        world.rebuild(only, Generations(FaultyDatabases(world.tables, at=60)))
    world.generations.release(1)
    assert list(wrong(world.rebuild(only))) == []
    world.check()
    world.grow()
    world.write()
    world.check()


FAULTS: dict[str, tuple[str, dict[str, tuple[int, int]]]] = {
    "a row that is gone": (
        "DELETE FROM events WHERE (log_partition, log_offset, log_index) IN (SELECT log_partition, log_offset, "
        "log_index FROM events LIMIT 1)",
        {"events": (1, 0)},
    ),
    "a row of a contact's list that is gone": (
        "DELETE FROM events_by_contact WHERE id IN (SELECT id FROM events_by_contact LIMIT 1)",
        {"events_by_contact": (1, 0)},
    ),
    "a row that is doubled": (
        "INSERT INTO events_by_name SELECT * FROM events_by_name LIMIT 1",
        {"events_by_name": (0, 1)},
    ),
    "a counter that is one too high": (
        "INSERT INTO event_counts SELECT * REPLACE (toUInt64(1) AS count) FROM event_counts LIMIT 1",
        {"event_counts": (0, 1)},
    ),
    "derived ids that are gone": ("DELETE FROM derived_ids WHERE 1", {"derived_ids": (3, 0)}),
    "a contact of whom more is said": (
        "INSERT INTO contacts SELECT * REPLACE (version + 2 AS version) FROM contacts ORDER BY version DESC LIMIT 1",
        {"contacts": (1, 1)},
    ),
    "entries that are gone": ("DELETE FROM memberships WHERE 1", {"memberships": (1, 0)}),
    "changes of contacts that are gone": ("DELETE FROM contact_changes WHERE 1", {"contact_changes": (1, 0)}),
    "subscriptions that are gone": ("DELETE FROM subscriptions WHERE 1", {"subscriptions": (1, 0)}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_live_tables_is_told_and_gone_afterwards(world: World, fault: str) -> None:
    statement, expected = FAULTS[fault]
    world.grow()
    world.write()
    world.tables.execute(statement)
    assert wrong(world.rebuild()) == expected
    world.check()
    assert wrong(world.rebuild()) == {}


def test_lost_tables_come_back(world: World) -> None:
    world.grow()
    world.write()
    for table in REBUILT:
        world.tables.execute(f"TRUNCATE TABLE {table}")
    assert wrong(world.rebuild()).keys() == set(REBUILT)
    world.check()


def test_what_a_dead_writer_had_announced_is_completed_first(world: World) -> None:
    world.grow()
    crashing = Generations(FaultyDatabases(world.tables, at=7))
    pipeline = world.pipeline(crashing)
    tail = world.log.tail(Topic.EVENTS, pipeline.claim(range(2)))
    with pytest.raises(Crash):
        pipeline.write(tail.poll(timeout_seconds=0, max_bytes=1 << 30), LogEnds(tail.ends(), 1))
    tail.close()
    assert wrong(world.rebuild()) == {}
    world.check()


@pytest.mark.timeout(60)
def test_a_writer_that_stood_still_until_the_old_tables_were_gone_is_fenced(world: World) -> None:
    for _ in range(2):  # the first tables go in another way than later ones
        world.grow()
        pipeline = world.pipeline()
        tail = world.log.tail(Topic.EVENTS, pipeline.claim(range(2)))
        records, ends = tail.poll(timeout_seconds=0, max_bytes=1 << 30), LogEnds(tail.ends(), 1)
        tail.close()
        world.rebuild()
        with pytest.raises(WriterFenced):
            pipeline.write(records, ends)
        assert pipeline.partitions == set()
        world.write()
        world.check()


def test_an_idle_writer_that_stood_still_until_the_old_tables_were_gone_is_fenced_too(world: World) -> None:
    for _ in range(2):
        world.grow()
        world.write()
        pipeline = world.pipeline()
        pipeline.claim(range(2))
        world.rebuild()
        with pytest.raises(WriterFenced):
            pipeline.heartbeat(LogEnds({}, 1))
        assert pipeline.partitions == set()


def test_where_the_hold_ran_out_and_writers_went_on_nothing_is_put_in_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where this process stood still while it compared."""
    world.grow()
    world.write()
    monkeypatch.setattr(rebuild, "_HOLD_SECONDS", 0.2)
    monkeypatch.setattr(rebuild._Hold, "_keep_on", lambda _: None)
    compare = difference

    def compare_slowly(*arguments: Any) -> Difference:
        if world.generations.live().number == 1 and not resumed:
            _eventually(lambda: world.generations.for_writing().number)
            world.grow()
            world.write()
            resumed.append(True)
        return compare(*arguments)

    resumed: list[bool] = []
    monkeypatch.setattr(rebuild, "difference", compare_slowly)
    with pytest.raises(StartError, match="nothing was put in place"):
        world.rebuild("event_counts")
    assert world.generations.live().number == 1
    world.check()
    world.rebuild("event_counts")
    world.check()


def test_a_rebuild_that_stood_still_leaves_alone_what_another_holds(world: World) -> None:
    first = world.generations.hold(30)
    second = world.generations.hold(30)
    for late in (lambda: world.generations.hold(30, first), lambda: world.generations.release(7, first)):
        with pytest.raises(WriterFenced, match="Another rebuild holds the tables"):
            late()
    assert world.generations.live().number == 1
    world.generations.release(1, world.generations.hold(30, second))
    assert world.generations.for_writing().number == 1


def test_no_writer_claims_while_a_rebuild_holds(any_world: World) -> None:
    any_world.generations.hold(30)
    with pytest.raises(TablesHeld):
        any_world.generations.for_writing()
    any_world.generations.release(1)
    assert any_world.generations.for_writing().number == 1


def test_a_hold_runs_out_by_itself(world: World) -> None:
    world.generations.hold(0.01)
    assert _eventually(lambda: world.generations.for_writing().number) == 1


def _eventually(call: Callable[[], int]) -> int:
    from tests.support.services import wait_until

    def held() -> bool:
        try:
            call()
        except TablesHeld:
            return False
        return True

    wait_until(held, 20, "the hold to run out")
    return call()


def test_an_unknown_projection_is_refused(world: World) -> None:
    with pytest.raises(StartError, match="events_by_contact"):
        world.rebuild("nothing")


def test_migrations_after_a_rebuild_reach_the_first_tables_and_the_live_ones(world: World) -> None:
    world.grow()
    world.write()
    world.rebuild()
    world.tables.delete("schema_migrations", "version = 3")  # as if 3 were new
    migrate(world.generations)
    world.check()
    assert world.tables.select("SELECT count() FROM events") in ([[0]], [["0"]])

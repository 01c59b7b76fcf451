"""The writer on real tables: exactly once, whatever happens between two statements."""

import contextlib
import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers.deletions import delete_before
from consumers.loop import WriterLoop
from consumers.pipeline import Pipeline, Stopped
from consumers.sink import LogEnds, Sink
from penstock.clickhouse import Tables
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.migrate import migrate_tables
from penstock.clickhouse.progress import read_progress
from penstock.errors import StartError, TablesRefused, TablesUnavailable, WriterFenced
from penstock.eventlog import StoredRecord
from penstock.eventlog.sqlite import SqliteLog
from penstock.settings import Writer
from penstock.telemetry import Metrics
from schemas.clickhouse import migrations
from schemas.deletion import Deletion
from schemas.erasure import Erasure
from schemas.event import Event, encode_event
from schemas.record import (
    EVENTS_FORMAT,
    NEWEST_FORMAT,
    is_removal,
    pack,
    pack_deletion,
    pack_erasure,
    pack_replay,
    unpack,
    unpack_deletion,
)
from schemas.topics import Topic
from tests.support.breakable import ClickHouseService
from tests.support.faults import Crash, FaultyTables, crash_points
from tests.support.fixtures import drop, event, need_chdb, server_tables
from tests.support.records import record, stored
from tests.support.services import wait_until
from tests.support.stored import PROJECTIONS, TABLES, doubles, projected
from tests.support.tables import fixed, open_test_tables


class StepClock:
    """A clock that moves with every look."""

    def __init__(self) -> None:
        self._now_ms = 1_795_417_200_000

    def now_ms(self) -> int:
        self._now_ms += 1
        return self._now_ms


def _step(of: Event, action: str) -> Event:
    """What tells that a contact enters or leaves a segment."""
    return msgspec.structs.replace(
        event(name=f"segment.vip.{action}", contact=of.contact_id, data="", derived=True), change=True, known_only=True
    )


def _changes(*told: Event) -> bytes:
    return pack([encode_event(one) for one in told], derived=True, accepted_ms=1, has_changes=True)


class World:
    """A log of some partitions, the tables, and what must be in them."""

    def __init__(self, tables: Tables, directory: Path, partitions: int = 2) -> None:
        self.tables = tables
        self.log = SqliteLog(directory, partitions=partitions)
        self.log.open()
        self.records: dict[int, list[StoredRecord]] = {number: [] for number in range(partitions)}
        self.first_copies: dict[int, set[str]] = {number: set() for number in range(partitions)}
        self.expected = 0
        self.expected_derived = 0
        self.named: Counter[tuple[str, str]] = Counter()
        self.leaving: dict[int, Event] = {}
        self._doomed: dict[int, str] = {}
        self._owners = itertools.count()

    def copied(self, tables: Tables, directory: Path) -> "World":
        """The same, on a copy of the tables and of the log that somebody else has made."""
        made = World(tables, directory, len(self.records))
        known = {name: value for name, value in vars(self).items() if name not in ("tables", "log", "_owners")}
        vars(made).update(deepcopy(known))
        return made

    def add(self, partition: int, events: list[Event]) -> None:
        """Appends a record; what of it counts is known from the order in the log."""
        self.records[partition].append(record(len(self.records[partition]), events, partition))
        for one in events:
            if one.derived:
                if one.id in self.first_copies[partition]:
                    continue
                self.first_copies[partition].add(one.id)
                self.expected_derived += 1
            self.expected += 1
            self.named[one.project_id, one.name] += 1

    def delete(self, name: str) -> None:
        """Deletes the events of a name, in every partition."""
        value = pack_deletion(Deletion(str(uuid.uuid4()), event().project_id, name), accepted_ms=1)
        for partition in self.records:
            self.add_raw(partition, value)
        self.expected -= self.named.pop((event().project_id, name), 0)

    def add_leaving(self, partition: int) -> None:
        """A contact that unsubscribes, which emits another event, and enters and leaves a segment, which is told twice."""
        first = event()
        self.add(partition, [first])
        self.add(partition, [msgspec.structs.replace(event(contact=first.contact_id), subscribed=False)])
        self.leaving[partition] = first
        entry, leave = (_step(first, action) for action in ("entry", "exit"))
        self.add_raw(partition, _changes(entry))
        self.add_raw(partition, _changes(leave, entry, msgspec.structs.replace(leave, id=str(uuid.uuid4()))))
        self.expected += 3
        self.expected_derived += 4
        for name in ("contact.unsubscribed", entry.name, leave.name):
            self.named[first.project_id, name] += 1

    def erase(self, partition: int, of: Event) -> None:
        """Erases a contact that was added as leaving."""
        erasure = Erasure(str(uuid.uuid4()), of.project_id, of.contact_id, of.email)
        self.add_raw(partition, pack_erasure(erasure, accepted_ms=1))
        self.expected -= 5
        for name in ("contact.unsubscribed", "segment.vip.entry", "segment.vip.exit"):
            self.named[of.project_id, name] -= 1
        self.named[of.project_id, of.name] -= 2

    def add_raw(self, partition: int, value: bytes | None) -> None:
        """Appends a record of any bytes."""
        self.records[partition].append(stored(value, len(self.records[partition]), partition))

    def grow(self) -> None:
        """Some records in every partition, with second copies in one record, in one batch and of earlier ones."""
        for partition, known in self.first_copies.items():
            old = sorted(known)[:1]
            new = str(uuid.uuid4())
            self.add(partition, [event(), event(event_id=new, derived=True), event(event_id=new, derived=True)])
            self.add(partition, [event(event_id=id_, derived=True) for id_ in [*old, new]] + [event()])
            self.add(partition, [event() for _ in range(4)])
            self.add(partition, [event(event_id=new, derived=True)])

    def grow_and_delete(self) -> None:
        """In every partition events that are then deleted, a retry of one of them, and events that come later."""
        for partition in self.records:
            doomed = str(uuid.uuid4())
            self.add(partition, [event(name="doomed"), event(name="doomed", event_id=doomed, derived=True), event()])
            self._doomed[partition] = doomed
        self.delete("doomed")
        for partition, doomed in self._doomed.items():
            self.add(partition, [event(name="doomed", event_id=doomed, derived=True), event(name="doomed"), event()])

    def pipeline(self, tables: Tables | None = None, max_rows: int = 50_000, max_share: float = 1) -> Pipeline:
        """A new writer."""
        return Pipeline(
            Writer(max_rows=max_rows, max_dead_letter_share=max_share),
            log=self.log,
            for_writing=fixed(tables or self.tables),
            clock=StepClock(),
            metrics=Metrics(),
            owner=f"owner {next(self._owners)}",
        )

    def ends(self) -> LogEnds:
        return LogEnds({number: len(records) for number, records in self.records.items()}, 1_795_417_200_000)

    def write(self, pipeline: Pipeline) -> None:
        """Claims everything and writes what is left."""
        starts = pipeline.claim(self.records)
        self.deliver(pipeline, starts)

    def deliver(self, pipeline: Pipeline, starts: dict[int, int]) -> None:
        wanted = [one for number, start in starts.items() for one in self.records[number][start:]]
        with closing(pipeline):  # its threads; it may go on
            pipeline.write(wanted, self.ends())

    def check(self, case: object = "") -> None:
        """Every event is in every table once."""
        found = projected(self.tables, derived=True)
        assert found == {**dict.fromkeys(PROJECTIONS, self.expected), "derived_ids": self.expected_derived}, case
        assert doubles(self.tables) == 0, case
        assert read_progress(self.tables) == {} or self.is_complete(), case

    def is_complete(self) -> bool:
        progress = read_progress(self.tables)
        return all(
            progress[number].stored_through == len(records) - 1 and progress[number].pending is None
            for number, records in self.records.items()
            if records
        )

    def letters(self) -> list[dict[str, Any]]:
        """The dead letters, as they were published."""
        tail = self.log.tail(Topic.DEAD_LETTER, {0: 0})
        try:
            records = tail.poll(timeout_seconds=0, max_bytes=1 << 20)
        finally:
            tail.close()
        return [{"key": one.key, **msgspec.json.decode(one.value or b"{}")} for one in records]


@pytest.fixture
def world(tables: ClientTables, tmp_path: Path) -> Iterator[World]:
    migrate_tables(tables)
    made = World(tables, tmp_path)
    yield made
    made.log.close()


@pytest.fixture
def embedded_world(tmp_path: Path) -> Iterator[World]:
    """On chDB alone, for what takes long and depends on no driver."""
    need_chdb()
    tables = open_test_tables()
    made = World(tables, tmp_path)
    yield made
    made.log.close()
    drop(tables)


_CRASHES = 24
"""So many statements of a write are tried; with many small batches they repeat."""


def statements_of_a_write(world: World, max_rows: int, grow: Callable[[World], None] | None = None) -> list[str]:
    """What a writer does with the tables, when nothing goes wrong."""
    (grow or World.grow)(world)
    watched = FaultyTables(world.tables)
    world.write(world.pipeline(watched, max_rows))
    world.check()
    return watched.statements


# --- crashes ----------------------------------------------------------------------------------------------------------


def test_a_crash_at_any_statement_loses_nothing_and_doubles_nothing(world: World) -> None:
    """The second writer has smaller batches, and must form the first one's range all the same."""
    crash_everywhere(world, World.grow, first_rows=50_000, second_rows=1)


def test_a_crash_at_any_statement_of_many_small_batches(embedded_world: World) -> None:
    crash_everywhere(embedded_world, World.grow, first_rows=3, second_rows=50_000)


def test_a_crash_at_any_statement_of_a_deletion_leaves_no_half_of_it(world: World) -> None:
    statements = crash_everywhere(world, World.grow_and_delete, first_rows=50_000, second_rows=50_000)
    assert "delete event_counts" in statements
    assert "insert deletions" in statements


def test_a_deletion_tells_how_many_events_it_removed(world: World) -> None:
    world.grow_and_delete()
    world.write(world.pipeline())
    counted = world.tables.select("SELECT log_partition, max(events) FROM deletions GROUP BY log_partition ORDER BY 1")
    assert [[int(str(part)), int(str(events))] for part, events in counted] == [[0, 2], [1, 2]]


def test_a_deletion_that_is_carried_out_again_later_touches_nothing_that_came_after_it(world: World) -> None:
    """As by a writer that was paused in the middle of it, while another went on."""
    world.grow_and_delete()
    world.write(world.pipeline())
    for records in world.records.values():
        for one in records:
            if is_removal(one.value):
                deletion = unpack_deletion(one.value or b"").removal
                delete_before(world.tables, deletion, one.partition, one.offset)
    world.check()


def test_a_deletion_leaves_other_names_and_projects_alone(world: World) -> None:
    world.add(0, [event(name="doomed"), event(name="Doomed"), event(name="doomed ", data="")])
    world.add(0, [event(name="doomed", project_id=str(uuid.uuid4()))])
    world.delete("doomed")
    world.write(world.pipeline())
    world.check()


def crash_everywhere(world: World, grow: Callable[[World], None], first_rows: int, second_rows: int) -> list[str]:
    statements = statements_of_a_write(world, first_rows, grow)
    assert "insert events" in statements
    assert "insert writer_progress" in statements
    for at in crash_points(statements)[:_CRASHES]:
        grow(world)
        with pytest.raises(Crash) if at < len(statements) else nullcontext():
            world.write(world.pipeline(FaultyTables(world.tables, at=at), first_rows))
        world.write(world.pipeline(max_rows=second_rows))
        world.check((at, statements[at : at + 1]))
    return statements


def test_an_answer_that_is_lost_at_any_statement_changes_nothing(world: World) -> None:
    statements = statements_of_a_write(world, 50_000)
    for at in range(len(statements)):
        world.grow()
        faulty = FaultyTables(world.tables, at=at, after=True, error=lambda: TablesUnavailable("lost"))
        world.write(world.pipeline(faulty))
        world.check((at, statements[at]))


def test_a_writer_that_crashes_again_and_again_gets_there(world: World) -> None:
    for _ in range(3):
        world.grow()
    for at in range(12):
        try:
            world.write(world.pipeline(FaultyTables(world.tables, at=at, after=at % 2 == 0), max_rows=2 + at))
        except Crash:
            continue
    world.write(world.pipeline())
    world.check()


def test_a_pending_range_is_written_before_anything_else_even_if_it_arrives_in_pieces(world: World) -> None:
    world.grow()
    with pytest.raises(Crash):
        world.write(world.pipeline(FaultyTables(world.tables, at=inserts_events(world), after=True)))
    world.grow()
    pipeline = world.pipeline(max_rows=1)
    starts = pipeline.claim(world.records)
    for offset in range(8):
        pipeline.write([records[offset] for records in world.records.values()], world.ends())
    assert starts == {0: 0, 1: 0}
    world.check()


def test_an_insert_that_reached_some_tables_and_not_others_is_completed(world: World) -> None:
    """As a server that is killed in the middle of one leaves it: here some views are away for a moment."""
    world.grow()
    views = ("event_counts_view", "events_by_contact_view")

    def without_views(what: str) -> None:
        if what == "insert events":
            for view in views:
                world.tables.execute(f"DROP VIEW IF EXISTS {view} SYNC")

    crashing = FaultyTables(world.tables, at=inserts_events(world), after=True, before=without_views)
    with pytest.raises(Crash):
        world.write(world.pipeline(crashing))
    for migration in migrations():
        for statement in migration.statements:
            world.tables.execute(statement)
    assert projected(world.tables)["event_counts 0"] < projected(world.tables)["events"]
    world.write(world.pipeline(max_rows=1))
    world.check()


def inserts_events(world: World) -> int:
    """Which statement of the next write is the first insert: claim (3), announce (2), the look for derived ids (1)."""
    del world
    return 6


# --- fencing ----------------------------------------------------------------------------------------------------------


def test_a_stale_writer_is_fenced_and_stores_nothing(world: World) -> None:
    world.grow()
    stale = world.pipeline()
    starts = stale.claim(world.records)
    newcomer = world.pipeline(max_rows=3)
    world.write(newcomer)
    world.grow()
    with pytest.raises(WriterFenced):
        world.deliver(stale, starts)
    assert stale.stored_through() == {}
    world.deliver(newcomer, {0: 4, 1: 4})
    world.check()


def test_a_writer_that_lost_one_partition_goes_on_with_the_other(world: World) -> None:
    world.grow()
    first = world.pipeline()
    starts = first.claim(world.records)
    second = world.pipeline()
    world.deliver(second, second.claim([1]))
    with pytest.raises(WriterFenced):
        world.deliver(first, starts)
    assert first.partitions == {0}
    world.grow()
    world.deliver(first, {0: 4})
    world.deliver(second, {1: 4})
    world.check()


@pytest.mark.parametrize("paused_before", ["insert events", "insert writer_progress", "select"])
def test_a_writer_that_pauses_anywhere_while_another_takes_over(world: World, paused_before: str) -> None:
    """The newcomer runs in the middle of the old writer's batch, at every statement of the kind."""
    for occurrence in range(4):
        world.grow()
        seen = itertools.count()

        def take_over(what: str, seen: Iterator[int] = seen, occurrence: int = occurrence) -> None:
            if what == paused_before and next(seen) == occurrence:
                world.write(world.pipeline(max_rows=2))

        stale = world.pipeline(FaultyTables(world.tables, before=take_over))
        with contextlib.suppress(WriterFenced):
            world.write(stale)
        world.write(world.pipeline(max_rows=3))
        world.check((paused_before, occurrence))


def test_of_two_that_claim_at_the_same_moment_one_is_fenced(world: World) -> None:
    """Both have read the same highest epoch before either claims."""
    for first_rows, second_rows in ((50_000, 3), (3, 50_000), (2, 2)):
        world.grow()
        first = world.pipeline(max_rows=first_rows)
        claimed: list[dict[int, int]] = []

        def claim_too(what: str, claimed: list[dict[int, int]] = claimed, first: Pipeline = first) -> None:
            if what == "insert writer_claims" and not claimed:
                claimed.append(first.claim(world.records))

        second = world.pipeline(FaultyTables(world.tables, before=claim_too), max_rows=second_rows)
        starts = second.claim(world.records)
        fenced = 0
        for pipeline, its_starts in ((first, claimed[0]), (second, starts)):
            try:
                world.deliver(pipeline, its_starts)
            except WriterFenced:
                fenced += 1
        assert fenced == 1
        world.check()


def test_a_late_statement_of_before_does_not_undo_a_later_one(world: World) -> None:
    """A heartbeat whose answer was lost arrives after the range was announced."""
    late: list[tuple[str, bytes]] = []

    class Delays(FaultyTables):
        def insert(self, table: str, lines: bytes, *, token: str | None = None) -> None:
            if table == "writer_progress" and not late:
                late.append((table, lines))
                raise TablesUnavailable("lost")
            if table == "events":
                world.tables.insert(*late[0])
                world.tables.insert(table, lines, token=token)
                raise Crash
            super().insert(table, lines, token=token)

    world.grow()
    pipeline = world.pipeline(Delays(world.tables))
    starts = pipeline.claim(world.records)
    pipeline.heartbeat(world.ends())
    with pytest.raises(Crash):
        world.deliver(pipeline, starts)
    world.write(world.pipeline(max_rows=1))
    world.check()


# --- derived ids ------------------------------------------------------------------------------------------------------


def test_the_first_copy_counts_wherever_the_others_are(world: World) -> None:
    """In one record, in one batch, in another batch, and for a writer that knows nothing of before."""
    one = event(derived=True)
    world.add(0, [one, one])
    world.add(0, [one])
    world.write(world.pipeline())
    world.check("one batch")
    world.add(0, [one])
    world.add(0, [event(), one, event()])
    world.write(world.pipeline(max_rows=1))
    world.check("later")
    assert world.expected == 3


def test_the_first_copy_wins_with_its_own_data(world: World) -> None:
    id_ = str(uuid.uuid4())
    for name in ("first", "second"):
        world.add(0, [event(name=name, event_id=id_, derived=True)])
        world.write(world.pipeline())
    assert world.tables.select("SELECT name FROM events") == [["first"]]


def test_a_copy_after_the_event_was_deleted_does_not_bring_it_back(world: World) -> None:
    one = event(derived=True)
    world.add(0, [one])
    world.write(world.pipeline())
    world.tables.delete("events", "1")
    world.add(0, [one])
    world.write(world.pipeline())
    assert world.tables.select("SELECT count() FROM events") in ([[0]], [["0"]])


def test_a_replay_keeps_its_own_first_copies(world: World) -> None:
    """The tables are new, the log is old: as after `penstock rebuild`."""
    one = event(derived=True)
    for _ in range(3):
        world.add(0, [one, event()])
    for max_rows in (1, 50_000):
        world.write(world.pipeline(max_rows=max_rows))
        world.check()
        for table in (*TABLES, "derived_ids", "writer_progress", "writer_claims"):
            world.tables.execute(f"TRUNCATE TABLE {table}")


def test_more_derived_ids_than_one_lookup_holds(world: World) -> None:
    many = [event(derived=True) for _ in range(10_500)]
    world.add(0, many)
    world.write(world.pipeline())
    world.add(0, [*many[::7], event()])
    world.write(world.pipeline())
    world.check()


def test_events_that_are_not_derived_are_looked_up_by_nobody(world: World) -> None:
    world.add(0, [event()])
    watched = FaultyTables(world.tables)
    pipeline = world.pipeline(watched)
    starts = pipeline.claim(world.records)
    before = len(watched.statements)
    world.deliver(pipeline, starts)
    assert watched.statements[before:] == [
        "insert writer_progress",
        "select",
        "insert events",
        "insert writer_progress",
    ]


# --- poison -----------------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_set_aside_and_the_rest_goes_on(world: World) -> None:
    good = record(0, 1).value or b""
    poison = [b"no record", good[:-3] + b'x"}', b"", None]
    world.add(0, [event()])
    for value in poison:
        world.add_raw(0, value)
        world.add(0, [event(), event()])
    world.write(world.pipeline())
    world.check()
    letters = world.letters()
    assert [(one["topic"], one["partition"], one["offset"], one["index"]) for one in letters] == [
        ("events", 0, 1 + 2 * number, None) for number in range(4)
    ]
    assert [decoded(one) for one in letters] == [value or b"" for value in poison]
    assert "checksum" in letters[1]["reason"]
    world.write(world.pipeline())
    assert len(world.letters()) == 4


def decoded(letter: dict[str, Any]) -> bytes:
    from base64 import b64decode

    return b64decode(letter["value"])


def test_an_event_that_the_tables_refuse_is_set_aside_and_the_rest_of_its_record_goes_on(world: World) -> None:
    bad = event(occurred_at="yesterday")
    world.add(0, [event() for _ in range(40)])
    world.records[0].append(record(1, [event(), bad, event()]))
    world.expected += 2
    world.add(0, [event() for _ in range(40)])
    world.write(world.pipeline())
    world.check()
    letter = world.letters()[0]
    assert (letter["key"], letter["offset"], letter["index"]) == ("events/0/1/1", 1, 1)
    assert "ClickHouse code" in letter["reason"]
    original = msgspec.json.decode(decoded(letter))
    assert original.pop("log_index") == 1
    assert original == msgspec.json.decode(msgspec.json.encode(bad))


def test_a_refused_event_is_set_aside_once_whatever_crashes(embedded_world: World) -> None:
    world = embedded_world
    for at, after in itertools.product(range(5, 14), (False, True)):
        offset = len(world.records[0])
        world.records[0].append(record(offset, [event(), event(occurred_at="yesterday"), event()]))
        world.expected += 2
        try:
            world.write(world.pipeline(FaultyTables(world.tables, at=at, after=after)))
        except Crash:
            world.write(world.pipeline(max_rows=1))
        world.check((at, after))
        assert {one["offset"] for one in world.letters()} == set(range(offset + 1))


def test_a_copy_counts_where_the_first_one_was_refused(world: World) -> None:
    """In one batch as in two: or a rebuild would come to another result."""
    id_ = str(uuid.uuid4())
    bad, good = event(event_id=id_, derived=True, occurred_at="yesterday"), event(event_id=id_, derived=True)
    world.records[0] += [record(0, [bad]), record(1, [good]), record(2, [good])]
    world.expected = world.expected_derived = 1
    world.write(world.pipeline())
    world.check()


def test_a_newer_format_stops_the_writer_before_it_stores_anything(world: World) -> None:
    from schemas.record import UnknownFormat

    world.add(0, [event()])
    newer = (record(1, 1).value or b"").replace(b'"format":%d' % EVENTS_FORMAT, b'"format":%d' % (NEWEST_FORMAT + 1), 1)
    world.add_raw(0, newer)
    with pytest.raises(UnknownFormat):
        world.write(world.pipeline())
    assert world.letters() == []
    world.records[0][1] = record(1, 1)
    world.expected += 1
    world.write(world.pipeline())
    world.check()


def test_too_many_dead_letters_stop_the_writer_and_the_rest_is_not_set_aside(world: World) -> None:
    for _ in range(60):
        world.add_raw(0, b"nonsense")
    with pytest.raises(StartError, match="penstock dead-letters list"):
        world.write(world.pipeline(max_rows=5, max_share=0.5))
    assert len(world.letters()) == 20
    world.write(world.pipeline())
    assert {one["offset"] for one in world.letters()} == set(range(60))


@pytest.mark.parametrize("bad", ["unreadable", "refused"])
def test_too_many_dead_letters_stop_the_writer_before_any_of_the_round_is_set_aside(world: World, bad: str) -> None:
    """Neither in the log nor in the tables; the good ones are stored once, whoever goes on."""
    for number in range(2):
        if bad == "unreadable":
            for _ in range(15):
                world.add_raw(number, b"nonsense")
        else:
            events = [event(occurred_at="yesterday") for _ in range(15)]
            world.records[number].append(record(len(world.records[number]), events, number))
        world.add(number, [event() for _ in range(5)])
    for _ in range(2):  # the next start comes to the same
        with pytest.raises(StartError, match="cannot be processed"):
            world.write(world.pipeline(max_share=0.5))
        assert world.letters() == []
        assert dead_letters(world) == []
    world.write(world.pipeline(max_share=1))
    assert len(world.letters()) == len(dead_letters(world)) == 30
    world.check()


@pytest.mark.parametrize("bad", ["unreadable", "refused"])
def test_what_stopped_the_writer_is_stored_where_another_version_can_read_it(world: World, bad: str) -> None:
    """Nothing of a batch is inserted before its dead letters are set aside: else its token would swallow the rest."""
    mended = [event() for _ in range(30)]
    if bad == "unreadable":
        world.records[0] += [stored(b"nonsense", offset) for offset in range(30)]
    else:
        world.records[0] += [record(n, [event(occurred_at="yesterday")], 0) for n in range(30)]
    world.add(0, [event() for _ in range(5)])
    with pytest.raises(StartError, match="cannot be processed"):
        world.write(world.pipeline(max_share=0.5))
    world.records[0][:30] = [record(offset, [one], 0) for offset, one in enumerate(mended)]
    world.expected += 30
    world.write(world.pipeline(max_share=0.5))
    assert world.letters() == []
    world.check()


@pytest.mark.parametrize("id_", ["x", "", "6F0C2F52"])
def test_an_event_whose_derived_id_is_none_is_a_dead_letter_alone(world: World, id_: str) -> None:
    bad = msgspec.structs.replace(event(derived=True), id=id_)
    world.records[1].append(record(0, [event(), bad, event()], 1))
    world.expected += 2
    world.write(world.pipeline())
    assert [(one["offset"], one["index"]) for one in world.letters()] == [(0, 1)]
    world.check()


def dead_letters(world: World) -> list[list[object]]:
    """Place and reason of the letters that the tables know."""
    sql = "SELECT log_partition, log_offset, log_index, reason FROM dead_letters FINAL ORDER BY 1, toInt64(2), 3"
    return world.tables.select(sql)


def test_the_tables_know_of_each_dead_letter_once_whatever_crashes(embedded_world: World) -> None:
    world = embedded_world
    for at, after in itertools.product(range(8, 14), (False, True)):
        world.add_raw(0, b"nonsense")
        world.add(0, [event()])
        try:
            world.write(world.pipeline(FaultyTables(world.tables, at=at, after=after)))
        except Crash:
            world.write(world.pipeline(max_rows=1))
        world.check((at, after))
    known = world.tables.select("SELECT log_offset, log_index FROM dead_letters FINAL ORDER BY log_offset")
    assert [(int(str(offset)), int(str(index))) for offset, index in known] == [(2 * n, -1) for n in range(12)]
    assert {one["offset"] for one in world.letters()} == {2 * n for n in range(12)}


def test_the_tables_know_whose_event_a_dead_letter_is(world: World) -> None:
    bad = event(occurred_at="yesterday")
    world.records[1].append(record(0, [event(), bad], 1))
    world.expected += 1
    world.write(world.pipeline())
    found = world.tables.select("SELECT toString(project_id), toString(id), name, log_index, reason FROM dead_letters")
    [(project, id_, name, index, reason)] = found
    assert (project, id_, name, int(str(index))) == (bad.project_id, bad.id, bad.name, 1)
    assert "ClickHouse code" in str(reason)


# --- replays ----------------------------------------------------------------------------------------------------------


def replayed(events: list[Event], offset: int) -> StoredRecord:
    """A record of events that are sent through once more."""
    lines = unpack(record(0, events).value or b"").lines.split(b"\n")
    return stored(pack_replay(lines, accepted_ms=1), offset)


@pytest.mark.parametrize("max_rows", [1, 50_000])
def test_a_replay_counts_once_however_often_it_is_asked_for(world: World, max_rows: int) -> None:
    one, other = event(), event(derived=True)
    world.add_raw(0, b"could not be read")
    for number in range(1, 5):
        world.records[0].append(replayed([one, other], number))
    world.expected = world.expected_derived = 2
    world.write(world.pipeline(max_rows=max_rows))
    world.check()
    world.records[0].append(replayed([other, one], 5))
    world.write(world.pipeline())
    world.check("later")


@pytest.mark.parametrize("max_rows", [1, 50_000])
def test_a_replay_is_a_copy_where_the_original_is_stored_after_all(world: World, max_rows: int) -> None:
    """As in new tables, made by a version that can read what an older one could not. The originals are not derived."""
    one, other, late = event(), event(occurred_at="2020-01-01T00:00:00.000Z"), event(derived=True)
    world.add(0, [event(), one, other])
    world.add(0, [event() for _ in range(10)])
    world.records[0] += [replayed([one, late], 2), replayed([other], 3)]
    world.expected, world.expected_derived = 14, 1
    world.write(world.pipeline(max_rows=max_rows))
    world.check()
    for at in (2, 3):
        world.records[0].append(replayed([one, other, late], at + 2))
    world.write(world.pipeline(max_rows=max_rows))
    world.check("later")


def test_a_replay_is_no_copy_of_an_original_that_the_tables_refuse(world: World) -> None:
    id_ = str(uuid.uuid4())
    bad, good = event(event_id=id_, occurred_at="yesterday"), event(event_id=id_)
    world.records[0] += [record(0, [bad, event()]), replayed([good], 1), replayed([good], 2)]
    world.expected, world.expected_derived = 2, 1
    world.write(world.pipeline())
    world.check()


def test_a_crash_at_any_statement_of_a_replay_doubles_nothing(embedded_world: World) -> None:
    def grow(world: World) -> None:
        one = event()
        world.add(0, [event(), one, event()])
        number = len(world.records[0])
        unread = event()
        world.records[0] += [replayed([one, unread], number), replayed([unread], number + 1)]
        world.expected, world.expected_derived = world.expected + 1, world.expected_derived + 1

    crash_everywhere(embedded_world, grow, first_rows=50_000, second_rows=1)


def test_every_batch_is_told_with_its_range(world: World) -> None:
    for _ in range(5):
        world.add(0, [event(), event()])
    world.write(world.pipeline(max_rows=4))
    found = world.tables.select("SELECT log_partition, first_offset, last_offset FROM batches FINAL ORDER BY 3")
    assert [[int(str(value)) for value in row] for row in found] == [[0, 0, 1], [0, 2, 3], [0, 4, 4]]


def test_a_refusal_that_is_no_events_fault_stops_the_writer(world: World) -> None:
    world.add(0, [event()])

    class Refuses(FaultyTables):
        def insert(self, table: str, lines: bytes, *, token: str | None = None) -> None:
            if table == "events":
                raise TablesRefused("a view is wrong", 47)
            super().insert(table, lines, token=token)

    with pytest.raises(TablesRefused):
        world.write(world.pipeline(Refuses(world.tables)))
    assert world.letters() == []


# --- delivery ---------------------------------------------------------------------------------------------------------


def test_a_gap_is_said_and_what_came_before_it_is_stored(world: World) -> None:
    for _ in range(4):
        world.add(0, [event()])
    pipeline = world.pipeline()
    pipeline.claim([0])
    gaps = pipeline.write([world.records[0][index] for index in (0, 1, 3)], world.ends())
    assert [(gap.partition, gap.expected, gap.found) for gap in gaps] == [(0, 2, 3)]
    assert pipeline.stored_through() == {0: 1}
    assert pipeline.wanted() == {0: 2}
    assert pipeline.write(world.records[0], world.ends()) == []
    world.check()


def test_a_log_that_is_shorter_than_what_is_stored_stops_the_writer(world: World) -> None:
    """It was made anew beside old tables: its events would be taken for ones that are stored already."""
    world.grow()
    world.write(world.pipeline())
    pipeline = world.pipeline()
    pipeline.claim(world.records)
    pipeline.heartbeat(LogEnds({0: 1, 1: 4}, 0))  # a new leader of a partition may say so for a moment
    pipeline.heartbeat(world.ends())
    for _ in range(4):
        pipeline.heartbeat(LogEnds({0: 1, 1: 4}, 0))
    with pytest.raises(StartError, match="new tables"):
        pipeline.write([], LogEnds({0: 1, 1: 4}, 0))


def test_a_stop_ends_the_wait_for_the_tables(world: World) -> None:
    world.grow()

    class Away(FaultyTables):
        def insert(self, table: str, lines: bytes, *, token: str | None = None) -> None:
            if table == "events":
                raise TablesUnavailable("away")
            super().insert(table, lines, token=token)

    pipeline = world.pipeline(Away(world.tables))
    ended: list[BaseException] = []
    thread = threading.Thread(target=lambda: ended.append(raised(lambda: world.write(pipeline))))
    thread.start()
    time.sleep(0.5)
    pipeline.stop()
    thread.join(5)
    assert isinstance(ended[0], Stopped)
    world.write(world.pipeline(max_rows=1))
    world.check()


def raised(call: Callable[[], None]) -> BaseException:
    try:
        call()
    except (Stopped, Crash) as error:
        return error
    raise AssertionError("nothing was raised")


def test_the_progress_says_what_is_stored_and_whether_anything_is_left(world: World) -> None:
    world.grow()
    sink = Sink(fixed(world.tables), "x")
    sink.claim([0], 5)
    sink.heartbeat(LogEnds({0: 4}, 1000), 1001)
    assert [(one.stored_through, one.caught_up) for one in read_progress(world.tables).values()] == [(-1, False)]
    sink.heartbeat(LogEnds({0: 0}, 1000), 9000)  # nobody has heard from the log for a while
    assert [(one.caught_up, one.complete_ms) for one in read_progress(world.tables).values()] == [(False, 1000)]
    sink.heartbeat(LogEnds({}, 2000), 9001)  # where the log ends is not known
    assert [(one.caught_up, one.complete_ms) for one in read_progress(world.tables).values()] == [(False, 1000)]
    world.write(world.pipeline())
    assert all(one.caught_up for one in read_progress(world.tables).values())


def test_a_writer_that_has_announced_has_not_caught_up(world: World) -> None:
    class Dies(FaultyTables):
        def insert(self, table: str, lines: bytes, *, token: str | None = None) -> None:
            if table == "events":
                raise Crash
            super().insert(table, lines, token=token)

    pipeline = world.pipeline(Dies(world.tables))
    starts = pipeline.claim(world.records)
    pipeline.heartbeat(world.ends())
    assert all(one.caught_up for one in read_progress(world.tables).values())
    world.grow()
    with pytest.raises(Crash):
        world.deliver(pipeline, starts)
    announced = [one for one in read_progress(world.tables).values() if one.pending]
    assert announced
    assert not any(one.caught_up for one in announced)


def test_where_the_clock_is_set_back_what_lags_is_not_said_to_be_complete_until_the_old_time_comes(
    world: World,
) -> None:
    world.grow()
    sink = Sink(fixed(world.tables), "x")
    sink.claim([0], 5)
    sink.heartbeat(LogEnds({0: 0}, 9_000_000), 9_000_000)  # caught up
    for now_ms in (1_000_000, 1_005_000):  # set back, and something is left
        sink.heartbeat(LogEnds({0: 4}, now_ms), now_ms)
    assert [one.complete_ms for one in read_progress(world.tables).values()] == [1_000_000]


@pytest.mark.services
def test_the_loop_waits_while_the_tables_are_away_and_catches_up(clickhouse: ClickHouseService, tmp_path: Path) -> None:
    import asyncio

    from tests.support.fixtures import entries

    tables = server_tables(clickhouse.url)
    migrate_tables(tables)

    async def scenario() -> None:
        log = SqliteLog(tmp_path, partitions=2)
        await log.start()
        failures: list[Exception] = []
        settings = Writer(heartbeat_seconds=0.2)
        pipeline = Pipeline(
            settings, log=log, for_writing=fixed(tables), clock=StepClock(), metrics=Metrics(), owner="x"
        )
        loop = WriterLoop(settings, log=log, pipeline=pipeline, clock=StepClock(), on_failure=failures.append)
        loop.start()
        written = 0

        async def append(count: int) -> None:
            nonlocal written
            for _ in range(count):
                await log.append(entries(3, partitions=2), 1)
                written += 3

        def complete() -> bool:
            return projected(tables) == dict.fromkeys(PROJECTIONS, written)

        await append(20)
        await asyncio.to_thread(wait_until, complete, 40, "the first events")
        clickhouse.kill()
        await append(50)
        await asyncio.sleep(1)
        await asyncio.to_thread(clickhouse.start)
        await append(20)
        await asyncio.to_thread(wait_until, complete, 40, "all events")
        clickhouse.kill()
        await append(5)
        started = time.monotonic()
        await asyncio.to_thread(loop.stop)
        assert time.monotonic() - started < 20
        await asyncio.to_thread(clickhouse.start)
        assert failures == []
        await log.stop()

    asyncio.run(asyncio.wait_for(scenario(), 100))
    drop(tables)

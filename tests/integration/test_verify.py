"""Verification finds every fault that is planted in the tables, with its number, and none where nothing is wrong."""

import asyncio
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from consumers.deadletter import DeadLetter, publish
from consumers.decode import decode
from consumers.findings import ProjectionFound, Verification
from consumers.loop import WriterLoop
from consumers.pipeline import Pipeline
from consumers.verification import verify
from penstock.clickhouse import Tables
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.generations import FIRST, Generation
from penstock.clickhouse.migrate import migrate_tables
from penstock.clickhouse.progress import read_progress, write_progress
from penstock.clock import SystemClock
from penstock.errors import StartError
from penstock.eventlog.sqlite import FILE_NAME, SqliteLog, connect
from penstock.settings import Writer
from penstock.telemetry import Metrics
from schemas.deletion import Deletion
from schemas.record import pack_deletion
from schemas.topics import Topic
from tests.integration.test_pipeline import World
from tests.support.faults import Crash, FaultyTables
from tests.support.fixtures import drop, entry, event, need_chdb
from tests.support.records import record
from tests.support.stored import UNITS
from tests.support.tables import fixed, open_test_tables

PLACED = ("events", "events_by_contact", "events_by_name")
COUNTERS = tuple(f"event_counts {unit}" for unit in UNITS)
ALL = ("events", *PLACED[1:], "subscriptions", "memberships", "contacts", *COUNTERS, "derived_ids")

VIEWS = (
    "contact_facts_view",
    "event_counts_view",
    "events_by_contact_view",
    "events_by_name_view",
    "memberships_view",
)

Faults = tuple[int, int, int]
"""Missing, double, orphaned."""

NONE: Faults = (0, 0, 0)


class Proof:
    """A log on disk, the tables, and what verification says of them."""

    def __init__(self, world: World, tables: ClientTables, directory: Path) -> None:
        self.world = world
        self.tables = tables
        self._path = directory / FILE_NAME

    def fill(self) -> None:
        """Some of everything: batches, second copies, dead letters, deletions, in every partition."""
        world = self.world
        world.grow()
        world.grow_and_delete()
        for partition, records in world.records.items():
            world.add_raw(partition, b"nonsense")
            bad = event(event_id=str(uuid.uuid4()), occurred_at="yesterday", derived=True)
            good = msgspec.structs.replace(bad, occurred_at="2026-11-23T07:59:59.999Z")
            records.append(record(len(records), [event(), bad], partition))
            records.append(record(len(records), [good, good, event()], partition))
            world.add_leaving(partition)
        world.grow()
        self.write()

    def copied(self, directory: Path) -> "Proof":
        """The same, in a database and a log of its own."""
        tables = open_test_tables()
        for (table,) in self.tables.select(_FILLED):
            tables.execute(f"ALTER TABLE {table} ATTACH PARTITION ALL FROM {self.tables.database}.{table}")
        with closing(connect(self._path)) as log:
            log.execute("VACUUM INTO ?", [str(directory / FILE_NAME)])
        return Proof(self.world.copied(tables, directory), tables, directory)

    def write(self, tables: Tables | None = None, max_rows: int = 100) -> None:
        """What the log has goes into its file and into the tables."""
        self.save()
        self.world.write(self.world.pipeline(tables, max_rows=max_rows))

    def save(self) -> None:
        with closing(connect(self._path)) as log:
            log.execute("BEGIN")
            for partition, records in self.world.records.items():
                rows = [(partition << 40 | one.offset, one.value, 0) for one in records]
                log.executemany(f"INSERT OR IGNORE INTO {Topic.EVENTS} VALUES (?, ?, ?)", rows)
            log.execute("COMMIT")

    def verify(self) -> Verification:
        return verify(self.world.log, Generation(FIRST, self.tables), lambda _: None, lambda _: None)

    def plant(self, *statements: str) -> None:
        for statement in statements:
            self.tables.execute(statement)

    def without_views(self) -> None:
        self.plant(*[f"DROP VIEW {view} SYNC" for view in VIEWS])

    def expect(self, faults: dict[str, Faults], partition: int = 0, *, has_examples: bool = True) -> Verification:
        """These faults and no others, all in one partition."""
        found = self.verify()
        assert faults_of(found, partition) == {name: faults.get(name, NONE) for name in ALL}, found
        sums = tuple(sum(column) for column in zip(*faults.values(), strict=True)) if faults else NONE
        assert (found.missing, found.double, found.orphaned) == sums
        assert found.ok == (not faults)
        assert bool(found.examples) == bool(faults and has_examples)
        for part in found.partitions:
            accounted = part.stored - part.double - part.orphaned + part.missing
            left_out = part.dead_letters + part.repeated + part.deleted
            assert part.in_log + part.emitted == accounted + left_out, part
        return found


def faults_of(found: Verification, partition: int) -> dict[str, Faults]:
    def of(projection: ProjectionFound) -> Faults:
        part = {one.partition: one for one in projection.partitions}[partition]
        return part.missing, part.double, part.orphaned

    log = {one.partition: one for one in found.partitions}[partition]
    others = (*found.projections, found.derived_ids)
    return {"events": (log.missing, log.double, log.orphaned), **{other.name: of(other) for other in others}}


_FILLED = """
SELECT name FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND total_rows > 0 AND name != 'schema_migrations'
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """What each test gets a copy of: to write it takes long."""
    need_chdb()
    tables, directory = open_test_tables(), tmp_path_factory.mktemp("filled")
    proof = Proof(World(tables, directory), tables, directory)
    proof.fill()
    yield proof
    proof.world.log.close()
    drop(tables)


@pytest.fixture
def proof(filled: Proof, tmp_path: Path) -> Iterator[Proof]:
    made = filled.copied(tmp_path)
    yield made
    made.world.log.close()
    drop(made.tables)


# --- nothing is wrong -------------------------------------------------------------------------------------------------


def test_tables_that_agree_with_the_log_are_found_to_do_so(proof: Proof) -> None:
    found = proof.expect({})
    assert found.generation == FIRST
    for part in found.partitions:
        assert part.through == len(proof.world.records[part.partition]) - 1
        assert part.dead_letters == 2
        assert part.repeated == 9
        assert part.deleted == 2
        assert part.stored > 10


def test_tables_without_anything_agree_with_a_log_that_was_not_read(tables: ClientTables, tmp_path: Path) -> None:
    migrate_tables(tables)
    world = World(tables, tmp_path)
    world.grow()
    Proof(world, tables, tmp_path).save()
    found = Proof(world, tables, tmp_path).expect({})
    assert [(part.through, part.in_log, part.stored) for part in found.partitions] == [(-1, 0, 0)] * 2
    world.log.close()


def test_what_is_behind_the_position_is_left_alone(proof: Proof) -> None:
    """A batch that is announced and half inserted: by a writer that goes on, or one that was killed."""
    world = proof.world
    world.grow()
    proof.save()
    proof.without_views()
    with pytest.raises(Crash):
        world.write(world.pipeline(FaultyTables(world.tables, at=6, after=True)))
    assert proof.tables.select("SELECT count() FROM writer_progress FINAL WHERE pending_first >= 0") != [["0"]]
    proof.expect({})


def test_a_deletion_that_is_half_done_is_no_fault(proof: Proof) -> None:
    world = proof.world
    world.delete("viewed")
    proof.save()
    names = ("events", "events_by_contact", "events_by_name", "event_counts")
    for name in names:
        crashing = FaultyTables(world.tables, before=crash_behind(name))
        with pytest.raises(Crash):
            world.write(world.pipeline(crashing, max_rows=1))
        found = proof.expect({})
        assert found.partitions[0].stored < 10
    proof.write()
    proof.expect({})


def crash_behind(table: str) -> Callable[[str], None]:
    """Crashes at the first statement behind the deletion of a table's rows."""
    seen: list[str] = []

    def before(what: str) -> None:
        if f"delete {table}" in seen:
            raise Crash
        seen.append(what)

    return before


def test_a_retried_deletion_of_a_name_that_has_events_again(proof: Proof) -> None:
    world = proof.world
    for _ in range(3):
        world.grow_and_delete()
        proof.write()
        proof.expect({})


@pytest.mark.timeout(120)
def test_a_writer_that_writes_meanwhile_is_no_fault(tables: ClientTables, tmp_path: Path) -> None:
    """With second copies and deletions, in two partitions; verified again and again."""
    migrate_tables(tables)
    asyncio.run(written_while_verified(tables, tmp_path))


async def written_while_verified(tables: ClientTables, directory: Path) -> None:
    log = SqliteLog(directory, partitions=2)
    await log.start()
    clock, settings = SystemClock(), Writer(flush_after_seconds=0.01)
    pipeline = Pipeline(
        settings, log=log, for_writing=fixed(tables), clock=clock, metrics=Metrics(), owner="the writer"
    )
    failures: list[Exception] = []
    loop = WriterLoop(settings, log=log, pipeline=pipeline, clock=clock, on_failure=failures.append)
    loop.start()
    stopping = threading.Event()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_appending(log, stopping))
            for number in itertools.count(1):
                found = await asyncio.to_thread(verify, log, Generation(FIRST, tables), lambda _: None)
                assert found.ok, found
                if number >= 8 and found.partitions[0].deleted > 0:  # the writer may be slow to come to a deletion
                    break
            stopping.set()
        assert found.partitions[0].in_log > 100
    finally:
        loop.stop()
        await log.stop()
    assert failures == []


async def keep_appending(log: SqliteLog, stopping: threading.Event) -> None:
    known: list[str] = []
    for number in itertools.count():
        if stopping.is_set():
            return
        known = [*known[-20:], str(uuid.uuid4())]
        events = [event(name=f"name {number % 3}") for _ in range(10)]
        events += [event(event_id=id_, contact=str(uuid.UUID(int=0)), derived=True) for id_ in known[-3:]]
        await log.append([entry(one, 2) for one in events], clock_ms())
        if number % 20 == 19:
            deletion = Deletion(str(uuid.uuid4()), event().project_id, f"name {number % 3}")
            await log.mark(pack_deletion(deletion, accepted_ms=clock_ms()), clock_ms())
        await asyncio.sleep(0.02)


def clock_ms() -> int:
    return time.time_ns() // 1_000_000


# --- planted faults ---------------------------------------------------------------------------------------------------


def one_row(proof: Proof, table: str) -> str:
    """The condition for one row that is there, of an event that says nothing of subscriptions and memberships."""
    says_more = "SELECT id FROM events WHERE subscribed IS NOT NULL OR startsWith(name, 'segment.')"
    found = proof.tables.select(f"SELECT min(id) FROM {table} WHERE log_partition = 0 AND id NOT IN ({says_more})")
    return f"id = '{found[0][0]}'"


def insertion(table: str, columns: str, where: str) -> str:
    """Inserts rows of the table once more, changed."""
    return f"INSERT INTO {table} SETTINGS insert_deduplicate = 0 SELECT {columns} FROM {table} AS old WHERE {where}"


@pytest.mark.parametrize("table", [*PLACED, "derived_ids"])
def test_a_row_that_is_removed_is_missing(proof: Proof, table: str) -> None:
    proof.plant(f"DELETE FROM {table} WHERE {one_row(proof, table)}")
    found = proof.expect({table: (1, 0, 0)})
    assert found.examples[0].what == f"missing in {table}"


@pytest.mark.parametrize("table", [*PLACED, "derived_ids"])
def test_a_row_that_is_doubled_is_double(proof: Proof, table: str) -> None:
    proof.without_views()
    proof.plant(insertion(table, "*", one_row(proof, table)))
    proof.expect({table: (0, 1, 0)})


def test_an_event_that_was_inserted_twice_is_double_everywhere(proof: Proof) -> None:
    """As by a repeated insert whose token was forgotten: tables and counters agree with each other, and are wrong.

    Contacts take it: what they are is the last word, however often it is said.
    """
    proof.plant(insertion("events", "*", one_row(proof, "events")))
    proof.expect(dict.fromkeys((*PLACED, *COUNTERS), (0, 1, 0)))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("by", [1, -1])
def test_a_counter_that_is_off_by_one_is_found(proof: Proof, unit: int, by: int) -> None:
    condition = f"unit_seconds = {unit} AND log_partition = 0 LIMIT 1"
    proof.plant(insertion("event_counts", f"* REPLACE ({counting(by)})", condition))
    proof.expect({f"event_counts {unit}": (max(0, -by), max(0, by), 0)})


def counting(by: int) -> str:
    return f"toUInt64(toInt64({by})) AS count"


def test_counters_that_make_up_for_each_other_are_found(proof: Proof) -> None:
    """The sum of all is right."""
    condition = "unit_seconds = 3600 AND log_partition = 0 AND old.name = 'viewed' LIMIT 1"
    for name, by in (("viewed", -1), ("other", 1)):
        columns = f"* REPLACE ({counting(by)}, '{name}' AS name)"
        proof.plant(insertion("event_counts", columns, condition))
    proof.expect({"event_counts 3600": (1, 1, 0)})


class Swallowing(FaultyTables):
    """Takes what is inserted into a table for something that it has already."""

    swallowed = "events"

    def insert(self, table: str, lines: bytes, *, token: str | None = None) -> None:
        """See `Tables`."""
        if table != self.swallowed:
            super().insert(table, lines, token=token)


def test_a_batch_that_was_swallowed_is_missing_everywhere(proof: Proof) -> None:
    """As by a token that was used before for other rows."""
    for _ in range(3):
        proof.world.add(0, [event(), event(event_id=str(uuid.uuid4()), derived=True)])
    proof.write(Swallowing(proof.tables), max_rows=50)
    proof.write()
    found = proof.expect(dict.fromkeys((*PLACED, "contacts", *COUNTERS), (6, 0, 0)))
    end = len(proof.world.records[0])
    assert {one.offset for one in found.examples if one.offset is not None} == {end - 3, end - 2, end - 1}


def test_rows_of_a_range_that_are_gone_from_all_tables_are_missing(proof: Proof) -> None:
    """And not from the counters, which are right about the log."""
    where = "log_partition = 1 AND log_offset >= 3 AND log_offset <= 14"
    gone = int(str(proof.tables.select(f"SELECT count() FROM events WHERE {where}")[0][0]))
    assert gone > 5
    proof.plant(*[f"DELETE FROM {table} WHERE {where}" for table in PLACED])
    proof.expect(dict.fromkeys(PLACED, (gone, 0, 0)), partition=1)


def test_a_row_of_which_the_log_has_nothing_is_orphaned(proof: Proof) -> None:
    proof.without_views()
    for table in (*PLACED, "derived_ids"):
        proof.plant(insertion(table, "* REPLACE (generateUUIDv4() AS id)", f"old.{one_row(proof, table)}"))
    proof.expect(dict.fromkeys((*PLACED, "derived_ids"), (0, 0, 1)))


@pytest.mark.parametrize(("partition", "offset"), [(0, 1_000_000), (7, 3)])
@pytest.mark.parametrize("table", [*PLACED, "derived_ids"])
def test_rows_behind_the_logs_end_and_of_other_partitions_are_orphaned(
    proof: Proof, table: str, partition: int, offset: int
) -> None:
    proof.without_views()
    columns = f"* REPLACE (toUInt16({partition}) AS log_partition, toUInt64({offset}) AS log_offset)"
    proof.plant(insertion(table, columns, one_row(proof, table)))
    found = proof.verify()
    assert (found.ok, found.missing, found.double, found.orphaned) == (False, 0, 0, 1)
    assert (found.examples[0].partition, found.examples[0].offset) == (partition, offset)


def test_another_id_at_the_same_place_is_one_missing_and_one_orphaned(proof: Proof) -> None:
    proof.without_views()
    row = one_row(proof, "events")
    proof.plant(
        insertion("events", "* REPLACE (generateUUIDv4() AS id)", f"old.{row}"), f"DELETE FROM events WHERE {row}"
    )
    proof.expect({"events": (1, 0, 1)})


@pytest.mark.parametrize("column", ["log_index", "log_offset"])
def test_an_event_at_another_place_is_one_missing_and_one_orphaned(proof: Proof, column: str) -> None:
    proof.without_views()
    row = one_row(proof, "events")
    before = proof.tables.select(f"SELECT {column} FROM events WHERE {row}")[0][0]
    proof.plant(
        insertion("events", f"* REPLACE ({column} + 1 AS {column})", row),
        f"DELETE FROM events WHERE {row} AND {column} = {before}",
    )
    proof.expect({"events": (1, 0, 1)})


# --- contacts ---------------------------------------------------------------------------------------------------------


def leaving(proof: Proof) -> str:
    """The condition for the contact of partition 0 that has left."""
    sql = "SELECT email FROM events WHERE name = 'contact.unsubscribed' AND log_partition = 0"
    return f"email = '{proof.tables.select(sql)[0][0]}'"


def test_a_contact_that_is_gone_is_missing(proof: Proof) -> None:
    proof.plant(f"DELETE FROM contacts WHERE {leaving(proof)}")
    found = proof.expect({"contacts": (1, 0, 0)})
    assert [one.what for one in found.examples] == ["missing in contacts: the contact"]


def test_a_contact_of_which_the_log_has_nothing_is_orphaned(proof: Proof) -> None:
    columns = "* REPLACE (generateUUIDv4() AS contact_id, 'nobody@example.com' AS email)"
    proof.plant(insertion("contacts", columns, f"old.{leaving(proof)}"))
    proof.expect({"contacts": (0, 0, 1)})


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ("subscription + 2 AS subscription", "orphaned in contacts: its subscription"),
        ("version + 2 AS version, arrayReduce('argMaxState', ['{\"a\":1}'], [version + 2]) AS data", "data.a"),
        (
            "arrayReduce('argMaxState', ['{\"a\":1,\"b\":2}'], [version]) AS data, 5 AS shape",
            "orphaned in contacts: data.b",
        ),
        ("toUInt64(0) AS first_offset", "orphaned in contacts: its first event"),
        ("last_offset + 4 AS last_offset", "orphaned in contacts: its last event"),
        ("created_at - 1 AS created_at", "orphaned in contacts: its earliest event"),
    ],
)
def test_a_contact_of_whom_the_tables_say_more_than_the_log_is_orphaned(proof: Proof, changed: str, what: str) -> None:
    proof.plant(insertion("contacts", f"* REPLACE ({changed})", f"{leaving(proof)} AND version > 0"))
    found = proof.expect({"contacts": (0, 0, 1)})
    assert found.examples[0].what.endswith(what)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ("toUInt128(1) AS subscription", "its subscription"),
        ("toUInt128(version - 2) AS version", "data.a"),
        ("arrayReduce('argMaxState', ['{\"a\":2}'], [version]) AS data", "data.a"),
        ("first_offset + 1 AS first_offset", "its first event"),
        ("last_offset - 1 AS last_offset", "its last event"),
        ("created_at + 1 AS created_at", "its earliest event"),
    ],
)
def test_a_contact_of_whom_the_tables_say_less_than_the_log_is_missing(proof: Proof, changed: str, what: str) -> None:
    contact = leaving(proof)
    proof.plant(
        "OPTIMIZE TABLE contacts FINAL",
        "CREATE TABLE kept AS contacts ENGINE = MergeTree ORDER BY email",
        f"INSERT INTO kept SELECT * FROM contacts WHERE {contact}",
        f"DELETE FROM contacts WHERE {contact}",
        f"INSERT INTO contacts SELECT * REPLACE ({changed}) FROM kept",
    )
    found = proof.expect({"contacts": (1, 0, 0)})
    assert [one.what for one in found.examples] == [f"missing in contacts: {what}"]


def test_what_was_said_of_a_subscription_and_is_gone_is_missing(proof: Proof) -> None:
    proof.plant("DELETE FROM subscriptions WHERE log_partition = 0")
    proof.expect({"subscriptions": (1, 0, 0)})


def test_a_change_in_a_segment_that_is_gone_is_missing(proof: Proof) -> None:
    proof.plant("DELETE FROM memberships WHERE log_partition = 0 AND entered")
    proof.expect({"memberships": (1, 0, 0)})


def test_an_emitted_event_that_is_gone_is_missing(proof: Proof) -> None:
    proof.plant("DELETE FROM events WHERE name = 'contact.unsubscribed' AND log_partition = 0")
    proof.expect({"events": (1, 0, 0)})


def test_a_contact_that_was_erased_is_gone_and_one_that_is_half_erased_is_no_fault(proof: Proof) -> None:
    world = proof.world
    world.erase(0, world.leaving[0])
    proof.write()
    proof.expect({})
    world.add_leaving(0)
    proof.write()
    proof.expect({})
    world.erase(0, world.leaving[0])
    crashed = FaultyTables(proof.tables, at=1_000)
    proof.write(crashed)
    statements = crashed.statements
    for at in range(0, len(statements), 6):  # the others are crashed at where contacts are tested
        world.add_leaving(0)
        proof.write()
        world.erase(0, world.leaving[0])
        with suppress(Crash):
            proof.write(FaultyTables(proof.tables, at=at))
        assert proof.verify().ok, statements[at]
        proof.write()
        assert proof.verify().ok, statements[at]


def line_of(proof: Proof, offset: int, index: int) -> bytes:
    """An event of partition 0, as the writer would insert it."""
    return decode(proof.world.records[0][offset]).lines.split(b"\n")[index]


def test_a_deleted_row_that_came_back_is_orphaned(proof: Proof) -> None:
    """With its counts, as by an insert that was repeated after the deletion."""
    line = line_of(proof, 4, 0)
    assert b"doomed" in line
    proof.tables.insert("events", line)
    proof.expect(dict.fromkeys(PLACED, (0, 0, 1)) | dict.fromkeys(COUNTERS, (0, 1, 0)))


def test_a_second_copy_that_is_in_the_tables_is_orphaned(proof: Proof) -> None:
    proof.tables.insert("events", line_of(proof, 1, 0))
    proof.expect(dict.fromkeys((*PLACED, "contacts"), (0, 0, 1)) | dict.fromkeys(COUNTERS, (0, 1, 0)))


def test_a_dead_letter_that_is_in_the_tables_is_orphaned(proof: Proof) -> None:
    letter = DeadLetter(0, 0, 0, "it is good in truth", b"")
    publish(proof.world.log, letter, 1)
    proof.tables.insert("dead_letters", letter.row(1))
    proof.expect(dict.fromkeys((*PLACED, "contacts"), (0, 0, 1)) | dict.fromkeys(COUNTERS, (0, 1, 0)))


def test_a_dead_letter_of_other_tables_is_none_of_these(proof: Proof) -> None:
    """As after a rebuild by a version that can read what an earlier one set aside."""
    publish(proof.world.log, DeadLetter(0, 0, 0, "an earlier version could not read it", b""), 1)
    proof.expect({})


def test_what_only_the_tables_call_dead_is_missing(proof: Proof) -> None:
    """The log has no letter of it: neither event nor letter would be found again."""
    id_, offset, index = proof.tables.select(
        "SELECT id, log_offset, log_index FROM events WHERE log_partition = 0 AND NOT derived ORDER BY log_offset LIMIT 1"
    )[0]
    proof.plant(f"DELETE FROM events WHERE id = '{id_}'")
    letter = DeadLetter(0, int(str(offset)), int(str(index)), "nobody knows", b"")
    proof.tables.insert("dead_letters", letter.row(1))
    proof.expect({"events": (1, 0, 0)})


def test_what_the_log_has_behind_the_tables_is_said(proof: Proof) -> None:
    world = proof.world
    world.add(0, [event() for _ in range(3)])
    world.add(1, [event()])
    proof.save()
    found = proof.verify()
    assert (found.ok, found.waiting_records) == (True, 2)
    assert [part.waiting_records for part in found.partitions][:2] == [1, 1]


def test_a_derived_id_that_names_a_later_copy_is_missing_and_orphaned(proof: Proof) -> None:
    row = one_row(proof, "derived_ids")
    first = proof.tables.select(f"SELECT log_offset FROM derived_ids WHERE {row}")[0][0]
    proof.plant(
        insertion("derived_ids", "* REPLACE (log_offset + 1 AS log_offset)", row),
        f"DELETE FROM derived_ids WHERE {row} AND log_offset = {first}",
    )
    proof.expect({"derived_ids": (1, 0, 1)})


def test_a_derived_id_of_an_event_that_is_missing_does_not_hide_it(proof: Proof) -> None:
    """As after a crash between the two inserts that nobody mended."""
    id_ = proof.tables.select("SELECT min(id) FROM events WHERE log_partition = 0 AND derived")[0][0]
    proof.plant(f"DELETE FROM events WHERE id = '{id_}'")
    proof.expect({"events": (1, 0, 0)})


def test_a_record_that_cannot_be_read_and_was_not_set_aside_is_missing(proof: Proof) -> None:
    world = proof.world
    offset = len(world.records[0])
    world.add_raw(0, b"nonsense")
    proof.save()
    before = read_progress(world.tables)[0]
    stated = replace(before, sequence=before.sequence + 1, stored_through=offset)
    write_progress(world.tables, [stated])
    proof.expect({"events": (1, 0, 0)}, has_examples=False)


def test_a_log_that_is_shorter_than_the_tables_is_an_error(proof: Proof, tmp_path: Path) -> None:
    with closing(connect(tmp_path / FILE_NAME)) as log:
        log.execute(f"DELETE FROM {Topic.EVENTS} WHERE id IN (SELECT max(id) FROM {Topic.EVENTS})")
    with pytest.raises(StartError, match="shorter than what is in the tables"):
        proof.verify()


def test_a_log_that_lost_a_record_is_an_error(proof: Proof, tmp_path: Path) -> None:
    with closing(connect(tmp_path / FILE_NAME)) as log:
        log.execute(f"DELETE FROM {Topic.EVENTS} WHERE id = 1")
    with pytest.raises(StartError, match="from offset 1 to 1 are missing"):
        proof.verify()

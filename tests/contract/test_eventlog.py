"""The conformance suite of the event log: what `penstock.eventlog.contract` promises, of both drivers."""

import asyncio
import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import LogOverloaded, LogUnavailable, StartError, Unavailable
from penstock.eventlog import Entry, EventLog, StoredRecord, sqlite
from penstock.eventlog.kafka import KafkaLog, create_topics
from penstock.eventlog.sqlite import FILE_NAME, SqliteLog, connect
from penstock.settings import Kafka
from schemas.deletion import Deletion
from schemas.record import pack_deletion, unpack
from schemas.topics import Topic, partition_of
from tests.support.breakable import Broker
from tests.support.fixtures import entries, entry, event, ids_of, kafka_settings, needed, the_broker, unavailable
from tests.support.kafka_broker import run_tool
from tests.support.services import REPOSITORY, free_port, wait_until

PARTITIONS = 6
DELIVERY_SECONDS = 3.0


@dataclass(frozen=True)
class Driver:
    """One driver under test.

    Attributes:
        make: a log that is not started, always over the same data.
        stuck: while it is entered, nothing that is appended becomes durable.
        gives_up_within: seconds from append to failure while it is stuck.
    """

    make: Callable[..., Any]
    stuck: Callable[[], AbstractContextManager[None]]
    gives_up_within: float


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Another process writes, and does not end."""
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


MARKER = pack_deletion(Deletion("id", "project", "name"), accepted_ms=1)


@contextmanager
def paused(broker: Broker) -> Iterator[None]:
    """The broker hangs."""
    broker.pause()
    try:
        yield
    finally:
        broker.resume()


@contextmanager
def down(broker: Broker) -> Iterator[None]:
    """The broker is gone."""
    broker.kill()
    try:
        yield
    finally:
        broker.start()


def sqlite_driver(directory: Path) -> Driver:
    def make(*, partitions: int = PARTITIONS, **options: Any) -> SqliteLog:
        return SqliteLog(directory, partitions=partitions, **options)

    return Driver(make, lambda: locked_file(directory / FILE_NAME), gives_up_within=20)


def kafka_driver(settings: Kafka, broker: Broker) -> Driver:
    def make(*, partitions: int = PARTITIONS, **options: Any) -> KafkaLog:
        create_topics(settings.model_copy(update={"partitions": partitions}))
        return KafkaLog(settings, **options)

    return Driver(make, lambda: paused(broker), gives_up_within=DELIVERY_SECONDS + 12)


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.services)])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    if request.param == "sqlite":
        return sqlite_driver(tmp_path)
    broker = needed(the_broker)
    return kafka_driver(kafka_settings(broker, delivery_timeout_seconds=DELIVERY_SECONDS), broker)


@asynccontextmanager
async def running(log: Any) -> AsyncIterator[Any]:
    """The log, started and able to append."""
    await log.start()
    try:
        await asyncio.to_thread(wait_until, lambda: is_ready(log), 20, "the log")
        yield log
    finally:
        await log.stop()


def is_ready(log: EventLog) -> bool:
    with contextlib.suppress(LogUnavailable):
        return log.partitions > 0
    return False


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """On a loop whose time-outs end a test that hangs."""
    asyncio.run(asyncio.wait_for(scenario, 60))


def read(log: EventLog, topic: Topic = Topic.EVENTS, partitions: int = PARTITIONS) -> list[StoredRecord]:
    """All records of a topic."""
    numbers = range(partitions if topic is Topic.EVENTS else 1)
    tail = log.tail(topic, dict.fromkeys(numbers, 0))
    try:
        missing = sum(tail.ends().values())
        found: list[StoredRecord] = []
        deadline = time.monotonic() + 20
        while len(found) < missing and time.monotonic() < deadline:
            found += tail.poll(timeout_seconds=0.5, max_bytes=1 << 20)
        return found
    finally:
        tail.close()


def stored_ids(log: EventLog) -> dict[tuple[int, int], list[str]]:
    """The ids in each record, by partition and offset."""
    return {
        (record.partition, record.offset): ids_of(unpack(record.value or b"").lines.split(b"\n"))
        for record in read(log)
    }


def id_of(one: Entry) -> str:
    return ids_of([one.line])[0]


async def settled(futures: list["asyncio.Future[Any]"]) -> list[Any]:
    """Positions and errors, in order."""
    results: list[Any] = await asyncio.gather(*futures, return_exceptions=True)
    for result in results:
        assert isinstance(result, (Mapping, Unavailable)), result
    return results


# --- appending --------------------------------------------------------------------------------------------------------


def test_every_event_is_found_at_its_position_and_in_order(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            asked, futures = [], []
            for burst in range(20):
                for _ in range(25):
                    asked.append(entries(1 + burst % 3))
                    futures.append(log.append(asked[-1], 1))
                await asyncio.sleep(0.002)
            positions = await settled(futures)
            stored = await asyncio.to_thread(stored_ids, log)
        for one, position in zip(asked, positions, strict=True):
            assert set(position) == {item.partition for item in one}
            last = {item.partition: item for item in one}
            for partition, item in last.items():
                assert id_of(item) in stored[partition, position[partition]]
        for partition in range(PARTITIONS):
            wanted = [id_of(item) for one in asked for item in one if item.partition == partition]
            found = [id_ for place in sorted(stored) if place[0] == partition for id_ in stored[place]]
            assert found == wanted

    run(scenario())


def test_offsets_count_from_zero_without_gaps(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            for _ in range(5):
                await log.append(entries(20), 1)
            places = sorted((record.partition, record.offset) for record in await asyncio.to_thread(read, log))
        for partition in range(PARTITIONS):
            offsets = [offset for number, offset in places if number == partition]
            assert offsets == list(range(len(offsets)))

    run(scenario())


def test_requests_that_come_together_share_records(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            await settled([log.append(entries(1), 1) for _ in range(600)])
            records = await asyncio.to_thread(read, log)
        assert sum(unpack(record.value or b"").events for record in records) == 600
        assert len(records) <= 200

    run(scenario())


def test_a_request_of_1000_events_over_all_partitions(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            many = entries(1000)
            position = await log.append(many, 1)
            stored = await asyncio.to_thread(stored_ids, log)
        assert position == dict.fromkeys(range(PARTITIONS), 0)
        assert sorted(id_ for ids in stored.values() for id_ in ids) == sorted(map(id_of, many))

    run(scenario())


def test_a_large_event_and_a_large_request(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            large = entry(event(data='"' + "x" * 130 * 1024 + '"'))
            huge = [entry(event(data='"' + "y" * 60 * 1024 + '"', contact=event().contact_id)) for _ in range(85)]
            position = await log.append([large], 1)
            await log.append(huge, 1)
            stored = await asyncio.to_thread(stored_ids, log)
        assert stored[large.partition, position[large.partition]] == [id_of(large)]
        assert sum(map(len, stored.values())) == 86

    run(scenario())


def test_a_record_tells_when_its_first_event_was_accepted_and_whether_ids_are_derived(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            await log.append([entry(event())], 1_700_000_000_123)
            await log.append([entry(event(derived=True))], 1_700_000_000_456)
            records = [unpack(record.value or b"") for record in await asyncio.to_thread(read, log)]
        found = {(record.accepted_ms, record.derived) for record in records}
        assert found == {(1_700_000_000_123, False), (1_700_000_000_456, True)}

    run(scenario())


def test_a_marker_stands_in_every_partition_behind_what_was_appended_before(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            appended = [log.append([entry(event())], 1) for _ in range(40)]
            marked = log.mark(MARKER, 1)
            later = [log.append([entry(event())], 1) for _ in range(40)]
            place = await marked
            before, after = await settled(appended), await settled(later)
            records = await asyncio.to_thread(read, log)
        assert place.keys() == set(range(PARTITIONS))
        assert all(offset < place[number] for position in before for number, offset in position.items())
        assert all(offset > place[number] for position in after for number, offset in position.items())
        found = {record.partition: record.offset for record in records if record.value == MARKER}
        assert found == place
        assert len([record for record in records if record.value == MARKER]) == PARTITIONS

    run(scenario())


def test_a_caller_that_goes_away_leaves_the_others_alone(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            futures = [log.append(entries(1), 1) for _ in range(50)]
            for future in futures[::2]:
                future.cancel()
            assert all(isinstance(position, Mapping) for position in await settled(futures[1::2]))
            await asyncio.to_thread(wait_until, lambda: log.pending_bytes == 0, 5, "nothing to be pending")

    run(scenario())


def test_what_waits_is_bounded_and_it_accepts_again(driver: Driver) -> None:
    limit = 200_000

    async def scenario() -> None:
        async with running(driver.make(max_pending_bytes=limit)) as log:
            await log.append(entries(1), 1)
            futures = []
            with driver.stuck():
                with contextlib.suppress(LogOverloaded):
                    for _ in range(5000):
                        futures.append(log.append(entries(1), 1))
                        assert log.pending_bytes <= limit
                assert 100 < len(futures) < 5000
                with pytest.raises(LogOverloaded):
                    log.append(entries(5), 1)
            await settled(futures)
            assert log.pending_bytes == 0
            await eventually_appends(log)

    run(scenario())


def test_a_project_that_floods_leaves_room_for_another(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make(max_pending_bytes=200_000)) as log:
            await log.append(entries(1), 1, "loud")
            futures = []
            with driver.stuck():
                with contextlib.suppress(LogOverloaded):
                    for _ in range(5000):
                        futures.append(log.append(entries(1), 1, "loud"))
                assert 100 < len(futures) < 5000
                futures += [log.append(entries(1), 1, "quiet") for _ in range(50)]
                with pytest.raises(LogOverloaded) as refused:
                    log.append(entries(1), 1, "loud")
                assert 1 <= refused.value.retry_after_seconds <= 30
            await settled(futures)
            assert log.pending_bytes == 0
            await eventually_appends(log)

    run(scenario())


async def eventually_appends(log: EventLog, within_seconds: float = 25) -> None:
    """It takes events, at the latest after a while; and says so."""
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            await log.append(entries(1), 1)
            break
        except Unavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
    await asyncio.to_thread(log.check)


def test_a_request_larger_than_the_limit_is_taken_when_nothing_waits(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make(max_pending_bytes=100)) as log:
            assert await log.append(entries(3), 1)

    run(scenario())


def test_a_stuck_log_acknowledges_nothing_gives_up_in_time_and_recovers(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            await log.append(entries(1), 1)
            appended = [entries(1)[0] for _ in range(20)]
            with driver.stuck():
                futures = [log.append([one], 1) for one in appended]
                await asyncio.sleep(0.5)
                assert not any(future.done() for future in futures)
                done, waiting = await asyncio.wait(futures, timeout=driver.gives_up_within)
                assert not waiting
                assert all(isinstance(future.exception(), LogUnavailable) for future in done)
                with pytest.raises(LogUnavailable):
                    await asyncio.to_thread(log.check)
            await eventually_appends(log)

    run(scenario())


def test_a_failure_is_forgotten_without_a_write_once_the_log_works_again(driver: Driver) -> None:
    """Or a load balancer that asks `/readyz` would never send the write that proves it."""

    async def scenario() -> None:
        async with running(driver.make()) as log:
            with driver.stuck(), contextlib.suppress(LogUnavailable):
                await log.append(entries(1), 1)

            def healthy() -> bool:
                with contextlib.suppress(LogUnavailable):
                    log.check()
                    return True
                return False

            await asyncio.to_thread(wait_until, healthy, 15, "the log to be healthy", poll_seconds=0.2)

    run(scenario())


def test_stop_waits_for_what_was_appended_and_refuses_what_comes_later(driver: Driver) -> None:
    async def scenario() -> None:
        log = driver.make()
        await log.start()
        await asyncio.to_thread(wait_until, lambda: is_ready(log), 20, "the log")
        futures = [log.append(entries(2), 1) for _ in range(300)]
        stopping = asyncio.create_task(log.stop())
        await asyncio.sleep(0)
        with pytest.raises(LogUnavailable):
            log.append(entries(1), 1)
        await stopping
        assert all(isinstance(position, Mapping) for position in await settled(futures))
        with pytest.raises(LogUnavailable):
            log.append(entries(1), 1)
        again = driver.make()
        async with running(again):
            assert sum(map(len, (await asyncio.to_thread(stored_ids, again)).values())) == 600

    run(scenario())


def test_the_number_of_partitions_is_fixed_when_the_log_is_made(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            assert log.partitions == PARTITIONS
        async with running(driver.make(partitions=3)) as log:
            assert log.partitions == PARTITIONS

    run(scenario())


def test_a_log_that_is_opened_again_continues(driver: Driver) -> None:
    async def scenario() -> None:
        contact = event().contact_id
        partition = partition_of(contact, PARTITIONS)
        for offset in range(3):
            async with running(driver.make()) as log:
                assert await log.append([entry(event(contact=contact))], 1) == {partition: offset}

    run(scenario())


# --- whole records ----------------------------------------------------------------------------------------------------


def test_a_command_appends_whole_records_without_a_loop(driver: Driver) -> None:
    log = driver.make()
    log.open()
    try:
        offsets = [log.append_record(partition, b"record %d" % number) for number, partition in enumerate((2, 2, 0, 2))]
        found = [(one.partition, one.offset, one.value) for one in read(log)]
    finally:
        log.close()
    assert offsets == [0, 1, 0, 2]
    assert sorted(found) == [(0, 0, b"record 2"), (2, 0, b"record 0"), (2, 1, b"record 1"), (2, 2, b"record 3")]


def test_whole_records_find_their_place_between_events_that_are_appended(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            appending = [log.append(entries(1), 1) for _ in range(200)]
            putting = [asyncio.to_thread(log.append_record, number % 3, b"record %d" % number) for number in range(9)]
            offsets = await asyncio.gather(*putting)
            appending += [log.append(entries(1), 1) for _ in range(200)]
            await settled(appending)
            records = {(one.partition, one.offset): one.value or b"" for one in await asyncio.to_thread(read, log)}
        for partition in range(PARTITIONS):
            numbers = [offset for number, offset in records if number == partition]
            assert sorted(numbers) == list(range(len(numbers)))
        assert [records[number % 3, offset] for number, offset in enumerate(offsets)] == [
            b"record %d" % number for number in range(9)
        ]
        events = [unpack(value).events for value in records.values() if not value.startswith(b"record")]
        assert sum(events) == 400

    run(scenario())


def test_a_whole_record_that_is_not_durable_is_not_acknowledged(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            await asyncio.to_thread(log.append_record, 0, b"first")
            with driver.stuck(), pytest.raises(LogUnavailable):
                await asyncio.to_thread(log.append_record, 0, b"stuck")
            await eventually_appends(log)

    run(scenario())


# --- keyed topics and reading -----------------------------------------------------------------------------------------


def test_keyed_records_are_read_in_order_with_tombstones(driver: Driver) -> None:
    log = driver.make()
    log.open()
    try:
        wanted = [("a", b"1"), ("b", b"2"), ("a", None), ("c", b"3"), ("c", b"4")]
        offsets = [log.publish(Topic.CONTROL, key, value) for key, value in wanted]
        records = read(log, Topic.CONTROL)
    finally:
        log.close()
    assert offsets == [0, 1, 2, 3, 4]
    assert [(record.offset, record.key, record.value) for record in records] == [
        (offset, key, value) for offset, (key, value) in enumerate(wanted)
    ]
    latest = {record.key: record.value for record in records}
    assert latest == {"a": None, "b": b"2", "c": b"4"}
    assert abs(records[0].appended_ms - time.time() * 1000) < 60_000


def test_another_process_publishes_and_a_tail_sees_it(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            other = driver.make()
            other.open()
            tail = log.tail(Topic.CONTROL, {0: 0})
            try:
                polling = asyncio.create_task(asyncio.to_thread(poll_one, tail))
                await asyncio.sleep(0.3)
                log_append = log.append(entries(10), 1)
                await asyncio.to_thread(other.publish, Topic.CONTROL, "k", b"v")
                record = await asyncio.wait_for(polling, 15)
                await log_append
            finally:
                tail.close()
                other.close()
        assert (record.key, record.value) == ("k", b"v")

    run(scenario())


def poll_one(tail: Any) -> StoredRecord:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        records: list[StoredRecord] = tail.poll(timeout_seconds=1, max_bytes=1 << 20)
        if records:
            return records[0]
    raise TimeoutError("nothing came")


def test_a_tail_waits_seeks_and_knows_the_end(driver: Driver) -> None:
    async def scenario() -> None:
        async with running(driver.make()) as log:
            tail = log.tail(Topic.DEAD_LETTER, {0: 0})
            try:
                started = time.monotonic()
                assert await asyncio.to_thread(lambda: tail.poll(timeout_seconds=0.4, max_bytes=1 << 20)) == []
                assert 0.3 < time.monotonic() - started < 15
                assert tail.ends() == {0: 0}
                for number in range(5):
                    await asyncio.to_thread(log.publish, Topic.DEAD_LETTER, f"k{number}", b"v")
                assert tail.ends() == {0: 5}
                assert [await asyncio.to_thread(poll_one, at(tail, offset)) for offset in (3, 0, 4)] == [
                    record for offset in (3, 0, 4) for record in read(log, Topic.DEAD_LETTER) if record.offset == offset
                ]
            finally:
                tail.close()
                tail.close()

    run(scenario())


def at(tail: Any, offset: int) -> Any:
    tail.seek(0, offset)
    return tail


def test_a_waiting_tail_is_woken_by_an_append(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_OTHER_PROCESS_SECONDS", 40)  # or it would look by itself

    async def scenario() -> None:
        async with running(driver.make()) as log:
            tail = log.tail(Topic.EVENTS, dict.fromkeys(range(PARTITIONS), 0))
            try:
                polling = asyncio.create_task(asyncio.to_thread(tail.poll, timeout_seconds=40, max_bytes=1 << 20))
                await asyncio.sleep(0.5)
                await log.append(entries(1), 1)
                assert len(await asyncio.wait_for(polling, 20)) == 1
            finally:
                tail.close()

    run(scenario())


# --- SQLite -----------------------------------------------------------------------------------------------------------


def test_sqlite_keeps_what_it_acknowledged_through_kill_9(tmp_path: Path) -> None:
    acknowledged: list[list[str]] = []
    for _ in range(3):
        acknowledged += killed_writer(tmp_path, after_lines=len(acknowledged) + 150)
    log = SqliteLog(tmp_path)
    log.open()
    try:
        stored = stored_ids(log)
    finally:
        log.close()
    assert len(acknowledged) >= 450
    for partition, offset, id_ in acknowledged:
        assert id_ in stored[int(partition), int(offset)]
    everything = [id_ for ids in stored.values() for id_ in ids]
    assert len(set(everything)) == len(everything)


def test_sqlite_syncs_a_commit_before_it_is_acknowledged(tmp_path: Path) -> None:
    """What the kernel has outlives kill -9, so only the setting tells whether it would outlive a power cut."""
    log = SqliteLog(tmp_path)
    log.open()
    try:
        assert log._writing.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert log._writing.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        log.close()


def killed_writer(directory: Path, *, after_lines: int) -> list[list[str]]:
    """What a writer had acknowledged when it was killed."""
    command = [sys.executable, "-m", "tests.support.crash_writer", str(directory)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY)
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(after_lines)]
    writer.kill()
    lines += writer.stdout.read().splitlines(keepends=True)
    writer.wait()
    writer.stdout.close()
    return [line.decode().split() for line in lines if line.endswith(b"\n")]


def test_sqlite_full_file_refuses_keeps_its_data_and_recovers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(SqliteLog(tmp_path, partitions=PARTITIONS)) as log:
            log._writing.execute("PRAGMA max_page_count = 60")
            stored = await append_until_refused(log)
            assert "full" in log._failure
            assert set(stored) <= all_ids(log)
            log._writing.execute("PRAGMA max_page_count = 4294967294")
            await eventually_appends(log)
            assert len(all_ids(log)) == len(stored) + 1

    run(scenario())


def all_ids(log: EventLog) -> set[str]:
    return {id_ for ids in stored_ids(log).values() for id_ in ids}


async def append_until_refused(log: EventLog) -> list[str]:
    """The ids that were acknowledged before the first refusal."""
    stored: list[str] = []
    for _ in range(2000):
        one = entry(event(data='"' + "x" * 4000 + '"'))
        try:
            await log.append([one], 1)
        except LogUnavailable:
            return stored
        stored.append(id_of(one))
    raise AssertionError("it never filled up")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB; only root may make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        unavailable("a small file system needs the right to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_sqlite_full_disk_refuses_keeps_its_data_and_recovers(small_disk: Path) -> None:
    async def scenario() -> None:
        async with running(SqliteLog(small_disk, partitions=PARTITIONS, kept_free_bytes=0)) as log:
            ballast = small_disk / "ballast"
            ballast.write_bytes(b"x" * 900_000)
            stored = await append_until_refused(log)
            assert stored
            with pytest.raises(LogUnavailable):
                await asyncio.to_thread(log.publish, Topic.CONTROL, "k", b"x" * 50_000)
            assert set(stored) <= all_ids(log)
            ballast.unlink()
            await eventually_appends(log)
            log.publish(Topic.CONTROL, "k", b"v")
            assert len(all_ids(log)) == len(stored) + 1

    run(scenario())


def test_sqlite_leaves_some_of_the_disk_to_the_tables(small_disk: Path) -> None:
    async def scenario() -> None:
        async with running(SqliteLog(small_disk, partitions=PARTITIONS, kept_free_bytes=1 << 20)) as log:
            stored = await append_until_refused(log)
            assert stored
            assert shutil.disk_usage(small_disk).free > 900_000
            with pytest.raises(LogUnavailable, match="disk"):
                await asyncio.to_thread(log.check)

    run(scenario())


def test_sqlite_a_read_that_fails_loses_no_place(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(SqliteLog(tmp_path, partitions=2)) as log:
            for partition in (0, 1):
                await log.append([Entry(partition, entries(1)[0].line, False)], 1)
            tail = log.tail(Topic.EVENTS, {0: 0, 1: 0})
            good = tail._connection
            tail._connection = FailsAtSecond(good)
            with pytest.raises(LogUnavailable):
                tail.poll(timeout_seconds=0, max_bytes=1 << 20)
            tail._connection = good
            assert len(tail.poll(timeout_seconds=0, max_bytes=1 << 20)) == 2
            tail.close()

    run(scenario())


class FailsAtSecond:
    """A connection whose second statement fails."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._calls = 0

    def execute(self, *arguments: Any) -> Any:
        import sqlite3

        self._calls += 1
        if self._calls == 2:
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(*arguments)


def test_sqlite_an_error_that_nobody_foresaw_is_an_answer_too(tmp_path: Path) -> None:
    """A thread that died of it would leave every later request without one."""

    async def scenario() -> None:
        async with running(SqliteLog(tmp_path, partitions=2)) as log:
            with pytest.raises(LogUnavailable):
                await asyncio.wait_for(log.append([Entry(7, b"{}", False)], 1), 5)
            await log.append(entries(1, partitions=2), 1)

    run(scenario())


def test_sqlite_cannot_be_opened_where_it_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StartError):
        run(SqliteLog(tmp_path).start())


# --- Kafka ------------------------------------------------------------------------------------------------------------


@pytest.mark.services
def test_kafka_keeps_what_it_acknowledged_through_kill_9(broker: Broker) -> None:
    settings = kafka_settings(broker, delivery_timeout_seconds=8)
    create_topics(settings)
    appended: dict[str, asyncio.Future[Any]] = {}

    async def append_for(log: EventLog, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            one = entries(1)[0]
            with contextlib.suppress(LogUnavailable):  # said at once where the broker was away for long
                appended[id_of(one)] = log.append([one], 1)
            await asyncio.sleep(0.001)

    async def scenario() -> None:
        async with running(KafkaLog(settings)) as log:
            await append_for(log, 0.5)
            broker.kill()
            await append_for(log, 0.3)
            await asyncio.to_thread(broker.start)
            await append_for(log, 0.3)
            results = await settled(list(appended.values()))
            stored = await asyncio.to_thread(stored_ids, log)
        found = {id_: place for place, ids in stored.items() for id_ in ids}
        assert sum(map(len, stored.values())) == len(found), "an event is there twice"
        acknowledged = 0
        for id_, result in zip(appended, results, strict=True):
            if isinstance(result, Mapping):
                acknowledged += 1
                assert found[id_] in result.items()
        assert acknowledged > 100

    run(scenario())


def append_or_refuse(log: EventLog) -> "asyncio.Future[Any]":
    """What was appended; where it was refused at once, that."""
    try:
        return log.append(entries(20), 1)
    except LogUnavailable as error:
        refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        refused.set_exception(error)
        return refused


@pytest.mark.services
def test_kafka_down_is_said_within_the_delivery_timeout_and_passes(broker: Broker) -> None:
    settings = kafka_settings(broker, delivery_timeout_seconds=DELIVERY_SECONDS)
    create_topics(settings)

    async def scenario() -> None:
        async with running(KafkaLog(settings)) as log:
            await log.append(entries(1), 1)
            with down(broker):
                for _ in range(2):
                    started = time.monotonic()
                    results = await settled([append_or_refuse(log) for _ in range(10)])
                    assert time.monotonic() - started < DELIVERY_SECONDS + 12
                    assert all(isinstance(result, LogUnavailable) for result in results)
                with pytest.raises(LogUnavailable):
                    await asyncio.to_thread(log.publish, Topic.DEAD_LETTER, "k", b"v")
            await eventually_appends(log)

    run(scenario())


@pytest.mark.services
def test_kafka_stop_ends_in_time_while_it_is_down(broker: Broker) -> None:
    settings = kafka_settings(broker, delivery_timeout_seconds=DELIVERY_SECONDS)
    create_topics(settings)

    async def scenario() -> None:
        log = KafkaLog(settings)
        await log.start()
        await asyncio.to_thread(wait_until, lambda: is_ready(log), 20, "the log")
        with down(broker):
            futures = [log.append(entries(1), 1) for _ in range(10)]
            started = time.monotonic()
            await log.stop()
            assert time.monotonic() - started < DELIVERY_SECONDS + 12
            assert all(isinstance(result, LogUnavailable) for result in await settled(futures))

    run(scenario())


@pytest.mark.services
def test_kafka_a_missing_topic_names_the_remedy_and_is_waited_for(broker: Broker) -> None:
    settings = kafka_settings(broker, delivery_timeout_seconds=DELIVERY_SECONDS)

    async def scenario() -> None:
        log = KafkaLog(settings)
        await log.start()
        try:
            await asyncio.to_thread(wait_until, lambda: "penstock migrate" in log._appender.failure, 10, "the remedy")
            for call in (lambda: log.partitions, lambda: log.append(entries(1), 1), log.check):
                with pytest.raises(LogUnavailable, match="penstock migrate"):
                    call()
            with pytest.raises(LogUnavailable, match="penstock migrate"):
                await asyncio.to_thread(log.publish, Topic.CONTROL, "k", b"v")
            with pytest.raises(LogUnavailable, match="penstock migrate"):
                await asyncio.to_thread(log.tail, Topic.CONTROL, {0: 0})
            await asyncio.to_thread(create_topics, settings)
            await asyncio.to_thread(wait_until, lambda: is_ready(log), 10, "the topic to be found")
            await log.append(entries(1), 1)
        finally:
            await log.stop()

    run(scenario())


@pytest.mark.services
def test_kafka_topics_are_made_once_and_kept_as_their_policy_says(broker: Broker) -> None:
    settings = kafka_settings(broker)
    names = [f"{settings.topic_prefix}.{topic}" for topic in Topic]
    assert create_topics(settings, dry_run=True) == names
    assert create_topics(settings) == names
    assert create_topics(settings) == []
    assert "cleanup.policy=compact" in topic_configs(broker, f"{settings.topic_prefix}.control")
    for name in (f"{settings.topic_prefix}.events", f"{settings.topic_prefix}.dead_letter"):
        assert "retention.ms=-1" in topic_configs(broker, name)
        assert "compact" not in topic_configs(broker, name)


def topic_configs(broker: Broker, topic: str) -> str:
    """As Kafka's own tool tells it."""
    arguments = ["--bootstrap-server", broker.bootstrap_servers, "--describe", "--topic", topic]
    return run_tool("org.apache.kafka.tools.TopicCommand", *arguments)


@pytest.mark.services
@pytest.mark.parametrize("servers", ["127.0.0.1:{port}", "no-such-host.invalid:9092", "127.0.0.1:notaport"])
def test_kafka_out_of_reach_is_said_and_does_not_keep_it_from_stopping(broker: Broker, servers: str) -> None:
    settings = kafka_settings(broker).model_copy(update={"bootstrap_servers": servers.format(port=free_port())})

    async def scenario() -> None:
        log = KafkaLog(settings)
        await log.start()
        try:
            await asyncio.sleep(0.5)
            assert log._appender._thread.is_alive()
            with pytest.raises(LogUnavailable):
                log.append(entries(1), 1)
            with pytest.raises(LogUnavailable):
                log.check()
        finally:
            started = time.monotonic()
            await log.stop()
        assert time.monotonic() - started < 20

    run(scenario())


@pytest.mark.services
def test_kafka_a_tail_survives_a_restart_of_the_broker(broker: Broker) -> None:
    settings = kafka_settings(broker)
    create_topics(settings)
    log = KafkaLog(settings)
    tail = log.tail(Topic.CONTROL, {0: 0})
    try:
        log.publish(Topic.CONTROL, "a", b"1")
        assert poll_one(tail).key == "a"
        with down(broker), contextlib.suppress(LogUnavailable):
            tail.poll(timeout_seconds=0.5, max_bytes=1 << 20)
        wait_until(lambda: published(log), 20, "a record to be taken")
        record = wait_until(lambda: polled(tail), 20, "the record")
        assert record is not None
        assert record.key == "b"
    finally:
        tail.close()
        log.close()


def published(log: EventLog) -> bool:
    with contextlib.suppress(LogUnavailable):
        return log.publish(Topic.CONTROL, "b", b"2") > 0
    return False


def polled(tail: Any) -> StoredRecord | None:
    with contextlib.suppress(LogUnavailable):
        return next(iter(tail.poll(timeout_seconds=0.5, max_bytes=1 << 20)), None)
    return None


def test_threads_are_gone_after_stop(driver: Driver) -> None:
    before = threading.active_count()

    async def scenario() -> None:
        async with running(driver.make()) as log:
            await log.append(entries(1), 1)

    run(scenario())
    wait_until(lambda: threading.active_count() <= before, 10, "threads to end")

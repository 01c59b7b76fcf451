"""`penstock consume` as processes on a real Kafka: everything that was produced is in every table once.

Each test breaks something: consumers, the group, the committed offsets, ClickHouse, Kafka.
"""

import asyncio
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from penstock.clickhouse import Tables
from penstock.clickhouse.migrate import migrate_tables
from penstock.clickhouse.progress import read_epochs
from penstock.errors import TablesUnavailable, Unavailable
from penstock.eventlog.kafka import KafkaLog, create_topics
from penstock.settings import Kafka
from tests.support.breakable import Broker, ClickHouseService
from tests.support.fixtures import drop, entries, kafka_settings, server_tables, unique
from tests.support.services import REPOSITORY, Process, free_port, wait_until
from tests.support.stored import PROJECTIONS, doubles, projected

pytestmark = [pytest.mark.services, pytest.mark.timeout(150)]

PARTITIONS = 4
SESSION_SECONDS = 10
CATCH_UP_SECONDS = 45


class Group:
    """A topic, tables, and the processes that write from the one into the other."""

    def __init__(self, broker: Broker, clickhouse: ClickHouseService, directory: Path) -> None:
        self.kafka = kafka_settings(broker, partitions=PARTITIONS, delivery_timeout_seconds=20)
        self.clickhouse = clickhouse
        self.directory = directory
        self.produced = 0
        self.tables = self.new_tables()
        self._resources = ExitStack()
        create_topics(self.kafka)

    def new_tables(self) -> Tables:
        """Empty tables, into which processes that are started from now on write."""
        self.database = unique("d")
        tables = server_tables(self.clickhouse.url, self.database)
        migrate_tables(tables)
        return tables

    def close(self) -> None:
        self._resources.close()
        drop(self.tables)  # type: ignore[arg-type] # of the driver that new_tables gave

    def consumer(self, name: str = "consumer", module: str = "penstock", heartbeat_seconds: float = 0.5) -> Process:
        """A process of the group, started."""
        port = free_port()
        process = Process(
            [sys.executable, "-m", module, "consume", "--port", str(port)],
            log_file=self.directory / f"{name}-{port}.log",
            env={
                "PENSTOCK_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
                "PENSTOCK_KAFKA__TOPIC_PREFIX": self.kafka.topic_prefix,
                "PENSTOCK_KAFKA__GROUP": self.kafka.group,
                "PENSTOCK_CLICKHOUSE__URL": self.clickhouse.url,
                "PENSTOCK_CLICKHOUSE__DATABASE": self.database,
                "PENSTOCK_WRITER__HEARTBEAT_SECONDS": str(heartbeat_seconds),
            },
            cwd=REPOSITORY,
        )
        process.start()
        self._resources.callback(process.kill)
        process.ready_url = f"http://127.0.0.1:{port}/readyz"  # type: ignore[attr-defined]
        return process

    def produce(self, count: int) -> None:
        """Appends that many events, in many records."""
        asyncio.run(self._produce(count))

    async def _produce(self, count: int) -> None:
        log = KafkaLog(self.kafka)
        await log.start()
        try:
            await asyncio.to_thread(wait_until, lambda: ready(log), 20, "the log")
            for _ in range(count // 5):
                await log.append(entries(5, PARTITIONS), time.time_ns() // 1_000_000)
                self.produced += 5
        finally:
            await log.stop()

    @contextmanager
    def load(self) -> Iterator[None]:
        """Appends for as long as it is entered."""
        ending = threading.Event()

        def work() -> None:
            while not ending.is_set():
                self.produce(100)
                ending.wait(0.3)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()

    def stored(self) -> int:
        """How many events are in all tables; while a batch goes in, some have it before others."""
        try:
            return min(projected(self.tables).values())
        except TablesUnavailable:
            return 0

    def expect_everything(self, *processes: Process, seconds: float = CATCH_UP_SECONDS) -> None:
        """All that was produced is in every table, once."""
        try:
            wait_until(lambda: self.stored() >= self.produced, seconds, f"{self.produced} events", poll_seconds=0.2)
        except TimeoutError as late:
            tails = "\n".join(process.log_tail() for process in processes)
            raise AssertionError(f"{self.stored()} of {self.produced} are stored: {late}\n{tails}") from None
        assert doubles(self.tables) == 0
        assert projected(self.tables) == dict.fromkeys(PROJECTIONS, self.produced)

    def wait_for_more(self, events: int = 50, seconds: float = CATCH_UP_SECONDS) -> None:
        """Until some more events are stored than now."""
        goal = self.stored() + events
        wait_until(lambda: self.stored() >= goal, seconds, f"{events} more events", poll_seconds=0.1)


def ready(log: KafkaLog) -> bool:
    try:
        return log.partitions > 0
    except Unavailable:
        return False


def readiness(process: Process) -> int:
    try:
        with urllib.request.urlopen(process.ready_url, timeout=5) as answer:  # type: ignore[attr-defined]
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def stops_cleanly(process: Process) -> None:
    assert process.terminate(10) == 0, process.log_tail()


@pytest.fixture
def group(broker: Broker, clickhouse: ClickHouseService, tmp_path: Path) -> Iterator[Group]:
    made = Group(broker, clickhouse, tmp_path)
    yield made
    made.close()


def test_kill_9_in_the_middle_of_load(group: Group) -> None:
    with group.load():
        for _ in range(2):
            consumer = group.consumer()
            group.wait_for_more()
            consumer.kill()
        consumer = group.consumer()
        group.wait_for_more()
    group.expect_everything(consumer)
    assert readiness(consumer) == 200
    stops_cleanly(consumer)


def test_two_share_the_work_one_is_killed_and_one_pauses_beyond_its_session(group: Group) -> None:
    first = group.consumer("first")
    with group.load():
        group.wait_for_more()
        second = group.consumer("second")
        wait_until(lambda: owners(group) == 2, 30, "both to write", poll_seconds=0.2)
        first.pause()  # with whatever it was just doing
        time.sleep(SESSION_SECONDS + 3)
        group.wait_for_more()
        first.resume()
        group.wait_for_more()
        wait_until(lambda: readiness(first) == 200, 30, "the one that paused to be back", poll_seconds=0.3)
        second.kill()
        group.wait_for_more(events=500)
    group.expect_everything(first, second)
    stops_cleanly(first)


def owners(group: Group) -> int:
    """How many processes hold partitions now: each drew the lower half of its epochs."""
    return len({epoch & 0xFFFFFFFF for epoch in read_epochs(group.tables).values()})


def test_the_mark_in_the_tables_counts_not_what_is_committed(group: Group) -> None:
    """Nothing new arrives meanwhile: nobody but the writer itself can notice."""
    group.produce(200)
    consumer = group.consumer()
    group.expect_everything(consumer)
    stops_cleanly(consumer)

    commit(group.kafka, 0)  # far behind
    consumer = group.consumer()
    group.produce(50)
    group.expect_everything(consumer)
    stops_cleanly(consumer)

    group.produce(100)
    commit(group.kafka, None)  # ahead: at the end
    consumer = group.consumer()
    group.expect_everything(consumer)
    stops_cleanly(consumer)

    drop(group.tables)  # type: ignore[arg-type] # as above
    group.tables = group.new_tables()
    consumer = group.consumer()
    group.expect_everything(consumer)
    group.produce(50)
    group.expect_everything(consumer)
    wait_until(lambda: committed(group.kafka) == ends(group.kafka), 10, "what is stored to be committed")
    stops_cleanly(consumer)


def with_kafka(settings: Kafka, work: Callable[..., dict[int, int]]) -> dict[int, int]:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers, group_id=settings.group, enable_auto_commit=False
    )
    places = [TopicPartition(f"{settings.topic_prefix}.events", number) for number in range(PARTITIONS)]
    consumer.assign(places)
    try:
        return work(consumer, places)
    finally:
        consumer.close()


def ends(settings: Kafka) -> dict[int, int]:
    def work(consumer: object, places: list[object]) -> dict[int, int]:
        return {place.partition: end for place, end in consumer.end_offsets(places).items()}  # type: ignore[attr-defined]

    return with_kafka(settings, work)


def committed(settings: Kafka) -> dict[int, int]:
    def work(consumer: object, places: list[object]) -> dict[int, int]:
        return {place.partition: consumer.committed(place) or 0 for place in places}  # type: ignore[attr-defined]

    return with_kafka(settings, work)


def commit(settings: Kafka, offset: int | None) -> None:
    """Moves the group's offsets; None: to the end."""
    from kafka.structs import OffsetAndMetadata

    def work(consumer: object, places: list[object]) -> dict[int, int]:
        found = consumer.end_offsets(places)  # type: ignore[attr-defined]
        wanted = {place: OffsetAndMetadata(found[place] if offset is None else offset, "", -1) for place in places}
        consumer.commit(wanted)  # type: ignore[attr-defined]
        return {}

    with_kafka(settings, work)


def test_clickhouse_is_away_while_the_group_changes(group: Group, clickhouse: ClickHouseService) -> None:
    first = group.consumer("first")
    group.produce(100)
    group.expect_everything(first)
    clickhouse.kill()
    group.produce(200)
    second = group.consumer("second")
    time.sleep(SESSION_SECONDS + 2)
    group.produce(50)
    clickhouse.start()
    group.expect_everything(first, second)
    for process in (first, second):
        wait_until(lambda process=process: readiness(process) == 200, 20, "it to be ready", poll_seconds=0.2)  # type: ignore[misc] # mypy
        stops_cleanly(process)


def test_kafka_dies_and_comes_back(group: Group, broker: Broker) -> None:
    consumer = group.consumer()
    group.produce(100)
    group.expect_everything(consumer)
    broker.kill()
    time.sleep(4)
    broker.start()
    group.produce(100)
    group.expect_everything(consumer)
    broker.pause()
    time.sleep(SESSION_SECONDS + 3)
    broker.resume()
    group.produce(100)
    group.expect_everything(consumer)
    assert consumer.running
    stops_cleanly(consumer)


def test_sigterm_ends_it_whatever_hangs(group: Group, broker: Broker, clickhouse: ClickHouseService) -> None:
    early = group.consumer("early")
    wait_until(lambda: readiness(early) > 0, 20, "it to serve", poll_seconds=0.2)
    stops_cleanly(early)

    writing = group.consumer("writing")
    group.produce(50)
    group.expect_everything(writing)
    clickhouse.pause()
    group.produce(50)
    time.sleep(1)
    try:
        stops_cleanly(writing)
    finally:
        clickhouse.resume()

    joined = group.consumer("joined")
    group.expect_everything(joined, seconds=30)
    broker.pause()
    time.sleep(1)
    try:
        stops_cleanly(joined)
        waiting = group.consumer("waiting")
        wait_until(lambda: readiness(waiting) == 503, 20, "it to wait for Kafka", poll_seconds=0.2)
        stops_cleanly(waiting)
    finally:
        broker.resume()


def test_a_poison_record_is_set_aside_and_can_be_looked_at(group: Group) -> None:
    from kafka import KafkaProducer

    from consumers.letters import read_letters

    producer = KafkaProducer(bootstrap_servers=group.kafka.bootstrap_servers)
    producer.send(f"{group.kafka.topic_prefix}.events", value=b"nonsense", partition=1).get(10)
    producer.close()
    consumer = group.consumer()
    group.produce(50)
    group.expect_everything(consumer)
    log = KafkaLog(group.kafka)
    try:
        wait_until(lambda: len(read_letters(log)) == 1, 10, "the dead letter")
        assert read_letters(log)["events/1/0"].value == b"nonsense"
    finally:
        log.close()
    stops_cleanly(consumer)


def test_where_nearly_all_records_are_poison_the_process_ends_rather_than_set_all_aside(group: Group) -> None:
    from kafka import KafkaProducer

    from consumers.letters import read_letters

    producer = KafkaProducer(bootstrap_servers=group.kafka.bootstrap_servers)
    topic = f"{group.kafka.topic_prefix}.events"
    for _ in range(60):
        producer.send(topic, value=b"nonsense", partition=1).get(10)
    producer.close()
    consumer = group.consumer()
    assert consumer.wait(30) != 0
    assert "penstock dead-letters list" in consumer.log_tail()
    log = KafkaLog(group.kafka)
    try:
        assert len(read_letters(log)) <= 20
    finally:
        log.close()


def test_a_member_that_is_given_no_partitions_though_nobody_has_them_joins_anew(group: Group) -> None:
    consumer = group.consumer("forgetful", "tests.support.forgetful_consume", heartbeat_seconds=0.1)
    wait_until(lambda: readiness(consumer) == 200, 40, "it to be ready", poll_seconds=0.2)
    group.produce(100)
    group.expect_everything(consumer, seconds=90)
    assert "it has no partitions, and nobody writes" in consumer.log_file.read_text()

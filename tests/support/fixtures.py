"""What the suites of the gateways and of the consumers share: services that run once, and events to write.

A service is started by the first test that needs it and serves all of them, over all folders. A test that breaks one
need not mend it: whoever asks next gets it running again.
"""

from __future__ import annotations

import atexit
import functools
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from typing import NoReturn, TypeVar

import pytest

from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.generations import FIRST, Generations
from penstock.errors import TablesRefused, Unavailable
from penstock.eventlog import Entry
from penstock.settings import ClickHouse, Kafka
from schemas.event import Event, encode_event
from schemas.topics import partition_of
from tests.support.breakable import Breakable, Bridge, Broker, ClickHouseService
from tests.support.clickhouse_server import BridgeServer
from tests.support.containers import ClickHouseContainer, KafkaContainer
from tests.support.kafka_broker import KafkaBroker
from tests.support.provider import decided
from tests.support.services import ServiceUnavailable
from tests.support.tables import open_test_tables

S = TypeVar("S", bound=Breakable)

SERVER_URL_VARIABLE = "TEST_CLICKHOUSE_URL"
"""Where it is set, the server's suite runs against that server instead of the stand-in."""

_running = ExitStack()
atexit.register(_running.close)


def unavailable(reason: str) -> NoReturn:
    """A test cannot run on this machine: it is skipped, or with REQUIRE_SERVICES=1 fails."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def need_chdb() -> None:
    """The same where chDB is not installed."""
    if find_spec("chdb") is None:
        unavailable("chdb is not installed")


def needed(start: Callable[[], S]) -> S:
    """The service that `start` gives; see `unavailable` for where this machine cannot."""
    try:
        return _mended(start())
    except ServiceUnavailable as missing:
        unavailable(str(missing))


def _mended(service: S) -> S:
    if service.running:
        service.resume()
    else:
        service.start()
    return service


@functools.cache
def the_broker() -> Broker:
    """The one broker of this run."""
    image = decided().kafka
    return _running.enter_context(KafkaContainer(image)) if image else _running.enter_context(KafkaBroker())


@functools.cache
def the_clickhouse() -> ClickHouseService:
    """The one ClickHouse of this run, a server where one can be had."""
    if decided().fails_when_told:
        return the_bridge()
    return _running.enter_context(ClickHouseContainer(decided().clickhouse))


@functools.cache
def the_bridge() -> Bridge:
    """The one ClickHouse of this run that fails when it is told to."""
    image = decided().clickhouse if decided().fails_when_told else ""
    return _running.enter_context(ClickHouseContainer(image)) if image else _running.enter_context(BridgeServer())


@pytest.fixture
def broker() -> Broker:
    """A running Kafka broker."""
    return needed(the_broker)


@pytest.fixture
def clickhouse() -> ClickHouseService:
    """A running ClickHouse."""
    return needed(the_clickhouse)


@pytest.fixture
def bridge() -> Bridge:
    """A running ClickHouse that can be told to fail."""
    return needed(the_bridge)


def unique(prefix: str) -> str:
    """A name for a topic prefix or a database of one test."""
    return f"{prefix}_{uuid.uuid4().hex[:12]}"


def kafka_settings(broker: Broker, *, partitions: int = 6, delivery_timeout_seconds: float = 3) -> Kafka:
    """Settings with topics and a group of their own; the topics are not made."""
    name = unique("t")
    return Kafka(
        bootstrap_servers=broker.bootstrap_servers,
        topic_prefix=name,
        group=f"{name}.writer",
        partitions=partitions,
        delivery_timeout_seconds=delivery_timeout_seconds,
    )


def server_tables(url: str, database: str | None = None) -> ClientTables:
    """Tables of a server, in a database that is not made yet."""
    from penstock.clickhouse.server import open_server

    return open_server(ClickHouse(url=url, database=database or unique("d")))


@pytest.fixture(params=["chdb", pytest.param("server", marks=pytest.mark.services)])
def tables(request: pytest.FixtureRequest) -> Iterator[ClientTables]:
    """Tables of either driver, in a database of the test's own that is not made yet."""
    if request.param == "chdb":
        need_chdb()
        found = open_test_tables(migrated=False)
    else:
        found = server_tables(os.environ.get(SERVER_URL_VARIABLE) or request.getfixturevalue("clickhouse").url)
    yield found
    drop(found)


def drop(tables: ClientTables) -> None:
    """Removes the database, as hundreds of tables slow the engine down, and closes."""
    with suppress(Unavailable, TablesRefused):
        tables.execute(f"DROP DATABASE IF EXISTS {tables.database} SYNC")
    tables.close()


def drop_generations(tables: ClientTables) -> None:
    """Removes all generations of tables, also one that a rebuild left half done, and closes."""
    generations = Generations(tables)
    for number in range(generations.live().number + 1, FIRST, -1):
        tables.execute(f"DROP DATABASE IF EXISTS {generations.database(number)} SYNC")
    drop(tables)


def event(
    *,
    name: str = "viewed",
    contact: str | None = None,
    event_id: str | None = None,
    occurred_at: str = "2026-11-23T07:00:00.000Z",
    project_id: str = "00000000-0000-4000-8000-000000000001",
    data: str = '{"a":1}',
    derived: bool = False,
) -> Event:
    """An event as ingest makes it."""
    contact_id = contact or str(uuid.uuid4())
    return Event(
        project_id=project_id,
        id=event_id or str(uuid.uuid4()),
        name=name,
        occurred_at=occurred_at,
        contact_id=contact_id,
        email=f"{contact_id}@example.com",
        data=data,
        derived=derived,
    )


def entry(one: Event, partitions: int = 6) -> Entry:
    """The event on its way into the log."""
    return Entry(partition_of(one.contact_id, partitions), encode_event(one), one.derived, one.change)


def entries(count: int, partitions: int = 6) -> list[Entry]:
    """That many events of as many contacts."""
    return [entry(event(), partitions) for _ in range(count)]


def ids_of(lines: Sequence[bytes]) -> list[str]:
    """The ids in some lines."""
    from schemas.event import decode_mark

    return [decode_mark(line).id for line in lines]

"""The conformance suite of the tables: what `penstock.clickhouse.contract` promises, of both drivers.

The server's part runs against the stand-in, or against the server that TEST_CLICKHOUSE_URL names.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any

import pytest

from penstock.clickhouse.contract import Parameter
from penstock.clickhouse.current import current_schema
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.generations import Generations
from penstock.clickhouse.migrate import applied_versions, check_version, migrate_tables
from penstock.errors import StartError, TablesRefused, TablesUnavailable
from penstock.settings import ClickHouse
from schemas.clickhouse import current_sql, migrations
from schemas.tables import CLAIM_COLUMNS, EVENT_COLUMNS, EVENTS_PROBE, PROGRESS_COLUMNS
from tests.support.breakable import ClickHouseService
from tests.support.fixtures import SERVER_URL_VARIABLE, drop, server_tables
from tests.support.services import free_port, wait_until
from tests.support.stored import PROJECTIONS, TABLES, event_line, projected

HOSTILE = [
    "it's",
    '"quoted"',
    "back\\slash",
    "\\'",
    "\\N",
    "a\0b",
    "line\nfeed\r\ttab",
    "{x:String}",
    "%s %(x)s %%",
    "😀 é ß",
    "'; DROP TABLE events; --",
    "",
    " ",
    "\b\f\x01\x7f",
    "\u2028",
    "$1 ${x}",
]


@pytest.fixture
def migrated(tables: ClientTables) -> ClientTables:
    """Tables with everything in them."""
    migrate_tables(tables)
    return tables


@pytest.fixture
def empty(tables: ClientTables) -> ClientTables:
    """Tables with a database and nothing in it."""
    tables.create_database()
    return tables


# --- select -----------------------------------------------------------------------------------------------------------


PARAMETERS: list[tuple[str, str | int | list[str], object]] = [
    ("String", "text", "text"),
    ("Int64", -(2**63), -(2**63)),
    ("UInt64", 2**64 - 1, 2**64 - 1),
    ("UInt16", 7, 7),
    ("UUID", "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000a"),
    ("Array(UUID)", ["00000000-0000-4000-8000-00000000000a"], ["00000000-0000-4000-8000-00000000000a"]),
    ("Array(UUID)", [], []),
    ("Array(String)", ["a", "b'c", "\\d"], ["a", "b'c", "\\d"]),
    ("DateTime64(3, 'UTC')", "2026-11-23 07:00:00.123", "2026-11-23 07:00:00.123"),
    ("Nullable(String)", "x", "x"),
    ("Bool", "true", True),
]


def test_parameters_of_every_type(empty: ClientTables) -> None:
    for kind, value, wanted in PARAMETERS:
        found = empty.select("SELECT {x:" + kind + "}", {"x": value})[0][0]
        assert (int(str(found)) if type(wanted) is int else found) == wanted, kind


def test_hostile_strings_are_values_and_nothing_else(empty: ClientTables) -> None:
    for text in HOSTILE:
        rows = empty.select("SELECT {x:String}, length({x:String}), {y:String}", {"x": text, "y": "other"})
        assert [rows[0][0], int(str(rows[0][1])), rows[0][2]] == [text, len(text.encode()), "other"]


def test_milliseconds_become_times(empty: ClientTables) -> None:
    sql = "SELECT fromUnixTimestamp64Milli({ms:Int64}, 'UTC') = toDateTime64('2026-11-23 07:00:00.123', 3, 'UTC')"
    assert empty.select(sql, {"ms": 1_795_417_200_123}) in ([[1]], [[True]])


def test_rows_are_text_numbers_and_null_as_json_has_them(empty: ClientTables) -> None:
    sql = """
        SELECT toInt64(-5), 'a', NULL, true, 1.5, toUUID('00000000-0000-4000-8000-00000000000a'),
               toDateTime64('2026-11-23 07:00:00.120', 3, 'UTC'), toDateTime('2026-11-23 07:00:00', 'UTC'),
               toLowCardinality('low'), [1, 2]
    """
    row = empty.select(sql)[0]
    assert int(str(row[0])) == -5
    assert row[1:] == [
        "a",
        None,
        True,
        1.5,
        "00000000-0000-4000-8000-00000000000a",
        "2026-11-23 07:00:00.120",
        "2026-11-23 07:00:00",
        "low",
        [1, 2],
    ]


def test_no_rows_many_rows_and_rows_with_line_ends(empty: ClientTables) -> None:
    assert empty.select("SELECT 1 WHERE 0") == []
    assert len(empty.select("SELECT number, 'a\\nb\\rc' FROM numbers(100000)")) == 100_000


def test_threads_that_ended_leave_no_connection_behind(empty: ClientTables) -> None:
    """Or a process that asks in new threads again and again fills its memory within hours."""
    for _ in range(20):
        asking = Thread(target=empty.select, args=["SELECT 1"])
        asking.start()
        asking.join()
    assert empty.select("SELECT 1")
    assert len(empty._clients) <= 2


def test_threads_side_by_side(migrated: ClientTables) -> None:
    def work(number: int) -> list[list[object]]:
        for _ in range(5):
            migrated.insert("events", event_line(offset=number), token=f"t{number}")
            rows = migrated.select("SELECT {x:String}", {"x": str(number)})
            assert rows == [[str(number)]]
        return rows

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(work, range(16)))) == 16
    assert projected(migrated) == dict.fromkeys(PROJECTIONS, 16)


# --- insert -----------------------------------------------------------------------------------------------------------


def test_the_same_token_stores_once_in_every_table(migrated: ClientTables) -> None:
    lines = b"\n".join(event_line(offset=0, index=index) for index in range(100))
    for _ in range(3):
        migrated.insert("events", lines, token="t")
    assert projected(migrated) == dict.fromkeys(PROJECTIONS, 100)


def test_another_token_stores_the_same_lines_again(migrated: ClientTables) -> None:
    for token in ("a", "b"):
        migrated.insert("events", event_line(offset=0), token=token)
    assert projected(migrated) == dict.fromkeys(PROJECTIONS, 2)


def test_without_a_token_every_insert_stores_also_after_one_with_a_token(migrated: ClientTables) -> None:
    migrated.insert("events", event_line(offset=0), token="t")
    for _ in range(2):
        migrated.insert("events", event_line(offset=0))
    migrated.insert("events", event_line(offset=0), token="t")
    assert projected(migrated) == dict.fromkeys(PROJECTIONS, 3)


def test_a_token_is_remembered_over_other_inserts(migrated: ClientTables) -> None:
    migrated.insert("events", event_line(offset=0), token="first")
    for number in range(110):  # more than the engine's default window of 100
        migrated.insert("events", event_line(offset=1 + number), token=f"t{number}")
    migrated.insert("events", event_line(offset=0), token="first")
    assert projected(migrated) == dict.fromkeys(PROJECTIONS, 111)


def test_an_insert_of_50000_rows_is_one_part_of_every_table(migrated: ClientTables) -> None:
    lines = b"\n".join(event_line(offset=0, index=index, year=2000 + index % 40) for index in range(50_000))
    for table in TABLES:
        migrated.execute(f"SYSTEM STOP MERGES {table}")
    for _ in range(2):
        migrated.insert("events", lines, token="t")
    assert projected(migrated) == dict.fromkeys(PROJECTIONS, 50_000)
    sql = "SELECT table, count() FROM system.parts WHERE database = currentDatabase() AND active GROUP BY table"
    parts = {str(table): int(str(count)) for table, count in migrated.select(sql)}
    assert {table: parts[table] for table in TABLES} == dict.fromkeys(TABLES, 1)


def test_times_end_in_z_and_members_left_out_have_their_default(migrated: ClientTables) -> None:
    migrated.insert("events", event_line(offset=3, index=4, year=2026))
    sql = "SELECT toString(occurred_at), toString(received_at), email_id, subscribed, derived, log_offset, log_index"
    row = migrated.select(f"{sql} FROM events")[0]
    assert row[:5] == ["2026-11-23 07:00:00.123", "2026-11-23 07:00:00.123", "", None, False]
    assert [int(str(value)) for value in row[5:]] == [3, 4]


def test_hostile_strings_are_stored_as_they_are(migrated: ClientTables) -> None:
    lines = [event_line(offset=i, name=f"n{text}", data=json.dumps({"x": text})) for i, text in enumerate(HOSTILE)]
    migrated.insert("events", b"\n".join(lines))
    rows = migrated.select("SELECT name, data FROM events ORDER BY log_offset")
    assert rows == [[f"n{text}", json.dumps({"x": text})] for text in HOSTILE]


def test_lines_that_are_wrong_are_refused_and_nothing_is_stored(migrated: ClientTables) -> None:
    wrong = [
        b'{"occurred_at":"yesterday"}',
        b"not json",
        event_line(offset=0) + b'\n{"id":"no uuid"}',
        b'{"id":',
        b"{}}",
        b'{"subscribed":"perhaps"}',
    ]
    for line in wrong:
        for table in ("events", EVENTS_PROBE):
            with pytest.raises(TablesRefused) as refusal:
                migrated.insert(table, line, token="t")
            assert refusal.value.number > 0
    assert projected(migrated) == dict.fromkeys(PROJECTIONS, 0)
    migrated.insert("events", event_line(offset=0), token="t")
    assert projected(migrated) == dict.fromkeys(PROJECTIONS, 1)


def test_the_probe_keeps_nothing(migrated: ClientTables) -> None:
    migrated.insert(EVENTS_PROBE, event_line(offset=0))
    assert projected(migrated) == dict.fromkeys(PROJECTIONS, 0)


# --- errors -----------------------------------------------------------------------------------------------------------


def test_missing_tables_name_the_remedy(tables: ClientTables) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: tables.select("SELECT 1 FROM events"),
        lambda: tables.insert("events", event_line(offset=0), token="t"),
        lambda: check_version(Generations(tables)),
    ]
    for call in calls:  # without the database
        with pytest.raises(TablesUnavailable, match="penstock migrate"):
            call()
    tables.create_database()
    for call in calls:
        with pytest.raises(TablesUnavailable, match="penstock migrate"):
            call()
    migrate_tables(tables)
    for call in calls:
        call()


def test_wrong_statements_are_refused_with_their_number_and_spoil_nothing(empty: ClientTables) -> None:
    """chDB gives what a failed statement had put out to the next statement of the connection."""
    wrong = [
        ("SELEKT 1", 62),
        ("SELECT no_such_column", 47),
        ("SELECT throwIf(1)", 395),
        ("SELECT throwIf(number = 70000) FROM numbers(80000) SETTINGS max_block_size = 100", 395),
    ]
    for sql, number in wrong:
        with pytest.raises(TablesRefused) as refusal:
            empty.select(sql)
        assert refusal.value.number == number
        assert empty.select("SELECT 'x'") == [["x"]]
        with pytest.raises(TablesRefused):
            empty.execute(sql)
        assert empty.select("SELECT 'x'") == [["x"]]


def test_a_parameter_that_is_none_of_its_type_is_refused(empty: ClientTables) -> None:
    with pytest.raises(TablesRefused):
        empty.select("SELECT {x:UUID}", {"x": "no uuid"})


# --- delete -----------------------------------------------------------------------------------------------------------


def test_a_deletion_removes_what_meets_its_condition_while_parts_are_merged(migrated: ClientTables) -> None:
    for offset in range(40):
        migrated.insert("events", event_line(offset=offset, name="gone" if offset % 2 else "stays"), token=str(offset))
        if offset % 8 == 7:
            migrated.delete("events", "name = {name:String}", {"name": "gone"})
            assert migrated.select("SELECT name, count() FROM events GROUP BY name") == [["stays", offset // 2 + 1]]


def test_a_deletion_whose_condition_is_wrong_is_refused(migrated: ClientTables) -> None:
    with pytest.raises(TablesRefused):
        migrated.delete("events", "no_such_column = 1")


@pytest.mark.services
def test_a_server_that_dies_is_unavailable_and_comes_back(clickhouse: ClickHouseService) -> None:
    tables = server_tables(clickhouse.url)
    try:
        migrate_tables(tables)
        tables.insert("events", event_line(offset=0), token="t")
        clickhouse.kill()
        for _ in range(2):
            with pytest.raises(TablesUnavailable):
                tables.select("SELECT 1")
            with pytest.raises(TablesUnavailable):
                tables.insert("events", event_line(offset=0), token="t")
        clickhouse.start()
        tables.insert("events", event_line(offset=0), token="t")
        assert projected(tables) == dict.fromkeys(PROJECTIONS, 1)
    finally:
        drop(tables)


@pytest.mark.services
def test_a_server_that_dies_in_the_middle_of_an_answer_is_unavailable(clickhouse: ClickHouseService) -> None:
    tables = server_tables(clickhouse.url)
    try:
        tables.create_database()
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(tables.select, "SELECT sleep(3)") for _ in range(4)]
            wait_until(lambda: all(future.running() for future in asked), 15, "the statements to run")
            clickhouse.kill()
            assert all(isinstance(future.exception(), TablesUnavailable) for future in asked)
        clickhouse.start()
    finally:
        drop(tables)


@pytest.mark.services
def test_a_server_that_hangs_is_unavailable_in_time(clickhouse: ClickHouseService) -> None:
    from penstock.clickhouse.server import open_server

    settings = ClickHouse(url=clickhouse.url, database="x", query_timeout_seconds=3, insert_timeout_seconds=3)
    tables = open_server(settings)
    try:
        tables.create_database()
        assert tables.select("SELECT 1")
        clickhouse.pause()
        with pytest.raises(TablesUnavailable):
            tables.select("SELECT 1")
        clickhouse.resume()
        wait_until(lambda: tables.select("SELECT 1"), 20, "the server")
    finally:
        clickhouse.resume()
        drop(tables)


def test_nobody_at_the_address_is_unavailable() -> None:
    tables = server_tables(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TablesUnavailable):
        tables.select("SELECT 1")
    with pytest.raises(TablesUnavailable):
        migrate_tables(tables)


@pytest.mark.parametrize("url", ["127.0.0.1:8123", "ftp://host", "http://"])
def test_an_address_that_is_none_stops_the_start(url: str) -> None:
    with pytest.raises(StartError, match="PENSTOCK_CLICKHOUSE__URL"):
        server_tables(url)


# --- migrations -------------------------------------------------------------------------------------------------------


def test_migrations_from_empty_twice_and_recorded(tables: ClientTables) -> None:
    known = migrations()
    assert migrate_tables(tables, dry_run=True).applied == known
    assert applied_versions(tables) == set()
    assert migrate_tables(tables).applied == known
    assert migrate_tables(tables).applied == []
    assert applied_versions(tables) == {migration.version for migration in known}
    names = tables.select("SELECT version, name FROM schema_migrations ORDER BY version")
    assert [(int(str(version)), name) for version, name in names] == [(one.version, one.name) for one in known]
    check_version(Generations(tables))


def test_migrations_go_on_where_they_were_interrupted(tables: ClientTables) -> None:
    total = sum(len(migration.statements) for migration in migrations())
    for stop_after in range(1, total + 1, 5):
        with pytest.raises(InterruptedError):
            migrate_tables(Interrupted(tables, stop_after))
        with pytest.raises(TablesUnavailable, match="penstock migrate"):
            check_version(Generations(tables))
    migrate_tables(tables)
    check_version(Generations(tables))
    assert current_schema(tables) == current_sql()


class Interrupted:
    """Tables that fail after some statements, as a killed process would."""

    def __init__(self, tables: ClientTables, statements: int) -> None:
        self._tables = tables
        self._left = statements

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tables, name)

    def execute(self, statement: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        if self._left == 0:
            raise InterruptedError
        self._left -= 1
        self._tables.execute(statement, parameters)


def test_the_schema_is_the_same_on_both_drivers_and_as_written_down(migrated: ClientTables) -> None:
    """Renew it with `python -m penstock.clickhouse.current > schemas/clickhouse/current.sql`."""
    assert current_schema(migrated) == current_sql()


@pytest.mark.parametrize(
    ("table", "columns"),
    [("events", EVENT_COLUMNS), ("writer_claims", CLAIM_COLUMNS), ("writer_progress", PROGRESS_COLUMNS)],
)
def test_the_columns_in_code_are_the_tables(migrated: ClientTables, table: str, columns: tuple[str, ...]) -> None:
    sql = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
    found = [str(row[0]) for row in migrated.select(f"{sql} ORDER BY position", {"table": table})]
    assert [name for name in found if name not in ("stored_at", "version")] == list(columns)


def test_every_table_that_an_insert_reaches_remembers_tokens_alike() -> None:
    pattern = r"CREATE TABLE (\w+)[^;]*?non_replicated_deduplication_window = (\d+)"
    windows = dict(re.findall(pattern, current_sql()))
    others = {"derived_ids", "late_ids", "contacts", "subscriptions", "memberships", "contact_changes"}
    assert set(windows) == {*TABLES, *others}
    assert len(set(windows.values())) == 1


def test_which_server_was_used(tables: ClientTables, capsys: pytest.CaptureFixture[str]) -> None:
    tables.create_database()
    version = str(tables.select("SELECT version()")[0][0])
    assert version[0].isdigit()
    with capsys.disabled():
        print(f"\n[tables: {version}; a server of one's own: {os.environ.get(SERVER_URL_VARIABLE) or 'none'}]")

"""What both drivers share: clickhouse-connect's client behind the contract, and its errors in our terms.

Each thread has a client of its own: chDB runs one statement at a time per client.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec
from clickhouse_connect import common
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from penstock.clickhouse.contract import Parameter, Row
from penstock.clickhouse.removal import delete_rows
from penstock.errors import TablesRefused, TablesUnavailable

_RETRYABLE = frozenset(
    {
        60,  # UNKNOWN_TABLE: not migrated yet
        81,  # UNKNOWN_DATABASE: not migrated yet
        74,  # CANNOT_READ_FROM_FILE_DESCRIPTOR
        75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR
        76,  # CANNOT_OPEN_FILE
        159,  # TIMEOUT_EXCEEDED
        160,  # TOO_SLOW
        173,  # CANNOT_ALLOCATE_MEMORY
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        439,  # CANNOT_SCHEDULE_TASK
        499,  # S3_ERROR
        516,  # AUTHENTICATION_FAILED: a password may be about to change
        999,  # KEEPER_EXCEPTION
        1000,  # POCO_EXCEPTION
        1001,  # STD_EXCEPTION: a full disk shows as one
    }
)
"""ClickHouse's numbers (system.errors) after which the same statement may succeed."""

_NOT_MIGRATED = frozenset({60, 81})

_INSERT_SETTINGS = {
    "async_insert": 0,  # the answer must mean that the rows are there
    "date_time_input_format": "best_effort",  # the log's times end in Z
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "input_format_parallel_parsing": 0,  # one block, whatever the size: a token covers exactly one
    "max_insert_block_size": 2_000_000,
    "max_partitions_per_insert_block": 0,
    # chDB (4.4) takes a write that failed for one that succeeded: files stay empty, and tokens are forgotten. So an
    # insert begins only where there is room for several.
    "min_free_disk_bytes_to_perform_insert": 64 << 20,
    "optimize_on_insert": 0,
}

# Newer servers look at the first setting of each pair, older ones at the second and have the first dropped.
_DEDUPLICATED = {"deduplicate_insert": "enable", "insert_deduplicate": 1}
_NOT_DEDUPLICATED = {"deduplicate_insert": "disable", "insert_deduplicate": 0}  # else equal lines are dropped unasked

_decode_row = msgspec.json.Decoder(Row).decode


@contextmanager
def translated() -> Iterator[None]:
    """clickhouse-connect's errors as ours, by ClickHouse's number."""
    try:
        yield
    except DatabaseError as error:
        number = getattr(error, "code", None) or 0
        if number in _NOT_MIGRATED:
            raise TablesUnavailable("The tables are missing: run 'penstock migrate'") from error
        if number in _RETRYABLE or (number == 0 and isinstance(error, OperationalError)):
            raise TablesUnavailable(f"ClickHouse cannot for now (code {number})") from error
        raise TablesRefused(f"ClickHouse refused a statement: {error}", number) from error
    except ClickHouseError as error:
        raise TablesUnavailable(f"ClickHouse does not answer: {type(error).__name__}") from error
    except OSError as error:  # what chDB inserts goes through a temporary file, for which there may be no room
        raise TablesUnavailable(f"ClickHouse cannot be given the rows: {error.strerror}") from error


class ClientTables:
    """See `Tables`; on clients that `connect` makes, given the database or None for none."""

    def __init__(self, connect: Callable[[str | None], Client], database: str) -> None:
        common.set_setting("invalid_setting_action", "drop")  # of settings that the server does not know
        self._connect = connect
        self.database = database
        self._local = threading.local()
        self._clients: list[tuple[threading.Thread, Client]] = []
        self._clients_lock = threading.Lock()
        self._beside: dict[str, ClientTables] = {}

    def beside(self, database: str) -> "ClientTables":
        """The tables of another database on the same server, or in the same engine; closed together with these."""
        with self._clients_lock:
            return self._beside.setdefault(database, ClientTables(self._connect, database))

    def _client(self) -> Client:
        """This thread's client; a new one after an error."""
        client: Client | None = getattr(self._local, "client", None)
        if client is not None and not self._local.spoilt:
            return client
        fresh = self._local.client = self._connect(self.database)
        self._local.spoilt = False
        for left in self._replace(client, fresh):
            left.close()  # after the new one is open: chDB's engine goes down with its last connection
        return fresh

    def _replace(self, spoilt: Client | None, fresh: Client) -> list[Client]:
        """Keeps the one client and returns those that nobody uses any more: threads come and go."""
        with self._clients_lock:
            kept, left = [(threading.current_thread(), fresh)], []
            for thread, client in self._clients:
                if client is spoilt or not thread.is_alive():
                    left.append(client)
                else:
                    kept.append((thread, client))
            self._clients = kept
        return left

    @contextmanager
    def _borrowed(self) -> Iterator[Client]:
        """This thread's client, which is not used again after an error.

        chDB gives what a failed statement had already put out to the next one on the connection, as its first rows.
        """
        with translated():
            client = self._client()
            try:
                yield client
            except BaseException:
                self._local.spoilt = True
                raise

    def select(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[Row]:
        """See `Tables`."""
        with self._borrowed() as client:
            answer = client.raw_query(sql, parameters=dict(parameters or {}), fmt="JSONCompactEachRow")
        return [_decode_row(line) for line in answer.splitlines()]

    def insert(self, table: str, lines: bytes, *, token: str | None = None) -> None:
        """See `Tables`."""
        identity = {**_DEDUPLICATED, "insert_deduplication_token": token} if token else _NOT_DEDUPLICATED
        with self._borrowed() as client:
            client.raw_insert(table, insert_block=lines, fmt="JSONEachRow", settings={**_INSERT_SETTINGS, **identity})

    def delete(self, table: str, condition: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        """See `Tables`."""
        delete_rows(self, {table: condition}, parameters or {})

    def execute(self, statement: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        """See `Tables`."""
        with self._borrowed() as client:
            client.command(statement, parameters=dict(parameters or {}))

    def create_database(self) -> None:
        """See `Tables`."""
        with translated():
            client = self._connect(None)
            try:
                client.command(f"CREATE DATABASE IF NOT EXISTS {self.database}")
            finally:
                client.close()

    def close(self) -> None:
        """See `Tables`."""
        for tables in self._beside.values():
            tables.close()
        with self._clients_lock:
            while self._clients:
                self._clients.pop()[1].close()
        self._local = threading.local()

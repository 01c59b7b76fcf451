"""The tables in this process, on the engine that the package chdb brings.

chDB takes one directory per process, must not be forked after it was opened, and writes what it inserts through a file;
the composing module holds the data directory's lock, as a second process on it would fail without a word.
"""

from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ProgrammingError

from penstock.clickhouse.gateway import ClientTables
from penstock.errors import StartError, TablesUnavailable
from penstock.settings import ClickHouse

DIRECTORY_NAME = "tables"


def has_tables(directory: Path) -> bool:
    """Whether there are tables in `directory`; to open them makes them."""
    return (directory / DIRECTORY_NAME).exists()


def open_embedded(directory: Path, settings: ClickHouse) -> ClientTables:
    """The tables in `directory`.

    Raises:
        StartError: chDB is not installed.
    """
    try:
        import chdb  # noqa: F401, PLC0415 - an optional extra
    except ImportError as error:
        raise StartError("The embedded form needs chDB: pip install 'penstock[embedded]'.") from error
    path = str(directory / DIRECTORY_NAME)

    def connect(database: str | None) -> Client:
        try:
            return clickhouse_connect.get_client(interface="chdb", path=path, database=database)
        except (ProgrammingError, RuntimeError) as error:
            raise TablesUnavailable(f"The tables in {path} cannot be opened: {_reason(error)}") from error

    return ClientTables(connect, settings.database)


def _reason(error: Exception) -> str:
    """The one line of chDB's text that is not its own call stack; a file of another user is the usual cause."""
    line = str(error).splitlines()[0].partition(", Stack trace")[0]
    return f"{line.rpartition('e.what() = ')[2]}. Does everything there belong to this user?"

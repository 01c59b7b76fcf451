"""The tables in this process, on the engine that the package chdb brings.

chDB takes one directory per process, must not be forked after it was opened, and writes what it inserts through a file;
the composing module holds the data directory's lock, as a second process on it would fail without a word.
"""

from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from penstock.clickhouse.gateway import ClientTables
from penstock.errors import StartError
from penstock.settings import ClickHouse

DIRECTORY_NAME = "tables"


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
        return clickhouse_connect.get_client(interface="chdb", path=path, database=database)

    return ClientTables(connect, settings.database)

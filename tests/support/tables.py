"""Real tables for tests: chDB in the test process, a migrated database of its own for whoever asks.

chDB takes one path per process, so all databases of a test run share one directory, which goes when the process does.
"""

import atexit
import secrets
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from penstock.clickhouse import Tables
from penstock.clickhouse.chdb import open_embedded
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.generations import FIRST, Generation
from penstock.clickhouse.migrate import migrate_tables
from penstock.settings import ClickHouse


@cache
def _directory() -> Path:
    in_memory = Path("/dev/shm")
    path = tempfile.mkdtemp(prefix="penstock-tables-", dir=in_memory if in_memory.is_dir() else None)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


def fixed(tables: Tables) -> Callable[[], Generation]:
    """What tells a writer that `tables` are the ones to write."""
    return lambda: Generation(FIRST, tables)


def open_test_tables(*, migrated: bool = True) -> ClientTables:
    """The tables of a new database; the caller closes them."""
    tables = open_embedded(_directory(), ClickHouse(database=f"t_{secrets.token_hex(6)}"))
    if migrated:
        migrate_tables(tables)
    return tables

"""Real tables for tests: chDB in the test process, a migrated database of its own for whoever asks.

chDB takes one path per process, so all databases of a test run share one directory, which goes when the process does.
"""

import atexit
import secrets
import shutil
import tempfile
from functools import cache
from pathlib import Path

from penstock.clickhouse.chdb import open_embedded
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.migrate import migrate
from penstock.settings import ClickHouse


@cache
def _directory() -> Path:
    path = tempfile.mkdtemp(prefix="penstock-tables-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


def open_test_tables(*, migrated: bool = True) -> ClientTables:
    """The tables of a new database; the caller closes them."""
    tables = open_embedded(_directory(), ClickHouse(database=f"t_{secrets.token_hex(6)}"))
    if migrated:
        migrate(tables)
    return tables

"""Writes `schemas/clickhouse/current.sql`, what the migrations add up to, from the migrations themselves.

    python -m penstock.clickhouse.current > schemas/clickhouse/current.sql

A test compares the file with what this gives.
"""

import sys
import tempfile
from pathlib import Path

from penstock.clickhouse.chdb import open_embedded
from penstock.clickhouse.contract import Tables
from penstock.clickhouse.migrate import migrate_tables
from penstock.settings import ClickHouse

_HEAD = "-- Today's tables. Made from the migrations by `python -m penstock.clickhouse.current`; nothing reads it.\n"

# The normalised statements: without the database's name, views behind the tables that they fill.
_SELECT = """
SELECT formatQuery(replaceAll(create_table_query, concat(currentDatabase(), '.'), ''))
FROM system.tables
WHERE database = currentDatabase()
ORDER BY engine = 'MaterializedView', name
"""


def current_schema(tables: Tables) -> str:
    """The tables as they are, as text."""
    statements = [str(row[0]) for row in tables.select(_SELECT)]
    return "\n".join([_HEAD, *[f"{statement};\n" for statement in statements]])


def main() -> None:
    """Prints what the migrations make of an empty directory."""
    with tempfile.TemporaryDirectory() as directory:
        tables = open_embedded(Path(directory), ClickHouse())
        migrate_tables(tables)
        sys.stdout.write(current_schema(tables))
        tables.close()


if __name__ == "__main__":
    main()

"""Applies the DDL, once each, and records it. Services check the version and never create tables."""

import json
from dataclasses import dataclass

from penstock.clickhouse.contract import Tables
from penstock.errors import TablesUnavailable
from schemas.clickhouse import Migration, migrations

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32,
    name String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY version
"""


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """What `migrate` did, or would do.

    Attributes:
        applied: the versions that were missing, in order.
        version: the newest version that the tables then have.
    """

    applied: list[Migration]
    version: int


def applied_versions(tables: Tables) -> set[int]:
    """The versions that are recorded; none where the database or the record is missing."""
    try:
        return {int(str(row[0])) for row in tables.select("SELECT version FROM schema_migrations")}
    except TablesUnavailable as error:
        if "penstock migrate" in error.message:
            return set()
        raise


def migrate(tables: Tables, *, dry_run: bool = False) -> MigrationResult:
    """Applies what is missing, in order.

    A migration is recorded after its last statement; its statements are idempotent, so one that was interrupted is
    applied again as a whole.

    Raises:
        TablesUnavailable, TablesRefused: as far as it came, it is recorded.
    """
    known = migrations()
    present = applied_versions(tables)
    missing = [migration for migration in known if migration.version not in present]
    if not dry_run and missing:
        tables.create_database()
        tables.execute(_TABLE)
        for migration in missing:
            for statement in migration.statements:
                tables.execute(statement)
            line = json.dumps({"version": migration.version, "name": migration.name})
            tables.insert("schema_migrations", line.encode())
    return MigrationResult(missing, known[-1].version)


def check_version(tables: Tables) -> None:
    """Whether the tables are as this version needs them.

    Raises:
        TablesUnavailable: they are not, or do not answer.
    """
    missing = {migration.version for migration in migrations()} - applied_versions(tables)
    if missing:
        raise TablesUnavailable(f"Migrations {sorted(missing)} are not applied: run 'penstock migrate'")

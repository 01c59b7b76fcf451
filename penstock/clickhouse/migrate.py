"""Applies the DDL, once each, and records it. Services check the version and never create tables."""

import json
from dataclasses import dataclass

from penstock.clickhouse.contract import Tables
from penstock.clickhouse.generations import FIRST, Generations
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


def migrate(generations: Generations, *, dry_run: bool = False) -> MigrationResult:
    """Applies what is missing, in order, to the first tables and to those that are live.

    A migration is recorded after its last statement; its statements are idempotent, so one that was interrupted is
    applied again as a whole.

    Raises:
        TablesUnavailable, TablesRefused: as far as it came, it is recorded.
    """
    first = generations.get(FIRST).tables
    live = generations.live() if applied_versions(first) else generations.get(FIRST)
    if live.number != FIRST:
        if not dry_run and _missing(first):
            repeat_migrations(first)  # its tables went when others took their place; a later migration alters them
        migrate_tables(first, dry_run=dry_run)
    return migrate_tables(live.tables, dry_run=dry_run)


def migrate_tables(tables: Tables, *, dry_run: bool = False) -> MigrationResult:
    """The same for one database."""
    known = migrations()
    present = applied_versions(tables)
    missing = [migration for migration in known if migration.version not in present]
    if not dry_run and missing:
        tables.create_database()
        tables.execute(_TABLE)
        repeat_migrations(tables)  # a rebuild drops tables of the first generation, which later statements name
        for migration in missing:
            for statement in migration.statements:
                tables.execute(statement)
            line = json.dumps({"version": migration.version, "name": migration.name})
            tables.insert("schema_migrations", line.encode())
    return MigrationResult(missing, known[-1].version)


def repeat_migrations(tables: Tables) -> None:
    """Runs what is recorded as applied once more: it makes the tables and views that are missing."""
    applied = applied_versions(tables)
    for migration in migrations():
        if migration.version in applied:
            for statement in migration.statements:
                tables.execute(statement)


def check_version(generations: Generations) -> None:
    """Whether the live tables are as this version needs them.

    Raises:
        TablesUnavailable: they are not, or do not answer.
    """
    missing = _missing(generations.get(FIRST).tables) or _missing(generations.live().tables)
    if missing:
        raise TablesUnavailable(f"Migrations {sorted(missing)} are not applied: run 'penstock migrate'")


def _missing(tables: Tables) -> set[int]:
    return {migration.version for migration in migrations()} - applied_versions(tables)

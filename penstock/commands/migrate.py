"""`penstock migrate`: the tables and topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from penstock.commands.options import AsJson, ConfigFile, DataDir, settings_of, show
from penstock.opening import is_locked, is_scaled_out, locked_directory, make_tables
from penstock.settings import Settings

if TYPE_CHECKING:
    from penstock.clickhouse.migrate import MigrationResult


def _migrate_tables(settings: Settings, dry_run: bool) -> MigrationResult:
    from penstock.clickhouse.generations import Generations
    from penstock.clickhouse.migrate import migrate

    tables = make_tables(settings)
    try:
        return migrate(Generations(tables), dry_run=dry_run)
    finally:
        tables.close()


def _migrate_embedded(settings: Settings, dry_run: bool) -> MigrationResult:
    from penstock.clickhouse.chdb import has_tables
    from penstock.clickhouse.migrate import MigrationResult
    from schemas.clickhouse import migrations

    if is_locked(settings.data_dir):  # a running server migrated when it started, and holds the only way to the tables
        return MigrationResult([], 0)
    if dry_run and not has_tables(settings.data_dir):  # to look would make them
        return MigrationResult(migrations(), 0)
    with locked_directory(settings.data_dir):
        return _migrate_tables(settings, dry_run)


def migrate_command(
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would be done."),
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Apply what is missing of the tables and topics. Twice changes nothing."""
    settings = settings_of(config, data_dir)
    topics: list[str] = []
    if is_scaled_out(settings):
        from penstock.eventlog.kafka import create_topics

        topics = create_topics(settings.kafka, dry_run=dry_run)
        result = _migrate_tables(settings, dry_run)
    else:
        result = _migrate_embedded(settings, dry_run)
    names = [f"{migration.version:04d}_{migration.name}" for migration in result.applied]
    done = "Would apply" if dry_run else "Applied"
    text = "\n".join([f"{done} {name}" for name in (*topics, *names)]) or "Nothing to do: all is up to date."
    show({"topics": topics, "migrations": names, "dryRun": dry_run}, as_json, text)

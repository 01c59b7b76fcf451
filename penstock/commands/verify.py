"""`penstock verify`: whether log, tables and counters agree."""

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from penstock.commands.options import AsJson, ConfigFile, DataDir, settings_of, show, show_table
from penstock.commands.watching import watching

_FAULTS = ("missing", "double", "orphaned")


def verify_command(data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Compare log, tables and counters, event by event. Exit 0 only where all agree."""
    from penstock.operating import operate
    from penstock.operations import OPERATIONS

    settings = settings_of(config, data_dir)
    with watching() as report:
        found = operate(settings, OPERATIONS, "verify", {}, report)
    if as_json:
        show(found, as_json, "")
    else:
        _show(found)
    if not found["ok"]:
        raise typer.Exit(1)


def _show(found: Mapping[str, Any]) -> None:
    show_table(_log_rows(found), False, "The log has no partitions.")
    typer.echo()
    show_table(_table_rows(found), False, "")
    typer.echo()
    for example in found["examples"]:
        place = "/".join(str(example[part]) for part in ("partition", "offset", "index") if example[part] is not None)
        typer.echo(f"{example['what']}: {place} {example['id']}")
    seconds = f"({found['seconds']:.1f} s)"
    if waiting := found["waitingRecords"]:
        typer.echo(f"{waiting:,} records of the log are not in the tables yet, and were not compared.")
    if found["ok"]:
        typer.echo(f"Log, tables and counters agree{' up to there' if waiting else ''}. {seconds}")
    else:
        counts = ", ".join(f"{found[fault]:,} {fault}" for fault in _FAULTS)
        typer.echo(f"They do not agree: {counts}. The tables can be made anew from the log. {seconds}")


def _log_rows(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for part in found["partitions"]:
        yield {
            "partition": part["partition"],
            "through": part["through"],
            "waiting": part["waitingRecords"],
            "in log": part["inLog"],
            "dead": part["deadLetters"],
            "repeated": part["repeated"],
            "deleted": part["deleted"],
            "emitted": part["emitted"],
        }


def _table_rows(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for part in found["partitions"]:
        yield _row("events", part)
    for projection in (*found["projections"], found["derivedIds"]):
        for part in projection["partitions"]:
            yield _row(projection["name"], part)


def _row(table: str, part: Mapping[str, Any]) -> dict[str, Any]:
    return {"table": table, **{name: part[name] for name in ("partition", "stored", *_FAULTS)}}

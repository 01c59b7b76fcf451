"""`penstock dead-letters`: what could not be processed."""

from base64 import b64decode
from typing import Annotated, Any

import msgspec
import typer

from penstock.commands.options import AsJson, ConfigFile, DataDir, settings_of, show, show_table
from penstock.errors import StartError
from penstock.eventlog import EventLog
from penstock.opening import opened_log
from schemas.topics import Topic

app = typer.Typer(no_args_is_help=True, help="Look at what could not be processed.")

_POLL_BYTES = 4 << 20


def _letters(log: EventLog) -> dict[str, dict[str, Any]]:
    """All dead letters by key, oldest first; one that was set aside twice counts once."""
    tail = log.tail(Topic.DEAD_LETTER, {0: 0})
    found: dict[str, dict[str, Any]] = {}
    try:
        end, reached = tail.ends()[0], 0
        while reached < end:
            records = tail.poll(timeout_seconds=2, max_bytes=_POLL_BYTES)
            for record in records:
                found.setdefault(record.key or "", msgspec.json.decode(record.value or b"{}"))
            reached = records[-1].offset + 1 if records else end
    finally:
        tail.close()
    return found


@app.command("list")
def list_(data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List dead letters, oldest first."""
    with opened_log(settings_of(config, data_dir)) as log:
        letters = _letters(log)
    rows = [
        {"id": key, "deadAt": letter["deadAt"], "bytes": len(b64decode(letter["value"])), "reason": letter["reason"]}
        for key, letter in letters.items()
    ]
    show_table(rows, as_json, "No dead letters.")


@app.command("show")
def show_(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As 'dead-letters list' shows it.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter with its original bytes (base64 in --json)."""
    with opened_log(settings_of(config, data_dir)) as log:
        letter = _letters(log).get(letter_id)
    if letter is None:
        raise StartError(f"There is no dead letter {letter_id!r}; 'penstock dead-letters list' shows all.")
    original = b64decode(letter["value"]).decode(errors="backslashreplace")
    head = "\n".join(
        f"{name:<10} {letter[name]}" for name in ("topic", "partition", "offset", "index", "reason", "deadAt")
    )
    show({"id": letter_id, **letter}, as_json, f"{head}\n\n{original}")

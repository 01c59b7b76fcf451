"""`penstock dead-letters`: what could not be processed."""

from base64 import b64decode
from typing import Annotated

import typer

from consumers.letters import read_letters
from penstock.commands.options import AsJson, ConfigFile, DataDir, settings_of, show, show_table
from penstock.errors import StartError
from penstock.opening import opened_log

app = typer.Typer(no_args_is_help=True, help="Look at what could not be processed.")


@app.command("list")
def list_(data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List dead letters, oldest first."""
    with opened_log(settings_of(config, data_dir)) as log:
        letters = read_letters(log)
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
        letter = read_letters(log).get(letter_id)
    if letter is None:
        raise StartError(f"There is no dead letter {letter_id!r}; 'penstock dead-letters list' shows all.")
    original = b64decode(letter["value"]).decode(errors="backslashreplace")
    head = "\n".join(
        f"{name:<10} {letter[name]}" for name in ("topic", "partition", "offset", "index", "reason", "deadAt")
    )
    show({"id": letter_id, **letter}, as_json, f"{head}\n\n{original}")

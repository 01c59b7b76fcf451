"""`penstock dead-letters`: what could not be processed, and sending it through once more."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.commands.options import AsJson, ConfigFile, DataDir, settings_of, show, show_table
from penstock.commands.watching import watching
from penstock.errors import StartError
from penstock.opening import opened_log

if TYPE_CHECKING:
    from consumers.letters import StoredLetter

app = typer.Typer(no_args_is_help=True, help="Look at what could not be processed, and send it through once more.")


def _listed(key: str, letter: StoredLetter) -> dict[str, Any]:
    state = "replayed" if letter.replayedAt else "dead"
    return {"id": key, "deadAt": letter.deadAt, "bytes": len(letter.value), "state": state, "reason": letter.reason}


@app.command("list")
def list_(data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List dead letters, oldest first."""
    from consumers.letters import read_letters

    with opened_log(settings_of(config, data_dir)) as log:
        letters = read_letters(log)
    show_table([_listed(key, letter) for key, letter in letters.items()], as_json, "No dead letters.")


@app.command("show")
def show_(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As 'dead-letters list' shows it.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter with its original bytes (base64 in --json)."""
    from consumers.letters import read_letters

    with opened_log(settings_of(config, data_dir)) as log:
        letter = read_letters(log).get(letter_id)
    if letter is None:
        raise StartError(f"There is no dead letter {letter_id!r}; 'penstock dead-letters list' shows all.")
    facts = {
        "id": letter_id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "index": letter.index,
        "reason": letter.reason,
        "deadAt": letter.deadAt,
    }
    if letter.replayedAt:
        facts |= {"replayedAt": letter.replayedAt, "replayedOffset": letter.replayedOffset}
    head = "\n".join(f"{name:<15} {'-' if fact is None else fact}" for name, fact in facts.items())
    show({**facts, "value": b64encode(letter.value).decode()}, as_json, f"{head}\n\n{_printable(letter.value)}")


def _printable(value: bytes) -> str:
    """The bytes as text; what a terminal would obey is escaped."""
    text = value.decode(errors="backslashreplace")
    return "".join([one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text])


@app.command("replay")
def replay(
    letter_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", help="As 'dead-letters list' says.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that were not replayed yet, as without any ID.")] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Put what can be processed by now into the log once more. It counts once, however often it is asked for."""
    if letter_ids and every:
        raise typer.BadParameter("name dead letters, or say --all, not both")
    from penstock.operating import operate
    from penstock.operations import OPERATIONS

    settings = settings_of(config, data_dir)
    arguments = {"ids": letter_ids or []}
    with watching() as report:
        result = operate(settings, OPERATIONS, "replay dead letters", arguments, report)
    outcomes = result["letters"]
    lines = [
        f"{one['id']}  {one['status']}{': ' if 'reason' in one else ''}{one.get('reason', '')}" for one in outcomes
    ]
    show(result, as_json, "\n".join(lines) or "No dead letters to replay.")
    if refused := sum("reason" in one for one in outcomes):
        raise StartError(f"{refused} of {len(outcomes)} dead letters are still refused; nothing was done with those.")

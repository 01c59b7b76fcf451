"""`penstock rebuild`: the tables anew, from the log."""

from typing import Annotated, Any

import typer

from penstock.commands.options import AsJson, ConfigFile, DataDir, settings_of, show
from penstock.commands.watching import watching


def rebuild_command(
    only: Annotated[str | None, typer.Option("--only", metavar="NAME", help="Only this projection.")] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the tables anew from the log, compare them with the live ones, put them in their place. Reads go on."""
    from penstock.operating import operate
    from penstock.operations import OPERATIONS

    settings = settings_of(config, data_dir)
    with watching() as report:
        result = operate(settings, OPERATIONS, "rebuild", {"only": only}, report)
    show(result, as_json, _text(result))


def _text(result: dict[str, Any]) -> str:
    head = (
        f"Replayed {result['records']:,} records with {result['events']:,} events in {result['seconds']:.1f} s; "
        f"writers were held off for {result['heldSeconds']:.1f} s. Generation {result['generation']} is live."
    )
    lines = [
        f"  {one['table']:<20} {one['missing']:>10,} missing {one['surplus']:>10,} surplus"
        for one in result["differences"]
    ]
    return "\n".join([head, "What the tables before it had wrong:", *lines])

"""The options that every subcommand has, and how a command says what it found."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from penstock.settings import CONFIG_VARIABLE, PREFIX, Settings, hint, load, unknown_variables
from penstock.telemetry import configure_logging

_log = structlog.get_logger(__name__)

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where the embedded form keeps everything.", envvar=f"{PREFIX}DATA_DIR"),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A TOML file with settings; the environment goes before it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Host = Annotated[str, typer.Option("--host", help="Address to listen on.")]
MAX_PORT = 65_535
PORT_VARIABLE = "PORT"
"""As platforms that run containers name it; the image's health check reads it too."""
Port = Annotated[
    int,
    typer.Option("--port", min=0, max=MAX_PORT, help="Port to listen on; 0: any that is free.", envvar=PORT_VARIABLE),
]
ProjectId = Annotated[str, typer.Option("--project", help="Id of the project.")]


def settings_of(config: Path | None, data_dir: Path | None, *, only_known: bool = False) -> Settings:
    """The effective settings, options before environment before file.

    Args:
        only_known: see `load`; without it, variables that are no settings are told of on stderr.

    Raises:
        StartError: they are not valid.
    """
    if config is not None:
        os.environ[CONFIG_VARIABLE] = str(config)
    settings = load(only_known=only_known)
    configure_logging(settings.log.model_copy(update={"level": "warning"}))  # a server says more, by its own settings
    if unknown := unknown_variables(os.environ):
        names = [name + hint(similar) for name, similar in unknown.items()]
        _log.warning("variables that are no settings are ignored", variables=", ".join(names))
    return settings if data_dir is None else settings.model_copy(update={"data_dir": data_dir})


def show(result: Mapping[str, Any], as_json: bool, text: str) -> None:
    """One result, as JSON or as text."""
    typer.echo(json.dumps(result) if as_json else text)


def show_table(rows: Iterable[Mapping[str, Any]], as_json: bool, empty: str) -> None:
    """A list, as a JSON array or as aligned columns."""
    listed = list(rows)
    if as_json:
        typer.echo(json.dumps(listed))
    elif not listed:
        typer.echo(empty)
    else:
        _columns(listed)


def _columns(rows: list[Mapping[str, Any]]) -> None:
    names = list(rows[0])
    cells = [names, *[[str(row[name]) for name in names] for row in rows]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

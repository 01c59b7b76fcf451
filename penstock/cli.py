"""The command `penstock`: exit 0 fine, 1 failed, 2 wrong usage; no stack trace for an expected error."""

import sys
from typing import Annotated

import typer

from penstock import __version__
from penstock.commands import config, dead_letters, key, project, serve, topic_arn
from penstock.commands.migrate import migrate_command
from penstock.commands.rebuild import rebuild_command
from penstock.commands.trace import trace_command
from penstock.commands.verify import verify_command
from penstock.errors import PenstockError

app = typer.Typer(
    name="penstock",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Self-hosted event tracking: an acknowledged event is never lost and never counted twice.",
)
app.command()(serve.up)
app.command()(serve.ingest)
app.command()(serve.consume)
app.command()(serve.query)
app.command("migrate")(migrate_command)
app.command("rebuild")(rebuild_command)
app.command("verify")(verify_command)
app.command("trace")(trace_command)
app.add_typer(project.app, name="project")
app.add_typer(key.app, name="key")
app.add_typer(topic_arn.app, name="topic-arn")
app.add_typer(config.app, name="config")
app.add_typer(dead_letters.app, name="dead-letters")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"penstock {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Self-hosted event tracking: an acknowledged event is never lost and never counted twice."""


def main() -> None:
    """Runs the command line."""
    try:
        app()
    except PenstockError as error:
        typer.echo(f"penstock: {getattr(error, 'message', None) or error}", err=True)
        sys.exit(1)

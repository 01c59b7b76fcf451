"""`penstock key`: make, list and revoke keys."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from penstock.clock import SystemClock
from penstock.commands.options import AsJson, ConfigFile, DataDir, ProjectId, settings_of, show, show_table
from penstock.control import read_all
from penstock.opening import opened_log
from penstock.projects import create_key, find_project, revoke_key
from schemas.control import ApiKey

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke keys.")


class Kind(StrEnum):
    """What a key may do: public ones track, secret ones track and read."""

    public = "public"
    secret = "secret"  # noqa: S105 - a word


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "prefix": key.prefix,
        "kind": key.kind,
        "projectId": key.project_id,
        "createdAt": key.created_at,
        "revokedAt": key.revoked_at,
    }


@app.command()
def create(
    project: ProjectId,
    kind: Annotated[Kind, typer.Option("--kind", help="Public keys track, secret ones read as well.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make one more key; it is shown this once."""
    with opened_log(settings_of(config, data_dir)) as log:
        made = create_key(log, project, kind.value, SystemClock().now_ms())
    show({"key": made.text, **_shown(made.record)}, as_json, f"{made.text}\nThe key is not shown again.")


@app.command("list")
def list_(
    project: Annotated[str | None, typer.Option("--project", help="Only this project's keys.")] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List keys by their first characters; the keys themselves are kept nowhere."""
    with opened_log(settings_of(config, data_dir)) as log:
        ring = read_all(log)
    keys = ring.keys(None if project is None else find_project(ring, project).id)
    show_table([_shown(key) for key in keys], as_json, "No keys.")


@app.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="The key's first characters, as 'key list' shows them.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key; every process refuses it within 5 seconds."""
    with opened_log(settings_of(config, data_dir)) as log:
        revoked = revoke_key(log, prefix, SystemClock().now_ms())
    show(_shown(revoked), as_json, f"The key {revoked.prefix}… is revoked.")

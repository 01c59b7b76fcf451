"""`penstock project`: make, list, disable and enable projects."""

from typing import Annotated, Any

import typer

from penstock.clock import SystemClock
from penstock.commands.options import AsJson, ConfigFile, DataDir, settings_of, show, show_table
from penstock.control import read_all
from penstock.opening import opened_log
from penstock.projects import create_project, set_enabled
from schemas.control import Project

app = typer.Typer(no_args_is_help=True, help="Make, list, disable and enable projects.")


def _shown(project: Project) -> dict[str, Any]:
    return {
        "projectId": project.id,
        "name": project.name,
        "enabled": project.enabled,
        "createdAt": project.created_at,
    }


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Its name.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a project and its two keys, which are shown this once."""
    with opened_log(settings_of(config, data_dir)) as log:
        made = create_project(log, name, SystemClock().now_ms())
    result = {
        "projectId": made.project.id,
        "name": made.project.name,
        "publicKey": made.public.text,
        "secretKey": made.secret.text,
    }
    text = (
        f"Project     {made.project.name} ({made.project.id})\n"
        f"Public key  {made.public.text}   (tracks events)\n"
        f"Secret key  {made.secret.text}   (tracks and reads; keep it)\n"
        "The keys are not shown again."
    )
    show(result, as_json, text)


@app.command("list")
def list_(data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List all projects."""
    with opened_log(settings_of(config, data_dir)) as log:
        projects = read_all(log).projects()
    show_table([_shown(project) for project in projects], as_json, "No projects. 'penstock project create NAME'.")


@app.command()
def disable(
    project_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the project.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a project's writes; its reads still work."""
    with opened_log(settings_of(config, data_dir)) as log:
        project = set_enabled(log, project_id, enabled=False)
    show(_shown(project), as_json, f"Project {project.id} is disabled.")


@app.command()
def enable(
    project_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the project.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take a project's writes again."""
    with opened_log(settings_of(config, data_dir)) as log:
        project = set_enabled(log, project_id, enabled=True)
    show(_shown(project), as_json, f"Project {project.id} is enabled.")

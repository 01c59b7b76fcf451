"""`penstock topic-arn`: the SNS topics whose messages are a project's."""

from typing import Annotated, Any

import typer

from penstock.clock import SystemClock
from penstock.commands.options import AsJson, ConfigFile, DataDir, ProjectId, settings_of, show, show_table
from penstock.control import read_all
from penstock.opening import opened_log
from penstock.projects import add_topic, find_project, remove_topic
from schemas.control import SnsTopic

app = typer.Typer(no_args_is_help=True, help="Register SNS topics, whose messages /webhooks/sns takes.")

Arn = Annotated[str, typer.Argument(metavar="ARN", help="arn:aws:sns:<region>:<account>:<name>")]


def _shown(topic: SnsTopic) -> dict[str, Any]:
    return {"topicArn": topic.arn, "projectId": topic.project_id, "createdAt": topic.created_at}


@app.command()
def add(
    project: ProjectId, arn: Arn, data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Take the messages of a topic for a project; every process does within 5 seconds."""
    with opened_log(settings_of(config, data_dir)) as log:
        added = add_topic(log, project, arn, SystemClock().now_ms())
    show(_shown(added), as_json, f"The messages of {added.arn} are those of project {added.project_id}.")


@app.command("list")
def list_(
    project: Annotated[str | None, typer.Option("--project", help="Only this project's topics.")] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the topics."""
    with opened_log(settings_of(config, data_dir)) as log:
        ring = read_all(log)
    topics = ring.topics(None if project is None else find_project(ring, project).id)
    show_table([_shown(topic) for topic in topics], as_json, "No topics.")


@app.command()
def remove(arn: Arn, data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Refuse the messages of a topic; every process does within 5 seconds."""
    with opened_log(settings_of(config, data_dir)) as log:
        removed = remove_topic(log, arn)
    show(_shown(removed), as_json, f"The messages of {removed.arn} are refused.")

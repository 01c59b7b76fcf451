"""`penstock trace`: where an event is."""

from typing import Annotated, Any
from uuid import UUID

import typer

from penstock.commands.options import AsJson, ConfigFile, DataDir, settings_of, show
from penstock.commands.watching import watching


def trace_command(
    event_id: Annotated[UUID, typer.Argument(metavar="ID", help="The event's id, as its write answered it.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Say where an event is: accepted, in the log, in the tables; or why it is not. Looks in all projects."""
    from penstock.operating import operate
    from penstock.operations import OPERATIONS

    settings = settings_of(config, data_dir)
    with watching() as report:
        found = operate(settings, OPERATIONS, "trace", {"id": str(event_id)}, report)
    show(found, as_json, "\n".join(f"{name:<10} {text}" for name, text in _told(found).items() if text))


def _told(found: dict[str, Any]) -> dict[str, str]:
    log, stored, letter = found["log"], found.get("stored", {}), found.get("deadLetter", {})
    index = f", event {log['index']} of its record" if "index" in log else ""
    batch = f", with offsets {stored['firstOffset']} to {stored['lastOffset']}" if "firstOffset" in stored else ""
    return {
        "Event": found["id"],
        "Status": found["status"],
        "Name": found.get("name", ""),
        "Project": found["projectId"],
        "Contact": found.get("contactId", ""),
        "Accepted": found.get("acceptedAt", ""),
        "Log": f"topic {log['topic']}, partition {log['partition']}, offset {log['offset']}{index}",
        "Position": found["position"],
        "Stored": f"{stored['at']}{batch}" if stored else "",
        "Visible": f"since {found['visibleAt']}" if "visibleAt" in found else "",
        "Dead": f"since {letter['deadAt']}: {letter['reason']}" if letter else "",
        "Letter": letter.get("id", ""),
    }

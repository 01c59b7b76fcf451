"""An event as clients see it, wherever it is told of: in lists, and in what is sent to endpoints."""

from collections.abc import Sequence

import msgspec

_NULL = msgspec.Raw(b"null")


def event_members(row: Sequence[object]) -> dict[str, object]:
    """The members of an event, of a row of the tables.

    Args:
        row: its id, name, data, project, contact, the mail's id, when it happened; and the contact's address, where the
            event is told with its contact.
    """
    event_id, name, data, project_id, contact_id, email_id, occurred_at, *email = row
    members: dict[str, object] = {
        "id": event_id,
        "name": name,
        "data": msgspec.Raw(str(data).encode()) if data else _NULL,
        "projectId": project_id,
        "contactId": contact_id,
        "emailId": email_id or None,
        "createdAt": wire_time(occurred_at),
    }
    if email:
        members["contact"] = {"email": email[0]} if email[0] else None
    return members


def wire_time(occurred_at: object) -> str:
    """`2026-11-23 07:00:00.000`, as the tables write UTC, in ISO 8601."""
    return str(occurred_at).replace(" ", "T") + "Z"

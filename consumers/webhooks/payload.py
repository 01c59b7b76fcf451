"""What is sent: the event as the tables have it, as clients see it in lists. Pure, but for looking it up again."""

from collections.abc import Sequence

import msgspec

from consumers.webhooks.planning import EVENT_COLUMNS
from penstock.clickhouse import Selectable
from penstock.clickhouse.contract import Parameter
from penstock.deliveries import Delivery
from schemas.event_row import event_members, wire_time
from schemas.tables import EVENTS

_EVENT = f"""
SELECT {EVENT_COLUMNS} FROM {EVENTS}
WHERE project_id = {{project:UUID}} AND occurred_at = fromUnixTimestamp64Milli({{occurred:Int64}}, 'UTC')
    AND id = {{event:UUID}}
LIMIT 1
SETTINGS max_threads = 1
"""  # noqa: S608 - constants

_encode = msgspec.json.encode


def payload(row: Sequence[object]) -> bytes:
    """The body, of a row with `EVENT_COLUMNS`."""
    return _encode({"type": row[1], "timestamp": wire_time(row[6]), "data": event_members(row)})


def event_of(tables: Selectable, delivery: Delivery) -> Sequence[object] | None:
    """The event's row; None where it was deleted, or its contact erased.

    Raises:
        TablesUnavailable: see `Selectable`.
    """
    values: dict[str, Parameter] = {
        "project": delivery.project_id,
        "occurred": delivery.occurred_ms,
        "event": delivery.event_id,
    }
    rows = tables.select(_EVENT, values)
    return rows[0] if rows else None

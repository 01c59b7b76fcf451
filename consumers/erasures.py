"""Carries out erasures of contacts: what stands before their records goes, from every table that is read.

Those that stand together in the log are carried out together: nothing stands between them, so what is before the first
is before all. Repeating it is safe, at any later time and by anyone: it names an offset, so it cannot touch what came
after it. What the contacts' events had been counted for is taken off by rows with a token, so it is taken off once. The
rows by which they are found, `events_by_contact`, go last: while one of them is left, nothing that they tell of is
forgotten.
"""

# ruff: noqa: S608 - what callers choose are parameters; only names of ours stand in the text

from collections.abc import Sequence

import msgspec

from penstock.clickhouse import Tables
from penstock.clickhouse.contract import Parameter
from penstock.clickhouse.removal import delete_rows
from schemas.erasure import Erasure
from schemas.tables import (
    CONTACT_CHANGES,
    CONTACTS,
    DEAD_LETTERS,
    ERASURES,
    EVENT_COUNTS,
    EVENTS,
    EVENTS_BY_CONTACT,
    EVENTS_BY_NAME,
    MEMBERSHIPS,
    SUBSCRIPTIONS,
)

_OF_CONTACTS = (
    "project_id IN {projects:Array(UUID)} AND contact_id IN {contacts:Array(UUID)}"
    " AND log_partition = {partition:UInt16} AND log_offset < {offset:UInt64}"
)
_WHILE_IT_LASTED = (  # the sort keys of these tables have the time, and not the contact
    " AND occurred_at >= fromUnixTimestamp64Milli({first_ms:Int64}, 'UTC')"
    " AND occurred_at <= fromUnixTimestamp64Milli({last_ms:Int64}, 'UTC')"
)
_OF_ADDRESSES = (
    "project_id IN {projects:Array(UUID)} AND email IN {emails:Array(String)} AND contact_id IN {contacts:Array(UUID)}"
    " AND last_offset < {offset:UInt64}"
)

_CONDITIONS = {
    EVENTS: _OF_CONTACTS + _WHILE_IT_LASTED,
    EVENTS_BY_NAME: _OF_CONTACTS + _WHILE_IT_LASTED,
    CONTACTS: _OF_ADDRESSES,
    SUBSCRIPTIONS: _OF_CONTACTS,
    MEMBERSHIPS: _OF_CONTACTS,
    CONTACT_CHANGES: _OF_CONTACTS,
    DEAD_LETTERS: _OF_CONTACTS,
}
"""What goes first, side by side."""

_LASTED = f"""
SELECT count(), toUnixTimestamp64Milli(min(occurred_at)), toUnixTimestamp64Milli(max(occurred_at))
FROM {EVENTS_BY_CONTACT} WHERE {_OF_CONTACTS}
"""

# As the view `event_counts_view` counts them.
_COUNTED = f"""
SELECT
    toString(project_id),
    unit_seconds,
    if(unit_seconds = 0, 0, intDiv(minute * 60, unit_seconds) * unit_seconds) AS start,
    name,
    sum(events)
FROM
(
    SELECT project_id, intDiv(toUInt32(toDateTime(occurred_at, 'UTC')), 60) AS minute, name, count() AS events
    FROM {EVENTS_BY_CONTACT} WHERE {_OF_CONTACTS}
    GROUP BY project_id, minute, name
)
ARRAY JOIN [0, 86400, 3600, 60] AS unit_seconds
GROUP BY project_id, unit_seconds, start, name
"""


def erase_before(tables: Tables, erasures: Sequence[Erasure], partition: int, offset: int, token: str) -> int:
    """Removes contacts and their events that stand before `offset`; returns how many events were left of them.

    Args:
        erasures: from `offset` on, with nothing between them.
        token: the identity of the insert that takes off what was counted.

    Raises:
        TablesUnavailable: not known how far it came; repeat it.
    """
    of_contacts: dict[str, Parameter] = {
        "projects": sorted({erasure.project_id for erasure in erasures}),
        "contacts": sorted({erasure.contact_id for erasure in erasures}),
        "partition": partition,
        "offset": offset,
    }
    _state(tables, erasures, partition, offset)
    events, first_ms, last_ms = (int(str(value)) for value in tables.select(_LASTED, of_contacts)[0])
    if events:
        _take_off(tables, of_contacts, token)
    emails = sorted({erasure.email for erasure in erasures})
    values = {**of_contacts, "emails": emails, "first_ms": first_ms, "last_ms": last_ms}
    delete_rows(tables, _CONDITIONS, values)
    delete_rows(tables, {EVENTS_BY_CONTACT: _OF_CONTACTS}, values)
    return events


def _state(tables: Tables, erasures: Sequence[Erasure], partition: int, offset: int) -> None:
    rows = [
        {
            "id": erasure.id,
            "project_id": erasure.project_id,
            "contact_id": erasure.contact_id,
            "log_partition": partition,
            "log_offset": offset + number,
        }
        for number, erasure in enumerate(erasures)
    ]
    tables.insert(ERASURES, b"\n".join(map(msgspec.json.encode, rows)))


def _take_off(tables: Tables, of_contacts: dict[str, Parameter], token: str) -> None:
    rows = [
        {
            "project_id": project,
            "unit_seconds": unit_seconds,
            "start": int(str(start)),
            "name": name,
            "log_partition": of_contacts["partition"],
            "last_offset": of_contacts["offset"],
            "count": -int(str(events)),
        }
        for project, unit_seconds, start, name, events in tables.select(_COUNTED, of_contacts)
    ]
    tables.insert(EVENT_COUNTS, b"\n".join(map(msgspec.json.encode, rows)), token=token)

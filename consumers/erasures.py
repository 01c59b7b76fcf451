"""Carries out the erasure of a contact: what stands before its record goes, from every table that is read.

Repeating it is safe, at any later time and by anyone: it names an offset, so it cannot touch what came after it. What
the contact's events had been counted for is taken off by rows with a token, so it is taken off once. The rows by which
they are found, `events_by_contact`, go last: while one of them is left, nothing that they tell of is forgotten.
"""

# ruff: noqa: S608 - what callers choose are parameters; only names of ours stand in the text

import msgspec

from penstock.clickhouse import Tables
from penstock.clickhouse.contract import Parameter
from schemas.erasure import Erasure
from schemas.tables import (
    CONTACTS,
    DEAD_LETTERS,
    ERASURES,
    EVENT_COUNTS,
    EVENTS,
    EVENTS_BY_CONTACT,
    EVENTS_BY_NAME,
    SUBSCRIPTIONS,
)

_OF_CONTACT = (
    "project_id = {project:UUID} AND contact_id = {contact:UUID}"
    " AND log_partition = {partition:UInt16} AND log_offset < {offset:UInt64}"
)
_WHILE_IT_LASTED = (  # the sort keys of these tables have the time, and not the contact
    " AND occurred_at >= fromUnixTimestamp64Milli({first_ms:Int64}, 'UTC')"
    " AND occurred_at <= fromUnixTimestamp64Milli({last_ms:Int64}, 'UTC')"
)
_OF_ADDRESS = "project_id = {project:UUID} AND email = {email:String} AND last_offset < {offset:UInt64}"

_LASTED = f"""
SELECT count(), toUnixTimestamp64Milli(min(occurred_at)), toUnixTimestamp64Milli(max(occurred_at))
FROM {EVENTS_BY_CONTACT} WHERE {_OF_CONTACT}
"""

# As the view `event_counts_view` counts them.
_COUNTED = f"""
SELECT
    unit_seconds,
    if(unit_seconds = 0, 0, intDiv(minute * 60, unit_seconds) * unit_seconds) AS start,
    name,
    sum(events)
FROM
(
    SELECT intDiv(toUInt32(toDateTime(occurred_at, 'UTC')), 60) AS minute, name, count() AS events
    FROM {EVENTS_BY_CONTACT} WHERE {_OF_CONTACT}
    GROUP BY minute, name
)
ARRAY JOIN [0, 86400, 3600, 60] AS unit_seconds
GROUP BY unit_seconds, start, name
"""


def erase_before(tables: Tables, erasure: Erasure, partition: int, offset: int, token: str) -> int:
    """Removes the contact and its events that stand before `offset`; returns how many events were left of it.

    Args:
        token: the identity of the insert that takes off what was counted.

    Raises:
        TablesUnavailable: not known how far it came; repeat it.
    """
    of_contact: dict[str, Parameter] = {
        "project": erasure.project_id,
        "contact": erasure.contact_id,
        "partition": partition,
        "offset": offset,
    }
    _state(tables, erasure, partition, offset)
    events, first_ms, last_ms = (int(str(value)) for value in tables.select(_LASTED, of_contact)[0])
    if events:
        _take_off(tables, erasure, of_contact, token)
        lasted = {**of_contact, "first_ms": first_ms, "last_ms": last_ms}
        tables.delete(EVENTS, _OF_CONTACT + _WHILE_IT_LASTED, lasted)
        tables.delete(EVENTS_BY_NAME, _OF_CONTACT + _WHILE_IT_LASTED, lasted)
    tables.delete(CONTACTS, _OF_ADDRESS, {"project": erasure.project_id, "email": erasure.email, "offset": offset})
    tables.delete(SUBSCRIPTIONS, _OF_CONTACT, of_contact)
    tables.delete(DEAD_LETTERS, _OF_CONTACT, of_contact)
    tables.delete(EVENTS_BY_CONTACT, _OF_CONTACT, of_contact)
    return events


def _state(tables: Tables, erasure: Erasure, partition: int, offset: int) -> None:
    row = {
        "id": erasure.id,
        "project_id": erasure.project_id,
        "contact_id": erasure.contact_id,
        "log_partition": partition,
        "log_offset": offset,
    }
    tables.insert(ERASURES, msgspec.json.encode(row))


def _take_off(tables: Tables, erasure: Erasure, of_contact: dict[str, Parameter], token: str) -> None:
    rows = [
        {
            "project_id": erasure.project_id,
            "unit_seconds": unit_seconds,
            "start": int(str(start)),
            "name": name,
            "log_partition": of_contact["partition"],
            "last_offset": of_contact["offset"],
            "count": -int(str(events)),
        }
        for unit_seconds, start, name, events in tables.select(_COUNTED, of_contact)
    ]
    tables.insert(EVENT_COUNTS, b"\n".join(map(msgspec.json.encode, rows)), token=token)

"""Carries out a deletion in one partition: what stands before its record goes, from every table that is read.

Repeating it is safe, at any later time and by anyone: it names offsets, so it cannot touch what came after it. The
number of events is stated before the first of them goes, as a repetition would count fewer.
"""

# ruff: noqa: S608 - what callers choose are parameters; only names of ours stand in the text

import msgspec

from penstock.clickhouse import Tables
from penstock.clickhouse.contract import Parameter
from schemas.deletion import Deletion
from schemas.tables import DELETIONS, EVENT_COUNTS, EVENTS, EVENTS_BY_CONTACT, EVENTS_BY_NAME


def _before(column: str) -> str:
    return (
        "project_id = {project:UUID} AND name = {name:String}"
        f" AND log_partition = {{partition:UInt16}} AND {column} < {{offset:UInt64}}"
    )


_TABLES = {
    EVENTS: _before("log_offset"),
    EVENTS_BY_CONTACT: _before("log_offset"),
    EVENTS_BY_NAME: _before("log_offset"),
    EVENT_COUNTS: _before("last_offset"),
}
"""The tables that lose rows, and which. `derived_ids` loses none: a retry must not bring back what was deleted. Nor
does `late_ids`: a trace can tell what was deleted."""

_COUNT = f"SELECT count() FROM {EVENTS_BY_NAME} WHERE {_TABLES[EVENTS_BY_NAME]}"
_STATED = f"""
SELECT max(events) FROM {DELETIONS} WHERE id = {{id:UUID}} AND log_partition = {{partition:UInt16}} HAVING count()
"""


def delete_before(tables: Tables, deletion: Deletion, partition: int, offset: int) -> int:
    """Removes the events of the deletion's name that stand before `offset`; returns how many there were.

    Raises:
        TablesUnavailable: not known how far it came; repeat it.
    """
    values: dict[str, Parameter] = {
        "project": deletion.project_id,
        "name": deletion.name,
        "partition": partition,
        "offset": offset,
    }
    events = _stated(tables, deletion, partition)
    if events is None:
        events = int(str(tables.select(_COUNT, values)[0][0]))
        _state(tables, deletion, partition, offset, events)
    if events:
        for table, before in _TABLES.items():
            tables.delete(table, before, values)
    return events


def _stated(tables: Tables, deletion: Deletion, partition: int) -> int | None:
    rows = tables.select(_STATED, {"id": deletion.id, "partition": partition})
    return int(str(rows[0][0])) if rows else None


def _state(tables: Tables, deletion: Deletion, partition: int, offset: int, events: int) -> None:
    row = {**msgspec.structs.asdict(deletion), "log_partition": partition, "log_offset": offset, "events": events}
    tables.insert(DELETIONS, msgspec.json.encode(row))

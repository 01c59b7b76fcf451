"""What is in the tables, counted in every table that an event reaches."""

import uuid

from penstock.clickhouse import Tables

TABLES = ("events", "events_by_contact", "events_by_name", "event_counts")
"""The tables that every event reaches."""

UNITS = (0, 86_400, 3600, 60)
PROJECTIONS = (*TABLES[:-1], *(f"event_counts {unit}" for unit in UNITS))
"""The tables in which every event counts once; of the counts, each unit of time for itself."""

PROJECT = "00000000-0000-4000-8000-000000000001"


def event_line(
    *,
    offset: int,
    index: int = 0,
    partition: int = 0,
    name: str = "viewed",
    data: str = "{}",
    year: int = 2026,
    derived: bool = False,
) -> bytes:
    """A line as it goes into the table, with an id that follows from its place."""
    import msgspec

    place = f"{partition}/{offset}/{index}"
    return msgspec.json.encode(
        {
            "log_partition": partition,
            "log_offset": offset,
            "log_index": index,
            "project_id": PROJECT,
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, place)),
            "name": name,
            "occurred_at": f"{year}-11-23T07:00:00.123Z",
            "contact_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"contact {index % 7}")),
            "email": "ada@example.com",
            "data": data,
            **({"derived": True} if derived else {}),
        }
    )


def projected(tables: Tables, *, derived: bool = False) -> dict[str, int]:
    """How many events each table counts; merges change nothing of it."""
    names = [*PROJECTIONS, "derived_ids"] if derived else PROJECTIONS
    return {name: _counted(tables, *name.split()) for name in names}


def _counted(tables: Tables, table: str, unit: str | None = None) -> int:
    count = "count()" if unit is None else f"sumIf(count, unit_seconds = {unit})"
    return int(str(tables.select(f"SELECT {count} FROM {table}")[0][0]))


def doubles(tables: Tables) -> int:
    """How many events are in the tables more than once, by their place in the log; one that was emitted has its cause's."""
    place = "log_partition, log_offset, log_index, id"
    sql = f"SELECT count() FROM (SELECT 1 FROM events GROUP BY {place} HAVING count() > 1)"
    return int(str(tables.select(sql)[0][0]))

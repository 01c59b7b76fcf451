"""The tables whose rows say where in the log they stand, as verification reads them: sums of ranges, and rows."""

# ruff: noqa: S608 - what callers choose are parameters; only names of ours stand in the text

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from consumers.compared import Place
from consumers.sums import OffsetRange, RangeKey, Sums
from penstock.clickhouse import Tables
from penstock.clickhouse.contract import Parameter
from schemas.tables import DERIVED_IDS, EVENTS, EVENTS_BY_CONTACT, EVENTS_BY_NAME, MEMBERSHIPS, SUBSCRIPTIONS


@dataclass(frozen=True, slots=True)
class PlacedTable:
    """One such table.

    Attributes:
        has_index: whether its rows say which event of the record they are.
        id: the column that says whose they are.
    """

    name: str
    has_index: bool = False
    id: str = "id"


EVENT_ROWS = PlacedTable(EVENTS, has_index=True)
DERIVED_ROWS = PlacedTable(DERIVED_IDS)
SAID_ROWS = PlacedTable(SUBSCRIPTIONS, has_index=True, id="contact_id")
MEMBERSHIP_ROWS = PlacedTable(MEMBERSHIPS, has_index=True, id="contact_id")
PLACED_TABLES = (
    EVENT_ROWS,
    PlacedTable(EVENTS_BY_CONTACT),
    PlacedTable(EVENTS_BY_NAME),
    DERIVED_ROWS,
    SAID_ROWS,
    MEMBERSHIP_ROWS,
)

_SUMS = """
SELECT
    log_partition,
    intDiv(log_offset, {{width:UInt64}}) AS range,
    count(),
    toString(sum(toUInt128({id}) * (2 * toUInt128(log_offset) + 1))),
    toString(sum(toUInt128({id}) * toUInt128({index})))
FROM {table}
WHERE log_offset >= {{first:UInt64}} AND log_offset <= {{last:UInt64}}
    AND log_offset < arrayMap(bound -> toUInt64(bound), {{bounds:Array(String)}})[log_partition + 1]
GROUP BY log_partition, range
"""

_ROWS = """
SELECT log_offset, {index}, toString({id})
FROM {table}
WHERE log_partition = {{partition:UInt16}} AND log_offset >= {{first:UInt64}} AND log_offset <= {{last:UInt64}}
"""

_SECONDS = f"""
SELECT toString(project_id), name, toUInt32(toDateTime(occurred_at, 'UTC')) AS second, count()
FROM {EVENTS}
WHERE log_partition = {{partition:UInt16}} AND log_offset >= {{first:UInt64}} AND log_offset <= {{last:UInt64}}
GROUP BY project_id, name, second
"""

_LAST = "SELECT log_partition, max(log_offset) FROM {table} GROUP BY log_partition"


def read_sums(
    tables: Tables, table: PlacedTable, width: int, through: Mapping[int, int], offsets: tuple[int, int]
) -> dict[RangeKey, Sums]:
    """The sums of the ranges that begin within `offsets`, without rows behind `through`.

    Raises:
        TablesUnavailable, TablesRefused: see `Tables`.
    """
    values: dict[str, Parameter] = {
        "width": width,
        "first": offsets[0],
        "last": offsets[1],
        "bounds": [str(through.get(number, -1) + 1) for number in range(max(through, default=-1) + 1)],
    }
    rows = tables.select(_filled(_SUMS, table), values)
    return {
        (partition, number): Sums(*sums)
        for partition, number, *sums in ([int(str(one)) for one in row] for row in rows)
    }


def read_rows(tables: Tables, table: PlacedTable, wanted: OffsetRange) -> Counter[Place]:
    """The rows of a range, counted by their place; raises as `read_sums` does."""
    rows = tables.select(_filled(_ROWS, table), _range_values(wanted))
    return Counter(
        (int(str(offset)), int(str(index)) if table.has_index else None, str(id_)) for offset, index, id_ in rows
    )


def read_seconds(tables: Tables, wanted: OffsetRange) -> Counter[tuple[int, str, str, int]]:
    """How many rows of a range `events` has, by partition, project, name and second; raises as `read_sums` does."""
    return Counter(
        {
            (wanted.partition, str(project_id), str(name), int(str(second))): int(str(events))
            for project_id, name, second, events in tables.select(_SECONDS, _range_values(wanted))
        }
    )


def last_offsets(tables: Tables, table: PlacedTable) -> dict[int, int]:
    """The highest offset of each partition that has rows; raises as `read_sums` does."""
    rows = tables.select(_LAST.format(table=table.name))
    return {int(str(partition)): int(str(offset)) for partition, offset in rows}


def _range_values(wanted: OffsetRange) -> dict[str, Parameter]:
    return {"partition": wanted.partition, "first": wanted.first, "last": wanted.last}


def _filled(sql: str, table: PlacedTable) -> str:
    return sql.format(table=table.name, id=table.id, index="log_index" if table.has_index else "0")

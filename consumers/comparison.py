"""How two generations of tables differ at the same place: the live tables, and those that a rebuild made."""

# ruff: noqa: S608 - only names of ours and of databases stand in the text

from dataclasses import dataclass

from consumers.contact_rows import merged_rows
from penstock.clickhouse.contract import Tables
from schemas.tables import (
    CONTACT_CHANGES,
    CONTACTS,
    DERIVED_IDS,
    EVENT_COUNTS,
    EVENTS,
    EVENTS_BY_CONTACT,
    EVENTS_BY_NAME,
    LATE_IDS,
    MEMBERSHIPS,
    SUBSCRIPTIONS,
)

_ROWS = {
    EVENTS: "id, project_id, name, occurred_at, contact_id, data, log_partition, log_offset",
    EVENTS_BY_CONTACT: "id, project_id, name, occurred_at, contact_id, data, log_partition, log_offset",
    EVENTS_BY_NAME: "id, project_id, name, occurred_at, contact_id, data, log_partition, log_offset",
    DERIVED_IDS: "id, log_partition, log_offset",
    LATE_IDS: "id, project_id, occurred_at, log_partition, log_offset",
    SUBSCRIPTIONS: "project_id, contact_id, occurred_at, subscribed, log_partition, log_offset, log_index",
    MEMBERSHIPS: "project_id, segment_id, slug, contact_id, email, occurred_at, entered,"
    " log_partition, log_offset, log_index",
    CONTACT_CHANGES: "project_id, contact_id, email, log_partition, log_offset",
}
"""Tables of one row an event, and what of a row must be equal."""

_CONTACT = "project_id, email, shape, contact, log_partition, first, last, created, said, at, text"

_UNITS = "project_id, unit_seconds, start, name, log_partition"


@dataclass(frozen=True, slots=True)
class Difference:
    """How a table of the live generation differs from what the log says.

    Attributes:
        missing: rows, or counted events, that the log has and the table had not.
        surplus: rows, or counted events, that the table had and the log has not.
    """

    table: str
    missing: int
    surplus: int


def difference(tables: Tables, table: str, live: str, rebuilt: str) -> Difference:
    """Compares a table in two databases; sums first, row by row only where these differ."""
    if table == EVENT_COUNTS:
        return _of_counts(tables, live, rebuilt)
    if _sums(tables, table, live) == _sums(tables, table, rebuilt):
        return Difference(table, 0, 0)
    return _of_rows(tables, table, live, rebuilt)


def _sums(tables: Tables, table: str, database: str) -> list[list[object]]:
    rows, columns = _rows(table, database)
    return tables.select(
        f"SELECT log_partition, count(), sum(sipHash64({columns})) FROM {rows} GROUP BY log_partition ORDER BY 1"
    )


def _rows(table: str, database: str) -> tuple[str, str]:
    """What to select from, and the columns that must be equal."""
    if table == CONTACTS:
        return f"({merged_rows(database)})", _CONTACT
    return f"{database}.{table}", _ROWS[table]


def _of_rows(tables: Tables, table: str, live: str, rebuilt: str) -> Difference:
    (new, columns), (old, _) = _rows(table, rebuilt), _rows(table, live)
    rows = (
        f"SELECT {columns}, sum(n) AS more FROM ("
        f"SELECT {columns}, 1 AS n FROM {new} UNION ALL SELECT {columns}, -1 AS n FROM {old}"
        f") GROUP BY {columns} HAVING more != 0"
    )
    return _summed(tables, table, rows)


def _of_counts(tables: Tables, live: str, rebuilt: str) -> Difference:
    rows = (
        f"SELECT {_UNITS}, sum(n) AS more FROM ("
        f"SELECT {_UNITS}, toInt64(count) AS n FROM {rebuilt}.{EVENT_COUNTS} UNION ALL "
        f"SELECT {_UNITS}, -toInt64(count) AS n FROM {live}.{EVENT_COUNTS}"
        f") GROUP BY {_UNITS} HAVING more != 0"
    )
    return _summed(tables, EVENT_COUNTS, rows)


def _summed(tables: Tables, table: str, rows: str) -> Difference:
    sql = f"SELECT sumIf(more, more > 0), sumIf(-more, more < 0) FROM ({rows})"
    missing, surplus = tables.select(f"{sql} SETTINGS max_bytes_before_external_group_by = 1000000000")[0]
    return Difference(table, int(str(missing)), int(str(surplus)))

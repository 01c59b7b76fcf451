"""Deliveries and their attempts, as the tables keep them: the newest row of each counts."""

from collections.abc import Collection, Iterable, Sequence

import msgspec

from penstock.clickhouse import Selectable, Tables
from penstock.clickhouse.contract import Row
from schemas.tables import DELIVERIES, DELIVERY_ATTEMPTS, DELIVERY_PROGRESS
from schemas.times import to_wire

PENDING, DELIVERED, FAILED, DEAD = "pending", "delivered", "failed", "dead"

INTERRUPTED = "The process ended before an answer came"
"""What is said of an attempt until it has ended."""

_EXAMINED_MS = 26 * 3600 * 1000
"""Deliveries that are due since longer are not tried any more."""


class Delivery(msgspec.Struct, frozen=True):
    """One delivery; times are milliseconds since 1970.

    Attributes:
        occurred_ms: the event's.
        created_ms: when it was due for the first time.
        due_since_ms: when it was due for the first time, or was asked for again.
        next_attempt_ms: 0 where there is none to come.
        requested_ms: when somebody has asked for it, 0 for nobody.
        version: the greatest is the newest.
    """

    id: str
    project_id: str
    workflow_id: str
    event_id: str
    occurred_ms: int
    log_partition: int
    created_ms: int
    due_since_ms: int
    next_attempt_ms: int
    requested_ms: int = 0
    status: str = PENDING
    attempts: int = 0
    last_status_code: int = 0
    last_error: str = ""
    version: int = 1

    def row(self) -> bytes:
        """As a row of the table."""
        return msgspec.json.encode(
            {
                "id": self.id,
                "project_id": self.project_id,
                "workflow_id": self.workflow_id,
                "event_id": self.event_id,
                "occurred_at": to_wire(self.occurred_ms),
                "log_partition": self.log_partition,
                "created_at": to_wire(self.created_ms),
                "due_since": to_wire(self.due_since_ms),
                "next_attempt_at": to_wire(self.next_attempt_ms),
                "requested_at": to_wire(self.requested_ms),
                "status": self.status,
                "attempts": self.attempts,
                "last_status_code": self.last_status_code,
                "last_error": self.last_error,
                "version": self.version,
            }
        )


class Attempt(msgspec.Struct, frozen=True):
    """One attempt of a delivery; its number counts from 1."""

    delivery_id: str
    number: int
    at_ms: int
    status_code: int = 0
    duration_ms: int = 0
    error: str = INTERRUPTED
    response: str = ""
    has_ended: bool = False

    def row(self) -> bytes:
        """As a row of the table."""
        return msgspec.json.encode(
            {
                "delivery_id": self.delivery_id,
                "number": self.number,
                "at": to_wire(self.at_ms),
                "status_code": self.status_code,
                "duration_ms": self.duration_ms,
                "error": self.error,
                "response": self.response,
                "has_ended": self.has_ended,
            }
        )


DELIVERY_COLUMNS = """
    toString(id), toString(any(project_id)), toString(any(workflow_id)), toString(any(event_id)),
    toUnixTimestamp64Milli(any(occurred_at)), any(log_partition), toUnixTimestamp64Milli(any(created_at)),
    toUnixTimestamp64Milli(argMax(due_since, version)), toUnixTimestamp64Milli(argMax(next_attempt_at, version)),
    toUnixTimestamp64Milli(argMax(requested_at, version)),
    argMax(status, version) AS newest_status, argMax(attempts, version), argMax(last_status_code, version),
    argMax(last_error, version), max(version)
"""

_OPEN = f"""
SELECT {DELIVERY_COLUMNS} FROM {DELIVERIES}
WHERE log_partition IN {{partitions:Array(UInt16)}}
    AND due_since >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')
GROUP BY id HAVING newest_status IN ('{PENDING}', '{FAILED}')
ORDER BY argMax(next_attempt_at, version) LIMIT {{limit:UInt32}}
SETTINGS max_threads = 1
"""  # noqa: S608 - constants

_REQUESTED = f"""
SELECT {DELIVERY_COLUMNS} FROM {DELIVERIES}
WHERE requested_at >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')
    AND log_partition IN {{partitions:Array(UInt16)}}
GROUP BY id HAVING newest_status = '{PENDING}'
LIMIT {{limit:UInt32}}
SETTINGS max_threads = 1
"""  # noqa: S608 - constants

_BEGUN = f"""
SELECT toString(delivery_id), max(number) FROM {DELIVERY_ATTEMPTS}
WHERE delivery_id IN {{deliveries:Array(UUID)}} GROUP BY delivery_id
SETTINGS max_threads = 1
"""  # noqa: S608 - constants

_LOOKED_UP = 5_000
"""Deliveries in one look-up: bounds the statement's size."""

_THROUGH = f"SELECT log_partition, argMax(planned_through, written_at) FROM {DELIVERY_PROGRESS} GROUP BY log_partition"  # noqa: S608


def open_deliveries(tables: Selectable, partitions: Collection[int], now_ms: int, limit: int) -> list[Delivery]:
    """Those of some partitions that are to be tried, the most urgent first.

    Raises:
        TablesUnavailable: see `Selectable`.
    """
    return _read(tables, _OPEN, partitions, max(0, now_ms - _EXAMINED_MS), limit)


def requested_deliveries(tables: Selectable, partitions: Collection[int], since_ms: int, limit: int) -> list[Delivery]:
    """Those that somebody has asked for since then, and that are not tried yet; raises as `open_deliveries` does."""
    return _read(tables, _REQUESTED, partitions, since_ms, limit)


def _read(tables: Selectable, sql: str, partitions: Collection[int], since_ms: int, limit: int) -> list[Delivery]:
    """What the process ended in before an answer came is an attempt all the same; the next one has a later number."""
    if not partitions:
        return []
    listed = f"({', '.join(str(number) for number in sorted(partitions))})"
    rows = tables.select(sql.replace("{partitions:Array(UInt16)}", listed), {"since": since_ms, "limit": limit})
    found = [delivery_of(row) for row in rows]
    begun: dict[str, int] = {}
    for start in range(0, len(found), _LOOKED_UP):
        ids = [one.id for one in found[start : start + _LOOKED_UP]]
        begun |= {str(id_): int(str(number)) for id_, number in tables.select(_BEGUN, {"deliveries": ids})}
    return [msgspec.structs.replace(one, attempts=max(one.attempts, begun.get(one.id, 0))) for one in found]


def delivery_of(row: Row) -> Delivery:
    """A delivery of a row with `DELIVERY_COLUMNS`."""
    delivery, project, workflow, event, *times, status, attempts, status_code, error, version = map(str, row)
    occurred_ms, partition, created_ms, due_since_ms, next_ms, requested_ms = map(int, times)
    return Delivery(
        delivery,
        project,
        workflow,
        event,
        occurred_ms,
        partition,
        created_ms,
        due_since_ms,
        next_ms,
        requested_ms,
        status,
        int(attempts),
        int(status_code),
        error,
        int(version),
    )


def insert_rows(tables: Tables, deliveries: Sequence[Delivery], attempts: Iterable[Attempt] = ()) -> None:
    """States them; the same again changes nothing.

    Raises:
        TablesUnavailable: not known whether they are there; insert again.
    """
    _insert(tables, DELIVERY_ATTEMPTS, [one.row() for one in attempts])
    _insert(tables, DELIVERIES, [one.row() for one in deliveries])


def _insert(tables: Tables, table: str, rows: list[bytes]) -> None:
    if rows:
        tables.insert(table, b"\n".join(rows))


def read_planned(tables: Selectable) -> dict[int, int]:
    """Up to which offset of each partition events were looked at; raises as `open_deliveries` does."""
    return {int(str(partition)): int(str(through)) for partition, through in tables.select(_THROUGH)}


def write_planned(tables: Tables, through: dict[int, int]) -> None:
    """States it; raises as `insert_rows` does."""
    rows = [{"log_partition": partition, "planned_through": offset} for partition, offset in through.items()]
    _insert(tables, DELIVERY_PROGRESS, [msgspec.json.encode(row) for row in rows])

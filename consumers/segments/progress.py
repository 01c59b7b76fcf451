"""How far segments are evaluated: kept in the tables that all generations share.

Of each partition, up to which offset the contacts that something was said of were looked at; and of each segment in a
partition, with which revision all contacts were compared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from penstock.clickhouse import Tables
from schemas.membership import NO_SEGMENT
from schemas.tables import SEGMENT_PROGRESS
from schemas.times import to_wire


@dataclass(frozen=True, slots=True)
class Compared:
    """With what all contacts of a partition were compared.

    Attributes:
        revision: the segment's.
        referred: one text for the revisions of the segments that it refers to.
        at_ms: when, milliseconds since 1970.
    """

    revision: str
    referred: str
    at_ms: int


class _Row(msgspec.Struct):
    log_partition: int
    segment_id: str
    evaluated_through: int
    evaluated_at: str
    revision: str = ""
    referred: str = ""


_SELECT_THROUGH = f"""
SELECT log_partition, argMax(evaluated_through, written_at) FROM {SEGMENT_PROGRESS}
WHERE segment_id = {{segment:UUID}} GROUP BY log_partition
"""  # noqa: S608 - a constant

_SELECT_COMPARED = f"""
SELECT log_partition, toString(segment_id), (argMax((revision, referred, evaluated_at), written_at) AS last).1, last.2,
       toUnixTimestamp64Milli(last.3)
FROM {SEGMENT_PROGRESS} WHERE segment_id != {{none:UUID}} GROUP BY log_partition, segment_id
"""  # noqa: S608 - a constant


def read_through(tables: Tables) -> dict[int, int]:
    """Up to which offset each partition is evaluated.

    Raises:
        TablesUnavailable: see `Tables`.
    """
    rows = tables.select(_SELECT_THROUGH, {"segment": NO_SEGMENT})
    return {int(str(partition)): int(str(through)) for partition, through in rows}


def write_through(tables: Tables, through: Mapping[int, int], now_ms: int) -> None:
    """States it; raises as `read_through` does."""
    _write(tables, [_Row(partition, NO_SEGMENT, offset, to_wire(now_ms)) for partition, offset in through.items()])


def read_compared(tables: Tables) -> dict[tuple[int, str], Compared]:
    """With what all contacts were compared last, by partition and segment; raises as `read_through` does."""
    return {
        (int(str(partition)), str(segment)): Compared(str(revision), str(referred), int(str(at_ms)))
        for partition, segment, revision, referred, at_ms in tables.select(_SELECT_COMPARED, {"none": NO_SEGMENT})
    }


def write_compared(tables: Tables, partitions: Iterable[int], compared: Mapping[str, Compared]) -> None:
    """States it for each of the partitions, by segment; raises as `read_through` does."""
    _write(
        tables,
        [
            _Row(partition, segment, -1, to_wire(one.at_ms), one.revision, one.referred)
            for partition in partitions
            for segment, one in compared.items()
        ],
    )


def _write(tables: Tables, rows: list[_Row]) -> None:
    if rows:
        tables.insert(SEGMENT_PROGRESS, b"\n".join(map(msgspec.json.encode, rows)))

"""Who writes a partition and how far it is written: kept in ClickHouse, beside what it speaks of.

The writer reads and writes it; the query API reads it, to tell how old its view is and when a position is visible.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from penstock.clickhouse.contract import Tables
from schemas.tables import WRITER_CLAIMS, WRITER_PROGRESS
from schemas.times import to_wire

NONE = -1
"""No offset."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a partition is written.

    Attributes:
        epoch: the writer that says so; a higher one overrules.
        sequence: grows with every statement of that writer.
        stored_through: the last offset in the tables, `NONE` for none.
        pending: first and last offset of the range being inserted.
        caught_up: nothing was left in the log when this was written.
        complete_ms: everything that the log had at this moment is in the tables; milliseconds since 1970.
        written_ms: when this was written.
    """

    partition: int
    epoch: int
    sequence: int
    stored_through: int = NONE
    pending: tuple[int, int] | None = None
    caught_up: bool = False
    complete_ms: int = 0
    written_ms: int = 0


_SELECT = f"""
SELECT log_partition, epoch, sequence, stored_through, pending_first, pending_last, caught_up,
       toUnixTimestamp64Milli(complete_at), toUnixTimestamp64Milli(written_at)
FROM {WRITER_PROGRESS} FINAL
"""  # noqa: S608 - constants

_SELECT_EPOCHS = f"""
SELECT log_partition, max(epoch) FROM {WRITER_CLAIMS} GROUP BY log_partition
"""  # noqa: S608 - constants


def read_progress(tables: Tables) -> dict[int, Progress]:
    """The newest statement of each partition that was ever written."""
    found = {}
    for row in tables.select(_SELECT):
        partition, epoch, sequence, stored, first, last, caught_up, complete_ms, written_ms = map(_integer, row)
        pending = None if first == NONE else (first, last)
        found[partition] = Progress(
            partition, epoch, sequence, stored, pending, bool(caught_up), complete_ms, written_ms
        )
    return found


def write_progress(tables: Tables, rows: Iterable[Progress]) -> None:
    """States `rows`; visible to every reader when it returns."""
    lines = [msgspec.json.encode(_row(progress)) for progress in rows]
    tables.insert(WRITER_PROGRESS, b"\n".join(lines))


def _row(progress: Progress) -> dict[str, object]:
    first, last = progress.pending or (NONE, NONE)
    return {
        "log_partition": progress.partition,
        "epoch": progress.epoch,
        "sequence": progress.sequence,
        "stored_through": progress.stored_through,
        "pending_first": first,
        "pending_last": last,
        "caught_up": progress.caught_up,
        "complete_at": to_wire(progress.complete_ms),
        "written_at": to_wire(progress.written_ms),
    }


def read_epochs(tables: Tables) -> dict[int, int]:
    """The highest epoch that claims each partition."""
    return {_integer(partition): _integer(epoch) for partition, epoch in tables.select(_SELECT_EPOCHS)}


DRAWN_BITS = 32


def epoch_above(epoch: int, drawn: int) -> int:
    """An epoch for a new claim: higher than `epoch`, and nobody else's.

    Two writers that claim at the same moment have read the same highest epoch; were their own the same, neither would
    see that the other overrules it. So the upper half counts, and the lower half is a number that each writer drew.
    """
    return ((epoch >> DRAWN_BITS) + 1 << DRAWN_BITS) | drawn


def write_claims(tables: Tables, epochs: dict[int, int], owner: str, now_ms: int) -> None:
    """Claims partitions, each with its epoch."""
    lines = [
        msgspec.json.encode(
            {
                "log_partition": partition,
                "epoch": epoch,
                "owner": owner,
                "claimed_at": to_wire(now_ms),
            }
        )
        for partition, epoch in epochs.items()
    ]
    tables.insert(WRITER_CLAIMS, b"\n".join(lines))


def _integer(value: object) -> int:
    return int(value) if isinstance(value, (int, str)) else 0

"""Which events of a batch are second copies, of what stands earlier in the log.

An event with a derived id is a copy where `derived_ids` has its id. One that was replayed is also a copy of its
original, if that was stored after all: an upgrade can make a record readable that was a dead letter, and tables that
are then made anew have it. The original need not be in `derived_ids`, so for replayed events, and only for them,
`events` is asked too.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from consumers.decode import DecodedRecord
from consumers.subscriptions import Place
from penstock.clickhouse import Tables
from schemas.event import EventMark, decode_mark
from schemas.ids import is_uuid

_LOOKUP_IDS = 10_000
"""Ids in one look-up: bounds the statement's size."""

_LOOKUP_ORIGINALS = 2_000

_FIRST_COPIES = """
SELECT DISTINCT toString(id) FROM derived_ids
WHERE id IN {ids:Array(UUID)} AND log_partition = {partition:UInt16} AND log_offset < {offset:UInt64}
"""

# By the sort key, so that it costs a granule for each original, however many events there are.
_ORIGINALS = """
SELECT DISTINCT toString(id) FROM events
WHERE (project_id, occurred_at) IN
(
    SELECT toUUIDOrZero(original.1), parseDateTime64BestEffortOrZero(original.2, 3, 'UTC')
    FROM (SELECT arrayJoin(arrayZip({projects:Array(String)}, {moments:Array(String)})) AS original)
)
AND id IN {ids:Array(UUID)} AND log_partition = {partition:UInt16} AND log_offset < {offset:UInt64}
"""

_Item = TypeVar("_Item")


def second_copies(
    tables: Tables, records: Mapping[int, DecodedRecord], partition: int, first: int, refused: Collection[Place]
) -> set[Place]:
    """The events whose id stands earlier in the log, in an event that was not refused.

    Args:
        records: of the batch, by offset.
        first: the batch's first offset. Of the tables only what stands before it counts: a batch that is inserted again
            must not find itself.
    """
    marks = [mark for decoded in records.values() for mark in decoded.derived.values() if is_uuid(mark.id)]
    replayed = [
        mark
        for decoded in records.values()
        if decoded.replayed
        for mark in decoded.derived.values()
        if is_uuid(mark.id)  # of others there is no first copy: the tables refuse them
    ]
    seen = first_copies(tables, marks, partition, first) | originals(tables, replayed, partition, first)
    wanted = {mark.id for mark in replayed}
    found = set()
    for place, mark in _marks(records, with_plain=bool(replayed)):
        if place in refused:
            continue
        if mark.derived and mark.id in seen:
            found.add(place)
        if mark.derived or mark.id in wanted:
            seen.add(mark.id)
    return found


def _marks(records: Mapping[int, DecodedRecord], *, with_plain: bool) -> Iterator[tuple[Place, EventMark]]:
    for offset, decoded in records.items():
        marks: Iterable[tuple[int, EventMark]] = decoded.derived.items()
        if with_plain:
            marks = enumerate([_mark(line) for line in decoded.lines.split(b"\n")])
        for index, mark in marks:
            yield (offset, index), mark


def _mark(line: bytes) -> EventMark:
    """One that is nobody's where the line is no event: then the tables refuse it."""
    try:
        return decode_mark(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return EventMark("")


def first_copies(tables: Tables, marks: Iterable[EventMark], partition: int, offset: int) -> set[str]:
    """The ids whose first copy was stored before `offset`, whether it is still there or was deleted."""
    seen: set[str] = set()
    for ids in parts(sorted({mark.id for mark in marks}), _LOOKUP_IDS):
        rows = tables.select(_FIRST_COPIES, {"ids": ids, "partition": partition, "offset": offset})
        seen |= {str(row[0]) for row in rows}
    return seen


def originals(tables: Tables, marks: Iterable[EventMark], partition: int, offset: int) -> set[str]:
    """The ids of those that stand in `events` before `offset`, with a derived id or not."""
    seen: set[str] = set()
    for some in parts(list(marks), _LOOKUP_ORIGINALS):
        values = {
            "ids": [mark.id for mark in some],
            "projects": [mark.project_id for mark in some],
            "moments": [mark.occurred_at for mark in some],
        }
        seen |= {str(row[0]) for row in tables.select(_ORIGINALS, {**values, "partition": partition, "offset": offset})}
    return seen


def parts(items: Sequence[_Item], size: int) -> Iterator[list[_Item]]:
    """The items, so many at a time: what a statement may hold is bounded."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])

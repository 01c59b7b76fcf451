"""Tells the log of contacts that have come to match a segment, or have stopped.

What is told has an id derived from the segment, the contact's life and the number of the change: told twice, by
whomever, it counts once. Whether it still changes anything is decided where it stands in the log.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from consumers.segments.differences import Change
from penstock.clock import Clock
from penstock.eventlog import EventLog
from schemas.event import Event, encode_event
from schemas.ids import derived_event_id
from schemas.membership import segment_event_data, segment_event_name
from schemas.position import Position
from schemas.record import pack
from schemas.times import to_wire
from schemas.topics import partition_of

_LINES_AT_ONCE = 500
"""Of some 400 bytes each: far below what a record may hold."""


def emit(log: EventLog, clock: Clock, changes: Iterable[Change]) -> Position:
    """Appends them; returns behind which offsets all of them stand. Blocks.

    Raises:
        LogUnavailable, LogOverloaded: some may stand there; to tell them again is harmless.
    """
    now_ms = clock.now_ms()
    position = {}
    for partition, lines in _by_partition(log.partitions, changes, now_ms):
        record = pack(lines, derived=True, accepted_ms=now_ms, has_changes=True)
        position[partition] = log.append_record(partition, record)
    return position


def _by_partition(partitions: int, changes: Iterable[Change], now_ms: int) -> Iterator[tuple[int, list[bytes]]]:
    lines: defaultdict[int, list[bytes]] = defaultdict(list)
    for change in changes:
        lines[partition_of(change.contact_id, partitions)].append(encode_event(_event(change, now_ms)))
    for partition, own in lines.items():
        for start in range(0, len(own), _LINES_AT_ONCE):
            yield partition, own[start : start + _LINES_AT_ONCE]


def _event(change: Change, now_ms: int) -> Event:
    """Never earlier than the change before it, whose clock may have been ahead."""
    segment = change.segment
    return Event(
        segment.project_id,
        derived_event_id(change.contact_id, "segment", f"{segment.id}:{change.first_offset}:{change.changes}"),
        segment_event_name(segment.slug, entered=change.entered),
        to_wire(max(now_ms, change.last_ms)),
        change.contact_id,
        change.email,
        data=segment_event_data(segment.id),
        derived=True,
        change=True,
        known_only=True,
    )

"""From a stored record to lines for the table. Pure.

The lines of a good record go on undecoded: its checksum says that they are what ingest wrote. They are looked into only
where a record holds derived ids, as a second copy must be found, or events with a time of their own, as their ids do
not tell where they are.
"""

from dataclasses import dataclass, field

import msgspec

from penstock.eventlog import StoredRecord
from schemas.deletion import Deletion
from schemas.event import EventMark, decode_mark
from schemas.record import MalformedRecord, positioned, unpack, unpack_deletion


@dataclass(frozen=True, slots=True)
class DecodedRecord:
    """A record's lines, as columns of `events`.

    Attributes:
        lines: complete with the place in the log.
        rows: how many lines.
        derived: the events with derived ids among them, by the line's index; empty for most records.
        late: of the others, those that were received in another second than they happened.
        accepted_ms: when the first event was received.
        replayed: see `schemas.record.Record`.
    """

    lines: bytes
    rows: int
    accepted_ms: int
    derived: dict[int, EventMark] = field(default_factory=dict)
    late: dict[int, EventMark] = field(default_factory=dict)
    replayed: bool = False


_RECEIVED = b'"received_at":"'
"""Stands in a line only as its member: inside a text the quotes are escaped. Without it, the event is not late."""


def decode(record: StoredRecord) -> DecodedRecord:
    """Reads a record of the events topic.

    Raises:
        MalformedRecord: it is none; a dead letter.
        UnknownFormat: a newer version wrote it.
    """
    if record.value is None:
        raise MalformedRecord("the record is empty")
    unpacked = unpack(record.value)
    try:
        marks = _marks(unpacked.lines) if unpacked.derived or _RECEIVED in unpacked.lines else {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRecord(f"an event is not readable: {error}") from error
    lines = positioned(unpacked, record.partition, record.offset)
    return DecodedRecord(
        lines,
        unpacked.events,
        unpacked.accepted_ms,
        {index: mark for index, mark in marks.items() if mark.derived},
        {index: mark for index, mark in marks.items() if mark.is_late and not mark.derived},
        unpacked.replayed,
    )


def decode_deletion(record: StoredRecord) -> Deletion:
    """Reads a record that says of itself that it is a deletion.

    Raises:
        MalformedRecord: it is none; a dead letter.
    """
    return unpack_deletion(record.value or b"").deletion


def _marks(lines: bytes) -> dict[int, EventMark]:
    return dict(enumerate([decode_mark(line) for line in lines.split(b"\n")]))

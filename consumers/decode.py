"""From a stored record to lines for the table. Pure.

The lines of a good record go on undecoded: its checksum says that they are what ingest wrote. Only where a record holds
derived ids are its lines looked into, as a second copy must be found.
"""

from dataclasses import dataclass, field

import msgspec

from penstock.eventlog import StoredRecord
from schemas.deletion import Deletion
from schemas.event import decode_mark
from schemas.record import MalformedRecord, positioned, unpack, unpack_deletion


@dataclass(frozen=True, slots=True)
class DecodedRecord:
    """A record's lines, as columns of `events`.

    Attributes:
        lines: complete with the place in the log.
        rows: how many lines.
        derived: the derived ids among them, by the line's index; empty for most records.
        accepted_ms: when the first event was received.
    """

    lines: bytes
    rows: int
    accepted_ms: int
    derived: dict[int, str] = field(default_factory=dict)


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
        derived = _derived_ids(unpacked.lines) if unpacked.derived else {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRecord(f"an event is not readable: {error}") from error
    lines = positioned(unpacked, record.partition, record.offset)
    return DecodedRecord(lines, unpacked.events, unpacked.accepted_ms, derived)


def decode_deletion(record: StoredRecord) -> Deletion:
    """Reads a record that says of itself that it is a deletion.

    Raises:
        MalformedRecord: it is none; a dead letter.
    """
    return unpack_deletion(record.value or b"").deletion


def _derived_ids(lines: bytes) -> dict[int, str]:
    marks = enumerate([decode_mark(line) for line in lines.split(b"\n")])
    return {index: mark.id for index, mark in marks if mark.derived}

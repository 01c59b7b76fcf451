"""From a stored record to lines for the table. Pure.

The lines of a good record go on undecoded: its checksum says that they are what ingest wrote. They are looked into only
where a record holds derived ids, as a second copy must be found, events with a time of their own, as their ids do not
tell where they are, or what is said of a contact's subscription, as its change is an event of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from consumers.subscriptions import Place
from penstock.eventlog import StoredRecord
from schemas.deletion import Deletion
from schemas.erasure import Erasure
from schemas.event import Event, EventMark, decode_event, decode_mark, encode_event
from schemas.record import MalformedRecord, is_erasure, positioned, unpack, unpack_deletion, unpack_erasure


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
        told: the lines that say something of a subscription, are changes of contacts instead of events, or are to be
            numbered.
    """

    lines: bytes
    rows: int
    accepted_ms: int
    derived: dict[int, EventMark] = field(default_factory=dict)
    late: dict[int, EventMark] = field(default_factory=dict)
    replayed: bool = False
    told: dict[int, Event] = field(default_factory=dict)


# Stand in a line only as its members: inside a text the quotes are escaped.
_RECEIVED = b'"received_at":"'
SUBSCRIBED_MEMBER = b'"subscribed":'
CHANGE_MEMBER = b'"change":true'
_NUMBERED = b'"numbered":true'


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
        told = _told(unpacked.lines) if unpacked.has_changes or _tells(unpacked.lines) else {}
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
        told,
    )


def decode_removal(record: StoredRecord) -> Deletion | Erasure:
    """Reads a record that says of itself that it removes something.

    Raises:
        MalformedRecord: it is none; a dead letter.
    """
    value = record.value or b""
    return unpack_erasure(value).removal if is_erasure(value) else unpack_deletion(value).removal


def _marks(lines: bytes) -> dict[int, EventMark]:
    return dict(enumerate([decode_mark(line) for line in lines.split(b"\n")]))


def _told(lines: bytes) -> dict[int, Event]:
    return {
        index: decode_event(line)
        for index, line in enumerate(lines.split(b"\n"))
        if _tells(line) or CHANGE_MEMBER in line
    }


def _tells(lines: bytes) -> bool:
    return SUBSCRIBED_MEMBER in lines or _NUMBERED in lines


def lines_of(records: Mapping[int, DecodedRecord]) -> Iterator[tuple[Place, bytes]]:
    """Every line of some records, by offset, with the place where it stands."""
    for offset, decoded in records.items():
        for index, line in enumerate(decoded.lines.split(b"\n")):
            yield (offset, index), line


def event_line(event: Event, partition: int, place: Place) -> bytes:
    """An event as columns of `events`; it stands at this offset and index, or was caused there."""
    return b'{"log_partition":%d,"log_offset":%d,"log_index":%d,%b' % (partition, *place, encode_event(event)[1:])

"""The record of the log: a header line, then one or more events of one partition as JSON lines.

    {"format":1,"events":2,"derived":false,"accepted_ms":1763881200000,"bytes":604,"zstd":false,"crc32":3735928559}
    {"log_index":0,"project_id":"…","id":"…", …}
    {"log_index":1,"project_id":"…","id":"…", …}

A record of events that are sent through once more, after they were dead letters, has `"replayed":true` in its header:
the originals may have been stored after all, so the consumer looks for them.

A record of format 2 holds a deletion instead of events (`schemas.deletion`):

    {"format":2,"accepted_ms":1763881200000,"crc32":3735928559}
    {"id":"…","project_id":"…","name":"…"}

One of format 3 is like one of format 1, and some of its lines are changes of contacts (`schemas.event`), which are no
events themselves. One of format 4 is like one of format 2 and holds the erasure of a contact (`schemas.erasure`).

Several events in one record divide the cost of producer, broker and consumer by their number. From a few events on the
lines are compressed: a log that is kept for ever is then a fifth of the size, and what is synced, sent and copied too.
The checksum covers the rest of the header and what follows it: a record that passes it
holds what ingest wrote, byte for byte, so the consumer may hand the lines on undecoded; one that does not is a dead
letter. A reader meets every older format; a newer one stops it (`UnknownFormat`), since guessing would lose events and
dead-lettering would empty the log of a half-upgraded installation.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from zlib import crc32

import msgspec
import zstandard

from schemas.deletion import Deletion, decode_deletion, encode_deletion
from schemas.erasure import Erasure, decode_erasure, encode_erasure
from schemas.event import decode_mark

EVENTS_FORMAT = 1
DELETION_FORMAT = 2
CHANGES_FORMAT = 3
ERASURE_FORMAT = 4
NEWEST_FORMAT = ERASURE_FORMAT

_WITH_LINES = (EVENTS_FORMAT, CHANGES_FORMAT)
_REMOVING = (DELETION_FORMAT, ERASURE_FORMAT)

_COMPRESSED_FROM_BYTES = 1024
_LEVEL = 1
_MAX_LINES_BYTES = 256 << 20
"""What a record may hold when it is decompressed: far above what any version packs."""


class MalformedRecord(ValueError):
    """The bytes are no record; the text says why. Such a record becomes a dead letter."""


class UnknownFormat(Exception):
    """The record was written by a newer version: upgrade the consumers first."""


class _Format(msgspec.Struct, frozen=True, gc=False):
    format: int


class _Header(msgspec.Struct, frozen=True, gc=False):
    format: int
    events: int
    derived: bool
    accepted_ms: int
    bytes: int
    zstd: bool
    crc32: int
    replayed: bool = False


class _RemovalHeader(msgspec.Struct, frozen=True, gc=False):
    format: int
    accepted_ms: int
    crc32: int


_HeaderKind = TypeVar("_HeaderKind")


class _Codecs(threading.local):
    """zstandard's objects are for one thread each, and cost more to make than to use."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_codecs = _Codecs()
_decode_format = msgspec.json.Decoder(_Format).decode
_decode_header = msgspec.json.Decoder(_Header).decode
_decode_removal_header = msgspec.json.Decoder(_RemovalHeader).decode


@dataclass(frozen=True, slots=True)
class Record:
    """A record of events that was read: `lines` are `events` JSON lines, separated by line feeds.

    Attributes:
        derived: whether any of the events has a derived id.
        accepted_ms: when the first of the events was received, milliseconds since 1970.
        replayed: whether the events stood in the log before, and became dead letters.
        has_changes: whether some of the lines are changes of contacts.
    """

    events: int
    derived: bool
    accepted_ms: int
    lines: bytes
    replayed: bool = False
    has_changes: bool = False


_Removed = TypeVar("_Removed", Deletion, Erasure)


@dataclass(frozen=True, slots=True)
class RemovalRecord(Generic[_Removed]):
    """A record of a deletion or an erasure that was read.

    Attributes:
        accepted_ms: when it was asked for, milliseconds since 1970.
    """

    removal: _Removed
    accepted_ms: int


def pack(lines: Sequence[bytes], *, derived: bool, accepted_ms: int, has_changes: bool = False) -> bytes:
    """A record of `lines` (as `encode_event` makes them), in this order."""
    return _packed(lines, derived=derived, accepted_ms=accepted_ms, has_changes=has_changes)


def pack_replay(lines: Sequence[bytes], *, accepted_ms: int) -> bytes:
    """A record of lines that stood in records before, as `unpack` gives them; each counts at most once.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: a line is no event.
    """
    own = [b"{" + line.partition(b",")[2] for line in lines]
    marks = [decode_mark(line) for line in own]
    marked = [line if mark.derived else line[:-1] + b',"derived":true}' for line, mark in zip(own, marks, strict=True)]
    has_changes = any(mark.change for mark in marks)
    return _packed(marked, derived=True, accepted_ms=accepted_ms, has_changes=has_changes, more=b',"replayed":true')


def _packed(
    lines: Sequence[bytes], *, derived: bool, accepted_ms: int, has_changes: bool = False, more: bytes = b""
) -> bytes:
    body = b"\n".join([b'{"log_index":%d,%b' % (index, line[1:]) for index, line in enumerate(lines)])
    plain_bytes = len(body)
    compressed = plain_bytes >= _COMPRESSED_FROM_BYTES
    if compressed:
        body = _codecs.compress(body)
    head = b'{"format":%d,"events":%d,"derived":%b,"accepted_ms":%d,"bytes":%d,"zstd":%b%b' % (
        CHANGES_FORMAT if has_changes else EVENTS_FORMAT,
        len(lines),
        _boolean(derived),
        accepted_ms,
        plain_bytes,
        _boolean(compressed),
        more,
    )
    return _sealed(head, body)


def pack_deletion(deletion: Deletion, *, accepted_ms: int) -> bytes:
    """A record of a deletion."""
    return _sealed(b'{"format":%d,"accepted_ms":%d' % (DELETION_FORMAT, accepted_ms), encode_deletion(deletion))


def pack_erasure(erasure: Erasure, *, accepted_ms: int) -> bytes:
    """A record of an erasure."""
    return _sealed(b'{"format":%d,"accepted_ms":%d' % (ERASURE_FORMAT, accepted_ms), encode_erasure(erasure))


def _sealed(head: bytes, body: bytes) -> bytes:
    return b'%b,"crc32":%d}\n%b' % (head, crc32(body, crc32(head)), body)


def _boolean(value: bool) -> bytes:
    return b"true" if value else b"false"


def sizes(value: bytes | None) -> tuple[int, int]:
    """How many events a record holds and how many bytes they have, at a glance: for limits, before it is read."""
    try:
        header = _decode_header((value or b"").partition(b"\n")[0])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 1, len(value or b"")
    return header.events, header.bytes


def is_removal(value: bytes | None) -> bool:
    """Whether the record holds a deletion or an erasure, at a glance: it is written for itself, after all before it."""
    return _format_of(value) in _REMOVING


def is_erasure(value: bytes | None) -> bool:
    """Whether the record holds an erasure, at a glance."""
    return _format_of(value) == ERASURE_FORMAT


def _format_of(value: bytes | None) -> int | None:
    try:
        return _decode_format((value or b"").partition(b"\n")[0]).format
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def unpack(value: bytes) -> Record:
    """Reads a record of events back.

    Raises:
        MalformedRecord: not such a record, or not what was written.
        UnknownFormat: written by a newer version.
    """
    head, body = _divided(value, _WITH_LINES)
    header = _read_header(_decode_header, head)
    _expect_checksum(head, body, header.crc32)
    lines = _decompressed(body) if header.zstd else body
    found = lines.count(b"\n") + 1
    if found != header.events:
        raise MalformedRecord(f"the header announces {header.events} events, {found} are there")
    has_changes = header.format == CHANGES_FORMAT
    return Record(header.events, header.derived, header.accepted_ms, lines, header.replayed, has_changes)


def unpack_deletion(value: bytes) -> RemovalRecord[Deletion]:
    """Reads a record of a deletion back; raises as `unpack` does."""
    return _unpack_removal(value, DELETION_FORMAT, decode_deletion)


def unpack_erasure(value: bytes) -> RemovalRecord[Erasure]:
    """Reads a record of an erasure back; raises as `unpack` does."""
    return _unpack_removal(value, ERASURE_FORMAT, decode_erasure)


def _unpack_removal(value: bytes, wanted: int, decode: Callable[[bytes], _Removed]) -> RemovalRecord[_Removed]:
    head, body = _divided(value, (wanted,))
    header = _read_header(_decode_removal_header, head)
    _expect_checksum(head, body, header.crc32)
    try:
        return RemovalRecord(decode(body), header.accepted_ms)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRecord(f"what is removed is not readable: {error}") from error


def _divided(value: bytes, wanted: Collection[int]) -> tuple[bytes, bytes]:
    """Header and body of a record of a format that is wanted."""
    head, separator, body = value.partition(b"\n")
    number = _read_header(_decode_format, head).format
    if number > NEWEST_FORMAT:
        raise UnknownFormat(f"record format {number}, this version reads up to {NEWEST_FORMAT}: upgrade the consumers")
    if number not in wanted or not separator:
        raise MalformedRecord(f"no record of format {' or '.join(map(str, wanted))}")
    return head, body


def _read_header(decode: Callable[[bytes], _HeaderKind], head: bytes) -> _HeaderKind:
    try:
        return decode(head)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRecord(f"the header is not readable: {error}") from error


def _expect_checksum(head: bytes, body: bytes, expected: int) -> None:
    if crc32(body, crc32(head[: head.rfind(b',"crc32":')])) != expected:
        raise MalformedRecord("the checksum does not match")


def _decompressed(body: bytes) -> bytes:
    try:
        return bytes(_codecs.decompress(body, max_output_size=_MAX_LINES_BYTES))
    except zstandard.ZstdError as error:
        raise MalformedRecord(f"the events cannot be decompressed: {error}") from error


def unpositioned(line: bytes) -> bytes:
    """The record's own line of one that `positioned` gave."""
    return b"{" + line.split(b",", 2)[2]


def positioned(record: Record, partition: int, offset: int) -> bytes:
    """The record's lines with the place in the log put in front of each, as the table's columns.

    A line feed stands only between lines (JSON writes one inside a string as an escape), so one pass in C does it.
    """
    place = b'{"log_partition":%d,"log_offset":%d,' % (partition, offset)
    return place + record.lines[1:].replace(b"\n{", b"\n" + place)

"""Sends dead letters through once more: what can be processed by now stands in the log again, behind everything else.

Only that is appended: a record that still cannot be read, or an event that the tables still refuse, stays what it is.
The events keep their ids and go to the partition where they were, in a record that is marked as replayed, so the writer
stores each at most once: however often it is asked for, by two at the same time, and where the original is stored after
all. Events of a contact that was erased since are left out: they would bring it back.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

from consumers.copies import first_copies, originals
from consumers.deadletter import publish_replayed
from consumers.letters import StoredLetter, read_letters
from penstock.clickhouse import Tables
from penstock.clickhouse.contract import Parameter
from penstock.errors import StartError, TablesRefused
from penstock.eventlog import EventLog
from schemas.event import EventMark, decode_mark, decode_owner
from schemas.ids import is_uuid
from schemas.record import MalformedRecord, UnknownFormat, is_removal, pack_replay, unpack
from schemas.tables import EVENTS_PROBE

_END_OF_LOG = 2**63 - 1

_ERASED = """
SELECT DISTINCT toString(project_id), toString(contact_id) FROM erasures
WHERE contact_id IN {contacts:Array(UUID)} AND log_partition = {partition:UInt16} AND log_offset > {offset:UInt64}
"""


class Status(StrEnum):
    """What became of a letter that was asked for."""

    REPLAYED = "replayed"
    ALREADY_REPLAYED = "already replayed"
    ALREADY_STORED = "already stored"
    REFUSED = "still refused"


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one letter, as `penstock dead-letters replay --json` says it.

    Attributes:
        id: the letter's key.
        reason: why it is refused; else "".
        offset: where its events now stand in the log, in the letter's partition; None where they do not.
    """

    id: str
    status: Status
    partition: int
    reason: str = ""
    offset: int | None = None


class StillRefused(Exception):
    """The letter cannot be processed by now either; the text says why."""


def chosen(log: EventLog, keys: Iterable[str]) -> dict[str, StoredLetter]:
    """The letters of these keys; without any, all that were not replayed yet.

    Raises:
        StartError: there is no letter of some key.
    """
    letters, wanted = read_letters(log), list(dict.fromkeys(keys))
    if not wanted:
        return {key: letter for key, letter in letters.items() if not letter.replayedAt}
    if unknown := [key for key in wanted if key not in letters]:
        raise StartError(f"There is no dead letter {unknown[0]!r}; 'penstock dead-letters list' shows all.")
    return {key: letters[key] for key in wanted}


def replay(log: EventLog, tables: Tables, key: str, letter: StoredLetter, now_ms: Callable[[], int]) -> Outcome:
    """Appends the letter's events, unless all of them are in the tables, or it was done before.

    Raises:
        LogUnavailable, TablesUnavailable: not known whether it was appended; to do it again is harmless.
    """
    if letter.replayedAt:
        return Outcome(key, Status.ALREADY_REPLAYED, letter.replayedPartition, offset=letter.replayedOffset)
    try:
        lines = _without_erased(tables, letter, _lines(tables, letter))
        record = pack_replay(lines, accepted_ms=now_ms())
        marks = [decode_mark(line) for line in lines]
    except StillRefused as refusal:
        return Outcome(key, Status.REFUSED, letter.partition, str(refusal))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Outcome(key, Status.REFUSED, letter.partition, f"an event is not readable: {error}")
    if {mark.id for mark in marks} <= _stored(tables, marks, letter.partition):
        return Outcome(key, Status.ALREADY_STORED, letter.partition)
    offset = log.append_record(letter.partition, record)
    publish_replayed(log, key, letter.partition, offset, now_ms())
    return Outcome(key, Status.REPLAYED, letter.partition, offset=offset)


def _stored(tables: Tables, marks: list[EventMark], partition: int) -> set[str]:
    return first_copies(tables, marks, partition, _END_OF_LOG) | originals(tables, marks, partition, _END_OF_LOG)


def _lines(tables: Tables, letter: StoredLetter) -> list[bytes]:
    """The events of the letter, as lines of their record.

    Of a whole record that is readable by now, those that the tables refuse become letters of their own.

    Raises:
        StillRefused: it cannot be processed.
    """
    if letter.index is None:
        return _record_lines(letter.value)
    try:
        tables.insert(EVENTS_PROBE, letter.value)
    except TablesRefused as refusal:
        raise StillRefused(f"the tables refuse the event (ClickHouse code {refusal.number})") from refusal
    return [letter.value]


def _without_erased(tables: Tables, letter: StoredLetter, lines: list[bytes]) -> list[bytes]:
    """The events whose contacts were not erased behind the letter.

    Raises:
        StillRefused: there are none.
        msgspec.DecodeError, UnicodeDecodeError: a line is no event.
    """
    owners = [decode_owner(line) for line in lines]
    contacts = sorted({owner.contact_id for owner in owners if is_uuid(owner.contact_id)})
    values: dict[str, Parameter] = {"contacts": contacts, "partition": letter.partition, "offset": letter.offset}
    erased = {(str(project), str(contact)) for project, contact in tables.select(_ERASED, values)}
    left = [
        line for line, owner in zip(lines, owners, strict=True) if (owner.project_id, owner.contact_id) not in erased
    ]
    if not left:
        raise StillRefused("the contact was erased since")
    return left


def _record_lines(value: bytes) -> list[bytes]:
    if is_removal(value):
        raise StillRefused("it removes something, which would be more by now: ask for it again")
    try:
        return unpack(value).lines.split(b"\n")
    except (MalformedRecord, UnknownFormat) as error:
        raise StillRefused(str(error)) from error

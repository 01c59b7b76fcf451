"""A batch on its way into the tables: what was decoded of it, what is dead in it, and its lines as rows. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from consumers.batch import Batch
from consumers.deadletter import DeadLetter
from consumers.decode import DecodedRecord, decode, decode_removal, lines_of
from consumers.subscriptions import Place
from schemas.deletion import Deletion
from schemas.erasure import Erasure
from schemas.event import EventMark
from schemas.record import MalformedRecord, is_removal
from schemas.topics import Topic


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch that is decoded.

    Attributes:
        records: by offset; those that could not be decoded are missing.
        dead: what must be set aside of it.
        removal: what the batch removes, which then has no events.
        refused: those of the events that the tables cannot read, as far as they were asked; they are dead, too.
        is_set_aside: whether that was done with all that is dead.
    """

    batch: Batch
    records: Mapping[int, DecodedRecord]
    dead: list[DeadLetter]
    removal: Deletion | Sequence[Erasure] = ()
    refused: Mapping[Place, DeadLetter] = field(default_factory=dict)
    is_set_aside: bool = False

    @property
    def good(self) -> int:
        """How many events are not dead."""
        return sum([decoded.rows for decoded in self.records.values()]) - len(self.refused)

    def token(self, generation: int) -> str:
        """The identity of the insert."""
        batch = self.batch
        return f"{Topic.EVENTS}:{batch.partition}:{batch.first}-{batch.last}:{generation}"


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch came to.

    Attributes:
        stored: rows that are in the tables, events that were emitted among them.
        repeated: second copies that were refused.
        dead: what was set aside.
        accepted_ms: when each record's first event was received.
        deleted: events that went.
    """

    batch: Batch
    stored: int
    repeated: int
    dead: list[DeadLetter]
    accepted_ms: list[int]
    deleted: int = 0


def prepare(batch: Batch) -> Prepared:
    """Decodes a batch.

    Raises:
        UnknownFormat: a newer version wrote a record.
    """
    records: dict[int, DecodedRecord] = {}
    dead: list[DeadLetter] = []
    deletion: Deletion | None = None
    erasures: list[Erasure] = []
    for record in batch.records:
        try:
            if not is_removal(record.value):
                records[record.offset] = decode(record)
            elif isinstance(removal := decode_removal(record), Erasure):
                erasures.append(removal)
            else:  # then it is the batch's only record
                deletion = removal
        except MalformedRecord as error:
            dead.append(DeadLetter(batch.partition, record.offset, None, str(error), record.value or b""))
    return Prepared(batch, records, dead, deletion or erasures)


class _PlacedId(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A row of `derived_ids` or `late_ids`."""

    id: str
    log_partition: int
    log_offset: int
    project_id: str = ""
    occurred_at: str = ""


def lines_without(ready: Prepared, dropped: Collection[Place]) -> list[bytes]:
    """The lines of a batch without some; the records that lose none stay undivided."""
    divided = {offset for offset, _ in dropped}
    lines: list[bytes] = []
    for offset, decoded in ready.records.items():
        if offset in divided:
            lines += [line for place, line in lines_of({offset: decoded}) if place not in dropped]
        else:
            lines.append(decoded.lines)
    return lines


def id_lines(
    ready: Prepared, dropped: Collection[Place], wanted: Callable[[DecodedRecord], Mapping[int, EventMark]]
) -> list[bytes]:
    """The rows of the batch's ids that are wanted, without those of some events."""
    return [
        id_line(mark, ready.batch.partition, offset)
        for offset, decoded in ready.records.items()
        for index, mark in wanted(decoded).items()
        if (offset, index) not in dropped
    ]


def id_line(mark: EventMark, partition: int, offset: int) -> bytes:
    """A row of `derived_ids` or `late_ids`."""
    return msgspec.json.encode(_PlacedId(mark.id, partition, offset, mark.project_id, mark.occurred_at))

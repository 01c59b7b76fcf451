"""Reads the dead letters: all of them, or where they stand in the log."""

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, field

import msgspec

from penstock.clickhouse import Tables
from penstock.eventlog import EventLog
from penstock.eventlog.reading import Reading
from schemas.tables import DEAD_LETTERS
from schemas.topics import Topic


class StoredLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A letter in the topic, or that it was replayed: then only the last three are there. JSON has bytes as base64.

    Attributes:
        replayedAt: when it was sent through once more; "" where it was not.
        replayedPartition, replayedOffset: where it then stood in the log.
    """

    topic: str = ""
    partition: int = 0
    offset: int = 0
    index: int | None = None
    reason: str = ""
    deadAt: str = ""  # noqa: N815 - wire spelling
    value: bytes = b""
    replayedAt: str = ""  # noqa: N815
    replayedPartition: int = 0  # noqa: N815
    replayedOffset: int = 0  # noqa: N815


def read_letters(log: EventLog) -> dict[str, StoredLetter]:
    """All dead letters by key, oldest first; one that was set aside, or replayed, twice counts once.

    Raises:
        LogUnavailable: the log does not answer.
    """
    found: dict[str, StoredLetter] = {}
    decode = msgspec.json.Decoder(StoredLetter).decode
    with closing(Reading(log, Topic.DEAD_LETTER)) as reading:
        for record in reading.records({}, reading.ends()):
            _fold(found, record.key or "", decode(record.value or b"{}"))
    return found


def _fold(found: dict[str, StoredLetter], key: str, said: StoredLetter) -> None:
    known = found.get(key)
    if said.replayedAt:
        if known is not None and not known.replayedAt:
            found[key] = msgspec.structs.replace(
                known,
                replayedAt=said.replayedAt,
                replayedPartition=said.replayedPartition,
                replayedOffset=said.replayedOffset,
            )
    elif known is None:
        found[key] = said


class _LetterPlace(msgspec.Struct, frozen=True, gc=False):
    topic: str = ""
    partition: int = 0
    offset: int = 0
    index: int | None = None


@dataclass(slots=True)
class DeadPlaces:
    """Which records and events of the log were set aside.

    Attributes:
        records: whole ones, as partition and offset.
        events: single ones: the indexes by partition and offset.
    """

    records: set[tuple[int, int]] = field(default_factory=set)
    events: dict[tuple[int, int], set[int]] = field(default_factory=dict)

    def add(self, partition: int, offset: int, index: int | None) -> None:
        """Takes one; twice is fine."""
        if index is None:
            self.records.add((partition, offset))
        else:
            self.events.setdefault((partition, offset), set()).add(index)

    def indexes(self, partition: int, offset: int) -> Collection[int]:
        """The events of a record that were set aside alone."""
        return self.events.get((partition, offset), ())


_KNOWN = f"SELECT DISTINCT log_partition, log_offset, log_index FROM {DEAD_LETTERS}"  # noqa: S608 - a constant


def read_dead_places(log: EventLog, tables: Tables) -> DeadPlaces:
    """Where the dead letters of these tables stand; their bytes are not kept.

    The log has letters of other tables, too: what one version set aside, a later one may have been able to read when it
    made the tables anew. And what only the tables call dead is nowhere.

    Raises:
        LogUnavailable, TablesUnavailable: the log, or the tables, do not answer.
    """
    known = {(int(str(part)), int(str(offset)), int(str(index))) for part, offset, index in tables.select(_KNOWN)}
    places = DeadPlaces()
    decode = msgspec.json.Decoder(_LetterPlace).decode
    with closing(Reading(log, Topic.DEAD_LETTER)) as reading:
        for record in reading.records({}, reading.ends()):
            place = decode(record.value or b"{}")
            index = -1 if place.index is None else place.index
            if place.topic == Topic.EVENTS and (place.partition, place.offset, index) in known:
                places.add(place.partition, place.offset, place.index)
    return places

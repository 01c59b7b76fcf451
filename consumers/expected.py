"""What the tables should have of the log: a fold over its records. Pure, but for the memory of first copies.

It decides anew, from the log alone, what the writer decided batch by batch: which events are dead letters, which are
second copies, which went with a deletion of their name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from consumers.letters import DeadPlaces
from penstock.errors import StartError
from penstock.eventlog import StoredRecord
from schemas.deletion import Deletion
from schemas.record import MalformedRecord, UnknownFormat, is_deletion, unpack, unpack_deletion

Name = tuple[str, str]
"""A project and the name of its events."""

_UUID_CHARACTERS = 36

IsFirst = Callable[[int, int, int, int], bool]
"""Whether the id (as a number) has no copy that stands before this one (partition, offset, index) in the log."""


class EventLine(msgspec.Struct, frozen=True, gc=False):
    """The part of an event's line that decides what becomes of it."""

    id: str
    project_id: str
    name: str
    occurred_at: str
    derived: bool = False


def id_number(id_: str) -> int:
    """A UUID's text as a number; ValueError where it is none."""
    if len(id_) != _UUID_CHARACTERS:
        raise ValueError(f"not a UUID: {id_!r}")
    return int(id_.replace("-", ""), 16)


_decode = msgspec.json.Decoder(EventLine).decode


@dataclass(frozen=True, slots=True)
class ExpectedEvent:
    """An event that should be in the tables.

    Attributes:
        index: in its record.
        number: its id.
    """

    index: int
    number: int
    line: EventLine


@dataclass(slots=True)
class ExpectedRecord:
    """What a record should have left in the tables.

    Attributes:
        events: those that should be there.
        derived: the ids of the stored first copies, also of those that were deleted since.
        dead: events that were set aside; a record that was, as a whole, counts as one.
        unreadable: events that cannot be read and were not set aside; a record counts as one.
    """

    events: list[ExpectedEvent] = field(default_factory=list)
    derived: list[int] = field(default_factory=list)
    dead: int = 0
    repeated: int = 0
    deleted: int = 0
    unreadable: int = 0

    @property
    def in_log(self) -> int:
        """How many events the record holds."""
        return len(self.events) + self.dead + self.repeated + self.deleted + self.unreadable


class NamesDeleted:
    """The deletions in the log. Of each name only the last in a partition counts: it removes all before it.

    Args:
        through: how far each partition is compared. What a deletion up to there removes must be gone; one behind it may
            be under way.
    """

    def __init__(self, through: Mapping[int, int]) -> None:
        self._through = through
        self._done: dict[tuple[int, Name], int] = {}
        self._coming: dict[tuple[int, Name], int] = {}

    def add(self, partition: int, offset: int, deletion: Deletion) -> None:
        """Takes the next deletion of its partition."""
        known = self._done if offset <= self._through.get(partition, -1) else self._coming
        known[partition, (deletion.project_id, deletion.name)] = offset

    def has(self, partition: int, offset: int, name: Name) -> bool:
        """Whether an event of the name that stands there must be gone."""
        return offset < self._done.get((partition, name), -1)

    def may_have(self, partition: int, offset: int, name: Name) -> bool:
        """Whether it may be gone: a deletion that stands further on may have come to it or not."""
        return offset < self._coming.get((partition, name), -1)

    def is_coming(self, partition: int, name: Name) -> bool:
        """Whether any event of the name may be gone."""
        return (partition, name) in self._coming


def read_deletion(record: StoredRecord) -> Deletion | None:
    """The deletion that the record holds, if it is one that can be read."""
    if not is_deletion(record.value):
        return None
    try:
        return unpack_deletion(record.value or b"").deletion
    except MalformedRecord:
        return None


class Expectation:
    """What should be in the tables of each record of the log; asked in its order, and about single ones again."""

    def __init__(self, dead: DeadPlaces, deleted: NamesDeleted, is_first: IsFirst) -> None:
        self._dead = dead
        self._deleted = deleted
        self._is_first = is_first

    def of(self, record: StoredRecord) -> ExpectedRecord:
        """See the class.

        Raises:
            StartError: a newer version wrote the record.
        """
        if (record.partition, record.offset) in self._dead.records:
            return ExpectedRecord(dead=1)
        try:
            lines = unpack(record.value or b"").lines.split(b"\n")
        except MalformedRecord:
            return ExpectedRecord(unreadable=0 if read_deletion(record) else 1)
        except UnknownFormat as error:
            raise StartError(f"The log has a {error}") from error
        return self._of_lines(record.partition, record.offset, lines)

    def _of_lines(self, partition: int, offset: int, lines: list[bytes]) -> ExpectedRecord:
        found = ExpectedRecord()
        dead = self._dead.indexes(partition, offset)
        for index, text in enumerate(lines):
            if index in dead:
                found.dead += 1
                continue
            try:
                line = _decode(text)
                event = ExpectedEvent(index, id_number(line.id), line)
            except ValueError:  # msgspec's errors are such, too
                found.unreadable += 1
                continue
            self._place(found, partition, offset, event)
        return found

    def _place(self, found: ExpectedRecord, partition: int, offset: int, event: ExpectedEvent) -> None:
        line = event.line
        if line.derived:
            if not self._is_first(event.number, partition, offset, event.index):
                found.repeated += 1
                return
            found.derived.append(event.number)
        if self._deleted.has(partition, offset, (line.project_id, line.name)):
            found.deleted += 1
        else:
            found.events.append(event)

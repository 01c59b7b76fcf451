"""What the tables should have of the log: a fold over its records. Pure, but for the memory of first copies.

It decides anew, from the log alone, what the writer decided batch by batch: which events are dead letters, which are
second copies, which went with a deletion of their name or with their contact, which contacts' subscriptions changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from consumers.decode import CHANGE_MEMBER, SUBSCRIBED_MEMBER, decode_removal
from consumers.letters import DeadPlaces
from consumers.people import Place
from consumers.people_fold import PeopleFold
from consumers.subscriptions import Contact, milliseconds
from penstock.errors import StartError
from penstock.eventlog import StoredRecord
from schemas.deletion import Deletion
from schemas.erasure import Erasure
from schemas.event import Event, decode_event
from schemas.membership import is_segment_event
from schemas.record import MalformedRecord, UnknownFormat, is_removal, unpack

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
    contact_id: str = ""
    email: str = ""
    data: str = ""
    derived: bool = False


def id_number(id_: str) -> int:
    """A UUID's text as a number; ValueError where it is none."""
    if len(id_) != _UUID_CHARACTERS:
        raise ValueError(f"not a UUID: {id_!r}")
    return int(id_.replace("-", ""), 16)


_decode = msgspec.json.Decoder(EventLine).decode


def _expect_readable(line: EventLine) -> None:
    """ValueError where the tables cannot have it, as whose it is or when it happened cannot be read."""
    milliseconds(line.occurred_at)
    id_number(line.contact_id)


def _tells(lines: bytes) -> bool:
    """Whether one of them may say something of a subscription, or be a change."""
    return SUBSCRIBED_MEMBER in lines or CHANGE_MEMBER in lines


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
        derived: the ids of the stored first copies, and of emitted events, also of those that were deleted since.
        said: what is said of subscriptions; the number is the contact's.
        memberships: the events that tell of segments; the number is the contact's.
        dead: events that were set aside; a record that was, as a whole, counts as one.
        unreadable: events that cannot be read and were not set aside; a record counts as one.
        in_log: how many events the record holds.
        emitted: how many of `events` it does not hold, but caused.
    """

    events: list[ExpectedEvent] = field(default_factory=list)
    derived: list[int] = field(default_factory=list)
    said: list[ExpectedEvent] = field(default_factory=list)
    memberships: list[ExpectedEvent] = field(default_factory=list)
    dead: int = 0
    repeated: int = 0
    deleted: int = 0
    unreadable: int = 0
    in_log: int = 0
    emitted: int = 0


Removed = tuple[str, str, str]
"""What a removal is about: its kind, the project, and the name or the contact's id."""


class Removals:
    """The deletions and erasures in the log. Of each name, or contact, only the last in a partition counts.

    Args:
        through: how far each partition is compared. What a removal up to there removes must be gone; one behind it may
            be under way.
    """

    def __init__(self, through: Mapping[int, int]) -> None:
        self._through = through
        self._done: dict[tuple[int, Removed], int] = {}
        self._coming: dict[tuple[int, Removed], int] = {}
        self._erasing: set[tuple[int, str]] = set()

    def add(self, partition: int, offset: int, removal: Deletion | Erasure) -> None:
        """Takes the next removal of its partition."""
        is_done = offset <= self._through.get(partition, -1)
        if isinstance(removal, Deletion):
            removed = "name", removal.project_id, removal.name
        else:
            removed = "contact", removal.project_id, removal.contact_id
            if not is_done:
                self._erasing.add((partition, removal.project_id))
        (self._done if is_done else self._coming)[partition, removed] = offset

    def has(self, partition: int, offset: int, line: EventLine) -> bool:
        """Whether an event that stands there must be gone."""
        if not self._done:
            return False
        return any(offset < self._done.get((partition, removed), -1) for removed in _removed(line))

    def has_erased(self, partition: int, offset: int, line: EventLine) -> bool:
        """Whether what an event says of its contact must be gone."""
        return offset < self._done.get((partition, _erased(line)), -1)

    def may_have_erased(self, partition: int, offset: int, line: EventLine) -> bool:
        """Whether that may be gone."""
        return offset < self._coming.get((partition, _erased(line)), -1)

    def may_have(self, partition: int, offset: int, line: EventLine) -> bool:
        """Whether it may be gone: a removal that stands further on may have come to it or not."""
        return any(offset < self._coming.get((partition, removed), -1) for removed in _removed(line))

    def is_coming(self, partition: int, name: Name) -> bool:
        """Whether any event of the name may be gone."""
        project_id, _ = name
        return (partition, ("name", *name)) in self._coming or (partition, project_id) in self._erasing

    def is_erasing(self, partition: int, contact: Contact) -> bool:
        """Whether the contact may be gone."""
        return (partition, ("contact", *contact)) in self._coming


def _removed(line: EventLine) -> tuple[Removed, Removed]:
    return ("name", line.project_id, line.name), _erased(line)


def _erased(line: EventLine) -> Removed:
    return "contact", line.project_id, line.contact_id


def read_removal(record: StoredRecord) -> Deletion | Erasure | None:
    """The deletion or erasure that the record holds, if it is one that can be read."""
    if not is_removal(record.value):
        return None
    try:
        return decode_removal(record)
    except MalformedRecord:
        return None


class Expectation:
    """What should be in the tables of each record of the log; asked in its order, and about single ones again.

    Args:
        people: takes what the events say of their contacts.
    """

    def __init__(self, dead: DeadPlaces, removals: Removals, is_first: IsFirst, people: PeopleFold) -> None:
        self._dead = dead
        self._removals = removals
        self._is_first = is_first
        self._people = people

    def of(self, record: StoredRecord) -> ExpectedRecord:
        """See the class.

        Raises:
            StartError: a newer version wrote the record.
        """
        if (record.partition, record.offset) in self._dead.records:
            return ExpectedRecord(dead=1, in_log=1)
        try:
            lines = unpack(record.value or b"").lines
        except MalformedRecord:
            return self._of_removal(record)
        except UnknownFormat as error:
            raise StartError(f"The log has a {error}") from error
        return self._of_lines(record.partition, record.offset, lines)

    def _of_removal(self, record: StoredRecord) -> ExpectedRecord:
        removal = read_removal(record)
        if removal is None:
            return ExpectedRecord(unreadable=1, in_log=1)
        if isinstance(removal, Erasure):
            self._people.forget(record.partition, record.offset, removal)
        return ExpectedRecord()

    def _of_lines(self, partition: int, offset: int, lines: bytes) -> ExpectedRecord:
        found = ExpectedRecord()
        dead = self._dead.indexes(partition, offset)
        tells = _tells(lines)
        for index, text in enumerate(lines.split(b"\n")):
            if index in dead:
                found.dead += 1
                found.in_log += 1
                continue
            try:
                told = decode_event(text) if tells and _tells(text) else None
                line = _decode(text)
                event = ExpectedEvent(index, id_number(line.id), line)
                _expect_readable(line)
            except ValueError:  # msgspec's errors are such, too
                found.unreadable += 1
                found.in_log += 1
                continue
            self._take(found, (partition, offset, index), event, told)
        return found

    def _take(self, found: ExpectedRecord, place: Place, event: ExpectedEvent, told: Event | None) -> None:
        """One more line, and the event that it emits, if any."""
        is_change = told is not None and told.change
        found.in_log += not is_change
        if event.line.derived and not self._is_first(event.number, *place):
            found.repeated += not is_change
            return
        if not is_change:
            found.deleted += not self._place(found, place, event)
        elif event.line.derived:
            found.derived.append(event.number)
        emitted, counts = self._people.take(place, event.line, told)
        if counts and told is not None and told.subscribed is not None:
            self._say(found, place, event.line)
        if emitted is not None:
            has_new_id = not (is_change and event.line.derived)
            found.emitted += self._place(found, place, _emitted(event, emitted, has_new_id=has_new_id))

    def _say(self, found: ExpectedRecord, place: Place, line: EventLine) -> None:
        partition, offset, index = place
        if not self._removals.has_erased(partition, offset, line):
            found.said.append(ExpectedEvent(index, id_number(line.contact_id), line))

    def _place(self, found: ExpectedRecord, place: Place, event: ExpectedEvent) -> bool:
        """Whether it should be there, and was not removed."""
        partition, offset, _ = place
        if event.line.derived:
            found.derived.append(event.number)
        if self._removals.has(partition, offset, event.line):
            return False
        found.events.append(event)
        if is_segment_event(event.line.name):
            found.memberships.append(ExpectedEvent(event.index, id_number(event.line.contact_id), event.line))
        return True


def _emitted(cause: ExpectedEvent, emitted: Event, *, has_new_id: bool) -> ExpectedEvent:
    """An emitted event, where its cause stands; one that has its cause's derived id has no other."""
    line = EventLine(
        emitted.id, emitted.project_id, emitted.name, emitted.occurred_at, emitted.contact_id, derived=has_new_id
    )
    return ExpectedEvent(cause.index, id_number(line.id), line)

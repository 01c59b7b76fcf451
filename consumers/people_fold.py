"""Folds the log into its contacts, event by event, and says which events their changes emit."""

from typing import NamedTuple, Protocol

from consumers.memberships import Memberships, Step, member_of, membership_event, told_membership
from consumers.people import People, Person, Place
from consumers.subscriptions import Contact, Subscriptions, emitted_event, milliseconds
from schemas.erasure import Erasure
from schemas.event import Event
from schemas.names import is_reserved

_EMITS, _VOID = "emits", "void"


class Line(Protocol):
    """The part of a line that says something of its contact."""

    @property
    def project_id(self) -> str: ...
    @property
    def contact_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def occurred_at(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def data(self) -> str: ...


class Taken(NamedTuple):
    """What came of a line.

    Attributes:
        emitted: the event that it emits.
        counts: whether it says anything of its contact.
    """

    emitted: Event | None = None
    counts: bool = True


class _Stepped(NamedTuple):
    """What came of what was told of a membership.

    Attributes:
        segment: which one, as a person keeps it.
        last: the last change then.
    """

    segment: str
    last: Step
    emitted: Event | None


class PeopleFold:
    """See the module. Is told of the lines that count, in the order of the log; the same one may be told of again.

    What it answered the first time it answers again. What it is told of after the `end` it does not take in; of such a
    line that it was not told of before, it says that it emits what it may.
    """

    def __init__(self, people: People) -> None:
        self._people = people
        self._through: dict[int, int] = {}
        self._has_ended = False

    def end(self) -> None:
        """Everything that is compared was told."""
        self._has_ended = True

    def forget(self, partition: int, offset: int, erasure: Erasure) -> None:
        """A contact is erased, as far as it was known up to there."""
        if self._is_next(partition, offset):
            self._people.forget((erasure.project_id, erasure.contact_id))

    def take(self, place: Place, line: Line, told: Event | None) -> Taken:
        """Takes a line.

        Args:
            told: the whole line, where it says something of a subscription, or is a change.

        Raises:
            ValueError: the line is not readable.
        """
        partition, offset, index = place
        if not self._is_next(partition, offset):
            return self._again(place, told)
        contact: Contact = line.project_id, line.contact_id
        moment = milliseconds(line.occurred_at)
        person = self._people.get(contact)
        is_new = person is None
        if is_new and told is not None and told.known_only:
            return self._void(place)
        step = self._step(person, told)
        if step is not None and step.emitted is None:
            return self._void(place)
        if person is None:
            person = self._people.add(contact, Person(line.email, partition, offset, offset, moment))
        if step is not None:
            person.memberships[step.segment] = step.last
            self._people.decide(place, _EMITS)
        person.last_offset = offset
        person.created_ms = min(person.created_ms, moment)
        if line.data[:1] == "{" and not is_reserved(line.name):
            person.take(line.data, (moment, offset, index))
        if step is not None:
            return Taken(step.emitted)
        return Taken(self._hear(person, contact, place, told, is_new=is_new) if told is not None else None)

    def _void(self, place: Place) -> Taken:
        self._people.decide(place, _VOID)
        return Taken(counts=False)

    def _step(self, person: Person | None, told: Event | None) -> _Stepped | None:
        """What comes of what a line tells of a membership; None where it tells of none."""
        change = told_membership(told) if told is not None else None
        if told is None or change is None:
            return None
        member, segment = member_of(told, change), f"{change.segment_id}/{change.slug}"
        before = None if person is None else person.memberships.get(segment)
        known = Memberships({} if before is None else {member: before})
        emitted = known.hear(told)
        return _Stepped(segment, known.last.get(member, Step(0, entered=False)), emitted)

    def _is_next(self, partition: int, offset: int) -> bool:
        if self._has_ended or offset < self._through.get(partition, -1):
            return False
        self._through[partition] = offset
        return True

    def _again(self, place: Place, told: Event | None) -> Taken:
        partition, offset, _ = place
        if told is None:
            return Taken()
        is_decided = offset <= self._through.get(partition, -1)
        decided = self._people.decided(place) if is_decided else _EMITS
        if decided != _EMITS:
            return Taken(None, decided != _VOID)
        if told_membership(told):
            return Taken(membership_event(told))
        return Taken(None if told.subscribed is None else emitted_event(told))

    def _hear(self, person: Person, contact: Contact, place: Place, told: Event, *, is_new: bool) -> Event | None:
        if told.subscribed is None:
            return None
        known = Subscriptions({} if person.last is None else {contact: person.last})
        emitted = known.hear(place[1:], told, is_new=is_new)
        person.last = known.last[contact]
        if emitted is not None:
            self._people.decide(place, _EMITS)
        return emitted

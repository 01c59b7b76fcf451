"""Who is in which segment, change by change, and which events the changes emit. Pure.

What is told of a membership, by whoever computes it, emits its event where the state changes by it, so that entries and
exits of a contact alternate. Nobody is in a segment before they enter it. What happened before the last change comes
too late, and changes nothing.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from consumers.subscriptions import Contact, contact_of, milliseconds
from schemas.event import Event
from schemas.membership import SegmentChange, segment_change


class Step(NamedTuple):
    """The last change of a contact in a segment.

    Attributes:
        occurred_ms: when it happened, milliseconds since 1970.
        entered: whether it was an entry.
    """

    occurred_ms: int
    entered: bool


class Member(NamedTuple):
    """A contact, and a segment of its project."""

    contact: Contact
    segment_id: str
    slug: str


@dataclass(slots=True)
class Memberships:
    """See the module.

    Attributes:
        last: the last change, of those that had any.
    """

    last: dict[Member, Step] = field(default_factory=dict)

    def hear(self, event: Event) -> Event | None:
        """Takes what is told of a membership next; returns the event that is emitted, if any."""
        change = told_membership(event)
        if change is None:
            return None
        member = member_of(event, change)
        before = self.last.get(member, Step(0, entered=False))
        step = Step(milliseconds(event.occurred_at), change.entered)
        if step.entered == before.entered or step.occurred_ms < before.occurred_ms:
            return None
        self.last[member] = step
        return membership_event(event)


def told_membership(event: Event) -> SegmentChange | None:
    """What a line tells of a membership; None for one that tells nothing."""
    return segment_change(event.name, event.data) if event.change else None


def member_of(event: Event, change: SegmentChange) -> Member:
    """Whom it is about."""
    return Member(contact_of(event), change.segment_id, change.slug)


def membership_event(told: Event) -> Event:
    """The event that is emitted where what is told changes a membership."""
    return Event(
        told.project_id,
        told.id,
        told.name,
        told.occurred_at,
        told.contact_id,
        told.email,
        received_at=told.received_at,
        data=told.data,
        derived=True,
    )

"""What a contact's subscription is, word by word, and which events its changes emit. Pure.

The word counts that was spoken last: by the time at which it happened, then by its place in the log. An event is
emitted where that word changes; one that comes late and changes nothing emits nothing.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from schemas.event import Event
from schemas.ids import derived_event_id
from schemas.names import is_reserved
from schemas.times import parse_iso, to_ms

Place = tuple[int, int]
"""Where a line stands in its partition: the record's offset and the index in it."""

_REASONS = {"email.bounce": '{"reason":"bounce"}', "email.complaint": '{"reason":"complaint"}'}

Contact = tuple[str, str]
"""A project and the contact's id."""


class Word(NamedTuple):
    """What was said last of a subscription, and when; later words are greater.

    Attributes:
        occurred_ms: when it happened, milliseconds since 1970.
        log_offset, log_index: where it stands in the contact's partition.
    """

    occurred_ms: int
    log_offset: int
    log_index: int
    subscribed: bool


@dataclass(slots=True)
class Subscriptions:
    """What the subscriptions of some contacts are, word by word. Pure.

    Attributes:
        last: what was said last, of those of whom anything was said.
    """

    last: dict[Contact, Word] = field(default_factory=dict)

    def hear(self, place: Place, event: Event, *, is_new: bool) -> Event | None:
        """Takes the next word; returns the event that is emitted, if any.

        Args:
            is_new: whether nothing was known of the contact before. A caller's event sets the subscription of such a
                contact; what is reported of one changes it, as every contact is subscribed unless told otherwise.
        """
        contact = contact_of(event)
        subscribed = bool(event.subscribed)
        word = Word(milliseconds(event.occurred_at), *place, subscribed)
        before = self.last.get(contact)
        if before is not None and word < before:
            return None
        self.last[contact] = word
        was = True if before is None else before.subscribed
        if was == subscribed or (before is None and is_new and not is_report(event)):
            return None
        return emitted_event(event)


def contact_of(event: Event) -> Contact:
    """Whose event it is."""
    return event.project_id, event.contact_id


def is_report(event: Event) -> bool:
    """Whether it is told of a contact by who knows of a change, instead of being tracked."""
    return event.change or is_reserved(event.name)


@lru_cache(maxsize=1024)  # the events of one request share the text
def milliseconds(occurred_at: str) -> int:
    """Since 1970, of a line's time; ValueError where it is none."""
    return to_ms(parse_iso(occurred_at))


def emitted_event(cause: Event) -> Event:
    """The event by which a change is told; its id repeats where the cause does. What was asked for has no other event.

    Raises:
        ValueError: the contact's id is none.
    """
    data = cause.data if cause.change and cause.name else _REASONS.get(cause.name, "")
    return Event(
        cause.project_id,
        cause.id if cause.change else derived_event_id(cause.contact_id, "subscription", cause.id),
        "contact.subscribed" if cause.subscribed else "contact.unsubscribed",
        cause.occurred_at,
        cause.contact_id,
        cause.email,
        received_at=cause.received_at,
        data=data,
        derived=True,
    )

"""What contacts add to a batch: the events that a change of a subscription or a membership emits, and the changes that
are no events.

It is decided by the log alone, up to the batch: what the tables hold from there on is not looked at, so the same batch
comes to the same events when it is inserted again, by whomever, and in a rebuild.

The emitted event is stored in the same insert as its cause, and has the cause's place in the log.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from consumers.decode import DecodedRecord, event_line, lines_of
from consumers.earlier import Earlier
from consumers.memberships import Memberships, told_membership
from consumers.subscriptions import Contact, Place, Subscriptions, contact_of, is_report, milliseconds
from penstock.clickhouse import Tables
from schemas.event import Event, EventMark, EventOwner, decode_owner
from schemas.ids import is_uuid
from schemas.membership import is_entry, is_segment_event

Told = Mapping[Place, Event]
"""Lines that say something of a contact's subscription, or are changes, in the order of the log."""


@dataclass(frozen=True, slots=True)
class ContactLines:
    """See the module.

    Attributes:
        changes: where the lines stand that are no events.
        facts: what they say, as rows of `contact_facts`.
        events: the emitted events, as rows of `events`.
        marks: by the offset of the cause, theirs, and those of changes with derived ids, whatever came of them: of
            several copies the first one decides.
    """

    changes: frozenset[Place] = frozenset()
    facts: Sequence[bytes] = ()
    events: Sequence[bytes] = ()
    marks: Sequence[tuple[int, EventMark]] = ()


def contact_lines(
    tables: Tables, records: Mapping[int, DecodedRecord], partition: int, first: int, dropped: Collection[Place]
) -> ContactLines:
    """See the module.

    Args:
        records: of the batch, by offset.
        first: the batch's first offset. Of the tables only what stands before it counts.
        dropped: events that are not stored.

    Raises:
        TablesUnavailable: see `Tables`.
    """
    told = {
        (offset, index): event
        for offset, decoded in records.items()
        for index, event in decoded.told.items()
        if (offset, index) not in dropped and _is_readable(event)
    }
    if not told:
        return ContactLines()
    counting, transitions = _transitions(Earlier(tables, partition, first), told, records, dropped)
    return ContactLines(
        changes=frozenset(place for place, event in told.items() if event.change),
        facts=[_fact(told[place], partition, place) for place in counting if told[place].change],
        events=[event_line(event, partition, place) for place, event in transitions],
        marks=[(place[0], _mark(event)) for place, event in _with_ids_of_their_own(told, transitions)],
    )


def _with_ids_of_their_own(told: Told, transitions: Sequence[tuple[Place, Event]]) -> list[tuple[Place, Event]]:
    changes = [(place, event) for place, event in told.items() if event.change and event.derived]
    return changes + [
        (place, event) for place, event in transitions if not told[place].derived or not told[place].change
    ]


def _mark(event: Event) -> EventMark:
    return EventMark(event.id, project_id=event.project_id, occurred_at=event.occurred_at)


def _is_readable(event: Event) -> bool:
    """Whether the tables will not refuse it for what is looked at here."""
    try:
        milliseconds(event.occurred_at)
    except ValueError:
        return False
    return is_uuid(event.contact_id) and is_uuid(event.project_id)


def _transitions(
    earlier: Earlier, told: Told, records: Mapping[int, DecodedRecord], dropped: Collection[Place]
) -> tuple[list[Place], list[tuple[Place, Event]]]:
    """The lines that count, and the emitted events, with the places of their causes."""
    standing = Subscriptions(earlier.standing([event for event in told.values() if event.subscribed is not None]))
    memberships = Memberships(earlier.memberships(told.values()))
    asked = {
        contact_of(event): event.email
        for event in told.values()
        if contact_of(event) not in standing.last and _depends_on_whether_known(event)
    }
    unknown = asked.keys() - earlier.known(asked.items())
    firsts = _first_places(records, unknown, dropped)
    counting, found = [], []
    for place, event in told.items():
        contact = contact_of(event)
        is_new = contact in unknown and firsts.get(contact, place) >= place
        if is_new and event.known_only:
            continue
        if told_membership(event):
            found += [(place, emitted)] if (emitted := memberships.hear(event)) else []
            continue
        counting.append(place)
        if event.subscribed is not None and (emitted := standing.hear(place, event, is_new=is_new)):
            found.append((place, emitted))
    return counting, found


def _depends_on_whether_known(event: Event) -> bool:
    return event.known_only or (event.subscribed is False and not is_report(event))


def _first_places(
    records: Mapping[int, DecodedRecord], contacts: Collection[Contact], dropped: Collection[Place]
) -> dict[Contact, Place]:
    """Where the line stands by which each of some contacts becomes known in the batch."""
    found: dict[Contact, Place] = {}
    if not contacts:
        return found
    for place, line in lines_of(records):
        if place in dropped:
            continue
        try:
            owner = decode_owner(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # the tables will refuse it
        contact = owner.project_id, owner.contact_id
        if contact in contacts and contact not in found and _makes_known(owner):
            found[contact] = place
    return found


def _makes_known(owner: EventOwner) -> bool:
    """An exit of who was never in a segment says nothing."""
    return not owner.known_only and not (owner.change and is_segment_event(owner.name) and not is_entry(owner.name))


class _Fact(msgspec.Struct, frozen=True, gc=False):
    """A row of `contact_facts`."""

    project_id: str
    contact_id: str
    email: str
    occurred_at: str
    subscribed: bool | None
    data: str
    log_partition: int
    log_offset: int
    log_index: int
    is_change: bool = True


def _fact(event: Event, partition: int, place: Place) -> bytes:
    """What a change says of the contact: a report's data belongs to the event that it may emit."""
    data = "" if event.name else event.data
    return msgspec.json.encode(
        _Fact(
            event.project_id,
            event.contact_id,
            event.email,
            event.occurred_at,
            event.subscribed,
            data,
            partition,
            *place,
        )
    )

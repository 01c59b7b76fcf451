"""Opens and clicks, numbered: each is told its number among those of its mail and contact, and whether it is the first.

By their place in the log, so a batch that is inserted again comes to the same numbers. What was stored before is
counted among the contact's events; what stands in the same batch, among its lines.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import msgspec

from consumers.copies import parts
from consumers.decode import DecodedRecord, event_line, lines_of
from consumers.subscriptions import Place
from penstock.clickhouse import Tables
from penstock.clickhouse.contract import Parameter
from schemas.event import Event, decode_event
from schemas.ids import is_uuid

_LOOKUP_CONTACTS = 1_000
"""Contacts in one look-up: bounds the statement's size."""

_BEFORE = """
SELECT toString(project_id), toString(contact_id), email_id, name, count()
FROM events_by_contact
WHERE project_id IN {projects:Array(UUID)} AND contact_id IN {contacts:Array(UUID)}
    AND name IN ('email.open', 'email.click') AND email_id IN {mails:Array(String)}
    AND log_partition = {partition:UInt16} AND log_offset < {offset:UInt64}
GROUP BY project_id, contact_id, email_id, name
"""

_MEMBERS = {"email.open": ("opens", "isFirstOpen"), "email.click": ("clicks", "isFirstClick")}
_NAMES = tuple(b'"name":"%b"' % name.encode() for name in _MEMBERS)
"""Stand in a line only as its member: inside a text the quotes are escaped."""


class _Mail(NamedTuple):
    """What is counted together."""

    project_id: str
    contact_id: str
    email_id: str
    name: str


def numbered_lines(
    tables: Tables, records: Mapping[int, DecodedRecord], partition: int, first: int, dropped: Collection[Place]
) -> dict[Place, bytes]:
    """The lines of the events that are to be numbered, with their numbers, by where they stand.

    Args:
        records: of the batch, by offset.
        first: the batch's first offset. Of the tables only what stands before it counts.
        dropped: events that are not stored.

    Raises:
        TablesUnavailable: see `Tables`.
    """
    if not any(event.numbered for decoded in records.values() for event in decoded.told.values()):
        return {}
    events = [(place, event) for place, event in _of_mails(records) if place not in dropped]
    counts = _before(tables, {_mail(event) for _, event in events if event.numbered}, partition, first)
    found = {}
    for place, event in events:
        counts[_mail(event)] += 1
        if event.numbered:
            found[place] = event_line(_with_number(event, counts[_mail(event)]), partition, place)
    return found


def _of_mails(records: Mapping[int, DecodedRecord]) -> Iterator[tuple[Place, Event]]:
    """All events that count, also those that are stored as they are."""
    telling = {offset: one for offset, one in records.items() if _tells(one.lines)}
    for place, line in lines_of(telling):
        if _tells(line) and (event := _event(line)) is not None:
            yield place, event


def _tells(lines: bytes) -> bool:
    return any(name in lines for name in _NAMES)


def _event(line: bytes) -> Event | None:
    """None where the tables will refuse it, or it says of no mail."""
    try:
        event = decode_event(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return event if event.email_id and is_uuid(event.project_id) and is_uuid(event.contact_id) else None


def _mail(event: Event) -> _Mail:
    return _Mail(event.project_id, event.contact_id, event.email_id, event.name)


def _before(tables: Tables, mails: Collection[_Mail], partition: int, first: int) -> Counter[_Mail]:
    found: Counter[_Mail] = Counter()
    for some in parts(sorted(mails), _LOOKUP_CONTACTS):
        values: dict[str, Parameter] = {
            "projects": sorted({mail.project_id for mail in some}),
            "contacts": sorted({mail.contact_id for mail in some}),
            "mails": sorted({mail.email_id for mail in some}),
            "partition": partition,
            "offset": first,
        }
        for *mail, count in tables.select(_BEFORE, values):
            found[_Mail(*map(str, mail))] = int(str(count))
    return found


def _with_number(event: Event, number: int) -> Event:
    count, is_first = _MEMBERS[event.name]
    more = f'"{count}":{number},"{is_first}":{"true" if number == 1 else "false"}}}'
    data = event.data[:-1] + ("," if event.data != "{}" else "") + more
    return msgspec.structs.replace(event, data=data, numbered=False)

"""The event as the log keeps it: one JSON line, whose members are columns of the table `events`.

The lines go from the log to ClickHouse as they are (`JSONEachRow`), so the names below are column names, and a change
of one is a change of the record format (see `schemas.record`). `log_index` is put in front when the line is packed;
`log_partition` and `log_offset` when it is read back, as only then they are known. Members that have their default are
left out: the columns have the same defaults, and shorter lines cost less everywhere.
"""

import msgspec


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One event.

    Attributes:
        project_id, id, contact_id: UUIDs as text.
        occurred_at: `YYYY-MM-DDThh:mm:ss.mmmZ`.
        received_at: the same, "" where the event occurred when it was received.
        name: as sent, 1 to 255 characters.
        email: the contact's address, lower case.
        email_id: the mail system's id of the message, "" for none.
        data: the JSON text that was sent, "" where none was.
        subscribed: what the event says of the subscription; None for nothing.
        derived: whether the id is derived, so that a second copy may come and must be refused.
        change: whether this is no event, but a change of the contact that somebody asked for. The events that it leads
            to have this id. Its `name` is that of the contact's or segment's event that was reported, with that event's
            `data`; or "" where fields were changed, and `data` is what is merged.
        known_only: whether a change is one of a contact that is there; where it is gone by then, the change is void.
        numbered: whether `data` is to tell its number among the opens or clicks of its mail, which is known when it is
            stored.
    """

    project_id: str
    id: str
    name: str
    occurred_at: str
    contact_id: str
    email: str
    received_at: str = ""
    data: str = ""
    email_id: str = ""
    subscribed: bool | None = None
    derived: bool = False
    change: bool = False
    known_only: bool = False
    numbered: bool = False


_TO_SECONDS = len("2026-11-23T07:00:00")


class EventMark(msgspec.Struct, frozen=True, gc=False):
    """The part of a line that decides whether a second copy is refused, and that says where the first one is found."""

    id: str
    derived: bool = False
    project_id: str = ""
    occurred_at: str = ""
    received_at: str = ""
    change: bool = False

    @property
    def is_late(self) -> bool:
        """Whether it was received in another second than it happened, so that its id does not tell where it is."""
        return bool(self.received_at) and self.received_at[:_TO_SECONDS] != self.occurred_at[:_TO_SECONDS]


class EventOwner(msgspec.Struct, frozen=True, gc=False):
    """The part of a line that says whose it is."""

    project_id: str
    contact_id: str
    known_only: bool = False
    change: bool = False
    name: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)
_mark_decoder = msgspec.json.Decoder(EventMark)
_owner_decoder = msgspec.json.Decoder(EventOwner)

encode_event = _encoder.encode
decode_event = _decoder.decode
decode_mark = _mark_decoder.decode
decode_owner = _owner_decoder.decode

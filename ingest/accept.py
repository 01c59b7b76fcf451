"""From the bytes of one event to an entry for the log, or to what is wrong with it. Pure: no I/O, no clock.

This is the hottest code of the product. The body is decoded once into a struct whose `data` stays the text that was
sent.
"""

from functools import lru_cache
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from ingest.fields import MAX_EMAIL, email_error, idempotency_key_error, name_error, occurred_ms
from penstock.auth import Principal
from penstock.data import SHORT_DATA, data_errors
from penstock.errors import FieldError, ValidationFailed
from penstock.eventlog import Entry
from penstock.members import Members, decode
from schemas.event import Event, encode_event
from schemas.ids import contact_id, derived_event_id, event_id
from schemas.times import to_wire
from schemas.topics import partition_of


class TrackBody(Members, gc=False):
    """The members of an event that mean something."""

    STAND_INS: ClassVar[dict[str, Any]] = {"event": "x", "email": "x@example.com"}

    event: str
    email: str
    subscribed: bool | msgspec.UnsetType = UNSET
    data: msgspec.Raw = msgspec.Raw(b"")
    timestamp: str | msgspec.UnsetType = UNSET


class ItemBody(TrackBody, gc=False):
    """The same, in a batch."""

    idempotencyKey: str | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 - wire spelling


class Caller(msgspec.Struct, frozen=True, gc=False):
    """What an event takes from the request that brought it.

    Attributes:
        now_ms: the time of receipt, milliseconds since 1970.
        partitions: of the log.
    """

    principal: Principal
    now_ms: int
    partitions: int


class Accepted(Entry, frozen=True, gc=False, kw_only=True):
    """An event that is ready for the log, and what its caller is told."""

    event: str
    contact: str
    timestamp: str


_track_decoder = msgspec.json.Decoder(TrackBody)
_item_decoder = msgspec.json.Decoder(ItemBody)


def accept_track(body: bytes, caller: Caller, idempotency_key: str | None) -> Accepted:
    """The event in the body of `POST /v1/track`.

    Raises:
        MalformedBody: not JSON.
        ValidationFailed: names every field that is wrong.
    """
    return _accept(decode(body, _track_decoder, _field_errors, caller.now_ms), caller, idempotency_key, is_plain(body))


def accept_item(item: bytes, caller: Caller, default_key: str | None) -> Accepted:
    """The event in the text of one item of a batch; its own idempotency key goes before `default_key`.

    Raises:
        MalformedBody, ValidationFailed: see `accept_track`.
    """
    return accept_decoded(
        decode(item, _item_decoder, _field_errors, caller.now_ms), caller, default_key, is_plain(item)
    )


def is_plain(text: bytes) -> bool:
    """Whether `text` holds nothing for which short data must be looked into (see `data_errors`)."""
    return b"\\" not in text and b"locale" not in text


def accept_decoded(item: ItemBody, caller: Caller, default_key: str | None, plain: bool) -> Accepted:
    """The same, of an item that is decoded; `plain` tells of the text that it was decoded from, see `is_plain`.

    Raises:
        ValidationFailed: names every field that is wrong.
    """
    key = item.idempotencyKey
    if key is UNSET:
        return _accept(item, caller, default_key, plain)
    if idempotency_key_error(key):
        raise ValidationFailed(_field_errors(item, caller.now_ms))
    return _accept(item, caller, key, plain)


def _accept(body: TrackBody, caller: Caller, key: str | None, plain: bool) -> Accepted:
    now_ms, project_id = caller.now_ms, caller.principal.project_id
    happened_ms = now_ms
    if body.timestamp is not UNSET:
        moment = occurred_ms(body.timestamp, now_ms)
        happened_ms = moment if isinstance(moment, int) else -1
    data = bytes(body.data)
    contact = None
    if len(body.email) <= MAX_EMAIL:  # or the cache would keep whatever anyone sends
        contact = contact_of(project_id, body.email, caller.partitions)
    wrong_data = (len(data) > SHORT_DATA or not plain) and data and data_errors(data)
    if contact is None or happened_ms < 0 or wrong_data or name_error(body.event):
        raise ValidationFailed(_field_errors(body, now_ms))
    email, contact_uuid, partition = contact
    event = event_id(now_ms) if key is None else derived_event_id(contact_uuid, "idempotency", key)
    timestamp = to_wire(happened_ms)
    line = encode_event(
        Event(
            project_id,
            event,
            body.event,
            timestamp,
            contact_uuid,
            email,
            "" if happened_ms == now_ms else to_wire(now_ms),
            data.decode(),
            "",
            None if body.subscribed is UNSET else body.subscribed,
            key is not None,
        )
    )
    return Accepted(partition, line, key is not None, event=event, contact=contact_uuid, timestamp=timestamp)


@lru_cache(maxsize=16_384)  # people send more than one event; a hit saves the address check and the digest
def contact_of(project_id: str, email: str, partitions: int) -> tuple[str, str, int] | None:
    """The normalised address, the contact's id and its partition; None for no address."""
    if email_error(email):
        return None
    normalised = email.lower()
    contact = contact_id(project_id, normalised)
    return normalised, contact, partition_of(contact, partitions)


def _field_errors(body: TrackBody, now_ms: int) -> list[FieldError]:
    """All that is wrong with the values of a body whose members have the right types."""
    data = bytes(body.data)
    timestamp = None if body.timestamp is UNSET else occurred_ms(body.timestamp, now_ms)
    key = body.idempotencyKey if isinstance(body, ItemBody) else UNSET
    found = [
        name_error(body.event),
        email_error(body.email),
        *(data_errors(data) if data else []),
        timestamp if isinstance(timestamp, FieldError) else None,
        None if key is UNSET else idempotency_key_error(key),
    ]
    return [error for error in found if error]

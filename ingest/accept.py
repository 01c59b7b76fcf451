"""From the bytes of one event to an entry for the log, or to what is wrong with it. Pure: no I/O, no clock.

This is the hottest code of the product. The body is decoded once into a struct whose `data` stays the text that was
sent; only where that fails is the body looked at member by member, to name everything that is wrong.
"""

from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from ingest.fields import (
    MAX_EMAIL,
    SHORT_DATA,
    data_errors,
    email_error,
    idempotency_key_error,
    name_error,
    occurred_ms,
)
from ingest.surrogates import has_half
from penstock.auth import Principal
from penstock.errors import FieldError, MalformedBody, ValidationFailed
from penstock.eventlog import Entry
from schemas.event import Event, encode_event
from schemas.ids import contact_id, derived_event_id, event_id
from schemas.times import to_wire
from schemas.topics import partition_of


class TrackBody(msgspec.Struct, gc=False):
    """The members of an event that mean something."""

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


class Accepted(Entry, frozen=True, gc=False):
    """An event that is ready for the log, and what its caller is told."""

    event: str
    contact: str
    timestamp: str


Body = TypeVar("Body", bound=TrackBody)

_track_decoder = msgspec.json.Decoder(TrackBody)
_item_decoder = msgspec.json.Decoder(ItemBody)
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_nothing = msgspec.json.Decoder(msgspec.Raw).decode

_TYPES: dict[str, tuple[type, str]] = {
    "event": (str, "string"),
    "email": (str, "string"),
    "subscribed": (bool, "boolean"),
    "data": (msgspec.Raw, "JSON value"),
    "timestamp": (str, "string"),
    "idempotencyKey": (str, "string"),
}
"""The members that mean something, in the order in which what is wrong with them is reported."""

_STAND_INS = {"event": "x", "email": "x@example.com"}
"""For required members that are missing or of the wrong type, so that the others can be checked."""


def check_utf8(body: bytes) -> None:
    """JSON is UTF-8; the decoder does not look into what it skips.

    Raises:
        MalformedBody: it is not.
    """
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body is not UTF-8 (byte {error.start})") from error


def check_syntax(body: bytes) -> None:
    """The decoder stops at the first value of a wrong type: whether all of the body is JSON is not known by then.

    Raises:
        MalformedBody: it is not.
    """
    try:
        _decode_nothing(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(error, body) from error


def malformed(error: Exception, body: bytes) -> MalformedBody:
    """The decoder's complaint as ours; its words name the byte, but mislead about halves of surrogate pairs."""
    if isinstance(error, RecursionError):
        reason = "nested too deeply"
    elif has_half(body):
        reason = "a string holds half of a surrogate pair (\\ud800 to \\udfff without its other half)"
    else:
        reason = str(error)
    return MalformedBody(f"The body is not valid JSON: {reason}")


def accept_track(body: bytes, caller: Caller, idempotency_key: str | None) -> Accepted:
    """The event in the body of `POST /v1/track`.

    Raises:
        MalformedBody: not JSON.
        ValidationFailed: names every field that is wrong.
    """
    return _accept(_decode(body, _track_decoder, caller.now_ms), caller, idempotency_key, is_plain(body))


def accept_item(item: bytes, caller: Caller, default_key: str | None) -> Accepted:
    """The event in the text of one item of a batch; its own idempotency key goes before `default_key`.

    Raises:
        MalformedBody, ValidationFailed: see `accept_track`.
    """
    return accept_decoded(_decode(item, _item_decoder, caller.now_ms), caller, default_key, is_plain(item))


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


def _decode(body: bytes, decoder: msgspec.json.Decoder[Body], now_ms: int) -> Body:
    check_utf8(body)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        check_syntax(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(error, body) from error
    return _by_member(body, decoder.type, now_ms)


def _accept(body: TrackBody, caller: Caller, key: str | None, plain: bool) -> Accepted:
    now_ms, project_id = caller.now_ms, caller.principal.project_id
    happened_ms = now_ms
    if body.timestamp is not UNSET:
        moment = occurred_ms(body.timestamp, now_ms)
        happened_ms = moment if isinstance(moment, int) else -1
    data = bytes(body.data)
    contact = None
    if len(body.email) <= MAX_EMAIL:  # or the cache would keep whatever anyone sends
        contact = _contact(project_id, body.email, caller.partitions)
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
    return Accepted(partition, line, key is not None, event, contact_uuid, timestamp)


@lru_cache(maxsize=16_384)  # people send more than one event; a hit saves the address check and the digest
def _contact(project_id: str, email: str, partitions: int) -> tuple[str, str, int] | None:
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


def _by_member(body: bytes, kind: type[Body], now_ms: int) -> Body:
    """A body that is JSON, read member by member, where reading it at once found a value of a wrong type.

    Returns:
        The body, where a later copy of the member has the right type: the last one counts.

    Raises:
        ValidationFailed: all that is wrong with it.
    """
    try:
        members = _decode_members(body)
    except msgspec.ValidationError as error:
        raise ValidationFailed([FieldError("body", "Must be a JSON object", "invalid_type")]) from error
    wrong: list[FieldError] = []
    values: dict[str, Any] = dict(_STAND_INS)
    for name in kind.__struct_fields__:
        member_type, readable = _TYPES[name]
        if name not in members:
            wrong += [FieldError(name, "Required", "invalid_type")] if name in _STAND_INS else []
            continue
        try:
            values[name] = msgspec.json.decode(members[name], type=member_type)
        except msgspec.DecodeError:
            wrong.append(FieldError(name, f"Must be a {readable}", "invalid_type"))
    decoded = kind(**values)
    wrong += _field_errors(decoded, now_ms)
    if wrong:
        raise ValidationFailed(sorted(wrong, key=_field_order))
    return decoded


def _field_order(error: FieldError) -> int:
    return list(_TYPES).index(error.field.partition(".")[0])

"""From the body of the mail hook to entries for the log, or to what is wrong with it. Pure: no I/O, no clock."""

from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from ingest.accept import Accepted, Caller, contact_of
from ingest.batch import BatchLimits, Outcome, one_or_many
from ingest.fields import email_error, occurred_ms, reference_error
from penstock.data import depth_error
from penstock.errors import FieldError, ValidationFailed
from penstock.members import Members, decode
from schemas.event import Event, encode_event
from schemas.ids import derived_event_id, event_id
from schemas.names import MAIL_EVENTS
from schemas.times import to_wire

_Text = str | UnsetType


class MailBody(Members, gc=False):
    """The members that mean something. `id` is the sender's own id of the event."""

    STAND_INS: ClassVar[dict[str, Any]] = {"event": "email.sent", "email": "x@example.com"}

    event: str
    email: str
    data: msgspec.Raw = msgspec.Raw(b"")
    timestamp: _Text = UNSET
    id: _Text = UNSET
    emailId: _Text = UNSET  # noqa: N815 - wire spelling
    messageId: _Text = UNSET  # noqa: N815


class _Bounce(msgspec.Struct, gc=False):
    """The part of a bounce's `data` that decides what becomes of the contact."""

    bounceType: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815


_NUMBERED = ("email.open", "email.click")

_decoder = msgspec.json.Decoder(MailBody)
_bounce_decoder = msgspec.json.Decoder(_Bounce)


def accept_mail(body: bytes, caller: Caller, limits: BatchLimits) -> Accepted | list[Outcome]:
    """The event, or the events, in the body of `POST /v1/hooks/email`; see `one_or_many`."""
    return one_or_many(body, limits, lambda text: _accept_text(text, caller))


def _accept_text(text: bytes, caller: Caller) -> Accepted:
    body = decode(text, _decoder, _field_errors, caller.now_ms)
    if wrong := _field_errors(body, caller.now_ms):
        raise ValidationFailed(wrong)
    return accept_report(body, caller, _cause(body, caller.now_ms))


def accept_report(body: MailBody, caller: Caller, cause: tuple[str, str] | None, *, numbered: bool = False) -> Accepted:
    """The event in a body whose values are right.

    Args:
        cause: what repeats when the report is sent again: its kind and its key. None where that cannot be told.
        numbered: whether opens and clicks are numbered; `data` is an object then.

    Raises:
        ValueError: the values are not right.
    """
    now_ms, project_id = caller.now_ms, caller.principal.project_id
    contact = contact_of(project_id, body.email, caller.partitions)
    happened_ms = now_ms if body.timestamp is UNSET else occurred_ms(body.timestamp, now_ms)
    if contact is None or isinstance(happened_ms, FieldError):
        raise ValueError(body)
    email, contact_uuid, partition = contact
    derived = None if cause is None else derived_event_id(contact_uuid, *cause)
    timestamp = to_wire(happened_ms)
    event = Event(
        project_id,
        derived or event_id(now_ms),
        body.event,
        timestamp,
        contact_uuid,
        email,
        received_at="" if happened_ms == now_ms else to_wire(now_ms),
        data=bytes(body.data).decode(),
        email_id="" if body.emailId is UNSET else body.emailId,
        subscribed=False if _unsubscribes(body) else None,
        derived=derived is not None,
        numbered=numbered and body.event in _NUMBERED and body.emailId is not UNSET,
    )
    line = encode_event(event)
    return Accepted(partition, line, event.derived, event=event.id, contact=contact_uuid, timestamp=timestamp)


def _cause(body: MailBody, now_ms: int) -> tuple[str, str] | None:
    if body.id is not UNSET:
        return "mail", body.id
    if body.messageId is not UNSET and body.timestamp is not UNSET:
        return "message", f"{body.event}:{occurred_ms(body.timestamp, now_ms)}:{body.messageId}"
    return None


def _unsubscribes(body: MailBody) -> bool:
    """A complaint does; so does a bounce, unless the next mail may arrive."""
    return body.event == "email.complaint" or (body.event == "email.bounce" and not _is_transient(bytes(body.data)))


def _is_transient(data: bytes) -> bool:
    return data[:1] == b"{" and _is_text(_bounce_decoder.decode(data).bounceType, "Transient")


def _is_text(value: msgspec.Raw, text: str) -> bool:
    return bytes(value)[:1] == b'"' and msgspec.json.decode(value) == text


def _field_errors(body: MailBody, now_ms: int) -> list[FieldError]:
    """All that is wrong with the values of a body whose members have the right types."""
    timestamp = None if body.timestamp is UNSET else occurred_ms(body.timestamp, now_ms)
    references = {"id": body.id, "emailId": body.emailId, "messageId": body.messageId}
    found = [
        _event_error(body.event),
        email_error(body.email),
        depth_error(bytes(body.data)),
        timestamp if isinstance(timestamp, FieldError) else None,
        *[None if text is UNSET else reference_error(field, text) for field, text in references.items()],
    ]
    return [error for error in found if error]


def _event_error(event: str) -> FieldError | None:
    if event in MAIL_EVENTS:
        return None
    return FieldError("event", f"Must be one of {', '.join(MAIL_EVENTS)}", "invalid_enum_value")

"""From the body of the contact hook to entries for the log, or to what is wrong with it. Pure: no I/O, no clock.

Whom an id stands for is asked in between, see `ingest.named`.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from ingest.accept import Accepted, Caller, contact_of
from ingest.batch import BatchLimits, Outcome, one_or_many
from ingest.fields import occurred_ms, reason_error
from ingest.named import Named, Text, contact_errors, email_of
from penstock.errors import FieldError, NotFound, RequestError, ValidationFailed
from penstock.members import decode
from schemas.event import Event, encode_event
from schemas.ids import event_id
from schemas.names import SUBSCRIBED, UNSUBSCRIBED
from schemas.times import to_wire


class SubscriptionBody(Named, gc=False, kw_only=True):
    """The members that mean something."""

    STAND_INS: ClassVar[dict[str, Any]] = {**Named.STAND_INS, "subscribed": True}

    subscribed: bool
    reason: Text = UNSET


_decoder = msgspec.json.Decoder(SubscriptionBody)

Read = SubscriptionBody | RequestError
"""What an item of an array asks for, or why that is refused."""


def read_subscription(body: bytes, caller: Caller, limits: BatchLimits) -> SubscriptionBody | list[Read]:
    """What the body of `POST /v1/hooks/contact` asks for; see `one_or_many`."""
    return one_or_many(body, limits, lambda text: _read(text, caller))


def _read(text: bytes, caller: Caller) -> SubscriptionBody:
    field_errors = partial(_field_errors, caller.principal.project_id)
    body = decode(text, _decoder, field_errors, caller.now_ms)
    if wrong := field_errors(body, caller.now_ms):
        raise ValidationFailed(wrong)
    return body


def accept_subscriptions(read: Iterable[Read], caller: Caller, emails: Mapping[str, str]) -> list[Outcome]:
    """The entries for what was read, or why there is none.

    Args:
        emails: the addresses of the contacts that are `unnamed`, as far as there are such contacts.
    """
    return [_outcome(body, caller, emails) for body in read]


def _outcome(body: Read, caller: Caller, emails: Mapping[str, str]) -> Outcome:
    if isinstance(body, RequestError):
        return body
    try:
        return accept_subscription(body, caller, emails)
    except NotFound as error:
        return error


def accept_subscription(body: SubscriptionBody, caller: Caller, emails: Mapping[str, str]) -> Accepted:
    """The entry for what one object asks for; see `accept_subscriptions`.

    Raises:
        NotFound: there is no such contact.
        ValueError: the values are not right.
    """
    now_ms, project_id = caller.now_ms, caller.principal.project_id
    contact = contact_of(project_id, email_of(body, emails), caller.partitions)
    happened_ms = now_ms if body.timestamp is UNSET else occurred_ms(body.timestamp, now_ms)
    if contact is None or isinstance(happened_ms, FieldError):
        raise ValueError(body)
    email, contact_uuid, partition = contact
    timestamp = to_wire(happened_ms)
    event = Event(
        project_id,
        event_id(now_ms),
        SUBSCRIBED if body.subscribed else UNSUBSCRIBED,
        timestamp,
        contact_uuid,
        email,
        received_at="" if happened_ms == now_ms else to_wire(now_ms),
        data="" if body.reason is UNSET else msgspec.json.encode({"reason": body.reason}).decode(),
        subscribed=body.subscribed,
        change=True,
        known_only=body.email is UNSET,
    )
    line = encode_event(event)
    return Accepted(partition, line, False, True, event=event.id, contact=contact_uuid, timestamp=timestamp)


def _field_errors(project_id: str, body: SubscriptionBody, now_ms: int) -> list[FieldError]:
    """All that is wrong with the values of a body whose members have the right types."""
    timestamp = None if body.timestamp is UNSET else occurred_ms(body.timestamp, now_ms)
    found = [
        *contact_errors(project_id, body),
        None if body.reason is UNSET else reason_error(body.reason),
        timestamp if isinstance(timestamp, FieldError) else None,
    ]
    return [error for error in found if error]

"""From the body of the segment hook to entries for the log, or to what is wrong with it. Pure: no I/O, no clock.

Whom an id stands for, and which segment has the slug, is asked in between, of all items at once.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from ingest.accept import Accepted, Caller, contact_of
from ingest.batch import BatchLimits, Outcome, one_or_many
from ingest.fields import occurred_ms
from ingest.named import Named, contact_errors, email_of
from penstock.errors import Conflict, FieldError, NotFound, RequestError, ValidationFailed
from penstock.members import decode
from schemas.event import Event, encode_event
from schemas.ids import event_id
from schemas.membership import MAX_SLUG, NO_SEGMENT, is_slug, segment_event_data, segment_event_name
from schemas.registry import Segment
from schemas.times import to_wire

_ACTIONS = {"entry": True, "exit": False}


class StepBody(Named, gc=False, kw_only=True):
    """The members that mean something: a contact enters or leaves a segment."""

    STAND_INS: ClassVar[dict[str, Any]] = {**Named.STAND_INS, "segment": "x", "action": "entry"}

    segment: str
    action: str


_decoder = msgspec.json.Decoder(StepBody)

Read = StepBody | RequestError
"""What an item of an array asks for, or why that is refused."""

Segments = Mapping[str, Segment]
"""Those segments of the project that are registered, by slug."""


def read_step(body: bytes, caller: Caller, limits: BatchLimits) -> StepBody | list[Read]:
    """What the body of `POST /v1/hooks/segment` asks for; see `one_or_many`."""
    return one_or_many(body, limits, lambda text: _read(text, caller))


def _read(text: bytes, caller: Caller) -> StepBody:
    field_errors = partial(_field_errors, caller.principal.project_id)
    body = decode(text, _decoder, field_errors, caller.now_ms)
    if wrong := field_errors(body, caller.now_ms):
        raise ValidationFailed(wrong)
    return body


def slugs_of(read: Iterable[Read]) -> set[str]:
    """The slugs of the segments that are named."""
    return {body.segment for body in read if isinstance(body, StepBody)}


def accept_steps(read: Iterable[Read], caller: Caller, emails: Mapping[str, str], segments: Segments) -> list[Outcome]:
    """The entries for what was read, or why there is none.

    Args:
        emails: the addresses of the contacts that are `unnamed`, as far as there are such contacts.
    """
    return [_outcome(body, caller, emails, segments) for body in read]


def _outcome(body: Read, caller: Caller, emails: Mapping[str, str], segments: Segments) -> Outcome:
    if isinstance(body, RequestError):
        return body
    try:
        return accept_step(body, caller, emails, segments)
    except (Conflict, NotFound) as error:
        return error


def accept_step(body: StepBody, caller: Caller, emails: Mapping[str, str], segments: Segments) -> Accepted:
    """The entry for what one object asks for; see `accept_steps`.

    Raises:
        NotFound: there is no such contact.
        Conflict: the membership is computed here.
        ValueError: the values are not right.
    """
    now_ms, project_id = caller.now_ms, caller.principal.project_id
    segment_id = _segment_id(segments.get(body.segment))
    contact = contact_of(project_id, email_of(body, emails), caller.partitions)
    happened_ms = now_ms if body.timestamp is UNSET else occurred_ms(body.timestamp, now_ms)
    if contact is None or isinstance(happened_ms, FieldError):
        raise ValueError(body)
    email, contact_uuid, partition = contact
    timestamp = to_wire(happened_ms)
    event = Event(
        project_id,
        event_id(now_ms),
        segment_event_name(body.segment, entered=_ACTIONS[body.action]),
        timestamp,
        contact_uuid,
        email,
        received_at="" if happened_ms == now_ms else to_wire(now_ms),
        data=segment_event_data(segment_id),
        change=True,
        known_only=body.email is UNSET,
    )
    line = encode_event(event)
    return Accepted(partition, line, False, True, event=event.id, contact=contact_uuid, timestamp=timestamp)


def _segment_id(segment: Segment | None) -> str:
    if segment is None:
        return NO_SEGMENT
    if segment.tracked and segment.condition:
        raise Conflict(
            f"Who is in the segment {segment.slug!r} is computed here, by its condition",
            suggestion="Switch trackMembership off, or report another segment.",
        )
    return segment.id


def _field_errors(project_id: str, body: StepBody, now_ms: int) -> list[FieldError]:
    """All that is wrong with the values of a body whose members have the right types."""
    timestamp = None if body.timestamp is UNSET else occurred_ms(body.timestamp, now_ms)
    found = [
        _slug_error(body.segment),
        *contact_errors(project_id, body),
        None if body.action in _ACTIONS else FieldError("action", "Must be entry or exit", "invalid_enum_value"),
        timestamp if isinstance(timestamp, FieldError) else None,
    ]
    return [error for error in found if error]


def _slug_error(slug: str) -> FieldError | None:
    if is_slug(slug):
        return None
    message = f"Must be the slug of a segment: 1 to {MAX_SLUG} of a to z, 0 to 9, _ and -"
    return FieldError("segment", message, "invalid_string")

"""The bodies of the write routes, as clients spell them: what the OpenAPI document shows.

Ingest reads and writes these bodies as bytes (see `ingest.accept`); a test holds both against each other.
"""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from schemas.names import MAX_REASON, MAX_REFERENCE, MailEvent


def without_default(schema: dict[str, Any]) -> None:
    """Absent is absent: there is no value that means the same."""
    del schema["default"]


class TrackRequest(BaseModel):
    """One event. Members that are not named here are ignored; of a member that comes twice the last counts."""

    event: str = Field(
        min_length=1,
        max_length=255,
        examples=["signup"],
        description="The name, kept verbatim, not trimmed; any characters. `email.…`, `contact.subscribed`, "
        "`contact.unsubscribed`, `segment.….entry` and `segment.….exit` are the system's own.",
    )
    email: str = Field(
        max_length=320,
        examples=["ada@example.com"],
        description="A plain address, letters of any script; stored in lower case. Blanks around it are an error.",
    )
    subscribed: bool = Field(
        default=True,
        json_schema_extra=without_default,
        description="For a new contact (absent: true); of a known one a change, if it is one. Not null.",
    )
    data: Any = Field(
        default=None,
        json_schema_extra=without_default,
        examples=[{"plan": "pro"}],
        description="Any JSON, 64 levels deep at most. Its own text is stored and given back: order of keys, repeated "
        "keys, spelling and size of numbers. A key `locale` must have a string (or null, which deletes it).",
    )
    timestamp: str = Field(
        default="",
        json_schema_extra=without_default,
        examples=["2026-11-23T07:00:00.000Z"],
        description="When it happened: an ISO 8601 date, or date and time; without an offset it is UTC. From 1970 to 5 "
        "minutes ahead. Kept in milliseconds. Absent: the time of receipt.",
    )


class BatchItem(TrackRequest):
    """One event of a batch."""

    idempotency_key: str = Field(
        default="",
        alias="idempotencyKey",
        json_schema_extra=without_default,
        min_length=1,
        max_length=255,
        pattern="^[ -~]+$",
        description="As the header Idempotency-Key, and before it.",
    )


class BatchRequest(BaseModel):
    """Up to 1,000 events. A bare array, or one event a line as `application/x-ndjson`, means the same."""

    events: list[BatchItem] = Field(max_length=1000)


def _reference(name: str, description: str) -> Any:
    """The field of an id that another system gave."""
    return Field(
        default="",
        alias=name,
        json_schema_extra=without_default,
        min_length=1,
        max_length=MAX_REFERENCE,
        description=description,
    )


class MailHookRequest(BaseModel):
    """What became of a mail. Members that are not named here are ignored; of one that comes twice the last counts."""

    event: MailEvent = Field(
        description="A complaint, and a bounce whose `data.bounceType` is not `Transient`, unsubscribe the contact."
    )
    email: str = Field(
        max_length=320, examples=["ada@example.com"], description="The contact's address, as in `/v1/track`."
    )
    id: str = _reference("id", "The sender's own id of this report.")
    email_id: str = _reference("emailId", "The sender's own id of the mail; rows have it as `emailId`.")
    message_id: str = _reference("messageId", "The mail's Message-ID.")
    timestamp: str = Field(
        default="",
        json_schema_extra=without_default,
        examples=["2026-11-23T07:00:00.000Z"],
        description="When it happened, as in `/v1/track`.",
    )
    data: Any = Field(
        default=None,
        json_schema_extra=without_default,
        examples=[{"subject": "Welcome", "bounceType": "Permanent"}],
        description="Any JSON, kept exactly as in `/v1/track`. It tells of the mail; the contact gets nothing of it.",
    )


class _NamedRequest(BaseModel):
    """A contact, named by `email` or `contactId`; both only where they belong together."""

    email: str = Field(
        default="",
        json_schema_extra=without_default,
        max_length=320,
        examples=["ada@example.com"],
        description="The contact's address, as in `/v1/track`.",
    )
    contact_id: UUID = Field(
        default=UUID(int=0),
        alias="contactId",
        json_schema_extra=without_default,
        description="The id of a contact that there is.",
    )
    timestamp: str = Field(
        default="",
        json_schema_extra=without_default,
        examples=["2026-11-23T07:00:00.000Z"],
        description="When it happened, as in `/v1/track`.",
    )


class ContactHookRequest(_NamedRequest):
    """That a contact subscribed or unsubscribed.

    Members that are not named here are ignored; of one that comes twice the last counts.
    """

    subscribed: bool = Field(description="What it is from then on. Not null.")
    reason: str = Field(
        default="",
        json_schema_extra=without_default,
        min_length=1,
        max_length=MAX_REASON,
        examples=["preference center"],
        description="Stands in the `data` of the event that a change emits.",
    )


class SegmentHookRequest(_NamedRequest):
    """That a contact entered or left a segment.

    Members that are not named here are ignored; of one that comes twice the last counts.
    """

    segment: str = Field(pattern=r"^[a-z0-9_-]{1,100}$", examples=["power-users"], description="The segment's slug.")
    action: Literal["entry", "exit"]


class SnsRequest(BaseModel):
    """A message as Amazon SNS posts it; members that it has beyond these are not looked at."""

    Type: Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]
    MessageId: str = Field(description="Makes a redelivery count once.")
    TopicArn: str
    Message: str = Field(description="What Amazon SES published, as JSON in a string.")
    Timestamp: str
    SignatureVersion: str = Field(description="1 (SHA1) or 2 (SHA256).")
    Signature: str
    SigningCertURL: str
    Subject: str | None = None
    Token: str | None = None
    SubscribeURL: str | None = Field(default=None, description="Asked for to confirm a subscription.")


class DoneResponse(BaseModel):
    """The message was taken, or tells of nothing that counts."""

    success: Literal[True]


class TrackedEvent(BaseModel):
    """What was accepted."""

    contact: UUID
    event: UUID
    timestamp: str


class TrackResponse(TrackedEvent):
    """The members of `data` stand beside it once more, for older clients."""

    success: Literal[True]
    data: TrackedEvent


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str
    message: str
    code: str


class ItemError(BaseModel):
    """What went wrong; empty members are omitted."""

    code: str
    message: str
    statusCode: int  # noqa: N815 - wire spelling
    errors: list[FieldProblem] = []
    details: dict[str, Any] = {}
    suggestion: str = ""


class ErrorMember(ItemError):
    """The same, of a whole request."""

    requestId: str  # noqa: N815


class ErrorResponse(BaseModel):
    """Every error of every route."""

    success: Literal[False]
    error: ErrorMember
    message: str
    timestamp: str


class RejectedItem(BaseModel):
    """The outcome of an item that was not accepted."""

    error: ItemError


class BatchOutcome(BaseModel):
    """One result per item, in their order."""

    accepted: int
    rejected: int
    results: list[TrackedEvent | RejectedItem]


class BatchResponse(BaseModel):
    """The answer to a batch."""

    success: Literal[True]
    data: BatchOutcome

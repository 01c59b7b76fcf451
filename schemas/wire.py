"""The bodies of the write routes, as clients spell them: what the OpenAPI document shows.

Ingest reads and writes these bodies as bytes (see `ingest.accept`); a test holds both against each other.
"""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field


class TrackRequest(BaseModel):
    """One event. Members that are not named here are ignored."""

    event: str = Field(min_length=1, max_length=255, examples=["signup"], description="Kept verbatim, not trimmed.")
    email: str = Field(max_length=320, examples=["ada@example.com"], description="Stored in lower case.")
    subscribed: bool = Field(default=True, description="For a new contact; a change of a known one emits an event.")
    data: Any = Field(default=None, examples=[{"plan": "pro"}], description="Any JSON; its own text is stored.")
    timestamp: str = Field(
        default="", examples=["2026-11-23T07:00:00.000Z"], description="When it happened; absent: now."
    )


class BatchItem(TrackRequest):
    """One event of a batch."""

    idempotency_key: str = Field(default="", alias="idempotencyKey", max_length=255)


class BatchRequest(BaseModel):
    """Up to 1,000 events. A bare array, or one event a line as `application/x-ndjson`, means the same."""

    events: list[BatchItem] = Field(max_length=1000)


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


class ErrorMember(BaseModel):
    """What went wrong; empty members are omitted."""

    code: str
    message: str
    statusCode: int  # noqa: N815 - wire spelling
    requestId: str  # noqa: N815
    errors: list[FieldProblem] = []
    details: dict[str, Any] = {}
    suggestion: str = ""


class ErrorResponse(BaseModel):
    """Every error of every route."""

    success: Literal[False]
    error: ErrorMember
    message: str
    timestamp: str


class RejectedItem(BaseModel):
    """The outcome of an item that was not accepted."""

    error: ErrorMember


class BatchOutcome(BaseModel):
    """One result per item, in their order."""

    accepted: int
    rejected: int
    results: list[TrackedEvent | RejectedItem]


class BatchResponse(BaseModel):
    """The answer to a batch."""

    success: Literal[True]
    data: BatchOutcome

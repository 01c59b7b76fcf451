"""The bodies of the read routes, as clients see them: what the OpenAPI document shows.

The query API makes these bodies as bytes (`query_api.results`); a test holds both against each other.
"""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field


class EventContact(BaseModel):
    """Whose event it is."""

    email: str


class ContactEvent(BaseModel):
    """One event, in the list of its contact."""

    id: UUID
    name: str = Field(examples=["signup"])
    data: Any = Field(description="Exactly what was sent; null where nothing was.", examples=[{"plan": "pro"}])
    projectId: UUID  # noqa: N815 - wire spelling
    contactId: UUID  # noqa: N815
    emailId: str | None = Field(description="The mail system's id of the message, of events about one.")  # noqa: N815
    createdAt: str = Field(description="When it happened.", examples=["2026-11-23T07:00:00.000Z"])  # noqa: N815


class EventRow(ContactEvent):
    """One event."""

    contact: EventContact | None


class EventsPage(BaseModel):
    """A page of events, newest first."""

    events: list[EventRow]
    cursor: str | None = Field(description="Leads to the next page; null on the last one.")


class ContactEventsPage(BaseModel):
    """A page of a contact's events, newest first."""

    events: list[ContactEvent]
    cursor: str | None = Field(description="Leads to the next page; null on the last one.")


class EventNames(BaseModel):
    """All names, the most frequent first."""

    eventNames: list[str]  # noqa: N815


class NameCount(BaseModel):
    """How many events of a name there are."""

    name: str
    count: int


class Bucket(BaseModel):
    """How many events there are in a stretch of time."""

    start: str = Field(description="When it begins, in UTC.", examples=["2026-11-22T23:00:00.000Z"])
    count: int


class NameSeries(NameCount):
    """How many events of a name there are, and when they happened."""

    buckets: list[Bucket]


class Deleted(BaseModel):
    """How many events a deletion removed; null with the status `pending` where that is not known yet."""

    deletedCount: int | None  # noqa: N815
    status: Literal["pending"] | None = None

"""The bodies of the read routes, as clients see them: what the OpenAPI document shows.

The query API makes these bodies as bytes (`query_api.results`); a test holds both against each other.
"""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from schemas.wire import without_default


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


class LogPlace(BaseModel):
    """Where an event stands in the log."""

    topic: str = Field(examples=["events"])
    partition: int
    offset: int
    index: int | None = Field(None, description="Which of the record's events it is, from 0.")


class StoredBatch(BaseModel):
    """The insert that brought an event into the tables."""

    at: str = Field(examples=["2026-11-23T07:00:00.150Z"])
    firstOffset: int | None = Field(None, description="The batch's first offset in the partition.")  # noqa: N815
    lastOffset: int | None = Field(None, description="The batch's last offset.")  # noqa: N815


class TracedLetter(BaseModel):
    """Why an event was set aside."""

    id: str = Field(description="For `penstock dead-letters show`.", examples=["events/0/17/2"])
    reason: str
    deadAt: str  # noqa: N815


class EventTrace(BaseModel):
    """Where an event is. Members that say nothing are left out."""

    id: UUID
    status: Literal["stored", "dead", "deleted"]
    projectId: UUID  # noqa: N815
    name: str | None = None
    contactId: UUID | None = None  # noqa: N815
    acceptedAt: str | None = Field(None, description="When it was received.")  # noqa: N815
    log: LogPlace
    position: str = Field(description="The `X-Position` of its place.")
    stored: StoredBatch | None = None
    visibleAt: str | None = Field(None, description="Since when reads show it.")  # noqa: N815
    deadLetter: TracedLetter | None = None  # noqa: N815


class Deleted(BaseModel):
    """How many events a deletion removed; null with the status `pending` where that is not known yet."""

    deletedCount: int | None  # noqa: N815
    status: Literal["pending"] | None = None


class Contact(BaseModel):
    """A person, by their address."""

    id: UUID
    email: str = Field(examples=["ada@example.com"])
    subscribed: bool
    data: dict[str, Any] = Field(description="Values as they were sent.", examples=[{"plan": "pro"}])
    createdAt: str = Field(description="When the first that is known of it happened.")  # noqa: N815
    updatedAt: str = Field(description="When the last that said something of it happened.")  # noqa: N815


class ContactsPage(BaseModel):
    """A page of contacts, by address."""

    contacts: list[Contact]
    cursor: str | None = Field(description="Leads to the next page; null on the last one.")


class ContactChange(BaseModel):
    """What of a contact is to change: one of the two at least. Members that are not named here are ignored."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    subscribed: bool = Field(default=True, json_schema_extra=without_default)
    data: dict[str, Any] = Field(
        default={},
        json_schema_extra=without_default,
        examples=[{"plan": "pro", "trialEndsAt": None}],
        description='Merged, shallow: null deletes a key, an empty string and a `{"value":…,"persistent":false}` are '
        "ignored, as are the keys `id`, `email`, `plunk_id`, `plunk_email`, `unsubscribeUrl`, `subscribeUrl`, "
        "`manageUrl`. A key `locale` must have a string or null.",
    )


class Pending(BaseModel):
    """It will happen, but has not yet."""

    status: Literal["pending"]

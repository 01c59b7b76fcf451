"""The bodies of deliveries' routes, as clients see them: what the OpenAPI document shows."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from schemas.wire import without_default


class _Delivery(BaseModel):
    """One event on its way to an endpoint."""

    id: UUID
    eventId: UUID = Field(description="Also the `webhook-id` of each request.")  # noqa: N815 - wire spelling
    status: Literal["pending", "delivered", "failed", "dead"] = Field(
        description="`pending`: not tried yet; `failed`: will be tried again; `dead`: given up."
    )
    lastStatusCode: int = Field(default=0, json_schema_extra=without_default)  # noqa: N815
    lastError: str = Field(default="", json_schema_extra=without_default)  # noqa: N815
    createdAt: str = Field(examples=["2026-11-23T07:00:00.000Z"])  # noqa: N815
    nextAttemptAt: str = Field(default="", json_schema_extra=without_default)  # noqa: N815


class Delivery(_Delivery):
    """The same in a list."""

    attempts: int = Field(description="How many were made.")


class DeliveriesPage(BaseModel):
    """A page of deliveries, newest first."""

    deliveries: list[Delivery]
    cursor: str | None = Field(description="Leads to the next page; null on the last one.")


class Attempt(BaseModel):
    """One request to the endpoint."""

    at: str = Field(description="When it began.")
    statusCode: int | None = Field(description="Null where there was no answer.")  # noqa: N815
    durationMs: int  # noqa: N815
    error: str | None = Field(description="What went wrong; null where nothing did.")
    response: str = Field(description="The first 1 KiB of the answer's body.")


class DeliveryWithAttempts(_Delivery):
    """A delivery, and each of its attempts."""

    attempts: list[Attempt]
    attemptCount: int  # noqa: N815


class Replay(BaseModel):
    """Between which moments, or days, events happened that are sent again; both are included."""

    startDate: str = Field(examples=["2026-11-01"])  # noqa: N815
    endDate: str = Field(examples=["2026-11-23T12:00:00Z"])  # noqa: N815


class Replayed(BaseModel):
    """How many deliveries were made; they are sent from now on."""

    deliveries: int
    status: Literal["pending"]

"""A condition on contacts, as clients spell it: what the OpenAPI document shows; `penstock.conditions` reads it."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from schemas.wire import without_default


class ConditionFilter(BaseModel):
    """What one property of a contact must be."""

    field: str = Field(
        examples=["data.plan", "event.signup", "segment.6f0c2f52-5b5a-4a52-9a3b-0d8a63c1f0aa"],
        description="`email`, `subscribed`, `createdAt`, `updatedAt`, `data.<path>`, `event.<name>`, "
        "`email.<sent|delivery|open|click|bounce|complaint>`, `segment.<id>`; in a workflow also "
        "`trigger.data.<path>`: the event's own data.",
    )
    operator: str = Field(
        examples=["equals"],
        description="`equals`, `notEquals`, `contains`, `notContains`, `greaterThan`, `greaterThanOrEqual`, "
        "`lessThan`, `lessThanOrEqual`, `within`, `olderThan`, `exists`, `notExists`; of events `triggered`, "
        "`notTriggered`, `triggeredWithin`, `notTriggeredWithin`, `triggeredOlderThan`, `countEquals`, "
        "`countGreaterThan`, `countGreaterThanOrEqual`, `countLessThan`, `countLessThanOrEqual`; of segments "
        "`memberOfSegment`, `notMemberOfSegment`. Which of them a field takes, a 422 says.",
    )
    value: Any = Field(default=None, json_schema_extra=without_default, examples=["pro"])
    unit: Literal["minutes", "hours", "days"] = Field(
        default="days", json_schema_extra=without_default, description="Of the `value` of operators about time."
    )
    within: Any = Field(
        default=None,
        json_schema_extra=without_default,
        examples=[{"value": 30, "unit": "days"}],
        description="Of operators that count events: only those of so long.",
    )
    where: Any = Field(
        default=None,
        json_schema_extra=without_default,
        description="Of operators about events: filters on `data.<path>` of the event, all of which it must meet.",
    )


class ConditionGroup(BaseModel):
    """Filters and nested conditions, all of which must be met."""

    filters: list[ConditionFilter]
    conditions: "Condition | None" = Field(
        default=None, json_schema_extra=without_default, description="One more, nested, which must be met as well."
    )


class Condition(BaseModel):
    """Which contacts are meant."""

    logic: Literal["AND", "OR"] = Field(description="How the groups are joined.")
    groups: list[ConditionGroup]

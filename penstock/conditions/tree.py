"""Conditions as they are once they are read: groups of filters, each filter of the kind that its field has. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Operator(StrEnum):
    """What a filter asks of its field, in the wire's spelling."""

    EQUALS = "equals"
    NOT_EQUALS = "notEquals"
    CONTAINS = "contains"
    NOT_CONTAINS = "notContains"
    GREATER = "greaterThan"
    GREATER_OR_EQUAL = "greaterThanOrEqual"
    LESS = "lessThan"
    LESS_OR_EQUAL = "lessThanOrEqual"
    WITHIN = "within"
    OLDER = "olderThan"
    EXISTS = "exists"
    NOT_EXISTS = "notExists"
    TRIGGERED = "triggered"
    NOT_TRIGGERED = "notTriggered"
    TRIGGERED_WITHIN = "triggeredWithin"
    NOT_TRIGGERED_WITHIN = "notTriggeredWithin"
    TRIGGERED_OLDER = "triggeredOlderThan"
    COUNT_EQUALS = "countEquals"
    COUNT_GREATER = "countGreaterThan"
    COUNT_GREATER_OR_EQUAL = "countGreaterThanOrEqual"
    COUNT_LESS = "countLessThan"
    COUNT_LESS_OR_EQUAL = "countLessThanOrEqual"
    MEMBER = "memberOfSegment"
    NOT_MEMBER = "notMemberOfSegment"


_PASSING = frozenset(
    {
        Operator.WITHIN,
        Operator.OLDER,
        Operator.TRIGGERED_WITHIN,
        Operator.NOT_TRIGGERED_WITHIN,
        Operator.TRIGGERED_OLDER,
    }
)
"""What can come true, or stop being true, by the passing of time."""

Scalar = str | float | bool
"""A JSON value of a filter. Numbers are doubles: 1 equals 1.0; what is beyond the doubles counts as the largest one."""


@dataclass(frozen=True, slots=True)
class EmailFilter:
    """Of the address; case is ignored."""

    operator: Operator
    value: str


@dataclass(frozen=True, slots=True)
class SubscribedFilter:
    """Of the subscription."""

    operator: Operator
    value: bool


@dataclass(frozen=True, slots=True)
class MomentFilter:
    """Of when the contact became known, or was changed last.

    Attributes:
        start_ms, end_ms: the stretch that is meant, milliseconds since 1970, without its end: a day, or a millisecond.
        span_ms: of `within` and `olderThan`.
    """

    field: Literal["createdAt", "updatedAt"]
    operator: Operator
    start_ms: int = 0
    end_ms: int = 0
    span_ms: int = 0


@dataclass(frozen=True, slots=True)
class DataFilter:
    """Of a value in JSON data, at a path of keys.

    Attributes:
        is_of_trigger: whether the data is that of the event that triggered, instead of the contact's.
        span_ms: of `within` and `olderThan`.
    """

    path: tuple[str, ...]
    operator: Operator
    value: Scalar | None = None
    span_ms: int = 0
    is_of_trigger: bool = False


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Of the contact's events of a name.

    Attributes:
        count: of the operators that count.
        span_ms: how far back events count, milliseconds; None for all.
        where: what holds of the data of each event that counts.
    """

    name: str
    operator: Operator
    count: int = 0
    span_ms: int | None = None
    where: tuple[DataFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentFilter:
    """Of the membership in another segment."""

    segment_id: str
    operator: Operator


Filter = EmailFilter | SubscribedFilter | MomentFilter | DataFilter | EventFilter | SegmentFilter


@dataclass(frozen=True, slots=True)
class Group:
    """Filters that all hold, and a condition that holds as well, where there is one."""

    filters: tuple[Filter, ...]
    conditions: "Condition | None" = None


@dataclass(frozen=True, slots=True)
class Condition:
    """Groups of which all hold, or one."""

    logic: Literal["AND", "OR"]
    groups: tuple[Group, ...]


def filters_of(condition: Condition) -> Iterator[Filter]:
    """All filters, those of nested conditions too."""
    for group in condition.groups:
        yield from group.filters
        if group.conditions is not None:
            yield from filters_of(group.conditions)


def segment_ids(condition: Condition) -> set[str]:
    """The segments that it refers to."""
    return {one.segment_id for one in filters_of(condition) if isinstance(one, SegmentFilter)}


def event_names(condition: Condition) -> set[str]:
    """The names of the events that it asks about."""
    return {one.name for one in filters_of(condition) if isinstance(one, EventFilter)}


def passes_with_time(condition: Condition) -> bool:
    """Whether what it says of a contact can change although nothing happens."""
    return any(_passes(one) for one in filters_of(condition))


def _passes(one: Filter) -> bool:
    if isinstance(one, EventFilter):
        return one.span_ms is not None or any(_passes(of_data) for of_data in one.where)
    return isinstance(one, (MomentFilter, DataFilter)) and one.operator in _PASSING

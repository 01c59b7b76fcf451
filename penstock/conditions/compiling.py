"""Conditions to SQL: a statement that gives one row per contact, and for each condition an expression over its columns.

Values are bound, never text. A condition that asks for other segments has their conditions in it, each once; of a
segment that is not there, or that refers to itself by way of others, nobody is a member.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.clickhouse.contract import Parameter
from penstock.conditions.bound import Bound
from penstock.conditions.source import Scope, Source
from penstock.conditions.tree import (
    Condition,
    DataFilter,
    EmailFilter,
    EventFilter,
    Filter,
    MomentFilter,
    Operator,
    SegmentFilter,
    SubscribedFilter,
)
from penstock.conditions.values import at_path, holds, readable

__all__ = ["Compiled", "Scope", "compile_conditions", "matches"]

_NOBODY, _EVERYBODY = "0", "1"
_ORDERS = {
    Operator.GREATER: ">",
    Operator.GREATER_OR_EQUAL: ">=",
    Operator.LESS: "<",
    Operator.LESS_OR_EQUAL: "<=",
    Operator.COUNT_EQUALS: "=",
    Operator.COUNT_GREATER: ">",
    Operator.COUNT_GREATER_OR_EQUAL: ">=",
    Operator.COUNT_LESS: "<",
    Operator.COUNT_LESS_OR_EQUAL: "<=",
}

Catalog = Mapping[str, Condition | None]
"""The conditions of a project's segments, by id; None where the membership is computed elsewhere."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """See the module.

    Attributes:
        contacts: the statement; its columns `email`, `contact_id`, `log_partition` and `first_offset` are for all.
        predicates: the expressions, in the order of the conditions.
        values: all parameters; their names begin with `condition_`.
    """

    contacts: str
    predicates: Sequence[str]
    values: Mapping[str, Parameter]


def compile_conditions(
    project_id: str,
    conditions: Sequence[Condition],
    catalog: Catalog,
    now_ms: int,
    scope: Scope,
    *,
    trigger_data: str = "''",
) -> Compiled:
    """Compiles them together, so that what several of them ask for is read once.

    Args:
        catalog: of the segments that they refer to, also by way of others.
        trigger_data: the expression of the triggering event's data, for filters on that.
    """
    bound = Bound()
    source = Source(project_id, scope, now_ms, bound)
    compiling = _Compiling(source, bound, catalog, now_ms, trigger_data=trigger_data)
    predicates = [compiling.condition(one) for one in conditions]
    return Compiled(compiling.contacts(), predicates, bound.values)


def matches(compiled: Compiled) -> str:
    """A statement of the columns `email`, `contact_id`, `log_partition` and `matches`: for each condition 1 or 0."""
    listed = ", ".join(f"toUInt8({predicate})" for predicate in compiled.predicates)
    return f"SELECT email, contact_id, log_partition, [{listed}] AS matches FROM ({compiled.contacts})"  # noqa: S608


class _Compiling:
    """What is compiled so far."""

    def __init__(self, source: Source, bound: Bound, catalog: Catalog, now_ms: int, *, trigger_data: str) -> None:
        self._source = source
        self._bound = bound
        self._catalog = catalog
        self._now_ms = now_ms
        self._trigger_data = trigger_data
        self._segments: dict[str, str] = {}
        self._inlined: list[tuple[str, str]] = []

    def contacts(self) -> str:
        sql = self._source.sql()
        for column, predicate in self._inlined:
            sql = f"SELECT *, toUInt8({predicate}) AS {column} FROM ({sql})"  # noqa: S608 - see the module
        return sql

    def condition(self, one: Condition) -> str:
        groups = [
            [*map(self._filter, group.filters), *([self.condition(group.conditions)] if group.conditions else [])]
            for group in one.groups
        ]
        joined = [f"({' AND '.join(parts)})" if parts else _EVERYBODY for parts in groups]
        return f"({f' {one.logic} '.join(joined)})"

    def _filter(self, one: Filter) -> str:
        match one:
            case EmailFilter():
                return self._email(one)
            case SubscribedFilter():
                return f"is_subscribed = {int(one.value == (one.operator is Operator.EQUALS))}"
            case MomentFilter():
                return self._moment(one)
            case DataFilter():
                return holds(one, self._value(one), self._now_ms, self._bound)
            case EventFilter():
                return self._events(one)
            case SegmentFilter():
                member = self._member(one.segment_id)
                return member if one.operator is Operator.MEMBER else f"NOT {member}"

    def _email(self, one: EmailFilter) -> str:
        value = self._bound.text(one.value)
        found = f"email = {value}" if one.operator in _EQUALITY else f"position(email, {value}) > 0"
        return f"NOT ({found})" if one.operator in _NEGATIVE else f"({found})"

    def _moment(self, one: MomentFilter) -> str:
        column = "created_ms" if one.field == "createdAt" else "updated_ms"
        match one.operator:
            case Operator.EQUALS | Operator.NOT_EQUALS:
                start, end = self._bound.integer(one.start_ms), self._bound.integer(one.end_ms)
                found = f"({column} >= {start} AND {column} < {end})"
                return found if one.operator is Operator.EQUALS else f"NOT {found}"
            case Operator.WITHIN:
                return f"{column} >= {self._bound.integer(self._now_ms - one.span_ms)}"
            case Operator.OLDER:
                return f"{column} < {self._bound.integer(self._now_ms - one.span_ms)}"
        return f"{column} {_ORDERS[one.operator]} {self._bound.integer(one.start_ms)}"

    def _value(self, one: DataFilter) -> str:
        if one.is_of_trigger:
            return at_path(readable(self._trigger_data), [self._bound.text(key) for key in one.path])
        return self._source.data(one.path)

    def _events(self, one: EventFilter) -> str:
        column = self._source.events(one)
        if one.operator in (Operator.NOT_TRIGGERED, Operator.NOT_TRIGGERED_WITHIN):
            return f"{column} = 0"
        if one.operator in (Operator.TRIGGERED, Operator.TRIGGERED_WITHIN, Operator.TRIGGERED_OLDER):
            return f"{column} > 0"
        return f"{column} {_ORDERS[one.operator]} {self._bound.integer(one.count)}"

    def _member(self, segment_id: str) -> str:
        if segment_id not in self._segments:
            self._segments[segment_id] = _NOBODY  # while its own condition is compiled
            self._segments[segment_id] = self._inline(segment_id)
        return self._segments[segment_id]

    def _inline(self, segment_id: str) -> str:
        if segment_id not in self._catalog:
            return _NOBODY
        condition = self._catalog[segment_id]
        if condition is None:
            return self._source.membership(segment_id)
        predicate = self.condition(condition)
        column = f"segment_{len(self._inlined)}"
        self._inlined.append((column, predicate))
        return column


_EQUALITY = (Operator.EQUALS, Operator.NOT_EQUALS)
_NEGATIVE = (Operator.NOT_EQUALS, Operator.NOT_CONTAINS)

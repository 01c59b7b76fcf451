"""Conditions to SQL: a statement that gives one row per contact, and for each condition an expression over its columns.

Values are bound, never text. Segments that a condition refers to are computed beside it, each once. Nobody is a member
of one that is not there, that leads back to itself, or that leads on for more than `MAX_LAYERS` steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.clickhouse.contract import Parameter
from penstock.conditions.bound import Bound
from penstock.conditions.references import MAX_LAYERS, Catalog, layers
from penstock.conditions.scope import Rows, Scope
from penstock.conditions.source import Source
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
    segment_ids,
)
from penstock.conditions.values import holds, holds_of, value_at

__all__ = ["MAX_LAYERS", "SETTINGS", "Catalog", "Compiled", "Scope", "compile_conditions", "layers", "matches"]

SETTINGS = "optimize_and_compare_chain = 0"
"""Of each statement that has predicates in it: the engine would look for comparisons that follow from others, of which
there are none, for 2 ms at every AND."""

_NOBODY = "0"
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
    source = Source(Rows(project_id, scope, bound), now_ms, bound)
    compiling = _Compiling(source, bound, catalog, now_ms, trigger_data=trigger_data)
    steps = [compiling.layer(layer) for layer in _layers(conditions, catalog)]
    predicates = [compiling.condition(one) for one in conditions]
    contacts = source.sql()
    for columns in steps:
        contacts = f"SELECT *, {columns} FROM ({contacts})"  # noqa: S608 - see the module
    return Compiled(contacts, predicates, bound.values)


def matches(compiled: Compiled) -> str:
    """A statement of the columns `email`, `contact_id`, `log_partition` and `matches`: for each condition 1 or 0."""
    listed = ", ".join(f"toUInt8({predicate})" for predicate in compiled.predicates)
    return f"SELECT email, contact_id, log_partition, [{listed}] AS matches FROM ({compiled.contacts})"  # noqa: S608


def _layers(conditions: Sequence[Condition], catalog: Catalog) -> list[list[str]]:
    return layers({id_ for one in conditions for id_ in segment_ids(one)}, catalog)[:MAX_LAYERS]


class _Compiling:
    """What is compiled so far."""

    def __init__(self, source: Source, bound: Bound, catalog: Catalog, now_ms: int, *, trigger_data: str) -> None:
        self._source = source
        self._bound = bound
        self._catalog = catalog
        self._now_ms = now_ms
        self._trigger_data = trigger_data
        self._segments: dict[str, str] = {}

    def layer(self, segment_ids: Sequence[str]) -> str:
        """Columns that say who is in these segments, which refer to none but those of earlier layers."""
        columns = {id_: f"segment_{len(self._segments) + number}" for number, id_ in enumerate(segment_ids)}
        conditions = [(self._catalog[id_], column) for id_, column in columns.items()]
        found = [f"toUInt8({self.condition(one)}) AS {column}" for one, column in conditions if one]
        self._segments |= columns
        return ", ".join(found)

    def condition(self, one: Condition) -> str:
        groups = [
            [*map(self._filter, group.filters), *([self.condition(group.conditions)] if group.conditions else [])]
            for group in one.groups
        ]
        joined = [f"({' AND '.join(parts)})" for parts in groups]
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
                return self._data(one)
            case EventFilter():
                return self._events(one)
            case SegmentFilter():
                member = self._member(one.segment_id)
                return member if one.operator is Operator.MEMBER else f"NOT {member}"

    def _email(self, one: EmailFilter) -> str:
        value = self._bound.text(one.value)
        is_whole = one.operator in (Operator.EQUALS, Operator.NOT_EQUALS)
        found = f"email = {value}" if is_whole else f"position(email, {value}) > 0"
        return f"({found})" if one.operator in (Operator.EQUALS, Operator.CONTAINS) else f"NOT ({found})"

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

    def _data(self, one: DataFilter) -> str:
        if not one.is_of_trigger:
            return holds(one, self._source.data(one.path), self._now_ms, self._bound)
        value = value_at(self._trigger_data, self._bound.texts(one.path))
        return holds_of(one, value, self._now_ms, self._bound)

    def _events(self, one: EventFilter) -> str:
        recent = self._source.events(one.name, one.span_ms, one.where)
        match one.operator:
            case Operator.NOT_TRIGGERED | Operator.NOT_TRIGGERED_WITHIN:
                return f"{recent} = 0"
            case Operator.TRIGGERED | Operator.TRIGGERED_WITHIN:
                return f"{recent} > 0"
            case Operator.TRIGGERED_OLDER:
                return f"({self._source.events(one.name, None, one.where)} > 0 AND {recent} = 0)"
        return f"{recent} {_ORDERS[one.operator]} {self._bound.integer(one.count)}"

    def _member(self, segment_id: str) -> str:
        if segment_id in self._catalog and self._catalog[segment_id] is None:
            return self._source.is_member(segment_id)
        return self._segments.get(segment_id, _NOBODY)

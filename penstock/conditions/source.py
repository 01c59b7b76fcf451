"""The columns that conditions look at: a row per contact, folded in one pass over its rows, its events counted in one.

Whoever compiles a condition asks for columns; what was asked for is read, and no more.
"""

# ruff: noqa: S608 - what callers choose are parameters; only names and integers of ours stand in the text

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.conditions.bound import Bound
from penstock.conditions.tree import EventFilter, Operator
from penstock.conditions.values import at_path, holds, last_of, members, plain, readable
from schemas.contact_data import IGNORED_KEYS
from schemas.tables import CONTACTS, EVENTS_BY_CONTACT, EVENTS_BY_NAME, MEMBERSHIPS


@dataclass(frozen=True, slots=True)
class Scope:
    """Which contacts of a project are meant.

    Attributes:
        emails, contact_ids: of the same contacts, in any order; None for all.
        partitions: only contacts whose events are in these partitions of the log; None for all.
    """

    emails: Sequence[str] | None = None
    contact_ids: Sequence[str] | None = None
    partitions: Sequence[int] | None = None


class Source:
    """See the module. Columns that are always there: `email`, `contact_id`, `log_partition` and `first_offset`."""

    def __init__(self, project_id: str, scope: Scope, now_ms: int, bound: Bound) -> None:
        self._project = bound.uuid(project_id)
        self._scope = scope
        self._now_ms = now_ms
        self._bound = bound
        self._keys: set[str] = set()
        self._events: dict[str, tuple[EventFilter, str]] = {}
        self._segments: dict[str, str] = {}

    def data(self, path: Sequence[str]) -> str:
        """The value at a path in the contact's data; see `penstock.conditions.values`."""
        first, *rest = path
        if first in IGNORED_KEYS:
            return "''"
        self._keys.add(first)
        value = f"values[{self._bound.text(first)}]"
        return at_path(value, [self._bound.text(key) for key in rest]) if rest else value

    def events(self, one: EventFilter) -> str:
        """How many events meet the filter; of `triggeredOlderThan` whether the last one is old enough."""
        return self._events.setdefault(repr(one), (one, f"events_{len(self._events)}"))[1]  # 1 and true are equal

    def membership(self, segment_id: str) -> str:
        """Whether the contact is in a segment whose membership is computed elsewhere."""
        return self._segments.setdefault(segment_id, f"member_{len(self._segments)}")

    def sql(self) -> str:
        """The statement; once everything was asked for."""
        sql = self._contacts()
        for part, columns in (
            (self._counted(), [column for _, column in self._events.values()]),
            (self._members(), self._segments.values()),
        ):
            if part:
                names = ", ".join(["contact.*", *columns])
                sql = f"SELECT {names} FROM ({sql}) AS contact LEFT JOIN ({part}) AS more USING contact_id"
        return sql

    def _contacts(self) -> str:
        """One row per contact. Of each key that was asked for, the value that was set last stands first."""
        values = (
            ", arrayReverseSort(pair -> pair.2, groupArrayArray(pairs)) AS last_first"
            ", mapFromArrays(last_first.1, last_first.3) AS values"
        )
        return (
            "SELECT email, any(contact) AS contact_id, any(part) AS log_partition, min(first) AS first_offset,"
            " toInt64(min(created)) AS created_ms, max(said) AS word, max(at) AS version,"
            " greatest(created_ms, toInt64(bitShiftRight(word, 80)), toInt64(bitShiftRight(version, 80)))"
            f" AS updated_ms, toUInt8(bitAnd(word, 1)) AS is_subscribed{values if self._keys else ''}"
            f" FROM ({self._shapes()}) GROUP BY email"
        )

    def _shapes(self) -> str:
        text = ", argMaxMerge(data) AS text" if self._keys else ""
        rows = (
            "SELECT email, shape, any(contact_id) AS contact, any(log_partition) AS part, min(first_offset) AS first,"
            f" toUnixTimestamp64Milli(min(created_at)) AS created, max(subscription) AS said, max(version) AS at{text}"
            f" FROM {CONTACTS} WHERE project_id = {self._project} AND email != ''{self._restricted('email')}"
            " GROUP BY email, shape"
        )
        if not self._keys:
            return rows
        keys = self._bound.texts(sorted(self._keys))
        counting = (
            f"has({keys}, pair.1) AND index = arrayLastIndex(other -> other.1 = pair.1, all_pairs)"
            f" AND {_counts('pair.2')}"
        )
        return (
            f"SELECT * EXCEPT text, {members(readable('text'))} AS all_pairs,"
            f" arrayMap(pair -> (pair.1, at, {plain('pair.2')}),"
            f" arrayFilter((pair, index) -> {counting}, all_pairs, arrayEnumerate(all_pairs))) AS pairs"
            f" FROM ({rows})"
        )

    def _restricted(self, column: str) -> str:
        """The scope's condition, by the column of the sort key."""
        found = ""
        listed = self._scope.emails if column == "email" else self._scope.contact_ids
        if listed is not None:
            kind = "String" if column == "email" else "UUID"
            found += f" AND {column} IN {self._bound.texts(listed, kind)}"
        if self._scope.partitions is not None:
            found += f" AND log_partition IN ({', '.join(str(int(number)) for number in self._scope.partitions)})"
        return found

    def _counted(self) -> str:
        if not self._events:
            return ""
        table = EVENTS_BY_NAME if self._scope.contact_ids is None else EVENTS_BY_CONTACT
        names = self._bound.texts(sorted({one.name for one, _ in self._events.values()}))
        counts = "".join(f", {self._count(one)} AS {column}" for one, column in self._events.values())
        return (
            f"SELECT contact_id{counts} FROM {table} WHERE project_id = {self._project} AND name IN {names}"
            f"{self._since()}{self._restricted('contact_id')} GROUP BY contact_id"
        )

    def _since(self) -> str:
        """Where all filters look back only so far, no more is read."""
        spans = [one.span_ms for one, _ in self._events.values() if one.operator is not Operator.TRIGGERED_OLDER]
        if len(spans) < len(self._events) or None in spans:
            return ""
        return f" AND {self._after(max(span for span in spans if span is not None))}"

    def _after(self, span_ms: int) -> str:
        since = self._bound.integer(max(0, self._now_ms - span_ms))
        return f"occurred_at >= fromUnixTimestamp64Milli({since}, 'UTC')"

    def _count(self, one: EventFilter) -> str:
        parts = [f"name = {self._bound.text(one.name)}"]
        for of_data in one.where:
            value = at_path(readable("data"), [self._bound.text(key) for key in of_data.path])
            parts.append(holds(of_data, value, self._now_ms, self._bound))
        if one.operator is Operator.TRIGGERED_OLDER:
            condition = " AND ".join(parts)
            recent = self._after(one.span_ms or 0)
            return f"toUInt64(countIf({condition}) > 0 AND countIf({condition} AND {recent}) = 0)"
        if one.span_ms is not None:
            parts.append(self._after(one.span_ms))
        return f"countIf({' AND '.join(parts)})"

    def _members(self) -> str:
        if not self._segments:
            return ""
        states = "".join(
            f", argMaxIf(entered, (log_offset, log_index), segment_id = {self._bound.uuid(id_)}) AS {column}"
            for id_, column in self._segments.items()
        )
        ids = self._bound.texts(sorted(self._segments), "UUID")
        return (
            f"SELECT contact_id{states} FROM {MEMBERSHIPS} WHERE project_id = {self._project} AND segment_id IN {ids}"
            f"{self._restricted('contact_id')} GROUP BY contact_id"
        )


def _counts(value: str) -> str:
    """Whether a member of an event's data says anything of the contact; see `schemas.contact_data`."""
    pairs, persistent = members(value), "'persistent'"
    passing = (
        f"(startsWith({value}, '{{') AND position({value}, '\"persistent\"') > 0"
        f" AND {last_of(pairs, persistent)} = 'false' AND arrayExists(member -> member.1 = 'value', {pairs}))"
    )
    return f"{value} != '\"\"' AND NOT {passing}"

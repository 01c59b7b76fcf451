"""How many events of each kind a contact has: a row per contact with any, in one pass over the events. SQL; pure."""

# ruff: noqa: S608 - what callers choose are parameters; only names and integers of ours stand in the text

from collections.abc import Sequence

from penstock.conditions.bound import Bound
from penstock.conditions.tree import DataFilter
from penstock.conditions.values import holds, last_of, members, readable, value_at


class Counting:
    """Collects what is to be counted; equal counts share a column."""

    def __init__(self, now_ms: int, bound: Bound) -> None:
        self._now_ms = now_ms
        self._bound = bound
        self._counts: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._names: set[str] = set()
        self._names_with_data: set[str] = set()
        self._spans: list[int | None] = []

    @property
    def columns(self) -> list[str]:
        """All that were asked for."""
        return list(self._counts.values())

    def column(self, name: str, span_ms: int | None, where: Sequence[DataFilter]) -> str:
        """The count of the events of a name that happened within a span, None for any, and whose data is like that."""
        self._names.add(name)
        self._spans.append(span_ms)
        if where:
            self._names_with_data.add(name)
        parts = [f"name = {self._bound.text(name)}"]
        parts += [holds(one, self._value(one.path), self._now_ms, self._bound) for one in where]
        if span_ms is not None:
            parts.append(self._after(span_ms))
        return self._counts.setdefault(f"countIf({' AND '.join(parts)})", f"events_{len(self._counts)}")

    def sql(self, table: str, chosen: str) -> str:
        """The statement: `contact_id` and all columns.

        Args:
            chosen: the condition of the contacts' events.
        """
        counts = ", ".join(f"{count} AS {column}" for count, column in self._counts.items())
        names = self._bound.texts(sorted(self._names))
        where = f"{chosen} AND name IN {names}{self._since()}"
        return f"SELECT contact_id, {counts} FROM {self._rows(table, where)} GROUP BY contact_id"

    def _rows(self, table: str, where: str) -> str:
        """The events, with the values that are looked at. Data is parsed once, and only that of names that need it."""
        if not self._values:
            return f"{table} WHERE {where}"
        names = self._bound.texts(sorted(self._names_with_data))
        rows = f"SELECT contact_id, name, occurred_at, if(name IN {names}, data, '') AS text FROM {table} WHERE {where}"
        values = ", ".join(f"{value} AS {column}" for value, column in self._values.items())
        parsed = f"SELECT contact_id, name, occurred_at, {members(readable('text'))} AS pairs FROM ({rows})"
        return f"(SELECT contact_id, name, occurred_at, {values} FROM ({parsed}))"

    def _value(self, path: Sequence[str]) -> str:
        first, *rest = path
        value = value_at(last_of("pairs", self._bound.text(first)), self._bound.texts(rest) if rest else "")
        return self._values.setdefault(value, f"value_{len(self._values)}")

    def _since(self) -> str:
        """Where all counts look back only so far, no more is read."""
        spans = [span_ms for span_ms in self._spans if span_ms is not None]
        return f" AND {self._after(max(spans))}" if len(spans) == len(self._spans) else ""

    def _after(self, span_ms: int) -> str:
        since = self._bound.integer(max(0, self._now_ms - span_ms))
        return f"occurred_at >= fromUnixTimestamp64Milli({since}, 'UTC')"

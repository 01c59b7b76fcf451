"""The columns that conditions look at: a row per contact, with what its data says, its events' counts, its segments.

Whoever compiles a condition asks for columns; what was asked for is read, and no more.
"""

# ruff: noqa: S608 - what callers choose are parameters; only names of ours stand in the text

from collections.abc import Sequence

from penstock.conditions.bound import Bound
from penstock.conditions.counting import Counting
from penstock.conditions.folding import contact_rows
from penstock.conditions.scope import Rows
from penstock.conditions.tree import DataFilter
from penstock.conditions.values import value_at
from schemas.contact_data import IGNORED_KEYS
from schemas.tables import EVENTS_BY_CONTACT, EVENTS_BY_NAME, MEMBERSHIPS


class Source:
    """See the module, and `folding` for the columns that are always there."""

    def __init__(self, rows: Rows, now_ms: int, bound: Bound) -> None:
        self._rows = rows
        self._bound = bound
        self._counting = Counting(now_ms, bound)
        self._keys: set[str] = set()
        self._values: dict[str, str] = {}
        self._segments: set[str] = set()

    def data(self, path: Sequence[str]) -> str:
        """The value at a path in the contact's data, as `values` has it."""
        first, *rest = path
        if first in IGNORED_KEYS:
            return "''"
        self._keys.add(first)
        value = f"values[{self._bound.text(first)}]"
        value = value_at(value, self._bound.texts(rest)) if rest else value
        return self._values.setdefault(value, f"data_{len(self._values)}")

    def events(self, name: str, span_ms: int | None, where: Sequence[DataFilter]) -> str:
        """How many events of a name the contact has; see `counting`."""
        return self._counting.column(name, span_ms, where)

    def is_member(self, segment_id: str) -> str:
        """Whether the contact is in a segment whose membership is computed elsewhere."""
        self._segments.add(segment_id)
        return f"has(member_of, {self._bound.uuid(segment_id)})"

    def sql(self) -> str:
        """The statement; once everything was asked for."""
        sql = contact_rows(self._rows.by("email"), self._bound.texts(sorted(self._keys)) if self._keys else "")
        if self._values:
            values = ", ".join(f"{value} AS {column}" for value, column in self._values.items())
            sql = f"SELECT *, {values} FROM ({sql})"
        if self._counting.columns:
            table = EVENTS_BY_CONTACT if self._rows.listed else EVENTS_BY_NAME
            sql = _beside(sql, self._counting.sql(table, self._rows.by("contact_id")), self._counting.columns)
        return _beside(sql, self._memberships(), ["member_of"]) if self._segments else sql

    def _memberships(self) -> str:
        ids = self._bound.texts(sorted(self._segments), "UUID")
        changes = (
            "SELECT contact_id, segment_id, argMax(entered, (log_offset, log_index)) AS is_in"
            f" FROM {MEMBERSHIPS} WHERE {self._rows.by('contact_id')} AND segment_id IN {ids}"
            " GROUP BY contact_id, segment_id"
        )
        return f"SELECT contact_id, groupArrayIf(segment_id, is_in) AS member_of FROM ({changes}) GROUP BY contact_id"


def _beside(sql: str, other: str, columns: Sequence[str]) -> str:
    """Further columns of the same contacts: 0, or empty, where `other` has no row."""
    return f"SELECT own.*, {', '.join(columns)} FROM ({sql}) AS own LEFT JOIN ({other}) AS other USING contact_id"

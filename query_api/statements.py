"""A statement for the tables, and the forms in which values stand in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.clickhouse.contract import Parameter

END_OF_TIME_MS = (2**32 // 86_400) * 86_400 * 1000
"""What the tables can say of time ends here, in 2106: units of time begin at a column of 32 bits."""


ALL_COLUMNS_AT_ONCE = "optimize_move_to_prewhere = 0, query_plan_optimize_prewhere = 0"
"""For few rows of narrow tables: to read the condition's columns first costs up to a quarter of such a statement."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What to ask the tables.

    Attributes:
        name: which question it is, for the metrics.
        sql: without FORMAT and without SETTINGS, which whoever runs it adds. Everything that a caller can choose freely
            is a parameter in it; only integers of ours stand in the text.
        settings: more of them, for this statement alone.
    """

    name: str
    sql: str
    values: Mapping[str, Parameter] = field(default_factory=dict)
    settings: str = ""


def moment(parameter: str) -> str:
    """A parameter of milliseconds since 1970 as the value of a DateTime64(3) column."""
    return f"fromUnixTimestamp64Milli({{{parameter}:Int64}}, 'UTC')"


def within_tables(unix_ms: int) -> int:
    """The nearest moment that the tables can speak of: nothing is stored outside, and a literal must not overflow."""
    return min(max(unix_ms, 0), END_OF_TIME_MS)

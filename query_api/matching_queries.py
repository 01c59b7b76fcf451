"""Which contacts match a condition at the moment, and how many: requests to statements. Pure."""

# ruff: noqa: S608 - what callers choose are parameters; only the compiler's text and integers of ours stand in it

from collections.abc import Sequence

from penstock.conditions import Condition
from penstock.conditions.compiling import SETTINGS, Scope, compile_conditions, matches
from penstock.conditions.kept import catalog_of
from penstock.registry import Registry
from query_api.statements import Statement

MAX_STATEMENT = 200_000
"""Characters: the tables take some more, but need seconds to understand so many (100 segments of three filters each are
29,000, which takes 0.5 s)."""


def match_counts(registry: Registry, project_id: str, conditions: Sequence[Condition], now_ms: int) -> Statement:
    """How many contacts match each condition: one row of a list; an empty list where there are no contacts."""
    compiled = compile_conditions(project_id, conditions, catalog_of(registry, project_id, conditions), now_ms, Scope())
    sql = f"SELECT sumForEach(matches) FROM ({matches(compiled)})"
    return Statement("match_counts", sql, compiled.values, settings=SETTINGS)


def next_matches(
    registry: Registry, project_id: str, condition: Condition, now_ms: int, *, after: str, most: int
) -> Statement:
    """The next contacts behind `after` that match, in the order in which the tables sort ids: [contact, address]."""
    compiled = compile_conditions(
        project_id, [condition], catalog_of(registry, project_id, [condition]), now_ms, Scope()
    )
    sql = (
        f"SELECT contact_id, email FROM ({matches(compiled)}) "
        f"WHERE matches[1] AND contact_id > {{after:UUID}} ORDER BY contact_id LIMIT {most}"
    )
    return Statement("matches", sql, {**compiled.values, "after": after}, settings=SETTINGS)


def is_answerable(registry: Registry, project_id: str, condition: Condition) -> bool:
    """Whether the tables can be asked for it, with all that it refers to."""
    return len(match_counts(registry, project_id, [condition], 0).sql) <= MAX_STATEMENT

"""The conditions of what the registry has: they were found right when they were taken. Pure, and remembers some."""

from collections.abc import Iterable
from functools import lru_cache

from penstock.conditions.reading import read_condition
from penstock.conditions.tree import Condition, segment_ids
from penstock.registry import Registry

_REMEMBERED = 4096


@lru_cache(maxsize=_REMEMBERED)
def kept_condition(text: str) -> Condition:
    """The condition that has this text, of a segment or a workflow."""
    return read_condition(text.encode(), "condition", with_trigger=True)


def catalog_of(registry: Registry, project_id: str, conditions: Iterable[Condition]) -> dict[str, Condition | None]:
    """The conditions of the segments that are referred to, directly or through others, by id.

    None where the membership is computed elsewhere; a segment that is gone is missing.
    """
    catalog: dict[str, Condition | None] = {}
    left = {wanted for condition in conditions for wanted in segment_ids(condition)}
    while left:
        wanted = left.pop()
        segment = registry.segment(project_id, wanted)
        if segment is not None:
            condition = catalog[wanted] = kept_condition(segment.condition) if segment.condition else None
            left |= (segment_ids(condition) if condition else set()) - catalog.keys()
    return catalog

"""What a condition says of other segments: each must be there, none may lead back, nor lead on too far. Pure.

It is looked for in the text, so that it is told together with what else is wrong with the condition.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from penstock.conditions import segment_ids
from penstock.conditions.kept import kept_condition
from penstock.conditions.references import MAX_LAYERS, steps
from penstock.errors import FieldError
from penstock.registry import Registry
from schemas.ids import is_uuid

_PREFIX = "segment."
_DEEPEST = 64


def reference_errors(text: str, path: str, registry: Registry, project_id: str, own_id: str = "") -> list[FieldError]:
    """What is wrong with the references of a condition, by their paths.

    Args:
        text: JSON, which need not be a condition; "" for none.
        path: of the condition, in errors.
        own_id: of the segment whose condition it is to be; "" where nothing can refer to it.
    """
    found = list(_references(_decoded(text), path, 0)) if text else []
    if not found:
        return []
    referring = {
        one.id: segment_ids(kept_condition(one.condition)) for one in registry.segments(project_id) if one.condition
    }
    leading_back = _leading_back(own_id, referring) if own_id else set()
    errors = (_error(place, segment_id, registry, project_id, leading_back) for place, segment_id in found)
    wrong = [error for error in errors if error]
    if not wrong and steps(referring | {own_id: {segment_id for _, segment_id in found}}) > MAX_LAYERS:
        wrong = [FieldError(path, f"Leads from segment to segment over more than {MAX_LAYERS} steps", "too_big")]
    return wrong


def _decoded(text: str) -> Any:
    """Its numbers mean nothing here: any may be there."""
    try:
        return json.loads(text, parse_int=str, parse_float=str)
    except RecursionError:
        return None


def _error(
    place: str, segment_id: str, registry: Registry, project_id: str, leading_back: set[str]
) -> FieldError | None:
    if registry.segment(project_id, segment_id) is None:
        return FieldError(place, f"There is no segment {segment_id}", "custom")
    if segment_id in leading_back:
        return FieldError(place, "Must not lead back to the segment itself", "custom")
    return None


def _references(condition: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """Path and segment of each reference, as far as the text has the form of a condition."""
    for group, at in _listed(condition, "groups", path):
        for one, place in _listed(group, "filters", at):
            field = one.get("field") if isinstance(one, dict) else None
            if isinstance(field, str) and field.startswith(_PREFIX) and is_uuid(field[len(_PREFIX) :]):
                yield f"{place}.field", field[len(_PREFIX) :].lower()
        if isinstance(group, dict) and depth < _DEEPEST:
            yield from _references(group.get("conditions"), f"{at}.conditions", depth + 1)


def _listed(value: Any, name: str, path: str) -> Iterator[tuple[Any, str]]:
    listed = value.get(name) if isinstance(value, dict) else None
    for index, one in enumerate(listed if isinstance(listed, list) else ()):
        yield one, f"{path}.{name}[{index}]"


def _leading_back(own_id: str, referring: Mapping[str, set[str]]) -> set[str]:
    """The segment itself, and those whose conditions refer to it, directly or through others."""
    found, grown = {own_id}, True
    while grown:
        before = len(found)
        found |= {one for one, referred in referring.items() if referred & found}
        grown = len(found) > before
    return found

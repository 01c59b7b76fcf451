"""From the text of a condition to its tree, or to everything that is wrong with it. Pure."""

from collections.abc import Mapping
from typing import Any

from penstock.conditions.faults import Faults, decode_members
from penstock.conditions.fields import read_filter
from penstock.conditions.tree import Condition, Filter, Group
from penstock.errors import FieldError, ValidationFailed

MAX_LEVELS = 10
MAX_FILTERS = 100


def read_condition(text: bytes, path: str, *, with_trigger: bool = False) -> Condition:
    """The condition in a JSON text.

    Args:
        path: where it stands in the body, for what is said of faults.
        with_trigger: whether it may ask for what the event that triggers says.

    Raises:
        ValidationFailed: names everything that is wrong, with its path.
    """
    try:
        value = decode_members(text)
    except RecursionError as error:
        raise ValidationFailed([FieldError(path, "Nested far deeper than is taken", "custom")]) from error
    reading = _Reading(with_trigger)
    condition = reading.condition(value, path, 1)
    reading.faults.finish()
    if condition is None:
        raise ValueError(text)
    return condition


class _Reading:
    """One condition being read. A part that is wrong is noted, and None."""

    def __init__(self, with_trigger: bool) -> None:
        self.faults = Faults()
        self._with_trigger = with_trigger
        self._filters = 0

    def condition(self, value: Any, path: str, level: int) -> Condition | None:
        if not isinstance(value, dict):
            self.faults.note(path, "Must be an object with logic and groups", "invalid_type")
            return None
        if level > MAX_LEVELS:
            self.faults.note(path, f"Conditions are nested at most {MAX_LEVELS} levels deep", "too_big")
            return None
        logic, groups = self._logic(value, path), self._groups(value, path, level)
        return None if logic is None or groups is None else Condition("OR" if logic == "OR" else "AND", groups)

    def _logic(self, members: Mapping[str, Any], path: str) -> str | None:
        logic = members.get("logic")
        if logic in ("AND", "OR"):
            return str(logic)
        code = "invalid_enum_value" if isinstance(logic, str) else "invalid_type"
        self.faults.note(f"{path}.logic", "Must be AND or OR" if logic is not None else "Required: AND or OR", code)
        return None

    def _groups(self, members: Mapping[str, Any], path: str, level: int) -> tuple[Group, ...] | None:
        groups = self._items(members, f"{path}.groups", "groups")
        if groups is None:
            return None
        if not groups:
            self.faults.note(f"{path}.groups", "Must have at least 1 group", "too_small")
        read = [self._group(one, f"{path}.groups[{index}]", level) for index, one in enumerate(groups)]
        return tuple(one for one in read if one is not None)

    def _items(self, members: Mapping[str, Any], path: str, name: str) -> list[Any] | None:
        items = members.get(name)
        if isinstance(items, list):
            return items
        self.faults.note(path, "Required" if items is None else "Must be an array", "invalid_type")
        return None

    def _group(self, value: Any, path: str, level: int) -> Group | None:
        if not isinstance(value, dict):
            self.faults.note(path, "Must be an object with filters", "invalid_type")
            return None
        nested, has_nested = None, value.get("conditions") is not None
        if has_nested:
            nested = self.condition(value["conditions"], f"{path}.conditions", level + 1)
        return Group(self._own_filters(value, path, has_nested=has_nested), nested)

    def _own_filters(self, group: Mapping[str, Any], path: str, *, has_nested: bool) -> tuple[Filter, ...]:
        if has_nested and group.get("filters") is None:
            return ()
        filters = self._items(group, f"{path}.filters", "filters")
        if filters is None:
            return ()
        if not filters and not has_nested:
            self.faults.note(f"{path}.filters", "Must have at least 1 filter, or conditions beside them", "too_small")
        self._filters += len(filters)
        if self._filters > MAX_FILTERS >= self._filters - len(filters):
            self.faults.note(f"{path}.filters", f"A condition has at most {MAX_FILTERS} filters", "too_big")
        if self._filters > MAX_FILTERS:
            return ()
        read = [self._filter(one, f"{path}.filters[{index}]") for index, one in enumerate(filters)]
        return tuple(one for one in read if one is not None)

    def _filter(self, value: Any, path: str) -> Filter | None:
        if not isinstance(value, dict):
            self.faults.note(path, "Must be an object with field and operator", "invalid_type")
            return None
        return read_filter(self.faults, value, path, with_trigger=self._with_trigger)

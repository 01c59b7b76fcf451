"""What of a project uses the events of a name, or a segment. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from penstock.conditions import Condition, event_names, segment_ids
from penstock.conditions.kept import kept_condition
from penstock.errors import Conflict
from penstock.registry import Registry
from schemas.registry import Segment, Workflow


@dataclass(frozen=True, slots=True)
class Uses:
    """Who uses something, oldest first; whether they are enabled or tracked does not matter."""

    segments: list[Segment]
    workflows: list[Workflow]

    def __bool__(self) -> bool:
        return bool(self.segments or self.workflows)

    def members(self) -> Mapping[str, list[dict[str, str]]]:
        """The same as a body's members."""
        return {"usedInSegments": _named(self.segments), "usedInWorkflows": _named(self.workflows)}

    def expect_none(self, what: str) -> None:
        """Returns where nobody does.

        Args:
            what: cannot be removed otherwise.

        Raises:
            Conflict: somebody does; its details say who.
        """
        if self:
            suggestion = "Change or remove what uses it first; details has the list."
            raise Conflict(f"{what} is in use", suggestion=suggestion, details=self.members())


def uses_of_event(registry: Registry, project_id: str, name: str) -> Uses:
    """Whose condition asks for events of that name, or who is triggered by them."""
    found = _uses(registry, project_id, lambda condition: name in event_names(condition))
    asking = {one.id for one in found.workflows}
    triggered = [one for one in registry.workflows(project_id) if one.event_name == name or one.id in asking]
    return Uses(found.segments, triggered)


def uses_of_segment(registry: Registry, project_id: str, segment_id: str) -> Uses:
    """Whose condition refers to the segment, but for itself."""
    found = _uses(registry, project_id, lambda condition: segment_id in segment_ids(condition))
    return Uses([one for one in found.segments if one.id != segment_id], found.workflows)


def _uses(registry: Registry, project_id: str, is_user: Callable[[Condition], bool]) -> Uses:
    def uses(one: Segment | Workflow) -> bool:
        return bool(one.condition) and is_user(kept_condition(one.condition))

    return Uses(
        [one for one in registry.segments(project_id) if uses(one)],
        [one for one in registry.workflows(project_id) if uses(one)],
    )


def _named(users: list[Segment] | list[Workflow]) -> list[dict[str, str]]:
    return [{"id": one.id, "name": one.name} for one in users]

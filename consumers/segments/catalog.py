"""The segments of a project with their conditions, and what follows from one referring to another. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock.conditions.kept import kept_condition
from penstock.conditions.tree import Condition, passes_with_time, segment_ids
from penstock.registry import Registry
from schemas.registry import Segment


@dataclass(frozen=True, slots=True)
class Catalog:
    """A project's segments at one moment, by id."""

    segments: Mapping[str, Segment]

    def tracked(self) -> list[Segment]:
        """Those whose entries and exits are emitted here."""
        return [one for one in self.segments.values() if one.tracked and one.condition]

    def conditions(self) -> dict[str, Condition | None]:
        """Their conditions; None where the membership is computed elsewhere."""
        return {id_: kept_condition(one.condition) if one.condition else None for id_, one in self.segments.items()}

    def referred(self, segment: Segment) -> str:
        """One text for the revisions of all segments that this one refers to: another one where any of them changes."""
        others = sorted(self._reached(segment) - {segment.id})
        return " ".join(f"{id_}:{self.segments[id_].revision if id_ in self.segments else ''}" for id_ in others)

    def passes_with_time(self, segment: Segment) -> bool:
        """Whether who is in it can change although nothing happens."""
        reached = [self.segments[id_] for id_ in self._reached(segment) if id_ in self.segments]
        return any(passes_with_time(kept_condition(one.condition)) for one in reached if one.condition)

    def _reached(self, segment: Segment) -> set[str]:
        """The segment, and all that it refers to, through others as well; two may refer to each other for a moment."""
        reached: set[str] = set()
        waiting = {segment.id}
        while waiting:
            reached |= waiting
            waiting = {id_ for known in waiting for id_ in self._refers_to(known)} - reached
        return reached

    def _refers_to(self, segment_id: str) -> Iterable[str]:
        known = self.segments.get(segment_id)
        return segment_ids(kept_condition(known.condition)) if known and known.condition else ()


def catalogs(registry: Registry) -> dict[str, Catalog]:
    """The catalogs of the projects that have a tracked segment, by project."""
    projects = {one.project_id for one in registry.tracked_segments()}
    return {
        project_id: Catalog({one.id: one for one in registry.segments(project_id)}) for project_id in sorted(projects)
    }

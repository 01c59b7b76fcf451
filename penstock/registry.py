"""The segments and workflows of all projects, as the control topic tells them.

One thread applies records while others ask. What is asked for gives the state of one moment.
"""

from typing import TypeVar

import msgspec

from schemas.registry import (
    UNKNOWN_OFFSET,
    Registered,
    Segment,
    Workflow,
    WorkflowState,
    decode_registered,
    is_registered,
)

_One = TypeVar("_One", Segment, Workflow)

_Slug = tuple[str, str]
"""A project, and the slug of one of its segments."""


class Registry:
    """See the module."""

    def __init__(self) -> None:
        self._known: dict[str, Registered] = {}
        self._segments: dict[str, dict[str, Segment]] = {}
        self._workflows: dict[str, dict[str, Workflow]] = {}
        self._claims: dict[_Slug, dict[str, Segment]] = {}
        self._slugs: dict[_Slug, Segment] = {}
        self.is_complete = False
        """Whether all that the control topic had was read once."""

    def apply(self, key: str, value: bytes | None, offset: int) -> None:
        """Takes one record of the control topic, which stands at `offset`.

        Raises:
            msgspec.DecodeError: the record is not readable; nothing changed.
        """
        if not is_registered(key):
            return
        registered = None if value is None else decode_registered(key, value)
        if isinstance(registered, Segment):
            registered = _placed(registered, offset)
        self._forget(self._known.pop(key, None))
        if registered is not None:
            self._known[key] = registered
            self._index(registered)

    def _forget(self, registered: Registered | None) -> None:
        if isinstance(registered, Segment):
            slug = registered.project_id, registered.slug
            self._claims[slug] = _without(self._claims[slug], registered.id)
            self._settle(slug)
        elif isinstance(registered, Workflow):
            self._workflows[registered.project_id] = _without(self._workflows[registered.project_id], registered.id)

    def _index(self, registered: Registered) -> None:
        """Dicts are replaced, not changed: whoever asks in another thread may be walking through one."""
        if isinstance(registered, Segment):
            slug = registered.project_id, registered.slug
            self._claims[slug] = {**self._claims.get(slug, {}), registered.id: registered}
            self._settle(slug)
        elif isinstance(registered, Workflow):
            flows = self._workflows.get(registered.project_id, {})
            self._workflows[registered.project_id] = {**flows, registered.id: registered}

    def _settle(self, slug: _Slug) -> None:
        """Of all that claim a slug, the first one has it, and the others are void: whatever order they are read in."""
        project_id, text = slug
        claims = self._claims[slug]
        own = {id_: one for id_, one in self._segments.get(project_id, {}).items() if one.slug != text}
        if claims:
            holder = self._slugs[slug] = min(claims.values(), key=lambda one: one.first_offset)
            own[holder.id] = holder
        else:
            del self._claims[slug]
            self._slugs.pop(slug, None)
        self._segments[project_id] = own

    def segments(self, project_id: str) -> list[Segment]:
        """A project's segments, oldest first."""
        return sorted(self._segments.get(project_id, {}).values(), key=_age)

    def segment(self, project_id: str, segment_id: str) -> Segment | None:
        """One of a project's segments."""
        return self._segments.get(project_id, {}).get(segment_id)

    def segment_of_slug(self, project_id: str, slug: str) -> Segment | None:
        """The segment of a project that has the slug."""
        return self._slugs.get((project_id, slug))

    def tracked_segments(self) -> list[Segment]:
        """The segments of all projects whose entries and exits are emitted."""
        return [one for own in list(self._segments.values()) for one in own.values() if one.tracked and one.condition]

    def workflows(self, project_id: str) -> list[Workflow]:
        """A project's workflows, oldest first."""
        return sorted(self._workflows.get(project_id, {}).values(), key=_age)

    def workflow(self, project_id: str, workflow_id: str) -> Workflow | None:
        """One of a project's workflows."""
        return self._workflows.get(project_id, {}).get(workflow_id)

    def all_workflows(self) -> list[Workflow]:
        """The workflows of all projects."""
        return [one for own in list(self._workflows.values()) for one in own.values()]

    def state_of(self, workflow: Workflow) -> WorkflowState:
        """What became of its deliveries since it was changed last."""
        known = self._known.get(f"workflow-state/{workflow.id}")
        if isinstance(known, WorkflowState) and known.updated_at == workflow.updated_at:
            return known
        return WorkflowState(workflow.id, workflow.updated_at)

    def is_sending(self, workflow: Workflow) -> bool:
        """Whether events are to be sent."""
        return workflow.enabled and not self.state_of(workflow).gone


def _placed(segment: Segment, offset: int) -> Segment:
    if segment.first_offset != UNKNOWN_OFFSET:
        return segment
    return msgspec.structs.replace(segment, first_offset=offset)


def _without(own: dict[str, _One], gone: str) -> dict[str, _One]:
    return {key: one for key, one in own.items() if key != gone}


def _age(one: Segment | Workflow) -> tuple[str, str]:
    return one.created_at, one.id

"""Making, changing and removing segments."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

from msgspec.structs import replace

from penstock.clock import Clock
from penstock.errors import Conflict, FieldError, NotFound
from penstock.registry import Registry
from query_api.ages import changed_at
from query_api.registrar import Registrar
from query_api.segment_params import SegmentAsked
from query_api.slugs import numbered, slug_of
from query_api.soundness import expect_sound
from query_api.uses import uses_of_segment
from schemas.registry import Segment
from schemas.times import to_wire


def known_segment(registry: Registry, project_id: str, segment_id: str) -> Segment:
    """One of a project's segments.

    Raises:
        NotFound: there is none with this id.
    """
    segment = registry.segment(project_id, segment_id)
    if segment is None:
        raise NotFound(f"There is no segment {segment_id}")
    return segment


class Segments:
    """See the module. Every call may raise LogUnavailable: then it is not known whether it happened."""

    def __init__(self, registrar: Registrar, clock: Clock) -> None:
        self._registrar = registrar
        self._clock = clock

    def draft(self, registry: Registry, project_id: str, asked: SegmentAsked) -> Segment:
        """The segment that `make` would make, but for its slug.

        Raises:
            ValidationFailed: with everything that is wrong.
        """
        _expect_sound(registry, project_id, asked, None)
        now = to_wire(self._clock.now_ms())
        blank = Segment(str(uuid4()), project_id, "", "", "", False, str(uuid4()), now, now)
        return _changed(blank, asked, now)

    async def make(self, draft: Segment, asked: SegmentAsked) -> Segment:
        """Makes a segment of a draft.

        Raises:
            ValidationFailed: what it refers to is gone.
            Conflict: its slug is taken.
        """
        project_id = draft.project_id
        async with self._registrar.changing() as registry:
            _expect_sound(registry, project_id, asked, None)
            for slug in _slugs(asked):
                if registry.segment_of_slug(project_id, slug) is None:
                    segment = replace(draft, slug=slug)
                    known = await self._registrar.put(segment)
                    if known.segment(project_id, segment.id) is not None:
                        return segment
                    await self._registrar.remove(segment)  # another process took the slug a moment before
        raise _slug_taken(registry, project_id, asked.slug or "")

    def changed(self, registry: Registry, project_id: str, segment_id: str, asked: SegmentAsked) -> Segment:
        """The segment as `change` would make it.

        Raises:
            ValidationFailed: with everything that is wrong.
            NotFound: there is no such segment.
        """
        segment = registry.segment(project_id, segment_id)
        _expect_sound(registry, project_id, asked, segment)
        segment = known_segment(registry, project_id, segment_id)
        return _changed(segment, asked, changed_at(segment.updated_at, self._clock.now_ms()))

    async def change(self, project_id: str, segment_id: str, asked: SegmentAsked) -> Segment:
        """Changes a segment; raises as `changed` does."""
        async with self._registrar.changing() as registry:
            segment = self.changed(registry, project_id, segment_id, asked)
            await self._registrar.put(segment)
        return segment

    async def renew(self, project_id: str, segment_id: str) -> Segment:
        """Has all contacts compared with the segment anew, where that is done at all.

        Raises:
            NotFound: there is no such segment.
        """
        async with self._registrar.changing() as registry:
            segment = known_segment(registry, project_id, segment_id)
            if segment.tracked and segment.condition:
                segment = replace(segment, revision=str(uuid4()))
                await self._registrar.put(segment)
        return segment

    async def remove(self, project_id: str, segment_id: str) -> None:
        """Removes a segment.

        Raises:
            NotFound: there is no such segment.
            Conflict: another one, or a workflow, refers to it.
        """
        async with self._registrar.changing() as registry:
            segment = known_segment(registry, project_id, segment_id)
            uses = await asyncio.to_thread(uses_of_segment, registry, project_id, segment_id)
            uses.expect_none(f"The segment {segment.slug!r}")
            await self._registrar.remove(segment)


def _slugs(asked: SegmentAsked) -> Iterator[str]:
    return numbered(slug_of(asked.name or "")) if asked.slug is None else iter([asked.slug])


def _slug_taken(registry: Registry, project_id: str, slug: str) -> Conflict:
    holder = registry.segment_of_slug(project_id, slug)
    who = "another segment" if holder is None else f"the segment {holder.name!r} ({holder.id})"
    details = {} if holder is None else {"segment": {"id": holder.id, "name": holder.name}}
    return Conflict(f"The slug {slug!r} is the one of {who}", suggestion="Choose another slug.", details=details)


def _expect_sound(registry: Registry, project_id: str, asked: SegmentAsked, segment: Segment | None) -> None:
    problems = list(asked.problems)
    if segment and asked.slug not in (None, segment.slug):
        problems.append(FieldError("slug", "The slug of a segment cannot be changed", "custom"))
    own_id = segment.id if segment else ""
    expect_sound(problems, asked.condition, "condition", registry, project_id, own_id=own_id)


def _changed(segment: Segment, asked: SegmentAsked, updated_at: str) -> Segment:
    """All contacts are looked at anew where another condition counts, or entries come to be emitted, or to be not."""
    changed = replace(
        segment,
        name=segment.name if asked.name is None else asked.name,
        condition=segment.condition if asked.condition is None else asked.condition,
        tracked=segment.tracked if asked.tracked is None else asked.tracked,
        updated_at=updated_at,
    )
    if (changed.condition, changed.tracked) == (segment.condition, segment.tracked):
        return changed
    return replace(changed, revision=str(uuid4()))

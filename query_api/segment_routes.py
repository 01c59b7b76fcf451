"""The routes of segments: request to parameters, wait where asked to, answer. Thin on purpose."""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from query_api import registry_documentation as documentation
from query_api.access import Access, aged, answered, written
from query_api.bodies import Bodies
from query_api.computing import Computer
from query_api.contact_results import PENDING
from query_api.fields import Fields
from query_api.memberships import Memberships
from query_api.paging import page_of, page_request
from query_api.registering import Route, router_of
from query_api.registrar import Registrar
from query_api.segment_params import new_segment, segment_change
from query_api.segment_results import segment_body
from query_api.segments import Segments, known_segment
from schemas.wire_registry import MembersPage, Segment, SegmentsPage


@dataclass(frozen=True, slots=True)
class SegmentHandlers:
    """The handlers, one per route; `bodies` reads what is to be made and changed."""

    access: Access
    registrar: Registrar
    segments: Segments
    computer: Computer
    memberships: Memberships
    bodies: Bodies

    async def list_segments(self, request: Request) -> Response:
        """Newest first. Follow `cursor` to its end to visit every segment exactly once.

        A page may have fewer segments than `limit`, and a `cursor` all the same: where their conditions are long.
        """
        project_id, fields = self.access.open(request)
        asked = page_request(fields, "segments")
        age_ms = await self.access.age_of_view(fields)
        registry = await self.registrar.read()
        page = page_of(registry.segments(project_id), asked)
        return answered(await self.memberships.segments(registry, project_id, page), age_ms)

    async def get_segment(self, request: Request) -> Response:
        """The segment, and how many contacts are in it now."""
        project_id, fields = self.access.open(request, request.path_params)
        segment_id = fields.uuid("id")
        age_ms = await self.access.age_of_view(fields)
        registry = await self.registrar.read()
        with aged(age_ms):
            segment = known_segment(registry, project_id, segment_id)
        return answered(segment_body(segment, await self.memberships.count(registry, segment)), age_ms)

    async def list_members(self, request: Request) -> Response:
        """Who is in the segment now, in an order of the contacts' ids. Follow `cursor` to its end to visit each once.

        A page may have fewer members than `limit`, or none, and a `cursor` all the same: where many have left.
        """
        project_id, fields = self.access.open(request, request.path_params)
        segment_id, asked = fields.uuid("id"), page_request(fields, "members")
        age_ms = await self.access.age_of_view(fields)
        registry = await self.registrar.read()
        with aged(age_ms):
            segment = known_segment(registry, project_id, segment_id)
        return answered(await self.memberships.page(registry, segment, asked), age_ms)

    async def make_segment(self, request: Request) -> Response:
        """Makes a segment. With `trackMembership`, every contact that matches already emits its entry.

        All that is wrong with the body is named, within the condition with whole paths
        (`condition.groups[0].filters[1].value`).
        """
        principal = self.access.writer(request)
        asked = new_segment(await self.bodies.read(request))
        registry = await self.registrar.read()
        draft = self.segments.draft(registry, principal.project_id, asked)
        # before it is made: an error afterwards would hide that it was
        count = await self.memberships.count(registry, draft)
        segment = await self.segments.make(draft, asked)
        return written(segment_body(segment, count), 201)

    async def change_segment(self, request: Request) -> Response:
        """Changes what is named. The slug stays."""
        principal = self.access.writer(request)
        fields = Fields(request.path_params)
        segment_id = fields.uuid("id")
        asked = segment_change(await self.bodies.read(request), fields.problems)
        registry = await self.registrar.read()
        draft = self.segments.changed(registry, principal.project_id, segment_id, asked)
        count = await self.memberships.count(registry, draft)  # as above
        segment = await self.segments.change(principal.project_id, segment_id, asked)
        return written(segment_body(segment, count))

    async def remove_segment(self, request: Request) -> Response:
        """Removes the segment; nothing more is emitted for it. The events that it has emitted stay."""
        principal = self.access.writer(request)
        fields = Fields(request.path_params)
        segment_id = fields.uuid("id")
        fields.finish()
        await self.segments.remove(principal.project_id, segment_id)
        return written(None, 204)

    async def compute_segment(self, request: Request) -> Response:
        """Compares all contacts with the segment's condition now, and answers the segment once that is done.

        Of a segment that is not tracked, or whose membership is computed elsewhere, it only counts.
        """
        principal = self.access.writer(request)
        fields = Fields(request.path_params)
        segment_id = fields.uuid("id")
        fields.finish()
        segment = await self.computer.compute(principal.project_id, segment_id)
        if segment is None:
            return written(PENDING, 202)
        count = await self.memberships.count(await self.registrar.read(), segment)
        return written(segment_body(segment, count))


def _routes(segments: SegmentHandlers) -> list[Route]:
    one = "/segments/{id}"
    return [
        Route("/segments", segments.list_segments, "List segments", SegmentsPage, documentation.SEGMENTS),
        Route(
            "/segments",
            segments.make_segment,
            "Make a segment",
            Segment,
            documentation.MAKING,
            "POST",
            documentation.SEGMENT_MADE,
            201,
            documentation.NEW_SEGMENT,
        ),
        Route(
            one,
            segments.get_segment,
            "Get a segment",
            Segment,
            documentation.ONE_SEGMENT,
            responses=documentation.FOUND,
        ),
        Route(
            one,
            segments.change_segment,
            "Change a segment",
            Segment,
            documentation.SEGMENT_CHANGE,
            "PATCH",
            documentation.CHANGED,
            body=documentation.SEGMENT_BODY,
        ),
        Route(
            one,
            segments.remove_segment,
            "Delete a segment",
            None,
            documentation.SEGMENT_ALONE,
            "DELETE",
            documentation.SEGMENT_REMOVED,
            204,
        ),
        Route(
            f"{one}/members",
            segments.list_members,
            "List a segment's members",
            MembersPage,
            documentation.MEMBERS,
            responses=documentation.FOUND,
        ),
        Route(
            f"{one}/compute",
            segments.compute_segment,
            "Compute a segment",
            Segment,
            documentation.SEGMENT_ALONE,
            "POST",
            documentation.COMPUTED,
        ),
    ]


def segment_routes(segments: SegmentHandlers) -> APIRouter:
    """The routes under `/segments`, see `router_of`."""
    return router_of(_routes(segments), "segments", is_limited=segments.access.limit is not None)

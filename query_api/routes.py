"""The read routes and the deletion: request to parameters, wait where asked to, answer. Thin on purpose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from fastapi import APIRouter, Request, Response

from penstock.auth import Principal
from penstock.errors import ProjectDisabled
from penstock.http import find_header, only_header
from penstock.rate_limit import RateLimit, limited_handler
from penstock.routing import ExactRoute
from query_api import answers, documentation
from query_api.deleting import Deleter
from query_api.fields import POSITION_HEADER, Fields, path_value, query_values
from query_api.freshness import Freshness
from query_api.params import contact_request, events_request, stats_request
from query_api.reader import Reader
from query_api.results import deleted_body
from schemas.position import to_token
from schemas.wire_reads import ContactEventsPage, Deleted, EventNames, EventsPage, EventTrace, NameCount, NameSeries

_POSITION = POSITION_HEADER.lower().encode()


class Authenticate(Protocol):
    """Who tells whose key it is; see `penstock.auth.KeyRing`."""

    def verify(self, authorization: bytes | None, *, secret_only: bool) -> Principal:
        """The key's principal.

        Raises:
            MissingAuth, InvalidApiKey: there is none.
            Unavailable: not known yet.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Reads:
    """The handlers, one per route."""

    authenticate: Authenticate
    reader: Reader
    freshness: Freshness
    deleter: Deleter
    after_position_seconds: float
    limit: RateLimit | None

    async def list_events(self, request: Request) -> Response:
        """Newest first. Follow `cursor` to its end to visit every event exactly once, also while new ones arrive."""
        project_id, fields = self._open(request)
        asked = events_request(fields)
        return await self._answer(project_id, fields, partial(answers.events, self.reader, project_id, asked))

    async def list_event_names(self, request: Request) -> Response:
        """All names, the most frequent first, names of system events among them."""
        project_id, fields = self._open(request)
        return await self._answer(project_id, fields, partial(answers.names, self.reader, project_id))

    async def count_events(self, request: Request) -> Response:
        """Exact counts between any two moments, the most frequent name first. With `interval` also in buckets.

        Buckets reach from `startDate`, else the first event, to `endDate`, else the last; all names have the same.
        """
        project_id, fields = self._open(request)
        asked = stats_request(fields)
        return await self._answer(project_id, fields, partial(answers.stats, self.reader, project_id, asked))

    async def list_contact_events(self, request: Request) -> Response:
        """As the list of events, for one contact. A contact that does not exist has no events."""
        project_id, fields = self._open(request, request.path_params)
        asked = contact_request(fields)
        return await self._answer(project_id, fields, partial(answers.contact_events, self.reader, project_id, asked))

    async def trace_event(self, request: Request) -> Response:
        """Where the event is: accepted, in the log, in the tables; or why it is not.

        Finding it costs the same however many events there are. 404 says how old the view is: an event that was
        accepted since is in the log, and not stored yet. Deleted ones are known where they had a key or a time.
        """
        project_id, fields = self._open(request, request.path_params)
        event_id = fields.uuid("id")
        age_ms = await self._age_of_view(fields)
        body = await self.reader.run(project_id, partial(answers.trace, self.reader, project_id, event_id, age_ms))
        return _answered(body, age_ms)

    async def delete_events(self, request: Request) -> Response:
        """Removes all events of the name that were accepted before the call, from every read, before it answers.

        Events of the name that come later count anew. 202 says that it will happen, but not within 10 seconds.
        """
        principal = self._principal(request)
        if not principal.enabled:
            raise ProjectDisabled
        fields = Fields({"eventName": path_value(request.scope["raw_path"], request.path_params["eventName"])})
        name = fields.event_name("eventName")
        fields.finish()
        deleted = await self.deleter.delete(principal.project_id, name)
        status, body = deleted_body(deleted.events)
        headers = {"X-Position": to_token(deleted.position)}
        return Response(body, status, media_type="application/json", headers=headers)

    def _principal(self, request: Request) -> Principal:
        principal = self.authenticate.verify(only_header(request.scope, b"authorization"), secret_only=True)
        if self.limit is not None:
            self.limit.take(request.scope, principal.project_id)
        return principal

    def _open(self, request: Request, path_values: dict[str, str] | None = None) -> tuple[str, Fields]:
        """Whose events are asked for, then what: who has no key learns nothing of the parameters."""
        principal = self._principal(request)
        position = find_header(request.scope, _POSITION)
        values = query_values(request.scope["query_string"]) | (path_values or {})
        return principal.project_id, Fields(values, None if position is None else position.decode("latin-1"))

    async def _answer(self, project_id: str, fields: Fields, work: Callable[[], bytes]) -> Response:
        age_ms = await self._age_of_view(fields)
        return _answered(await self.reader.run(project_id, work), age_ms)

    async def _age_of_view(self, fields: Fields) -> int:
        """Once everything is read and the view is as the request wants it; before the read, which then is no older."""
        position = fields.position()
        fields.finish()
        if position is not None:
            await self.freshness.wait_for(position, self.after_position_seconds)
        return self.freshness.age_ms()


def _answered(body: bytes, age_ms: int) -> Response:
    return Response(body, media_type="application/json", headers={"X-Data-Age-Ms": str(age_ms)})


@dataclass(frozen=True, slots=True)
class _Route:
    """A route, and what the OpenAPI document says of it; the rest is in its handler's docstring."""

    path: str
    handler: Callable[..., Any]
    summary: str
    model: Any  # what FastAPI takes as a response model: a type, or an expression of types
    parameters: list[dict[str, Any]]
    method: str = "GET"
    responses: Mapping[int | str, dict[str, Any]] = field(default_factory=lambda: documentation.READ)


def _routes(reads: _Reads) -> list[_Route]:
    counts = list[NameCount] | list[NameSeries]
    return [
        _Route("/events", reads.list_events, "List events", EventsPage, documentation.EVENTS),
        _Route("/events/names", reads.list_event_names, "List event names", EventNames, documentation.NAMES),
        _Route("/events/stats", reads.count_events, "Count events", counts, documentation.STATS),
        _Route(
            "/events/contact/{contactId:text}",
            reads.list_contact_events,
            "List a contact's events",
            ContactEventsPage,
            documentation.CONTACT,
        ),
        _Route(
            "/events/{id}/trace",
            reads.trace_event,
            "Trace an event",
            EventTrace,
            documentation.TRACE,
            responses=documentation.TRACED,
        ),
        _Route(
            "/events/{eventName:text}",
            reads.delete_events,
            "Delete all events of a name",
            Deleted,
            documentation.DELETION,
            "DELETE",
            documentation.DELETED,
        ),
    ]


def read_routes(
    *,
    authenticate: Authenticate,
    reader: Reader,
    freshness: Freshness,
    deleter: Deleter,
    after_position_seconds: float,
    limit: RateLimit | None = None,
) -> APIRouter:
    """The routes under `/events`, and their twins under `/v1`, which the OpenAPI document mentions once for all."""
    router = APIRouter(tags=["events"], responses=documentation.ERRORS, route_class=ExactRoute)
    for route in _routes(_Reads(authenticate, reader, freshness, deleter, after_position_seconds, limit)):
        handler = route.handler if limit is None else limited_handler(route.handler)
        for prefix in ("", "/v1"):
            router.add_api_route(
                prefix + route.path,
                handler,
                methods=[route.method],
                summary=route.summary,
                operation_id=route.handler.__name__,
                response_model=route.model,
                responses=dict(route.responses),
                openapi_extra={"parameters": route.parameters, "security": documentation.SECURITY},
                include_in_schema=not prefix,
            )
    return router

"""The read routes and the deletion: request to parameters, wait where asked to, answer. Thin on purpose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter, Request, Response

from query_api import answers, documentation
from query_api.access import Access, answered, written
from query_api.deleting import Deleter
from query_api.fields import Fields, path_value
from query_api.params import contact_request, events_request, stats_request
from query_api.reader import Reader
from query_api.registering import Route, router_of
from query_api.registrar import Registrar
from query_api.results import deleted_body
from schemas.wire_reads import ContactEventsPage, Deleted, EventNames, EventsPage, EventTrace, NameCount, NameSeries
from schemas.wire_registry import Usage


@dataclass(frozen=True, slots=True)
class _Reads:
    """The handlers, one per route."""

    access: Access
    reader: Reader
    deleter: Deleter
    registrar: Registrar

    async def list_events(self, request: Request) -> Response:
        """Newest first. Follow `cursor` to its end to visit every event exactly once, also while new ones arrive."""
        project_id, fields = self.access.open(request)
        asked = events_request(fields)
        return await self._answer(project_id, fields, partial(answers.events, self.reader, project_id, asked))

    async def list_event_names(self, request: Request) -> Response:
        """All names, the most frequent first, names of system events among them."""
        project_id, fields = self.access.open(request)
        return await self._answer(project_id, fields, partial(answers.names, self.reader, project_id))

    async def count_events(self, request: Request) -> Response:
        """Exact counts between any two moments, the most frequent name first. With `interval` also in buckets.

        Buckets reach from `startDate`, else the first event, to `endDate`, else the last; all names have the same.
        """
        project_id, fields = self.access.open(request)
        asked = stats_request(fields)
        return await self._answer(project_id, fields, partial(answers.stats, self.reader, project_id, asked))

    async def list_contact_events(self, request: Request) -> Response:
        """As the list of events, for one contact. A contact that does not exist has no events."""
        project_id, fields = self.access.open(request, request.path_params)
        asked = contact_request(fields)
        return await self._answer(project_id, fields, partial(answers.contact_events, self.reader, project_id, asked))

    async def trace_event(self, request: Request) -> Response:
        """Where the event is: accepted, in the log, in the tables; or why it is not.

        Finding it costs the same however many events there are. 404 says how old the view is: an event that was
        accepted since is in the log, and not stored yet. Deleted ones are known where they had a key or a time.
        """
        project_id, fields = self.access.open(request, request.path_params)
        event_id = fields.uuid("id")
        age_ms = await self.access.age_of_view(fields)
        body = await self.reader.run(project_id, partial(answers.trace, self.reader, project_id, event_id, age_ms))
        return answered(body, age_ms)

    async def event_usage(self, request: Request) -> Response:
        """Which segments and workflows use the name, switched on or not, and how many events and contacts have it."""
        project_id, fields = self.access.open(request, _path_name(request))
        name = fields.event_name("eventName")
        age_ms = await self.access.age_of_view(fields)
        registry = await self.registrar.read()
        work = partial(answers.usage, self.reader, registry, project_id, name)
        return answered(await self.reader.run(project_id, work), age_ms)

    async def delete_events(self, request: Request) -> Response:
        """Removes all events of the name that were accepted before the call, from every read, before it answers.

        Events of the name that come later count anew. 202 says that it will happen, but not within 10 seconds. While a
        segment or a workflow uses the name, 409 says which.
        """
        principal = self.access.writer(request)
        fields = Fields(_path_name(request))
        name = fields.event_name("eventName")
        fields.finish()
        deleted = await self.deleter.delete(principal.project_id, name)
        status, body = deleted_body(deleted.events)
        return written(body, status, deleted.position)

    async def _answer(self, project_id: str, fields: Fields, work: Callable[[], bytes]) -> Response:
        age_ms = await self.access.age_of_view(fields)
        return answered(await self.reader.run(project_id, work), age_ms)


def _path_name(request: Request) -> Mapping[str, str]:
    return {"eventName": path_value(request.scope["raw_path"], request.path_params["eventName"])}


def _routes(reads: _Reads) -> list[Route]:
    counts = list[NameCount] | list[NameSeries]
    return [
        Route("/events", reads.list_events, "List events", EventsPage, documentation.EVENTS),
        Route("/events/names", reads.list_event_names, "List event names", EventNames, documentation.NAMES),
        Route("/events/stats", reads.count_events, "Count events", counts, documentation.STATS),
        Route(  # before the next one: a name may begin with `contact/`, and no contact's id ends like this
            "/events/{eventName:text}/usage",
            reads.event_usage,
            "Who uses a name",
            Usage,
            documentation.USAGE,
        ),
        Route(
            "/events/contact/{contactId:text}",
            reads.list_contact_events,
            "List a contact's events",
            ContactEventsPage,
            documentation.CONTACT,
        ),
        Route(
            "/events/{id}/trace",
            reads.trace_event,
            "Trace an event",
            EventTrace,
            documentation.TRACE,
            responses=documentation.TRACED,
        ),
        Route(
            "/events/{eventName:text}",
            reads.delete_events,
            "Delete all events of a name",
            Deleted,
            documentation.DELETION,
            "DELETE",
            documentation.DELETED,
        ),
    ]


def read_routes(access: Access, reader: Reader, deleter: Deleter, registrar: Registrar) -> APIRouter:
    """The routes under `/events`, see `router_of`."""
    reads = _Reads(access, reader, deleter, registrar)
    return router_of(_routes(reads), "events", is_limited=access.limit is not None)

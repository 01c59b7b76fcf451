"""The routes of a workflow's deliveries: request to parameters, wait where asked to, answer. Thin on purpose."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from functools import partial

from fastapi import APIRouter, Request, Response

from penstock.clickhouse.contract import Row
from penstock.deliveries import DEAD, DELIVERED, FAILED, PENDING, Delivery, delivery_of
from penstock.errors import NotFound, ValidationFailed
from query_api import delivery_documentation as documentation
from query_api.access import Access, aged, answered, written
from query_api.bodies import Bodies
from query_api.body_members import read_members
from query_api.delivery_queries import DeliveriesRequest, DeliveryPlace, attempts_of, deliveries_page, one_delivery
from query_api.delivery_results import deliveries_body, delivery_body, replayed_body
from query_api.fields import Fields
from query_api.list_cursor import list_place
from query_api.moments import parse_stretch
from query_api.paging import DEFAULT_LIST_LIMIT
from query_api.params import Span
from query_api.reader import Reader
from query_api.redelivering import Again
from query_api.registering import Route, router_of
from query_api.registrar import Registrar
from query_api.statements import Statement
from query_api.workflows import known_workflow
from schemas.times import parse_iso, to_ms, to_wire
from schemas.wire_deliveries import DeliveriesPage, DeliveryWithAttempts, Replayed

STATUSES = (PENDING, DELIVERED, FAILED, DEAD)


@dataclass(frozen=True, slots=True)
class _Deliveries:
    """The handlers, one per route."""

    access: Access
    registrar: Registrar
    reader: Reader
    again: Again
    bodies: Bodies

    def _select(self, statement: Statement) -> list[Row]:
        return self.reader.select_from(self.again.live.shared, statement)

    async def list_deliveries(self, request: Request) -> Response:
        """Newest first. Follow `cursor` to its end to visit every delivery exactly once, also while new ones come."""
        project_id, fields = self.access.open(request, request.path_params)
        workflow_id, status = fields.uuid("id"), _status(fields)
        limit, after = fields.limit(DEFAULT_LIST_LIMIT), _after(fields)
        age_ms = await self.access.age_of_view(fields)
        with aged(age_ms):
            known_workflow(await self.registrar.read(), project_id, workflow_id)
        statement = deliveries_page(DeliveriesRequest(project_id, workflow_id, status, limit, after))
        rows = await self.reader.run(project_id, partial(self._select, statement))
        return answered(deliveries_body([delivery_of(row) for row in rows], limit), age_ms)

    async def get_delivery(self, request: Request) -> Response:
        """The delivery and each of its attempts, with the beginning of what the endpoint answered."""
        project_id, fields = self.access.open(request, request.path_params)
        workflow_id, delivery_id = fields.uuid("id"), fields.uuid("deliveryId")
        age_ms = await self.access.age_of_view(fields)
        with aged(age_ms):
            known_workflow(await self.registrar.read(), project_id, workflow_id)
            read = partial(self._with_attempts, project_id, workflow_id, delivery_id)
            return answered(await self.reader.run(project_id, read), age_ms)

    def _with_attempts(self, project_id: str, workflow_id: str, delivery_id: str) -> bytes:
        delivery = self._delivery(project_id, workflow_id, delivery_id)
        return delivery_body(delivery, self._select(attempts_of(delivery_id)))

    def _delivery(self, project_id: str, workflow_id: str, delivery_id: str) -> Delivery:
        for row in self._select(one_delivery(project_id, workflow_id, delivery_id)):
            return delivery_of(row)
        raise NotFound(f"The workflow has no delivery {delivery_id}")

    async def retry_delivery(self, request: Request) -> Response:
        """Makes the delivery due now, whatever came of it before; it is tried for 24 hours from now on."""
        principal = self.access.writer(request)
        fields = Fields(request.path_params)
        workflow_id, delivery_id = fields.uuid("id"), fields.uuid("deliveryId")
        fields.finish()
        known_workflow(await self.registrar.read(), principal.project_id, workflow_id)
        retry = partial(self._retry, principal.project_id, workflow_id, delivery_id)
        return written(await self.reader.run(principal.project_id, retry))

    def _retry(self, project_id: str, workflow_id: str, delivery_id: str) -> bytes:
        delivery = self.again.one(self._delivery(project_id, workflow_id, delivery_id))
        return delivery_body(delivery, self._select(attempts_of(delivery_id)))

    async def replay_events(self, request: Request) -> Response:
        """Sends all events between two moments once more that the trigger matches, also those from before the workflow.

        Each is a delivery of its own, with the event's id as `webhook-id` as before.
        """
        principal = self.access.writer(request)
        fields = Fields(request.path_params)
        workflow_id = fields.uuid("id")
        span = _span(await self.bodies.read(request), fields)
        registry = await self.registrar.read()
        workflow = known_workflow(registry, principal.project_id, workflow_id)
        work: Callable[[], int] = partial(self.again.all_of, registry, workflow, span)
        made = await self.reader.run(principal.project_id, work)
        return written(replayed_body(made), 202)


def _after(fields: Fields) -> DeliveryPlace | None:
    """The place behind which the page begins."""
    place = list_place(fields, "deliveries")
    try:
        created_ms = to_ms(parse_iso(place.created_at)) if place else 0
    except ValueError:
        created_ms = -1
    if place is None:
        return None
    if created_ms >= 0 and to_wire(created_ms) == place.created_at:
        return DeliveryPlace(created_ms, place.id)
    fields.wrong("cursor", "Not a cursor that a list of deliveries has answered", "invalid_string")
    return None


def _status(fields: Fields) -> str:
    """The parameter `status`; "" for none."""
    text = fields.text("status") or ""
    if text and text not in STATUSES:
        fields.wrong("status", f"Must be one of {', '.join(STATUSES)}", "invalid_enum_value")
        return ""
    return text


def _span(body: bytes, fields: Fields) -> Span:
    """The two dates of a replay, both of which are required."""
    members = read_members(body, fields.problems)
    members.require("startDate", "endDate")
    found = {}
    for name in ("startDate", "endDate"):
        text = members.text(name)
        try:
            found[name] = parse_stretch(text, UTC) if text is not None else None
        except ValueError:
            members.wrong(name, "Not an ISO 8601 date or time (2026-11-23, 2026-11-23T07:00:00Z)", "invalid_string")
    start, end = found.get("startDate"), found.get("endDate")
    if start and end and start.first_us > end.last_us:
        members.wrong("startDate", "Must not be after endDate", "custom")
    if members.problems or not start or not end:
        raise ValidationFailed(members.problems)
    return Span(start.start_ms, end.end_ms)


def _routes(deliveries: _Deliveries) -> list[Route]:
    many, one = "/workflows/{id}/deliveries", "/workflows/{id}/deliveries/{deliveryId}"
    return [
        Route(
            many,
            deliveries.list_deliveries,
            "List a workflow's deliveries",
            DeliveriesPage,
            documentation.DELIVERIES,
            responses=documentation.FOUND,
        ),
        Route(
            one,
            deliveries.get_delivery,
            "Get a delivery",
            DeliveryWithAttempts,
            documentation.ONE_DELIVERY,
            responses=documentation.FOUND,
        ),
        Route(
            f"{one}/retry",
            deliveries.retry_delivery,
            "Try a delivery again",
            DeliveryWithAttempts,
            documentation.DELIVERY_ALONE,
            "POST",
            documentation.RETRIED,
        ),
        Route(
            "/workflows/{id}/replay",
            deliveries.replay_events,
            "Send events again",
            Replayed,
            documentation.REPLAY,
            "POST",
            documentation.REPLAYED,
            202,
            documentation.REPLAY_BODY,
        ),
    ]


def delivery_routes(access: Access, registrar: Registrar, reader: Reader, again: Again, bodies: Bodies) -> APIRouter:
    """The routes under `/workflows/{id}`, see `router_of`."""
    deliveries = _Deliveries(access, registrar, reader, again, bodies)
    return router_of(_routes(deliveries), "deliveries", is_limited=access.limit is not None)

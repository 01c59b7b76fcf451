"""The query API as an application of its own. The embedded form takes `read_routes` into its own instead."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress

from fastapi import APIRouter, FastAPI

from penstock.clickhouse.generations import LiveTables
from penstock.clickhouse.progress import read_progress
from penstock.clock import SystemClock
from penstock.destinations import Destinations
from penstock.health import operation_routes
from penstock.http import Shell, install
from penstock.openapi import Document, describe
from penstock.rate_limit import read_limit
from penstock.readiness import Check
from penstock.settings import Settings
from penstock.telemetry import Metrics
from query_api.access import Access, Authenticate
from query_api.bodies import Bodies
from query_api.changing import Changer, Contacts
from query_api.computing import Computer
from query_api.contact_routes import contact_routes
from query_api.deleting import Deleter, Markers
from query_api.delivery_routes import delivery_routes
from query_api.documentation import DESCRIPTION, TITLE
from query_api.freshness import Freshness
from query_api.memberships import Memberships
from query_api.reader import Reader
from query_api.redelivering import Again
from query_api.registrar import Registrar
from query_api.routes import read_routes
from query_api.segment_routes import SegmentHandlers, segment_routes
from query_api.segments import Segments
from query_api.workflow_routes import workflow_routes
from query_api.workflows import Workflows

Beside = Callable[[], AbstractAsyncContextManager[object]]
"""What is open while the application runs."""


def make_freshness(settings: Settings, live: LiveTables, ends: Callable[[], Mapping[int, int]] = dict) -> Freshness:
    """The freshness of the live tables; a writer may miss two heartbeats before it is no longer believed.

    Args:
        ends: see `Freshness`.
    """
    stale_after_ms = round((1 + 2 * settings.writer.heartbeat_seconds) * 1000)
    return Freshness(lambda: read_progress(live.refresh()), SystemClock(), stale_after_ms=stale_after_ms, ends=ends)


def create_app(
    settings: Settings,
    *,
    live: LiveTables,
    markers: Markers,
    contacts: Contacts,
    registrar: Registrar,
    authenticate: Authenticate,
    metrics: Metrics,
    checks: Mapping[str, Check],
    beside: Beside = nullcontext,
    document_beside: Document | None = None,
) -> Shell:
    """Builds the application; nothing runs before its lifespan does.

    Args:
        live: the tables stay the caller's, who closes them after the lifespan.
        markers: takes deletions and changes.
        contacts: knows whom an id stands for.
        registrar: has the segments and workflows.
        checks: what `/readyz` asks.
        document_beside: the OpenAPI document of other processes at the same address.
        beside: entered before the first request and left after the last, for what keeps `authenticate` up to date.
    """
    reader = Reader(live, settings, metrics)
    freshness = make_freshness(settings, live)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with beside(), running(reader, freshness):
            yield

    app = FastAPI(lifespan=lifespan, **describe(TITLE) | {"description": DESCRIPTION})
    app.include_router(operation_routes(metrics, checks))
    app.include_router(
        query_routes(
            settings,
            authenticate=authenticate,
            reader=reader,
            freshness=freshness,
            markers=markers,
            contacts=contacts,
            registrar=registrar,
            live=live,
            metrics=metrics,
        )
    )
    access, origins = settings.log.access, settings.query.cors_origins
    return install(app, metrics, origins=origins, access=access, beside=document_beside)


def query_routes(
    settings: Settings,
    *,
    authenticate: Authenticate,
    reader: Reader,
    freshness: Freshness,
    markers: Markers,
    contacts: Contacts,
    registrar: Registrar,
    live: LiveTables,
    metrics: Metrics,
) -> APIRouter:
    """All routes but those of operation; see `create_app`."""
    clock = SystemClock()
    limit = read_limit(settings.limits, metrics)
    access = Access(authenticate, freshness, settings.query.after_position_seconds, limit)
    deleter = Deleter(markers, registrar, reader=reader, freshness=freshness, clock=clock)
    changer = Changer(markers, contacts, reader=reader, freshness=freshness, clock=clock)
    bodies = Bodies(settings.ingest.max_event_bytes)
    segments = Segments(registrar, clock)
    computer = Computer(segments, registrar, markers, reader=reader, shared=live.shared)
    memberships = Memberships(reader, clock)
    router = APIRouter()
    router.include_router(read_routes(access, reader, deleter, registrar))
    router.include_router(contact_routes(access, reader, changer, bodies))
    router.include_router(segment_routes(SegmentHandlers(access, registrar, segments, computer, memberships, bodies)))
    workflows = Workflows(registrar, clock)
    destinations = Destinations(settings.webhooks.allowed_addresses, settings.webhooks.allowed_ports)
    again = Again(live, clock)
    router.include_router(delivery_routes(access, registrar, reader, again, bodies))
    router.include_router(workflow_routes(access, registrar, workflows, bodies, destinations.check_url))
    return router


@asynccontextmanager
async def running(reader: Reader, freshness: Freshness) -> AsyncIterator[None]:
    """Keeps `freshness` up to date while it is open; afterwards both have stopped."""
    task = asyncio.create_task(freshness.run(), name="freshness")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(reader.close)

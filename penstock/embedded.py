"""The embedded form, composed: ingest, writer and query in one process, on SQLite and chDB."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import typer
from fastapi import FastAPI

from consumers.loop import WriterLoop, step_back
from consumers.pipeline import Pipeline
from consumers.segments.following import Workplace as SegmentPlace
from consumers.segments.service import SegmentService
from consumers.webhooks.place import Workplace as WebhookPlace
from consumers.webhooks.service import WebhookService
from ingest.intake import Intake
from ingest.routes import direct_routes, write_routes
from ingest.sns.source import SnsSource, sns_source
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.generations import Generations, LiveTables
from penstock.clickhouse.migrate import check_version, migrate
from penstock.clock import SystemClock
from penstock.contacts import ContactDirectory
from penstock.control import Control, control_of
from penstock.errors import StartError
from penstock.eventlog.sqlite import SqliteLog
from penstock.health import operation_routes
from penstock.http import Shell, install
from penstock.openapi import describe
from penstock.opening import make_tables
from penstock.operating import Workplace, answering
from penstock.operations import OPERATIONS
from penstock.projects import NewProject, create_project
from penstock.rate_limit import write_limit
from penstock.segments import FollowedSegments
from penstock.settings import Settings
from penstock.telemetry import Metrics
from query_api.app import make_freshness, query_routes, running
from query_api.reader import Reader
from query_api.registrar import Registrar
from schemas.control import control_key, encode_subject

_KEYS_SECONDS = 10
_DEFAULT_PROJECT = "default"


class Embedded:
    """Everything that `penstock up` runs.

    Args:
        on_failure: called where the writer cannot go on.
    """

    def __init__(self, settings: Settings, on_failure: Callable[[Exception], None]) -> None:
        self._settings = settings
        self._on_failure = on_failure
        self._clock = SystemClock()
        self._metrics = Metrics()
        self._made: NewProject | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Shell]:
        """Opens the parts, gives the application, closes the parts in reverse."""
        settings = self._settings
        log = SqliteLog(settings.data_dir, max_pending_bytes=settings.ingest.max_pending_bytes)
        await log.start()
        try:
            tables = make_tables(settings)
            try:
                with ThreadPoolExecutor(1) as stepping_back:  # not a thread of the loop's pool: it would stay slow
                    await asyncio.get_running_loop().run_in_executor(stepping_back, _open_tables, tables)
                async with self._running(log, tables) as app:
                    yield app
            finally:
                tables.close()
        finally:
            await log.stop()

    @asynccontextmanager
    async def _running(self, log: SqliteLog, tables: ClientTables) -> AsyncIterator[Shell]:
        control = control_of(log)
        control.follower.start()
        generations = Generations(tables)
        pipeline = self._pipeline(log, generations)
        writer = WriterLoop(
            self._settings.writer, log=log, pipeline=pipeline, clock=self._clock, on_failure=self._on_failure
        )
        behind = self._behind(log, generations, control, pipeline)
        writer.start()
        for service in behind:
            service.start()
        try:
            await asyncio.to_thread(self._first_project, log, control)
            workplace = Workplace(self._settings, log, generations)
            async with (
                answering(workplace, OPERATIONS),
                sns_source(self._settings.sns) as sns,
                self._app(log, generations, control, sns) as app,
            ):
                yield app
        finally:
            await asyncio.gather(*[asyncio.to_thread(one.stop) for one in (*behind, writer)])
            await asyncio.to_thread(control.follower.stop)

    def _pipeline(self, log: SqliteLog, generations: Generations) -> Pipeline:
        return Pipeline(
            self._settings.writer,
            log=log,
            for_writing=generations.for_writing,
            clock=self._clock,
            metrics=self._metrics,
            owner=f"{socket.gethostname()}/{os.getpid()}",
        )

    def _behind(
        self, log: SqliteLog, generations: Generations, control: Control, pipeline: Pipeline
    ) -> tuple[SegmentService, WebhookService]:
        """What follows the writer."""
        place = WebhookPlace(
            log, generations, control.registry, control.follower, pipeline.stored, self._metrics, self._clock
        )
        segments = SegmentPlace(log, generations, control.registry, self._clock)
        return SegmentService(segments, pipeline.stored), WebhookService(place, self._settings.webhooks)

    def _first_project(self, log: SqliteLog, control: Control) -> None:
        if not control.follower.wait(_KEYS_SECONDS):
            raise StartError("The projects and keys cannot be read from the log.")
        if not control.ring.projects():
            self._made = create_project(log, _DEFAULT_PROJECT, self._clock.now_ms())
            for subject in (self._made.public.record, self._made.secret.record, self._made.project):
                control.ring.apply(control_key(subject), encode_subject(subject))

    @asynccontextmanager
    async def _app(
        self, log: SqliteLog, generations: Generations, control: Control, sns: SnsSource
    ) -> AsyncIterator[Shell]:
        settings, metrics, ring = self._settings, self._metrics, control.ring
        metrics.log_pending_bytes.set_function(lambda: log.pending_bytes)
        limit = write_limit(settings.limits, metrics)
        intake = Intake(settings.ingest, log=log, authenticate=ring, clock=self._clock, metrics=metrics, limit=limit)
        live = LiveTables(generations)
        reader, freshness = Reader(live, settings, metrics), make_freshness(settings, live, log.ends)
        contacts = ContactDirectory(live, log.ends, freshness.wait_for)
        segments = FollowedSegments(control)
        checks = {"log": log.check, "keys": control.follower.check, "tables": lambda: check_version(generations)}
        app = FastAPI(**describe("penstock"))
        direct = direct_routes(intake, sns, contacts, segments)
        app.include_router(write_routes(direct))
        app.include_router(
            query_routes(
                settings,
                authenticate=ring,
                reader=reader,
                freshness=freshness,
                markers=log,
                contacts=contacts,
                registrar=Registrar(log, control.follower, control.registry),
                live=live,
                metrics=metrics,
            )
        )
        app.include_router(operation_routes(metrics, checks))
        try:
            async with running(reader, freshness):
                yield install(
                    app,
                    metrics,
                    direct=direct,
                    origins=settings.query.cors_origins,
                    access=settings.log.access,
                )
        finally:
            await asyncio.to_thread(contacts.close)

    def greet(self, address: str, as_json: bool) -> None:
        """Says where it listens; on the first start also the keys, with a line that works."""
        made = self._made
        if as_json:
            keys = {"publicKey": made.public.text, "secretKey": made.secret.text} if made else {}
            project = {"projectId": made.project.id} if made else {}
            typer.echo(json.dumps({"address": address, **project, **keys}))
        elif made:
            typer.echo(_first_greeting(address, made))
        else:
            typer.echo(f"penstock is ready at {address}   (keys: 'penstock key create'; docs: {address}/docs)")


def _open_tables(tables: ClientTables) -> None:
    """Migrates, in a thread that steps back: the engine's own threads inherit that.

    When both cores are busy, acknowledging goes before merging and projecting, which catch up afterwards.
    """
    step_back()
    migrate(Generations(tables))


def _first_greeting(address: str, made: NewProject) -> str:
    return f"""
penstock is ready at {address}   (docs: {address}/docs)

  Project     {made.project.name}   {made.project.id}
  Public key  {made.public.text}   (tracks events)
  Secret key  {made.secret.text}   (tracks and reads; keep it)

The keys are shown this once. Track an event:

  curl {address}/v1/track -H 'Authorization: Bearer {made.public.text}' \\
    -H 'Content-Type: application/json' -d '{{"event":"signup","email":"ada@example.com","data":{{"plan":"pro"}}}}'

and read it back:

  curl {address}/events -H 'Authorization: Bearer {made.secret.text}'
"""

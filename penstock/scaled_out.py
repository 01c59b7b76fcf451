"""The three processes of the scaled-out form, composed: each opens its parts, serves, and closes them in reverse."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from ingest.app import create_app as create_ingest
from ingest.routes import write_document
from ingest.sns.source import sns_source
from penstock.clickhouse.generations import Generations, LiveTables
from penstock.clickhouse.migrate import check_version
from penstock.clickhouse.progress import read_progress
from penstock.clock import SystemClock
from penstock.contacts import ContactDirectory, Polling, TailEnds
from penstock.control import Control, control_of
from penstock.eventlog.kafka import KafkaLog
from penstock.health import operation_routes
from penstock.http import Shell, install
from penstock.openapi import describe
from penstock.opening import make_tables
from penstock.readiness import PROCESS, Check
from penstock.segments import FollowedSegments
from penstock.settings import Settings
from penstock.telemetry import Metrics


@asynccontextmanager
async def _followed(log: KafkaLog) -> AsyncIterator[Control]:
    control = control_of(log)
    control.follower.start()
    try:
        yield control
    finally:
        await asyncio.to_thread(control.follower.stop)


@asynccontextmanager
async def _directory(settings: Settings, log: KafkaLog) -> AsyncIterator[ContactDirectory]:
    """The contacts; nothing is connected before somebody asks for one."""
    tables = make_tables(settings, only_reads=True)
    live, ends = LiveTables(Generations(tables)), TailEnds(log)
    contacts = ContactDirectory(live, ends, Polling(lambda: read_progress(live.refresh())))
    try:
        yield contacts
    finally:
        await asyncio.to_thread(contacts.close)
        await asyncio.to_thread(ends.close)
        tables.close()


@asynccontextmanager
async def open_ingest(settings: Settings, serving: Check) -> AsyncIterator[Shell]:
    """Ingest: the log and the keys; the tables only where a contact is named by its id.

    Args:
        serving: what else `/readyz` asks.
    """
    log = KafkaLog(settings.kafka, max_pending_bytes=settings.ingest.max_pending_bytes)
    metrics = Metrics()
    await log.start()
    try:
        async with (
            _followed(log) as control,
            sns_source(settings.sns) as sns,
            _directory(settings, log) as contacts,
        ):
            metrics.log_pending_bytes.set_function(lambda: log.pending_bytes)
            yield create_ingest(
                settings,
                log=log,
                authenticate=control.ring,
                clock=SystemClock(),
                metrics=metrics,
                checks={PROCESS: serving, "log": log.check, "keys": control.follower.check},
                sns=sns,
                contacts=contacts,
                segments=FollowedSegments(control),
            )
    finally:
        await log.stop()


@asynccontextmanager
async def open_query(settings: Settings, serving: Check) -> AsyncIterator[Shell]:
    """Query: the tables and the keys.

    Args:
        serving: what else `/readyz` asks.
    """
    from query_api.app import create_app as create_query  # noqa: PLC0415
    from query_api.registrar import Registrar  # noqa: PLC0415

    log = KafkaLog(settings.kafka)
    tables = make_tables(settings, only_reads=True)
    generations = Generations(tables)
    await log.start()  # for deletions and changes
    try:
        async with _followed(log) as control, _directory(settings, log) as contacts:
            app = create_query(
                settings,
                live=LiveTables(generations),
                markers=log,
                contacts=contacts,
                registrar=Registrar(log, control.follower, control.registry),
                authenticate=control.ring,
                metrics=Metrics(),
                checks={
                    PROCESS: serving,
                    "keys": control.follower.check,
                    "tables": lambda: check_version(generations),
                },
                document_beside=write_document if settings.serving.at_one_address else None,
            )
            yield app
    finally:
        tables.close()
        await log.stop()


@asynccontextmanager
async def open_consume(settings: Settings, on_failure: Callable[[Exception], None]) -> AsyncIterator[Shell]:
    """Consume: Kafka's group, the tables, and a few routes that tell how it goes."""
    from consumers.pipeline import Pipeline  # noqa: PLC0415
    from consumers.segments.following import Workplace as SegmentPlace  # noqa: PLC0415
    from consumers.segments.service import SegmentService  # noqa: PLC0415
    from consumers.webhooks.place import Workplace as WebhookPlace  # noqa: PLC0415
    from consumers.webhooks.service import WebhookService  # noqa: PLC0415
    from consumers.writer_app import WriterApp  # noqa: PLC0415 - faust takes half a second to import

    log, tables, metrics, clock = KafkaLog(settings.kafka), make_tables(settings), Metrics(), SystemClock()
    log.open()
    owner = f"{socket.gethostname()}/{os.getpid()}"
    generations = Generations(tables)
    pipeline = Pipeline(
        settings.writer, log=log, for_writing=generations.for_writing, clock=clock, metrics=metrics, owner=owner
    )
    writer = WriterApp(settings.kafka, settings.writer, pipeline=pipeline, clock=clock, on_failure=on_failure)
    app = FastAPI(**describe("penstock consume"))
    app.include_router(
        operation_routes(metrics, {"consumer": writer.check, "tables": lambda: check_version(generations)})
    )
    shell = install(app, metrics, access=settings.log.access)
    joining = asyncio.create_task(writer.run())
    try:
        async with _followed(log) as control:
            segments = SegmentService(SegmentPlace(log, generations, control.registry, clock), pipeline.stored)
            place = WebhookPlace(log, generations, control.registry, control.follower, pipeline.stored, metrics, clock)
            webhooks = WebhookService(place, settings.webhooks)
            segments.start()
            webhooks.start()
            try:
                yield shell
            finally:
                await asyncio.gather(asyncio.to_thread(segments.stop), asyncio.to_thread(webhooks.stop), writer.stop())
    finally:
        await writer.stop()
        await joining
        tables.close()
        log.close()

"""The ingest process: the write routes and nothing else. It needs the log, and neither ClickHouse nor a query.

Only whom a contact's id stands for is somebody else's to say.
"""

from collections.abc import Mapping

from fastapi import FastAPI

from ingest.contacts import ContactDirectory
from ingest.intake import Authenticator, Intake
from ingest.routes import direct_routes, write_routes
from ingest.segments import SegmentDirectory
from ingest.sns.source import SnsSource
from penstock.clock import Clock
from penstock.eventlog import EventLog
from penstock.health import operation_routes
from penstock.http import Shell, install
from penstock.openapi import describe
from penstock.rate_limit import write_limit
from penstock.readiness import Check
from penstock.settings import Settings
from penstock.telemetry import Metrics


def create_app(
    settings: Settings,
    *,
    log: EventLog,
    authenticate: Authenticator,
    clock: Clock,
    metrics: Metrics,
    checks: Mapping[str, Check],
    sns: SnsSource,
    contacts: ContactDirectory,
    segments: SegmentDirectory,
) -> Shell:
    """The application. The parts that are passed in are open and stay so while it serves."""
    app = FastAPI(**describe("penstock ingest"))
    limit = write_limit(settings.limits, metrics)
    intake = Intake(settings.ingest, log=log, authenticate=authenticate, clock=clock, metrics=metrics, limit=limit)
    direct = direct_routes(intake, sns, contacts, segments)
    app.include_router(write_routes(direct))
    app.include_router(operation_routes(metrics, checks))
    origins = settings.query.cors_origins
    return install(app, metrics, direct=direct, origins=origins, access=settings.log.access)

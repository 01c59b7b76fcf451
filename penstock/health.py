"""The routes of operation: is the process alive, can it do its work, what does it count."""

from collections.abc import Callable, Mapping
from threading import Event

from fastapi import APIRouter, Request, Response

from penstock.errors import PenstockError, Unavailable
from penstock.http import RawResponse, as_starlette, error_response
from penstock.routing import ExactRoute
from penstock.telemetry import CONTENT_TYPE, Metrics

Check = Callable[[], None]
"""Returns where its part can do its work, raises Unavailable where not."""

PROCESS = "process"
"""The check that balancers act on: `/readyz` names it while this process starts or ends, so that another is asked."""


def operation_routes(metrics: Metrics, checks: Mapping[str, Check]) -> APIRouter:
    """`/healthz`, `/readyz`, `/metrics`, and `/`, which leads a browser to the documentation.

    Args:
        checks: by the name that `/readyz` shows; they may block and run in a thread.
    """
    router = APIRouter(tags=["operation"], route_class=ExactRoute)
    was_ready = Event()

    @router.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="The process can do its work; 503 names what is missing")
    def readyz(request: Request) -> Response:
        missing = _missing(checks)
        if not missing:
            was_ready.set()
            return as_starlette(RawResponse(200, b'{"status":"ready"}'))
        if PROCESS in checks and not was_ready.is_set():
            missing.setdefault(PROCESS, "it was not ready yet")
        text = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        return as_starlette(error_response(Unavailable(f"Not ready: {text}"), request.state.request_id))

    @router.get("/metrics", summary="Metrics for Prometheus")
    async def metrics_text() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    @router.get("/", include_in_schema=False)
    async def root() -> Response:
        return Response(status_code=307, headers={"location": "/docs"})

    return router


def _missing(checks: Mapping[str, Check]) -> dict[str, str]:
    """Reason by name. While the process ends, that alone: balancers wait for it, and other checks may take long."""
    if PROCESS in checks and (reason := _reason(checks[PROCESS])):
        return {PROCESS: reason}
    return {name: reason for name, check in checks.items() if (reason := _reason(check))}


def _reason(check: Check) -> str:
    try:
        check()
    except PenstockError as error:
        return str(error)
    return ""

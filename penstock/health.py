"""The routes of operation: is the process alive, can it do its work, what does it count."""

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from penstock.errors import Unavailable
from penstock.http import RawResponse, as_starlette, error_response
from penstock.readiness import Check, Readiness
from penstock.routing import ExactRoute
from penstock.telemetry import CONTENT_TYPE, Metrics


def operation_routes(metrics: Metrics, checks: Mapping[str, Check]) -> APIRouter:
    """`/healthz`, `/readyz`, `/metrics`, and `/`, which leads a browser to the documentation.

    Args:
        checks: by the name that `/readyz` shows; see `penstock.readiness`.
    """
    router = APIRouter(tags=["operation"], route_class=ExactRoute)
    readiness = Readiness(checks)

    @router.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="The process can do its work; 503 names what is missing")
    def readyz(request: Request) -> Response:
        missing = readiness.missing()
        if not missing:
            return as_starlette(RawResponse(200, b'{"status":"ready"}'))
        text = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        return as_starlette(error_response(Unavailable(f"Not ready: {text}"), request.state.request_id))

    @router.get("/metrics", summary="Metrics for Prometheus")
    async def metrics_text() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    @router.get("/", include_in_schema=False)
    async def root() -> Response:
        return Response(status_code=307, headers={"location": "/docs"})

    return router

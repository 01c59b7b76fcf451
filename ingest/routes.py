"""The write routes as the OpenAPI document shows them, and for whoever calls them past the shell."""

from typing import Any

from fastapi import APIRouter, Request, Response

from ingest.track import TrackRoutes
from penstock.http import DirectRoute, as_starlette
from penstock.rate_limit import DESCRIBED_HEADERS, limited_route
from penstock.routing import ExactRoute
from schemas.wire import BatchItem, BatchRequest, BatchResponse, ErrorResponse, TrackRequest, TrackResponse

TRACK = "/v1/track"
BATCH = "/v1/track/batch"

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorResponse, "description": "BAD_REQUEST: malformed JSON or Idempotency-Key"},
    401: {"model": ErrorResponse, "description": "MISSING_AUTH, INVALID_API_KEY"},
    403: {"model": ErrorResponse, "description": "PROJECT_DISABLED"},
    413: {"model": ErrorResponse, "description": "PAYLOAD_TOO_LARGE, counted after decompression"},
    415: {"model": ErrorResponse, "description": "UNSUPPORTED_MEDIA_TYPE: not JSON in UTF-8, or not gzip or zstd"},
    422: {"model": ErrorResponse, "description": "VALIDATION_ERROR: every field that is wrong"},
    429: {
        "model": ErrorResponse,
        "description": "RATE_LIMIT_EXCEEDED: over the project's limit of events; nothing was stored. Only where a "
        "limit is set.",
        "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}} | DESCRIBED_HEADERS,
    },
    500: {"model": ErrorResponse, "description": "INTERNAL_SERVER_ERROR"},
    503: {
        "model": ErrorResponse,
        "description": "SERVICE_UNAVAILABLE: not acknowledged; try again after Retry-After. Only with an "
        "Idempotency-Key is the retry certain to be counted once.",
        "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
    },
}

_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "X-Position": {
                "schema": {"type": "string"},
                "description": "Opaque. A read that sends it as `X-After-Position` sees this write.",
            },
            "X-Request-ID": {"schema": {"type": "string"}, "description": "The request's own, else a new one."},
            **DESCRIBED_HEADERS,
        }
    }
}

_TRACK = """
Answers 200 only after the event is durable in the log. Takes a public or a secret key.

The body is JSON in UTF-8, 64 KiB at most when decompressed. Refused with 400 `BAD_REQUEST`: what is not JSON, as NaN,
Infinity, a byte order mark, unescaped control characters, and text that is not Unicode: invalid UTF-8, lone surrogates
(`\\ud800`). Kept exactly: the escape `\\u0000`, in the name too; numbers of any size; repeated keys in `data`. All
other faults are answered together as 422 `VALIDATION_ERROR`; that a body is JSON but no object is one of the field
`body`.
"""

_BATCH = """
A JSON array, an object with the array `events`, or one event a line as `application/x-ndjson` (blank lines do not
count). 5 MiB and 1,000 events at most. Takes a public or a secret key.

Each item has its own outcome, in order: valid ones are accepted even where others are not. An item over 64 KiB and a
line that is not JSON are that item's errors, as is half of a surrogate pair in it; otherwise a body that is not JSON is
the request's error. The answer comes after the log has all accepted events. An empty batch is accepted and does
nothing.
"""

_HEADERS: list[dict[str, Any]] = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "1 to 255 printable ASCII characters. A retry with the same key and address has the same ids "
        "and is counted once, for ever; the first one wins. In a batch, item i (from 0) has the key `<key>:<i>` where "
        "it has none of its own.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    },
    {
        "name": "Content-Encoding",
        "in": "header",
        "required": False,
        "description": "The limits count after decompression. Several members or frames in a row are one body.",
        "schema": {"type": "string", "enum": ["gzip", "zstd", "identity"]},
    },
]


def _described(models: dict[str, Any]) -> dict[str, Any]:
    """The parts of an operation that FastAPI cannot see, as the handler reads the body itself."""
    content = {kind: {"schema": schema} for kind, schema in models.items()}
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": _HEADERS,
        "security": [{"key": []}],
    }


def _schema(model: Any) -> dict[str, Any]:
    return dict(model.model_json_schema(ref_template="#/components/schemas/{model}", mode="validation"))


def direct_routes(track: TrackRoutes) -> dict[str, DirectRoute]:
    """The routes for the shell, by path."""
    routes: dict[str, DirectRoute] = {TRACK: track.track, BATCH: track.batch}
    return {path: limited_route(route) for path, route in routes.items()} if track.is_limited else routes


def write_routes(track: TrackRoutes) -> APIRouter:
    """The same routes behind FastAPI."""
    router = APIRouter(tags=["write"], route_class=ExactRoute)
    routes = direct_routes(track)
    items = _inlined(_schema(BatchRequest))

    @router.post(
        TRACK,
        summary="Track an event",
        description=_TRACK,
        response_model=TrackResponse,
        responses=_ANSWER | _ERRORS,
        openapi_extra=_described({"application/json": _schema(TrackRequest)}),
    )
    async def track_event(request: Request) -> Response:
        return as_starlette(await routes[TRACK](request.scope, request.receive))

    @router.post(
        BATCH,
        summary="Track up to 1,000 events",
        description=_BATCH,
        response_model=BatchResponse,
        responses=_ANSWER | _ERRORS,
        openapi_extra=_described(
            {
                "application/json": {"anyOf": [{"type": "array", "items": _schema(BatchItem)}, items]},
                "application/x-ndjson": {"type": "string", "description": "One event a line."},
            }
        ),
    )
    async def track_batch(request: Request) -> Response:
        return as_starlette(await routes[BATCH](request.scope, request.receive))

    return router


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """`BatchRequest` with its item's schema in place: components are FastAPI's, which does not see these models."""
    schema.pop("$defs", None)
    schema["properties"]["events"]["items"] = _schema(BatchItem)
    return schema

"""The write routes as the OpenAPI document shows them, and for whoever calls them past the shell."""

from typing import Any

from fastapi import APIRouter, Request, Response

from ingest.track import TrackRoutes
from penstock.http import DirectRoute, as_starlette
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
    503: {"model": ErrorResponse, "description": "SERVICE_UNAVAILABLE: not taken; try again after Retry-After"},
}

_HEADERS: list[dict[str, Any]] = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "1 to 255 printable ASCII characters. A retry with the same key and address has the same ids "
        "and is counted once, for ever. In a batch, item i has the key `<key>:<i>` where it has none of its own.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
    {
        "name": "Content-Encoding",
        "in": "header",
        "required": False,
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
    return {TRACK: track.track, BATCH: track.batch}


def write_routes(track: TrackRoutes) -> APIRouter:
    """The same routes behind FastAPI."""
    router = APIRouter(tags=["write"])
    items = _inlined(_schema(BatchRequest))

    @router.post(
        TRACK,
        summary="Track an event",
        description="Answers 200 only after the event is durable in the log. Takes a public or a secret key.",
        response_model=TrackResponse,
        responses=_ERRORS,
        openapi_extra=_described({"application/json": _schema(TrackRequest)}),
    )
    async def track_event(request: Request) -> Response:
        return as_starlette(await track.track(request.scope, request.receive))

    @router.post(
        BATCH,
        summary="Track up to 1,000 events",
        description="Each item has its own outcome, in order: valid ones are accepted even where others are not.",
        response_model=BatchResponse,
        responses=_ERRORS,
        openapi_extra=_described(
            {
                "application/json": {"anyOf": [{"type": "array", "items": _schema(BatchItem)}, items]},
                "application/x-ndjson": {"type": "string", "description": "One event a line."},
            }
        ),
    )
    async def track_batch(request: Request) -> Response:
        return as_starlette(await track.batch(request.scope, request.receive))

    return router


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """`BatchRequest` with its item's schema in place: components are FastAPI's, which does not see these models."""
    schema.pop("$defs", None)
    schema["properties"]["events"]["items"] = _schema(BatchItem)
    return schema

"""What the OpenAPI document says of the write routes and FastAPI cannot see, as they read the bodies themselves."""

from typing import Any

from penstock.rate_limit import DESCRIBED_HEADERS
from schemas.wire import BatchItem, BatchRequest, ErrorResponse

ERRORS: dict[int | str, dict[str, Any]] = {
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

SNS_ERRORS: dict[int | str, dict[str, Any]] = {
    status: answer for status, answer in ERRORS.items() if status not in (401, 415)
} | {
    403: {"model": ErrorResponse, "description": "INVALID_SIGNATURE, TOPIC_NOT_REGISTERED, PROJECT_DISABLED"},
}

COMPUTED_HERE: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorResponse, "description": "CONFLICT: who is in the segment is computed here, by its condition"}
}

UNKNOWN_CONTACT: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "RESOURCE_NOT_FOUND: no contact of the project has this id"},
    503: ERRORS[503]
    | {
        "description": "SERVICE_UNAVAILABLE: not acknowledged, or not known whom a `contactId` stands for; try again "
        "after Retry-After, or send `email`."
    },
}

ANSWER: dict[int | str, dict[str, Any]] = {
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

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 printable ASCII characters. A retry with the same key and address has the same ids "
    "and is counted once, for ever; the first one wins. In a batch, item i (from 0) has the key `<key>:<i>` where "
    "it has none of its own.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}

CONTENT_ENCODING: dict[str, Any] = {
    "name": "Content-Encoding",
    "in": "header",
    "required": False,
    "description": "The limits count after decompression. Several members or frames in a row are one body.",
    "schema": {"type": "string", "enum": ["gzip", "zstd", "identity"]},
}


def described(models: dict[str, Any], headers: list[dict[str, Any]]) -> dict[str, Any]:
    """The parts of an operation that FastAPI cannot see.

    Args:
        models: a JSON schema for each media type.
    """
    content = {kind: {"schema": schema} for kind, schema in models.items()}
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": headers,
        "security": [{"key": []}],
    }


def schema_of(model: Any) -> dict[str, Any]:
    """A body's JSON schema."""
    return dict(model.model_json_schema(ref_template="#/components/schemas/{model}", mode="validation"))


def batch_schema() -> dict[str, Any]:
    """`BatchRequest` with its item's schema in place: components are FastAPI's, which does not see these models."""
    schema = schema_of(BatchRequest)
    schema.pop("$defs", None)
    schema["properties"]["events"]["items"] = schema_of(BatchItem)
    return schema

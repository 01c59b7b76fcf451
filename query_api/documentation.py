"""What the OpenAPI document says of the parameters and errors of reads: the routes parse the raw request themselves."""

from typing import Any

from penstock.rate_limit import DESCRIBED_HEADERS
from query_api.buckets import MAX_BUCKETS, Interval
from query_api.contact_params import DEFAULT_CONTACTS_LIMIT
from query_api.fields import MAX_LIMIT, POSITION_HEADER
from query_api.params import DEFAULT_CONTACT_LIMIT, DEFAULT_LIMIT
from schemas.names import MAX_NAME
from schemas.wire import ErrorResponse
from schemas.wire_reads import ContactChange, Pending

TITLE = "penstock query"
DESCRIPTION = """
Answers questions about the events and contacts of the project that the **secret key** (`Authorization: Bearer sk_…`)
belongs to, and keeps its segments and workflows.

* Every route under `/events`, `/contacts`, `/segments` and `/workflows` answers under `/v1` as well.
* An acknowledged event is in every read, usually within a second. To read your own write for certain, send the
  `X-Position` of its answer as `X-After-Position`.
* `X-Data-Age-Ms` says how old the view is; 0 means that nothing was waiting to be stored.
* Times are ISO 8601 in UTC; where a date is taken, so is a date alone: it means the whole day.
* An empty parameter means none; of a repeated one the last counts; unknown ones are ignored.
"""

ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorResponse, "description": "`MISSING_AUTH`, or `INVALID_API_KEY`: unknown, revoked, or public."},
    422: {"model": ErrorResponse, "description": "`VALIDATION_ERROR`: names every wrong parameter."},
    429: {
        "model": ErrorResponse,
        "description": "`RATE_LIMIT_EXCEEDED`: over the project's limit of reads. Only where a limit is set.",
        "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}} | DESCRIBED_HEADERS,
    },
    503: {
        "model": ErrorResponse,
        "description": "`SERVICE_UNAVAILABLE`: the tables do not answer, too many read, or the position of "
        "`X-After-Position` is not visible yet.",
        "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
    },
    500: {"model": ErrorResponse, "description": "`INTERNAL_SERVER_ERROR`."},
}

SECURITY: list[dict[str, list[str]]] = [{"key": []}]
"""The scheme that `penstock.openapi` describes."""

ANSWER_HEADERS = {
    "X-Data-Age-Ms": {
        "schema": {"type": "integer", "minimum": 0},
        "description": "How old the view is, in milliseconds; 0 when everything accepted was stored.",
    },
    "X-Request-ID": {"schema": {"type": "string"}, "description": "The request's own, else a new one."},
    **DESCRIBED_HEADERS,
}


READ: dict[int | str, dict[str, Any]] = {200: {"headers": ANSWER_HEADERS}}

TRACED: dict[int | str, dict[str, Any]] = {
    **READ,
    404: {
        "model": ErrorResponse,
        "description": "`RESOURCE_NOT_FOUND`: nothing is known of it in this project, or not yet.",
        "headers": {"X-Data-Age-Ms": ANSWER_HEADERS["X-Data-Age-Ms"]},
    },
}

POSITION_HEADERS = {
    "X-Position": {
        "schema": {"type": "string"},
        "description": "Opaque. A read that sends it as `X-After-Position` sees the change.",
    },
    "X-Request-ID": ANSWER_HEADERS["X-Request-ID"],
}
DELETED: dict[int | str, dict[str, Any]] = {
    200: {"headers": POSITION_HEADERS},
    202: {
        "description": "It will happen; how many events it removes is not known yet: `deletedCount` is null.",
        "headers": POSITION_HEADERS,
    },
    400: {"model": ErrorResponse, "description": "`BAD_REQUEST`: a name of the system's own events."},
    403: {"model": ErrorResponse, "description": "`PROJECT_DISABLED`."},
    409: {
        "model": ErrorResponse,
        "description": "`CONFLICT`: segments or workflows use the name; `details` has `usedInSegments` and "
        "`usedInWorkflows`.",
    },
}

_NO_CONTACT: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "`RESOURCE_NOT_FOUND`: no contact of the project has this id."}
}
FOUND: dict[int | str, dict[str, Any]] = {
    **READ,
    404: _NO_CONTACT[404] | {"headers": {"X-Data-Age-Ms": ANSWER_HEADERS["X-Data-Age-Ms"]}},
}
_CHANGE_PENDING: dict[int | str, dict[str, Any]] = {
    202: {"model": Pending, "description": "It will happen, but is not visible yet.", "headers": POSITION_HEADERS},
    403: DELETED[403],
}
BODY_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorResponse, "description": "`BAD_REQUEST`: malformed JSON."},
    413: {"model": ErrorResponse, "description": "`PAYLOAD_TOO_LARGE`: over 64 KiB, counted after decompression."},
    415: {
        "model": ErrorResponse,
        "description": "`UNSUPPORTED_MEDIA_TYPE`: not JSON in UTF-8, or not gzip or zstd.",
    },
}
CHANGED: dict[int | str, dict[str, Any]] = {
    200: {"headers": POSITION_HEADERS},
    **_CHANGE_PENDING,
    **_NO_CONTACT,
    **BODY_REFUSED,
}
ERASED: dict[int | str, dict[str, Any]] = {
    204: {"description": "Done.", "headers": POSITION_HEADERS},
    **_CHANGE_PENDING,
    **_NO_CONTACT,
}
CHANGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": ContactChange.model_json_schema()}},
    }
}


def parameter(name: str, description: str, place: str = "query", **schema: Any) -> dict[str, Any]:
    """A parameter, where nothing else is said one of the query with a string."""
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": {"type": "string", **schema},
    }


def limit_of(default: int, what: str = "events") -> dict[str, Any]:
    """The parameter `limit`."""
    return parameter(
        "limit", f"How many {what} at most.", type="integer", minimum=1, maximum=MAX_LIMIT, default=default
    )


AFTER = parameter(
    POSITION_HEADER,
    "The `X-Position` of a write: the answer waits until everything up to it is visible, then shows it.",
    "header",
)
CURSOR = parameter("cursor", "The `cursor` of the page before.")
_START = parameter("startDate", "From this moment, or the start of this day.", examples=["2026-01-01"])
_END = parameter(
    "endDate", "Up to and including this moment, or this day.", examples=["2026-01-31", "2026-01-31T12:00:00Z"]
)
CONTENT_ENCODING = parameter(
    "Content-Encoding", "The limit counts after decompression.", "header", enum=["gzip", "zstd", "identity"]
)
_NAME = parameter("eventName", "Only events of exactly this name.")
_INTERVAL = parameter(
    "interval",
    f"Counts in buckets of this length, {MAX_BUCKETS:,} at most, empty ones too; weeks begin on Monday.",
    enum=[str(interval) for interval in Interval],
)
_ZONE = parameter(
    "timezone",
    "The IANA zone in which buckets begin, and in which dates and times without an offset are meant.",
    default="UTC",
    examples=["Europe/Berlin"],
)
_CONTACT = parameter("contactId", "The contact's id.", "path", format="uuid")

# The parameters of each route.
EVENTS = [_NAME, limit_of(DEFAULT_LIMIT), CURSOR, _START, _END, AFTER]
NAMES = [AFTER]
STATS = [_START, _END, _INTERVAL, _ZONE, _NAME, AFTER]
CONTACT = [_CONTACT, limit_of(DEFAULT_CONTACT_LIMIT), CURSOR, AFTER]
TRACE = [parameter("id", "The event's id, as its write answered it.", "path", format="uuid"), AFTER]
_PATH_NAME = parameter("eventName", "The name, URL-encoded, slashes too (`%2F`).", "path", maxLength=MAX_NAME)
DELETION = [_PATH_NAME]
USAGE = [_PATH_NAME, AFTER]

_ID = parameter("id", "The contact's id.", "path", format="uuid")
_SEARCH = parameter("search", "Only contacts whose address begins like this; case is ignored.", examples=["ada@"])
_SUBSCRIBED = parameter("subscribed", "Only contacts that are subscribed, or that are not.", enum=["true", "false"])

CONTACTS = [limit_of(DEFAULT_CONTACTS_LIMIT, "contacts"), CURSOR, _SEARCH, _SUBSCRIBED, AFTER]
ONE_CONTACT = [_ID, AFTER]
CONTACT_CHANGE = [_ID, CONTENT_ENCODING]
CONTACT_ERASURE = [_ID]

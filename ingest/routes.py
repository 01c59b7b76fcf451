"""The write routes as the OpenAPI document shows them, and for whoever calls them past the shell."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response

from ingest.contacts import ContactDirectory
from ingest.documentation import (
    ANSWER,
    COMPUTED_HERE,
    CONTENT_ENCODING,
    ERRORS,
    IDEMPOTENCY_KEY,
    SNS_ERRORS,
    UNKNOWN_CONTACT,
    batch_schema,
    described,
    schema_of,
)
from ingest.hooks import HookRoutes
from ingest.intake import Intake
from ingest.segments import SegmentDirectory
from ingest.sns.source import SnsSource
from ingest.track import TrackRoutes
from penstock.http import DirectRoute, as_starlette
from penstock.rate_limit import limited_route
from penstock.routing import ExactRoute
from schemas.wire import (
    BatchItem,
    BatchResponse,
    ContactHookRequest,
    DoneResponse,
    MailHookRequest,
    SegmentHookRequest,
    SnsRequest,
    TrackRequest,
    TrackResponse,
)

TRACK = "/v1/track"
BATCH = "/v1/track/batch"
EMAIL_HOOK = "/v1/hooks/email"
CONTACT_HOOK = "/v1/hooks/contact"
SEGMENT_HOOK = "/v1/hooks/segment"
SNS = "/webhooks/sns"

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

_EMAIL_HOOK = """
What a mail system reports of a mail. Takes a secret key. One object, 64 KiB at most, answered like `/v1/track`; or an
array of up to 1,000, each with its own outcome, answered like `/v1/track/batch`.

The same report counts once, however often it is sent: the same by its `id`; where it has none, by `event`,
`messageId`, `timestamp` and `email` together; where `messageId` or `timestamp` are missing too, every post counts.
"""

_CONTACT_HOOK = """
That a contact subscribed or unsubscribed somewhere else. Takes a secret key. One object, 64 KiB at most, answered like
`/v1/track`; or an array of up to 1,000, each with its own outcome, answered like `/v1/track/batch`.

The contact is named by `email`, which makes a new one where there is none, or by `contactId`, which must be known (404
`RESOURCE_NOT_FOUND`; in an array the item's error). Where the subscription changes, `contact.subscribed` or
`contact.unsubscribed` is emitted: `event` is its id, and the `reason` is in its `data`.
"""

_SEGMENT_HOOK = """
That a contact entered or left a segment whose members are computed somewhere else. Takes a secret key. One object,
64 KiB at most, answered like `/v1/track`; or an array of up to 1,000, each with its own outcome, answered like
`/v1/track/batch`.

The contact is named as in `/v1/hooks/contact`. Where its membership changes, `segment.<slug>.entry` or
`segment.<slug>.exit` is emitted, with the id that is answered. The segment need not be registered; one whose condition
is tracked here takes no reports (409 `CONFLICT`; in an array the item's error).
"""

_SNS = """
Amazon SES event publishing through an SNS topic that is registered for a project (`penstock topic-arn add`). There is
no key: the message's signature is verified (versions 1 and 2), with a certificate from a host of SNS whose chain leads
to a trusted authority. A subscription is confirmed by itself.

Send, Delivery, Open, Click, Bounce, Complaint and Received become `email.…` events, one per recipient (Received: of the
sender); a redelivery counts once. Messages that are none of these are acknowledged and ignored.
"""


def direct_routes(
    intake: Intake, sns: SnsSource, contacts: ContactDirectory, segments: SegmentDirectory
) -> dict[str, DirectRoute]:
    """The routes for the shell, by path."""
    track, hooks = TrackRoutes(intake), HookRoutes(intake, sns, contacts, segments)
    routes: dict[str, DirectRoute] = {
        TRACK: track.track,
        BATCH: track.batch,
        EMAIL_HOOK: hooks.email,
        CONTACT_HOOK: hooks.contact,
        SEGMENT_HOOK: hooks.segment,
        SNS: hooks.sns,
    }
    return {path: limited_route(route) for path, route in routes.items()} if intake.is_limited else routes


def write_document() -> dict[str, Any]:
    """The OpenAPI document of the write routes, for a process that has none of them."""
    app = FastAPI()
    app.include_router(write_routes({}))  # nobody calls them
    return app.openapi()


def write_routes(routes: Mapping[str, DirectRoute]) -> APIRouter:
    """The same routes behind FastAPI."""
    router = APIRouter(tags=["write"], route_class=ExactRoute)
    for path, documented in (_tracking() | _hooks()).items():
        router.add_api_route(path, _behind(routes, path), methods=["POST"], **documented)
    return router


def _behind(routes: Mapping[str, DirectRoute], path: str) -> Callable[[Request], Awaitable[Response]]:
    async def called(request: Request) -> Response:
        return as_starlette(await routes[path](request.scope, request.receive))

    return called


def _tracking() -> dict[str, dict[str, Any]]:
    """FastAPI's arguments for the routes of events, by path."""
    headers = [IDEMPOTENCY_KEY, CONTENT_ENCODING]
    batch = {"anyOf": [{"type": "array", "items": schema_of(BatchItem)}, batch_schema()]}
    lines = {"type": "string", "description": "One event a line."}
    return {
        TRACK: {
            "name": "track_event",
            "summary": "Track an event",
            "description": _TRACK,
            "response_model": TrackResponse,
            "responses": ANSWER | ERRORS,
            "openapi_extra": described({"application/json": schema_of(TrackRequest)}, headers),
        },
        BATCH: {
            "name": "track_batch",
            "summary": "Track up to 1,000 events",
            "description": _BATCH,
            "response_model": BatchResponse,
            "responses": ANSWER | ERRORS,
            "openapi_extra": described({"application/json": batch, "application/x-ndjson": lines}, headers),
        },
    }


def _hooks() -> dict[str, dict[str, Any]]:
    """The same for the routes of systems."""
    message = {"application/json": schema_of(SnsRequest), "text/plain": {"type": "string"}}
    return {
        EMAIL_HOOK: _hook("report_mail", "Report what became of mails", _EMAIL_HOOK, MailHookRequest),
        CONTACT_HOOK: _hook(
            "report_subscription",
            "Report that contacts subscribed or unsubscribed",
            _CONTACT_HOOK,
            ContactHookRequest,
            UNKNOWN_CONTACT,
        ),
        SEGMENT_HOOK: _hook(
            "report_membership",
            "Report that contacts entered or left a segment",
            _SEGMENT_HOOK,
            SegmentHookRequest,
            UNKNOWN_CONTACT | COMPUTED_HERE,
        ),
        SNS: {
            "name": "take_sns_message",
            "summary": "Take a message of Amazon SNS",
            "description": _SNS,
            "response_model": DoneResponse,
            "responses": ANSWER | SNS_ERRORS,
            "openapi_extra": described(message, []) | {"security": []},
        },
    }


def _hook(
    name: str, summary: str, description: str, request: Any, further: dict[int | str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """One that takes a report or an array of them; `further` errors are its own."""
    report = schema_of(request)
    body = {"anyOf": [report, {"type": "array", "items": report, "maxItems": 1000}]}
    return {
        "name": name,
        "summary": summary,
        "description": description,
        "response_model": TrackResponse | BatchResponse,
        "responses": ANSWER | ERRORS | (further or {}),
        "openapi_extra": described({"application/json": body}, [CONTENT_ENCODING]),
    }

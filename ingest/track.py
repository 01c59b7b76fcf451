"""`POST /v1/track` and `POST /v1/track/batch`: from request to acknowledgement."""

from starlette.types import Receive, Scope

from ingest import answers
from ingest.accept import accept_track
from ingest.batch import accept_body
from ingest.fields import idempotency_key_error
from ingest.intake import Intake, body_type
from penstock.body import JSON_TYPES, NDJSON_TYPES
from penstock.errors import MalformedBody, ValidationFailed
from penstock.http import RawResponse

_BATCH_TYPES = JSON_TYPES | NDJSON_TYPES


def _idempotency_key(header: bytes | None) -> str | None:
    if header is None:
        return None
    key = header.decode("latin-1")
    if idempotency_key_error(key):
        raise MalformedBody("The Idempotency-Key must be 1 to 255 printable ASCII characters")
    return key


class TrackRoutes:
    """The two as direct routes (see `penstock.http`)."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def track(self, scope: Scope, receive: Receive) -> RawResponse:
        """`POST /v1/track`."""
        intake, head = self._intake, dict(scope["headers"])
        principal = intake.admit(scope, head)
        body_type(head, JSON_TYPES)
        key = _idempotency_key(head.get(b"idempotency-key"))
        body = await intake.read(scope, receive, head, intake.max_event_bytes)
        caller = intake.caller(principal)
        try:
            accepted = accept_track(body, caller, key)
        except (MalformedBody, ValidationFailed):
            intake.reject()
            raise
        position = await intake.append([accepted], caller)
        return RawResponse(200, answers.tracked(accepted), answers.headers(position))

    async def batch(self, scope: Scope, receive: Receive) -> RawResponse:
        """`POST /v1/track/batch`."""
        intake, head = self._intake, dict(scope["headers"])
        principal = intake.admit(scope, head)
        kind = body_type(head, _BATCH_TYPES)
        key = _idempotency_key(head.get(b"idempotency-key"))
        body = await intake.read(scope, receive, head, intake.max_batch_bytes)
        caller = intake.caller(principal)
        outcomes = accept_body(body, kind, caller, key, intake.limits)
        intake.charge(scope, principal, len(outcomes))
        position = await intake.append_accepted(outcomes, caller)
        return RawResponse(200, answers.batch(outcomes), answers.headers(position))

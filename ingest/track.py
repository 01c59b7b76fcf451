"""`POST /v1/track` and `POST /v1/track/batch`: from request to acknowledgement.

The 200 is sent after the log has the events durably, never before.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from starlette.types import Receive, Scope

from ingest import answers
from ingest.accept import Accepted, Caller, accept_track
from ingest.batch import BatchLimits, accept_body
from ingest.body import JSON_TYPES, NDJSON_TYPES, BodyRoom, media_type, read_body
from ingest.fields import idempotency_key_error
from penstock.auth import Principal
from penstock.clock import Clock
from penstock.errors import MalformedBody, ProjectDisabled, ValidationFailed
from penstock.eventlog import Entry, EventLog
from penstock.http import RawResponse, only_header
from penstock.rate_limit import RateLimit
from penstock.settings import Ingest
from penstock.telemetry import Metrics
from schemas.position import Position

_BATCH_TYPES = JSON_TYPES | NDJSON_TYPES


_ONCE = (b"idempotency-key", b"content-encoding", b"content-type")
"""Headers of which there is one: which of several is meant, nobody can say."""


class Authenticator(Protocol):
    """Who is calling; `penstock.auth.KeyRing` is one."""

    def verify(self, authorization: bytes | None, *, secret_only: bool) -> Principal:
        """See `KeyRing.verify`."""
        ...


def _idempotency_key(header: bytes | None) -> str | None:
    if header is None:
        return None
    key = header.decode("latin-1")
    if idempotency_key_error(key):
        raise MalformedBody("The Idempotency-Key must be 1 to 255 printable ASCII characters")
    return key


def _expect_once(scope: Scope) -> None:
    names = [name for name, _ in scope["headers"]]
    for name in _ONCE:
        if names.count(name) > 1:
            raise MalformedBody(f"The header {name.decode()} is repeated", suggestion="Send it once.")


class TrackRoutes:
    """The two write routes as direct routes (see `penstock.http`)."""

    def __init__(
        self,
        settings: Ingest,
        *,
        log: EventLog,
        authenticate: Authenticator,
        clock: Clock,
        metrics: Metrics,
        limit: RateLimit | None = None,
    ) -> None:
        self._settings = settings
        self._limits = BatchLimits(settings.max_batch_events, settings.max_event_bytes)
        self._room = BodyRoom(max(settings.max_pending_bytes, settings.max_batch_bytes))
        self._log = log
        self._authenticate = authenticate
        self._clock = clock
        self._metrics = metrics
        self._limit = limit

    @property
    def is_limited(self) -> bool:
        """Whether projects have a limit of events."""
        return self._limit is not None

    async def track(self, scope: Scope, receive: Receive) -> RawResponse:
        """`POST /v1/track`."""
        head = dict(scope["headers"])
        principal = self._writer(head, scope)
        media_type(head.get(b"content-type"), JSON_TYPES)
        key = _idempotency_key(head.get(b"idempotency-key"))
        body = await read_body(
            scope, receive, self._settings.max_event_bytes, head.get(b"content-encoding"), self._room
        )
        caller = Caller(principal, self._clock.now_ms(), self._log.partitions)
        try:
            accepted = accept_track(body, caller, key)
        except (MalformedBody, ValidationFailed):
            self._metrics.events_rejected.inc()
            raise
        position = await self._append([accepted], caller)
        return RawResponse(200, answers.tracked(accepted), answers.headers(position))

    async def batch(self, scope: Scope, receive: Receive) -> RawResponse:
        """`POST /v1/track/batch`."""
        head = dict(scope["headers"])
        principal = self._writer(head, scope)
        kind = media_type(head.get(b"content-type"), _BATCH_TYPES)
        key = _idempotency_key(head.get(b"idempotency-key"))
        body = await read_body(
            scope, receive, self._settings.max_batch_bytes, head.get(b"content-encoding"), self._room
        )
        caller = Caller(principal, self._clock.now_ms(), self._log.partitions)
        outcomes = accept_body(body, kind, caller, key, self._limits)
        if self._limit is not None:
            self._limit.take(scope, principal.project_id, max(1, len(outcomes)), paid=1)
        entries = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
        self._metrics.events_rejected.inc(len(outcomes) - len(entries))
        position = await self._append(entries, caller) if entries else {}
        return RawResponse(200, answers.batch(outcomes), answers.headers(position))

    def _writer(self, head: Mapping[bytes, bytes], scope: Scope) -> Principal:
        """Who writes. An event is charged before the body is read: over the limit, a request must cost little."""
        authorization = head.get(b"authorization")
        is_any_repeated = len(head) < len(scope["headers"])
        if is_any_repeated:
            authorization = only_header(scope, b"authorization")
        principal = self._authenticate.verify(authorization, secret_only=False)
        if not principal.enabled:
            raise ProjectDisabled
        if is_any_repeated:
            _expect_once(scope)
        if self._limit is not None:
            self._limit.take(scope, principal.project_id)
        return principal

    async def _append(self, entries: Sequence[Entry], caller: Caller) -> Position:
        started = time.perf_counter()
        position = await self._log.append(entries, caller.now_ms, caller.principal.project_id)
        self._metrics.log_append_seconds.observe(time.perf_counter() - started)
        self._metrics.events_accepted.inc(len(entries))
        return position

"""What all write routes have in common: who writes, what was sent, and the way into the log.

A route answers 200 after `append` returned, never before: then the log has the events durably.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from starlette.types import Receive, Scope

from ingest.accept import Accepted, Caller
from ingest.batch import BatchLimits, Outcome
from penstock.auth import Principal
from penstock.body import BodyRoom, expect_once, media_type, read_body
from penstock.clock import Clock
from penstock.errors import ProjectDisabled
from penstock.eventlog import Entry, EventLog
from penstock.http import only_header
from penstock.rate_limit import RateLimit
from penstock.settings import Ingest
from penstock.telemetry import Metrics
from schemas.position import Position

Head = Mapping[bytes, bytes]
"""A request's headers by their name in lower case."""

_ONCE = (b"idempotency-key", b"content-encoding", b"content-type")
"""Headers of which there is one."""


class Authenticator(Protocol):
    """Who is calling; `penstock.auth.KeyRing` is one."""

    def verify(self, authorization: bytes | None, *, secret_only: bool) -> Principal:
        """See `KeyRing.verify`."""
        ...

    def principal_of_topic(self, arn: str) -> Principal:
        """See `KeyRing.principal_of_topic`."""
        ...


class Intake:
    """See the module. Belongs to the event loop."""

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
        self.limits = BatchLimits(settings.max_batch_events, settings.max_event_bytes)
        self.max_event_bytes = settings.max_event_bytes
        self.max_batch_bytes = settings.max_batch_bytes
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

    def admit(self, scope: Scope, head: Head, *, secret_only: bool = False) -> Principal:
        """Who writes. An event is charged before the body is read: over the limit, a request must cost little.

        Raises:
            MissingAuth, InvalidApiKey, ProjectDisabled, RateLimitExceeded: they may not.
            MalformedBody: a header that must be one is repeated.
        """
        authorization = head.get(b"authorization")
        is_any_repeated = len(head) < len(scope["headers"])
        if is_any_repeated:
            authorization = only_header(scope, b"authorization")
        principal = self._authenticate.verify(authorization, secret_only=secret_only)
        if not principal.enabled:
            raise ProjectDisabled
        if is_any_repeated:
            expect_once(scope, _ONCE)
        if self._limit is not None:
            self._limit.take(scope, principal.project_id)
        return principal

    def admit_topic(self, scope: Scope, arn: str) -> Principal:
        """The project that an SNS topic is registered for; charged for one event.

        Raises:
            TopicNotRegistered, ProjectDisabled, RateLimitExceeded: its messages are not taken.
            LogUnavailable: that is not known yet.
        """
        principal = self._authenticate.principal_of_topic(arn)
        if not principal.enabled:
            raise ProjectDisabled
        if self._limit is not None:
            self._limit.take(scope, principal.project_id)
        return principal

    def charge(self, scope: Scope, principal: Principal, events: int) -> None:
        """Charges a request of several events, of which `admit` has charged one.

        Raises:
            RateLimitExceeded: they are too many now; nothing was charged.
        """
        if self._limit is not None:
            self._limit.take(scope, principal.project_id, max(1, events), paid=1)

    async def read(self, scope: Scope, receive: Receive, head: Head, max_bytes: int) -> bytes:
        """The body, decompressed; see `read_body`."""
        return await read_body(scope, receive, max_bytes, head.get(b"content-encoding"), self._room)

    def caller(self, principal: Principal) -> Caller:
        """What events take from the request that is at hand now."""
        return Caller(principal, self._clock.now_ms(), self._log.partitions)

    def reject(self, events: int = 1) -> None:
        """Counts events that were refused."""
        self._metrics.events_rejected.inc(events)

    def ignore(self) -> None:
        """Counts a message that tells of no event."""
        self._metrics.sns_ignored.inc()

    async def append(self, entries: Sequence[Entry], caller: Caller) -> Position:
        """Returns when the log has the events durably.

        Raises:
            LogUnavailable, LogOverloaded: it has not; nothing may be acknowledged.
        """
        started = time.perf_counter()
        position = await self._log.append(entries, caller.now_ms, caller.principal.project_id)
        self._metrics.log_append_seconds.observe(time.perf_counter() - started)
        self._metrics.events_accepted.inc(len(entries))
        return position

    async def append_accepted(self, outcomes: Sequence[Outcome], caller: Caller) -> Position:
        """The same for what of a batch was accepted, which may be nothing."""
        entries = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
        self.reject(len(outcomes) - len(entries))
        return await self.append(entries, caller) if entries else {}


def body_type(head: Head, allowed: Collection[bytes]) -> bytes:
    """The body's media type; see `media_type`."""
    return media_type(head.get(b"content-type"), allowed)

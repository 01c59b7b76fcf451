"""How much one project may ask of one process, and how an answer says so.

The buckets are in the process's memory and shared with nobody: asking another machine would cost each request more than
the limit is worth. So N processes let through N times as much.

Where no limit is set there is no `RateLimit` at all, and the routes are what they were.
"""

import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from fastapi import Request, Response
from starlette.types import Receive, Scope

from penstock.errors import RateLimitExceeded
from penstock.http import DirectRoute, RawHeaders, RawResponse, as_starlette, error_response
from penstock.settings import Limits
from penstock.telemetry import Metrics
from penstock.token_bucket import Rate, Verdict, take

_STATE = "rate_limit"
"""Under this name the headers wait in the request's state for the answer, whichever it becomes."""


class RateLimit:
    """A bucket for each project. Belongs to the event loop.

    Args:
        unit: what a token stands for, in the plural.
        on_refused: called for each request that is refused.
        seconds: a clock that never steps back.
    """

    def __init__(
        self, rate: Rate, unit: str, on_refused: Callable[[], None], seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._unit = unit
        self._on_refused = on_refused
        self._seconds = seconds
        self._full_at: dict[str, float] = {}

    def take(self, scope: Scope, project_id: str, cost: int = 1, *, paid: int = 0) -> None:
        """Lets a request pass that costs so much, and leaves in `scope` what its answer is to say.

        Args:
            paid: what the request was charged before; it is given back first, also where the request is refused.

        Raises:
            RateLimitExceeded: it has to wait; nothing was charged.
        """
        full_at = self._full_at.get(project_id, 0.0) - paid / self._rate.per_second
        verdict = take(self._rate, full_at, self._seconds(), cost)
        self._full_at[project_id] = verdict.full_at
        scope["state"][_STATE] = self._headers(verdict)
        if not verdict.admitted:
            self._on_refused()
            limit = f"{self._rate.per_second:g} {self._unit} per second"
            raise RateLimitExceeded(f"The project's limit of {limit} is used up", verdict.reset_seconds)

    def _headers(self, verdict: Verdict) -> RawHeaders:
        return [
            (b"ratelimit-limit", b"%d" % self._rate.burst),
            (b"ratelimit-remaining", b"%d" % verdict.remaining),
            (b"ratelimit-reset", b"%d" % verdict.reset_seconds),
        ]


def _rate(per_second: float, limits: Limits) -> Rate | None:
    return Rate(per_second, max(1, round(per_second * limits.burst_seconds))) if per_second else None


def write_limit(limits: Limits, metrics: Metrics) -> RateLimit | None:
    """The limit of events, where one is set."""
    rate = _rate(limits.writes_per_second, limits)
    return RateLimit(rate, "events", metrics.rate_limited.labels("write").inc) if rate else None


def read_limit(limits: Limits, metrics: Metrics) -> RateLimit | None:
    """The limit of reads, where one is set."""
    rate = _rate(limits.reads_per_second, limits)
    return RateLimit(rate, "reads", metrics.rate_limited.labels("read").inc) if rate else None


def limited_route(route: DirectRoute) -> DirectRoute:
    """The route with the limit's headers on each of its answers, errors included."""

    async def answered(scope: Scope, receive: Receive) -> RawResponse:
        try:
            response = await route(scope, receive)
        except Exception as error:  # noqa: BLE001 - it becomes an answer, which logs what the caller must not see
            response = error_response(error, scope["state"]["request_id"])
        response.headers = [*response.headers, *scope["state"].get(_STATE, ())]
        return response

    return answered


Handler = Callable[[Request], Awaitable[Response]]


def limited_handler(handler: Handler) -> Handler:
    """The same for a route behind FastAPI."""

    @wraps(handler)
    async def answered(request: Request) -> Response:
        try:
            response = await handler(request)
        except Exception as error:  # noqa: BLE001 - as above
            response = as_starlette(error_response(error, request.state.request_id))
        for name, value in request.scope["state"].get(_STATE, ()):
            response.headers[name.decode()] = value.decode()
        return response

    return answered


def _described(description: str) -> dict[str, Any]:
    return {"schema": {"type": "integer", "minimum": 0}, "description": f"{description} Only where a limit is set."}


DESCRIBED_HEADERS: dict[str, Any] = {
    "RateLimit-Limit": _described("How much the project may use at once."),
    "RateLimit-Remaining": _described("How much of it is left."),
    "RateLimit-Reset": _described("In how many seconds all of it is there again; in a 429, as Retry-After."),
}
"""What the OpenAPI document says of the headers."""

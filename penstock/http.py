"""What every HTTP answer has in common: request id, one error shape, CORS, metrics.

`Shell` is the outermost layer of each application. Routes that must cost little are handed to it as *direct* routes: it
calls them without FastAPI's routing and dependencies in between (measured: a third of the time per request), and the
OpenAPI document describes them all the same.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from penstock.errors import (
    FieldError,
    MalformedBody,
    MethodNotAllowed,
    NotFound,
    PenstockError,
    RequestError,
    Unavailable,
    ValidationFailed,
)
from penstock.openapi import Document, complete_document
from penstock.routing import methods_of
from penstock.telemetry import Metrics
from schemas.ids import random_digits
from schemas.times import to_wire

RawHeaders = list[tuple[bytes, bytes]]
"""Names in lower case, as ASGI has them."""

JSON_TYPE = (b"content-type", b"application/json")

_OPEN_PREFIX = "/v1/track"
"""Routes that a browser on any site may call: they take public keys."""

_OPEN_PREFLIGHT: RawHeaders = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, OPTIONS"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, Idempotency-Key"),
    (b"access-control-max-age", b"86400"),
]
_EXPOSED = (
    b"access-control-expose-headers",
    b"X-Request-ID, X-Position, X-Data-Age-Ms, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset",
)
_MAX_REQUEST_ID = 128
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus}

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class RawResponse:
    """An answer before it is sent. The body is whole: there are no streams here."""

    status: int
    body: bytes
    headers: RawHeaders = field(default_factory=lambda: [JSON_TYPE])


DirectRoute = Callable[[Scope, Receive], Awaitable[RawResponse]]

ANSWER = "penstock.answer"
"""The name of an ASGI extension by which our server takes an answer whole. Other servers get it in ASGI's two parts."""

Answer = Callable[[int, RawHeaders, bytes], Awaitable[None]]
"""What the extension offers; the headers are complete and, other than ASGI's, known to be well-formed."""


def now_ms() -> int:
    """Milliseconds since 1970, of the machine's clock."""
    return time.time_ns() // 1_000_000


def find_header(scope: Scope, wanted: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return None


def only_header(scope: Scope, wanted: bytes) -> bytes | None:
    """The header of that (lower-case) name; None where there are several: which one is meant, nobody can say."""
    found = [value for name, value in scope["headers"] if name == wanted]
    return bytes(found[0]) if len(found) == 1 else None


def request_id_of(scope: Scope) -> str:
    """The inbound X-Request-ID where it is fit to be repeated, else a fresh one."""
    inbound = find_header(scope, b"x-request-id")
    if inbound and len(inbound) <= _MAX_REQUEST_ID:
        text = inbound.decode("latin-1")
        if text.isascii() and text.isprintable():
            return text
    return random_digits(24)


def error_response(error: Exception, request_id: str) -> RawResponse:
    """The one place that makes a status and a body of an error; what the caller must not see of it is logged."""
    if isinstance(error, RequestError):
        return _render(error.status, error.code, error.message, request_id, error)
    if isinstance(error, Unavailable):
        response = _render(503, "SERVICE_UNAVAILABLE", error.message, request_id)
        response.headers.append((b"retry-after", str(error.retry_after_seconds).encode()))
        return response
    _log.error("request failed", request_id=request_id, exc_info=error)
    return _render(500, "INTERNAL_SERVER_ERROR", "Something went wrong on our side", request_id)


def error_member(error: RequestError) -> dict[str, Any]:
    """The `error` member of an error's body, without what belongs to the request; batches have one per item."""
    member: dict[str, Any] = {"code": error.code, "message": error.message, "statusCode": error.status}
    if error.field_errors:
        member["errors"] = [
            {"field": wrong.field, "message": wrong.message, "code": wrong.code} for wrong in error.field_errors
        ]
    if error.details:
        member["details"] = error.details
    if error.suggestion:
        member["suggestion"] = error.suggestion
    return member


def _render(status: int, code: str, message: str, request_id: str, error: RequestError | None = None) -> RawResponse:
    member = error_member(error) if error else {"code": code, "message": message, "statusCode": status}
    member["requestId"] = request_id
    body = {"success": False, "error": member, "message": message, "timestamp": to_wire(now_ms())}
    headers: RawHeaders = [JSON_TYPE]
    if error:
        headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    return RawResponse(status, msgspec.json.encode(body), headers)


def _as_ours(error: Exception, request: Request) -> Exception:
    """The framework's errors as ours."""
    if isinstance(error, RequestValidationError):
        return ValidationFailed([_framework_field(problem) for problem in error.errors()])
    if isinstance(error, HTTPException):
        return _http_error(error, request)
    return error


def _framework_field(problem: Mapping[str, Any]) -> FieldError:
    path = [str(part) for part in problem["loc"][1:]] or ["body"]
    return FieldError(".".join(path), str(problem["msg"]), "invalid_type")


def _http_error(error: HTTPException, request: Request) -> RequestError:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NotFound("There is no such route", suggestion="GET /docs lists all routes.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        refused = MethodNotAllowed("The route does not have this method")
        refused.headers = {"Allow": ", ".join(methods_of(request.app.routes, request.scope["path"]))}
        return refused
    return MalformedBody(str(error.detail))


def as_starlette(response: RawResponse) -> Response:
    """The answer for a route behind FastAPI."""
    made = Response(response.body, response.status)
    for name, value in response.headers:
        made.headers[name.decode()] = value.decode()
    return made


class Shell:
    """The outermost layer: see the module."""

    def __init__(
        self, app: FastAPI, *, direct: Mapping[str, DirectRoute], origins: Sequence[str], metrics: Metrics, access: bool
    ) -> None:
        self.app = app
        self._direct = direct
        self._origins = frozenset(origins)
        self._takes_any_origin = "*" in origins
        self._access = access
        self._requests = metrics.requests
        self._seconds = metrics.request_seconds
        self._observers: dict[tuple[str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = request_id_of(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        path = scope["path"]
        if scope["method"] == "OPTIONS" and (preflight := self._preflight(scope)):
            await _send(scope, send, preflight, request_id, [])
            return
        route = self._direct.get(path)
        if route is None:
            asked = _as_get(scope)
            status = await self._framed(asked, receive, send, request_id)
            path = getattr(asked.get("route"), "path", "unmatched")
        else:
            response = await self._answer(route, scope, receive, request_id)
            await _send(scope, send, response, request_id, self._cors(scope))
            status = response.status
        self._observe(path, status, time.perf_counter() - started)
        if self._access or status >= 500:
            _log.info("request", method=scope["method"], path=scope["path"], status=status, request_id=request_id)

    def _observe(self, route: str, status: int, seconds: float) -> None:
        observers = self._observers.get((route, status))
        if observers is None:
            observers = self._observers[route, status] = (
                self._requests.labels(route, str(status)).inc,
                self._seconds.labels(route).observe,
            )
        observers[0]()
        observers[1](seconds)

    async def _answer(self, route: DirectRoute, scope: Scope, receive: Receive, request_id: str) -> RawResponse:
        try:
            if scope["method"] != "POST":
                refused = MethodNotAllowed("The route takes POST only")
                refused.headers = {"Allow": "POST, OPTIONS" if scope["path"].startswith(_OPEN_PREFIX) else "POST"}
                raise refused
            return await route(scope, receive)
        except asyncio.CancelledError:
            return _cut_short(request_id)
        except Exception as error:  # noqa: BLE001 - it becomes an answer, which logs what the caller must not see
            return error_response(error, request_id)

    async def _framed(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
        """Runs the application, adding our headers to its answer."""
        status, is_complete = 0, False
        extra = [(b"x-request-id", request_id.encode()), *self._cors(scope)]

        async def adding(message: Message) -> None:
            nonlocal status, is_complete
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *extra]
            await send(message)
            is_complete = message["type"] == "http.response.body" and not message.get("more_body")

        try:
            await self.app(scope, receive, adding)
        except asyncio.CancelledError:
            if status:
                raise
            response = _cut_short(request_id)
            await _send(scope, send, response, request_id, self._cors(scope))
            return response.status
        except Exception:
            if not is_complete:  # too late for another answer: the server closes the connection
                raise
        return status  # the framework raises what it has answered (see `install`) once more

    def _cors(self, scope: Scope) -> RawHeaders:
        if self._takes_any_origin or scope["path"].startswith(_OPEN_PREFIX):
            return [(b"access-control-allow-origin", b"*"), _EXPOSED]
        if not self._origins:
            return []
        origin = Headers(scope=scope).get("origin", "")
        if origin not in self._origins:
            return [(b"vary", b"Origin")]
        return [(b"access-control-allow-origin", origin.encode()), (b"vary", b"Origin"), _EXPOSED]

    def _preflight(self, scope: Scope) -> RawResponse | None:
        """The answer to a browser that asks before it calls; None where the question is not allowed or not one."""
        if scope["path"].startswith(_OPEN_PREFIX):
            return RawResponse(204, b"", list(_OPEN_PREFLIGHT))
        allowed = self._cors(scope)
        if len(allowed) < 2 or find_header(scope, b"access-control-request-method") is None:
            return None
        methods = (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE, OPTIONS")
        names = (b"access-control-allow-headers", b"Authorization, Content-Type, Idempotency-Key, X-After-Position")
        return RawResponse(204, b"", [*allowed, methods, names, (b"access-control-max-age", b"86400")])


def _as_get(scope: Scope) -> Scope:
    """A HEAD request as the GET whose head it asks for: the server leaves the body away."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _cut_short(request_id: str) -> RawResponse:
    """The answer to what the server cancels: requests that are not finished some seconds after it was told to stop."""
    return error_response(Unavailable("The process is stopping"), request_id)


async def _send(scope: Scope, send: Send, response: RawResponse, request_id: str, extra: RawHeaders) -> None:
    headers = [*response.headers, (b"x-request-id", request_id.encode()), *extra]
    if response.status != 204:  # RFC 9110, 8.6: no length where there can be no content
        headers.append((b"content-length", b"%d" % len(response.body)))
    answer: Answer | None = scope.get("extensions", {}).get(ANSWER)
    if answer:
        await answer(response.status, headers, response.body)
        return
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def raw_http(status: int, headers: RawHeaders, body: bytes) -> bytes:
    """An answer as HTTP/1.1."""
    return b"\r\n".join([_STATUS_LINES[status], *map(b": ".join, headers), b"", body])


async def _handle_error(request: Request, error: Exception) -> Response:
    return as_starlette(error_response(_as_ours(error, request), request.state.request_id))


def install(
    app: FastAPI,
    metrics: Metrics,
    *,
    direct: Mapping[str, DirectRoute] | None = None,
    origins: Sequence[str] = (),
    access: bool = False,
    beside: Document | None = None,
) -> Shell:
    """Puts our error shape into `app` and the shell around it: what is to be served.

    Args:
        beside: the OpenAPI document of other processes at the same address, which is to be part of this one.
    """
    for kind in (HTTPException, RequestValidationError, PenstockError, Exception):
        app.add_exception_handler(kind, _handle_error)
    complete_document(app, beside)
    return Shell(app, direct=direct or {}, origins=origins, metrics=metrics, access=access)

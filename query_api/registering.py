"""Puts handlers behind FastAPI: each route, its twin under `/v1`, and what the OpenAPI document says of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter

from penstock.rate_limit import limited_handler
from penstock.routing import ExactRoute
from query_api import documentation


@dataclass(frozen=True, slots=True)
class Route:
    """A route, and what the OpenAPI document says of it; the rest is in its handler's docstring."""

    path: str
    handler: Callable[..., Any]
    summary: str
    model: Any  # what FastAPI takes as a response model: a type, or an expression of types
    parameters: list[dict[str, Any]]
    method: str = "GET"
    responses: Mapping[int | str, dict[str, Any]] = field(default_factory=lambda: documentation.READ)
    status: int = 200
    body: Mapping[str, Any] = field(default_factory=dict)


def router_of(routes: Iterable[Route], tag: str, *, is_limited: bool) -> APIRouter:
    """The routes, and their twins under `/v1`, which the OpenAPI document mentions once for all."""
    router = APIRouter(tags=[tag], responses=documentation.ERRORS, route_class=ExactRoute)
    for route in routes:
        handler = limited_handler(route.handler) if is_limited else route.handler
        extra = {"parameters": route.parameters, "security": documentation.SECURITY, **route.body}
        for prefix in ("", "/v1"):
            router.add_api_route(
                prefix + route.path,
                handler,
                methods=[route.method],
                summary=route.summary,
                operation_id=route.handler.__name__,
                response_model=route.model,
                status_code=route.status,
                responses=dict(route.responses),
                openapi_extra=extra,
                include_in_schema=not prefix,
            )
    return router

"""What the OpenAPI documents of all applications have in common."""

from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi import FastAPI

from penstock import __version__

Document = Callable[[], dict[str, Any]]
"""Makes an OpenAPI document, when it is asked for."""


def describe(title: str) -> dict[str, Any]:
    """FastAPI's arguments that every application shares: what its OpenAPI document says of it, and no redirects.

    A path with a slash too many is another path, in our error shape.
    """
    return {
        "redirect_slashes": False,
        "title": title,
        "version": __version__,
        "description": "Event tracking: an acknowledged event is never lost and never counted twice.",
        "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }


def complete_document(app: FastAPI, beside: Document | None = None) -> None:
    """Names the key in the OpenAPI document, which routes check themselves, and puts another document into it."""
    original = app.openapi
    others = cache(beside or dict)

    def openapi() -> dict[str, Any]:
        document = original()
        document["paths"] |= others().get("paths", {})
        components = document.setdefault("components", {})
        for kind, found in others().get("components", {}).items():
            components.setdefault(kind, {}).update(found)
        schemes = components.setdefault("securitySchemes", {})
        schemes["key"] = {"type": "http", "scheme": "bearer", "description": "pk_… for tracking, sk_… for all routes"}
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend the document

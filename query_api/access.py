"""What all routes have in common: who asks, for what, and how fresh the answer has to be."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from fastapi import Request, Response

from penstock.auth import Principal
from penstock.errors import NotFound, ProjectDisabled
from penstock.http import find_header, only_header
from penstock.rate_limit import RateLimit
from query_api.fields import POSITION_HEADER, Fields, query_values
from query_api.freshness import Freshness
from schemas.position import Position, to_token

_POSITION = POSITION_HEADER.lower().encode()


class Authenticate(Protocol):
    """Who tells whose key it is; see `penstock.auth.KeyRing`."""

    def verify(self, authorization: bytes | None, *, secret_only: bool) -> Principal:
        """The key's principal.

        Raises:
            MissingAuth, InvalidApiKey: there is none.
            Unavailable: not known yet.
        """
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """See the module.

    Attributes:
        after_position_seconds: how long a read waits for its position.
        limit: of what a project may ask; None for none.
    """

    authenticate: Authenticate
    freshness: Freshness
    after_position_seconds: float
    limit: RateLimit | None = None

    def reader(self, request: Request) -> Principal:
        """Who asks, with a secret key; counts against the project's limit."""
        principal = self.authenticate.verify(only_header(request.scope, b"authorization"), secret_only=True)
        if self.limit is not None:
            self.limit.take(request.scope, principal.project_id)
        return principal

    def writer(self, request: Request) -> Principal:
        """The same where something is to change.

        Raises:
            ProjectDisabled: nothing of the project may.
        """
        principal = self.reader(request)
        if not principal.enabled:
            raise ProjectDisabled
        return principal

    def open(self, request: Request, path_values: Mapping[str, str] | None = None) -> tuple[str, Fields]:
        """Whose data is asked for, then what: who has no key learns nothing of the parameters."""
        principal = self.reader(request)
        position = find_header(request.scope, _POSITION)
        values = query_values(request.scope["query_string"]) | dict(path_values or {})
        return principal.project_id, Fields(values, None if position is None else position.decode("latin-1"))

    async def age_of_view(self, fields: Fields) -> int:
        """Once everything is read and the view is as the request wants it; before the read, which then is no older."""
        position = fields.position()
        fields.finish()
        if position is not None:
            await self.freshness.wait_for(position, self.after_position_seconds)
        return self.freshness.age_ms()


@contextmanager
def aged(age_ms: int) -> Iterator[None]:
    """A 404 within says how old the view is."""
    try:
        yield
    except NotFound as missing:
        missing.headers["X-Data-Age-Ms"] = str(age_ms)
        raise


NOTHING_AWAITED: Position = MappingProxyType({})
"""The position of a change that every later read knows of by itself: of the registry, which is followed to its end for
each of them, and of rows that are there."""


def written(body: bytes | None, status: int = 200, position: Position = NOTHING_AWAITED) -> Response:
    """The answer to a write; without a body where that is None."""
    media_type = None if body is None else "application/json"
    return Response(body, status, media_type=media_type, headers={"X-Position": to_token(position)})


def answered(body: bytes, age_ms: int) -> Response:
    """The answer to a read."""
    return Response(body, media_type="application/json", headers={"X-Data-Age-Ms": str(age_ms)})

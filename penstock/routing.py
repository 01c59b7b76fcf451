"""Which route a path belongs to, where the framework's own answer is too rough.

- Its patterns end in `$`, which also stands before a last newline: to them `/events/names%0A` is `/events/names`.
- Its `path` parameters have no newlines: of an event's name they would take a part for the whole.
- It knows the methods of the first route that fits a path, not those of all.
"""

from collections.abc import Sequence

from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class _AnyText(Convertor[str]):
    """The rest of a path, whatever is in it: `{name:text}`."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """As it is."""
        return value

    def to_string(self, value: str) -> str:
        """As it is."""
        return value


register_url_convertor("text", _AnyText())


class ExactRoute(APIRoute):
    """A route of exactly its path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See Starlette. A last newline is part of the last parameter, or the path is another one."""
        match, child_scope = super().matches(scope)
        if match is not Match.NONE and scope["path"].endswith("\n") and not self._takes_newline(child_scope):
            return Match.NONE, {}
        return match, child_scope

    def _takes_newline(self, child_scope: Scope) -> bool:
        last = [*child_scope["path_params"].values()][-1:]
        return self.path.endswith("}") and bool(last) and last[0].endswith("\n")


def methods_of(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """The methods that a path has, of whichever routes."""
    found = []
    for method in _METHODS:
        scope: Scope = {"type": "http", "method": method, "path": path}
        if any(route.matches(scope)[0] is Match.FULL for route in routes):
            found += ["GET", "HEAD"] if method == "GET" else [method]
    return found

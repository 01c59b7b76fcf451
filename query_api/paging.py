"""Pages of what the registry has, newest first. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from query_api.fields import Fields
from query_api.list_cursor import ListName, ListPlace, list_place
from schemas.registry import Segment, Workflow

DEFAULT_LIST_LIMIT = 100

One = TypeVar("One", Segment, Workflow)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page of a list.

    Attributes:
        after: where the page before ended; None for the first page.
    """

    limit: int = DEFAULT_LIST_LIMIT
    after: ListPlace | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[One]):
    """What is on a page.

    Attributes:
        end: where it ends where there is a next page, else None.
    """

    found: Sequence[One]
    end: ListPlace | None


def page_request(fields: Fields, of: ListName) -> PageRequest:
    """The parameters of a list."""
    return PageRequest(fields.limit(DEFAULT_LIST_LIMIT), list_place(fields, of))


def page_of(everything: Sequence[One], asked: PageRequest) -> Page[One]:
    """The page; whatever is made or removed in between, none of the others is passed over or comes twice.

    Args:
        everything: oldest first, of the same age by id.
    """
    behind = [one for one in reversed(everything) if asked.after is None or _place(one) < _key(asked.after)]
    found = behind[: asked.limit]
    end = ListPlace(found[-1].created_at, found[-1].id) if len(behind) > asked.limit else None
    return Page(found, end)


def shortened(page: Page[One], length: int) -> Page[One]:
    """The page with so many at most, one at least; what is left out comes on the next one."""
    if length >= len(page.found):
        return page
    last = page.found[length - 1]
    return Page(page.found[:length], ListPlace(last.created_at, last.id))


def _place(one: Segment | Workflow) -> tuple[str, str]:
    return one.created_at, one.id


def _key(place: ListPlace) -> tuple[str, str]:
    return place.created_at, place.id

"""What the routes of segments are asked to make or to change: bodies to frozen requests. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from penstock.errors import FieldError
from query_api.body_members import Members, read_members
from query_api.condition_params import condition_text
from schemas.membership import MAX_SLUG, is_slug
from schemas.wire_registry import MAX_TITLE


@dataclass(frozen=True, slots=True)
class SegmentAsked:
    """What a body says of a segment; None where it says nothing.

    Attributes:
        condition: its text; "" where the membership is computed elsewhere.
        problems: all that is wrong with the request as far as it can be told from it alone.
    """

    name: str | None
    slug: str | None
    condition: str | None
    tracked: bool | None
    problems: Sequence[FieldError]


def new_segment(body: bytes) -> SegmentAsked:
    """The segment that is to be made.

    Raises:
        MalformedBody: not JSON.
        ValidationFailed: no object.
    """
    members = read_members(body)
    members.require("name", "condition")
    return _asked(members)


def segment_change(body: bytes, problems: Iterable[FieldError] = ()) -> SegmentAsked:
    """What of a segment is to change; raises as `new_segment` does.

    Args:
        problems: what is wrong with the rest of the request.
    """
    members = read_members(body, problems)
    if not any(name in members for name in ("name", "condition", "trackMembership")):
        members.wrong("body", "Must have name, condition or trackMembership", "custom")
    return _asked(members)


def _asked(members: Members) -> SegmentAsked:
    return SegmentAsked(
        members.title("name", MAX_TITLE),
        _slug(members),
        condition_text(members, "condition"),
        members.flag("trackMembership"),
        members.problems,
    )


def _slug(members: Members) -> str | None:
    slug = members.text("slug")
    if slug is None or is_slug(slug):
        return slug
    members.wrong("slug", f"Must be 1 to {MAX_SLUG} of a to z, 0 to 9, _ and -", "invalid_string")
    return None

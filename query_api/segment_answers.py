"""Answers about segments: which statements to ask, and the body of their rows. Blocks: it runs on a reader's thread.

Where entries are emitted, or reported, they say who is in a segment; else it is who matches its condition now.
"""

from collections.abc import Sequence

from penstock.conditions.kept import kept_condition
from penstock.registry import Registry
from query_api.matching_queries import MAX_STATEMENT, match_counts, next_matches
from query_api.membership_queries import FIRST_CONTACT, emitted_counts, next_members
from query_api.paging import Page, PageRequest, shortened
from query_api.reader import Reader
from query_api.segment_results import Member, members_body, segments_body
from query_api.statements import Statement
from schemas.registry import Segment

_MORE_AT_ONCE = 4
_MOST_LOOKED_AT = 262_144
"""Contacts that were ever in a segment, for one page of those that are so now."""


def segments(reader: Reader, registry: Registry, project_id: str, page: Page[Segment], now_ms: int) -> bytes:
    """A page of segments. It ends early where to count the members of all of them would take too long."""
    found = list(page.found)
    statement = _matching(registry, project_id, found, now_ms)
    while statement and len(statement.sql) > MAX_STATEMENT and len(found) > 1:
        found = found[: len(found) // 2]
        statement = _matching(registry, project_id, found, now_ms)
    return segments_body(shortened(page, len(found)), _counts(reader, project_id, found, statement))


def count(reader: Reader, registry: Registry, segment: Segment, now_ms: int) -> int:
    """How many contacts are in a segment, which need not be known."""
    statement = _matching(registry, segment.project_id, [segment], now_ms)
    return _counts(reader, segment.project_id, [segment], statement).get(segment.id, 0)


def members(reader: Reader, registry: Registry, segment: Segment, asked: PageRequest, now_ms: int) -> bytes:
    """A page of the contacts in a segment."""
    after = asked.after.id if asked.after else FIRST_CONTACT
    if _is_told(segment):
        return members_body(*_told(reader, segment, after, asked.limit))
    condition = kept_condition(segment.condition)
    most = asked.limit + 1
    rows = reader.select(next_matches(registry, segment.project_id, condition, now_ms, after=after, most=most))
    found = [Member(str(contact), str(email), None) for contact, email in rows[: asked.limit]]
    return members_body(found, found[-1].contact_id if len(rows) > asked.limit else None)


def _is_told(segment: Segment) -> bool:
    """Whether entries and exits say who is in it."""
    return segment.tracked or not segment.condition


def _matching(registry: Registry, project_id: str, found: Sequence[Segment], now_ms: int) -> Statement | None:
    conditions = [kept_condition(one.condition) for one in found if not _is_told(one)]
    return match_counts(registry, project_id, conditions, now_ms) if conditions else None


def _counts(reader: Reader, project_id: str, found: Sequence[Segment], matching: Statement | None) -> dict[str, int]:
    """By the segments' ids; one that is missing has no members."""
    counts: dict[str, int] = {}
    if told := [one.id for one in found if _is_told(one)]:
        rows = reader.select(emitted_counts(project_id, told))
        counts = {str(segment_id): int(str(members)) for segment_id, members in rows}
    if matching:
        sums = reader.select(matching)[0][0]
        ids = [one.id for one in found if not _is_told(one)]
        counts |= dict(zip(ids, sums if isinstance(sums, list) else [], strict=False))
    return counts


def _told(reader: Reader, segment: Segment, after: str, limit: int) -> tuple[list[Member], str | None]:
    """Members, and the contact with which the page ends where there is a next one.

    Where most have left, more and more are looked at at once; not without end, so that a page may have few members.
    """
    found: list[Member] = []
    looked_at, left = limit + 1, _MOST_LOOKED_AT
    while left > 0:
        last, looked, rows = reader.select(next_members(segment, after, looked_at, limit + 1))[0]
        found += [Member(*row) for row in rows] if isinstance(rows, list) else []
        if len(found) > limit:
            return found[:limit], found[limit - 1].contact_id
        if int(str(looked)) < looked_at:
            return found, None
        after, left = str(last), left - looked_at
        looked_at = min(looked_at * _MORE_AT_ONCE, max(left, 1))
    return found, after

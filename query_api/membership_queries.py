"""Who is in a segment, as far as that was emitted: requests to statements. Pure.

Contacts come in the order in which the tables sort ids, which is not that of their text: so a page is read from where
it begins, and no further than it goes.
"""

# ruff: noqa: S608 - what callers choose are parameters; only tables, columns and integers of ours stand in the text

from collections.abc import Sequence

from query_api.statements import Statement
from schemas.registry import Segment
from schemas.tables import MEMBERSHIPS, SEGMENT_PROGRESS

FIRST_CONTACT = "00000000-0000-0000-0000-000000000000"
"""Stands before all contacts."""

_NEXT = f"""
SELECT
    max(contact_id),
    count(),
    arraySlice(arraySort(groupArrayIf((contact_id, state.2, state.3), state.1)), 1, {{most}})
FROM
(
    SELECT
        contact_id,
        argMax((entered, email, toUnixTimestamp64Milli(occurred_at)), (log_offset, log_index)) AS state
    FROM {MEMBERSHIPS}
    WHERE project_id = {{{{project:UUID}}}} AND segment_id = {{{{segment:UUID}}}} AND slug = {{{{slug:String}}}}
        AND contact_id > {{{{after:UUID}}}}
    GROUP BY contact_id
    ORDER BY contact_id
    LIMIT {{looked_at}}
)
"""


def next_members(segment: Segment, after: str, looked_at: int, most: int) -> Statement:
    """Which of the next contacts behind `after` that were ever in the segment are so now: one row.

    It has the last contact that was looked at, how many were, and of those that are in it [contact, address, when it
    entered in milliseconds since 1970], in order.

    Args:
        looked_at: how many contacts at most.
        most: how many members at most.
    """
    values = {"project": segment.project_id, "segment": segment.id, "slug": segment.slug, "after": after}
    sql = _NEXT.format(looked_at=looked_at, most=most)
    return Statement("members", sql, values, "optimize_aggregation_in_order = 1")


def emitted_counts(project_id: str, segment_ids: Sequence[str]) -> Statement:
    """How many contacts are in each segment: [segment, members]. Entries and exits of a contact alternate."""
    sql = (
        f"SELECT toString(segment_id), sum(if(entered, 1, -1)) FROM {MEMBERSHIPS} "
        "WHERE project_id = {project:UUID} AND segment_id IN {segments:Array(UUID)} GROUP BY segment_id"
    )
    return Statement("member_counts", sql, {"project": project_id, "segments": segment_ids})


def evaluated_revisions(segment_id: str) -> Statement:
    """With which revision of a segment the contacts of each partition were compared last: [partition, revision]."""
    sql = (
        f"SELECT log_partition, argMax(revision, written_at) FROM {SEGMENT_PROGRESS} "
        "WHERE segment_id = {segment:UUID} GROUP BY log_partition"
    )
    return Statement("evaluated_revisions", sql, {"segment": segment_id})

"""Where what a segment's condition says differs from what the log says of who is in it: one statement."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from consumers.segments.catalog import Catalog
from penstock.clickhouse import Selectable
from penstock.clickhouse.contract import Parameter
from penstock.conditions.compiling import SETTINGS, Scope, compile_conditions
from penstock.conditions.kept import kept_condition
from penstock.errors import TablesRefused
from schemas.registry import Segment
from schemas.tables import MEMBERSHIPS

_log = structlog.get_logger(__name__)

_STATEMENT = """
SELECT
    toString(contact_id), email, first_offset,
    arrayFilter(
        one -> one.2 != one.3,
        arrayMap(
            (number, matches_now, id) -> (
                number, matches_now, tupleElement(arrayFirst(step -> step.1 = id, steps) AS known, 2), known.3, known.4
            ),
            arrayEnumerate(matches), matches, arrayMap(id -> toUUID(id), {{members_ids:Array(String)}})
        )
    ) AS changes
FROM (SELECT contact_id, email, first_offset, [{predicates}] AS matches FROM ({contacts})) AS evaluated
LEFT JOIN
(
    SELECT contact_id, groupArray((segment_id, entered, changed, last_ms)) AS steps
    FROM
    (
        SELECT
            contact_id,
            segment_id,
            toUInt8(argMax(entered, (log_offset, log_index))) AS entered,
            count() AS changed,
            toUnixTimestamp64Milli(max(occurred_at)) AS last_ms
        FROM {memberships}
        WHERE project_id = {{members_project:UUID}} AND segment_id IN {{members_ids:Array(UUID)}}{restricted}
        GROUP BY contact_id, segment_id
    )
    GROUP BY contact_id
) AS members USING contact_id
WHERE notEmpty(changes)
LIMIT {limit}
SETTINGS max_threads = 1, output_format_json_quote_64bit_integers = 0, {settings}
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A contact that has come to match a segment, or has stopped.

    Attributes:
        first_offset: where the contact became known: one that was erased and came anew is another.
        entered: whether it matches now.
        changes: how often its membership has changed before.
        last_ms: when it did last, milliseconds since 1970; 0 for never.
    """

    segment: Segment
    contact_id: str
    email: str
    first_offset: int
    entered: bool
    changes: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Question:
    """What is compared: some segments of a project with some of its contacts."""

    catalog: Catalog
    segments: Sequence[Segment]
    scope: Scope
    now_ms: int


def differences(tables: Selectable, question: Question, limit: int) -> list[Change]:
    """The changes, of so many contacts at most. A segment that the tables refuse keeps no other from being compared.

    Raises:
        TablesUnavailable: see `Selectable`.
    """
    try:
        return _differences(tables, question, limit)
    except TablesRefused as error:
        if len(question.segments) > 1:
            alone = [replace(question, segments=[segment]) for segment in question.segments]
            return [change for one in alone for change in differences(tables, one, limit)]
        _log.error("segment not evaluated", segment=question.segments[0].id, reason=str(error))
        return []


def _differences(tables: Selectable, question: Question, limit: int) -> list[Change]:
    segments = question.segments
    project_id = segments[0].project_id
    compiled = compile_conditions(
        project_id,
        [kept_condition(segment.condition) for segment in segments],
        question.catalog.conditions(),
        question.now_ms,
        question.scope,
    )
    restricted, values = _restricted(question.scope)
    sql = _STATEMENT.format(
        predicates=", ".join(f"toUInt8({predicate})" for predicate in compiled.predicates),
        contacts=compiled.contacts,
        memberships=MEMBERSHIPS,
        restricted=restricted,
        limit=limit,
        settings=SETTINGS,
    )
    own: dict[str, Parameter] = {"members_project": project_id, "members_ids": [segment.id for segment in segments]}
    rows = tables.select(sql, {**compiled.values, **values, **own})
    return [change for row in rows for change in _changes(row, segments)]


def _restricted(scope: Scope) -> tuple[str, dict[str, Parameter]]:
    if scope.contact_ids is not None:
        return " AND contact_id IN {members_contacts:Array(UUID)}", {"members_contacts": scope.contact_ids}
    if scope.partitions is not None:
        return f" AND log_partition IN ({', '.join(str(int(number)) for number in scope.partitions)})", {}
    return "", {}


def _changes(row: Sequence[object], segments: Sequence[Segment]) -> list[Change]:
    contact, email, first_offset, changes = row
    found = []
    for number, entered, _, count, last_ms in changes if isinstance(changes, list) else []:
        segment = segments[int(number) - 1]
        found.append(
            Change(segment, str(contact), str(email), int(str(first_offset)), bool(entered), int(count), int(last_ms))
        )
    return found

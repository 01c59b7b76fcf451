"""Which deliveries are due: decided behind the writer, event by event of those that have a workflow.

A stretch of the log is looked at again where a process ended in between; the same event makes the same delivery.
"""

# ruff: noqa: S608 - what callers choose are parameters; only names and integers of ours stand in the text

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from penstock.clickhouse import Selectable
from penstock.clickhouse.contract import Parameter, Row
from penstock.conditions.compiling import SETTINGS, Scope, compile_conditions
from penstock.conditions.kept import catalog_of, kept_condition
from penstock.deliveries import Delivery
from penstock.errors import TablesRefused
from penstock.registry import Registry
from schemas.ids import derived_event_id
from schemas.registry import Workflow
from schemas.tables import EVENTS
from schemas.times import parse_iso, to_ms

_log = structlog.get_logger(__name__)

EVENT_COLUMNS = "toString(id), name, data, toString(project_id), toString(contact_id), email_id, occurred_at, email"

_OF_WORKFLOWS = """
    project_id IN {projects:Array(UUID)} AND name IN {names:Array(String)} AND log_partition = {partition:UInt16}
    AND log_offset > {after:Int64} AND log_offset <= {through:Int64}
"""

_EVENTS = f"""
SELECT {EVENT_COLUMNS}, toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(received_at), log_offset
FROM {EVENTS} WHERE {_OF_WORKFLOWS}
ORDER BY log_offset, log_index LIMIT {{limit:UInt32}}
SETTINGS max_threads = 1, output_format_json_quote_64bit_integers = 0
"""

_MATCHING = f"""
SELECT toString(event_id) FROM
(
    SELECT id AS event_id, contact_id, data AS trigger_data FROM {EVENTS} WHERE {_OF_WORKFLOWS}
        AND contact_id IN {{contacts:Array(UUID)}}
) AS event
LEFT JOIN ({{contacts_sql}}) AS contact USING contact_id
WHERE {{predicate}}
SETTINGS max_threads = 1, {SETTINGS}
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a partition, without its first offset."""

    partition: int
    after: int
    through: int


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that is due, with the event's row (`EVENT_COLUMNS`)."""

    delivery: Delivery
    event: Row


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans against one state of the registry and of the tables; raises TablesUnavailable where these do not answer."""

    tables: Selectable
    registry: Registry
    now_ms: int

    def due(self, stretch: Stretch, limit: int) -> tuple[list[Due], int]:
        """The deliveries of a stretch, and up to which offset that is: about so many events are looked at together."""
        workflows = [one for one in self.registry.all_workflows() if self.registry.is_sending(one)]
        if not workflows:
            return [], stretch.through
        rows = self.tables.select(_EVENTS, {**_values(workflows, stretch), "limit": limit})
        rows, through = _whole_records(rows, stretch.through, limit)
        if through is None:  # one record holds more events than are taken together
            return self.due(stretch, limit * 4)
        looked_at = Stretch(stretch.partition, stretch.after, through)
        found = []
        for workflow in workflows:
            own = [row for row in rows if _is_of(workflow, row)]
            meeting = self._meeting(workflow, looked_at, own)
            found += [_due(workflow, row, stretch.partition) for row in meeting]
        return found, through

    def _meeting(self, workflow: Workflow, stretch: Stretch, rows: Sequence[Row]) -> Sequence[Row]:
        """Those that meet the workflow's condition."""
        if not workflow.condition or not rows:
            return rows
        condition = kept_condition(workflow.condition)
        people = {str(row[4]): str(row[7]) for row in rows}
        compiled = compile_conditions(
            workflow.project_id,
            [condition],
            catalog_of(self.registry, workflow.project_id, [condition]),
            self.now_ms,
            Scope(emails=list(people.values()), contact_ids=list(people)),
            trigger_data="trigger_data",
        )
        sql = _MATCHING.replace("{contacts_sql}", compiled.contacts).replace("{predicate}", compiled.predicates[0])
        own: dict[str, Parameter] = {**_values([workflow], stretch), "contacts": sorted(people)}
        try:
            meeting = {str(row[0]) for row in self.tables.select(sql, {**compiled.values, **own})}
        except TablesRefused as error:  # a condition that has become too long must not hold up all others
            _log.error("workflow's condition not evaluated", workflow=workflow.id, reason=str(error))
            return []
        return [row for row in rows if row[0] in meeting]


def _values(workflows: Iterable[Workflow], stretch: Stretch) -> dict[str, Parameter]:
    return {
        "projects": sorted({one.project_id for one in workflows}),
        "names": sorted({one.event_name for one in workflows}),
        "partition": stretch.partition,
        "after": stretch.after,
        "through": stretch.through,
    }


def _whole_records(rows: list[Row], through: int, limit: int) -> tuple[list[Row], int | None]:
    """Without the last record's events where there may be more of them."""
    if len(rows) < limit:
        return rows, through
    last = int(str(rows[-1][-1]))
    whole = [row for row in rows if int(str(row[-1])) < last]
    return whole, last - 1 if whole else None


def _is_of(workflow: Workflow, row: Row) -> bool:
    """Whether the event is one that the workflow waits for, and not older than it."""
    if (row[3], row[1]) != (workflow.project_id, workflow.event_name):
        return False
    return int(str(row[-2])) >= to_ms(parse_iso(workflow.created_at))


def _due(workflow: Workflow, row: Row, partition: int) -> Due:
    occurred_ms, received_ms = int(str(row[8])), int(str(row[9]))
    event_id, contact = str(row[0]), str(row[4])
    delivery = Delivery(
        id=derived_event_id(contact, "delivery", f"{workflow.id}:{event_id}"),
        project_id=workflow.project_id,
        workflow_id=workflow.id,
        event_id=event_id,
        occurred_ms=occurred_ms,
        log_partition=partition,
        created_ms=received_ms,
        due_since_ms=received_ms,
        next_attempt_ms=received_ms,
    )
    return Due(delivery, row[:8])

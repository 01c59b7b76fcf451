"""Asking for deliveries again: for one, or for all events of a stretch of time. By rows, which the senders look at."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from penstock.clickhouse.contract import Parameter
from penstock.clickhouse.generations import LiveTables
from penstock.clock import Clock
from penstock.conditions.compiling import SETTINGS, Scope, compile_conditions
from penstock.conditions.kept import catalog_of, kept_condition
from penstock.deliveries import PENDING, Delivery, insert_rows
from penstock.errors import FieldError, ValidationFailed
from penstock.registry import Registry
from query_api.params import Span
from query_api.statements import within_tables
from schemas.registry import Workflow
from schemas.tables import DELIVERIES

_ABOVE_ATTEMPTS = 1000
"""A delivery that is asked for again is newer than what an attempt that is under way makes of it."""

MAX_REPLAYED = 1_000_000

_EVENTS = """
    FROM
    (
        SELECT id AS event_id, contact_id, occurred_at, log_partition, data AS trigger_data FROM events_by_name
        WHERE project_id = {project:UUID} AND name = {name:String}
            AND occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
            AND occurred_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    ) AS event{joined}
"""


@dataclass(frozen=True, slots=True)
class Again:
    """See the module. Blocks: it runs on a reader's threads.

    Attributes:
        live: the tables that have the events, and know those that have the deliveries.
    """

    live: LiveTables
    clock: Clock

    def one(self, delivery: Delivery) -> Delivery:
        """Makes a delivery due, whatever came of it; it is tried for a day from now on.

        Raises:
            TablesUnavailable: not known whether it is; to ask again is harmless.
        """
        now_ms = self.clock.now_ms()
        renewed = msgspec.structs.replace(
            delivery,
            status=PENDING,
            next_attempt_ms=now_ms,
            due_since_ms=now_ms,
            requested_ms=now_ms,
            version=delivery.version + _ABOVE_ATTEMPTS,
        )
        insert_rows(self.live.shared, [renewed])
        return renewed

    def all_of(self, registry: Registry, workflow: Workflow, span: Span) -> int:
        """Makes a delivery of each event of a stretch of time that the workflow's trigger matches; how many that are.

        Raises:
            ValidationFailed: they are too many.
            TablesUnavailable: not known whether they were made; to ask again makes them once more.
        """
        live, now_ms = self.live.refresh(), self.clock.now_ms()
        source, values = self._source(registry, workflow, span, now_ms)
        found = int(str(live.select(f"SELECT count() {source} SETTINGS max_threads = 1, {SETTINGS}", values)[0][0]))
        if found > MAX_REPLAYED:
            message = f"{found:,} events match; {MAX_REPLAYED:,} at most are replayed at once"
            raise ValidationFailed([FieldError("endDate", message, "too_big")])
        now = f"fromUnixTimestamp64Milli(toInt64({now_ms}), 'UTC')"
        live.execute(
            f"INSERT INTO {self.live.shared_database}.{DELIVERIES} (project_id, workflow_id, created_at, id, event_id,"
            " occurred_at, log_partition, status, next_attempt_at, due_since, requested_at, version)"
            " SELECT {project:UUID}, {workflow:UUID}, "
            f"{now}, generateUUIDv4(event_id), event_id, occurred_at, log_partition, '{PENDING}',"
            f" {now}, {now}, {now}, 1 {source} SETTINGS {SETTINGS}",
            {**values, "workflow": workflow.id},
        )
        return found

    def _source(
        self, registry: Registry, workflow: Workflow, span: Span, now_ms: int
    ) -> tuple[str, Mapping[str, Parameter]]:
        values: dict[str, Parameter] = {
            "project": workflow.project_id,
            "name": workflow.event_name,
            "start": within_tables(span.start_ms or 0),
            "end": within_tables(span.end_ms or 0),
        }
        if not workflow.condition:
            return _EVENTS.replace("{joined}", ""), values
        condition = kept_condition(workflow.condition)
        catalog = catalog_of(registry, workflow.project_id, [condition])
        compiled = compile_conditions(
            workflow.project_id, [condition], catalog, now_ms, Scope(), trigger_data="trigger_data"
        )
        joined = f" INNER JOIN ({compiled.contacts}) AS contact USING contact_id WHERE {compiled.predicates[0]}"
        return _EVENTS.replace("{joined}", joined), {**values, **compiled.values}

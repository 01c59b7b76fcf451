"""Deliveries of a workflow: requests to statements. Pure."""

# ruff: noqa: S608 - what callers choose are parameters; only tables, columns and integers of ours stand in the text

from dataclasses import dataclass

from penstock.clickhouse.contract import Parameter
from penstock.deliveries import DELIVERY_COLUMNS
from query_api.statements import Statement, within_tables
from schemas.tables import DELIVERIES, DELIVERY_ATTEMPTS

_OF_WORKFLOW = "project_id = {project:UUID} AND workflow_id = {workflow:UUID}"
_NEWEST_FIRST = "ORDER BY created_at DESC, id DESC"


@dataclass(frozen=True, slots=True)
class DeliveryPlace:
    """Where a page ended; the time is in milliseconds since 1970."""

    created_ms: int
    id: str


@dataclass(frozen=True, slots=True)
class DeliveriesRequest:
    """A page of a workflow's deliveries, newest first.

    Attributes:
        status: only those of this status; "" for all.
        after: where the page before ended; None for the first page.
    """

    project_id: str
    workflow_id: str
    status: str
    limit: int
    after: DeliveryPlace | None


def deliveries_page(asked: DeliveriesRequest) -> Statement:
    """The deliveries, one more than fit on the page where there are more.

    Without a status the page is found by the sort key first; else all deliveries of the workflow are looked at.
    """
    values: dict[str, Parameter] = {"project": asked.project_id, "workflow": asked.workflow_id}
    conditions = _OF_WORKFLOW
    if asked.after is not None:
        conditions += " AND (created_at, id) < (fromUnixTimestamp64Milli({created:Int64}, 'UTC'), {after:UUID})"
        values |= {"created": within_tables(asked.after.created_ms), "after": asked.after.id}
    having = ""
    if asked.status:
        having = "HAVING newest_status = {status:String}"
        values["status"] = asked.status
    else:
        newest = f"{_NEWEST_FIRST} LIMIT {asked.limit + 1}"
        keys = f"SELECT DISTINCT created_at, id FROM {DELIVERIES} WHERE {conditions} {newest}"
        conditions = f"{_OF_WORKFLOW} AND (created_at, id) IN ({keys})"
    sql = (
        f"SELECT {DELIVERY_COLUMNS} FROM {DELIVERIES} WHERE {conditions}"
        f" GROUP BY created_at, id {having} {_NEWEST_FIRST} LIMIT {asked.limit + 1}"
    )
    return Statement("deliveries", sql, values)


def one_delivery(project_id: str, workflow_id: str, delivery_id: str) -> Statement:
    """A delivery, by its id."""
    sql = f"SELECT {DELIVERY_COLUMNS} FROM {DELIVERIES} WHERE {_OF_WORKFLOW} AND id = {{delivery:UUID}} GROUP BY id"
    return Statement("delivery", sql, {"project": project_id, "workflow": workflow_id, "delivery": delivery_id})


def attempts_of(delivery_id: str) -> Statement:
    """The attempts of a delivery, in their order: when, status, milliseconds, error, beginning of the response."""
    sql = f"""
SELECT toUnixTimestamp64Milli(at), (argMax((status_code, duration_ms, error, response), version) AS last).1,
       last.2, last.3, last.4
FROM {DELIVERY_ATTEMPTS} WHERE delivery_id = {{delivery:UUID}}
GROUP BY number, at ORDER BY number, at"""
    return Statement("delivery_attempts", sql, {"delivery": delivery_id})

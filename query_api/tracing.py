"""Where an event is: what the tables know of one id, found without reading what lies around it.

An id that is not derived begins with the millisecond of its receipt. Most events happened when they were received, so
the sort key finds them. Of one that was sent with another time `late_ids` tells the place in the sort key, of a derived
id `derived_ids`. Dead letters have a table that is sorted by event.
"""

# ruff: noqa: S608 - an id is a parameter; what stands in the text are tables and conditions of ours

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from penstock.clickhouse.contract import Parameter, Row
from query_api.statements import Statement, moment, within_tables
from schemas.position import to_token
from schemas.tables import DERIVED_IDS, LATE_IDS
from schemas.times import to_wire
from schemas.topics import Topic

Select = Callable[[Statement], Sequence[Row]]
"""Gives the rows of a statement."""

Trace = dict[str, Any]

_TIME_ORDERED = 7
_SLACK_MS = 1000

_EVENT = (
    "SELECT toString(project_id), name, toString(contact_id), toUnixTimestamp64Milli(received_at), log_partition, "
    "log_offset, log_index, toUnixTimestamp64Milli(stored_at) FROM events WHERE "
)
_FIRST = " ORDER BY log_offset LIMIT 1"
_OF_PROJECT = "project_id = {project:UUID} AND "


def trace_event(select: Select, event_id: str, project_id: str | None = None) -> Trace | None:
    """What is known of the event, as the body of an answer; None for nothing.

    Args:
        event_id: a UUID in lower case.
        project_id: whose event it must be; None for any project's.
    """
    known: dict[str, Parameter] = {"id": event_id}
    if project_id is not None:
        known["project"] = project_id
    trace = None
    if UUID(event_id).version == _TIME_ORDERED:
        trace = _by_time(select, known) or _by_id(select, known, LATE_IDS)
    return trace or _by_id(select, known, DERIVED_IDS) or _dead(select, known)


def untraceable(event_id: str, age_ms: int) -> str:
    """What to say of an id of which nothing is known, where the view is `age_ms` old."""
    if age_ms:
        return (
            f"Nothing is known of the event {event_id} yet. The view is {age_ms} ms old: if the event was accepted "
            "since, it is in the log and will be stored"
        )
    deleted = "" if UUID(event_id).version != _TIME_ORDERED else ", or it was deleted, with its name or its contact"
    return f"There is no event {event_id}: all that was accepted is stored, and it is not among it{deleted}"


def _condition(known: Mapping[str, Parameter]) -> str:
    return _OF_PROJECT if "project" in known else ""


def _by_time(select: Select, known: Mapping[str, Parameter]) -> Trace | None:
    """Where it happened when it was received, or about then."""
    received_ms = UUID(str(known["id"])).int >> 80
    bounds = {"first": within_tables(received_ms - _SLACK_MS), "last": within_tables(received_ms + _SLACK_MS)}
    sql = (
        f"{_EVENT}{_condition(known)}occurred_at >= {moment('first')} AND occurred_at <= {moment('last')} "
        f"AND id = {{id:UUID}}{_FIRST}"
    )
    rows = select(Statement("trace", sql, {**known, **bounds}))
    return _stored(select, known, rows[0]) if rows else None


def _by_id(select: Select, known: Mapping[str, Parameter], table: str) -> Trace | None:
    """The table's row stays when the event goes: so what was deleted can be told from what never was."""
    sql = (
        f"SELECT toString(project_id), toUnixTimestamp64Milli(occurred_at), log_partition, log_offset FROM {table} "
        f"WHERE {_condition(known)}id = {{id:UUID}}{_FIRST}"
    )
    for project, occurred_ms, partition, offset in select(Statement("trace", sql, known)):
        sql = f"{_EVENT}{_OF_PROJECT}occurred_at = {moment('occurred')} AND id = {{id:UUID}}{_FIRST}"
        values: dict[str, Parameter] = {**known, "project": str(project), "occurred": _integer(occurred_ms)}
        if rows := select(Statement("trace", sql, values)):
            return _stored(select, known, rows[0])
        return {
            "id": known["id"],
            "status": "deleted",
            "projectId": project,
            **_place(_integer(partition), _integer(offset)),
        }
    return None


def _stored(select: Select, known: Mapping[str, Parameter], row: Row) -> Trace:
    project, name, contact, *numbers = row
    received_ms, partition, offset, index, stored_ms = map(_integer, numbers)
    stored_at = to_wire(stored_ms)
    return {
        "id": known["id"],
        "status": "stored",
        "projectId": project,
        "name": name,
        "contactId": contact,
        "acceptedAt": to_wire(received_ms),
        **_place(partition, offset, index),
        "stored": {"at": stored_at, **_batch(select, partition, offset)},
        "visibleAt": stored_at,
    }


def _place(partition: int, offset: int, index: int | None = None) -> Trace:
    log = {"topic": str(Topic.EVENTS), "partition": partition, "offset": offset}
    return {"log": log if index is None else {**log, "index": index}, "position": to_token({partition: offset})}


def _batch(select: Select, partition: int, offset: int) -> dict[str, int]:
    """Of the batches that were announced with this offset the one of the highest epoch was carried out.

    Those of writers that were fenced may reach over it, but never beyond the next few.
    """
    sql = (
        "SELECT first_offset, last_offset FROM (SELECT first_offset, last_offset, epoch FROM batches WHERE "
        "log_partition = {partition:UInt16} AND last_offset >= {offset:UInt64} ORDER BY log_partition, last_offset "
        "LIMIT 16) WHERE first_offset <= {offset:UInt64} ORDER BY epoch DESC LIMIT 1"
    )
    rows = select(Statement("trace", sql, {"partition": partition, "offset": offset}))
    return {"firstOffset": _integer(rows[0][0]), "lastOffset": _integer(rows[0][1])} if rows else {}


def _dead(select: Select, known: Mapping[str, Parameter]) -> Trace | None:
    sql = (
        "SELECT toString(project_id), name, toString(contact_id), toUnixTimestamp64Milli(received_at), log_partition, "
        "log_offset, log_index, reason, toUnixTimestamp64Milli(dead_at) FROM dead_letters "
        f"WHERE {_condition(known)}id = {{id:UUID}} AND log_index >= 0 ORDER BY log_offset DESC LIMIT 1"
    )
    for row in select(Statement("trace", sql, known)):
        project, name, contact, received, *place, reason, dead = row
        partition, offset, index = map(_integer, place)
        known_of_it = {"name": name, "contactId": contact if UUID(str(contact)).int else ""}
        accepted = {"acceptedAt": to_wire(_integer(received)) if _integer(received) else ""}
        letter = f"{Topic.EVENTS}/{partition}/{offset}/{index}"
        return {
            "id": known["id"],
            "status": "dead",
            "projectId": project,
            **{member: value for member, value in {**known_of_it, **accepted}.items() if value},
            **_place(partition, offset, index),
            "deadLetter": {"id": letter, "reason": reason, "deadAt": to_wire(_integer(dead))},
        }
    return None


def _integer(value: object) -> int:
    return int(str(value))

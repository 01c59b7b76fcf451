"""Deliveries to the bodies of answers, as bytes. Pure."""

from collections.abc import Iterable, Sequence

import msgspec

from penstock.clickhouse.contract import Row
from penstock.deliveries import DEAD, DELIVERED, Delivery
from query_api.list_cursor import ListPlace, to_token
from schemas.times import to_wire

_encode = msgspec.json.encode


def deliveries_body(page: Sequence[Delivery], limit: int) -> bytes:
    """A page of deliveries, of which one more than `limit` says that there is a next page."""
    cursor = None
    if len(page) > limit:
        last = page[limit - 1]
        cursor = to_token("deliveries", ListPlace(to_wire(last.created_ms), last.id))
    return _encode({"deliveries": [_members(one) for one in page[:limit]], "cursor": cursor})


def delivery_body(delivery: Delivery, attempts: Iterable[Row]) -> bytes:
    """One delivery, with each of its attempts."""
    found = [_attempt(row) for row in attempts]
    return _encode({**_members(delivery), "attempts": found, "attemptCount": len(found)})


def replayed_body(deliveries: int) -> bytes:
    """How many deliveries a replay has made."""
    return _encode({"deliveries": deliveries, "status": "pending"})


def _members(one: Delivery) -> dict[str, object]:
    members: dict[str, object] = {
        "id": one.id,
        "eventId": one.event_id,
        "status": one.status,
        "attempts": one.attempts,
        "createdAt": to_wire(one.created_ms),
    }
    if one.last_status_code:
        members["lastStatusCode"] = one.last_status_code
    if one.last_error:
        members["lastError"] = one.last_error
    if one.next_attempt_ms and one.status not in (DELIVERED, DEAD):
        members["nextAttemptAt"] = to_wire(one.next_attempt_ms)
    return members


def _attempt(row: Row) -> dict[str, object]:
    at_ms, status_code, duration_ms, error, response = row
    return {
        "at": to_wire(int(str(at_ms))),
        "statusCode": status_code or None,
        "durationMs": duration_ms,
        "error": error or None,
        "response": response,
    }

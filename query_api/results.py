"""Rows of the tables to the bodies of answers, as bytes. Pure.

An event's `data` is the JSON text that its producer sent: it is put into the body as it is, never decoded.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from penstock.clickhouse.contract import Row
from query_api.adding import Series
from query_api.cursor import Place, to_token
from schemas.times import from_ms, parse_iso, to_ms

_NULL = msgspec.Raw(b"null")
_encode = msgspec.json.encode


def events_body(rows: Sequence[Row], limit: int) -> bytes:
    """A page of events.

    Args:
        rows: as `queries.events_page` and `contact_page` select them, one more than `limit` where there is a next page.
            With a last column for the address, rows have a `contact`.
    """
    page = rows[:limit]
    cursor = _cursor_behind(page[-1]) if len(rows) > limit else None
    return _encode({"events": [_event(row) for row in page], "cursor": cursor})


def _event(row: Row) -> dict[str, object]:
    event_id, name, data, project_id, contact_id, email_id, occurred_at, *email = row
    body: dict[str, object] = {
        "id": event_id,
        "name": name,
        "data": msgspec.Raw(str(data).encode()) if data else _NULL,
        "projectId": project_id,
        "contactId": contact_id,
        "emailId": email_id or None,
        "createdAt": _wire_time(occurred_at),
    }
    if email:
        body["contact"] = {"email": email[0]} if email[0] else None
    return body


def _wire_time(occurred_at: object) -> str:
    """`2026-11-23 07:00:00.000`, as the tables write UTC, in ISO 8601."""
    return str(occurred_at).replace(" ", "T") + "Z"


def _cursor_behind(row: Row) -> str:
    return to_token(Place(to_ms(parse_iso(_wire_time(row[6]))), str(row[0])))


def trace_body(trace: Mapping[str, object]) -> bytes:
    """Where an event is."""
    return _encode(trace)


def names_body(rows: Iterable[Row]) -> bytes:
    """The names, in the order of the rows."""
    return _encode({"eventNames": [row[0] for row in rows]})


def stats_body(rows: Iterable[Row]) -> bytes:
    """Name and count, in the order of the rows."""
    return _encode([{"name": row[0], "count": row[1]} for row in rows])


def series_body(all_series: Iterable[Series], boundaries: Sequence[int]) -> bytes:
    """Name, count and all buckets, empty ones too, in the order given.

    Args:
        boundaries: where buckets begin, and the last one ends, in seconds since 1970.
    """
    begins = [b'{"start":"%b","count":' % _start(second) for second in boundaries[:-1]]
    return b"[%b]" % b",".join(_series(one, boundaries, begins) for one in all_series)


def _series(one: Series, boundaries: Sequence[int], begins: Sequence[bytes]) -> bytes:
    found = one.buckets
    buckets = [b"%b%d}" % (begin, found.get(second, 0)) for second, begin in zip(boundaries, begins, strict=False)]
    return b'{"name":%b,"count":%d,"buckets":[%b]}' % (_encode(one.name), one.total, b",".join(buckets))


def deleted_body(events: int | None) -> tuple[int, bytes]:
    """Status and body of a deletion; None where it is not confirmed yet."""
    if events is None:
        return 202, _encode({"deletedCount": None, "status": "pending"})
    return 200, _encode({"deletedCount": events})


def _start(unix_seconds: int) -> bytes:
    return from_ms(unix_seconds * 1000).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()

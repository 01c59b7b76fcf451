"""Rows of the tables to the bodies of answers, as bytes. Pure.

An event's `data` is the JSON text that its producer sent: it is put into the body as it is, never decoded.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from penstock.clickhouse.contract import Row
from query_api.adding import Series
from query_api.cursor import Place, to_token
from query_api.uses import Uses
from schemas.event_row import event_members, wire_time
from schemas.times import from_ms, parse_iso, to_ms

_encode = msgspec.json.encode


def events_body(rows: Sequence[Row], limit: int) -> bytes:
    """A page of events.

    Args:
        rows: as `queries.events_page` and `contact_page` select them, one more than `limit` where there is a next page.
            With a last column for the address, rows have a `contact`.
    """
    page = rows[:limit]
    cursor = _cursor_behind(page[-1]) if len(rows) > limit else None
    return _encode({"events": [event_members(row) for row in page], "cursor": cursor})


def _cursor_behind(row: Row) -> str:
    return to_token(Place(to_ms(parse_iso(wire_time(row[6]))), str(row[0])))


def trace_body(trace: Mapping[str, object]) -> bytes:
    """Where an event is."""
    return _encode(trace)


def names_body(rows: Iterable[Row]) -> bytes:
    """The names, in the order of the rows."""
    return _encode({"eventNames": [row[0] for row in rows]})


def usage_body(uses: Uses, total: int, contacts: int, *, can_delete: bool) -> bytes:
    """Who uses the events of a name, how many there are, and how many contacts have some."""
    counts = {"totalCount": total, "uniqueContacts": contacts, "canDelete": can_delete}
    return _encode({**uses.members(), **counts})


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

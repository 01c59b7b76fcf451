"""What each route is asked: raw parameters to frozen requests. Pure.

Times are milliseconds since 1970 and ranges half-open, whatever the client wrote.
"""

from dataclasses import dataclass
from datetime import UTC, tzinfo

from query_api.buckets import Interval
from query_api.cursor import Place
from query_api.fields import Fields

DEFAULT_LIMIT = 100
DEFAULT_CONTACT_LIMIT = 50


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_ms` up to, but not including, `end_ms`; None where that side is open."""

    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class EventsRequest:
    """A page of a project's events, newest first.

    Attributes:
        event_name: only events of exactly this name; None for all.
        before: where the page before ended; None for the first page.
    """

    event_name: str | None = None
    span: Span = Span()
    limit: int = DEFAULT_LIMIT
    before: Place | None = None


@dataclass(frozen=True, slots=True)
class ContactRequest:
    """A page of a contact's events, newest first."""

    contact_id: str
    limit: int = DEFAULT_CONTACT_LIMIT
    before: Place | None = None


@dataclass(frozen=True, slots=True)
class StatsRequest:
    """How many events there are of each name.

    Attributes:
        interval: also how many in each of these intervals of `zone`; None for totals only.
    """

    event_name: str | None = None
    span: Span = Span()
    interval: Interval | None = None
    zone: tzinfo = UTC


def events_request(fields: Fields) -> EventsRequest:
    """The parameters of the list of events."""
    return EventsRequest(
        event_name=fields.text("eventName"),
        span=_span(fields),
        limit=fields.limit(DEFAULT_LIMIT),
        before=fields.cursor(),
    )


def contact_request(fields: Fields) -> ContactRequest:
    """The parameters of the list of a contact's events; the path's `contactId` stands among the values."""
    return ContactRequest(
        contact_id=fields.uuid("contactId"),
        limit=fields.limit(DEFAULT_CONTACT_LIMIT),
        before=fields.cursor(),
    )


def stats_request(fields: Fields) -> StatsRequest:
    """The parameters of the statistics."""
    zone = fields.zone()
    return StatsRequest(
        event_name=fields.text("eventName"),
        span=_span(fields, zone),
        interval=fields.interval(),
        zone=zone,
    )


def _span(fields: Fields, zone: tzinfo = UTC) -> Span:
    start = fields.moment("startDate", zone)
    end = fields.moment("endDate", zone)
    if start and end and start.first_us > end.last_us:
        fields.wrong("startDate", "Must not be after endDate", "custom")
    return Span(start.start_ms if start else None, end.end_ms if end else None)

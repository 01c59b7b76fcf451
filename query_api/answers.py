"""Answers to requests: which statements to ask, and the body of their rows. Blocks, so it runs on a reader's thread."""

from penstock.errors import FieldError, NotFound, ValidationFailed
from penstock.registry import Registry
from query_api.adding import series, totals
from query_api.buckets import MAX_BUCKETS, Interval, TooManyBuckets, boundaries
from query_api.counting import CountRequest, count_statements
from query_api.params import ContactRequest, EventsRequest, Span, StatsRequest
from query_api.queries import contact_page, edge_event, event_usage, events_page, names_by_count
from query_api.reader import Reader
from query_api.results import events_body, names_body, series_body, stats_body, trace_body, usage_body
from query_api.tracing import trace_event, untraceable
from query_api.uses import uses_of_event
from schemas.names import is_reserved

MAX_BUCKETS_IN_ALL = 1_000_000
"""Of all names together: some 50 MB of JSON."""

_NOTHING = b"[]"


def events(reader: Reader, project_id: str, asked: EventsRequest) -> bytes:
    """A page of events."""
    return events_body(reader.select(events_page(project_id, asked)), asked.limit)


def contact_events(reader: Reader, project_id: str, asked: ContactRequest) -> bytes:
    """A page of a contact's events; an empty one where there is no such contact."""
    return events_body(reader.select(contact_page(project_id, asked)), asked.limit)


def trace(reader: Reader, project_id: str, event_id: str, age_ms: int) -> bytes:
    """Where an event is.

    Args:
        age_ms: how old the view is.

    Raises:
        NotFound: nothing is known of it, in this project.
    """
    found = trace_event(reader.select, event_id, project_id)
    if found is None:
        missing = NotFound(untraceable(event_id, age_ms))
        missing.headers["X-Data-Age-Ms"] = str(age_ms)
        raise missing
    return trace_body(found)


def names(reader: Reader, project_id: str) -> bytes:
    """All names."""
    return names_body(reader.select(names_by_count(project_id)))


def usage(reader: Reader, registry: Registry, project_id: str, name: str) -> bytes:
    """Who uses the events of a name, and how many there are."""
    uses = uses_of_event(registry, project_id, name)
    total, contacts = (int(str(count)) for count in reader.select(event_usage(project_id, name))[0])
    return usage_body(uses, total, contacts, can_delete=not uses and not is_reserved(name))


def stats(reader: Reader, project_id: str, asked: StatsRequest) -> bytes:
    """Counts by name, and by bucket where an interval is given.

    Raises:
        ValidationFailed: there would be too many buckets.
    """
    if asked.interval is not None:
        return _series(reader, project_id, asked, asked.interval)
    if asked.span == Span():
        return stats_body(reader.select(names_by_count(project_id, asked.event_name)))
    statements = count_statements(CountRequest(project_id, asked.event_name, asked.span))
    return stats_body(totals(reader.select_all(statements)))


def _series(reader: Reader, project_id: str, asked: StatsRequest, interval: Interval) -> bytes:
    edges = _edges(reader, project_id, asked)
    if edges is None:
        return _NOTHING
    begins = _boundaries(*edges, asked, interval)
    span = Span(
        begins[0] * 1000 if asked.span.start_ms is None else asked.span.start_ms,
        begins[-1] * 1000 if asked.span.end_ms is None else asked.span.end_ms,
    )
    found = series(reader.select_all(count_statements(CountRequest(project_id, asked.event_name, span, begins))))
    if len(found) * (len(begins) - 1) > MAX_BUCKETS_IN_ALL:
        raise _too_big(
            f"More than {MAX_BUCKETS_IN_ALL} buckets of {len(found)} names; give an eventName or fewer buckets"
        )
    return series_body(found, begins)


def _edges(reader: Reader, project_id: str, asked: StatsRequest) -> tuple[int, int] | None:
    """The first and the last moment of the buckets; None where there is nothing between them."""
    first, last = asked.span.start_ms, asked.span.end_ms
    if first is None:
        first = _edge_event(reader, project_id, asked, newest=False)
    last = _edge_event(reader, project_id, asked, newest=True) if last is None else last - 1
    return None if first is None or last is None or last < first else (first, last)


def _edge_event(reader: Reader, project_id: str, asked: StatsRequest, *, newest: bool) -> int | None:
    rows = reader.select(edge_event(project_id, asked.event_name, asked.span, newest=newest))
    return int(str(rows[0][0])) if rows else None


def _boundaries(first_ms: int, last_ms: int, asked: StatsRequest, interval: Interval) -> list[int]:
    try:
        return boundaries(first_ms // 1000, last_ms // 1000, interval, asked.zone)
    except TooManyBuckets as error:
        raise _too_big(f"More than {MAX_BUCKETS} buckets between the two dates") from error


def _too_big(message: str) -> ValidationFailed:
    return ValidationFailed([FieldError("interval", message, "too_big")])

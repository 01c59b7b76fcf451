"""Times: milliseconds since 1970 (UTC) inside, ISO 8601 with milliseconds and `Z` on the wire."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:[Zz]|[+-]\d{2}(?::?\d{2})?)?)?", re.ASCII
)


def to_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970 of an aware `moment`; a fraction of a millisecond is dropped."""
    return (moment - EPOCH) // _MILLISECOND


def from_ms(unix_ms: int) -> datetime:
    """The aware UTC moment."""
    return EPOCH + timedelta(milliseconds=unix_ms)


@lru_cache(maxsize=1024)  # the requests of one millisecond share the text
def to_wire(unix_ms: int) -> str:
    """`2026-11-23T07:00:00.000Z`."""
    return from_ms(unix_ms).strftime("%Y-%m-%dT%H:%M:%S") + f".{unix_ms % 1000:03d}Z"


def parse_iso(text: str) -> datetime:
    """The aware moment that `text` names; one without a zone is UTC, one without a time is that day's start.

    The calendar form of ISO 8601, with `-` and `:`; a blank may stand for the `T`. Digits after the microseconds are
    dropped.

    Raises:
        ValueError: `text` is no such date, or date and time.
    """
    if not _ISO.fullmatch(text):
        raise ValueError("not an ISO 8601 date or time")
    moment = datetime.fromisoformat(text.upper())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment

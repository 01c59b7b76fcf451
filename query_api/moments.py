"""Moments and days as parameters name them: ISO 8601 text, in a time zone, as milliseconds since 1970."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from query_api.zones import day_start, instant_of
from schemas.times import EPOCH, parse_iso, to_ms

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LOST_PLUS = re.compile(r"(\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?) (\d{2}(?::?\d{2})?)", re.ASCII)
_DESIGNATORS = frozenset("Zz+-")
_MILLISECOND = timedelta(milliseconds=1)

_FIRST_DAY = date(2, 1, 1)
_LAST_DAY = date(9998, 12, 31)
_MIN_MS = to_ms(datetime(2, 1, 1, tzinfo=UTC))
_MAX_MS = to_ms(datetime(9999, 1, 1, tzinfo=UTC))
"""Dates beyond are taken for these: valid all the same, and no arithmetic on them leaves the calendar."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a text names, a moment or a whole day: half-open, in milliseconds since 1970."""

    start_ms: int
    end_ms: int


def parse_stretch(text: str, zone: tzinfo) -> Stretch:
    """The stretch that `text` names.

    Args:
        text: ISO 8601. A date is the whole day, and a time without an offset a local one, both in `zone`. The `+` of an
            offset may be a blank, as which it arrives where a client does not encode it.

    Raises:
        ValueError: `text` is no date or time.
    """
    if _DATE.fullmatch(text):
        return _day(date.fromisoformat(text), zone)
    text = _LOST_PLUS.sub(r"\1+\2", text)
    moment = parse_iso(text)
    if not _DESIGNATORS.intersection(text[10:]) and _FIRST_DAY <= moment.date() <= _LAST_DAY:
        seconds = instant_of(moment.replace(tzinfo=None, microsecond=0), zone)
        moment = EPOCH + timedelta(seconds=seconds, microseconds=moment.microsecond)
    return _moment(moment)


def _day(day: date, zone: tzinfo) -> Stretch:
    day = min(max(day, _FIRST_DAY), _LAST_DAY)
    return Stretch(day_start(day, zone) * 1000, day_start(day + timedelta(days=1), zone) * 1000)


def _moment(moment: datetime) -> Stretch:
    """The millisecond at `moment`; one between two milliseconds begins at the later and ends with the earlier."""
    below = to_ms(moment)
    above = -((EPOCH - moment) // _MILLISECOND)
    return Stretch(_clamped(above), _clamped(below) + 1)


def _clamped(unix_ms: int) -> int:
    return min(max(unix_ms, _MIN_MS), _MAX_MS)

"""Moments and days as parameters name them: ISO 8601 text, in a time zone, as milliseconds since 1970."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from query_api.zones import day_start, instant_of
from schemas.times import EPOCH, parse_iso, to_ms

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LOST_PLUS = re.compile(r"(\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?) (\d{2}(?::?\d{2})?)", re.ASCII)
_DESIGNATORS = frozenset("Zz+-")
_BEYOND_MICROSECONDS = re.compile(r"[.,]\d{6}\d*[1-9]", re.ASCII)
_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000

_FIRST_DAY = date(2, 1, 1)
_LAST_DAY = date(9998, 12, 31)
_MIN_MS = to_ms(datetime(2, 1, 1, tzinfo=UTC))
_MAX_MS = to_ms(datetime(9999, 1, 1, tzinfo=UTC))
"""Dates beyond are taken for these: valid all the same, and no arithmetic on them leaves the calendar."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a text names, a moment or a whole day.

    Attributes:
        start_ms, end_ms: the milliseconds since 1970 that lie in it, half-open.
        first_us, last_us: its ends, to the microsecond, also where the calendar of `start_ms` and `end_ms` ends.
    """

    start_ms: int
    end_ms: int
    first_us: int
    last_us: int


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
    return _moment(moment, is_behind=bool(_BEYOND_MICROSECONDS.search(text)))


def _day(day: date, zone: tzinfo) -> Stretch:
    near = min(max(day, _FIRST_DAY), _LAST_DAY)
    start, end = (day_start(one, zone) for one in (near, near + timedelta(days=1)))
    first_us = start * 1_000_000 + (day - near).days * _DAY_US
    last_us = first_us + max(0, (end - start) * 1_000_000 - 1)  # a day that the zone skipped has no length
    return Stretch(start * 1000, end * 1000, first_us, last_us)


def _moment(moment: datetime, *, is_behind: bool) -> Stretch:
    """The millisecond at `moment`; one between two milliseconds begins at the later and ends with the earlier.

    Args:
        is_behind: whether the moment that is meant lies less than a microsecond behind `moment`.
    """
    below = to_ms(moment)
    above = -((EPOCH - moment) // _MILLISECOND)
    exact_us = (moment - EPOCH) // _MICROSECOND
    return Stretch(_clamped(above + (is_behind and above == below)), _clamped(below) + 1, exact_us, exact_us)


def _clamped(unix_ms: int) -> int:
    return min(max(unix_ms, _MIN_MS), _MAX_MS)

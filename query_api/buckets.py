"""Buckets of time: where the hours, days, weeks and months of a time zone begin.

Clocks that are turned are why this is not arithmetic: a day may have 23 or 25 hours, or begin at one o'clock, or be
missing; an hour may come twice, which makes two buckets.
"""

from collections.abc import Iterator
from datetime import date, timedelta, tzinfo
from enum import StrEnum

from query_api.zones import change_after, day_start, local_date, offset_at

MAX_BUCKETS = 10_000
_HOUR = 3600


class Interval(StrEnum):
    """How long a bucket is."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class TooManyBuckets(ValueError):
    """The range has more than `MAX_BUCKETS` of them."""


def boundaries(first: int, last: int, interval: Interval, zone: tzinfo) -> list[int]:
    """Where the buckets begin that hold everything from `first` to `last` (seconds since 1970, inclusive).

    Returns:
        Ascending seconds since 1970, one more than there are buckets: the last is the end of the last bucket.

    Raises:
        TooManyBuckets: found before more than that many are made.
    """
    begins = _hours(first, zone) if interval is Interval.HOUR else _calendar(first, interval, zone)
    found = [next(begins)]
    while found[-1] <= last:
        if len(found) > MAX_BUCKETS:
            raise TooManyBuckets(f"More than {MAX_BUCKETS} buckets")
        begin = next(begins)
        if begin <= first:
            found = [begin]
        elif begin > found[-1]:  # a skipped day begins with the next one
            found.append(begin)
    return found


def _hours(first: int, zone: tzinfo) -> Iterator[int]:
    """From an hour that has begun by `first`; where clocks were turned within it, the next one has begun as well."""
    begin = first - (first + offset_at(first, zone)) % _HOUR
    while True:
        yield begin
        begin = _next_hour(begin, zone)


def _next_hour(begin: int, zone: tzinfo) -> int:
    """The next full local hour, or the moment before it when clocks are turned."""
    offset = offset_at(begin, zone)
    following = begin + _HOUR - (begin + offset) % _HOUR
    return following if offset_at(following, zone) == offset else change_after(begin, following, zone)


def _calendar(first: int, interval: Interval, zone: tzinfo) -> Iterator[int]:
    day = _floor(local_date(first, zone), interval)
    while True:
        yield day_start(day, zone)
        day = _following(day, interval)


def _floor(day: date, interval: Interval) -> date:
    if interval is Interval.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval is Interval.MONTH else day


def _following(day: date, interval: Interval) -> date:
    if interval is Interval.MONTH:
        return (day + timedelta(days=31)).replace(day=1)
    return day + timedelta(days=7 if interval is Interval.WEEK else 1)

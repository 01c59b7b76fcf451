"""Local time: from the calendar of a zone to seconds since 1970, where clocks are turned as well."""

from datetime import date, datetime, time, tzinfo
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from schemas.times import EPOCH


class UnknownZone(ValueError):
    """There is no such zone in the IANA data base."""


@cache
def _names() -> frozenset[str]:
    """Not those of this machine, among which is `localtime`: what a name means must not depend on where we run."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def find_zone(name: str) -> ZoneInfo:
    """The zone of that name; looked up among all names first, as `name` is the caller's and zones are read from files.

    Raises:
        UnknownZone: there is none.
    """
    if name not in _names():
        raise UnknownZone(name)
    return ZoneInfo(name)


def offset_at(unix_seconds: int, zone: tzinfo) -> int:
    """How far local time is ahead of UTC then, in seconds."""
    offset = datetime.fromtimestamp(unix_seconds, zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def change_after(low: int, high: int, zone: tzinfo) -> int:
    """The first second in (low, high] with the offset of `high`; the offsets of the two differ."""
    wanted = offset_at(high, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(middle, zone) == wanted:
            high = middle
        else:
            low = middle
    return high


def instant_of(local: datetime, zone: tzinfo) -> int:
    """When local clocks first show `local`; where they skip it, the moment at which they skip."""
    by_offset_before = _seconds(local.replace(tzinfo=zone, fold=0))
    by_offset_after = _seconds(local.replace(tzinfo=zone, fold=1))
    if by_offset_after < by_offset_before:  # only where clocks are put forward over `local`
        return change_after(by_offset_after, by_offset_before, zone)
    return by_offset_before


def day_start(day: date, zone: tzinfo) -> int:
    """When `day` begins in `zone`; a day that the zone skipped begins, and ends, with the next one."""
    return instant_of(datetime.combine(day, time()), zone)


def local_date(unix_seconds: int, zone: tzinfo) -> date:
    """What the calendar shows then."""
    return datetime.fromtimestamp(unix_seconds, zone).date()


def _seconds(moment: datetime) -> int:
    return int((moment - EPOCH).total_seconds())

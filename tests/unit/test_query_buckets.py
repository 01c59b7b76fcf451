"""Where buckets begin, above all where clocks are turned."""

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query_api.buckets import MAX_BUCKETS, Interval, TooManyBuckets, boundaries
from schemas.times import parse_iso

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "America/St_Johns",
    "America/Havana",
    "Africa/Casablanca",
    "Pacific/Chatham",
]


def seconds(text: str) -> int:
    return int(parse_iso(text).timestamp())


def local(bounds: list[int], zone: str) -> list[str]:
    return [datetime.fromtimestamp(bound, ZoneInfo(zone)).strftime("%m-%d %H:%M%z") for bound in bounds]


def of(first: str, last: str, interval: str, zone: str) -> list[str]:
    return local(boundaries(seconds(first), seconds(last), Interval(interval), ZoneInfo(zone)), zone)


def hours(bounds: list[int]) -> list[float]:
    return [(end - begin) / 3600 for begin, end in pairwise(bounds)]


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Asia/Kolkata", "2026-03-29", 24),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("America/Sao_Paulo", "2018-11-04", 23),
        ("America/Sao_Paulo", "2018-02-17", 25),
        ("America/Havana", "2026-11-01", 25),
    ],
)
def test_a_day_lasts_from_its_first_moment_to_the_next_days(zone: str, day: str, length: float) -> None:
    noon = int(datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone)).timestamp())
    bounds = boundaries(noon, noon, Interval.DAY, ZoneInfo(zone))
    assert hours(bounds) == [length]
    assert local(bounds, zone)[0].startswith(day[5:])


def test_a_day_without_midnight_begins_at_one() -> None:
    assert of("2018-11-03T12:00Z", "2018-11-04T12:00Z", "day", "America/Sao_Paulo") == [
        "11-03 00:00-0300",
        "11-04 01:00-0200",
        "11-05 00:00-0200",
    ]


def test_a_day_that_was_skipped_is_no_bucket() -> None:
    assert of("2011-12-29T12:00Z", "2011-12-31T00:00Z", "day", "Pacific/Apia") == [
        "12-29 00:00-1000",
        "12-31 00:00+1400",
        "01-01 00:00+1400",
    ]


def test_the_hour_that_comes_twice_is_two_buckets() -> None:
    assert of("2026-10-25T00:00Z", "2026-10-25T02:00Z", "hour", "Europe/Berlin") == [
        "10-25 02:00+0200",
        "10-25 02:00+0100",
        "10-25 03:00+0100",
        "10-25 04:00+0100",
    ]


def test_the_hour_that_is_skipped_is_no_bucket() -> None:
    assert of("2026-03-29T00:30Z", "2026-03-29T01:00Z", "hour", "Europe/Berlin") == [
        "03-29 01:00+0100",
        "03-29 03:00+0200",
        "03-29 04:00+0200",
    ]


def test_clocks_turned_by_half_an_hour_make_short_hours() -> None:
    assert of("2026-04-04T14:00Z", "2026-04-04T15:45Z", "hour", "Australia/Lord_Howe") == [
        "04-05 01:00+1100",
        "04-05 01:30+1030",
        "04-05 02:00+1030",
        "04-05 03:00+1030",
    ]
    assert of("2026-10-03T15:00Z", "2026-10-03T16:15Z", "hour", "Australia/Lord_Howe") == [
        "10-04 01:00+1030",
        "10-04 02:30+1100",
        "10-04 03:00+1100",
        "10-04 04:00+1100",
    ]


def test_the_first_hour_begins_where_clocks_were_turned_within_it() -> None:
    assert of("2026-04-04T15:15Z", "2026-04-04T15:15Z", "hour", "Australia/Lord_Howe") == [
        "04-05 01:30+1030",
        "04-05 02:00+1030",
    ]


def test_clocks_turned_a_minute_after_midnight_end_an_hour_there() -> None:
    assert of("2008-11-02T02:00Z", "2008-11-02T02:45Z", "hour", "America/St_Johns") == [
        "11-01 23:00-0230",
        "11-02 00:00-0230",
        "11-01 23:01-0330",
        "11-02 00:00-0330",
    ]


def test_a_day_begins_when_its_date_first_shows_though_clocks_go_back_behind_it() -> None:
    assert of("2008-11-02T02:45Z", "2008-11-02T02:45Z", "day", "America/St_Johns") == [
        "11-02 00:00-0230",
        "11-03 00:00-0330",
    ]


def test_hours_begin_at_half_past_in_a_zone_with_half_hours() -> None:
    assert of("2026-01-01T00:29:59Z", "2026-01-01T00:30Z", "hour", "Asia/Kolkata") == [
        "01-01 05:00+0530",
        "01-01 06:00+0530",
        "01-01 07:00+0530",
    ]


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    assert of("2026-03-01T12:00Z", "2026-03-02T12:00Z", "week", "UTC") == [
        "02-23 00:00+0000",
        "03-02 00:00+0000",
        "03-09 00:00+0000",
    ]
    assert of("2026-02-28T12:00Z", "2026-03-31T22:00Z", "month", "Europe/Berlin") == [
        "02-01 00:00+0100",
        "03-01 00:00+0100",
        "04-01 00:00+0200",
        "05-01 00:00+0200",
    ]


def test_a_month_begins_in_another_year() -> None:
    assert of("2025-12-31T23:00Z", "2026-12-31T22:00Z", "month", "Europe/Berlin")[0] == "01-01 00:00+0100"


def test_exactly_as_many_buckets_as_are_allowed() -> None:
    first = seconds("2026-01-01")
    last = first + MAX_BUCKETS * 3600
    assert len(boundaries(first, last - 1, Interval.HOUR, ZoneInfo("UTC"))) == MAX_BUCKETS + 1
    with pytest.raises(TooManyBuckets):
        boundaries(first, last, Interval.HOUR, ZoneInfo("UTC"))


@settings(max_examples=300, deadline=None)
@given(
    st.integers(seconds("1972-01-01"), seconds("2060-01-01")),
    st.integers(0, 40 * 86_400),
    st.sampled_from(Interval),
    st.sampled_from(ZONES),
)
def test_buckets_cover_the_range_without_a_gap(first: int, length: int, interval: Interval, zone: str) -> None:
    bounds = boundaries(first, first + length, interval, ZoneInfo(zone))
    assert bounds[0] <= first < bounds[1]
    assert bounds[-2] <= first + length < bounds[-1]
    assert all(begin < end for begin, end in pairwise(bounds))
    # two hours more where clocks were put back twice that far (America/St_Johns, 1988)
    longest = {Interval.HOUR: 1, Interval.DAY: 26, Interval.WEEK: 170, Interval.MONTH: 31 * 24 + 2}[interval]
    assert max(hours(bounds)) <= longest


@settings(max_examples=200, deadline=None)
@given(st.integers(seconds("1972-01-01"), seconds("2060-01-01")), st.sampled_from(ZONES))
def test_a_local_hour_is_one_bucket_unless_it_comes_twice(first: int, zone: str) -> None:
    """Within an offset, everything of one local hour shares a bucket, and different hours do not."""
    bounds = boundaries(first, first + 3 * 86_400, Interval.HOUR, ZoneInfo(zone))
    buckets: dict[tuple[str, timedelta | None], set[int]] = {}
    for index, (begin, end) in enumerate(pairwise(bounds)):
        for second in (begin, (begin + end) // 2, end - 1):
            moment = datetime.fromtimestamp(second, ZoneInfo(zone))
            buckets.setdefault((moment.strftime("%Y-%m-%d %H"), moment.utcoffset()), set()).add(index)
    assert all(len(found) == 1 for found in buckets.values())
    assert len(buckets) == len(bounds) - 1

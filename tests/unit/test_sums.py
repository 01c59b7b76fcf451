"""Sums of ranges differ wherever events do; and what differs is read again."""

import uuid
from collections import Counter

import pytest

from consumers.compared import Compared, Place, compare
from consumers.pace import Pace
from consumers.sums import LAST_OFFSET, OffsetRange, RangeSums, Sums, differing, width_for

IDS = [uuid.uuid4().int for _ in range(4)]


def sums_of(events: list[tuple[int, int, int]]) -> dict[tuple[int, int], Sums]:
    """Of events of partition 0, given as offset, index and id; in ranges of 10 offsets."""
    sums = RangeSums(10)
    for offset, index, id_ in events:
        sums.add(0, offset, [id_], [index])
    return sums.sums(with_index=True)


EVENTS = [(3, 0, IDS[0]), (3, 1, IDS[1]), (9, 0, IDS[2])]


@pytest.mark.parametrize(
    "events",
    [
        EVENTS[1:],
        [*EVENTS, EVENTS[0]],
        [*EVENTS[:2], (9, 0, IDS[3])],
        [*EVENTS[:2], (8, 0, IDS[2])],
        [*EVENTS[:2], (9, 1, IDS[2])],
        [(3, 1, IDS[0]), (3, 0, IDS[1]), EVENTS[2]],
        [(9, 0, IDS[0]), (3, 1, IDS[1]), (3, 0, IDS[2])],
        [*EVENTS[:2], (9, 0, IDS[2] ^ 1 << 127)],
    ],
    ids=["missing", "double", "other id", "other offset", "other index", "swapped indexes", "swapped offsets", "a bit"],
)
def test_any_other_events_have_other_sums(events: list[tuple[int, int, int]]) -> None:
    assert sums_of(EVENTS) == sums_of(list(reversed(EVENTS)))
    assert sums_of(events) != sums_of(EVENTS)


def test_ranges_that_differ_side_by_side_are_one() -> None:
    expected = {(0, 1): Sums(1, 1), (0, 2): Sums(1, 1), (0, 4): Sums(1, 1), (1, 5): Sums(1, 1)}
    found = {(0, 1): Sums(2, 2), (0, 3): Sums(1, 1), (1, 5): Sums(1, 1), (1, 6): Sums(1, 1)}
    assert differing(expected, found, 10, {0: 44, 1: 99}) == [OffsetRange(0, 10, 44), OffsetRange(1, 60, 69)]


def test_a_range_does_not_grow_without_bounds() -> None:
    expected = {(0, number): Sums(150_000, 1) for number in range(3)}
    assert differing(expected, {}, 1, {0: 2}) == [OffsetRange(0, number, number) for number in range(3)]


def test_windows_hold_all_offsets_and_about_so_many_events() -> None:
    sums = RangeSums(10)
    for offset in (5, 15, 25, 95):
        sums.add(0, offset, IDS, range(4))
        sums.add(1, offset, IDS, range(4))
    assert sums.windows(16) == [(0, 19), (20, 99), (100, LAST_OFFSET)]
    assert sums.windows(1000) == [(0, LAST_OFFSET)]


def test_a_range_is_at_least_one_record() -> None:
    assert [width_for(records) for records in (0, 1, 1 << 14, (1 << 14) + 1)] == [1, 1, 1, 2]


def test_rows_are_missing_double_orphaned_or_forgiven() -> None:
    places: list[Place] = [(number, 0, str(number)) for number in range(5)]
    a, b, c, d, e = places
    rows = Counter({a: 1, b: 3, e: 2})
    assert compare(places[:4], [d, a], rows) == Compared(missing=[c], double=[b, b], orphaned=[e, e], gone=1)


def test_the_pace_is_told_once_a_second_with_what_is_left() -> None:
    now = [0.0]
    lines: list[str] = []
    pace = Pace(lines.append, "reading", 4000, lambda: now[0])
    for _ in range(20):
        now[0] += 0.125
        pace.add(100)
    assert len(lines) == 2
    assert lines[0] == "reading: 8 of 4,000 records, 800 events/s, 499 s left"

"""Sums over the events of a range of offsets: log and tables compute the same, and where they differ, events do. Pure.

An event adds its id (a 128-bit number) times twice its record's offset plus one, and its id times its index; all modulo
2^128. The factor of the offset is odd, so one event that is missing, double, foreign or at another place always makes a
difference. Several faults that cancel each other out in one range would need ids that fit by chance: 62 bits or more of
an id are random, and the number of events has to fit as well.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import mul

_MODULUS_MASK = (1 << 128) - 1
LAST_OFFSET = (1 << 63) - 1
"""No offset is higher."""

_RANGES = 1 << 14
"""About so many ranges the log is divided into: each costs memory, and one that differs is read again."""

_LARGE_RANGE_EVENTS = 200_000
"""Ranges that differ side by side are read again together, up to so many events."""


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of one range."""

    events: int = 0
    by_offset: int = 0
    by_index: int = 0


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Records of a partition that are compared event by event, `first` to `last`."""

    partition: int
    first: int
    last: int


RangeKey = tuple[int, int]
"""A partition and the number of a range in it."""


class RangeSums:
    """The sums of all ranges, of one kind of rows.

    Args:
        width: the offsets of a range.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._sums: dict[RangeKey, list[int]] = {}

    def add(self, partition: int, offset: int, ids: Sequence[int], indexes: Iterable[int]) -> None:
        """Adds the events of one record."""
        if not ids:
            return
        sums = self._sums.setdefault((partition, offset // self.width), [0, 0, 0])
        sums[0] += len(ids)
        sums[1] = sums[1] + sum(ids) * (2 * offset + 1) & _MODULUS_MASK
        sums[2] = sums[2] + sum(map(mul, ids, indexes)) & _MODULUS_MASK

    def sums(self, *, with_index: bool) -> dict[RangeKey, Sums]:
        """Of each range that has events."""
        return {key: Sums(*sums[: 3 if with_index else 2]) for key, sums in self._sums.items()}

    def windows(self, most_events: int) -> list[tuple[int, int]]:
        """First and last offset of stretches with about so many events in all partitions; every offset is in one."""
        events: Counter[int] = Counter()
        for (_, number), sums in self._sums.items():
            events[number] += sums[0]
        windows, first, held = [], 0, 0
        for number in sorted(events):
            held += events[number]
            if held >= most_events:
                last = (number + 1) * self.width - 1
                windows.append((first, last))
                first, held = last + 1, 0
        return [*windows, (first, LAST_OFFSET)]


def width_for(records: int) -> int:
    """How many offsets make a range, for that many records in all."""
    return max(1, -(-records // _RANGES))


def differing(
    expected: Mapping[RangeKey, Sums], found: Mapping[RangeKey, Sums], width: int, through: Mapping[int, int]
) -> list[OffsetRange]:
    """Where two sides differ, as ranges of offsets up to `through`; neighbours are one range, unless it grows large."""
    ranges: list[OffsetRange] = []
    held = 0
    for key in sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)):
        partition, number = key
        first, last = number * width, min(number * width + width - 1, through[partition])
        events = _events(expected, key) + _events(found, key)
        before = ranges[-1] if ranges else None
        if before and (before.partition, before.last + 1) == (partition, first) and held + events < _LARGE_RANGE_EVENTS:
            ranges[-1] = OffsetRange(partition, before.first, last)
            held += events
        else:
            ranges.append(OffsetRange(partition, first, last))
            held = events
    return ranges


def _events(sums: Mapping[RangeKey, Sums], key: RangeKey) -> int:
    return sums[key].events if key in sums else 0

"""Adds up what the statements of one count found: whole units of time, and single events. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from penstock.clickhouse.contract import Row


@dataclass(frozen=True, slots=True)
class Series:
    """How often a name occurred.

    Attributes:
        buckets: the counts by where the bucket begins, in seconds since 1970; buckets without events may be missing.
    """

    name: str
    total: int
    buckets: Mapping[int, int]


def totals(found: Iterable[Sequence[Row]]) -> list[Row]:
    """[name, total], the most frequent name first; names without events are left out.

    Args:
        found: for each statement its rows, [name, count].
    """
    added: Counter[str] = Counter()
    for rows in found:
        for name, count in rows:
            added[str(name)] += int(str(count))
    return [[name, total] for name, total in sorted(added.items(), key=_most_first) if total]


def series(found: Iterable[Sequence[Row]]) -> list[Series]:
    """The same with the buckets.

    Args:
        found: for each statement its rows, [name, [bucket], [count]].
    """
    added: dict[str, Counter[int]] = {}
    for rows in found:
        for name, begins, counts in rows:
            buckets = added.setdefault(str(name), Counter())
            for begin, count in zip(_integers(begins), _integers(counts), strict=True):
                buckets[begin] += count
    sums = {name: buckets.total() for name, buckets in added.items()}
    return [Series(name, total, added[name]) for name, total in sorted(sums.items(), key=_most_first) if total]


def _most_first(counted: tuple[str, int]) -> tuple[int, str]:
    name, total = counted
    return -total, name


def _integers(values: object) -> list[int]:
    return [int(value) for value in values] if isinstance(values, list) else []

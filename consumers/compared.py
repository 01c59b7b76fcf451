"""Compares, event by event, what should be in a range of a table with what is. Pure."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

Place = tuple[int, int | None, str]
"""An event in a table: its record's offset, its index in the record (None where the table has none), its id."""


@dataclass(frozen=True, slots=True)
class Compared:
    """How the two differ.

    Attributes:
        missing: places that should be there and are not.
        double: places that are there too often, once for each row too many.
        orphaned: places that should not be there at all, once for each row.
        gone: how many are not there and need not be.
    """

    missing: list[Place] = field(default_factory=list)
    double: list[Place] = field(default_factory=list)
    orphaned: list[Place] = field(default_factory=list)
    gone: int = 0


def compare(expected: Collection[Place], optional: Collection[Place], found: Counter[Place]) -> Compared:
    """Compares rows with places of the log.

    Args:
        expected: what should be there once; each place once.
        optional: those of `expected` that may be gone.
        found: the rows.
    """
    compared = Compared(gone=sum(place not in found for place in optional))
    compared.missing.extend(place for place in expected if place not in found and place not in optional)
    for place, rows in found.items():
        if place in expected:
            compared.double.extend([place] * (rows - 1))
        else:
            compared.orphaned.extend([place] * rows)
    return compared

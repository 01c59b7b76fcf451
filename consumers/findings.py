"""What a verification found, as `penstock verify --json` spells it, and how it is gathered."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from consumers.compared import Compared, Place

_MOST_EXAMPLES = 20


class Example(msgspec.Struct, frozen=True):
    """One event that is wrong.

    Attributes:
        what: the fault and the table.
        index: in the record; None where the table does not say.
        id: the event's; for a counter, what it counts.
    """

    what: str
    partition: int
    offset: int | None = None
    index: int | None = None
    id: str = ""


class Faulty(Protocol):
    """What has faults.

    Attributes:
        missing: events of the log that should be there and are not.
        double: rows of an event beyond its first, and what counters count too much.
        orphaned: rows that have no event in the log, or one that should not be there.
    """

    @property
    def missing(self) -> int: ...
    @property
    def double(self) -> int: ...
    @property
    def orphaned(self) -> int: ...


class PartitionFound(msgspec.Struct, frozen=True, rename="camel"):
    """A partition: the log against `events`. See `Faulty`.

    Attributes:
        through: the last offset that was compared, -1 for none.
        waiting_records: those that the log has behind it; they were not compared, as they are not stored yet.
        in_log: events up to there; a record that cannot be read counts as one.
        dead_letters, repeated, deleted: those of them that should not be in the tables, and why.
        emitted: those that they caused and the log does not hold: a contact's subscription changed.
        stored: rows.
    """

    partition: int
    through: int
    waiting_records: int
    in_log: int
    dead_letters: int
    repeated: int
    deleted: int
    emitted: int
    stored: int
    missing: int
    double: int
    orphaned: int


class InPartition(msgspec.Struct, frozen=True):
    """A partition's part of a projection. See `Faulty`."""

    partition: int
    stored: int
    missing: int
    double: int
    orphaned: int


class ProjectionFound(msgspec.Struct, frozen=True):
    """A table that is made of the events; the counters of each unit of time are one of their own. See `Faulty`.

    Attributes:
        stored: rows up to where the log was compared; of counters, what they count by now. Of contacts all numbers are
            contacts.
    """

    name: str
    stored: int
    missing: int
    double: int
    orphaned: int
    partitions: list[InPartition]


class Verification(msgspec.Struct, frozen=True, rename="camel"):
    """The result. Its own numbers are sums over all tables; see `Faulty`.

    Attributes:
        ok: whether nothing is wrong.
        waiting_records: see `PartitionFound`, of all partitions.
        generation: of the tables that were compared.
    """

    ok: bool
    generation: int
    partitions: list[PartitionFound]
    projections: list[ProjectionFound]
    derived_ids: ProjectionFound
    waiting_records: int
    missing: int
    double: int
    orphaned: int
    examples: list[Example]
    seconds: float


@dataclass(slots=True)
class Tally:
    """Rows of one table in one partition."""

    stored: int = 0
    missing: int = 0
    double: int = 0
    orphaned: int = 0


@dataclass(slots=True)
class Findings:
    """Gathers what is found, by table and partition."""

    tallies: dict[tuple[str, int], Tally] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)

    def tally(self, table: str, partition: int) -> Tally:
        """To be added to."""
        return self.tallies.setdefault((table, partition), Tally())

    def add(self, table: str, partition: int, compared: Compared) -> None:
        """Takes the outcome of a comparison."""
        tally = self.tally(table, partition)
        tally.missing += len(compared.missing)
        tally.double += len(compared.double)
        tally.orphaned += len(compared.orphaned)
        for what in ("missing", "double", "orphaned"):
            self._show(what, table, partition, getattr(compared, what))

    def _show(self, what: str, table: str, partition: int, places: Iterable[Place]) -> None:
        for offset, index, id_ in places:
            self.example(Example(f"{what} in {table}", partition, offset, index, id_))

    def example(self, example: Example) -> None:
        """Keeps it, if there are not enough yet."""
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(example)

    def partitions(self, table: str) -> list[int]:
        """Those in which the table has, or should have, anything."""
        return sorted(partition for name, partition in self.tallies if name == table)

    def projection(self, table: str) -> ProjectionFound:
        """The table as a whole."""
        parts = [
            InPartition(partition=number, **msgspec.to_builtins(self.tally(table, number)))
            for number in self.partitions(table)
        ]
        return ProjectionFound(
            name=table,
            stored=sum(part.stored for part in parts),
            partitions=parts,
            **totals(parts),
        )


def totals(parts: Iterable[Faulty]) -> dict[str, int]:
    """The sums of all faults."""
    listed = list(parts)
    return {
        "missing": sum(part.missing for part in listed),
        "double": sum(part.double for part in listed),
        "orphaned": sum(part.orphaned for part in listed),
    }

"""Compares all contacts with a segment: where it is new or was changed, and again and again where time passes in it.

A segment that refers to others is compared anew where one of them was changed. The segments of a project that are due
share a pass. Each partition is compared by who writes it.
"""

from collections.abc import Collection, Mapping, Sequence

from consumers.segments.catalog import Catalog, catalogs
from consumers.segments.differences import Question, differences
from consumers.segments.emitting import emit
from consumers.segments.following import Workplace
from consumers.segments.progress import Compared, read_compared, read_through, write_compared, write_through
from consumers.stored import Stored
from penstock.conditions.compiling import Scope
from penstock.errors import NotYetVisible
from schemas.position import Position
from schemas.registry import Segment

_AGAIN_MS = 30_000
"""How often a segment in which time passes is compared: half of what is promised, as a pass takes its time, too."""

_CONTACTS_AT_ONCE = 20_000
"""So many changes are told at once; the next ones are found when these are stored."""

_VISIBLE_SECONDS = 30.0


class Passing:
    """See the module. One thread's use only; blocks."""

    def __init__(self, place: Workplace, stored: Stored) -> None:
        self._place = place
        self._stored = stored
        self._known: dict[tuple[int, str], Compared] = {}
        self._partitions: frozenset[int] = frozenset()

    def step(self) -> None:
        """Compares what is due, of the partitions that are written here.

        Raises:
            Unavailable: what was not compared stays due.
        """
        partitions = frozenset(self._stored.through())
        if partitions != self._partitions:
            self._known, self._partitions = read_compared(self._place.generations.shared), partitions
        for catalog in catalogs(self._place.registry).values():
            for number_of, due in self._due(catalog, partitions).items():
                self._pass(catalog, due, number_of)

    def _due(self, catalog: Catalog, partitions: Collection[int]) -> dict[frozenset[int], list[Segment]]:
        """The segments that are due, by the partitions in which they are."""
        found: dict[frozenset[int], list[Segment]] = {}
        for segment in catalog.tracked():
            due = frozenset(number for number in partitions if self._is_due(catalog, segment, number))
            if due:
                found.setdefault(due, []).append(segment)
        return found

    def _is_due(self, catalog: Catalog, segment: Segment, partition: int) -> bool:
        known = self._known.get((partition, segment.id))
        if known is None or (known.revision, known.referred) != (segment.revision, catalog.referred(segment)):
            return True
        return catalog.passes_with_time(segment) and self._place.clock.now_ms() - known.at_ms >= _AGAIN_MS

    def _pass(self, catalog: Catalog, segments: Sequence[Segment], partitions: Collection[int]) -> None:
        self._begin(partitions)
        now_ms = self._place.clock.now_ms()
        question = Question(catalog, segments, Scope(partitions=sorted(partitions)), now_ms)
        while True:
            live = self._place.generations.live().tables
            changes = differences(live, question, _CONTACTS_AT_ONCE)
            self._wait_for(emit(self._place.log, self._place.clock, changes))
            if len({change.contact_id for change in changes}) < _CONTACTS_AT_ONCE:
                break
        compared = {one.id: Compared(one.revision, catalog.referred(one), now_ms) for one in segments}
        write_compared(self._place.generations.shared, partitions, compared)
        self._known |= {(number, id_): one for number in partitions for id_, one in compared.items()}

    def _begin(self, partitions: Collection[int]) -> None:
        """What is stored from now on is followed for the segments, also where the process ends before that begins."""
        shared, stored = self._place.generations.shared, self._stored.through()
        stated = read_through(shared)
        new = {number: stored[number] for number in partitions if number not in stated and number in stored}
        write_through(shared, new, self._place.clock.now_ms())

    def _wait_for(self, position: Position) -> None:
        """Until what was told is stored, as it would be found again."""
        seen: Mapping[int, int] = {}
        while True:
            seen = self._stored.wait(seen, _VISIBLE_SECONDS)
            left = [number for number, offset in position.items() if seen.get(number, -1) < offset]
            if not left:
                return
            if any(number not in seen for number in left):
                raise NotYetVisible(f"The partitions {left} are written by another process now")

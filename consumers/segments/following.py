"""Follows the writer: the contacts of whom something was stored are compared with all tracked segments of theirs."""

from collections.abc import Mapping
from dataclasses import dataclass

from consumers.segments.catalog import Catalog, catalogs
from consumers.segments.differences import Question, differences
from consumers.segments.emitting import emit
from consumers.segments.progress import read_through, write_through
from consumers.segments.touched import Touched, touched
from penstock.clickhouse import Tables
from penstock.clickhouse.generations import Generations
from penstock.clock import Clock
from penstock.conditions.compiling import Scope
from penstock.eventlog import EventLog
from penstock.registry import Registry

_CONTACTS_AT_ONCE = 2_000
"""In one statement."""

_STATED_MS = 30_000


@dataclass(frozen=True, slots=True)
class Workplace:
    """What segments are evaluated with."""

    log: EventLog
    generations: Generations
    registry: Registry
    clock: Clock


class Following:
    """See the module. One thread's use only; blocks."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._through: dict[int, int] = {}
        self._stated_ms = 0

    def behind(self, stored: Mapping[int, int]) -> bool:
        """Whether anything was stored that is not evaluated."""
        return any(self._through.get(partition) != offset for partition, offset in stored.items())

    def step(self, stored: Mapping[int, int]) -> None:
        """Evaluates a stretch of each partition, up to what is stored at most.

        Who a partition was evaluated by last is known from what they stated; where nobody has, it begins with what is
        stored by now, as all that was stored before is compared for each segment anyway.

        Raises:
            Unavailable: not known how far it came; step again.
        """
        for lost in self._through.keys() - stored.keys():
            del self._through[lost]
        if stored.keys() - self._through.keys():
            self._take_over(stored)
        known = catalogs(self._place.registry)
        if not known:
            self._skip(stored)
            return
        live = self._place.generations.live().tables
        moved = {}
        for partition, through in stored.items():
            after = self._through[partition]
            if after >= through:
                continue
            found, moved[partition] = touched(live, sorted(known), partition, after, through)
            self._compare(live, known, found)
        self._state(moved)

    def _take_over(self, stored: Mapping[int, int]) -> None:
        stated = read_through(self._place.generations.shared)
        new = {partition: offset for partition, offset in stored.items() if partition not in self._through}
        self._through |= {partition: stated.get(partition, offset) for partition, offset in new.items()}

    def _skip(self, stored: Mapping[int, int]) -> None:
        """Nobody has a tracked segment. That is stated now and then, or a new start would begin where one was last."""
        now_ms = self._place.clock.now_ms()
        if now_ms - self._stated_ms >= _STATED_MS:
            self._state(stored)
        self._through = dict(stored)

    def _compare(self, live: Tables, known: Mapping[str, Catalog], found: Touched) -> None:
        now_ms = self._place.clock.now_ms()
        for project, contacts in found.items():
            for start in range(0, len(contacts), _CONTACTS_AT_ONCE):
                some = contacts[start : start + _CONTACTS_AT_ONCE]
                scope = Scope(emails=[email for _, email in some], contact_ids=[contact for contact, _ in some])
                question = Question(known[project], known[project].tracked(), scope, now_ms)
                emit(self._place.log, self._place.clock, differences(live, question, len(some)))

    def _state(self, moved: Mapping[int, int]) -> None:
        now_ms = self._place.clock.now_ms()
        write_through(self._place.generations.shared, moved, now_ms)
        self._through |= moved
        self._stated_ms = now_ms

"""Follows the writer: the contacts of whom something was stored are compared with all tracked segments of theirs."""

from collections.abc import Mapping
from dataclasses import dataclass

from consumers.cursor import Cursor
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


@dataclass(frozen=True, slots=True)
class Workplace:
    """What segments are evaluated with."""

    log: EventLog
    generations: Generations
    registry: Registry
    clock: Clock


class Following:
    """See the module. One thread's use only; blocks.

    A partition that nobody has evaluated yet begins with what is stored by now: all that was stored before is compared
    for each segment anyway (`consumers.segments.passing`).
    """

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._cursor = Cursor(
            lambda: read_through(place.generations.shared),
            lambda moved: write_through(place.generations.shared, moved, place.clock.now_ms()),
            place.clock,
            at_stored=True,
        )
        self.is_behind = self._cursor.is_behind

    def step(self, stored: Mapping[int, int]) -> None:
        """Evaluates a stretch of each partition, up to what is stored at most.

        Raises:
            Unavailable: not known how far it came; step again.
        """
        behind = self._cursor.follow(stored)
        known = catalogs(self._place.registry)
        if not known:
            self._cursor.skip(stored)
            return
        live = self._place.generations.live().tables
        moved = {}
        for partition, through in stored.items():
            if behind[partition] < through:
                found, moved[partition] = touched(live, sorted(known), partition, behind[partition], through)
                self._compare(live, known, found)
        self._cursor.move(moved)

    def _compare(self, live: Tables, known: Mapping[str, Catalog], found: Touched) -> None:
        now_ms = self._place.clock.now_ms()
        for project, contacts in found.items():
            for start in range(0, len(contacts), _CONTACTS_AT_ONCE):
                some = contacts[start : start + _CONTACTS_AT_ONCE]
                scope = Scope(emails=[email for _, email in some], contact_ids=[contact for contact, _ in some])
                question = Question(known[project], known[project].tracked(), scope, now_ms)
                emit(self._place.log, self._place.clock, differences(live, question, len(some)))

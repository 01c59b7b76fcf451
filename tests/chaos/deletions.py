"""What deletions of a name say about its events: gone, there, or either where the two overlapped.

A deletion without an answer may take effect at any time, also later. Nothing more is sent under such a name. The erasure
of a contact is such a deletion too, of its events.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import inf

from tests.chaos.ledger import Ledger


class Expected(Enum):
    """What the reads at the end must say of an event."""

    THERE = "there"
    GONE = "gone"
    EITHER = "either"


@dataclass(slots=True, eq=False)
class Deletion:
    """One call; `answered` is infinity until, and unless, it succeeds."""

    sent: float
    answered: float = inf

    def removed(self, acknowledged: float) -> bool:
        """Whether an event that was acknowledged then must be gone."""
        return self.answered < inf and acknowledged < self.sent

    def spared(self, sent: float) -> bool:
        """Whether an event that was sent then cannot be touched."""
        return sent > self.answered


class Deletions:
    """All deletions of a run, and the events under the names that are deleted."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._of_name: dict[tuple[int, str], list[Deletion]] = {}
        self._of_event: dict[int, list[Deletion]] = {}
        self._markers: dict[tuple[int, str], list[int]] = {}

    def note_event(self, marker: int) -> None:
        """To be called for each event under a name that may be deleted."""
        self._markers.setdefault(self._ledger.name_of(marker), []).append(marker)

    def begin(self, name: tuple[int, str], now: float) -> Deletion:
        """A call that is about to be sent."""
        deletion = Deletion(now)
        self._of_name.setdefault(name, []).append(deletion)
        return deletion

    def begin_erasure(self, markers: Iterable[int], now: float) -> Deletion:
        """A call that is about to be sent, of the contact with these events. None of their names may be deleted."""
        deletion = Deletion(now)
        for marker in markers:
            self._of_event.setdefault(marker, []).append(deletion)
        return deletion

    def expected(self, marker: int) -> Expected:
        """What must be true of the event once all is quiet."""
        of_name = self._of_name.get(self._ledger.name_of(marker), [])
        return self._expected(marker, [*of_name, *self._of_event.get(marker, [])])

    def _expected(self, marker: int, deletions: list[Deletion]) -> Expected:
        sent, acknowledged = self._ledger.times(marker)
        if acknowledged == inf:
            return Expected.EITHER
        if any(one.removed(acknowledged) for one in deletions):
            return Expected.GONE
        return Expected.THERE if all(one.spared(sent) for one in deletions) else Expected.EITHER

    def count_between(self, name: tuple[int, str], deletion: Deletion) -> tuple[int, int]:
        """The least and the most that this (answered) deletion can have removed."""
        others = [one for one in self._of_name[name] if one is not deletion]
        least = most = 0
        for marker in self._markers.get(name, []):
            sent, acknowledged = self._ledger.times(marker)
            before = acknowledged < deletion.sent
            least += before and self._expected(marker, others) is Expected.THERE
            earlier = [one for one in others if one.answered < deletion.sent]
            most += sent < deletion.answered and not any(one.removed(acknowledged) for one in earlier)
        return least, most

"""Every event that was sent, by its marker: a number that travels in the event's data and is never used for another.

Retries of an event carry its marker, so a read may show each marker once at most, and must show each acknowledged one.
An event without an answer is a "maybe": sent, not acknowledged. Some 35 bytes an event, for millions of them.
"""

from array import array
from collections.abc import Iterator
from math import inf
from uuid import UUID

_ID_BYTES = 16
_NOT_YET = bytes(_ID_BYTES)


class Ledger:
    """See the module. One thread."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str], int] = {}
        self._names: list[tuple[int, str]] = []
        self._name_of = array("L")
        self._ids = bytearray()
        self._sent = array("d")
        self._acknowledged = array("d")
        self.acknowledged = 0

    def __len__(self) -> int:
        return len(self._sent)

    def draw(self, project: int, name: str, now: float) -> int:
        """The marker of an event that is about to be sent for the first time."""
        number = self._numbers.setdefault((project, name), len(self._names))
        if number == len(self._names):
            self._names.append((project, name))
        self._name_of.append(number)
        self._ids += _NOT_YET
        self._sent.append(now)
        self._acknowledged.append(inf)
        return len(self._sent) - 1

    def acknowledge(self, marker: int, event_id: str, now: float) -> bool:
        """Notes an answer; whether it is the id that earlier answers gave."""
        digits = UUID(event_id).bytes
        known = self._id(marker)
        if known == _NOT_YET:
            self._ids[marker * _ID_BYTES : (marker + 1) * _ID_BYTES] = digits
            self._acknowledged[marker] = now
            self.acknowledged += 1
            return True
        return known == digits

    def _id(self, marker: int) -> bytes:
        return bytes(self._ids[marker * _ID_BYTES : (marker + 1) * _ID_BYTES])

    def id_of(self, marker: int) -> str | None:
        """The id that was answered; None for a maybe."""
        known = self._id(marker)
        return None if known == _NOT_YET else str(UUID(bytes=known))

    def has(self, marker: object, project: int, name: str) -> bool:
        """Whether an event with this marker was sent, to this project and under this name."""
        if not isinstance(marker, int) or not 0 <= marker < len(self):
            return False
        return self._names[self._name_of[marker]] == (project, name)

    def name_of(self, marker: int) -> tuple[int, str]:
        """Project and name."""
        return self._names[self._name_of[marker]]

    def times(self, marker: int) -> tuple[float, float]:
        """When it was first sent, and first acknowledged (infinity for a maybe)."""
        return self._sent[marker], self._acknowledged[marker]

    def of_project(self, project: int) -> Iterator[int]:
        """The markers of a project."""
        numbers = {number for number, (owner, _) in enumerate(self._names) if owner == project}
        return (marker for marker, number in enumerate(self._name_of) if number in numbers)

"""Records that the log has and that are not delivered: since when, and what is to be done about them. Pure.

Whoever follows a log sets the stream back to them; where that does not help, it begins anew; where that does not help
either, it gives up.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

_PATIENCE_SECONDS = 5.0
_SET_BACKS = 3
"""So often the stream is set back before the beginning anew, and again before giving up."""


class Remedy(Enum):
    """What is to be done."""

    SET_BACK = auto()
    BEGIN_ANEW = auto()
    GIVE_UP = auto()


@dataclass(frozen=True, slots=True)
class Due:
    """A record that has been missed for long enough."""

    partition: int
    offset: int
    remedy: Remedy


@dataclass(slots=True)
class _Missed:
    """Since when, or since which remedy, it is missed; and how many remedies there were."""

    offset: int
    since: float
    times: int = 0


class MissedRecords:
    """Of each partition the next record, where it is missed.

    Args:
        seconds: a clock that never steps back.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._missed: dict[int, _Missed] = {}

    def note_gap(self, partition: int, expected: int) -> bool:
        """A later record came before the expected one, which thus is due at once; whether that is new.

        (What is on its way after a set-back may show the same gap again.)
        """
        known = self._missed.get(partition)
        if known is not None and known.offset == expected:
            return False
        self._missed[partition] = _Missed(expected, self._seconds() - _PATIENCE_SECONDS)
        return True

    def due(self, behind: Mapping[int, int]) -> Iterator[Due]:
        """What to do now.

        Args:
            behind: for each partition the offset that is waited for and that the log has; others are not missed.
        """
        now = self._seconds()
        known = self._missed
        self._missed = {
            number: known[number] if number in known and known[number].offset == offset else _Missed(offset, now)
            for number, offset in behind.items()
        }
        for number, missed in self._missed.items():
            if now - missed.since >= _PATIENCE_SECONDS:
                missed.times += 1
                missed.since = now
                yield Due(number, missed.offset, _remedy(missed.times))


def _remedy(times: int) -> Remedy:
    if times > 2 * _SET_BACKS:
        return Remedy.GIVE_UP
    return Remedy.BEGIN_ANEW if times == _SET_BACKS + 1 else Remedy.SET_BACK

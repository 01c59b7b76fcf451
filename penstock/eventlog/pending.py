"""What waits for the log: how much, whose, and how fast it goes away. Belongs to the event loop; measures no memory.

A project that floods meets its own bound before it fills everybody's (see `is_over_share`).
"""

import time
from collections.abc import Callable

from penstock.errors import LogOverloaded
from penstock.overload import is_over_share, retry_after_seconds

_MEMORY_SECONDS = 2.0
"""How far back the speed is measured, about."""


class PendingBytes:
    """Bytes that were put and not yet answered, bounded.

    Args:
        bound: of all projects together.
        seconds: a clock that never steps back.
    """

    def __init__(self, bound: int, seconds: Callable[[], float] = time.monotonic) -> None:
        self._bound = bound
        self._seconds = seconds
        self._held: dict[str, int] = {}
        self._measured_from = 0.0
        self._done = 0
        self.total = 0

    def add(self, project_id: str, size: int) -> None:
        """Makes room for `size` bytes. What is larger than the bound gets in where nothing waits.

        Raises:
            LogOverloaded: there is none, or others need it; nothing was added.
        """
        held, total = self._held.get(project_id, 0), self.total + size
        if not self.total:
            self._measured_from, self._done = self._seconds(), 0
        elif total > self._bound:
            raise self._overloaded("Too many events wait for the event log")
        elif held and self._is_over_share(held, size):
            raise self._overloaded("Too many events of this project wait for the event log")
        self._held[project_id] = held + size
        self.total = total

    def _is_over_share(self, held: int, size: int) -> bool:
        return is_over_share(held=held + size, total=self.total + size, bound=self._bound, holders=len(self._held))

    def _overloaded(self, message: str) -> LogOverloaded:
        lasted = self._seconds() - self._measured_from
        return LogOverloaded(message, retry_after_seconds=retry_after_seconds(self.total, self._done, lasted))

    def remove(self, project_id: str, size: int) -> None:
        """Gives back the room of one `add`."""
        self.total -= size
        self._done += size
        held = self._held.pop(project_id, 0) - size
        if held:  # what is left in there are the projects that have something pending, and no others
            self._held[project_id] = held

    def forget_the_past(self) -> None:
        """Called now and then: the speed is that of the last seconds, and a standstill long ago does not count."""
        now = self._seconds()
        lasted = now - self._measured_from
        if lasted > _MEMORY_SECONDS:
            self._done = round(self._done * (_MEMORY_SECONDS / 2) / lasted)
            self._measured_from = now - _MEMORY_SECONDS / 2

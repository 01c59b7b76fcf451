"""How far the partitions of this process's writer are stored, for who goes on from there: segments and webhooks."""

import threading
from collections.abc import Mapping


class Stored:
    """See the module. The writer notes, any thread reads or waits."""

    def __init__(self) -> None:
        self._through: Mapping[int, int] = {}
        self._changed = threading.Condition()

    def note(self, through: Mapping[int, int]) -> None:
        """The last stored offset of each partition that is claimed now; all others are another writer's."""
        with self._changed:
            if through != self._through:
                self._through = dict(through)
                self._changed.notify_all()

    def through(self) -> Mapping[int, int]:
        """What was noted last; it does not change."""
        return self._through

    def wait(self, seen: Mapping[int, int], timeout_seconds: float) -> Mapping[int, int]:
        """What was noted last, once it is another than `seen`, or after the time-out."""
        with self._changed:
            self._changed.wait_for(lambda: self._through != seen, timeout_seconds)
            return self._through

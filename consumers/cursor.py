"""Where something that follows the writer stands in each partition, stated in the tables: so the next one goes on."""

from collections.abc import Callable, Mapping

from penstock.clock import Clock

_STATED_MS = 30_000
"""How often it is stated while there is nothing to do."""


class Cursor:
    """See the module. One thread's use only.

    Args:
        read: what was stated last, by partition.
        write: states it.
        at_stored: whether a partition of which nothing was ever stated begins with what is stored by then, instead of
            with the log's beginning.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[int, int]],
        write: Callable[[dict[int, int]], None],
        clock: Clock,
        *,
        at_stored: bool,
    ) -> None:
        self._read = read
        self._write = write
        self._clock = clock
        self._at_stored = at_stored
        self._through: dict[int, int] = {}
        self._stated_ms = 0

    def is_behind(self, stored: Mapping[int, int]) -> bool:
        """Whether anything is stored that was not gone through."""
        return any(self._through.get(partition) != offset for partition, offset in stored.items())

    def follow(self, stored: Mapping[int, int]) -> dict[int, int]:
        """Forgets partitions that are another's now, takes over new ones; the last offset that each has behind it.

        Raises:
            Unavailable: what was stated cannot be read.
        """
        for lost in self._through.keys() - stored.keys():
            del self._through[lost]
        if new := stored.keys() - self._through.keys():
            stated = self._read()
            self._through |= {
                partition: stated.get(partition, stored[partition] if self._at_stored else -1) for partition in new
            }
        return dict(self._through)

    def move(self, through: Mapping[int, int]) -> None:
        """States what was gone through; raises as `follow` does."""
        if through:
            self._write(dict(through))
        self._through |= through
        self._stated_ms = self._clock.now_ms()

    def skip(self, stored: Mapping[int, int]) -> None:
        """There is nothing to do in all that is stored. Stated now and then, or a new start would look at all of it."""
        if self._clock.now_ms() - self._stated_ms >= _STATED_MS:
            self.move(stored)
        self._through = dict(stored)

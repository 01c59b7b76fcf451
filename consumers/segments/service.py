"""The threads that evaluate segments beside a writer."""

from consumers.repeating import Repeating
from consumers.segments.following import Following, Workplace
from consumers.segments.passing import Passing
from consumers.stored import Stored

_ROUND_SECONDS = 0.2
"""The least time between two rounds: more contacts at once cost less each."""

_REST = 1.5
"""How long a thread rests, as a multiple of how long it worked: a statement about many segments costs much, whoever it
is about."""

_LONGEST_REST_SECONDS = 1.5
_IDLE_SECONDS = 0.5


class SegmentService:
    """See the module.

    Args:
        stored: how far the partitions that are written here are stored.
    """

    def __init__(self, place: Workplace, stored: Stored) -> None:
        self._registry = place.registry
        self._stored = stored
        self._following = Following(place)
        self._passing = Passing(place, stored)
        pace = {"round_seconds": _ROUND_SECONDS, "rest": _REST, "longest_rest_seconds": _LONGEST_REST_SECONDS}
        self._follow_thread = Repeating("segments-follow", self._await_more, self._follow, **pace)
        self._pass_thread = Repeating("segments-pass", self._await_round, self._pass, **pace)

    def start(self) -> None:
        """Begins."""
        self._follow_thread.start()
        self._pass_thread.start()

    def stop(self) -> None:
        """Ends the threads, as soon as the statements under way allow; what is not done is done by who comes next."""
        self._pass_thread.stopping.set()
        self._follow_thread.stop()
        self._pass_thread.stop()

    def _await_more(self) -> None:
        stored = self._stored.through()
        if not self._following.is_behind(stored):
            self._stored.wait(stored, _IDLE_SECONDS)

    def _await_round(self) -> None:
        self._pass_thread.stopping.wait(_IDLE_SECONDS)

    def _follow(self) -> None:
        """Whoever knows of no segment passes over what is stored: so it waits until all are known."""
        stored = self._stored.through()
        if self._registry.is_complete and self._following.is_behind(stored):
            self._following.step(stored)

    def _pass(self) -> None:
        if self._registry.is_complete:
            self._passing.step()

"""Follows the writer: plans the deliveries of what was stored, and hands them over once the tables have them."""

from collections.abc import Callable, Mapping, Sequence

from consumers.cursor import Cursor
from consumers.webhooks.place import Workplace
from consumers.webhooks.planning import Due, Planner, Stretch
from penstock.deliveries import insert_rows, read_planned, write_planned

_EVENTS_AT_ONCE = 5_000


class Following:
    """See the module. One thread's use only; blocks.

    A partition of which nothing was ever stated begins with the log's beginning: of a workflow only events count that
    were received since it was made.
    """

    def __init__(self, place: Workplace, hand_over: Callable[[Sequence[Due]], None]) -> None:
        self._place = place
        self._hand_over = hand_over
        self._cursor = Cursor(
            lambda: read_planned(place.generations.shared),
            lambda moved: write_planned(place.generations.shared, moved),
            place.clock,
            at_stored=False,
        )
        self.is_behind = self._cursor.is_behind

    def step(self, stored: Mapping[int, int]) -> None:
        """Plans a stretch of each partition, up to what is stored at most.

        The control topic is followed to its end first: a workflow that was made before an event came is known.

        Raises:
            Unavailable: not known how far it came; step again.
        """
        place = self._place
        place.follower.sync()
        behind = self._cursor.follow(stored)
        if not any(place.registry.is_sending(one) for one in place.registry.all_workflows()):
            self._cursor.skip(stored)
            return
        planner = Planner(place.generations.live().tables, place.registry, place.clock.now_ms())
        moved = {}
        for partition, through in stored.items():
            if behind[partition] < through:
                due, moved[partition] = planner.due(Stretch(partition, behind[partition], through), _EVENTS_AT_ONCE)
                insert_rows(place.generations.shared, [one.delivery for one in due])
                self._hand_over(due)
        self._cursor.move(moved)

"""So much at a time: who finds no room waits for a turn, and projects take turns."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from penstock.errors import Unavailable
from penstock.overload import retry_after_seconds
from query_api.fair_queue import FairQueue

_NEWEST = 0.2
"""How much the last one counts in the average of how long one takes."""


class Turns:
    """Belongs to the event loop.

    Args:
        at_once: how many have their turn at the same time.
        max_waiting: how many may wait; of one project about half of it.
        max_wait_seconds: how long.
        seconds: a clock that never steps back.
    """

    def __init__(
        self,
        at_once: int,
        *,
        max_waiting: int,
        max_wait_seconds: float,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at_once = at_once
        self._free = at_once
        self._max_wait_seconds = max_wait_seconds
        self._seconds = seconds
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue(max_waiting)
        self._average_seconds = 0.0

    @asynccontextmanager
    async def turn(self, project_id: str) -> AsyncIterator[None]:
        """While it lasts, it is the project's turn.

        Raises:
            Unavailable: too many wait already, or no turn came in time.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(project_id)
        began = self._seconds()
        try:
            yield
        finally:
            self._note(self._seconds() - began)
            self._pass_on()

    def _note(self, took: float) -> None:
        self._average_seconds += (took - self._average_seconds) * (_NEWEST if self._average_seconds else 1.0)

    async def _wait(self, project_id: str) -> None:
        mine = asyncio.get_running_loop().create_future()
        if not self._waiting.put(project_id, mine):
            raise self._overloaded()
        try:
            async with asyncio.timeout(self._max_wait_seconds):
                await mine
        except BaseException as error:
            self._give_up(project_id, mine)
            if isinstance(error, TimeoutError):
                raise self._overloaded() from error
            raise

    def _give_up(self, project_id: str, mine: "asyncio.Future[None]") -> None:
        if mine.done() and not mine.cancelled():  # the turn came in the same moment: somebody else can have it
            self._pass_on()
        else:
            self._waiting.discard(project_id, mine)

    def _pass_on(self) -> None:
        while (waiting := self._waiting.take()) is not None:
            if not waiting.done():  # else it gave up, and does not know it yet
                waiting.set_result(None)
                return
        self._free += 1

    def _overloaded(self) -> Unavailable:
        waiting = len(self._waiting) + 1
        retry = retry_after_seconds(waiting, self._at_once, self._average_seconds)
        return Unavailable("Too many reads at once", retry_after_seconds=retry)

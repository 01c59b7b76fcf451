"""How old the view is, and when a write becomes visible in it.

One task asks the tables how far they are written; reads look at its last answer, and whoever waits for a position waits
for its next ones. So the cost does not depend on how many read or wait.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from penstock.clickhouse.progress import Progress
from penstock.clock import Clock
from penstock.errors import NotYetVisible
from schemas.position import Position

_IDLE_SECONDS = 0.2
_SHORTEST_PAUSE_SECONDS = 0.015
_LONGEST_PAUSE_SECONDS = 0.1
_PAUSE_SHARE = 4
"""While somebody waits, a pause is so many times as long as the tables took to answer: where they have much to do,
asking must not keep them from the inserts that are waited for."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    position: Position
    visible: asyncio.Future[None]


class Freshness:
    """What is known of the view. `run` keeps it up to date; everything else belongs to the event loop that runs it.

    Args:
        read: asks the tables; blocks.
        stale_after_ms: a writer that has not said for so long that it has caught up is no longer believed.
        ends: for each partition the offset behind what this process has acknowledged itself; asked for every read. What
            a writer said is up to a heartbeat old: of what came since, who acknowledged it knows better.
        passed_seconds: grows as time passes, whatever the clock is set to.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[int, Progress]],
        clock: Clock,
        *,
        stale_after_ms: int = 3000,
        ends: Callable[[], Mapping[int, int]] = dict,
        passed_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._ends = ends
        self._passed_seconds = passed_seconds
        self._started_seconds = passed_seconds()
        self._heard_seconds: dict[int, float] = {}
        self._stale_after_ms = stale_after_ms
        self._started_ms = clock.now_ms()
        self._progress: Mapping[int, Progress] = {}
        self._waiters: set[_Waiter] = set()
        self._wanted = asyncio.Event()
        self._failing = False
        self._answer_seconds = 0.0

    def age_ms(self) -> int:
        """How much time the view may be behind the log at most; 0 only where nothing is left to write.

        While no writer has ever said anything, it is at least as old as this process. Where the clock was set back, it
        is at least as old as the last word of a writer.
        """
        now = self._clock.now_ms()
        known = self._progress.values()
        if known and all(self._is_current(progress, now) for progress in known) and self._shows_all():
            return 0
        complete = min((progress.complete_ms or self._started_ms for progress in known), default=self._started_ms)
        longest_silence = min(self._heard_seconds.values(), default=self._started_seconds)
        return max(1, now - complete, self._ms_since(longest_silence))

    def _shows_all(self) -> bool:
        """Whether everything that this process has acknowledged is visible."""
        return self._shows({partition: end - 1 for partition, end in self._ends().items() if end})

    def _is_current(self, progress: Progress, now_ms: int) -> bool:
        heard_seconds = self._heard_seconds[progress.partition]
        silent_ms = max(now_ms - progress.written_ms, self._ms_since(heard_seconds))
        return progress.caught_up and silent_ms < self._stale_after_ms

    def _ms_since(self, seconds: float) -> int:
        return round((self._passed_seconds() - seconds) * 1000)

    async def wait_for(self, position: Position, timeout_seconds: float) -> None:
        """Returns when everything up to `position` is visible. A partition that nobody has written yet is not.

        Raises:
            NotYetVisible: it was not in time.
        """
        if self._shows(position):
            return
        waiter = _Waiter(position, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        self._wanted.set()
        try:
            async with asyncio.timeout(timeout_seconds):
                await waiter.visible
        except TimeoutError as error:
            raise NotYetVisible("The position is not visible yet", retry_after_seconds=1) from error
        finally:
            self._waiters.discard(waiter)

    def _shows(self, position: Position) -> bool:
        return all(
            (progress := self._progress.get(partition)) is not None and progress.stored_through >= offset
            for partition, offset in position.items()
        )

    async def run(self) -> None:
        """Asks until it is cancelled. A failure is told once and tried again: the reads themselves fail meanwhile."""
        with ThreadPoolExecutor(1, thread_name_prefix="freshness") as pool:
            while True:
                await self._ask(pool)
                self._release_waiters()
                await self._pause()

    async def _ask(self, pool: ThreadPoolExecutor) -> None:
        started = time.monotonic()
        try:
            self.hear(await asyncio.get_running_loop().run_in_executor(pool, self._read))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next answer may be there
            if not self._failing:
                _log.warning("progress of the writers is not readable", reason=str(error))
            self._failing = True
        else:
            self._failing = False
        self._answer_seconds = time.monotonic() - started

    def hear(self, progress: Mapping[int, Progress]) -> None:
        """Takes what the writers say of themselves; `run` gives it, or who needs the age but once."""
        heard_before, now = self._heard_seconds, self._passed_seconds()
        self._heard_seconds = {
            partition: heard_before[partition] if said == self._progress.get(partition) else now
            for partition, said in progress.items()
        }
        self._progress = progress

    def _release_waiters(self) -> None:
        for waiter in self._waiters:
            if not waiter.visible.done() and self._shows(waiter.position):
                waiter.visible.set_result(None)

    async def _pause(self) -> None:
        """Short while somebody waits, else until somebody does."""
        if self._failing:
            await asyncio.sleep(_IDLE_SECONDS)
        elif any(not waiter.visible.done() for waiter in self._waiters):
            pause = _PAUSE_SHARE * self._answer_seconds
            await asyncio.sleep(min(max(pause, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS))
        else:
            self._wanted.clear()
            try:
                async with asyncio.timeout(_IDLE_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                return

"""Queues of endpoints, and how many requests each may have under way. On one event loop.

Endpoints take turns. Half of the room is for requests that were not answered yet after a moment: whatever hangs moves
there, and only so much may hang. The other half is for all others, so one that is well finds a place within that
moment, however many hang. An endpoint begins with one request at a time, has more and more while it answers quickly,
and is back at one where it does not; after each request that had no answer it rests. One of which that is not known yet
may hang, so it needs room there. What is answered does not matter here: a quick refusal harms nobody.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

Item = TypeVar("Item")

_MOMENT_SECONDS = 0.5
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_REMEMBERED = 10_000
"""So many endpoints are known at least, also while nothing is to be sent to them."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Endpoint(Generic[Item]):
    """One endpoint.

    Attributes:
        share: how many requests it may have under way.
        running: how many it has.
        silent: how many had no answer since one had.
        rests_until: when the next may begin, by the clock that never steps back.
    """

    share: int = 1
    running: int = 0
    silent: int = 0
    rests_until: float = 0.0
    waiting: deque[Item] = field(default_factory=deque)


@dataclass(slots=True)
class _Room:
    """How many requests may be under way, and are: those that began a moment ago, and those that take longer.

    Attributes:
        doubtful: how many of the quick ones are of endpoints that are not known to be well.
    """

    quick_most: int
    slow_most: int
    quick: int = 0
    doubtful: int = 0
    slow: int = 0


class Endpoints(Generic[Item]):
    """See the module.

    Args:
        handle: sends one item; says whether there was an answer.
        in_all: how many at the same time.
        per_endpoint: how many of one endpoint.
        queued: how many may wait for one endpoint.
    """

    def __init__(
        self, handle: Callable[[Item], Awaitable[bool]], *, in_all: int, per_endpoint: int, queued: int
    ) -> None:
        self._handle = handle
        self._per_endpoint = per_endpoint
        self._queued = queued
        self._known: dict[str, _Endpoint[Item]] = {}
        self._turns: deque[str] = deque()
        self._room = _Room((in_all + 1) // 2, in_all // 2)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def room(self, endpoint: str) -> int:
        """How many more may be offered for an endpoint."""
        known = self._known.get(endpoint)
        return self._queued - (len(known.waiting) if known else 0)

    def offer(self, endpoint: str, item: Item) -> bool:
        """Takes an item; False where too many wait for the endpoint already."""
        if self._is_closed or self.room(endpoint) <= 0:
            return False
        known = self._known.setdefault(endpoint, _Endpoint())
        if not known.waiting:
            self._turns.append(endpoint)
        known.waiting.append(item)
        self._begin()
        return True

    def _begin(self) -> None:
        """Begins what there is room for: an item of each endpoint that waits, round and round."""
        without = 0
        while without < len(self._turns) and self._room.quick < self._room.quick_most and not self._is_closed:
            name = self._turns.popleft()
            known = self._known[name]
            if self._may_begin(known):
                self._start(name, known)
                without = 0
            else:
                without += 1
            if known.waiting:
                self._turns.append(name)

    def _may_begin(self, known: _Endpoint[Item]) -> bool:
        """One that may hang begins only where there is room for it to do so."""
        if known.running >= known.share or known.rests_until > time.monotonic():
            return False
        room = self._room
        if known.share == 1:
            return room.slow + room.doubtful < room.slow_most
        return room.quick + room.slow < room.quick_most + room.slow_most

    def _start(self, name: str, known: _Endpoint[Item]) -> None:
        item, is_doubtful = known.waiting.popleft(), known.share == 1
        known.running += 1
        self._room.quick += 1
        self._room.doubtful += is_doubtful
        task = asyncio.create_task(self._run(name, known, item, is_doubtful=is_doubtful))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, name: str, known: _Endpoint[Item], item: Item, *, is_doubtful: bool) -> None:
        is_slow = False

        def move_over() -> None:
            nonlocal is_slow
            is_slow = True
            known.share = 1
            self._room.quick -= 1
            self._room.doubtful -= is_doubtful
            self._room.slow += 1
            self._begin()

        timer = asyncio.get_running_loop().call_later(_MOMENT_SECONDS, move_over)
        is_answered = False
        try:
            is_answered = await self._handle(item)
        except Exception:  # noqa: BLE001 - it ends this delivery, and must end no other
            _log.exception("a delivery failed here")
        finally:
            timer.cancel()
            known.running -= 1
            if is_slow:
                self._room.slow -= 1
            else:
                self._room.quick -= 1
                self._room.doubtful -= is_doubtful
            self._judge(known, is_answered=is_answered, is_slow=is_slow)
            if len(self._known) > _REMEMBERED and not known.waiting and not known.running:
                self._known.pop(name, None)
            self._begin()

    def _judge(self, known: _Endpoint[Item], *, is_answered: bool, is_slow: bool) -> None:
        if is_answered:
            known.silent = 0
            known.share = 1 if is_slow else min(self._per_endpoint, known.share * 2)
            return
        known.share = 1
        pause = min(_FIRST_PAUSE_SECONDS * 2**known.silent, _LONGEST_PAUSE_SECONDS)
        known.silent = min(known.silent + 1, 10)
        known.rests_until = time.monotonic() + pause
        asyncio.get_running_loop().call_later(pause, self._begin)

    async def close(self, seconds: float) -> None:
        """Begins no more, waits so long for what runs, then abandons it."""
        self._is_closed = True
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=seconds)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

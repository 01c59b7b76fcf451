"""Queues of endpoints, and how many requests each may have under way. On one event loop.

Endpoints take turns. One that does not answer, or slowly, has one request at a time until it answers well again, with a
pause after each that had no answer; and all such endpoints together have half of the room. So however many of them
hang, one that is well finds a place at once. What is answered does not matter here: a quick refusal harms nobody.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")

_SLOW_SECONDS = 1.0
_FIRST_SHARE = 4
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0


@dataclass(slots=True)
class _Endpoint(Generic[Item]):
    """One endpoint.

    Attributes:
        share: how many requests it may have under way.
        running: how many it has.
        silent: how many had no answer since one had.
        rests_until: when the next may begin, by the clock that never steps back.
    """

    share: int
    running: int = 0
    silent: int = 0
    rests_until: float = 0.0
    waiting: deque[Item] = field(default_factory=deque)

    @property
    def is_ill(self) -> bool:
        return self.share == 1


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
        self._in_all = in_all
        self._per_endpoint = max(2, per_endpoint)
        self._queued = queued
        self._known: dict[str, _Endpoint[Item]] = {}
        self._turns: deque[str] = deque()
        self._running = 0
        self._running_ill = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def room(self, endpoint: str) -> int:
        """How many more may be offered for an endpoint."""
        known = self._known.get(endpoint)
        return self._queued - (len(known.waiting) if known else 0)

    @property
    def waiting(self) -> int:
        """How many wait, for all endpoints."""
        return sum(len(one.waiting) for one in self._known.values())

    def offer(self, endpoint: str, item: Item) -> bool:
        """Takes an item; False where too many wait for the endpoint already."""
        if self._is_closed or self.room(endpoint) <= 0:
            return False
        known = self._known.setdefault(endpoint, _Endpoint(min(_FIRST_SHARE, self._per_endpoint)))
        if not known.waiting:
            self._turns.append(endpoint)
        known.waiting.append(item)
        self._begin()
        return True

    def _begin(self) -> None:
        """Begins what there is room for: an item of each endpoint that waits, round and round."""
        without = 0
        while without < len(self._turns) and self._running < self._in_all and not self._is_closed:
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
        if known.running >= known.share or known.rests_until > time.monotonic():
            return False
        return not known.is_ill or self._running_ill < self._in_all // 2

    def _start(self, name: str, known: _Endpoint[Item]) -> None:
        item, was_ill = known.waiting.popleft(), known.is_ill
        known.running += 1
        self._running += 1
        self._running_ill += was_ill
        task = asyncio.create_task(self._run(name, known, item, was_ill=was_ill))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, name: str, known: _Endpoint[Item], item: Item, *, was_ill: bool) -> None:
        started = time.monotonic()
        is_answered = False
        try:
            is_answered = await self._handle(item)
        finally:
            known.running -= 1
            self._running -= 1
            self._running_ill -= was_ill
            self._judge(known, is_answered=is_answered, seconds=time.monotonic() - started)
            self._forget_idle(name, known)
            self._begin()

    def _judge(self, known: _Endpoint[Item], *, is_answered: bool, seconds: float) -> None:
        if is_answered:
            known.silent = 0
            known.share = min(self._per_endpoint, known.share * 2) if seconds < _SLOW_SECONDS else 1
            return
        known.share = 1
        pause = min(_FIRST_PAUSE_SECONDS * 2**known.silent, _LONGEST_PAUSE_SECONDS)
        known.silent = min(known.silent + 1, 10)
        known.rests_until = time.monotonic() + pause
        asyncio.get_running_loop().call_later(pause, self._begin)

    def _forget_idle(self, name: str, known: _Endpoint[Item]) -> None:
        if not known.waiting and not known.running and not known.is_ill:
            del self._known[name]

    async def close(self, seconds: float) -> None:
        """Begins no more, waits so long for what runs, then abandons it."""
        self._is_closed = True
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=seconds)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

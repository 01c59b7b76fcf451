"""Which endpoint's request begins next: they take turns, and none takes the room of others. On one event loop.

There is room for so many requests at once. An endpoint's share of it begins with one, grows with each good answer and
shrinks with each bad one; and nobody takes more than is left free beyond a spare quarter, of which each gets one. That
alone would not do: endpoints that hang hold what they have until the time-out, and hundreds hold everything. So an
endpoint is doubted from the moment on that a request of it takes long, or once its share has shrunk to one, and until
it did well many times in a row. The doubted together have half of the room; they and the ones of which nothing is
known, or nothing new, three quarters.

A doubted endpoint that fails also rests before its next request, the longer the more often: so that half is not always
full, and one that recovers is soon noticed.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Generic, TypeVar

import structlog

from consumers.webhooks.standing import Repute, Standing
from penstock.errors import PenstockError

Item = TypeVar("Item")

_LATE_SECONDS = 1.0
_ABANDON_SECONDS = 1.0
_REMEMBERED = 10_000
"""So many endpoints that have nothing to do are remembered."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Endpoint(Generic[Item]):
    """One endpoint, and what is sent to it.

    Attributes:
        line: the standing under which it waits and counts.
    """

    name: str
    repute: Repute
    line: Standing
    running: int = 0
    is_resting: bool = False
    waiting: deque[Item] = field(default_factory=deque)

    @property
    def may_begin(self) -> bool:
        return bool(self.waiting) and not self.is_resting and self.running < int(self.repute.share)


class Endpoints(Generic[Item]):
    """See the module.

    Args:
        handle: sends one item; says whether the endpoint did well, None where it was not asked. What it raises is
            logged, and tells nothing of the endpoint.
        in_all: how many at once.
        per_endpoint: how many at once of one endpoint.
        queued: how many may wait for one endpoint.
        late_after_seconds: what takes longer is late.
    """

    def __init__(
        self,
        handle: Callable[[Item], Awaitable[bool | None]],
        *,
        in_all: int,
        per_endpoint: int,
        queued: int,
        late_after_seconds: float = _LATE_SECONDS,
    ) -> None:
        self._handle = handle
        self._per_endpoint = per_endpoint
        self._queued = queued
        self._late_after_seconds = late_after_seconds
        self._room = (max(1, in_all // 2), max(1, in_all * 3 // 4), in_all)
        self._spare = in_all // 4
        self._held = [0, 0, 0]
        self._lines: tuple[OrderedDict[_Endpoint[Item], None], ...] = (OrderedDict(), OrderedDict(), OrderedDict())
        self._known: dict[str, _Endpoint[Item]] = {}
        self._idle: OrderedDict[str, float] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def room(self, endpoint: str) -> int:
        """How many more may be offered for an endpoint."""
        known = self._known.get(endpoint)
        return self._queued - (len(known.waiting) if known else 0)

    def offer(self, endpoint: str, item: Item, *, has_failed: bool = False) -> bool:
        """Takes an item; False where too many wait for the endpoint already, or at the end.

        Args:
            has_failed: whether it was sent before, in vain: an endpoint of which nothing else is known is doubted then.
        """
        if self._is_closed or self.room(endpoint) <= 0:
            return False
        known = self._known.get(endpoint)
        if known is None:
            standing = Standing.DOUBTED if has_failed else Standing.UNPROVEN
            known = self._known[endpoint] = _Endpoint(endpoint, Repute(standing), standing)
        if (idle_since := self._idle.pop(endpoint, None)) is not None:
            known.repute.was_idle(asyncio.get_running_loop().time() - idle_since)
        known.waiting.append(item)
        self._line_up(known)
        self._begin()
        return True

    def _line_up(self, endpoint: _Endpoint[Item]) -> None:
        """It counts under what is thought of it now, and keeps its place in that line for as long as it may begin."""
        standing = endpoint.repute.standing
        if standing is not endpoint.line:
            self._lines[endpoint.line].pop(endpoint, None)
            self._held[endpoint.line] -= endpoint.running
            self._held[standing] += endpoint.running
            endpoint.line = standing
        if endpoint.may_begin:
            self._lines[standing].setdefault(endpoint)
        else:
            self._lines[standing].pop(endpoint, None)

    def _free(self, standing: Standing) -> int:
        """How many of a standing may begin now."""
        left = [room - held for room, held in zip(self._room, accumulate(self._held), strict=True)]
        return min(left[standing:])

    def _begin(self) -> None:
        """Begins what there is room for. The doubted come first: they cannot have all of it, the others could."""
        for standing in Standing:
            line, passed = self._lines[standing], 0
            while passed < len(line) and (free := self._free(standing)) > 0 and not self._is_closed:
                endpoint, _ = line.popitem(last=False)
                if endpoint.running < max(1, free - self._spare):
                    self._start(endpoint)
                    passed = 0
                else:
                    passed += 1
                self._line_up(endpoint)

    def _start(self, endpoint: _Endpoint[Item]) -> None:
        endpoint.running += 1
        self._held[endpoint.line] += 1
        task = asyncio.create_task(self._run(endpoint, endpoint.waiting.popleft()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, endpoint: _Endpoint[Item], item: Item) -> None:
        is_late = False

        def note_late() -> None:
            nonlocal is_late
            is_late = True
            endpoint.repute.is_late()
            self._line_up(endpoint)

        timer = asyncio.get_running_loop().call_later(self._late_after_seconds, note_late)
        is_well: bool | None = None
        try:
            is_well = await self._handle(item)
        except asyncio.CancelledError:
            self._is_closed = True  # nothing else cancels it than the end, of this or of the loop
            raise
        except Exception as error:  # noqa: BLE001 - nobody awaits this task
            is_fault = not isinstance(error, PenstockError)
            _log.error("a request was broken off", endpoint=endpoint.name, reason=str(error), exc_info=is_fault)
        finally:
            timer.cancel()
            self._end(endpoint, is_well, was_late=is_late)

    def _end(self, endpoint: _Endpoint[Item], is_well: bool | None, *, was_late: bool) -> None:
        endpoint.running -= 1
        self._held[endpoint.line] -= 1
        endpoint.repute.late -= was_late
        if is_well:
            endpoint.repute.did_well(was_late=was_late, most=self._per_endpoint)
        elif is_well is not None:
            endpoint.repute.did_badly()
            self._rest(endpoint)
        self._line_up(endpoint)
        self._forget_idle(endpoint)
        self._begin()

    def _rest(self, endpoint: _Endpoint[Item]) -> None:
        if not endpoint.is_resting and (seconds := endpoint.repute.rest_seconds()):
            endpoint.is_resting = True
            asyncio.get_running_loop().call_later(seconds, self._wake, endpoint)

    def _wake(self, endpoint: _Endpoint[Item]) -> None:
        endpoint.is_resting = False
        self._line_up(endpoint)
        self._begin()

    def _forget_idle(self, endpoint: _Endpoint[Item]) -> None:
        if not endpoint.waiting and not endpoint.running:
            self._idle[endpoint.name] = asyncio.get_running_loop().time()
        if len(self._idle) > _REMEMBERED:
            longest, _ = self._idle.popitem(last=False)
            del self._known[longest]

    async def close(self, seconds: float) -> None:
        """Begins no more, waits so long for what runs, then abandons it."""
        self._is_closed = True
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=seconds)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=_ABANDON_SECONDS)

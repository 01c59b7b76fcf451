"""Writes what becomes of deliveries into the tables, many rows at a time. Belongs to an event loop."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from penstock.clickhouse import Tables
from penstock.deliveries import Attempt, Delivery, insert_rows
from penstock.errors import PenstockError, Unavailable

_GATHER_SECONDS = 0.02
"""So long rows are gathered, at least."""

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class Journal:
    """See the module.

    Args:
        in_thread: runs what blocks.
    """

    def __init__(self, shared: Callable[[], Tables], in_thread: Callable[..., Awaitable[None]]) -> None:
        self._shared = shared
        self._in_thread = in_thread
        self._deliveries: list[Delivery] = []
        self._attempts: list[Attempt] = []
        self._written = asyncio.get_running_loop().create_future()
        self._has_rows = asyncio.Event()

    def note(self, delivery: Delivery | None, attempt: Attempt) -> "asyncio.Future[None]":
        """Takes rows; the future is done when they are in the tables."""
        if delivery is not None:
            self._deliveries.append(delivery)
        self._attempts.append(attempt)
        self._has_rows.set()
        return self._written

    async def run(self) -> None:
        """Writes until it is cancelled; what cannot be written now is written later."""
        while True:
            await self._has_rows.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Writes what there is."""
        deliveries, attempts, written = self._deliveries, self._attempts, self._written
        self._deliveries, self._attempts = [], []
        self._written = asyncio.get_running_loop().create_future()
        self._has_rows.clear()
        if attempts:
            await self._persistently(deliveries, attempts)
        written.set_result(None)

    async def _persistently(self, deliveries: list[Delivery], attempts: list[Attempt]) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._in_thread(insert_rows, self._shared(), deliveries, attempts)
            except Unavailable as error:
                _log.warning("deliveries will be written later", reason=error.message, pause_seconds=pause)
            except PenstockError as error:
                _log.error("deliveries not written", reason=str(error))
                return
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

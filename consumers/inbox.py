"""What was delivered and is not yet with the pipeline: bounded, and taken all at once.

While the tables take one batch, the next one gathers here. So a slow insert makes the next one larger, not the lag.
"""

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Inbox(Generic[_Item]):
    """Between one task that puts and one that takes.

    Args:
        max_bytes: `put` waits while this much or more is here.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._items: list[_Item] = []
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    @property
    def bytes(self) -> int:
        """What is here."""
        return self._bytes

    async def put(self, items: Sequence[_Item], size: int) -> None:
        """Adds `items` of `size` bytes together; waits before that while there is no room."""
        while self._bytes >= self._max_bytes:
            self._emptied.clear()
            await self._emptied.wait()
        self._items += items
        self._bytes += size
        self._filled.set()

    async def filled(self) -> None:
        """Waits until there is something to take."""
        await self._filled.wait()

    def take(self) -> list[_Item]:
        """All that is here, in the order of `put`."""
        items, self._items, self._bytes = self._items, [], 0
        self._filled.clear()
        self._emptied.set()
        return items

"""Segments and workflows: read as they are now, and changed one at a time.

What was answered to anyone before a call is known to it, in whichever process: the control topic is followed to its
end first.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from penstock.errors import LogUnavailable
from penstock.registry import Registry
from schemas.registry import Registered, encode_registered, registry_key
from schemas.topics import Topic

_LOG_SECONDS = 15.0
"""The log's own time-outs are shorter; without an end a call would hold up all that come after it."""

_Result = TypeVar("_Result")


class Publishing(Protocol):
    """The log, as far as changes need it; see `penstock.eventlog.EventLog`."""

    def publish(self, topic: Topic, key: str, value: bytes | None) -> int:
        """Appends one record to a keyed topic and returns its offset once it is durable."""
        ...


class Following(Protocol):
    """Who keeps the registry up to date; `penstock.control.ControlFollower` is one."""

    def sync(self) -> None:
        """Returns when all that the topic had at the call is applied; blocks."""
        ...

    def wait_for(self, offset: int) -> None:
        """Returns when the record at `offset` is applied; blocks."""
        ...


class Registrar:
    """See the module. Belongs to the event loop."""

    def __init__(self, log: Publishing, follower: Following, registry: Registry) -> None:
        self._log = log
        self._follower = follower
        self._registry = registry
        self._changing = asyncio.Lock()

    async def read(self) -> Registry:
        """The registry, with all that was answered before the call.

        Raises:
            LogUnavailable: that cannot be told now.
        """
        await _in_thread(self._follower.sync)
        return self._registry

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Registry]:
        """The same, for who looks before they change something: nobody else of this process does so meanwhile."""
        async with self._changing:
            yield await self.read()

    async def put(self, registered: Registered) -> Registry:
        """Makes or replaces it; returns the registry, which knows it (unless it is void).

        Raises:
            LogUnavailable: not known whether it happened.
        """
        return await self._publish(registry_key(registered), encode_registered(registered))

    async def remove(self, registered: Registered) -> None:
        """Removes it; raises as `put` does."""
        await self._publish(registry_key(registered), None)

    async def _publish(self, key: str, value: bytes | None) -> Registry:
        offset = await _in_thread(lambda: self._log.publish(Topic.CONTROL, key, value))
        await _in_thread(lambda: self._follower.wait_for(offset))
        return self._registry


async def _in_thread(work: Callable[[], _Result]) -> _Result:
    try:
        async with asyncio.timeout(_LOG_SECONDS):
            return await asyncio.to_thread(work)
    except TimeoutError as error:
        raise LogUnavailable("The control topic does not answer in time") from error

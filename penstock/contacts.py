"""Whom a contact's id stands for: what the tables say, once they hold all that was acknowledged before the question.

Ids are derived from addresses and cannot be turned back, so who is given an id alone has to look. A contact that the
tables do not know may stand in the log already: nobody is called unknown before that is stored.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from penstock.clickhouse import Selectable
from penstock.clickhouse.progress import Progress
from penstock.errors import NotYetVisible, TablesUnavailable
from penstock.eventlog import EventLog, LogTail
from schemas.position import Position
from schemas.tables import CONTACTS
from schemas.topics import Topic, partition_of

T = TypeVar("T")

Ends = Callable[[], Mapping[int, int]]
"""Tells for each partition the offset that its next record will have; blocks. What was acknowledged stands before."""

WaitFor = Callable[[Position, float], Awaitable[None]]
"""Returns when everything up to a position is stored, or raises NotYetVisible after so many seconds."""

_STORED_SECONDS = 5.0
_ANSWER_SECONDS = 5.0
"""How long the tables, or the log, may take to answer."""

_THREADS = 2
_PAUSE_SECONDS = 0.05

_EMAILS = f"""
SELECT toString(contact_id), email FROM {CONTACTS}
WHERE project_id = {{project:UUID}} AND contact_id IN {{contacts:Array(UUID)}} AND email != ''
GROUP BY contact_id, email
SETTINGS max_threads = 1
"""  # noqa: S608 - a constant


class ContactDirectory:
    """See the module. Belongs to the event loop; what blocks has threads of its own."""

    def __init__(self, tables: Selectable, ends: Ends, wait_for: WaitFor) -> None:
        self._tables = tables
        self._ends = ends
        self._wait_for = wait_for
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="contacts")

    async def emails_of(self, project_id: str, contact_ids: Collection[str]) -> dict[str, str]:
        """The addresses of a project's contacts, by id (in lower case); an id that is missing is nobody's.

        Whatever was acknowledged before the call counts.

        Raises:
            TablesUnavailable, LogUnavailable: it cannot be told now.
            NotYetVisible: what the log has is not stored in time.
        """
        found = await self._look(project_id, contact_ids)
        if missing := [contact for contact in contact_ids if contact not in found]:
            await self._wait_for_all_of(missing)
            found |= await self._look(project_id, missing)
        return found

    async def _look(self, project_id: str, contact_ids: Collection[str]) -> dict[str, str]:
        values = {"project": project_id, "contacts": sorted(contact_ids)}
        rows = await self._run(lambda: self._tables.select(_EMAILS, values))
        return {str(contact): str(email) for contact, email in rows}

    async def _wait_for_all_of(self, contact_ids: Collection[str]) -> None:
        """Until what the log has of them by now is stored."""
        ends = await self._run(self._ends)
        partitions = {partition_of(contact, len(ends)) for contact in contact_ids}
        position = {partition: ends[partition] - 1 for partition in partitions if ends[partition]}
        try:
            await self._wait_for(position, _STORED_SECONDS)
        except NotYetVisible as error:
            raise NotYetVisible("It is not known yet whether there is such a contact") from error

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except TimeoutError as error:
            raise TablesUnavailable("Contacts cannot be looked up in time") from error

    def close(self) -> None:
        """Waits for what runs; nothing may be asked afterwards."""
        self._pool.shutdown(cancel_futures=True)


class TailEnds:
    """`Ends` of a log that tells them to a tail only, which is kept open. Thread-safe."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._tail: LogTail | None = None

    def __call__(self) -> Mapping[int, int]:
        """See `Ends`.

        Raises:
            LogUnavailable: the log does not answer.
        """
        with self._lock:
            if self._tail is None:
                self._tail = self._log.tail(Topic.EVENTS, dict.fromkeys(range(self._log.partitions), 0))
            try:
                return self._tail.ends()
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        """Gives the connection back."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._tail is not None:
            self._tail.close()
            self._tail = None


class Polling:
    """`WaitFor` of a process that waits seldom: it asks the tables only meanwhile, once for all who wait.

    Args:
        read: tells how far the writers are; blocks.
    """

    def __init__(self, read: Callable[[], Mapping[int, Progress]]) -> None:
        self._read = read
        self._asking: asyncio.Task[Mapping[int, Progress]] | None = None

    async def __call__(self, position: Position, timeout_seconds: float) -> None:
        """See `WaitFor`.

        Raises:
            NotYetVisible: it was not stored in time.
            TablesUnavailable: the tables do not answer.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    if _holds(await self._ask(), position):
                        return
                    await asyncio.sleep(_PAUSE_SECONDS)
        except TimeoutError as error:
            raise NotYetVisible("The position is not visible yet") from error

    async def _ask(self) -> Mapping[int, Progress]:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(asyncio.to_thread(self._read))
        return await asyncio.shield(self._asking)


def _holds(progress: Mapping[int, Progress], position: Position) -> bool:
    return all(
        partition in progress and progress[partition].stored_through >= offset for partition, offset in position.items()
    )

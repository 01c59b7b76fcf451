"""Deleting all events of a name: a marker in the log, and waiting until the tables have followed it."""

import asyncio
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

import structlog

from penstock.clock import Clock
from penstock.errors import ReservedName, TablesRefused, Unavailable
from query_api.freshness import Freshness
from query_api.queries import deleted_events
from query_api.reader import Reader
from query_api.registrar import Registrar
from query_api.uses import uses_of_event
from schemas.deletion import Deletion
from schemas.names import is_reserved
from schemas.position import Position
from schemas.record import pack_deletion

CONFIRMED_SECONDS = 10.0
"""How long a deletion may wait for the tables, the count of what went included."""

_log = structlog.get_logger(__name__)


class Markers(Protocol):
    """The log, as far as deletions and changes need it; see `penstock.eventlog.EventLog`."""

    @property
    def partitions(self) -> int:
        """How many partitions there are.

        Raises:
            Unavailable: not known yet.
        """
        ...

    def mark(self, record: bytes, accepted_ms: int, partition: int | None = None) -> "asyncio.Future[Position]":
        """Done once the record is durable in every partition, or in the one.

        Raises:
            Unavailable: it is not, or not known to be.
        """
        ...


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion came to.

    Attributes:
        events: how many are gone; None where the tables have not followed yet, which they will.
        position: where its markers stand.
    """

    events: int | None
    position: Position


class Deleter:
    """Deletes events by their name."""

    def __init__(
        self, markers: Markers, registrar: Registrar, *, reader: Reader, freshness: Freshness, clock: Clock
    ) -> None:
        self._markers = markers
        self._registrar = registrar
        self._reader = reader
        self._freshness = freshness
        self._clock = clock

    async def delete(self, project_id: str, name: str) -> Deleted:
        """Removes all events of that name that were acknowledged before the call.

        Nothing of this process can begin to use the name between the look and the marker. Elsewhere it may: then it
        uses a name of which there are no events yet, as if it had begun a moment later.

        Raises:
            ReservedName: the product's own events stay.
            Conflict: segments or workflows use the name.
            LogUnavailable: not known whether it will happen; to ask again is harmless.
        """
        if is_reserved(name):
            raise ReservedName(f"{name!r} is a name of the system's own events, which cannot be deleted")
        deletion = Deletion(str(uuid4()), project_id, name)
        async with self._registrar.changing() as registry:
            uses = await asyncio.to_thread(uses_of_event, registry, project_id, name)
            uses.expect_none(f"The name {name!r}")
            now_ms = self._clock.now_ms()
            position = await self._markers.mark(pack_deletion(deletion, accepted_ms=now_ms), now_ms)
        return Deleted(await self._counted(deletion, position), position)

    async def _counted(self, deletion: Deletion, position: Position) -> int | None:
        """None where the count does not come in time. It will happen in any case, so no error may say otherwise."""
        statement = deleted_events(deletion.id)
        try:
            async with asyncio.timeout(CONFIRMED_SECONDS):
                await self._freshness.wait_for(position, CONFIRMED_SECONDS)
                rows = await self._reader.run(deletion.project_id, lambda: self._reader.select(statement))
        except (TimeoutError, Unavailable):
            return None
        except TablesRefused as error:
            _log.error("deleted events not counted", deletion=deletion.id, reason=str(error))
            return None
        return int(str(rows[0][0]))

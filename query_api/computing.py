"""Having a segment computed anew: a new revision of it, and waiting until all contacts were compared with that."""

import asyncio
from collections.abc import Collection

from penstock.clickhouse import Selectable
from penstock.errors import Unavailable
from query_api.deleting import Markers
from query_api.membership_queries import evaluated_revisions
from query_api.reader import Reader
from query_api.registrar import Registrar
from query_api.segments import Segments, known_segment
from schemas.registry import Segment

COMPUTED_SECONDS = 10.0
"""How long a computation may take before the answer is that it goes on."""

_PAUSE_SECONDS = 0.1


class Computer:
    """See the module.

    Args:
        log: tells how many partitions it has.
        shared: the tables that all generations share, where it stands how far segments are evaluated.
    """

    def __init__(
        self, segments: Segments, registrar: Registrar, log: Markers, *, reader: Reader, shared: Selectable
    ) -> None:
        self._segments = segments
        self._registrar = registrar
        self._log = log
        self._reader = reader
        self._shared = shared

    async def compute(self, project_id: str, segment_id: str) -> Segment | None:
        """The segment, once it is computed; None where that takes longer. At once where nothing is to be done.

        A later revision, of whoever changed the segment meanwhile, does as well.

        Raises:
            NotFound: there is no such segment, or no more.
            LogUnavailable: not known whether it will be computed; to ask again is harmless.
        """
        segment = await self._segments.renew(project_id, segment_id)
        registry = await self._registrar.read()
        revisions = {segment.revision}
        try:
            async with asyncio.timeout(COMPUTED_SECONDS):
                while not await self._is_computed(segment, revisions):
                    await asyncio.sleep(_PAUSE_SECONDS)
                    segment = known_segment(registry, project_id, segment_id)
                    revisions.add(segment.revision)
        except TimeoutError:
            return None
        return segment

    async def _is_computed(self, segment: Segment, revisions: Collection[str]) -> bool:
        """Not known is no: it will be computed in any case, so no error may say otherwise."""
        if not segment.tracked or not segment.condition:
            return True
        statement = evaluated_revisions(segment.id)
        try:
            rows = await self._reader.run(segment.project_id, lambda: self._reader.select_from(self._shared, statement))
            evaluated = {int(str(partition)): str(revision) for partition, revision in rows}
            return all(evaluated.get(partition) in revisions for partition in range(self._log.partitions))
        except Unavailable:
            return False

"""Who is in a segment, and how many contacts that are: for coroutines."""

from functools import partial

from penstock.clock import Clock
from penstock.registry import Registry
from query_api import segment_answers as answers
from query_api.paging import Page, PageRequest
from query_api.reader import Reader
from schemas.registry import Segment


class Memberships:
    """See the module. Every call may raise TablesUnavailable."""

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock

    async def segments(self, registry: Registry, project_id: str, page: Page[Segment]) -> bytes:
        """The body of a page of segments."""
        work = partial(answers.segments, self._reader, registry, project_id, page, self._clock.now_ms())
        return await self._reader.run(project_id, work)

    async def count(self, registry: Registry, segment: Segment) -> int:
        """How many are in a segment, which need not be known yet."""
        work = partial(answers.count, self._reader, registry, segment, self._clock.now_ms())
        return await self._reader.run(segment.project_id, work)

    async def page(self, registry: Registry, segment: Segment, asked: PageRequest) -> bytes:
        """The body of a page of members."""
        work = partial(answers.members, self._reader, registry, segment, asked, self._clock.now_ms())
        return await self._reader.run(segment.project_id, work)

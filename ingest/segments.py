"""Which segments a project has. Ingest keeps none itself: whoever starts it says who knows them."""

from collections.abc import Collection, Mapping
from typing import Protocol

from schemas.registry import Segment


class SegmentDirectory(Protocol):
    """Who knows the segments; `penstock.segments.FollowedSegments` is one."""

    async def segments_of(self, project_id: str, slugs: Collection[str]) -> Mapping[str, Segment]:
        """A project's segments by slug; a slug that is missing is none's.

        Whatever was answered before the call counts.

        Raises:
            Unavailable: that cannot be told now.
        """
        ...

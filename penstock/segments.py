"""The segments of a project, as the control topic has them by now."""

import asyncio
from collections.abc import Collection, Mapping

from penstock.control import Control
from schemas.registry import Segment


class FollowedSegments:
    """See `ingest.segments.SegmentDirectory`."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def segments_of(self, project_id: str, slugs: Collection[str]) -> Mapping[str, Segment]:
        """See `SegmentDirectory`.

        Raises:
            LogUnavailable: the log does not answer.
        """
        await asyncio.to_thread(self._control.follower.sync)
        found = {slug: self._control.registry.segment_of_slug(project_id, slug) for slug in slugs}
        return {slug: segment for slug, segment in found.items() if segment is not None}

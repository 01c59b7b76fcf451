"""The events by which contacts enter and leave segments: `segment.<slug>.entry` and `segment.<slug>.exit`.

Their data is `{"segmentId":"<uuid>"}` where the project has registered the segment, else nothing.
"""

import re
from typing import NamedTuple

import msgspec

from schemas.ids import is_uuid

MAX_SLUG = 100
NO_SEGMENT = "00000000-0000-0000-0000-000000000000"
"""Stands for the id of a segment that is not registered."""

_PREFIX, _ENTRY, _EXIT = "segment.", ".entry", ".exit"
_SLUG = re.compile(rf"[a-z0-9_-]{{1,{MAX_SLUG}}}")


class _Data(msgspec.Struct, gc=False):
    segmentId: str = NO_SEGMENT  # noqa: N815 - wire spelling


_decode = msgspec.json.Decoder(_Data).decode


class SegmentChange(NamedTuple):
    """What such an event says."""

    segment_id: str
    slug: str
    entered: bool


def is_slug(text: str) -> bool:
    """Whether a segment can have this slug."""
    return bool(_SLUG.fullmatch(text))


def segment_event_name(slug: str, *, entered: bool) -> str:
    """The name of the event."""
    return f"{_PREFIX}{slug}{_ENTRY if entered else _EXIT}"


def segment_event_data(segment_id: str) -> str:
    """The text of its data."""
    return "" if segment_id == NO_SEGMENT else f'{{"segmentId":"{segment_id}"}}'


def is_segment_event(name: str) -> bool:
    """Whether events of this name tell of a segment."""
    return name.startswith(_PREFIX) and name.endswith((_ENTRY, _EXIT))


def is_entry(name: str) -> bool:
    """Of such a name, whether it tells of an entry."""
    return name.endswith(_ENTRY)


def segment_change(name: str, data: str) -> SegmentChange | None:
    """What an event says of a segment; None for one that says nothing."""
    if not is_segment_event(name):
        return None
    entered = is_entry(name)
    slug = name[len(_PREFIX) : -len(_ENTRY if entered else _EXIT)]
    return SegmentChange(_segment_id(data), slug, entered)


def _segment_id(data: str) -> str:
    try:
        found = _decode(data).segmentId if data else NO_SEGMENT
    except msgspec.DecodeError:
        return NO_SEGMENT
    return found if is_uuid(found) else NO_SEGMENT

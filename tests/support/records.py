"""Records as they come out of the log, without a log."""

from collections.abc import Sequence

from penstock.eventlog import StoredRecord
from schemas.event import Event, encode_event
from schemas.record import pack
from schemas.topics import Topic
from tests.support.fixtures import event


def stored(value: bytes | None, offset: int, partition: int = 0) -> StoredRecord:
    """A record with any value."""
    return StoredRecord(Topic.EVENTS, partition, offset, None, value, 0)


def record(offset: int, events: Sequence[Event] | int = 1, partition: int = 0) -> StoredRecord:
    """A record of these events, or of that many."""
    some = [event() for _ in range(events)] if isinstance(events, int) else events
    value = pack([encode_event(one) for one in some], derived=any(one.derived for one in some), accepted_ms=1)
    return stored(value, offset, partition)

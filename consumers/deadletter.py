"""Dead letters: what could not be processed is set aside with everything needed to look at it and to try again.

The dead-letter topic has them; the tables have a row of each, so that the query API can tell what became of an event. A
letter that was sent through once more gets a second record with its key, which says when and to which place.
"""

from base64 import b64encode
from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec

from penstock.errors import StartError
from penstock.eventlog import EventLog
from schemas.ids import is_uuid
from schemas.times import parse_iso, to_ms, to_wire
from schemas.topics import Topic

_WINDOW = 1000
_ALWAYS_ALLOWED = 20
"""So many bad events in a window stop nobody, however few good ones there are."""

_END_OF_TIME_MS = 2**32 * 1000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record, or one event of it, that was set aside.

    Attributes:
        index: of the event in its record; None for the whole record.
        value: the original bytes.
    """

    partition: int
    offset: int
    index: int | None
    reason: str
    value: bytes

    @property
    def key(self) -> str:
        """The same for the same cause, so that setting it aside twice leaves one."""
        place = f"{Topic.EVENTS}/{self.partition}/{self.offset}"
        return place if self.index is None else f"{place}/{self.index}"

    def row(self, now_ms: int) -> bytes:
        """The row of the table `dead_letters`: whose event it is, as far as that can be read."""
        place = {"log_partition": self.partition, "log_offset": self.offset}
        index = -1 if self.index is None else self.index
        why = {"log_index": index, "reason": self.reason, "dead_at": to_wire(now_ms)}
        return msgspec.json.encode({**place, **why, **(_known(self.value) if index >= 0 else {})})


def _known(line: bytes) -> dict[str, str]:
    """What the tables can take of an event that they refused as a whole."""
    try:
        event = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    known = {column: event.get(column) for column in ("project_id", "id", "contact_id")}
    found = {column: text for column, text in known.items() if isinstance(text, str) and is_uuid(text)}
    name, received = event.get("name"), event.get("received_at") or event.get("occurred_at")
    if isinstance(name, str):
        found["name"] = name
    if isinstance(received, str) and (moment := _moment(received)):
        found["received_at"] = moment
    return found


def _moment(text: str) -> str:
    """The time as it is written everywhere; "" where it is none, or none that the tables can say."""
    try:
        unix_ms = to_ms(parse_iso(text))
    except (ValueError, OverflowError):
        return ""
    return to_wire(unix_ms) if 0 <= unix_ms < _END_OF_TIME_MS else ""


def publish(log: EventLog, letter: DeadLetter, now_ms: int) -> None:
    """Puts the letter into the dead-letter topic.

    Raises:
        LogUnavailable: not known whether it is there; to do it again is harmless.
    """
    body = {
        "topic": Topic.EVENTS,
        "partition": letter.partition,
        "offset": letter.offset,
        "index": letter.index,
        "reason": letter.reason,
        "deadAt": to_wire(now_ms),
        "value": b64encode(letter.value).decode(),
    }
    log.publish(Topic.DEAD_LETTER, letter.key, msgspec.json.encode(body))


def publish_replayed(log: EventLog, key: str, partition: int, offset: int, now_ms: int) -> None:
    """Puts into the topic that the letter stands in the log once more.

    Raises:
        LogUnavailable: not known whether it is there; to do it again is harmless.
    """
    body = {"replayedAt": to_wire(now_ms), "replayedPartition": partition, "replayedOffset": offset}
    log.publish(Topic.DEAD_LETTER, key, msgspec.json.encode(body))


class DeadLetterLimit:
    """Stops the writer before it empties the log into the dead-letter topic: then not the records are at fault."""

    def __init__(self, max_share: float) -> None:
        self._max_share = max_share
        self._recent: deque[bool] = deque(maxlen=_WINDOW)

    def count(self, *, good: int, bad: int, example: DeadLetter | None = None) -> None:
        """Counts events of a batch; a record that could not be read counts as one.

        Args:
            example: one of the bad ones, to be named.

        Raises:
            StartError: too many of the last ones were bad.
        """
        total = good + bad
        if total > _WINDOW:  # the batch alone fills the window: by its share
            bad = -(-bad * _WINDOW // total)
            good = _WINDOW - bad
        self._recent.extend([False] * good)
        self._recent.extend([True] * bad)
        dead = sum(self._recent)
        if dead > _ALWAYS_ALLOWED and dead > self._max_share * len(self._recent):
            named = f" (one is {example.key}: {example.reason})" if example else ""
            raise StartError(
                f"{dead} of the last {len(self._recent)} events cannot be processed{named}; the writer stops rather "
                "than set them all aside. 'penstock dead-letters list' shows what it set aside before. If they are "
                "rightly bad, raise PENSTOCK_WRITER__MAX_DEAD_LETTER_SHARE."
            )

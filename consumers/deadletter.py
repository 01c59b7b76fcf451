"""Dead letters: what could not be processed is set aside with everything needed to look at it and to try again."""

from base64 import b64encode
from collections import deque
from dataclasses import dataclass

import msgspec

from penstock.errors import StartError
from penstock.eventlog import EventLog
from schemas.times import to_wire
from schemas.topics import Topic

_WINDOW = 1000
_ALWAYS_ALLOWED = 20
"""So many bad events in a window stop nobody, however few good ones there are."""


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


class DeadLetterLimit:
    """Stops the writer before it empties the log into the dead-letter topic: then not the records are at fault."""

    def __init__(self, max_share: float) -> None:
        self._max_share = max_share
        self._recent: deque[bool] = deque(maxlen=_WINDOW)

    def count(self, *, good: int, bad: int) -> None:
        """Counts events of a batch; a record that could not be read counts as one.

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
            raise StartError(
                f"{dead} of the last {len(self._recent)} events cannot be processed; the writer stops rather than "
                "set them all aside. Look at them with 'penstock dead-letters list'. If they are rightly bad, raise "
                "PENSTOCK_WRITER__MAX_DEAD_LETTER_SHARE."
            )

"""Reads parts of a topic that have an end, for work that is done once: a tail waits for what is to come."""

import time
from collections.abc import Iterable, Iterator, Mapping

from penstock.errors import LogUnavailable, StartError
from penstock.eventlog.contract import EventLog, StoredRecord
from schemas.topics import Topic

_POLL_SECONDS = 1.0
_POLL_BYTES = 8 << 20
_STALLED_SECONDS = 30.0


class Reading:
    """Some partitions of a topic, open. Not thread-safe; to be closed."""

    def __init__(self, log: EventLog, topic: Topic, partitions: Iterable[int] = (0,)) -> None:
        self._topic = topic
        self._partitions = list(partitions)
        self._tail = log.tail(topic, dict.fromkeys(self._partitions, 0))

    def close(self) -> None:
        """Gives the connection back."""
        self._tail.close()

    def ends(self) -> dict[int, int]:
        """For each partition the offset that its next record will have.

        Raises:
            LogUnavailable: the log does not answer.
        """
        return self._tail.ends()

    def records(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[StoredRecord]:
        """What each partition in `ends` has from its start (or the beginning) to before its end, in its order.

        One call at a time: the next one may begin when this one has given all, or is given up.

        Raises:
            LogUnavailable: the log does not answer, or does not give what it says it has.
            StartError: records are missing from the events topic, which keeps all.
        """
        wanted = {number: starts.get(number, 0) for number, end in ends.items() if starts.get(number, 0) < end}
        here = self.ends()
        for number in self._partitions:
            self._tail.seek(number, wanted.get(number, here[number]))
        heard = time.monotonic()
        while wanted:
            for record in self._poll():
                if record.partition in wanted and record.offset < ends[record.partition]:
                    self._expect(record, wanted[record.partition])
                    wanted[record.partition] = record.offset + 1
                    heard = time.monotonic()
                    yield record
            wanted = {number: following for number, following in wanted.items() if following < ends[number]}
            if wanted and time.monotonic() - heard > _STALLED_SECONDS:
                raise LogUnavailable(f"The event log gives no more records of the partitions {sorted(wanted)}")

    def _poll(self) -> list[StoredRecord]:
        some = max(64 << 10, _POLL_BYTES // max(1, len(self._partitions)))
        return self._tail.poll(timeout_seconds=_POLL_SECONDS, max_bytes=some)

    def _expect(self, record: StoredRecord, offset: int) -> None:
        if self._topic is Topic.EVENTS and record.offset > offset:
            raise StartError(
                f"The log has lost records: those of partition {record.partition} from offset {offset} to "
                f"{record.offset - 1} are missing. The events topic must keep everything."
            )

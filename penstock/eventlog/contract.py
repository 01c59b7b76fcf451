"""What a log does for the rest of the product, whichever driver does it.

A log has the topics of `schemas.topics`. Events are appended by `append`, many requests to a record, whole records by
`mark` and `append_record`; the keyed topics (control, dead letters) by `publish`, one record a call. Reading is by
`tail`.
"""

from asyncio import Future
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from schemas.position import Position
from schemas.topics import Topic


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An event on its way into the log.

    Attributes:
        partition: from `schemas.topics.partition_of`.
        line: from `schemas.event.encode_event`.
        derived: whether the event's id is derived.
        change: whether it is a change of a contact instead of an event.
    """

    partition: int
    line: bytes
    derived: bool
    change: bool = False


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as the log keeps it.

    Attributes:
        offset: grows by one from record to record of a partition, from 0. After compaction, numbers are missing.
        key: of a keyed topic's record.
        value: None says that the key is gone (control topic only).
        appended_ms: when the log took it, milliseconds since 1970.
    """

    topic: Topic
    partition: int
    offset: int
    key: str | None
    value: bytes | None
    appended_ms: int


class LogTail(Protocol):
    """A reader of some partitions of a topic. Not thread-safe; any number of tails read side by side."""

    def poll(self, *, timeout_seconds: float, max_bytes: int) -> list[StoredRecord]:
        """The next records of each partition, in order within it.

        Args:
            timeout_seconds: how long to wait where there is nothing; an empty list then.
            max_bytes: about how much at once; at least one record is returned where there is one.

        Raises:
            LogUnavailable: the log does not answer. The tail stays usable and has lost its place nowhere.
        """
        ...

    def seek(self, partition: int, offset: int) -> None:
        """The next poll of `partition` begins at `offset`."""
        ...

    def ends(self) -> dict[int, int]:
        """For each partition the offset that its next record will have.

        Raises:
            LogUnavailable: the log does not answer.
        """
        ...

    def position(self, partition: int) -> int:
        """The offset from which the next poll of `partition` reads on; what compaction took is passed over."""
        ...

    def close(self) -> None:
        """Gives the connection back. Twice is fine."""
        ...


class EventLog(Protocol):
    """The log. Built on the event loop that awaits its futures."""

    async def start(self) -> None:
        """Opens it. Where the log cannot be reached yet, it keeps trying in the background (see `check`).

        Raises:
            StartError: it can never work as configured.
        """
        ...

    async def stop(self) -> None:
        """Waits for what was appended, then closes. A later `append` raises LogUnavailable."""
        ...

    @property
    def partitions(self) -> int:
        """How many partitions the events topic has; fixed when it was made.

        Raises:
            LogUnavailable: not known yet.
        """
        ...

    def append(self, entries: Sequence[Entry], accepted_ms: int, project_id: str = "") -> "Future[Position]":
        """Appends the events of one request; called on the event loop, never blocks.

        Requests share records and commits; within a partition, events keep the order of the calls and of `entries`.

        Args:
            entries: at least one.
            accepted_ms: when the request was received, milliseconds since 1970.
            project_id: whose request it is: no project gets all the room there is for what waits.

        Returns:
            A future that is done once **all** entries are durable: as the SQLite file was synced, or as every in-sync
            replica confirmed. It fails with LogUnavailable where that did not happen in time; then some of the entries
            may be in the log all the same (Kafka only: one SQLite commit holds a request whole or not at all).

        Raises:
            LogOverloaded: too much waits already, in all or of this project; nothing was taken.
            LogUnavailable: the log is known to be unreachable; nothing was taken.
        """
        ...

    def mark(self, record: bytes, accepted_ms: int, partition: int | None = None) -> "Future[Position]":
        """Appends one record to **every** partition, behind all that was appended before; otherwise as `append`.

        Args:
            partition: the only one that gets it.

        Where the future fails, some partitions may have it: only what may be repeated is marked.
        """
        ...

    def append_record(self, partition: int, record: bytes) -> int:
        """Appends one whole record to a partition of the events topic and returns its offset once it is durable.

        For operations, in any thread: it blocks, so it is not for the loop. In the embedded form it belongs to the
        process that holds the data directory, as every append does.

        Raises:
            LogUnavailable: it may or may not be there.
            LogOverloaded: too much waits already; nothing was taken.
        """
        ...

    def publish(self, topic: Topic, key: str, value: bytes | None) -> int:
        """Appends one record to a keyed topic and returns its offset once it is durable. Blocks: not for the loop.

        Raises:
            LogUnavailable: it may or may not be there; to publish it again is harmless, as the key says what it is.
        """
        ...

    def tail(self, topic: Topic, starts: Mapping[int, int]) -> LogTail:
        """A reader of the partitions in `starts`, each from its offset on.

        Raises:
            LogUnavailable: the log does not answer.
        """
        ...

    def check(self) -> None:
        """Whether appends can succeed now; cheap.

        Raises:
            LogUnavailable: says what is missing.
        """
        ...

"""The embedded log: one SQLite file in WAL mode, synced at every commit.

A thread of its own commits whatever requests came in while the last commit was under way (group commit): under load a
commit holds hundreds of events, alone an event waits for nobody. `synchronous=FULL` syncs the WAL before a commit
returns, so an acknowledged event survives `kill -9` and power loss.

Other processes may read the file and publish to the keyed topics (`penstock project create` beside a running server);
events are appended by the one process that holds the data directory.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from penstock.errors import LogUnavailable, StartError
from penstock.eventlog.contract import Entry, StoredRecord
from penstock.eventlog.packing import Append, AppendQueue, PackedRecord, pack_appends
from schemas.position import Position
from schemas.topics import Topic

FILE_NAME = "log.sqlite3"

_PARTITION_SHIFT = 40
"""A record's rowid is its partition and its offset in one number, so that appending and reading need no index."""

_MAX_RECORD_BYTES = 1 << 20

_KEPT_FREE_BYTES = 32 << 20
"""The log leaves so much of its disk to the tables, which are mostly on the same: for what they have begun to write."""

_OTHER_PROCESS_SECONDS = 0.25
"""How often a waiting tail looks whether another process wrote: nobody tells it."""

_log = structlog.get_logger(__name__)

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {Topic.EVENTS} (id INTEGER PRIMARY KEY, value BLOB NOT NULL, appended_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS {Topic.CONTROL}
    (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, value BLOB, appended_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS {Topic.DEAD_LETTER}
    (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, value BLOB, appended_ms INTEGER NOT NULL);
"""


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """SQLite's errors as ours. All are retryable: the disk may get room again, a lock go away."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise LogUnavailable(f"The event log cannot {doing}: {error} ({name})") from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the log's file; each thread that works at length has its own."""
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


class SqliteLog:
    """See `EventLog`."""

    def __init__(
        self,
        directory: Path,
        *,
        partitions: int = 1,
        max_pending_bytes: int = 64 << 20,
        kept_free_bytes: int = _KEPT_FREE_BYTES,
    ) -> None:
        """A log in `directory`; `partitions` counts only when the file is made."""
        self._path = directory / FILE_NAME
        self._wanted_partitions = partitions
        self._partitions = 0
        self._max_pending_bytes = max_pending_bytes
        self._kept_free_bytes = kept_free_bytes
        self._next_offsets: list[int] = []
        self._appended = {topic: threading.Condition() for topic in Topic}
        self._failure: str = ""
        self._is_started = False
        self._alone = threading.Lock()

    def open(self) -> None:
        """The part of `start` that commands need, which have no loop: all but `append` and `mark` works after it."""
        try:
            with _translated("be opened"):
                self._connection = connect(self._path)
                self._connection.executescript(_SCHEMA)
                self._partitions = self._fixed_partitions()
                self._writing = connect(self._path)
                self._next_offsets = [_end(self._writing, Topic.EVENTS, part) for part in range(self._partitions)]
        except LogUnavailable as error:
            raise StartError(f"{error.message}. Is {self._path.parent} writable?") from error
        self._publish_lock = threading.Lock()

    def close(self) -> None:
        """Undoes `open`."""
        self._writing.close()
        self._connection.close()

    def _fixed_partitions(self) -> int:
        self._connection.execute("INSERT OR IGNORE INTO meta VALUES ('partitions', ?)", [self._wanted_partitions])
        return int(self._connection.execute("SELECT value FROM meta WHERE name = 'partitions'").fetchone()[0])

    async def start(self) -> None:
        """See `EventLog`."""
        self.open()
        self._queue = AppendQueue(self._max_pending_bytes)
        self._is_started = True
        self._thread = threading.Thread(target=self._commit_until_closed, name="log-commit")
        self._thread.start()

    async def stop(self) -> None:
        """See `EventLog`."""
        self._queue.close()
        await asyncio.to_thread(self._thread.join)
        self.close()

    @property
    def partitions(self) -> int:
        """See `EventLog`."""
        return self._partitions

    def ends(self) -> dict[int, int]:
        """For each partition the offset that its next record will have; asks no file, so it may be called anywhere.

        Of the process that appends: what it has acknowledged stands before them.
        """
        return dict(enumerate(self._next_offsets))

    @property
    def pending_bytes(self) -> int:
        """What waits for a commit."""
        return self._queue.pending_bytes

    def append(self, entries: Sequence[Entry], accepted_ms: int, project_id: str = "") -> "asyncio.Future[Position]":
        """See `EventLog`."""
        return self._queue.put(entries, accepted_ms, project_id)

    def mark(self, record: bytes, accepted_ms: int, partition: int | None = None) -> "asyncio.Future[Position]":
        """See `EventLog`."""
        return self._queue.put_marker(record, accepted_ms, partition)

    def append_record(self, partition: int, record: bytes) -> int:
        """See `EventLog`. Offsets are given out by the commit thread where it runs."""
        if self._is_started:
            return self._queue.put_record(partition, record)
        with self._alone, _translated("store events"):
            offset = self._insert([PackedRecord(partition, record, [])])[0]
        self._notify(Topic.EVENTS)
        return offset

    def check(self) -> None:
        """See `EventLog`. The last commit tells; after one that failed, a small write is tried.

        Without it a process that is asked before it gets requests would stay out of use after a disk was full once.
        """
        if self._failure:
            self._expect_room()
            with self._publish_lock, _translated("store events"):
                self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('probe', ?)", [time.time_ns()])
            self._failure = ""

    def _commit_until_closed(self) -> None:
        while (appends := self._queue.take()) is not None:
            self._queue.answer(self._commit(appends))

    def _commit(self, appends: list[Append]) -> list[Append]:
        """Stores all of `appends` in one transaction, or none; returns them decided."""
        records = pack_appends(appends, _MAX_RECORD_BYTES, self._partitions)
        try:
            self._expect_room()
            with _translated("store events"):
                offsets = self._insert(records)
        except LogUnavailable as error:
            return self._failed(records, error)
        except Exception as error:  # noqa: BLE001 - a thread that ended here would leave all requests unanswered
            _log.exception("events not stored")
            return self._failed(records, LogUnavailable(f"The event log failed: {type(error).__name__}"))
        self._failure = ""
        self._notify(Topic.EVENTS)
        return [append for record, at in zip(records, offsets, strict=True) for append in record.stored(at)]

    def _expect_room(self) -> None:
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize < self._kept_free_bytes:
            raise LogUnavailable(
                f"The event log cannot store events: its disk has less than {self._kept_free_bytes >> 20} MiB"
            )

    def _failed(self, records: list[PackedRecord], error: LogUnavailable) -> list[Append]:
        self._failure = error.message
        return [append for record in records for append in record.failed(error)]

    def _insert(self, records: list[PackedRecord]) -> list[int]:
        now_ms = time.time_ns() // 1_000_000
        following = list(self._next_offsets)
        offsets, rows = [], []
        for record in records:
            offset = following[record.partition]
            following[record.partition] += 1
            offsets.append(offset)
            rows.append((record.partition << _PARTITION_SHIFT | offset, record.value, now_ms))
        self._writing.execute("BEGIN IMMEDIATE")
        try:
            self._writing.executemany(f"INSERT INTO {Topic.EVENTS} VALUES (?, ?, ?)", rows)  # noqa: S608 - a constant
            self._writing.execute("COMMIT")
        except BaseException:
            if self._writing.in_transaction:
                self._writing.execute("ROLLBACK")
            raise
        self._next_offsets = following
        return offsets

    def _notify(self, topic: Topic) -> None:
        with self._appended[topic]:
            self._appended[topic].notify_all()

    def publish(self, topic: Topic, key: str, value: bytes | None) -> int:
        """See `EventLog`."""
        now_ms = time.time_ns() // 1_000_000
        with self._publish_lock, _translated(f"store a record of {topic}"):
            cursor = self._connection.execute(
                f"INSERT INTO {topic} (key, value, appended_ms) VALUES (?, ?, ?)",  # noqa: S608 - an enum's text
                [key, value, now_ms],
            )
        self._notify(topic)
        return int(cursor.lastrowid or 0) - 1

    def tail(self, topic: Topic, starts: Mapping[int, int]) -> "SqliteTail":
        """See `EventLog`."""
        with _translated("be read"):
            return SqliteTail(connect(self._path), topic, dict(starts), self._appended[topic])


def _end(connection: sqlite3.Connection, topic: Topic, partition: int) -> int:
    """The offset that the partition's next record will have."""
    if topic is Topic.EVENTS:
        low, high = partition << _PARTITION_SHIFT, (partition + 1) << _PARTITION_SHIFT
        sql = f"SELECT max(id) FROM {topic} WHERE id >= ? AND id < ?"  # noqa: S608 - an enum's text
        last = connection.execute(sql, [low, high]).fetchone()[0]
        return 0 if last is None else int(last) - low + 1
    sql = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0)"
    return int(connection.execute(sql, [str(topic)]).fetchone()[0])


class SqliteTail:
    """See `LogTail`."""

    def __init__(
        self, connection: sqlite3.Connection, topic: Topic, starts: dict[int, int], appended: threading.Condition
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._offsets = starts
        self._appended = appended

    def poll(self, *, timeout_seconds: float, max_bytes: int) -> list[StoredRecord]:
        """See `LogTail`."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            with _translated("be read"):
                records = [record for partition in self._offsets for record in self._read(partition, max_bytes)]
            for record in records:  # only now: a read that fails must not lose what was read before it
                self._offsets[record.partition] = record.offset + 1
            remaining = deadline - time.monotonic()
            if records or remaining <= 0:
                return records
            with self._appended:
                self._appended.wait(min(remaining, _OTHER_PROCESS_SECONDS))

    def _read(self, partition: int, max_bytes: int) -> list[StoredRecord]:
        records: list[StoredRecord] = []
        cursor = self._select(partition)
        for number, key, value, appended_ms in cursor:
            offset = self._offset_of(number, partition)
            records.append(StoredRecord(self._topic, partition, offset, key, value, appended_ms))
            max_bytes -= len(value or b"")
            if max_bytes <= 0:
                break
        cursor.close()
        return records

    def _select(self, partition: int) -> sqlite3.Cursor:
        start = self._offsets[partition]
        if self._topic is Topic.EVENTS:
            low, high = partition << _PARTITION_SHIFT | start, (partition + 1) << _PARTITION_SHIFT
            sql = f"SELECT id, NULL, value, appended_ms FROM {self._topic} WHERE id >= ? AND id < ? ORDER BY id"  # noqa: S608 - an enum's text
            return self._connection.execute(sql, [low, high])
        sql = f"SELECT id, key, value, appended_ms FROM {self._topic} WHERE id > ? ORDER BY id"  # noqa: S608 - an enum's text
        return self._connection.execute(sql, [start])

    def _offset_of(self, number: int, partition: int) -> int:
        return number - (partition << _PARTITION_SHIFT) if self._topic is Topic.EVENTS else number - 1

    def seek(self, partition: int, offset: int) -> None:
        """See `LogTail`."""
        self._offsets[partition] = offset

    def ends(self) -> dict[int, int]:
        """See `LogTail`."""
        with _translated("be read"):
            return {partition: _end(self._connection, self._topic, partition) for partition in self._offsets}

    def position(self, partition: int) -> int:
        """See `LogTail`. Nothing is compacted here."""
        return self._offsets[partition]

    def close(self) -> None:
        """See `LogTail`."""
        self._connection.close()

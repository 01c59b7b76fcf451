"""The event log in tests: what it holds, and how it is made to wait or to fail. The file is real in all of them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.eventlog import EventLog, StoredRecord
from penstock.eventlog.sqlite import FILE_NAME
from schemas.event import Event, decode_event
from schemas.record import unpack
from schemas.topics import Topic


def stored_records(log: EventLog) -> list[StoredRecord]:
    """All records of the events topic, partition by partition."""
    tail = log.tail(Topic.EVENTS, dict.fromkeys(range(log.partitions), 0))
    found: list[StoredRecord] = []
    try:
        while records := tail.poll(timeout_seconds=0, max_bytes=1 << 30):
            found += records
    finally:
        tail.close()
    return found


def events_of(record: StoredRecord) -> list[Event]:
    """The events in a record."""
    return [decode_event(line) for line in unpack(record.value or b"").lines.split(b"\n")]


def stored_events(log: EventLog) -> list[Event]:
    """All events in the log, in its order."""
    return [event for record in stored_records(log) for event in events_of(record)]


@contextmanager
def commits_blocked(directory: Path) -> Iterator[None]:
    """While it lasts, another process (as far as SQLite can tell) holds the file's write lock."""
    other = sqlite3.connect(directory / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@contextmanager
def commits_failing(directory: Path) -> Iterator[None]:
    """While it lasts, no event can be stored: their table is away."""
    other = sqlite3.connect(directory / FILE_NAME, isolation_level=None)
    other.execute("ALTER TABLE events RENAME TO hidden")
    try:
        yield
    finally:
        other.execute("ALTER TABLE hidden RENAME TO events")
        other.close()

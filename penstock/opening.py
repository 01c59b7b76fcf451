"""Opens what the settings name: the log and the tables of the one form or the other, and the data directory.

Drivers are imported where they are opened: each takes a quarter of a second, which a short command can do without.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import StartError
from penstock.settings import Settings

if TYPE_CHECKING:
    from penstock.clickhouse.gateway import ClientTables
    from penstock.eventlog.kafka import KafkaLog
    from penstock.eventlog.sqlite import SqliteLog

_LOCK_NAME = "lock"


def is_scaled_out(settings: Settings) -> bool:
    """Whether Kafka and ClickHouse are meant, rather than the embedded form.

    Raises:
        StartError: only one of them is set.
    """
    kafka, clickhouse = bool(settings.kafka.bootstrap_servers), bool(settings.clickhouse.url)
    if kafka != clickhouse:
        present, absent = "PENSTOCK_KAFKA__BOOTSTRAP_SERVERS", "PENSTOCK_CLICKHOUSE__URL"
        if clickhouse:
            present, absent = absent, present
        raise StartError(f"{present} is set and {absent} is not: the scaled-out form needs both, the embedded neither.")
    return kafka


def require_scaled_out(settings: Settings, command: str) -> None:
    """Refuses a command that the embedded form does not have.

    Raises:
        StartError: says what to do instead.
    """
    if not is_scaled_out(settings):
        raise StartError(
            f"'penstock {command}' is a process of the scaled-out form: set PENSTOCK_KAFKA__BOOTSTRAP_SERVERS and "
            "PENSTOCK_CLICKHOUSE__URL. The embedded form is one process: 'penstock up'."
        )


def prepare_directory(directory: Path) -> Path:
    """Makes the data directory where it is missing.

    Raises:
        StartError: it cannot be made or written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"The data directory {directory} cannot be made: {error.strerror}.") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise StartError(f"The data directory {directory} is not writable. Choose another with --data-dir.")
    return directory


@contextmanager
def locked_directory(directory: Path) -> Iterator[Path]:
    """Holds the data directory for this process; the kernel lets go of it when the process ends, however it ends.

    Raises:
        StartError: another process holds it, or it cannot be written to.
    """
    prepare_directory(directory)
    try:
        handle = os.open(directory / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StartError(f"The data directory {directory} is not writable: {error.strerror}.") from error
    try:
        _lock(handle, directory)
        yield directory
    finally:
        os.close(handle)


def _lock(handle: int, directory: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        raise StartError(
            f"The data directory {directory} is in use by another penstock (process {owner}). "
            "Stop it, or choose another with --data-dir."
        ) from error
    os.truncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)


def is_locked(directory: Path) -> bool:
    """Whether a running server holds the directory.

    Raises:
        StartError: it is no directory, or another user's.
    """
    try:
        handle = os.open(directory / _LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StartError(f"The data directory {directory} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def make_log(settings: Settings) -> SqliteLog | KafkaLog:
    """The log; not started."""
    if is_scaled_out(settings):
        from penstock.eventlog.kafka import KafkaLog

        return KafkaLog(settings.kafka, max_pending_bytes=settings.ingest.max_pending_bytes)
    from penstock.eventlog.sqlite import SqliteLog

    return SqliteLog(prepare_directory(settings.data_dir), max_pending_bytes=settings.ingest.max_pending_bytes)


@contextmanager
def opened_log(settings: Settings) -> Iterator[SqliteLog | KafkaLog]:
    """The log for a command: everything but appending events."""
    log = make_log(settings)
    log.open()
    try:
        yield log
    finally:
        log.close()


def make_tables(settings: Settings, *, only_reads: bool = False) -> ClientTables:
    """The tables; nothing is connected yet. The embedded ones need the directory's lock."""
    if is_scaled_out(settings):
        from penstock.clickhouse.server import open_server

        return open_server(settings.clickhouse, only_reads=only_reads)
    from penstock.clickhouse.chdb import open_embedded

    return open_embedded(settings.data_dir, settings.clickhouse)

"""Delivers the embedded log's records to the pipeline: one thread, all partitions."""

import os
import sys
import threading
import time
from collections.abc import Callable

import structlog

from consumers.pipeline import Pipeline, Stopped, pause_between
from consumers.sink import LogEnds
from penstock.clock import Clock
from penstock.errors import LogUnavailable, PenstockError, WriterFenced
from penstock.eventlog import EventLog, LogTail
from penstock.settings import Writer
from schemas.record import UnknownFormat
from schemas.topics import Topic

_RETRY_SECONDS = 1.0

_log = structlog.get_logger(__name__)


_NICENESS = 10


def step_back() -> None:
    """Lowers this thread's claim on the processor, and that of the threads that it will start (Linux only)."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


class WriterLoop:
    """Runs until stopped.

    Args:
        on_failure: called, in the loop's thread, where the writer cannot go on; the process should end.
    """

    def __init__(
        self,
        settings: Writer,
        *,
        log: EventLog,
        pipeline: Pipeline,
        clock: Clock,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._settings = settings
        self._log = log
        self._pipeline = pipeline
        self._clock = clock
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer")

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def stop(self) -> None:
        """Finishes the batch under way and ends. What is left stays in the log for the next start."""
        self._stopping.set()
        self._pipeline.stop()
        self._thread.join()

    def _run(self) -> None:
        step_back()
        try:
            while not self._stopping.is_set():
                self._own()
        except Stopped:
            _log.info("writer stopped while it waited")
        except (PenstockError, UnknownFormat) as error:
            _log.error("writer cannot go on", reason=str(error))
            self._on_failure(error)
        except Exception as error:
            _log.exception("writer failed")
            self._on_failure(error)
            raise

    def _own(self) -> None:
        """Writes all partitions until told to stop, or until a rebuild takes them."""
        try:
            self._follow(self._pipeline.claim(range(self._log.partitions)))
        except WriterFenced as error:
            _log.info("partitions are taken", reason=str(error))
            self._pipeline.release(self._pipeline.partitions)

    def _follow(self, starts: dict[int, int]) -> None:
        tail = self._log.tail(Topic.EVENTS, starts)
        try:
            while not self._stopping.is_set():
                started = time.monotonic()
                try:
                    self._step(tail)
                except LogUnavailable as error:
                    _log.warning("log not readable", reason=error.message)
                    self._stopping.wait(_RETRY_SECONDS)
                pause_between(started, self._settings.flush_after_seconds, self._stopping)
        finally:
            tail.close()

    def _step(self, tail: LogTail) -> None:
        records = tail.poll(timeout_seconds=self._settings.heartbeat_seconds, max_bytes=self._settings.max_bytes)
        read_ms = self._clock.now_ms()
        ends = LogEnds(tail.ends(), read_ms)
        if records:
            for gap in self._pipeline.write(records, ends):
                tail.seek(gap.partition, gap.expected)
        else:
            self._pipeline.heartbeat(ends)

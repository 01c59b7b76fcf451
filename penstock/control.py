"""Follows the control topic: what every process knows of projects, keys, segments and workflows without asking."""

import threading
import time
from dataclasses import dataclass
from typing import Protocol

import msgspec
import structlog

from penstock.auth import KeyRing
from penstock.errors import LogUnavailable
from penstock.eventlog import EventLog, LogTail
from penstock.registry import Registry
from schemas.topics import Topic

_POLL_BYTES = 1 << 20
_POLL_SECONDS = 1.0
_MOST_IDLE_POLLS = 10
_RETRY_SECONDS = 1.0
_SYNC_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class Applying(Protocol):
    """What is kept up to date; `penstock.auth.KeyRing` and `penstock.registry.Registry` are such."""

    is_complete: bool

    def apply(self, key: str, value: bytes | None, offset: int) -> None:
        """Takes one record of the control topic; what it does not know of, it passes over.

        Raises:
            msgspec.DecodeError: the record is not readable; nothing changed.
        """
        ...


def _apply(targets: tuple[Applying, ...], tail: LogTail, timeout_seconds: float) -> int:
    """Applies what the tail has; returns how many records that were."""
    records = tail.poll(timeout_seconds=timeout_seconds, max_bytes=_POLL_BYTES)
    for record in records:
        for target in targets:
            try:
                target.apply(record.key or "", record.value, record.offset)
            except (msgspec.DecodeError, ValueError) as error:
                _log.error("control record ignored", offset=record.offset, key=record.key, reason=str(error))
    return len(records)


def _catch_up(targets: tuple[Applying, ...], tail: LogTail) -> None:
    end, idle_polls = tail.ends()[0], 0
    while tail.position(0) < end:
        idle_polls = 0 if _apply(targets, tail, _POLL_SECONDS) else idle_polls + 1
        if idle_polls >= _MOST_IDLE_POLLS:
            raise LogUnavailable("The control topic cannot be read to its end")
    for target in targets:
        target.is_complete = True


def read_all(log: EventLog) -> KeyRing:
    """Everything that the control topic says now of projects and keys.

    Raises:
        LogUnavailable: the log does not answer.
    """
    ring = KeyRing()
    tail = log.tail(Topic.CONTROL, {0: 0})
    try:
        _catch_up((ring,), tail)
    finally:
        tail.close()
    return ring


class ControlFollower:
    """Keeps others up to date, in a thread of its own."""

    def __init__(self, log: EventLog, *targets: Applying) -> None:
        self._log = log
        self._targets = targets
        self._caught_up = threading.Event()
        self._stopping = threading.Event()
        self._position = 0
        self._moved = threading.Condition()
        self._asking = threading.Lock()
        self._ends_tail: LogTail | None = None
        self._thread = threading.Thread(target=self._run, name="control-follower", daemon=True)

    def start(self) -> None:
        """Begins to follow; `check` tells when all that there is was read."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, within a poll."""
        self._stopping.set()
        self._thread.join(timeout=5)
        with self._asking:
            self._forget_tail()

    def wait(self, timeout_seconds: float) -> bool:
        """Waits until all that there was at the start is read."""
        return self._caught_up.wait(timeout_seconds)

    def check(self) -> None:
        """Whether the keys are known.

        Raises:
            LogUnavailable: not yet.
        """
        if not self._caught_up.is_set():
            raise LogUnavailable("Projects and keys were not read from the log yet")

    def sync(self) -> None:
        """Returns when all that the topic had at the call is applied; blocks.

        Raises:
            LogUnavailable: the log does not answer, or not in time.
        """
        self.wait_for(self._end() - 1)

    def wait_for(self, offset: int) -> None:
        """Returns when the record at `offset`, which is in the topic, is applied; raises as `sync` does."""
        deadline = time.monotonic() + _SYNC_SECONDS
        with self._moved:
            while self._position <= offset:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise LogUnavailable("The control topic is not followed in time")
                self._moved.wait(left)

    def _end(self) -> int:
        with self._asking:
            if self._ends_tail is None:
                self._ends_tail = self._log.tail(Topic.CONTROL, {0: 0})
            try:
                return self._ends_tail.ends()[0]
            except BaseException:
                self._forget_tail()
                raise

    def _forget_tail(self) -> None:
        if self._ends_tail is not None:
            self._ends_tail.close()
            self._ends_tail = None

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except LogUnavailable as error:
                _log.warning("control topic not readable", reason=error.message)
            except Exception:  # noqa: BLE001 - a thread that ended would leave revoked keys good
                _log.exception("control topic not followed")
            self._stopping.wait(_RETRY_SECONDS)

    def _follow(self) -> None:
        """From where it was: who goes back would show what was, in between."""
        tail = self._log.tail(Topic.CONTROL, {0: self._position})
        try:
            _catch_up(self._targets, tail)
            self._caught_up.set()
            self._note(tail)
            while not self._stopping.is_set():
                _apply(self._targets, tail, 0.5)
                self._note(tail)
        finally:
            tail.close()

    def _note(self, tail: LogTail) -> None:
        position = tail.position(0)
        if position != self._position:
            with self._moved:
                self._position = position
                self._moved.notify_all()


@dataclass(frozen=True, slots=True)
class Control:
    """All that a serving process keeps of the control topic, and who keeps it up to date."""

    ring: KeyRing
    registry: Registry
    follower: ControlFollower


def control_of(log: EventLog) -> Control:
    """The control topic of a log; nobody follows it before `follower.start`."""
    ring, registry = KeyRing(), Registry()
    return Control(ring, registry, ControlFollower(log, ring, registry))

"""What the tests' real services have in common: a child process, a port, a deadline.

``Process`` is one child with a log file and the signals that crash tests send to it. ``Service`` adds what a Kafka
broker and a ClickHouse stand-in share: a data directory, a fixed port, a readiness check, restart on the same data. The
services themselves are in ``kafka_broker`` and ``clickhouse_server``; this module imports nothing of the product, so
that CLI tests can use ``Process`` on ``penstock`` itself.
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self, TypeVar

from tests.support import preloaded
from tests.support.breakable import Breakable

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
REPOSITORY = Path(__file__).resolve().parents[2]


class ServiceUnavailable(Exception):
    """A service cannot be had on this machine: a program or package is missing. The message says how to install it.

    Fixtures turn it into a skip, or into a failure where ``REQUIRE_SERVICES=1``.
    """


def wait_until(predicate: Callable[[], T], timeout_seconds: float, what: str, *, poll_seconds: float = 0.02) -> T:
    """Poll until the predicate is true.

    Args:
        predicate: Called at once and then every ``poll_seconds``; what it raises ends the wait.
        timeout_seconds: Deadline, measured on the monotonic clock. The predicate is called at least once.
        what: Completes the sentence "timed out waiting for …".

    Returns:
        The first truthy value of the predicate.

    Raises:
        TimeoutError: The deadline passed.
    """
    deadline = time.monotonic() + timeout_seconds
    while not (value := predicate()):
        if time.monotonic() >= deadline:
            raise TimeoutError(f"timed out after {timeout_seconds:g} s waiting for {what}; last answer: {value!r}")
        time.sleep(poll_seconds)
    return value


_handed_out: set[int] = set()


def free_port() -> int:
    """A TCP port that nobody listens on, never the same one twice in a process.

    It lies below the kernel's ephemeral range: a port from ``bind(0)`` can be taken by any outgoing connection while a
    killed service is down, and the restart on "the same port" then fails now and then.
    """
    first_ephemeral = _first_ephemeral_port()
    for _ in range(1000):
        port = random.randrange(15_000, max(first_ephemeral, 16_000))
        if port not in _handed_out and _can_bind(port):
            _handed_out.add(port)
            return port
    raise ServiceUnavailable("no free TCP port found on 127.0.0.1 in a thousand attempts")


def _first_ephemeral_port() -> int:
    with suppress(OSError):
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    return 49_152  # where the IANA range starts; macOS uses it


def _can_bind(port: int, *, past_time_wait: bool = False) -> bool:
    """Whether a listener could start. Connections of a past listener, still in TIME_WAIT, count as taken by default."""
    with socket.socket() as probe:
        if past_time_wait:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class Process:
    """One child process, in its own process group, with its output in a log file.

    ``kill``, ``pause`` and ``resume`` go to the whole group (a crash takes the workers too), ``terminate`` to the
    leader alone (as a service manager does: passing the signal on is the leader's job). Everything started and not
    ended is killed when the interpreter exits, so that a broken test leaves no JVM behind.

    Args:
        args: The command; its first item is looked up on PATH.
        log_file: Appended to, so that one file tells the story of several starts.
        env: Added to this process's environment.
        cwd: The child's working directory.
    """

    def __init__(
        self,
        args: Sequence[str | Path],
        *,
        log_file: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.args = [str(arg) for arg in args]
        self.log_file = log_file
        self._env = {**os.environ, **(env or {})}
        self._cwd = cwd
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._started().pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def returncode(self) -> int | None:
        """As ``subprocess``: None while running, minus the signal's number when one ended it."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        """Start the child. It may be started again after it ended."""
        if self.running:
            raise RuntimeError(f"already running: {self._describe()}")
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._child = preloaded.popen(
                self.args,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )
        _started.add(self)

    def wait_ready(self, ready: Callable[[], bool], timeout_seconds: float, what: str) -> None:
        """Poll until ``ready``; a child that ends, or a deadline that passes, raises with the log's tail.

        Raises:
            RuntimeError: The child ended first.
            TimeoutError: It is still running but not ready.
        """

        def ready_or_dead() -> bool:
            if not self.running:
                raise RuntimeError(f"{self._describe()} ended with {self.returncode} before {what}\n{self.log_tail()}")
            return ready()

        try:
            wait_until(ready_or_dead, timeout_seconds, what)
        except TimeoutError as late:
            raise TimeoutError(f"{late}\n{self.log_tail()}") from None

    def terminate(self, timeout_seconds: float = 20.0, signal_number: int = signal.SIGTERM) -> int:
        """Ask the leader to end, wait, then kill what is left of its group. Wakes a paused child first.

        Returns:
            The exit code, for tests of graceful stops.

        Raises:
            TimeoutError: It did not end in time. It has been killed.
        """
        child = self._started()
        if child.poll() is None:
            self.resume()
            child.send_signal(signal_number)
            try:
                wait_until(self._ended_but_not_reaped, timeout_seconds, f"{self._describe()} to end", poll_seconds=0.01)
            except TimeoutError as late:
                self.kill()
                raise TimeoutError(f"{late}; killed\n{self.log_tail()}") from None
            self._signal_group(signal.SIGKILL)  # the unreaped leader still holds the group's id: nobody else can be hit
        return child.wait()

    def kill(self) -> None:
        """SIGKILL to the whole group, and wait until it is gone. Does nothing to a child that has ended."""
        if self.running:
            self._signal_group(signal.SIGKILL)
            self._started().wait()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, which is what a hung machine looks like.

        Returns when all threads stand still: on a busy machine some go on for a moment.
        """
        self._signal_group(signal.SIGSTOP)
        wait_until(self._stands_still, 10, f"{self._describe()} to stand still", poll_seconds=0.002)

    def resume(self) -> None:
        self._signal_group(signal.SIGCONT)

    def wait(self, timeout_seconds: float) -> int:
        """Wait for an end that the test caused otherwise.

        Raises:
            subprocess.TimeoutExpired: It is still running.
        """
        return self._started().wait(timeout_seconds)

    def log_tail(self, lines: int = 40) -> str:
        """The end of the log, headed by the file's name, for messages of errors."""
        text = self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""
        return "\n".join([f"--- end of {self.log_file}", *text.splitlines()[-lines:]])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def _ended_but_not_reaped(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _stands_still(self) -> bool:
        threads = Path(f"/proc/{self.pid}/task")
        if not threads.exists():  # ended, or not on Linux
            return True
        with suppress(OSError):  # one that ends meanwhile
            states = [(thread / "stat").read_text().rpartition(")")[2].split()[0] for thread in threads.iterdir()]
            return set(states) <= {"T", "t", "Z", "X"}
        return False

    def _signal_group(self, signal_number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal_number)  # start_new_session made the child's pid the group's id

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise RuntimeError(f"not started: {self._describe()}")
        return self._child

    def _describe(self) -> str:
        return " ".join(self.args)[:120]


_started: weakref.WeakSet[Process] = weakref.WeakSet()


@atexit.register
def _kill_what_is_left() -> None:
    for process in list(_started):
        process.kill()


class Service(Breakable, ABC):
    """A real service on loopback that a test starts, breaks and restarts.

    As a context manager it starts on entry; on exit it is killed, and its data directory removed if it made that itself
    and the block did not fail (what a failed test left is worth a look: the path is in ``data_dir``).

    Args:
        data_dir: Kept, and used again by ``restart``. Default: a new temporary directory.
        port: Default: a free one. It stays the same over restarts.
    """

    name: ClassVar[str]
    ready_within_seconds: ClassVar[float] = 60.0
    stop_within_seconds: ClassVar[float] = 30.0

    def __init__(self, data_dir: Path | None = None, *, port: int | None = None) -> None:
        self._owns_data = data_dir is None
        self.data_dir = data_dir or Path(tempfile.mkdtemp(prefix=f"penstock-{self.name}-"))
        self.host = LOOPBACK
        self.port = port or free_port()
        self.log_file = self.data_dir / f"{self.name}.log"
        self._process: Process | None = None

    @abstractmethod
    def _prepare(self) -> Process:
        """Make the data directory fit to start on, and describe the process. Called before every start."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """One short attempt at a round trip; False when it fails in any way that waiting can cure."""

    @property
    def process(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start and wait until requests are answered.

        Raises:
            ServiceUnavailable: Something to run it with is missing on this machine.
            RuntimeError: It is running already, or something else has its port, or it ended at once; then the log's
                tail is in the message.
            TimeoutError: It does not answer; it has been killed, and the log's tail is in the message.
        """
        if self.running:
            raise RuntimeError(f"{self.name} is running already, with pid {self.process.pid}")
        if not _can_bind(self.port, past_time_wait=True):  # or the other listener's answers would pass for readiness
            raise RuntimeError(f"{self.name} cannot start: something else listens on {self.host}:{self.port}")
        self._process = self._prepare()
        self._process.start()
        try:
            self._process.wait_ready(self._is_ready, self.ready_within_seconds, f"{self.name} to answer")
        except BaseException:
            self._process.kill()
            raise

    def stop(self) -> int:
        """Graceful: SIGTERM, then wait.

        Returns:
            The exit code; 143 for a JVM, which ends so after SIGTERM even when all went well.

        Raises:
            TimeoutError: It did not end within ``stop_within_seconds``; it has been killed.
        """
        return self.process.terminate(self.stop_within_seconds)

    def kill(self) -> None:
        """SIGKILL; data and port stay, ``start`` or ``restart`` brings it back."""
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP: it accepts no more and answers nothing, while connections stay open."""
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self.process.resume()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        if self._owns_data and kind is None:
            shutil.rmtree(self.data_dir, ignore_errors=True)

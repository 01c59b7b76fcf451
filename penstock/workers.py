"""`--workers N`: the same command in several processes that share one socket; one that dies is started anew."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import structlog

_RESTART_SECONDS = 1.0
_STOP_SECONDS = 10

_log = structlog.get_logger(__name__)


class Workers:
    """Child processes of one command."""

    def __init__(self, commands: Sequence[Sequence[str]], inherited: Sequence[int] = ()) -> None:
        """`commands`: arguments of `penstock`, one list per worker; `inherited`: file descriptors that they keep."""
        self._commands = commands
        self._inherited = inherited
        self._stopping = False
        self._children: list[subprocess.Popen[bytes]] = []

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT; the exit code: 0 where all workers stopped cleanly."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._children = [self._start(command) for command in self._commands]
        while not self._stopping:
            time.sleep(0.2)
            self._revive()
        return self._wait()

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "penstock", *command], pass_fds=self._inherited
        )

    def _stop(self, *_: object) -> None:
        self._stopping = True
        for child in self._children:
            child.terminate()

    def _revive(self) -> None:
        for index, child in enumerate(self._children):
            if child.poll() is not None and not self._stopping:
                _log.warning("worker ended", worker=index, exit_code=child.returncode)
                time.sleep(_RESTART_SECONDS)
                if self._stopping:
                    return
                self._children[index] = self._start(self._commands[index])

    def _wait(self) -> int:
        deadline = time.monotonic() + _STOP_SECONDS
        for child in self._children:
            child.terminate()
        for child in self._children:
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
        return 0 if all(child.wait() == 0 for child in self._children) else 1

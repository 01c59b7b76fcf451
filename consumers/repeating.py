"""A thread that does something again and again, and rests in between, whatever fails."""

import threading
import time
from collections.abc import Callable

import structlog

from consumers.loop import step_back
from penstock.errors import PenstockError, Unavailable

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_STOP_SECONDS = 2.0

_log = structlog.get_logger(__name__)


class Repeating:
    """See the module.

    Args:
        wait: returns when there is something to do, or after a while.
        rest: how long it rests after its work, as a multiple of how long that took.
        round_seconds: the least time between two rounds.
        longest_rest_seconds: the most that it rests after work that succeeded.
    """

    def __init__(
        self,
        name: str,
        wait: Callable[[], object],
        work: Callable[[], None],
        *,
        round_seconds: float = 0.02,
        rest: float = 0.0,
        longest_rest_seconds: float = 0.0,
    ) -> None:
        self._name = name
        self._wait = wait
        self._work = work
        self._round_seconds = round_seconds
        self._rest = rest
        self._longest_rest_seconds = longest_rest_seconds
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it, as soon as the work under way allows."""
        self.stopping.set()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        step_back()
        pause, rest = _FIRST_PAUSE_SECONDS, self._round_seconds
        while not self.stopping.wait(rest):
            self._wait()
            started = time.monotonic()
            if self._try(pause):
                pause = _FIRST_PAUSE_SECONDS
                took = time.monotonic() - started
                rest = max(self._round_seconds, min(self._rest * took, self._longest_rest_seconds))
            else:
                rest = pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _try(self, pause: float) -> bool:
        try:
            self._work()
        except Unavailable as error:
            _log.warning("will try again", doing=self._name, reason=error.message, pause_seconds=pause)
        except PenstockError as error:
            _log.error("not done", doing=self._name, reason=str(error))
        except Exception:  # noqa: BLE001 - a thread that ended would leave its work undone for good
            _log.exception("not done", doing=self._name)
        else:
            return True
        return False

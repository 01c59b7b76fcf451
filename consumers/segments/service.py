"""The threads that evaluate segments beside a writer."""

import threading
import time
from collections.abc import Callable

import structlog

from consumers.loop import step_back
from consumers.segments.following import Following, Workplace
from consumers.segments.passing import Passing
from consumers.stored import Stored
from penstock.errors import PenstockError, Unavailable

_ROUND_SECONDS = 0.2
"""The least time between two rounds: more contacts at once cost less each."""

_REST = 1.5
"""How long a thread rests, as a multiple of how long it worked: a statement about many segments costs much, whoever it
is about."""

_LONGEST_REST_SECONDS = 1.5

_IDLE_SECONDS = 0.5
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_STOP_SECONDS = 3.0

_log = structlog.get_logger(__name__)


class SegmentService:
    """See the module.

    Args:
        stored: how far the partitions that are written here are stored.
    """

    def __init__(self, place: Workplace, stored: Stored) -> None:
        self._registry = place.registry
        self._stored = stored
        self._following = Following(place)
        self._passing = Passing(place, stored)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(wait, work), name=name, daemon=True)
            for name, wait, work in (
                ("segments-follow", self._await_more, self._follow),
                ("segments-pass", self._await_round, self._passing.step),
            )
        ]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the threads, as soon as the statements under way allow; what is not done is done by who comes next."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)

    def _await_round(self) -> None:
        self._stopping.wait(_IDLE_SECONDS)

    def _await_more(self) -> None:
        """Returns when there is something to follow, or after a while."""
        stored = self._stored.through()
        if not self._following.behind(stored):
            self._stored.wait(stored, _IDLE_SECONDS)

    def _follow(self) -> None:
        stored = self._stored.through()
        if self._following.behind(stored):
            self._following.step(stored)

    def _run(self, wait: Callable[[], object], work: Callable[[], None]) -> None:
        step_back()
        pause, rest = _FIRST_PAUSE_SECONDS, _ROUND_SECONDS
        while not self._stopping.wait(rest):
            wait()
            if not self._registry.is_complete:  # whoever knows of no segment passes over what is stored
                continue
            started = time.monotonic()
            if self._try(work, pause):
                pause = _FIRST_PAUSE_SECONDS
                rest = max(_ROUND_SECONDS, min(_REST * (time.monotonic() - started), _LONGEST_REST_SECONDS))
            else:
                rest = pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _try(self, work: Callable[[], None], pause: float) -> bool:
        try:
            work()
        except Unavailable as error:
            _log.warning("segments will be evaluated later", reason=error.message, pause_seconds=pause)
        except PenstockError as error:
            _log.error("segments cannot be evaluated", reason=str(error))
        except Exception:  # noqa: BLE001 - a thread that ended would leave all segments as they are
            _log.exception("segments not evaluated")
        else:
            return True
        return False

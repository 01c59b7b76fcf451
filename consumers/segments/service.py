"""The threads that evaluate segments beside a writer."""

import threading
from collections.abc import Callable

import structlog

from consumers.loop import step_back
from consumers.segments.following import Following, Workplace
from consumers.segments.passing import Passing
from consumers.stored import Stored
from penstock.errors import PenstockError, Unavailable

_ROUND_SECONDS = 0.05
"""The least time between two rounds: more contacts at once cost less each."""

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
            threading.Thread(target=self._run, args=(work, pause), name=name, daemon=True)
            for name, work, pause in (
                ("segments-follow", self._follow, _ROUND_SECONDS),
                ("segments-pass", self._passing.step, _IDLE_SECONDS),
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

    def _follow(self) -> None:
        stored = self._stored.through()
        if self._following.behind(stored):
            self._following.step(stored)
        else:
            self._stored.wait(stored, _IDLE_SECONDS)

    def _run(self, work: Callable[[], None], round_seconds: float) -> None:
        step_back()
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.wait(round_seconds):
            if not self._registry.is_complete:  # whoever knows of no segment passes over what is stored
                continue
            try:
                work()
                pause = _FIRST_PAUSE_SECONDS
                continue
            except Unavailable as error:
                _log.warning("segments will be evaluated later", reason=error.message, pause_seconds=pause)
            except PenstockError as error:
                _log.error("segments cannot be evaluated", reason=str(error))
            except Exception:  # noqa: BLE001 - a thread that ended would leave all segments as they are
                _log.exception("segments not evaluated")
            self._stopping.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

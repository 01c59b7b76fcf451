"""Whether the parts of a process can do their work, told in time whatever they are doing.

A part may need many seconds to find out that what it depends on does not answer. Balancers do not wait so long: they
would take the process for one that is gone, and its clients would wait instead of being told.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from queue import SimpleQueue

from penstock.errors import PenstockError

Check = Callable[[], None]
"""Returns where its part can do its work, raises Unavailable where not. May block."""

PROCESS = "process"
"""The check that balancers act on: `/readyz` names it while this process starts or ends, so that another is asked. It
must not block."""

_ANSWER_SECONDS = 1.5
"""Half of what the proxy in docker-compose.yml allows."""


class Readiness:
    """What is missing; may be asked by any number of threads at once.

    Args:
        checks: by the name that is shown.
    """

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._process = checks.get(PROCESS)
        self._parts = {name: _Checking(check, name) for name, check in checks.items() if name != PROCESS}
        self._was_ready = threading.Event()

    def missing(self) -> dict[str, str]:
        """Reason by name; empty where all can work. While the process ends, that alone."""
        if self._process is not None and (reason := _reason(self._process)):
            return {PROCESS: reason}
        deadline = time.monotonic() + _ANSWER_SECONDS
        asked = {name: part.ask() for name, part in self._parts.items()}
        missing = {name: reason for name, answer in asked.items() if (reason := _within(answer, deadline))}
        if not missing:
            self._was_ready.set()
        elif self._process is not None and not self._was_ready.is_set():
            missing[PROCESS] = "it was not ready yet"
        return missing


class _Checking:
    """One check, which runs once at a time: who asks meanwhile gets the same answer.

    It has a thread of its own for good, as what it asks may keep a connection for each thread.
    """

    def __init__(self, check: Check, name: str) -> None:
        self._check = check
        self._name = name
        self._asking = threading.Lock()
        self._asked: SimpleQueue[Future[str]] = SimpleQueue()
        self._answer: Future[str] | None = None

    def ask(self) -> "Future[str]":
        with self._asking:
            if self._answer is None:
                # a daemon: a check that hangs must not keep the process from ending
                threading.Thread(target=self._run, name=f"check-{self._name}", daemon=True).start()
            if self._answer is None or self._answer.done():
                self._answer = Future()
                self._asked.put(self._answer)
            return self._answer

    def _run(self) -> None:
        while True:
            answer = self._asked.get()
            try:
                answer.set_result(_reason(self._check))
            except BaseException as error:  # noqa: BLE001 - it belongs to the one who asked
                answer.set_exception(error)


def _reason(check: Check) -> str:
    try:
        check()
    except PenstockError as error:
        return str(error)
    return ""


def _within(answer: "Future[str]", deadline: float) -> str:
    try:
        return answer.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return "it does not answer"

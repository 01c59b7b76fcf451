"""Clients that write and read while parts are replaced, and what they were answered meanwhile."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from tests.support.deployments import Deployment, Project
from tests.support.load import Answer, Load
from tests.support.services import wait_until

_READS = ("/events?limit=10", "/events/names", "/events/stats", "/contacts?limit=10")
_NO_ANSWER = 0


@dataclass(frozen=True)
class Answers:
    """What was answered in some span of time."""

    writes: Sequence[Answer]
    reads: Sequence[Answer]

    def __str__(self) -> str:
        return f"writes {_told(self.writes)}; reads {_told(self.reads)}"

    def faults(self, *, may_be_silent: bool) -> list[Answer]:
        """All but successes and what tells the client when to come again; a connection that broke, unless it may."""
        found = [one for one in (*self.writes, *self.reads) if one.status != 200 and not _tells_when(one)]
        return [one for one in found if one.status != _NO_ANSWER or not may_be_silent]

    @property
    def not_written(self) -> list[Answer]:
        """Writes that were not taken at once."""
        return [one for one in self.writes if one.status != 200]


def _tells_when(answer: Answer) -> bool:
    return answer.status == 503 and answer.headers.get("Retry-After", "").isdigit()


def _told(answers: Sequence[Answer]) -> str:
    statuses = Counter("no answer" if one.status == _NO_ANSWER else str(one.status) for one in answers)
    counted = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    return f"{counted}, slowest {max((one.seconds for one in answers), default=0):.1f} s"


class Traffic:
    """Writes (see `Load`) and reads, until it is left."""

    def __init__(self, deployment: Deployment, project: Project, *, writers: int = 6, readers: int = 2) -> None:
        self.load = Load(deployment, project, threads=writers, pause_seconds=0.02)
        self._url = deployment.query_url
        self._project = project
        self._stopping = threading.Event()
        self._reads: list[Answer] = []
        self._threads = [threading.Thread(target=self._read, args=(number,)) for number in range(readers)]

    def __enter__(self) -> Traffic:
        self.load.__enter__()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self.load.__exit__()

    def since(self, started: float) -> Answers:
        """What was answered to what was sent since then, as soon as both flow again."""
        reads = len(self._reads)
        self.load.wait_for_more(50)
        wait_until(lambda: [one for one in self._reads[reads:] if one.status == 200], 60, "a read that succeeds")
        return Answers(self.load.since(started), [one for one in self._reads if one.started >= started])

    def _read(self, number: int) -> None:
        with httpx.Client(timeout=40, headers=self._project.reading) as http:
            while not self._stopping.wait(0.05):
                number += 1
                started = time.monotonic()
                try:
                    answer = http.get(self._url + _READS[number % len(_READS)])
                except httpx.HTTPError:
                    self._reads.append(Answer(started, time.monotonic() - started, _NO_ANSWER))
                else:
                    seconds = time.monotonic() - started
                    self._reads.append(Answer(started, seconds, answer.status_code, answer.headers))

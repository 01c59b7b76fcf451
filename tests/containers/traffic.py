"""Clients that write and read while parts are replaced, and what they were answered meanwhile."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx

from tests.support.client import Client
from tests.support.deployments import Deployment, Project
from tests.support.load import Answer, Load, expect_exactly
from tests.support.services import wait_until

_READS = ("/events?limit=10", "/events/names", "/events/stats", "/contacts?limit=10")
_BATCH = 50
_WRITERS, _READERS = 6, 2
EVERYONE = {f"writer {n}" for n in range(_WRITERS)} | {f"reader {n}" for n in range(_READERS)} | {"poster"}
_NO_ANSWER = 0


@dataclass(frozen=True)
class Answers:
    """What was answered in some span of time."""

    writes: Sequence[Answer]
    reads: Sequence[Answer]

    def __str__(self) -> str:
        return f"writes {_told(self.writes)}; reads {_told(self.reads)}"

    def faults(self, silence: Collection[str]) -> list[Answer]:
        """All but successes and what tells the client when to come again, and but for broken connections of `silence`."""
        found = [one for one in (*self.writes, *self.reads) if one.status != 200 and not _tells_when(one)]
        return [one for one in found if one.status != _NO_ANSWER or one.client not in silence]

    def refused(self, kinds: Iterable[str]) -> list[Answer]:
        """Of `writes` and `reads`, what did not succeed at once."""
        chosen = [one for kind in kinds for one in {"writes": self.writes, "reads": self.reads}[kind]]
        return [one for one in chosen if one.status != 200]


def _tells_when(answer: Answer) -> bool:
    return answer.status == 503 and answer.headers.get("Retry-After", "").isdigit()


def _told(answers: Sequence[Answer]) -> str:
    statuses = Counter("no answer" if one.status == _NO_ANSWER else str(one.status) for one in answers)
    counted = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    return f"{counted}, slowest {max((one.seconds for one in answers), default=0):.1f} s"


class Caller:
    """A client that asks again and again, whatever it is answered."""

    def __init__(self, name: str, project: Project, ask: Callable[[httpx.Client], httpx.Response]) -> None:
        self.name = name
        self.answers: list[Answer] = []
        self._headers = project.reading
        self._ask = ask
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=40, headers=self._headers) as http:
            while not self._stopping.wait(0.05):
                started = time.monotonic()
                try:
                    answer = self._ask(http)
                except httpx.HTTPError:
                    self.answers.append(Answer(started, time.monotonic() - started, _NO_ANSWER, client=self.name))
                else:
                    seconds = time.monotonic() - started
                    self.answers.append(Answer(started, seconds, answer.status_code, answer.headers, self.name))


@dataclass
class Unkeyed:
    """Batches without an idempotency key: nobody may send them twice, and they are never repeated.

    Attributes:
        sent: the numbers of events that may be stored.
        acknowledged: the numbers of those that must be.
    """

    url: str
    sent: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)

    def post(self, http: httpx.Client) -> httpx.Response:
        """One batch."""
        numbers = range(len(self.sent), len(self.sent) + _BATCH)
        self.sent.update(numbers)
        events = [{"event": "unkeyed", "email": f"u{n % 7}@example.com", "data": {"n": n}} for n in numbers]
        answer = http.post(f"{self.url}/v1/track/batch", json=events)
        if answer.status_code == 200 and answer.json()["data"]["rejected"] == 0:
            self.acknowledged.update(numbers)
        return answer

    def expect(self, deployment: Deployment, project: Project) -> None:
        """Each event is in the list once at most, if it was sent, and once if it was acknowledged."""
        client = Client(deployment, project)
        try:
            wait_until(lambda: client.counts().get("unkeyed", 0) >= len(self.acknowledged), 60, "the batches")
            time.sleep(2)  # what was not acknowledged, and is stored all the same
            found = Counter(int(row["data"]["n"]) for row in client.all_events())
        finally:
            client.close()
        assert set(found.values()) == {1}, f"stored twice: {[n for n, times in found.items() if times > 1][:10]}"
        assert self.acknowledged <= found.keys() <= self.sent, (
            sorted(self.acknowledged - found.keys())[:10],
            len(found),
        )


class Traffic:
    """Writes with keys (see `Load`), writes without, and reads, until it is left."""

    def __init__(self, deployment: Deployment, project: Project, other: Project) -> None:
        """`other`: of the writes without keys."""
        self._deployment = deployment
        self._projects = project, other
        self.load = Load(deployment, project, threads=_WRITERS, pause_seconds=0.02)
        self.unkeyed = Unkeyed(deployment.ingest_urls[0])
        turns = itertools.cycle(_READS)
        url = deployment.query_url
        self._readers = [
            Caller(f"reader {n}", project, lambda http: http.get(url + next(turns))) for n in range(_READERS)
        ]
        self._poster = Caller("poster", other, self.unkeyed.post)
        self._seen = Counter[int]()
        self._running = ExitStack()

    def __enter__(self) -> Traffic:
        self._running.enter_context(self.load)
        for caller in (self._poster, *self._readers):
            self._running.enter_context(caller)
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def answers(self) -> Answers:
        """All that came since this was asked before, as soon as every client was served again.

        So each answer is in exactly one of them: in that of the time at which it came.
        """
        since = time.monotonic()
        wait_until(lambda: self._served_since(since) >= EVERYONE, 90, "every client to be served again")
        return Answers(self._new(self.load, self._poster), self._new(*self._readers))

    def expect_exactly(self) -> int:
        """What was acknowledged is in every read, each event once; how many there are."""
        expect_exactly(self.load, self._deployment, self._projects[0])
        self.unkeyed.expect(self._deployment, self._projects[1])
        return len(self.load.acknowledged) + len(self.unkeyed.acknowledged)

    def _new(self, *callers: Load | Caller) -> list[Answer]:
        """What these got since this was asked before."""
        found: list[Answer] = []
        for caller in callers:
            new = caller.answers[self._seen[id(caller)] :]
            self._seen[id(caller)] += len(new)
            found += new
        return found

    def _served_since(self, since: float) -> set[str]:
        """Who has got a success for what was asked since then."""
        lists = [self.load.answers, self._poster.answers, *(reader.answers for reader in self._readers)]
        recent = [one for answers in lists for one in answers[-1000:]]
        return {one.client for one in recent if one.started >= since and one.status == 200}

"""What all workers of the load share."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence
from random import Random

from tests.chaos.complaints import Complaints
from tests.chaos.deletions import Deletions
from tests.chaos.drafts import Draft
from tests.chaos.ledger import Ledger
from tests.chaos.people import People
from tests.chaos.posting import Requests
from tests.support.deployments import Project

_DELETED_NAMES = 2
_REMEMBERED = 5000


class Pace:
    """Spreads the load: so many events a second; what a fault cost is not caught up."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._next = 0.0

    async def take(self, events: int) -> None:
        """Waits until that many may be sent."""
        now = time.monotonic()
        self._next = max(self._next, now)
        wait = self._next - now
        self._next += events / self._rate
        await asyncio.sleep(wait)


class Scene:
    """See the module. Lives on the event loop; `position` is read from other threads as well.

    Attributes:
        delete_url: where `DELETE /events/{name}` is answered; empty where it is not.
        position: of the write that was acknowledged last.
        stopping: nothing new is begun; what has a key is sent until it is acknowledged.
        closed: that ends too.
    """

    def __init__(
        self, projects: Sequence[Project], ingest_urls: Sequence[str], query_url: str, *, rate: float, workers: int
    ) -> None:
        self.projects, self.ingest_urls, self.query_url = projects, ingest_urls, query_url
        self.delete_url = ""
        self.ledger = Ledger()
        self.deletions = Deletions(self.ledger)
        self.people = People()
        self.complaints = Complaints()
        self.requests = Requests(self.complaints, workers)
        self.pace = Pace(rate)
        self.did: Counter[str] = Counter()
        self.position = ""
        self.slowest_own_write = 0.0
        self.stopping = asyncio.Event()
        self.closed = asyncio.Event()
        self._acknowledged: deque[Draft] = deque(maxlen=_REMEMBERED)
        self._generations: Counter[tuple[int, int]] = Counter()

    def project(self, random: Random) -> int:
        """Any project, by its number."""
        return random.randrange(len(self.projects))

    def remember(self, draft: Draft, random: Random) -> None:
        """Keeps some of what was acknowledged with a key, from all of the run, to be sent again later."""
        if len(self._acknowledged) < _REMEMBERED:
            self._acknowledged.append(draft)
        elif random.random() < 0.05:
            self._acknowledged[random.randrange(_REMEMBERED)] = draft

    def remembered(self, random: Random, count: int) -> list[Draft]:
        """Up to that many of one project."""
        if not self._acknowledged:
            return []
        some = [random.choice(self._acknowledged) for _ in range(count)]
        return [draft for draft in some if draft.project == some[0].project]

    def doomed_name(self, project: int, random: Random) -> str:
        """A name that is deleted now and then."""
        slot = random.randrange(_DELETED_NAMES)
        return f"drop ü {slot}.{self._generations[project, slot]}"

    def retire(self, project: int, name: str) -> None:
        """Nothing more is sent under the name."""
        slot, generation = map(int, name.rpartition(" ")[2].split("."))
        self._generations[project, slot] = max(self._generations[project, slot], generation + 1)

"""The workers: each does one thing after the other, drawn at random, until the load stops."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random

from tests.chaos.deleting import delete_name
from tests.chaos.drafts import Author, Draft
from tests.chaos.reading import read_after, read_anything
from tests.chaos.scene import Scene
from tests.chaos.telling import Telling
from tests.chaos.writing import Writing

_BATCH = (100, 500)
_TWIN = "twin@example.com"  # nobody else: the same key and the same person would be the same event


class Worker:
    """One client of the deployment."""

    def __init__(self, number: int, scene: Scene, random: Random) -> None:
        self._scene = scene
        self._random = random
        now_ms = time.time_ns() // 1_000_000
        self._author = Author(number, random, scene.ledger, now_ms)
        self._writing = Writing(scene, random)
        self._telling = Telling(number, scene, random, self._writing, now_ms)
        self._deeds: dict[Callable[[], Awaitable[None]], float] = {
            self.single: 50,
            self.single_with_key: 30,
            self.batch: 4,
            self.batch_with_keys: 4,
            self.batch_with_header_key: 2,
            self.race: 6,
            self.again: 6,
            self._telling.say: 15,
            self.read_own_write: 3,
            self.read: 3,
            self.delete: 0.5 if scene.delete_url else 0,
        }

    async def run(self) -> None:
        """Until the load stops."""
        deeds, weights = list(self._deeds), list(self._deeds.values())
        while not self._scene.stopping.is_set():
            deed = self._random.choices(deeds, weights)[0]
            self._scene.did[getattr(deed, "__name__", "")] += 1
            await deed()

    # --- single events

    async def single(self) -> None:
        """Without a key: where the answer is lost, another event takes its place."""
        await self._scene.pace.take(1)
        draft = self._draft(self._scene.project(self._random))
        if not await self._writing.track(draft):
            await self._writing.track(self._draft(draft.project))

    async def single_with_key(self) -> None:
        """Until it is acknowledged; now and then another person has the same key."""
        await self._scene.pace.take(1)
        project, key = self._scene.project(self._random), self._author.key()
        await self._writing.track(self._draft(project, key))
        if self._random.random() < 0.1:
            await self._writing.track(self._draft(project, key, _TWIN))

    async def race(self) -> None:
        """The same event by two clients at once."""
        await self._scene.pace.take(1)
        draft = self._draft(self._scene.project(self._random), self._author.key())
        await asyncio.gather(self._writing.track(draft), self._writing.track(draft))

    # --- batches

    async def batch(self) -> None:
        """Without keys."""
        await self._writing.batch(await self._drafts(lambda _: None))

    async def batch_with_keys(self) -> None:
        """Each item has its own, and some are there twice: the first one counts."""
        drafts = await self._drafts(lambda _: self._author.key())
        copies = [draft.late() for draft in self._random.sample(drafts, len(drafts) // 10)]
        await self._writing.batch([*drafts, *copies])

    async def batch_with_header_key(self) -> None:
        """Item i has the key `header:i`."""
        header = self._author.key()
        drafts = await self._drafts(lambda index: f"{header}:{index}")
        await self._writing.batch(drafts, header)

    async def _drafts(self, key: Callable[[int], str | None]) -> list[Draft]:
        count = self._random.randint(*_BATCH)
        await self._scene.pace.take(count)
        project = self._scene.project(self._random)
        return [self._draft(project, key(index)) for index in range(count)]

    # --- what was acknowledged before

    async def again(self) -> None:
        """Sends some of what was acknowledged once more, with other data."""
        drafts = [draft.late() for draft in self._scene.remembered(self._random, self._random.choice((1, 1, 1, 50)))]
        if len(drafts) == 1:
            await self._writing.track(drafts[0])
        elif drafts:
            await self._writing.batch(drafts)

    async def delete(self) -> None:
        """Deletes a name of those that exist for it."""
        await delete_name(self._scene, self._random, self._scene.project(self._random))

    # --- reads

    async def read(self) -> None:
        """Any read."""
        await read_anything(self._scene, self._random)

    async def read_own_write(self) -> None:
        """A new person's only event, then that person's list."""
        await self._scene.pace.take(1)
        project, now = self._scene.project(self._random), time.monotonic()
        draft = self._author.draft(project, self._author.name(), now, email=f"new{len(self._scene.ledger)}@example.com")
        if answer := await self._writing.track(draft):
            await read_after(self._scene, project, answer)

    def _draft(self, project: int, key: str | None = None, email: str = "") -> Draft:
        doomed = bool(self._scene.delete_url) and self._random.random() < 0.08
        name = self._scene.doomed_name(project, self._random) if doomed else self._author.name()
        draft = self._author.draft(project, name, time.monotonic(), key, email)
        if doomed:
            self._scene.deletions.note_event(draft.marker)
        return draft

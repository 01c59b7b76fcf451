"""Writes: one attempt where the event has no key, as many as it takes where it has one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import msgspec

from tests.chaos.drafts import Draft
from tests.chaos.posting import Answer, patience
from tests.chaos.scene import Scene

_PAUSE_SECONDS = 0.1

Send = Callable[[str], Awaitable[Answer | None]]


class Writing:
    """One worker's writes. Every answer goes into the ledger."""

    def __init__(self, scene: Scene, random: Random) -> None:
        self._scene = scene
        self._random = random

    async def track(self, draft: Draft) -> Answer | None:
        """`POST /v1/track`; the answer if it was acknowledged."""
        headers = {} if draft.key is None else {"Idempotency-Key": draft.key}
        content = msgspec.json.encode(draft.body)
        answer = await self._answered(draft.project, "/v1/track", headers, content, draft.key is not None)
        if answer is not None:
            self._acknowledge([draft], [answer.json()["data"]])
        return answer

    async def batch(self, drafts: Sequence[Draft], header_key: str | None = None) -> Answer | None:
        """`POST /v1/track/batch`, in any of its spellings; the answer if it was acknowledged.

        With `header_key` the drafts' own keys, which are those that it stands for, are left out.
        """
        items = [draft.item() if header_key is None else draft.body for draft in drafts]
        headers = {} if header_key is None else {"Idempotency-Key": header_key}
        repeat = all(draft.key is not None for draft in drafts)
        kind, content = self._spelled(items)
        answer = await self._answered(drafts[0].project, "/v1/track/batch", headers | kind, content, repeat)
        if answer is not None:
            self._acknowledge(drafts, answer.json()["data"]["results"])
        return answer

    def _spelled(self, items: list[dict[str, Any]]) -> tuple[dict[str, str], bytes]:
        spelling = self._random.randrange(3)
        if spelling == 0:
            return {"Content-Type": "application/x-ndjson"}, b"\n".join(map(msgspec.json.encode, items))
        return {}, msgspec.json.encode(items if spelling == 1 else {"events": items})

    async def _answered(
        self, project: int, path: str, headers: dict[str, str], content: bytes, repeat: bool
    ) -> Answer | None:
        scene = self._scene
        headers = {"Content-Type": "application/json"} | scene.projects[project].tracking | headers

        async def send(url: str) -> Answer | None:
            return await scene.requests.send("POST", url + path, headers, patience(self._random), content)

        return await (self._until_acknowledged(send) if repeat else self._once(send))

    async def _once(self, send: Send) -> Answer | None:
        answer = await send(self._url())
        if answer is not None and answer.status == 200:
            self._scene.position = answer.headers["X-Position"]
            return answer
        await asyncio.sleep(_PAUSE_SECONDS if answer is None else answer.pause_seconds)
        return None

    async def _until_acknowledged(self, send: Send) -> Answer | None:
        while (answer := await self._once(send)) is None and not self._scene.closed.is_set():
            self._scene.did["retries"] += 1
        return answer

    def _url(self) -> str:
        return self._random.choice(self._scene.ingest_urls)

    def _acknowledge(self, drafts: Sequence[Draft], results: list[dict[str, str]]) -> None:
        now = time.monotonic()
        for draft, result in zip(drafts, results, strict=True):
            if "event" not in result:
                self._scene.complaints.add("refused event", f"{draft} answered {result}")
            elif not self._scene.ledger.acknowledge(draft.marker, result["event"], now):
                self._scene.complaints.add("a retry has another id", f"{draft} answered {result}")
            elif draft.key is not None:
                self._scene.remember(draft, self._random)

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
        headers = self._tracking(draft.project)
        headers |= {} if draft.key is None else {"Idempotency-Key": draft.key}
        return await self._one(draft, "/v1/track", headers, repeat=draft.key is not None)

    async def report_mail(self, draft: Draft) -> Answer | None:
        """`POST /v1/hooks/email`, with an `id`; the answer if it was acknowledged."""
        return await self._one(draft, "/v1/hooks/email", self._reporting(draft.project), repeat=True)

    async def report_contact(self, project: int, body: dict[str, Any]) -> Answer | None:
        """`POST /v1/hooks/contact`, one attempt; the answer if it was acknowledged."""
        headers, content = self._reporting(project), msgspec.json.encode(body)
        return await self._answered("/v1/hooks/contact", headers, content, repeat=False)

    async def _one(self, draft: Draft, path: str, headers: dict[str, str], *, repeat: bool) -> Answer | None:
        self._note_sent([draft])
        answer = await self._answered(path, headers, msgspec.json.encode(draft.body), repeat=repeat)
        if answer is not None:
            self._acknowledge([draft], [answer.json()["data"]])
        return answer

    async def batch(self, drafts: Sequence[Draft], header_key: str | None = None) -> Answer | None:
        """`POST /v1/track/batch`, in any of its spellings; the answer if it was acknowledged.

        With `header_key` the drafts' own keys, which are those that it stands for, are left out.
        """
        self._note_sent(drafts)
        items = [draft.item() if header_key is None else draft.body for draft in drafts]
        headers = self._tracking(drafts[0].project)
        headers |= {} if header_key is None else {"Idempotency-Key": header_key}
        repeat = all(draft.key is not None for draft in drafts)
        kind, content = self._spelled(items)
        answer = await self._answered("/v1/track/batch", headers | kind, content, repeat=repeat)
        if answer is not None:
            self._acknowledge(drafts, answer.json()["data"]["results"])
        return answer

    def _spelled(self, items: list[dict[str, Any]]) -> tuple[dict[str, str], bytes]:
        spelling = self._random.randrange(3)
        if spelling == 0:
            return {"Content-Type": "application/x-ndjson"}, b"\n".join(map(msgspec.json.encode, items))
        return {}, msgspec.json.encode(items if spelling == 1 else {"events": items})

    def _tracking(self, project: int) -> dict[str, str]:
        return {"Content-Type": "application/json"} | self._scene.projects[project].tracking

    def _reporting(self, project: int) -> dict[str, str]:
        return {"Content-Type": "application/json"} | self._scene.projects[project].reading

    async def _answered(self, path: str, headers: dict[str, str], content: bytes, *, repeat: bool) -> Answer | None:
        async def send(url: str) -> Answer | None:
            return await self._scene.requests.send("POST", url + path, headers, patience(self._random), content)

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

    def _note_sent(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            self._scene.people.note_sent(draft.project, draft.body["email"])

    def _acknowledge(self, drafts: Sequence[Draft], results: list[dict[str, str]]) -> None:
        now = time.monotonic()
        for draft, result in zip(drafts, results, strict=True):
            if "event" not in result:
                self._scene.complaints.add("refused event", f"{draft} answered {result}")
                continue
            self._scene.people.note_acknowledged(draft.project, draft.body["email"])
            if not self._scene.ledger.acknowledge(draft.marker, result["event"], now):
                self._scene.complaints.add("a retry has another id", f"{draft} answered {result}")
            elif draft.key is not None:
                self._scene.remember(draft, self._random)

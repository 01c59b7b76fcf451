"""Requests of the load: an answer, or none. Whoever asks decides what no answer means."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx
import msgspec

from tests.chaos.complaints import Complaints

DONE = (200, 202)
_PATIENCE_SECONDS = (1.0, 5.0, 5.0, 15.0)
_IMPATIENT_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int
    content: bytes
    headers: httpx.Headers

    def json(self) -> Any:
        """The body."""
        return msgspec.json.decode(self.content)

    @property
    def pause_seconds(self) -> float:
        """How long the server wants to be left alone, within reason."""
        return min(float(self.headers.get("Retry-After", "1")), 1.0)


def patience(random: Random) -> float:
    """How long a client waits. Some leave at once, so that the answer to what they sent is lost."""
    if random.random() < _IMPATIENT_SHARE:
        return random.random() * 0.03
    return random.choice(_PATIENCE_SECONDS)


class Requests:
    """Sends; notes answers that the contract does not have."""

    def __init__(self, complaints: Complaints, workers: int) -> None:
        self._complaints = complaints
        limits = httpx.Limits(max_connections=4 * workers, max_keepalive_connections=4 * workers)
        self._http = httpx.AsyncClient(timeout=None, limits=limits, trust_env=False)  # see `send`
        self.lost = 0
        self.unavailable = 0

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        seconds: float,
        content: bytes | None = None,
        *,
        expected: Collection[int] = DONE,
    ) -> Answer | None:
        """The answer (expected or 503), or None where there was none in time or another than the contract has."""
        try:
            async with asyncio.timeout(seconds):
                response = await self._http.request(method, url, headers=headers, content=content)
        except (httpx.HTTPError, TimeoutError):
            self.lost += 1
            return None
        answer = Answer(response.status_code, response.content, response.headers)
        return answer if self._is_expected(method, url, answer, expected) else None

    def _is_expected(self, method: str, url: str, answer: Answer, expected: Collection[int]) -> bool:
        if answer.status in expected:
            return True
        if answer.status == 503 and "Retry-After" in answer.headers:
            self.unavailable += 1
            return True
        text = answer.content[:300].decode(errors="replace")
        self._complaints.add("unexpected answer", f"{method} {url}: {answer.status} {text}")
        return False

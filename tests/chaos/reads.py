"""Reads once the load has ended: each must succeed, with some patience for what is just starting."""

import time
from collections.abc import Collection, Iterator
from typing import Any

import httpx
import msgspec

from tests.support.deployments import Project

_PATIENCE_SECONDS = 60.0


class Reads:
    """One project's reads."""

    def __init__(self, url: str, project: Project) -> None:
        self._http = httpx.Client(base_url=url, headers=project.reading, timeout=60, trust_env=False)

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        """The answer with status 200; raises as `_get`."""
        return self._get(path, (200,), parameters)

    def _get(self, path: str, expected: Collection[int], parameters: dict[str, Any]) -> httpx.Response:
        """The answer with one of these statuses.

        Raises:
            RuntimeError: there was none.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answer = self._http.get(path, params=parameters)
            except httpx.HTTPError as error:
                reason = repr(error)
            else:
                if answer.status_code in expected:
                    return answer
                reason = f"{answer.status_code} {answer.text[:300]}"
            if time.monotonic() > deadline:
                raise RuntimeError(f"GET {path} {parameters}: {reason}")
            time.sleep(0.2)

    def read(self, path: str, **parameters: Any) -> Any:
        """The body."""
        return msgspec.json.decode(self.get(path, **parameters).content)

    def find(self, path: str) -> Any | None:
        """The body; None where there is no such thing."""
        answer = self._get(path, (200, 404), {})
        return msgspec.json.decode(answer.content) if answer.status_code == 200 else None

    def events(self, path: str = "/events", **parameters: Any) -> Iterator[dict[str, Any]]:
        """All events, by following the cursor to its end."""
        return self._pages(path, "events", parameters)

    def contacts(self, **parameters: Any) -> Iterator[dict[str, Any]]:
        """All contacts, likewise."""
        return self._pages("/contacts", "contacts", parameters)

    def _pages(self, path: str, member: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        cursor: dict[str, str] = {}
        while True:
            page = self.read(path, limit=1000, **parameters, **cursor)
            yield from page[member]
            if not page["cursor"]:
                return
            cursor = {"cursor": page["cursor"]}

    def total(self) -> int:
        """How many events are counted."""
        return sum(row["count"] for row in self.read("/events/stats"))

    def age_ms(self) -> int:
        """How old the view is."""
        return int(self.get("/events/names").headers["X-Data-Age-Ms"])


def wait_until_quiet(reads: list[Reads], timeout_seconds: float) -> float | None:
    """The seconds until the views are current and no count moves any more; None where that did not come."""
    started = time.monotonic()
    before: list[int] = []
    while time.monotonic() - started < timeout_seconds:
        totals = [one.total() for one in reads]
        if totals == before and all(one.age_ms() == 0 for one in reads):
            return time.monotonic() - started
        before = totals
        time.sleep(1.0)
    return None

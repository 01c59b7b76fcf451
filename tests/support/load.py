"""Clients that post events and repeat them until they are acknowledged, whatever breaks meanwhile; and what must hold.

Each event has an idempotency key, so it is one event however often it was sent. When the load ends, every key has been
acknowledged: what must be found is exactly `Load.acknowledged`.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.client import Client
from tests.support.deployments import Deployment, Project
from tests.support.services import wait_until

NAME = "load"
_GIVE_UP_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What one attempt came to.

    Attributes:
        started: when it was sent, on the monotonic clock.
        status: 0 where there was no answer.
        client: who sent it.
    """

    started: float
    seconds: float
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    client: str = ""


class Load:
    """Posts until told to stop.

    Args:
        threads: how many clients, each of which waits for its answer before it goes on.
        pause_seconds: what each rests after an acknowledgement.
    """

    def __init__(
        self, deployment: Deployment, project: Project, *, threads: int = 4, pause_seconds: float = 0.0
    ) -> None:
        self._deployment = deployment
        self._project = project
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._give_up_at = float("inf")
        self._threads = [threading.Thread(target=self._post, args=(number,)) for number in range(threads)]
        self.acknowledged: set[str] = set()
        self.unfinished: list[str] = []
        self.answers: list[Answer] = []

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up_at = time.monotonic() + _GIVE_UP_SECONDS
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int = 50, seconds: float = 60) -> None:
        """Until so many more events are acknowledged."""
        goal = len(self.acknowledged) + count
        wait_until(lambda: len(self.acknowledged) >= goal, seconds, f"{count} more acknowledgements")

    def since(self, started: float) -> list[Answer]:
        """The answers to what was sent since then."""
        return [answer for answer in self.answers if answer.started >= started]

    def statuses(self) -> set[int]:
        """All that were answered; an attempt without an answer is none."""
        return {answer.status for answer in self.answers} - {0}

    def _post(self, thread: int) -> None:
        urls, number = self._deployment.ingest_urls, 0
        with httpx.Client(timeout=20) as http:
            while not self._stopping.wait(self._pause_seconds):
                key, number = f"{thread}-{number}", number + 1
                self._until_acknowledged(http, urls[number % len(urls)], key, f"writer {thread}")

    def _until_acknowledged(self, http: httpx.Client, url: str, key: str, client: str) -> None:
        body = {"event": NAME, "email": f"user{len(key) % 3}.{key[-1]}@example.com"}
        headers = {**self._project.tracking, "Idempotency-Key": key}
        while time.monotonic() < self._give_up_at:
            started = time.monotonic()
            try:
                answer = http.post(f"{url}/v1/track", headers=headers, json=body)
            except httpx.HTTPError:
                self.answers.append(Answer(started, time.monotonic() - started, 0, client=client))
            else:
                seconds = time.monotonic() - started
                self.answers.append(Answer(started, seconds, answer.status_code, answer.headers, client))
                if answer.status_code == 200:
                    self.acknowledged.add(answer.json()["event"])
                    return
            time.sleep(0.1)
        self.unfinished.append(key)


def expect_exactly(load: Load, deployment: Deployment, project: Project, *, seconds: float = 60) -> None:
    """What was acknowledged, and nothing else, is in the list, in the names and in the counts, each event once."""
    client = Client(deployment, project)

    def complete() -> bool:
        answer = client.get("/events/stats")
        return answer.status_code == 200 and answer.json() == [{"name": NAME, "count": len(load.acknowledged)}]

    assert load.unfinished == []
    try:
        wait_until(complete, seconds, f"{len(load.acknowledged)} events to be counted", poll_seconds=0.2)
        ids: list[str] = []

        def listed() -> bool:
            ids[:] = [str(row["id"]) for row in client.all_events(eventName=NAME)]
            return len(ids) >= len(load.acknowledged)

        wait_until(listed, seconds, "the last of them to be listed", poll_seconds=0.2)  # counted a moment before
        assert len(ids) == len(set(ids))
        assert set(ids) == load.acknowledged
        assert sorted(str(row["id"]) for row in client.all_events()) == sorted(ids)
        assert client.read("/events/names") == {"eventNames": [NAME]}
        _expect_contacts(client, ids)
    finally:
        client.close()


def _expect_contacts(client: Client, ids: list[str]) -> None:
    contacts = {str(row["contactId"]) for row in client.all_events()}
    found: list[dict[str, Any]] = [row for one in contacts for row in client.all_events(f"/events/contact/{one}")]
    assert sorted(str(row["id"]) for row in found) == sorted(ids)

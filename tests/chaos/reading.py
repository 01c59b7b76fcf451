"""Reads under load: what they say may be behind, but never wrong."""

import time
from random import Random
from typing import Any
from urllib.parse import quote

from tests.chaos.posting import Answer
from tests.chaos.scene import Scene

_SECONDS = 15.0
_PATHS = ("/events?limit=200", "/events/names", "/events/stats", "/events/stats?interval=day", "/v1/events")
_CONTACTS = ("/contacts?limit=500", "/contacts?subscribed=false", "/v1/contacts?search=told")


async def read_anything(scene: Scene, random: Random) -> None:
    """A page has an order and nothing twice; the other reads answer."""
    path, project = random.choice((*_PATHS, *_CONTACTS)), scene.project(random)
    answer = await scene.requests.send("GET", scene.query_url + path, scene.projects[project].reading, _SECONDS)
    if answer is None or answer.status != 200 or "/events/" in path:
        return
    body = answer.json()
    newest_first = [(row["createdAt"], row["id"]) for row in body.get("events", [])][::-1]
    places = newest_first or [row["email"] for row in body.get("contacts", [])]
    if places != sorted(set(places)):
        scene.complaints.add("order of a page", f"{path} of project {project}: {places}")


async def read_after(scene: Scene, project: int, written: Answer) -> None:
    """A read with the position of a write shows it, or says that it cannot."""
    event, position = written.json()["data"], written.headers["X-Position"]
    headers = scene.projects[project].reading | {"X-After-Position": position}
    url = f"{scene.query_url}/events/contact/{quote(event['contact'])}"
    started = time.monotonic()
    answer = await scene.requests.send("GET", url, headers, _SECONDS)
    if answer is None or answer.status != 200:
        return
    scene.did["own writes read"] += 1
    scene.slowest_own_write = max(scene.slowest_own_write, time.monotonic() - started)
    _expect_only(scene, event["event"], answer.json()["events"])


def _expect_only(scene: Scene, event_id: str, rows: list[dict[str, Any]]) -> None:
    found = [row["id"] for row in rows]
    if found != [event_id]:
        scene.complaints.add("own write not read", f"{event_id} acknowledged, its contact has {found}")

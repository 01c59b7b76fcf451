"""Erases a contact that is told of, and looks whether reads show what was said of it."""

import asyncio
import time

from tests.chaos.life import Life
from tests.chaos.people import Person
from tests.chaos.posting import Answer
from tests.chaos.scene import Scene

_SECONDS = 15.0
_ERASED = (204, 202)
_FOUND = (200, 404)


async def erase(scene: Scene, person: Person) -> None:
    """One erasure, until it is done. Of whom an attempt had no answer nothing more is said: a copy may still arrive."""
    erasure = scene.deletions.begin_erasure(person.life.markers, time.monotonic())
    answer = await _until_erased(scene, person)
    if answer is None:
        return
    erasure.answered = time.monotonic()
    person.life = Life()
    person.position = answer.headers.get("X-Position", "")
    scene.did["pending erasures" if answer.status == 202 else "erasures"] += 1
    if answer.status == 204:
        await look(scene, person)


async def _until_erased(scene: Scene, person: Person) -> Answer | None:
    """The answer. Who is known is found; only what an attempt without an answer erased may be unknown to the next."""
    url, headers = f"{scene.query_url}/contacts/{person.id}", scene.projects[person.project].reading
    while True:
        expected = (*_ERASED, 404) if person.is_closed else _ERASED
        answer = await scene.requests.send("DELETE", url, headers, _SECONDS, expected=expected)
        if answer is not None and answer.status != 503:
            return answer
        person.is_closed = True
        if scene.closed.is_set():
            person.is_undecided = True
            return None
        await asyncio.sleep(0.1 if answer is None else answer.pause_seconds)


async def look(scene: Scene, person: Person) -> None:
    """After the last answer, a read with its position shows what was said, and nothing of what was erased."""
    found = await _read(scene, person, f"/contacts/{person.id}")
    if found is not None and (shown := found.json() if found.status == 200 else None) != person.contact():
        scene.complaints.add("contact differs right after", f"{shown} where {person.contact()} was said")
    if person.life.has_begun:
        return
    events = await _read(scene, person, f"/events/contact/{person.id}")
    if events is not None and (rows := events.json()["events"]):
        scene.complaints.add("erased event listed", f"{person.email}: {rows[:5]}, right after the erasure was answered")


async def _read(scene: Scene, person: Person, path: str) -> Answer | None:
    """The answer of a read that was possible."""
    headers = scene.projects[person.project].reading | {"X-After-Position": person.position}
    answer = await scene.requests.send("GET", scene.query_url + path, headers, _SECONDS, expected=_FOUND)
    return None if answer is None or answer.status == 503 else answer

"""Deletes a name, and looks whether its events are gone."""

import math
import time
from random import Random
from urllib.parse import quote

from tests.chaos.deletions import Deletion
from tests.chaos.posting import Answer
from tests.chaos.scene import Scene

_SECONDS = 15.0


async def delete_name(scene: Scene, random: Random, project: int) -> None:
    """One deletion; one without an answer retires the name, as it may still happen."""
    name = scene.doomed_name(project, random)
    deletion = scene.deletions.begin((project, name), time.monotonic())
    url = f"{scene.delete_url}/events/{quote(name, safe='')}"
    answer = await scene.requests.send("DELETE", url, scene.projects[project].reading, _SECONDS)
    if answer is None or answer.status == 503:
        scene.did["deletes without an answer"] += 1
        scene.retire(project, name)
        return
    deletion.answered = time.monotonic()
    await _check(scene, (project, name), deletion, answer)


async def _check(scene: Scene, name: tuple[int, str], deletion: Deletion, answer: Answer) -> None:
    if answer.status == 202:
        scene.did["pending deletes"] += 1
        return
    scene.did["deletes"] += 1
    least, most = scene.deletions.count_between(name, deletion)
    deleted = answer.json().get("deletedCount")
    if not isinstance(deleted, int) or not least <= deleted <= most:
        scene.complaints.add("deletedCount", f"{name}: {deleted} where {least} to {most} events were there")
    await _look(scene, name, deletion)


async def _look(scene: Scene, name: tuple[int, str], deletion: Deletion) -> None:
    """After an answer with a count, the events are gone from every read."""
    url = f"{scene.query_url}/events?limit=1000&eventName={quote(name[1], safe='')}"
    page = await scene.requests.send("GET", url, scene.projects[name[0]].reading, _SECONDS)
    if page is None or page.status != 200:
        return
    for row in page.json()["events"]:
        _, acknowledged = scene.ledger.times(row["data"]["marker"])
        if acknowledged < math.inf and deletion.removed(acknowledged):
            scene.complaints.add("deleted event listed", f"{name}: {row['id']}, right after the deletion was answered")

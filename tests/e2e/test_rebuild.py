"""The tables made anew beside the live ones, while events come and reads go on."""

import threading
import time
from typing import Any

import httpx
import pytest

from penstock.clickhouse.building import PROJECTIONS
from tests.support.client import Client
from tests.support.deployments import Deployment, Project

pytestmark = pytest.mark.services

_READ_SECONDS = 0.02


def _rebuild(deployment: Deployment, *arguments: str) -> dict[str, Any]:
    done: dict[str, Any] = deployment.cli_json("rebuild", *arguments)
    assert done.keys() == {
        "generation",
        "isResumed",
        "records",
        "events",
        "seconds",
        "heldSeconds",
        "differences",
    }
    return done


def _wrong(done: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in done["differences"] if one["missing"] or one["surplus"]]


class Reading(threading.Thread):
    """Reads over and over; a count may never fall, and nothing may fail."""

    def __init__(self, deployment: Deployment, project: Project) -> None:
        super().__init__()
        self._url = f"{deployment.query_url}/events/stats"
        self._headers = project.reading
        self.stopping = threading.Event()
        self.problems: list[str] = []
        self.reads = 0

    def run(self) -> None:
        seen = 0
        with httpx.Client(timeout=30) as http:
            while not self.stopping.is_set():
                answer = http.get(self._url, headers=self._headers)
                if answer.status_code != 200:
                    self.problems.append(answer.text)
                    continue
                total = sum(row["count"] for row in answer.json())
                if total < seen:
                    self.problems.append(f"{total} after {seen}")
                seen = total
                self.reads += 1
                time.sleep(_READ_SECONDS)


class Writing(threading.Thread):
    """Posts batches; remembers what was acknowledged."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self.stopping = threading.Event()
        self.ids: list[str] = []

    def run(self) -> None:
        while not self.stopping.is_set():
            events = [
                {"event": f"name {number % 5}", "email": f"user{number % 40}@example.com"} for number in range(50)
            ]
            self.ids += [result["event"] for result in self._client.batch(events)]
            time.sleep(0.1)


def test_a_rebuild_under_load_loses_nothing_and_no_read_sees_a_gap(
    deployment: Deployment, client: Client, project: Project
) -> None:
    writing, reading = Writing(client), Reading(deployment, project)
    client.batch([{"event": "doomed", "email": f"user{number}@example.com"} for number in range(30)])
    assert client.delete("doomed").json() == {"deletedCount": 30}
    writing.start()
    time.sleep(2)
    reading.start()
    try:
        done = _rebuild(deployment)
    finally:
        for thread in (writing, reading):
            thread.stopping.set()
            thread.join()
    assert done["generation"] >= 2
    assert _wrong(done) == []
    assert len(done["differences"]) == len(PROJECTIONS)
    assert not reading.problems
    assert reading.reads > 20
    client.read("/events", after=client.position)
    found = [row["id"] for row in client.all_events()]
    assert sorted(found) == sorted(writing.ids)
    assert sum(client.counts().values()) == len(writing.ids)


def test_later_writes_deletions_and_retries_go_on_as_before(deployment: Deployment, client: Client) -> None:
    body = {"event": "once", "email": "ada@example.com"}
    client.track(body, key="7")
    client.read("/events", after=client.position)
    _rebuild(deployment)
    client.track(body, key="7")
    client.track({"event": "new", "email": "ada@example.com"})
    client.read("/events", after=client.position)
    assert client.counts() == {"new": 1, "once": 1}
    assert client.delete("once").json() == {"deletedCount": 1}
    client.track(body, key="7")
    client.read("/events", after=client.position)
    assert client.counts() == {"new": 1}


def test_one_projection_can_be_rebuilt_for_itself(deployment: Deployment, client: Client) -> None:
    client.batch([{"event": "a", "email": f"user{number}@example.com"} for number in range(40)])
    client.track({"event": "b", "email": "ada@example.com"}, key="k")
    client.batch([{"event": "gone", "email": f"user{number}@example.com"} for number in range(9)])
    assert client.delete("gone").json() == {"deletedCount": 9}
    done = _rebuild(deployment, "--only", "events")
    assert [one["table"] for one in done["differences"]] == ["events"]
    assert _wrong(done) == []
    client.track({"event": "b", "email": "ada@example.com"}, key="k")
    client.track({"event": "c", "email": "ada@example.com"})
    client.read("/events", after=client.position)
    assert client.counts() == {"a": 40, "b": 1, "c": 1}
    assert len(list(client.all_events())) == 42
    contact = client.track({"event": "c", "email": "ada@example.com"})["contact"]
    client.read("/events", after=client.position)
    assert len(list(client.all_events(f"/events/contact/{contact}"))) == 3


def test_an_unknown_projection_is_refused(deployment: Deployment) -> None:
    done = deployment.cli("rebuild", "--only", "nothing")
    assert done.returncode == 1
    assert "events_by_contact" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_running_writers_too(own_deployment: Deployment) -> None:
    """The embedded form: with nothing running at all."""
    project = own_deployment.create_project()
    client = Client(own_deployment, project)
    client.batch([{"event": "a", "email": f"user{number}@example.com"} for number in range(40)])
    writer = own_deployment.processes().get("consume") or own_deployment.processes()["up"]
    assert writer.terminate(10) == 0
    assert _wrong(_rebuild(own_deployment)) in ([], _all_missing(40))
    writer.start()
    own_deployment.wait_for_key(project.secret_key)
    client.read("/events", after=client.position)
    assert client.counts() == {"a": 40}
    client.close()


def _all_missing(events: int) -> list[dict[str, Any]]:
    """Where the writer had ended before it wrote anything: each event of another contact."""
    tables = {
        "events": events,
        "events_by_contact": events,
        "events_by_name": events,
        "event_counts": 5 * events,
        "contacts": events,
    }
    return [{"table": table, "missing": missing, "surplus": 0} for table, missing in tables.items()]

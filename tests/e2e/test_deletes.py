"""Deleting all events of a name: from every read, counted right, and only what came before."""

import threading
from typing import Any

import httpx
import pytest

from tests.support.client import Client
from tests.support.deployments import Deployment, Project

pytestmark = pytest.mark.services

AWKWARD = "Sign Up/ü%2F 🎉"


def _events(name: str, count: int, people: int = 11) -> list[dict[str, Any]]:
    return [{"event": name, "email": f"user{number % people}@example.com", "data": number} for number in range(count)]


def _deleted(answer: httpx.Response) -> int:
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["deletedCount"]
    return int(answer.json()["deletedCount"])


def _expect(client: Client, counts: dict[str, int]) -> None:
    """Every read says the same."""
    assert client.counts() == counts
    assert set(client.read("/events/names")["eventNames"]) == set(counts)
    for parameters in ({"startDate": "2020-01-01"}, {"startDate": "2020-01-01", "interval": "month"}):
        assert {row["name"]: row["count"] for row in client.read("/events/stats", **parameters)} == counts
    rows = list(client.all_events())
    assert len(rows) == len({row["id"] for row in rows}) == sum(counts.values())
    for name, count in counts.items():
        assert len(list(client.all_events(eventName=name))) == count
    contacts = {row["contactId"] for row in rows}
    of_contacts = [row for contact in contacts for row in client.all_events(f"/events/contact/{contact}")]
    assert {row["id"] for row in of_contacts} == {row["id"] for row in rows}


@pytest.mark.parametrize("name", ["gone", AWKWARD, "gone\n"])
def test_a_deletion_removes_all_events_of_the_name_from_every_read_when_it_answers(client: Client, name: str) -> None:
    client.batch([*_events(name, 120), *_events("stays", 7)])
    assert _deleted(client.delete(name)) == 120
    _expect(client, {"stays": 7})
    assert client.read("/events", eventName=name)["events"] == []


def test_a_deletion_again_removes_nothing(client: Client) -> None:
    client.batch(_events("gone", 5))
    assert [_deleted(client.delete("gone")), _deleted(client.delete("gone", prefix="/v1"))] == [5, 0]
    assert _deleted(client.delete("never there")) == 0


def test_later_events_of_the_name_count_anew(client: Client) -> None:
    for round_ in range(3):
        client.batch(_events("again", 10 + round_))
        _expect_after(client, {"again": 10 + round_})
        assert _deleted(client.delete("again")) == 10 + round_
        _expect(client, {})


def _expect_after(client: Client, counts: dict[str, int]) -> None:
    client.read("/events", after=client.position)
    _expect(client, counts)


def test_a_deletion_leaves_other_projects_and_spellings_alone(client: Client, deployment: Deployment) -> None:
    other = Client(deployment, deployment.create_project())
    other.batch(_events("gone", 3))
    client.batch([*_events("gone", 4), *_events("Gone", 2), *_events("gone ", 1)])
    assert _deleted(client.delete("gone")) == 4
    _expect(client, {"Gone": 2, "gone ": 1})
    _expect_after(other, {"gone": 3})
    other.close()


def test_a_retry_does_not_bring_back_what_was_deleted(client: Client) -> None:
    body = {"event": "once", "email": "ada@example.com"}
    first = client.track(body, key="order 7")
    assert _deleted(client.delete("once")) == 1
    assert client.track(body, key="order 7", instance=1)["event"] == first["event"]
    client.read("/events", after=client.position)
    _expect(client, {})


@pytest.mark.parametrize("name", ["email.sent", "contact.subscribed", "segment.vip.entry"])
def test_a_name_of_the_systems_own_events_cannot_be_deleted(client: Client, name: str) -> None:
    answer = client.delete(name)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BAD_REQUEST"


def test_a_public_key_and_a_disabled_project_cannot_delete(client: Client, deployment: Deployment) -> None:
    project = deployment.create_project()
    url = f"{deployment.query_url}/events/gone"
    assert httpx.delete(url, headers=project.tracking).json()["error"]["code"] == "INVALID_API_KEY"
    assert httpx.delete(url).json()["error"]["code"] == "MISSING_AUTH"
    assert deployment.cli("project", "disable", project.id).returncode == 0
    _until_disabled(url, project)


def _until_disabled(url: str, project: Project) -> None:
    from tests.support.services import wait_until

    def code() -> Any:
        return httpx.delete(url, headers=project.reading).json().get("error", {}).get("code")

    wait_until(lambda: code() == "PROJECT_DISABLED", 15, "the disabled project to be refused")


def test_a_name_that_cannot_be_one_is_named(client: Client) -> None:
    answer = client.delete("x" * 256)
    assert answer.status_code == 422
    assert answer.json()["error"]["errors"][0]["field"] == "eventName"


def test_events_that_arrive_during_a_deletion_are_kept_or_gone_as_a_whole(
    client: Client, deployment: Deployment, project: Project
) -> None:
    """Every read agrees, and what was counted as deleted is what is missing."""
    posting = Client(deployment, project)
    posted: list[str] = []
    stopping = threading.Event()

    def post() -> None:
        while not stopping.is_set():
            posted.extend(result["event"] for result in posting.batch(_events("racing", 20)))

    thread = threading.Thread(target=post)
    thread.start()
    try:
        removed = sum(_deleted(client.delete("racing")) for _ in range(4))
    finally:
        stopping.set()
        thread.join()
    client.read("/events", after=posting.position)
    left = list(client.all_events(eventName="racing"))
    assert removed + len(left) == len(posted)
    _expect(client, {"racing": len(left)} if left else {})
    posting.close()

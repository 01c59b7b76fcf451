"""Events in, events out: the same tests on both forms, over HTTP alone."""

import multiprocessing
import time
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.support.client import Client
from tests.support.deployments import Deployment, Project
from tests.support.services import wait_until

pytestmark = pytest.mark.services

NAMES = ["signup", "purchase", "Sign Up/ü%2F 🎉", " padded "]


def _event(number: int, **more: Any) -> dict[str, Any]:
    name = NAMES[number % len(NAMES)]
    return {"event": name, "email": f"user{number % 17}@example.com", "data": {"number": number}, **more}


def test_an_acknowledged_event_is_in_every_read_within_a_second(client: Client) -> None:
    answer = client.track(_event(0))
    acknowledged = time.monotonic()

    wait_until(lambda: [row["id"] for row in client.read("/events")["events"]] == [answer["event"]], 15, "the list")
    wait_until(lambda: client.read("/events/names") == {"eventNames": ["signup"]}, 15, "the names")
    wait_until(lambda: client.read("/events/stats") == [{"name": "signup", "count": 1}], 15, "the stats")
    wait_until(lambda: len(client.read(f"/events/contact/{answer['contact']}")["events"]) == 1, 15, "the contact")
    seconds = time.monotonic() - acknowledged

    assert seconds < 15  # the p99 of 1 s is the benchmark's matter; this is a generous deadline


def test_a_read_after_a_position_sees_the_write(client: Client) -> None:
    for number in range(20):
        answer = client.track(_event(number))
        page = client.read("/events", after=client.position, limit=1)
        assert page["events"][0]["id"] == answer["event"]


def test_rows_carry_what_was_sent(client: Client, project: Project) -> None:
    text = '{"b":1.50,"a":[1e3,-0.0,123456789012345678901234567890],"é":"\\u00e9\\n","n":null}'
    body = f'{{"event":" padded ","email":"Ada@Example.com","timestamp":"2026-01-02T03:04:05.678+02:00","data":{text}}}'
    sent = httpx.post(
        f"{client._deployment.ingest_urls[0]}/v1/track",
        headers=project.tracking | {"Content-Type": "application/json"},
        content=body.encode(),
    )
    position = sent.headers["X-Position"]
    answer = client.get("/events", after=position)

    assert f'"data":{text}' in answer.text
    row = answer.json()["events"][0]
    assert row | {"data": None} == {
        "id": sent.json()["event"],
        "name": " padded ",
        "data": None,
        "projectId": project.id,
        "contactId": sent.json()["contact"],
        "emailId": None,
        "createdAt": "2026-01-02T01:04:05.678Z",
        "contact": {"email": "ada@example.com"},
    }


def test_every_event_is_counted_once_in_list_names_stats_and_contacts(client: Client) -> None:
    acknowledged: dict[str, tuple[str, str]] = {}
    for number in range(300):
        answer = client.track(_event(number), instance=number)
        acknowledged[answer["event"]] = (NAMES[number % len(NAMES)], answer["contact"])
    for start in range(1000, 4000, 500):
        events = [_event(number) for number in range(start, start + 500)]
        for event, result in zip(events, client.batch(events, instance=start // 500), strict=True):
            acknowledged[result["event"]] = (event["event"], result["contact"])
    _settle(client, len(acknowledged))

    listed = [event["id"] for event in client.all_events()]
    by_name = Counter(name for name, _ in acknowledged.values())
    by_contact = Counter(contact for _, contact in acknowledged.values())
    assert sorted(listed) == sorted(acknowledged)
    assert client.counts() == dict(by_name)
    assert client.read("/events/names")["eventNames"] == sorted(by_name, key=lambda name: (-by_name[name], name))
    for name in NAMES:
        assert len(list(client.all_events(eventName=name))) == by_name[name]
    for contact, count in by_contact.items():
        assert len(list(client.all_events(f"/events/contact/{contact}"))) == count


def _settle(client: Client, total: int) -> None:
    """Waits until `total` events are counted: positions of several requests are not one position."""
    wait_until(lambda: sum(client.counts().values()) >= total, 20, f"{total} events in stats", poll_seconds=0.1)


def test_a_retry_is_counted_once_and_the_first_one_wins(client: Client) -> None:
    first = client.track(_event(0, data={"try": 1}), key="order-1")
    retries = [client.track(_event(0, data={"try": number}), key="order-1", instance=number) for number in (2, 3)]
    client.batch([_event(0, idempotencyKey="order-1"), _event(0, idempotencyKey="order-1")])
    other = client.track(_event(1), key="order-1")  # another contact: another event
    rows = {row["id"]: row for row in client.read("/events", after=client.position)["events"]}

    assert {(retry["event"], retry["contact"]) for retry in retries} == {(first["event"], first["contact"])}
    _settle(client, 2)
    assert set(rows) == {first["event"], other["event"]}
    assert rows[first["event"]]["data"] == {"try": 1}
    assert sum(client.counts().values()) == 2


def _race(url: str, headers: dict[str, str], start: Any, answers: Any) -> None:
    with httpx.Client(timeout=30) as http:
        start.wait()
        for number in range(50):
            body = {"event": "race", "email": "ada@example.com", "data": {"number": number}}
            answer = http.post(f"{url}/v1/track", headers={**headers, "Idempotency-Key": f"key-{number}"}, json=body)
            answers.put((number, answer.status_code, answer.json()["event"]))


def test_retries_racing_in_two_processes_are_one_event(
    deployment: Deployment, client: Client, project: Project
) -> None:
    """Two clients at the same time; on Kafka to two ingest processes."""
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(2), context.Queue()
    urls = [deployment.ingest_urls[index % len(deployment.ingest_urls)] for index in range(2)]
    racers = [context.Process(target=_race, args=(url, project.tracking, start, answers)) for url in urls]
    for racer in racers:
        racer.start()
    results = [answers.get(timeout=60) for _ in range(100)]
    for racer in racers:
        racer.join()

    ids = {number: event for number, _, event in results}
    assert {status for _, status, _ in results} == {200}
    assert all(ids[number] == event for number, _, event in results)
    client.track({"event": "end", "email": "ada@example.com"})  # the same contact, so the same partition: all before it
    listed = [
        row["id"] for row in client.read("/events", after=client.position, eventName="race", limit=1000)["events"]
    ]
    assert sorted(listed) == sorted(ids.values())
    assert client.counts() == {"race": 50, "end": 1}
    assert client.read("/events/names") == {"eventNames": ["race", "end"]}


def test_a_project_never_sees_anothers_data(deployment: Deployment, client: Client) -> None:
    client.track(_event(0))
    client.read("/events", after=client.position)
    other = Client(deployment, deployment.create_project())

    assert other.read("/events") == {"events": [], "cursor": None}
    assert other.read("/events/names") == {"eventNames": []}
    assert other.read("/events/stats") == []
    other.close()


def test_a_view_that_has_caught_up_has_age_zero(client: Client) -> None:
    client.track(_event(0))

    def caught_up() -> bool:
        return client.get("/events", after=client.position).headers["X-Data-Age-Ms"] == "0"

    assert wait_until(caught_up, 10, "age zero")


@pytest.mark.parametrize("deployment", ["embedded"], indirect=True)
def test_a_view_that_lacks_an_acknowledged_event_never_has_age_zero(client: Client) -> None:
    """Of the embedded form: only a process that takes events in knows at once that something came."""
    missing = 0
    for number in range(10):
        tracked = client.track(_event(number))["event"]
        answer = client.get("/events")
        if tracked not in [row["id"] for row in answer.json()["events"]]:
            missing += 1
            assert int(answer.headers["X-Data-Age-Ms"]) > 0
        client.read("/events", after=client.position)
    assert missing


def test_a_revoked_key_is_refused_everywhere_within_five_seconds(deployment: Deployment, project: Project) -> None:
    made = deployment.cli_json("key", "create", "--project", project.id, "--kind", "secret")
    deployment.wait_for_key(made["key"])
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert deployment.cli("key", "revoke", made["prefix"]).returncode == 0

    def refused() -> bool:
        statuses = [
            httpx.post(f"{url}/v1/track", headers=headers, json={}).status_code for url in deployment.ingest_urls
        ]
        statuses.append(httpx.get(f"{deployment.query_url}/events", headers=headers).status_code)
        return statuses == [401] * len(statuses)

    assert wait_until(refused, 5, "the key to be refused everywhere")


def test_a_disabled_project_refuses_writes_and_still_reads(
    deployment: Deployment, client: Client, project: Project
) -> None:
    client.track(_event(0))
    client.read("/events", after=client.position)
    assert deployment.cli("project", "disable", project.id).returncode == 0

    def status() -> int:
        url = f"{deployment.ingest_urls[0]}/v1/track"
        return httpx.post(url, headers=project.tracking, json=_event(1)).status_code

    wait_until(lambda: status() == 403, 15, "writes to be refused")
    assert len(client.read("/events")["events"]) >= 1
    assert deployment.cli("project", "enable", project.id).returncode == 0
    wait_until(lambda: status() == 200, 15, "writes to be taken again")

"""Webhooks as their receivers see them: every event, signed, retried, whatever dies; and as the API tells of them."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import FORMS, SENDING, make
from tests.support.client import Client
from tests.support.deployments import Deployment
from tests.support.endpoint import Endpoint
from tests.support.services import wait_until

pytestmark = pytest.mark.services

MANY = {"embedded": 10_000, "kafka": 2_000}


@pytest.fixture
def endpoint(tmp_path: Path, deployment: Deployment) -> Iterator[Endpoint]:
    made = Endpoint(tmp_path, host=deployment.host)
    yield made
    made.stop()


def workflow(client: Client, url: str, event: str = "signup", **more: Any) -> dict[str, Any]:
    body = {"name": "W", "trigger": {"eventName": event, **more}, "webhook": {"url": url}}
    return client.create("/workflows", body)


def deliveries(client: Client, made: dict[str, Any], **parameters: Any) -> list[dict[str, Any]]:
    page = client.read(f"/workflows/{made['id']}/deliveries", limit=1000, **parameters)
    found = list(page["deliveries"])
    while page["cursor"]:
        page = client.read(f"/workflows/{made['id']}/deliveries", limit=1000, cursor=page["cursor"], **parameters)
        found += page["deliveries"]
    return found


def detail(client: Client, made: dict[str, Any], delivery: dict[str, Any]) -> dict[str, Any]:
    return dict(client.read(f"/workflows/{made['id']}/deliveries/{delivery['id']}"))


def wait_for(client: Client, made: dict[str, Any], status: str, count: int = 1) -> list[dict[str, Any]]:
    wait_until(lambda: len(deliveries(client, made, status=status)) >= count, 30, f"{count} deliveries {status}")
    return deliveries(client, made, status=status)


def test_a_matching_event_is_sent_signed_with_its_row_and_listed(client: Client, endpoint: Endpoint) -> None:
    rule = {"logic": "AND", "groups": [{"filters": [
        {"field": "trigger.data.n", "operator": "greaterThan", "value": 1},
        {"field": "data.plan", "operator": "equals", "value": "pro"},
        {"field": "event.signup", "operator": "countLessThan", "value": 2}]}]}  # fmt: skip
    made = workflow(client, endpoint.url, condition=rule)
    endpoint.start(made["secret"])
    for number, plan in ((1, "pro"), (2, "free"), (3, "pro")):
        client.track({"event": "signup", "email": f"p{number}@example.com", "data": {"n": number, "plan": plan}})
    client.track({"event": "other", "email": "p3@example.com", "data": {"n": 9}})
    (delivered,) = wait_for(client, made, "delivered")
    (got,) = endpoint.got()
    (row,) = [row for row in client.all_events() if row["data"]["n"] == 3]
    assert got["signed"]
    assert got["id"] == row["id"] == delivered["eventId"]
    assert got["body"] == {"type": "signup", "timestamp": row["createdAt"], "data": row}
    assert (delivered["attempts"], delivered["lastStatusCode"]) == (1, 200)
    (attempt,) = detail(client, made, delivered)["attempts"]
    assert (attempt["statusCode"], attempt["response"], attempt["error"]) == (200, "ok", None)
    assert len(deliveries(client, made)) == 1


def test_system_events_trigger_too_and_those_of_segments(client: Client, endpoint: Endpoint) -> None:
    rule = {"logic": "AND", "groups": [{"filters": [{"field": "data.vip", "operator": "equals", "value": True}]}]}
    client.create("/segments", {"name": "VIP", "condition": rule, "trackMembership": True})
    entered = workflow(client, endpoint.url, "segment.vip.entry")
    left = workflow(client, endpoint.url, "contact.unsubscribed")
    endpoint.start()
    client.track({"event": "x", "email": "ada@example.com", "data": {"vip": True}})
    client.report_contact({"email": "ada@example.com", "subscribed": False})
    wait_for(client, entered, "delivered")
    wait_for(client, left, "delivered")
    assert sorted(got["body"]["type"] for got in endpoint.got()) == ["contact.unsubscribed", "segment.vip.entry"]


def test_a_secret_that_was_rotated_signs_beside_the_new_one(client: Client, endpoint: Endpoint) -> None:
    made = workflow(client, endpoint.url)
    new = client.ask("POST", f"/workflows/{made['id']}/secret/rotate").json()["secret"]
    endpoint.start(made["secret"], new)
    client.track({"event": "signup", "email": "ada@example.com"})
    wait_for(client, made, "delivered")
    (got,) = endpoint.got()
    assert got["signed"]
    assert len(got["headers"]["webhook-signature"].split()) == 2


def test_a_failed_delivery_is_tried_again_within_30_seconds_or_at_once_where_asked(
    client: Client, endpoint: Endpoint
) -> None:
    made = workflow(client, endpoint.url)
    endpoint.start(status=500)
    client.track({"event": "signup", "email": "ada@example.com"})
    (failed,) = wait_for(client, made, "failed")
    pause = datetime.fromisoformat(failed["nextAttemptAt"]) - datetime.now(UTC)
    assert 0 < pause.total_seconds() < 30
    endpoint.start()
    answer = client.ask("POST", f"/workflows/{made['id']}/deliveries/{failed['id']}/retry")
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    (delivered,) = wait_for(client, made, "delivered")
    found = detail(client, made, delivered)
    assert found["attemptCount"] == len(found["attempts"]) >= 2
    assert [attempt["statusCode"] for attempt in found["attempts"]] == [500] * (found["attemptCount"] - 1) + [200]


def test_an_endpoint_that_answers_410_is_sent_nothing_more(client: Client, endpoint: Endpoint) -> None:
    made = workflow(client, endpoint.url)
    endpoint.start(status=410)
    client.track({"event": "signup", "email": "ada@example.com"})
    wait_for(client, made, "dead")
    wait_until(lambda: client.read(f"/workflows/{made['id']}")["status"] == "disabled", 10, "the end of the workflow")
    client.track({"event": "signup", "email": "bob@example.com"})
    client.read("/events", after=client.position)
    assert client.ask("PATCH", f"/workflows/{made['id']}", {"enabled": True}).json()["status"] == "active"
    endpoint.start()
    client.track({"event": "signup", "email": "eve@example.com"})
    wait_for(client, made, "delivered")
    assert [got["body"]["data"]["contact"]["email"] for got in endpoint.got()] == ["ada@example.com", "eve@example.com"]


def test_a_replay_sends_the_events_between_two_moments_again(client: Client, endpoint: Endpoint) -> None:
    for number in range(5):
        client.track({"event": "signup", "email": f"p{number}@example.com", "data": {"n": number}})
    client.read("/events", after=client.position)
    rule = {"logic": "AND", "groups": [{"filters": [{"field": "trigger.data.n", "operator": "lessThan", "value": 3}]}]}
    made = workflow(client, endpoint.url, condition=rule)
    endpoint.start(made["secret"])
    today = datetime.now(UTC).date().isoformat()
    answer = client.ask("POST", f"/workflows/{made['id']}/replay", {"startDate": "2026-01-01", "endDate": today})
    assert (answer.status_code, answer.json()) == (202, {"deliveries": 3, "status": "pending"})
    wait_for(client, made, "delivered", 3)
    assert sorted(got["body"]["data"]["data"]["n"] for got in endpoint.got()) == [0, 1, 2]
    assert all(got["signed"] for got in endpoint.got())


def test_private_addresses_are_refused_as_the_socket_is_made_and_redirects_are_not_followed(
    client: Client, endpoint: Endpoint
) -> None:
    endpoint.start(status=302)
    moved = workflow(client, endpoint.url)
    names = ["127.0.0.2", "2130706434", "0x7f.2", "[::ffff:127.0.0.2]", "[::1]", "169.254.169.254", "10.0.0.1"]
    made = [workflow(client, f"http://{name}:{endpoint.port}/") for name in names]
    client.track({"event": "signup", "email": "ada@example.com"})
    for name, one in zip(names, made, strict=True):
        (failed,) = wait_for(client, one, "failed")
        assert failed["lastError"].startswith("Refused: "), (name, failed)
    (failed,) = wait_for(client, moved, "failed")
    assert (failed["lastStatusCode"], "redirects are not followed" in failed["lastError"]) == (302, True)
    assert {got["headers"]["Host"] for got in endpoint.got()} == {f"{endpoint.host}:{endpoint.port}"}


@pytest.mark.parametrize("form", FORMS)
def test_every_event_is_received_whatever_fails_and_dies_and_attempts_are_told_truly(form: str, tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path)
    own = make(form, tmp_path, SENDING)
    try:
        own.start()
        client = Client(own, own.create_project())
        made = workflow(client, endpoint.url)
        endpoint.start(made["secret"], failing=0.02)
        _send_while_things_die(own, client, endpoint, made, MANY[form])
        _expect_truth(client, endpoint, made, MANY[form])
        client.close()
    finally:
        endpoint.stop()
        own.stop()


def _send_while_things_die(
    own: Deployment, client: Client, endpoint: Endpoint, made: dict[str, Any], many: int
) -> None:
    sender = own.processes().get("consume") or own.processes()["up"]
    for start in range(0, many, 500):
        numbers = range(start, start + 500)
        client.batch([{"event": "signup", "email": f"p{number}@example.com"} for number in numbers])
        if start == many // 10 // 500 * 500:
            endpoint.start(made["secret"], failing=0.02)
        if start == many // 2:
            sender.kill()
            sender.start()
            own.wait_ready()


def _first(client: Client, made: dict[str, Any], status: str) -> list[dict[str, Any]]:
    return list(client.read(f"/workflows/{made['id']}/deliveries", limit=1, status=status)["deliveries"])


def _expect_truth(client: Client, endpoint: Endpoint, made: dict[str, Any], many: int) -> None:
    wait_until(lambda: len({got["id"] for got in endpoint.got()}) >= many, 120, "every event", poll_seconds=2)
    for status in ("pending", "failed"):
        wait_until(lambda left=status: not _first(client, made, left), 120, f"none to be {status}", poll_seconds=0.5)  # type: ignore[misc] # mypy does not infer a lambda's default
    got = endpoint.got()
    assert all(one["signed"] for one in got)
    listed = deliveries(client, made)
    assert Counter(one["status"] for one in listed) == {"delivered": many}
    assert {one["eventId"] for one in listed} == {one["id"] for one in got}
    answered = Counter(one["id"] for one in got)
    several = [one for one in listed if answered[one["eventId"]] > 1][:50]
    assert several
    for one in several:
        statuses = [attempt["statusCode"] or 0 for attempt in detail(client, made, one)["attempts"]]
        seen = [request["status"] for request in got if request["id"] == one["eventId"]]
        assert len(statuses) >= len(seen)
        assert Counter(status for status in statuses if status) <= Counter(status for status in seen if status)

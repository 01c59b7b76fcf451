"""Segments as users see them: entries and exits once each, soon, whatever dies meanwhile."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.conftest import make
from tests.support.client import Client
from tests.support.deployments import Deployment
from tests.support.services import wait_until

pytestmark = pytest.mark.services

_SOON_SECONDS = 30
"""Five are promised; a machine under test is slower."""

MANY = 2_000


def condition(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"logic": "AND", "groups": [{"filters": list(filters)}]}


PRO = condition({"field": "data.plan", "operator": "equals", "value": "pro"})
BUYERS = condition({"field": "event.purchase", "operator": "countGreaterThanOrEqual", "value": 2})


def segment(client: Client, name: str, rule: Any, *, tracked: bool = True) -> dict[str, Any]:
    return client.create("/segments", {"name": name, "condition": rule, "trackMembership": tracked})


def steps(client: Client, slug: str) -> list[tuple[str, str]]:
    """Who entered and left, newest last."""
    events = [
        (event["createdAt"], event["name"].rpartition(".")[2], event["contact"]["email"])
        for action in ("entry", "exit")
        for event in client.all_events(eventName=f"segment.{slug}.{action}")
    ]
    return [(action, email) for _, action, email in sorted(events)]


def wait_for_steps(client: Client, slug: str, expected: list[tuple[str, str]]) -> None:
    wait_until(lambda: sorted(steps(client, slug)) == sorted(expected), _SOON_SECONDS, f"the steps of {slug}")


def track(client: Client, who: str, event: str = "viewed", **data: Any) -> dict[str, Any]:
    return client.track({"event": event, "email": f"{who}@example.com", "data": data})


def test_a_contact_that_comes_to_match_enters_once_and_one_that_stops_leaves_once(client: Client) -> None:
    pro, buyers = segment(client, "Pro Users", PRO), segment(client, "Buyers", BUYERS)
    assert (pro["slug"], buyers["slug"]) == ("pro-users", "buyers")
    track(client, "ada", plan="pro")
    track(client, "bob", plan="free")
    track(client, "bob", "purchase")
    ada, bob = "ada@example.com", "bob@example.com"
    wait_for_steps(client, "pro-users", [("entry", ada)])
    track(client, "bob", "purchase")
    contact = track(client, "ada", "viewed", plan="pro")["data"]["contact"]
    wait_for_steps(client, "buyers", [("entry", bob)])
    assert client.change(contact, {"data": {"plan": None}}).status_code == 200
    wait_for_steps(client, "pro-users", [("entry", ada), ("exit", ada)])
    track(client, "ada", plan="pro")
    wait_for_steps(client, "pro-users", [("entry", ada), ("exit", ada), ("entry", ada)])
    page = client.read(f"/segments/{pro['id']}/members")
    assert [(member["contactId"], member["email"]) for member in page["members"]] == [(contact, ada)]
    assert client.read(f"/segments/{pro['id']}")["memberCount"] == 1
    assert steps(client, "buyers") == [("entry", bob)]


def test_tracking_that_is_switched_on_emits_an_entry_for_everyone_who_matches_already(client: Client) -> None:
    made = segment(client, "Early", PRO, tracked=False)
    people = [f"p{number}" for number in range(20)]
    client.batch(
        [
            {"event": "viewed", "email": f"{who}@example.com", "data": {"plan": "pro" if number % 2 else "free"}}
            for number, who in enumerate(people)
        ]
    )
    client.read("/events", after=client.position)
    assert client.read(f"/segments/{made['id']}")["memberCount"] == 10
    assert client.ask("PATCH", f"/segments/{made['id']}", {"trackMembership": True}).status_code == 200
    wait_for_steps(client, "early", [("entry", f"{who}@example.com") for who in people[1::2]])
    computed = client.ask("POST", f"/segments/{made['id']}/compute")
    assert (computed.status_code, computed.json()["memberCount"]) == (200, 10)
    renamed = client.ask("PATCH", f"/segments/{made['id']}", {"name": "Late", "condition": condition(
        {"field": "data.plan", "operator": "equals", "value": "free"})})  # fmt: skip
    assert renamed.json()["slug"] == "early"
    wait_until(lambda: Counter(action for action, _ in steps(client, "early")) == {"entry": 20, "exit": 10}, 30, "all")


def test_a_segment_that_refers_to_another_follows_it_and_the_hook(client: Client) -> None:
    outside = client.create("/segments", {"name": "Imported", "condition": None})
    both = segment(
        client,
        "Both",
        condition(
            {"field": f"segment.{outside['id']}", "operator": "memberOfSegment"},
            {"field": "subscribed", "operator": "equals", "value": True},
        ),
    )
    for action in ("entry", "entry"):
        client.report_membership({"segment": "imported", "email": "ada@example.com", "action": action})
    wait_for_steps(client, "both", [("entry", "ada@example.com")])
    client.report_membership({"segment": "imported", "email": "ada@example.com", "action": "exit"})
    wait_for_steps(client, "both", [("entry", "ada@example.com"), ("exit", "ada@example.com")])
    assert [action for action, _ in steps(client, "imported")] == ["entry", "exit"]
    assert client.ask("DELETE", f"/segments/{outside['id']}").status_code == 409
    assert client.ask("DELETE", f"/segments/{both['id']}").status_code == 204


def test_a_contact_that_is_erased_and_comes_anew_enters_anew(client: Client) -> None:
    segment(client, "Pro", PRO)
    contact = track(client, "ada", plan="pro")["data"]["contact"]
    wait_for_steps(client, "pro", [("entry", "ada@example.com")])
    assert client.erase(contact).status_code == 204
    assert steps(client, "pro") == []
    track(client, "ada", plan="pro")
    wait_for_steps(client, "pro", [("entry", "ada@example.com")])


@pytest.mark.parametrize("deployment", ["embedded"], indirect=True)  # it waits, and the forms do not differ in it
def test_time_alone_makes_a_contact_enter_and_leave_within_a_minute(client: Client) -> None:
    segment(
        client, "Settled", condition({"field": "createdAt", "operator": "olderThan", "value": 1, "unit": "minutes"})
    )
    segment(
        client,
        "Active",
        condition({"field": "event.viewed", "operator": "triggeredWithin", "value": 1, "unit": "minutes"}),
    )
    moment = (datetime.now(UTC) - timedelta(seconds=50)).isoformat()
    client.track({"event": "viewed", "email": "ada@example.com", "timestamp": moment})
    wait_for_steps(client, "active", [("entry", "ada@example.com")])
    wait_until(lambda: steps(client, "settled") == [("entry", "ada@example.com")], 90, "the entry")
    wait_until(lambda: len(steps(client, "active")) == 2, 90, "the exit")


@pytest.mark.parametrize("form", ["embedded", "kafka"])
def test_whatever_is_killed_every_entry_and_exit_is_emitted_once(form: str, tmp_path: Any) -> None:
    own = make(form, tmp_path)
    try:
        own.start()
        _kill_while_emitting(own)
    finally:
        own.stop()


def _wait_for_count(client: Client, name: str) -> None:
    wait_until(lambda: client.counts().get(name, 0) >= MANY, 90, f"{MANY} times {name}", poll_seconds=0.5)


def _kill_while_emitting(own: Deployment) -> None:
    client = Client(own, own.create_project())
    segment(client, "Pro", PRO)
    emails = [f"p{number}@example.com" for number in range(MANY)]
    for plan, action in (("pro", "entry"), ("free", "exit")):
        for start in range(0, MANY, 500):
            some = emails[start : start + 500]
            client.batch([{"event": "viewed", "email": email, "data": {"plan": plan}} for email in some])
        process = own.processes().get("consume") or own.processes()["up"]
        process.kill()
        process.start()
        own.wait_ready()
        name = f"segment.pro.{action}"
        _wait_for_count(client, name)
        found = Counter(event["contact"]["email"] for event in client.all_events(eventName=name))
        assert found == dict.fromkeys(emails, 1)
    client.close()
    done = own.cli("verify")
    assert done.returncode == 0, done.stdout + done.stderr

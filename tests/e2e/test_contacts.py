"""Contacts from track, hook and change to every read, and erased for good: both forms, over HTTP alone."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.client import Client
from tests.support.deployments import Deployment, Project

pytestmark = pytest.mark.services

ADA = "ada@example.com"
BOB = "bob@example.com"


def _contact(client: Client, contact: str) -> Any:
    return client.read(f"/contacts/{contact}", after=client.position)


def _names(client: Client, contact: str) -> list[tuple[str, Any]]:
    events = client.read(f"/events/contact/{contact}", after=client.position)["events"]
    return [(event["name"], event["data"]) for event in reversed(events)]


def _wrote(client: Client, answer: httpx.Response, status: int) -> httpx.Response:
    assert answer.status_code == status, answer.text
    client.position = answer.headers["X-Position"]
    return answer


def test_a_contact_is_what_was_tracked_reported_and_changed(client: Client) -> None:
    contact = client.track({"event": "signup", "email": ADA, "data": {"plan": "free", "n": 1}})["contact"]
    told = client.report_contact({"contactId": contact, "subscribed": False, "reason": "asked"})
    assert told["contact"] == contact, "known at once, although it may not be stored yet"
    assert _contact(client, contact)["subscribed"] is False
    answer = _wrote(client, client.change(contact, {"subscribed": True, "data": {"plan": "pro", "n": None}}), 200)
    assert (answer.json()["subscribed"], answer.json()["data"]) == (True, {"plan": "pro"})
    assert answer.json() == _contact(client, contact)
    assert _names(client, contact) == [
        ("signup", {"plan": "free", "n": 1}),
        ("contact.unsubscribed", {"reason": "asked"}),
        ("contact.subscribed", None),
    ]
    assert client.read("/contacts", search="ADA", subscribed="true")["contacts"] == [answer.json()]


def test_an_event_that_is_emitted_has_the_id_that_was_answered(client: Client) -> None:
    client.track({"event": "signup", "email": ADA})
    told = client.report_contact({"email": ADA, "subscribed": False})
    again = client.report_contact({"email": ADA, "subscribed": False})
    events = client.read("/events", after=client.position)["events"]
    assert [event["id"] for event in events if event["name"] == "contact.unsubscribed"] == [told["event"]]
    assert again["event"] != told["event"]


def test_who_is_erased_is_gone_from_every_read_and_starts_anew(client: Client) -> None:
    contact = client.track({"event": "signup", "email": ADA, "data": {"a": 1}})["contact"]
    client.track({"event": "signup", "email": BOB})
    _wrote(client, client.erase(contact), 204)
    assert client.get(f"/contacts/{contact}", after=client.position).status_code == 404
    assert _names(client, contact) == []
    assert client.counts() == {"signup": 1}
    assert [one["email"] for one in client.read("/contacts")["contacts"]] == [BOB]
    assert client.erase(contact).status_code == 404
    assert client.change(contact, {"subscribed": False}).status_code == 404
    client.track({"event": "login", "email": ADA, "data": {"b": 2}})
    assert (_contact(client, contact)["data"], _names(client, contact)) == ({"b": 2}, [("login", {"b": 2})])


def test_nobody_is_unknown_right_after_a_track(client: Client) -> None:
    """The writer is always behind: a contact that was acknowledged must be found all the same, in each of the ways."""
    for number in range(15):
        contact = client.track({"event": "signup", "email": f"u{number}@example.com"})["contact"]
        if number % 3 == 0:
            client.report_contact({"contactId": contact, "subscribed": False})
        elif number % 3 == 1:
            _wrote(client, client.change(contact, {"data": {"n": number}}), 200)
        else:
            _wrote(client, client.erase(contact), 204)
    assert len(client.read("/contacts", after=client.position)["contacts"]) == 10
    assert len(client.read("/contacts", subscribed="false")["contacts"]) == 5


# --- what is emitted


def _emitted(client: Client) -> list[tuple[str, str, Any]]:
    rows = client.read("/events", after=client.position)["events"]
    return [(row["name"], row["contact"]["email"], row["data"]) for row in rows if row["name"].startswith("contact.")]


def test_a_change_is_told_once_however_often_and_to_whomever_it_is_said(client: Client) -> None:
    """By tracks with a key and by reports of others, to two processes at once."""
    client.track({"event": "signup", "email": ADA})
    client.track({"event": "signup", "email": BOB})
    left = {"event": "left", "email": ADA, "subscribed": False}
    reported = {"email": BOB, "subscribed": False, "reason": "asked", "timestamp": "2026-11-01T09:00:00Z"}
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(client.track, left, key="k", instance=number) for number in range(8)]
        done += [pool.submit(client.report_contact, reported, instance=number) for number in range(8)]
        ids = {one.result()["event"] for one in done[:8]}
    client.track(left | {"subscribed": True}, key="k", instance=1)
    client.report_contact(reported, instance=0)
    assert len(ids) == 1
    assert sorted(_emitted(client)) == [
        ("contact.unsubscribed", ADA, None),
        ("contact.unsubscribed", BOB, {"reason": "asked"}),
    ]
    assert len(client.read("/contacts", subscribed="false")["contacts"]) == 2


def test_a_complaint_and_a_bounce_unsubscribe_and_say_why(client: Client) -> None:
    client.track({"event": "signup", "email": ADA})
    complaint = {"event": "email.complaint", "email": ADA, "id": "r-1", "data": {"a": 1}}
    contact = client.report_mail(complaint)["contact"]
    client.report_mail(complaint, instance=1)
    client.report_mail({"event": "email.bounce", "email": BOB, "data": {"bounceType": "Permanent"}})
    client.report_mail({"event": "email.bounce", "email": "eve@example.com", "data": {"bounceType": "Transient"}})
    assert sorted(_emitted(client)) == [
        ("contact.unsubscribed", ADA, {"reason": "complaint"}),
        ("contact.unsubscribed", BOB, {"reason": "bounce"}),
    ]
    assert _contact(client, contact)["data"] == {}, "a report tells of the mail"
    subscribed = {one["email"]: one["subscribed"] for one in client.read("/contacts")["contacts"]}
    assert subscribed == {ADA: False, BOB: False, "eve@example.com": True}


def test_what_happened_last_counts_whenever_it_arrives(client: Client) -> None:
    def track(day: int, subscribed: bool, **data: Any) -> str:
        body = {"event": "seen", "email": ADA, "timestamp": f"2026-11-{day:02d}T09:00:00Z"}
        return str(client.track(body | {"subscribed": subscribed, "data": data})["contact"])

    track(10, True, plan="pro", seats=2)
    track(12, False, seats=3)
    contact = track(11, True, plan="free", seats=1, age=5)
    client.report_contact({"email": ADA, "subscribed": True, "timestamp": "2026-11-09T09:00:00Z"})
    shown = _contact(client, contact)
    assert (shown["subscribed"], shown["data"]) == (False, {"plan": "free", "seats": 3, "age": 5})
    assert (shown["createdAt"], shown["updatedAt"]) == ("2026-11-09T09:00:00.000Z", "2026-11-12T09:00:00.000Z")
    (emitted,) = client.read("/events", eventName="contact.unsubscribed")["events"]
    assert emitted["createdAt"] == "2026-11-12T09:00:00.000Z", "when the change happened"
    assert len(_emitted(client)) == 1


def test_emitted_events_are_in_every_read_and_are_penstocks_own(
    client: Client, deployment: Deployment, project: Project
) -> None:
    contact = client.track({"event": "signup", "email": ADA})["contact"]
    told = client.report_contact({"email": ADA, "subscribed": False})
    client.report_contact({"email": ADA, "subscribed": True})
    assert len(_names(client, contact)) == 3
    counts = {"contact.subscribed": 1, "contact.unsubscribed": 1, "signup": 1}
    assert (client.counts(), client.read("/events/names")["eventNames"]) == (counts, list(counts))
    assert [row["id"] for row in client.all_events(eventName="contact.unsubscribed")] == [told["event"]]
    for name in ("contact.subscribed", "contact.unsubscribed"):
        refused = client.delete(name)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "BAD_REQUEST")
        body = {"event": name, "email": ADA}
        refused = httpx.post(f"{deployment.ingest_urls[0]}/v1/track", headers=project.tracking, json=body)
        assert (refused.status_code, refused.json()["error"]["errors"][0]["code"]) == (422, "reserved_event")
    assert client.counts() == counts


# --- erased, and the tables made anew


def test_who_was_erased_stays_gone_in_new_tables_and_after_retries(own_deployment: Deployment) -> None:
    client = Client(own_deployment, own_deployment.create_project())
    order = {"event": "order", "email": ADA, "subscribed": True, "data": {"a": 1}}
    complaint = {"event": "email.complaint", "email": ADA, "id": "r-1"}
    contact = client.track(order, key="k")["contact"]
    client.report_mail(complaint)
    bob = client.track({"event": "order", "email": BOB, "subscribed": False})["contact"]
    client.report_contact({"contactId": bob, "subscribed": True})
    _wrote(client, client.erase(contact), 204)
    for _ in range(2):
        client.track(order, key="k", instance=1)
        client.report_mail(complaint)
        assert client.get(f"/contacts/{contact}", after=client.position).status_code == 404
        assert _names(client, contact) == []
        assert client.counts() == {"contact.subscribed": 1, "order": 1}
        done = own_deployment.cli_json("rebuild")
        assert [one for one in done["differences"] if one["missing"] or one["surplus"]] == []
        assert own_deployment.cli("verify").returncode == 0
    assert [one["email"] for one in client.read("/contacts")["contacts"]] == [BOB]
    client.track({"event": "order", "email": ADA, "data": {"b": 2}}, key="k2")
    client.report_mail(complaint | {"id": "r-2"})
    shown = _contact(client, contact)
    assert (shown["subscribed"], shown["data"]) == (False, {"b": 2})
    names = ["contact.unsubscribed", "email.complaint", "order"]
    assert sorted(name for name, _ in _names(client, contact)) == names
    assert own_deployment.cli("verify").returncode == 0
    client.close()

"""Contacts from track, hook and change to every read, and erased for good: both forms, over HTTP alone."""

from typing import Any

import httpx
import pytest

from tests.support.client import Client

pytestmark = pytest.mark.services

ADA = "ada@example.com"


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
    client.track({"event": "signup", "email": "bob@example.com"})
    _wrote(client, client.erase(contact), 204)
    assert client.get(f"/contacts/{contact}", after=client.position).status_code == 404
    assert _names(client, contact) == []
    assert client.counts() == {"signup": 1}
    assert [one["email"] for one in client.read("/contacts")["contacts"]] == ["bob@example.com"]
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

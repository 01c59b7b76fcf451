"""What mail systems report stands beside custom events in every read, and counts once: both forms, over HTTP alone."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.client import Client

pytestmark = pytest.mark.services

ADA = "ada@example.com"


def _report(name: str, **more: Any) -> dict[str, Any]:
    return {"event": name, "email": ADA, **more}


def test_mail_events_are_in_the_list_names_stats_and_contact(client: Client) -> None:
    client.track({"event": "signup", "email": ADA})
    client.report_mail([_report("email.sent", emailId="mail-1", data={"subject": "Hi"}), _report("email.open")])
    answer = client.report_mail(_report("email.open", emailId="mail-1"))
    rows = client.read("/events", after=client.position)["events"]
    sent = next(row for row in rows if row["name"] == "email.sent")
    assert (sent["emailId"], sent["data"], sent["contact"]) == ("mail-1", {"subject": "Hi"}, {"email": ADA})
    assert sorted(row["name"] for row in rows) == ["email.open", "email.open", "email.sent", "signup"]
    assert client.read("/events/names")["eventNames"] == ["email.open", "email.sent", "signup"]
    assert client.counts() == {"email.open": 2, "email.sent": 1, "signup": 1}
    of_contact = client.read(f"/events/contact/{answer['contact']}")["events"]
    assert [row["id"] for row in of_contact] == [row["id"] for row in rows]
    assert {row["emailId"] for row in of_contact} == {"mail-1", None}
    by_name = client.read("/events", eventName="email.sent")["events"]
    assert [row["id"] for row in by_name] == [sent["id"]]


def test_a_redelivery_counts_once_also_where_copies_race(client: Client) -> None:
    """To two processes at once, one by one and in one array, by the sender's id and by the message's."""
    by_id = _report("email.click", id="r-1", data={"link": "https://example.com"})
    by_message = _report("email.click", messageId="m-1", timestamp="2026-11-01T09:00:00Z")
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(client.report_mail, body, instance=n) for n in range(8) for body in (by_id, by_message)]
        ids = {one.result()["event"] for one in done}
    client.report_mail([by_id, by_message, by_id, by_message])
    rows = client.read("/events", after=client.position)["events"]
    assert {row["id"] for row in rows} == ids
    assert (len(ids), len(rows), client.counts()) == (2, 2, {"email.click": 2})


def test_mail_events_cannot_be_deleted_by_name(client: Client) -> None:
    client.report_mail(_report("email.sent"))
    refused = client.delete("email.sent")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "BAD_REQUEST")
    client.read("/events", after=client.position)
    assert client.counts() == {"email.sent": 1}

"""Where an event is, and dead letters that are sent through once more: beside the running product, in both forms."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest

from consumers.deadletter import DeadLetter, publish
from penstock.settings import ClickHouse, Kafka, Settings
from schemas.event import Event, encode_event
from schemas.ids import contact_id, event_id
from schemas.times import to_wire
from schemas.topics import partition_of
from tests.support.client import Client
from tests.support.deployments import Deployment, Embedded, Project
from tests.support.services import wait_until

pytestmark = pytest.mark.services

MEMBERS = {
    "id", "status", "projectId", "name", "contactId", "acceptedAt", "log", "position", "stored", "visibleAt",
}  # fmt: skip


def test_an_event_is_traced_from_receipt_to_read(client: Client, deployment: Deployment, project: Project) -> None:
    results = client.batch([{"event": "traced", "email": "ada@example.com", "data": number} for number in range(3)])
    keyed = client.track({"event": "traced", "email": "ada@example.com"}, key=str(uuid4()))
    old = client.track({"event": "traced", "email": "ada@example.com", "timestamp": "2001-02-03T04:05:06Z"})
    for number, one in enumerate([*results, keyed, old]):
        trace = client.read(f"/v1/events/{one['event']}/trace", after=client.position)
        assert trace.keys() == MEMBERS, trace
        assert (trace["status"], trace["id"], trace["contactId"]) == ("stored", one["event"], one["contact"])
        if number < 3:
            assert (trace["log"]["index"], trace["acceptedAt"]) == (number, one["timestamp"])
        assert trace["acceptedAt"] <= trace["visibleAt"]
        assert trace["stored"]["firstOffset"] <= trace["log"]["offset"] <= trace["stored"]["lastOffset"]
        assert client.read("/events/names", after=trace["position"])
        assert deployment.cli_json("trace", one["event"]) == trace
    text = deployment.cli("trace", old["event"]).stdout
    assert re.search(r"^Status +stored$", text, re.MULTILINE)
    assert re.search(r"^Log +topic events, partition \d+, offset \d+, event \d+ of its record$", text, re.MULTILINE)


def test_a_deleted_event_and_one_that_never_was(client: Client, deployment: Deployment) -> None:
    keyed = client.track({"event": "gone", "email": "ada@example.com"}, key=str(uuid4()))["event"]
    plain = client.track({"event": "gone", "email": "ada@example.com"})["event"]
    assert client.delete("gone").json() == {"deletedCount": 2}
    assert client.read(f"/events/{keyed}/trace")["status"] == "deleted"
    for id_ in (plain, str(uuid4())):
        answer = client.get(f"/events/{id_}/trace")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "RESOURCE_NOT_FOUND")
        assert "X-Data-Age-Ms" in answer.headers
        done = deployment.cli("trace", id_)
        assert (done.returncode, done.stdout) == (1, "")
        assert id_ in done.stderr
    assert deployment.cli("trace", "no-uuid").returncode == 2


# --- dead letters -----------------------------------------------------------------------------------------------------


@contextmanager
def opened_log(deployment: Deployment) -> Iterator[Any]:
    """The deployment's log, from beside it."""
    import tests.support.fixtures  # noqa: F401 - imports kafka-python without its warnings
    from penstock.opening import opened_log as opened

    given = deployment.environment()
    settings = Settings(data_dir=deployment.directory / "data")
    if not isinstance(deployment, Embedded):
        servers, prefix = given["PENSTOCK_KAFKA__BOOTSTRAP_SERVERS"], given["PENSTOCK_KAFKA__TOPIC_PREFIX"]
        kafka = Kafka(bootstrap_servers=servers, topic_prefix=prefix)
        settings = Settings(kafka=kafka, clickhouse=ClickHouse(url=given["PENSTOCK_CLICKHOUSE__URL"]))
    with opened(settings) as log:
        yield log


def dead_event(deployment: Deployment, project: Project, offset: int, **more: Any) -> tuple[str, str]:
    """A dead letter as an older version may have left it, of one event; its key and the event's id."""
    now_ms = time.time_ns() // 1_000_000
    contact = contact_id(project.id, "ada@example.com")
    given = {"occurred_at": to_wire(now_ms), "name": "dead", "email": "ada@example.com", "data": '{"n":1.10}'}
    one = Event(project_id=project.id, id=event_id(now_ms), contact_id=contact, **(given | more))
    with opened_log(deployment) as log:
        partition = partition_of(contact, log.partitions)
        letter = DeadLetter(partition, offset, 1, "refused once", b'{"log_index":1,' + encode_event(one)[1:])
        publish(log, letter, now_ms)
    return letter.key, one.id


def expect_stored(client: Client, id_: str) -> None:
    """The event is in every read now."""

    def trace() -> dict[str, Any] | None:
        answer = client.get(f"/events/{id_}/trace")
        return dict(answer.json()) if answer.status_code == 200 else None

    found = wait_until(trace, 30, "the event to be stored", poll_seconds=0.1)
    assert found is not None
    assert found["status"] == "stored"
    client.read("/events/names", after=found["position"])


def statuses(deployment: Deployment, *arguments: str) -> list[str]:
    return [one["status"] for one in deployment.cli_json("dead-letters", "replay", *arguments)["letters"]]


def test_a_dead_letter_that_is_replayed_counts_once_however_often_it_is_asked_for(
    client: Client, deployment: Deployment, project: Project
) -> None:
    key, id_ = dead_event(deployment, project, 9_000_001)
    assert statuses(deployment, key, key) == ["replayed"]
    assert statuses(deployment, key) == ["already replayed"]
    expect_stored(client, id_)
    [row] = client.all_events()
    assert (row["id"], row["name"], row["data"]) == (id_, "dead", {"n": 1.10})
    assert client.counts() == {"dead": 1}
    listed = {one["id"]: one["state"] for one in deployment.cli_json("dead-letters", "list")}
    assert listed[key] == "replayed"
    shown = deployment.cli_json("dead-letters", "show", key)
    assert (shown["topic"], shown["offset"], shown["index"], shown["reason"]) == (
        "events",
        9_000_001,
        1,
        "refused once",
    )
    assert shown["replayedAt"]
    assert shown["value"]
    assert deployment.cli_json("verify")["ok"]
    stored_key = dead_copy(deployment, shown)
    assert statuses(deployment, stored_key) == ["already stored"]
    assert client.counts() == {"dead": 1}


def dead_copy(deployment: Deployment, shown: dict[str, Any]) -> str:
    """The same event as another letter, as where a record stands twice in the log."""
    from base64 import b64decode

    letter = DeadLetter(shown["partition"], shown["offset"] + 1, 1, "refused twice", b64decode(shown["value"]))
    with opened_log(deployment) as log:
        publish(log, letter, 1)
    return letter.key


def test_two_replays_at_once_count_once(client: Client, deployment: Deployment, project: Project) -> None:
    from concurrent.futures import ThreadPoolExecutor

    key, id_ = dead_event(deployment, project, 9_000_101)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: statuses(deployment, key), range(2)))
    assert ["replayed"] in found
    expect_stored(client, id_)
    client.track({"event": "later", "email": "ada@example.com"})
    client.read("/events", after=client.position)
    assert client.counts() == {"dead": 1, "later": 1}


def test_what_is_still_refused_stays_as_it_is_and_the_command_fails(
    client: Client, deployment: Deployment, project: Project
) -> None:
    bad, id_ = dead_event(deployment, project, 9_000_201, occurred_at="yesterday")
    good, good_id = dead_event(deployment, project, 9_000_202)
    done = deployment.cli("dead-letters", "replay", bad, good)
    assert done.returncode == 1
    assert re.search(rf"^{bad}  still refused: the tables refuse the event \(ClickHouse code \d+\)$", done.stdout, re.M)
    assert f"{good}  replayed" in done.stdout
    assert "1 of 2 dead letters are still refused" in done.stderr
    expect_stored(client, good_id)
    assert client.get(f"/events/{id_}/trace").status_code == 404
    listed = {one["id"]: one["state"] for one in deployment.cli_json("dead-letters", "list")}
    assert (listed[bad], listed[good]) == ("dead", "replayed")
    nobody = deployment.cli("dead-letters", "replay", "events/0/1/2/3")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert deployment.cli("dead-letters", "replay", bad, "--all").returncode == 2


def test_records_that_cannot_be_read_are_set_aside_and_too_many_stop_the_writer(own_deployment: Deployment) -> None:
    """It says why, with an exit code of its own, and sets aside nothing of the round that was too much."""
    deployment = own_deployment
    project = deployment.create_project()
    writer = deployment.processes()["up" if isinstance(deployment, Embedded) else "consume"]
    assert writer.terminate(15) == 0
    with opened_log(deployment) as log:
        log.append_record(0, b"nonsense")
    writer.start()
    deployment.wait_ready()
    wait_until(lambda: len(deployment.cli_json("dead-letters", "list")) == 1, 30, "the dead letter")
    [letter] = deployment.cli_json("dead-letters", "list")
    done = deployment.cli("dead-letters", "replay", "--all")
    assert done.returncode == 1
    assert f"{letter['id']}  still refused: " in done.stdout
    assert writer.terminate(15) == 0

    with opened_log(deployment) as log:
        for _ in range(60):
            log.append_record(0, b"nonsense")
    writer.start()
    wait_until(lambda: not writer.running, 60, "the writer to stop")
    assert writer.terminate(1) == 1
    assert "cannot be processed" in writer.log_tail()
    assert "penstock: Stopped: " in writer.log_tail()
    letters = deployment.cli_json("dead-letters", "list")
    assert 1 <= len(letters) <= 1 + 20  # Kafka may deliver them in rounds of which the first has few enough
    assert UUID(project.id)


def test_a_replay_without_a_running_product_is_stored_by_the_next_one(own_deployment: Deployment) -> None:
    deployment = own_deployment
    project = deployment.create_project()
    client = Client(deployment, project)
    key, id_ = dead_event(deployment, project, 9_000_301)
    stopped = [one for name, one in deployment.processes().items() if name in ("up", "consume")]
    for process in stopped:
        assert process.terminate(15) == 0
    assert statuses(deployment) == ["replayed"]  # without an id: all that were not replayed yet
    assert statuses(deployment, "--all") == statuses(deployment) == []
    assert statuses(deployment, key) == ["already replayed"]
    for process in stopped:
        process.start()
    deployment.wait_ready()
    expect_stored(client, id_)
    assert client.counts() == {"dead": 1}
    client.close()

"""Webhooks and segments: how many deliveries, how soon, beside a dead endpoint; and what tracked segments cost."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.bench.bench_contacts import _cpu_seconds as cpu_seconds
from tests.bench.report import report
from tests.support.client import Client
from tests.support.deployments import Embedded
from tests.support.endpoint import Endpoint
from tests.support.services import wait_until

pytestmark = pytest.mark.bench

MANY = 10_000
PROBES = 300
_BODY = b'{"type":"signup","timestamp":"2026-11-27T00:00:00.000Z","data":{"id":"x"}}'


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    allowed = {"PENSTOCK_WEBHOOKS__ALLOWED_ADDRESSES": '["127.0.0.1/32"]'}
    running = Embedded(tmp_path_factory.mktemp("sending"), allowed)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(sending: Embedded) -> Iterator[Client]:
    made = Client(sending, sending.create_project())
    yield made
    made.close()


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    made = Endpoint(tmp_path)
    yield made
    made.stop()


def workflow(client: Client, url: str, event: str) -> dict[str, Any]:
    body = {"name": "W", "trigger": {"eventName": event}, "webhook": {"url": url}}
    return client.create("/workflows", body)


async def _bare(url: str) -> float:
    """Requests a second of the client alone, without anything around it."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        left = iter(range(MANY // 2))

        async def send() -> None:
            for _ in left:
                async with session.post(url, data=_BODY) as answer:
                    await answer.read()

        started = time.monotonic()
        await asyncio.gather(*[send() for _ in range(64)])
        return MANY // 2 / (time.monotonic() - started)


def test_deliveries_a_second(client: Client, endpoint: Endpoint) -> None:
    made = workflow(client, endpoint.url, "signup")
    endpoint.start(made["secret"])
    bare = asyncio.run(_bare(endpoint.url))
    before = len(endpoint.got())
    for start in range(0, MANY, 1000):
        client.batch([{"event": "signup", "email": f"p{n}@example.com"} for n in range(start, start + 1000)])
    wait_until(lambda: len(endpoint.got()) - before >= MANY, 120, "all deliveries", poll_seconds=1)
    times = sorted(got["at"] for got in endpoint.got()[before:])
    report("deliveries, signed, attempts stored", MANY / (times[-1] - times[0]), "a second", limit=bare)


def _delays(client: Client, endpoint: Endpoint, event: str) -> list[float]:
    """Seconds from each acknowledgement to its receipt."""
    sent = {}
    for number in range(PROBES):
        answer = client.track({"event": event, "email": f"{event}{number}@example.com"})
        sent[answer["data"]["event"]] = time.monotonic()
        time.sleep(0.05)
    wait_until(lambda: sent.keys() <= {got["id"] for got in endpoint.got()}, 60, "all", poll_seconds=1)
    return sorted(got["at"] - sent[got["id"]] for got in endpoint.got() if got["id"] in sent)


def test_from_an_event_to_its_receiver_and_beside_a_dead_endpoint(
    client: Client, endpoint: Endpoint, tmp_path: Path
) -> None:
    made = workflow(client, endpoint.url, "alone")
    endpoint.start(made["secret"])
    alone = _delays(client, endpoint, "alone")
    dead = Endpoint(tmp_path, "dead")
    dead.start(silent=True)
    workflow(client, endpoint.url, "beside")
    workflow(client, dead.url, "beside")
    beside = _delays(client, endpoint, "beside")
    dead.stop()
    p99, p99_beside = (seconds[int(len(seconds) * 0.99) - 1] for seconds in (alone, beside))
    report("event to receiver, p50", statistics.median(alone) * 1000, "ms")
    report("event to receiver, p99", p99 * 1000, "ms")
    report("event to receiver beside a dead endpoint, p99", p99_beside * 1000, "ms", limit=p99 * 1000)


def _segment(client: Client, number: int, *, tracked: bool) -> None:
    filters = [
        {"field": f"data.k{number % 10}", "operator": "equals", "value": f"v{number}"},
        {"field": f"event.e{number % 7}", "operator": "countGreaterThanOrEqual", "value": 2},
    ]
    condition = {"logic": "AND", "groups": [{"filters": filters}]}
    client.create("/segments", {"name": f"S{number}", "condition": condition, "trackMembership": tracked})


def test_entries_lag_behind_their_events(client: Client) -> None:
    condition = {"logic": "AND", "groups": [{"filters": [{"field": "data.a", "operator": "equals", "value": 1}]}]}
    client.create("/segments", {"name": "A", "condition": condition, "trackMembership": True})
    time.sleep(2)
    for number in range(PROBES):
        client.track({"event": "x", "email": f"p{number}@example.com", "data": {"a": 1}})
        time.sleep(0.05)
    wait_until(lambda: client.counts().get("segment.a.entry", 0) >= PROBES, 60, "all entries", poll_seconds=1)
    caused = {row["contactId"]: row["createdAt"] for row in client.all_events(eventName="x")}
    lags = sorted(
        (datetime.fromisoformat(row["createdAt"]) - datetime.fromisoformat(caused[row["contactId"]])).total_seconds()
        for row in client.all_events(eventName="segment.a.entry")
    )
    report("event to entry in the log, p50", statistics.median(lags) * 1000, "ms")
    report("event to entry in the log, p99", lags[int(len(lags) * 0.99) - 1] * 1000, "ms", least=5000)


def _cost_us(sending: Embedded, segments: int, events: int) -> float:
    """Processor time of the server for each event, in microseconds, the evaluation included."""
    client = Client(sending, sending.create_project())
    for number in range(segments):
        _segment(client, number, tracked=True)
    time.sleep(5)
    up = sending.processes()["up"]
    before = cpu_seconds(up.pid)
    for start in range(0, events, 1000):
        client.batch(
            [
                {"event": f"e{n % 9}", "email": f"p{n % 5000}@example.com", "data": {f"k{n % 10}": f"v{n % 50}"}}
                for n in range(start, start + 1000)
            ]
        )
        time.sleep(0.2)
    client.read("/events", after=client.position)
    time.sleep(6)
    used = cpu_seconds(up.pid) - before
    client.close()
    return used / events * 1e6


def test_what_50_tracked_segments_cost(sending: Embedded) -> None:
    events = 50_000
    without, tracked = _cost_us(sending, 0, events), _cost_us(sending, 50, events)
    report("processor time of an event without segments", without, "us")
    report("processor time of an event with 50 tracked segments", tracked, "us", limit=without)

"""The machine's clock is set back and forth under load: no event is lost or doubled, and the age of the view stays true."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.clocks import SetClock
from tests.support.deployments import Deployment, Embedded, ScaledOut
from tests.support.load import Load, expect_exactly
from tests.support.services import wait_until

pytestmark = pytest.mark.services

HOUR_SECONDS = 3600
OLD_MS = 15_000
"""Far less than the clock is set by, and more than the view may be behind under load."""


@pytest.fixture
def embedded(clock: SetClock, tmp_path: Path) -> Iterator[Embedded]:
    running = Embedded(tmp_path, clock.environment)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def age_ms(client: Client) -> int:
    return int(client.get("/events", limit=1).headers["X-Data-Age-Ms"])


def test_a_clock_that_is_set_back_and_forth_loses_nothing_and_leaves_the_age_true(
    embedded: Embedded, clock: SetClock
) -> None:
    set_back_and_forth(embedded, clock)


def test_of_all_processes_of_the_scaled_out_form_too(mended: ScaledOut, clock: SetClock) -> None:
    set_back_and_forth(mended, clock)


def set_back_and_forth(product: Deployment, clock: SetClock) -> None:
    project = product.create_project()
    client = Client(product, project)
    with Load(product, project, threads=2, pause_seconds=0.02) as load:
        for off in (0, -HOUR_SECONDS, 24 * HOUR_SECONDS, 0):
            clock.set_off(off)
            load.wait_for_more(30)
            time.sleep(1.2)  # a heartbeat of the writer: until then its last word is from another time
            wait_until(lambda: 0 <= age_ms(client) < OLD_MS, 20, "the age to be true", poll_seconds=0.2)
            answer = client.track({"event": "load", "email": "ada@example.com"})
            load.acknowledged.add(answer["event"])
            assert client.read("/events/stats", after=client.position)
    assert load.statuses() == {200}
    expect_exactly(load, product, project)
    wait_until(lambda: age_ms(client) == 0, 10, "the view to be new", poll_seconds=0.1)
    received = [datetime.fromisoformat(row["createdAt"]) for row in client.all_events()]
    assert received == sorted(received, reverse=True)
    assert received[0] - received[-1] > timedelta(hours=24)  # the processes did have the clock
    client.close()

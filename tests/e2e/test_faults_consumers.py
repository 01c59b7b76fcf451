"""Consumers stop, come back, or are two where one should be: nothing is stored twice and nothing is left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx
import pytest

from tests.support.breakable import Bridge
from tests.support.clickhouse_faults import Fault
from tests.support.deployments import ScaledOut, wait_ready
from tests.support.load import Load, expect_exactly
from tests.support.services import Process, free_port, wait_until

pytestmark = pytest.mark.services

SESSION_SECONDS = 10


@contextmanager
def consumer(product: ScaledOut, name: str, **settings: str) -> Iterator[tuple[Process, str]]:
    """One more process that writes, and its address."""
    port = free_port()
    with product.process(name, "consume", "--port", str(port), **settings) as process:
        yield process, f"http://127.0.0.1:{port}"


def stored(url: str) -> float:
    """How many events the process at the address has stored since it started."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("penstock_events_stored_total"))


def test_an_insert_of_a_writer_that_was_given_up_arrives_after_its_successor_s(
    mended: ScaledOut, bridge: Bridge
) -> None:
    """It stands still with an insert on its way, for longer than its session; that arrives when all is done."""
    project = mended.create_project()
    zombie = mended.processes()["consume"]
    with Load(mended, project, threads=2, pause_seconds=0.02) as load, consumer(mended, "successor") as (_, url):
        with bridge.faulty(Fault("INSERT INTO events", delay_seconds=60)) as hits:
            wait_until(lambda: hits() == [1], 20, "an insert to hang")
            zombie.pause()
            wait_ready(url, _)
            wait_until(lambda: stored(url) > 100, SESSION_SECONDS + 20, "the successor to write", poll_seconds=0.1)
        load.wait_for_more()
        zombie.resume()
        load.wait_for_more(200)
    expect_exactly(load, mended, project)
    mended.wait_ready()


def test_two_groups_that_write_the_same_tables_fence_each_other_and_store_all_once(mended: ScaledOut) -> None:
    """Each believes that all partitions are its own, as a group that is divided from Kafka would."""
    project = mended.create_project()
    other = {"PENSTOCK_KAFKA__GROUP": f"other-{uuid4().hex[:8]}"}
    with consumer(mended, "other", **other) as (process, url):
        wait_ready(url, process)
        with Load(mended, project, threads=2, pause_seconds=0.02) as load:
            before = stored(url)
            wait_until(lambda: stored(url) > before + 50, 30, "the other group to write", poll_seconds=0.1)
            load.wait_for_more(300)
        expect_exactly(load, mended, project)
        assert process.running
        assert mended.processes()["consume"].running
    with Load(mended, project, threads=2) as more:
        more.wait_for_more()
    more.acknowledged |= load.acknowledged
    expect_exactly(more, mended, project)

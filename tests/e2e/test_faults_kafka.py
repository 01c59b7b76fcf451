"""Kafka is away, hangs, or is slow: what is not safe is not acknowledged, and nobody needs to restart anything."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.breakable import Broker
from tests.support.deployments import ScaledOut
from tests.support.load import Answer, Load, expect_exactly
from tests.support.services import wait_until

pytestmark = pytest.mark.services

DELIVERY_TIMEOUT_SECONDS = 4
"""Of the shared deployment."""

LATEST_SECONDS = DELIVERY_TIMEOUT_SECONDS + 2.5
"""A record that is overdue is given up half a second later, and what waits behind it may wait for metadata once."""


def expect_refusals_in_time(answers: list[Answer]) -> None:
    """While Kafka does not confirm: no answer is missing or late, and every refusal says when to come again."""
    refused = [answer for answer in answers if answer.status != 200]
    assert {answer.status for answer in refused} == {503}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert max(answer.seconds for answer in answers) < LATEST_SECONDS


def wait_for_refusals(load: Load, count: int) -> None:
    """Until so many writes were refused since now."""
    began = time.monotonic()
    wait_until(lambda: sum(one.status == 503 for one in load.since(began)) >= count, 30, f"{count} refusals")


def test_a_kafka_that_is_killed_comes_back_and_is_restarted(mended: ScaledOut, broker: Broker) -> None:
    project = mended.create_project()
    with Load(mended, project, threads=4, pause_seconds=0.01) as load:
        load.wait_for_more()
        broker.kill()
        wait_for_refusals(load, 5)
        broker.start()
        load.wait_for_more(seconds=60)
        broker.restart()  # shorter than the delivery time-out, or nearly
        load.wait_for_more(seconds=60)
    expect_refusals_in_time(load.answers)
    expect_exactly(load, mended, project)
    assert all(process.running for process in mended.processes().values())


def test_a_kafka_that_hangs_and_goes_on(mended: ScaledOut, broker: Broker) -> None:
    """Connections stay open and nothing answers, for longer than the delivery time-out and a consumer's session."""
    project = mended.create_project()
    with Load(mended, project, threads=4, pause_seconds=0.01) as load:
        load.wait_for_more()
        broker.pause()
        wait_for_refusals(load, 5)
        wait_until(lambda: mended.age_ms(project) > 0, 10, "the writer to doubt that nothing has come")
        broker.resume()
        load.wait_for_more(seconds=60)
    expect_refusals_in_time(load.answers)
    expect_exactly(load, mended, project)
    wait_until(lambda: mended.age_ms(project) == 0, 20, "the view to be new")
    assert all(process.running for process in mended.processes().values())


@contextmanager
def stuttering(broker: Broker, *, stands: float, runs: float) -> Iterator[None]:
    """The broker runs for a moment only, again and again."""
    ending = threading.Event()

    def stutter() -> None:
        while not ending.wait(runs):
            broker.pause()
            ending.wait(stands)
            broker.resume()

    thread = threading.Thread(target=stutter)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def test_a_slow_kafka_delays_writes_and_refuses_none(mended: ScaledOut, broker: Broker) -> None:
    project = mended.create_project()
    with stuttering(broker, stands=0.7, runs=0.1), Load(mended, project, threads=4) as load:
        load.wait_for_more(60)
    assert load.statuses() == {200}
    assert max(answer.seconds for answer in load.answers) > 0.5
    expect_exactly(load, mended, project)

"""Kafka is away, hangs, or is slow: what is not safe is not acknowledged, and nobody needs to restart anything."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from tests.support.deployments import ScaledOut, wait_ready
from tests.support.kafka_broker import KafkaBroker
from tests.support.load import Answer, Load, expect_exactly
from tests.support.services import free_port, wait_until

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


def test_a_kafka_that_is_killed_comes_back_and_is_restarted(mended: ScaledOut, broker: KafkaBroker) -> None:
    project = mended.create_project()
    with Load(mended, project, threads=4, pause_seconds=0.01) as load:
        load.wait_for_more()
        broker.kill()
        wait_for_refusals(load, 5)
        broker.start()
        load.wait_for_more(seconds=20)
        broker.restart()  # shorter than the delivery time-out, or nearly
        load.wait_for_more(seconds=20)
    expect_refusals_in_time(load.answers)
    expect_exactly(load, mended, project)
    assert all(process.running for process in mended.processes().values())


def test_a_kafka_that_hangs_and_goes_on(mended: ScaledOut, broker: KafkaBroker) -> None:
    """Connections stay open and nothing answers, for longer than the delivery time-out and a consumer's session."""
    project = mended.create_project()
    with Load(mended, project, threads=4, pause_seconds=0.01) as load:
        load.wait_for_more()
        broker.pause()
        wait_for_refusals(load, 5)
        broker.resume()
        load.wait_for_more(seconds=20)
    expect_refusals_in_time(load.answers)
    expect_exactly(load, mended, project)
    assert all(process.running for process in mended.processes().values())


@contextmanager
def stuttering(broker: KafkaBroker, *, stands: float, runs: float) -> Iterator[None]:
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


def test_a_slow_kafka_delays_writes_and_refuses_none(mended: ScaledOut, broker: KafkaBroker) -> None:
    project = mended.create_project()
    with stuttering(broker, stands=0.7, runs=0.1), Load(mended, project, threads=4) as load:
        load.wait_for_more(60)
    assert load.statuses() == {200}
    assert max(answer.seconds for answer in load.answers) > 0.5
    expect_exactly(load, mended, project)


def test_sigterm_ends_writes_that_hang(mended: ScaledOut, broker: KafkaBroker) -> None:
    """They may hang for longer than the process may take to end, and are not acknowledged."""
    project = mended.create_project()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    patient = mended.process("patient", "ingest", "--port", str(port), PENSTOCK_KAFKA__DELIVERY_TIMEOUT_SECONDS="30")

    def write() -> int:
        event = {"event": "hangs", "email": "ada@example.com"}
        try:
            return httpx.post(f"{url}/v1/track", headers=project.tracking, json=event, timeout=40).status_code
        except httpx.HTTPError:
            return 0

    with patient, ThreadPoolExecutor(20) as pool:
        wait_ready(url, patient)
        wait_until(lambda: write() == 200, 10, "a first write")
        broker.pause()
        try:
            writes = [pool.submit(write) for _ in range(20)]
            time.sleep(0.5)
            assert not any(one.done() for one in writes)
            assert patient.terminate(10) == 0, patient.log_tail()
            assert {one.result() for one in writes} == {503}
        finally:
            broker.resume()

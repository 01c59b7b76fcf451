"""SIGTERM while calls hang in a dead server: nobody can end them, so the processes end without them, in time."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from tests.support.breakable import Bridge, Broker
from tests.support.deployments import ScaledOut, wait_ready
from tests.support.services import Process, free_port, wait_until

pytestmark = pytest.mark.services

CALLS = 8


@contextmanager
def patient(product: ScaledOut, command: str, **settings: str) -> Iterator[tuple[Process, str]]:
    """A process that waits for longer than it may take to end, and its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with product.process(f"patient-{command}", command, "--port", str(port), **settings) as process:
        wait_ready(url, process)
        yield process, url


def status(call: Callable[[], httpx.Response]) -> int:
    """What is answered, 0 for nothing. A 503 must say when to come again."""
    try:
        answer = call()
    except httpx.HTTPError:
        return 0
    assert answer.status_code != 503 or int(answer.headers["Retry-After"]) >= 1
    return answer.status_code


@pytest.mark.parametrize("command", ["ingest", "query"])
def test_a_process_that_drains_says_so_and_serves_on(mended: ScaledOut, command: str) -> None:
    project = mended.create_project()
    event = {"event": "drains", "email": "ada@example.com"}
    with (
        patient(mended, command, PENSTOCK_SERVING__DRAIN_SECONDS="3") as (process, url),
        ThreadPoolExecutor(1) as pool,
    ):

        def work() -> int:
            if command == "query":
                return status(lambda: httpx.get(f"{url}/events", headers=project.reading))
            return status(lambda: httpx.post(f"{url}/v1/track", headers=project.tracking, json=event))

        wait_until(lambda: work() == 200, 10, "it to know the key")
        end = pool.submit(process.terminate, 10)
        wait_until(lambda: "process: " in httpx.get(f"{url}/readyz").text, 10, "it to say that it ends")
        assert work() == 200
        assert end.result() == 0


def test_sigterm_ends_reads_and_writes_that_hang(mended: ScaledOut, broker: Broker, bridge: Bridge) -> None:
    project = mended.create_project()
    event = {"event": "hangs", "email": "ada@example.com"}
    with (
        patient(mended, "query", PENSTOCK_CLICKHOUSE__QUERY_TIMEOUT_SECONDS="30") as (query, query_url),
        patient(mended, "ingest", PENSTOCK_KAFKA__DELIVERY_TIMEOUT_SECONDS="30") as (ingest, ingest_url),
        ThreadPoolExecutor(2 * CALLS + 2) as pool,
    ):

        def read() -> int:
            return status(lambda: httpx.get(f"{query_url}/events", headers=project.reading, timeout=40))

        def write() -> int:
            url = f"{ingest_url}/v1/track"
            return status(lambda: httpx.post(url, headers=project.tracking, json=event, timeout=40))

        wait_until(lambda: read() == 200 and write() == 200, 10, "both to work")
        bridge.pause()
        broker.pause()
        try:
            calls: list[Future[int]] = [pool.submit(call) for call in (read, write) for _ in range(CALLS)]
            with pytest.raises(TimeoutError):
                wait_until(lambda: any(call.done() for call in calls), 2, "nothing, as all of them hang")
            ends = [pool.submit(process.terminate, 10) for process in (query, ingest)]
            assert [end.result() for end in ends] == [0, 0]
            assert {call.result() for call in calls} == {503}
        finally:
            bridge.resume()
            broker.resume()

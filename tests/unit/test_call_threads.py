"""Calls side by side."""

import threading
import time

import pytest

from consumers.thread import CallThreads
from tests.support.services import wait_until


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.05 if number == 0 else 0)
        return number * 2

    assert CallThreads("test", 4).map(slow_first, range(6)) == [0, 2, 4, 6, 8, 10]


def test_calls_run_side_by_side_but_not_more_than_allowed() -> None:
    together = threading.Barrier(3)  # passes only when three are inside at once
    running, most, lock = 0, 0, threading.Lock()

    def call(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(10)
        with lock:
            running -= 1

    CallThreads("test", 3).map(call, range(6))
    assert most == 3


def test_an_error_is_raised_after_all_calls_have_ended() -> None:
    ended = []

    def call(number: int) -> None:
        if number == 0:
            raise ValueError("refused")
        time.sleep(0.02)
        ended.append(number)

    with pytest.raises(ValueError, match="refused"):
        CallThreads("test", 2).map(call, range(4))
    assert sorted(ended) == [1, 2, 3]


def test_closed_threads_end_and_later_calls_start_others() -> None:
    threads = CallThreads("to be closed", 2)
    assert threads.map(str, range(4)) == ["0", "1", "2", "3"]
    threads.close()
    wait_until(lambda: not _alive("to be closed"), 10, "the threads to end")
    assert threads.map(str, range(2)) == ["0", "1"]
    assert _alive("to be closed")
    threads.close()


def _alive(name: str) -> bool:
    return any(thread.name.startswith(name) for thread in threading.enumerate())

"""What is said of parts that do not answer, and of those that do."""

import threading
import time
from collections.abc import Iterator

import pytest

from penstock import readiness
from penstock.errors import LogUnavailable
from penstock.readiness import PROCESS, Readiness
from tests.support.services import wait_until

_HANGS = {"tables": "it does not answer"}


class Part:
    """Answers once it is let go."""

    def __init__(self, reason: str = "") -> None:
        self.go = threading.Event()
        self.asked = 0
        self._reason = reason

    def __call__(self) -> None:
        self.asked += 1
        self.go.wait(60)
        if self._reason:
            raise LogUnavailable(self._reason)


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Iterator[Part]:
    monkeypatch.setattr(readiness, "_ANSWER_SECONDS", 0.2)
    made = Part()
    yield made
    made.go.set()


def test_a_part_that_does_not_answer_is_named_in_time_and_asked_once(part: Part) -> None:
    asked = Readiness({"tables": part, "log": lambda: None})
    started = time.monotonic()
    for _ in range(3):
        assert asked.missing() == _HANGS
    assert time.monotonic() - started < 30
    assert part.asked == 1


def test_parts_that_do_not_answer_are_waited_for_together(part: Part) -> None:
    checks = {f"part {number}": part for number in range(200)}
    started = time.monotonic()
    assert set(Readiness(checks).missing().values()) == {"it does not answer"}
    assert time.monotonic() - started < 20  # one by one: 40 s


def test_an_answer_that_comes_late_is_told_to_who_asks_next(part: Part) -> None:
    asked = Readiness({"tables": part})
    assert asked.missing() == _HANGS
    part.go.set()
    wait_until(lambda: asked.missing() == {}, 20, "the answer")


def test_a_part_that_recovers_is_asked_anew() -> None:
    reasons = ["away", ""]

    def check() -> None:
        if reason := reasons.pop(0):
            raise LogUnavailable(reason)

    asked = Readiness({"log": check})
    assert [asked.missing(), asked.missing()] == [{"log": "away"}, {}]


def test_a_part_is_asked_by_one_thread() -> None:
    """Whoever asks: a connection for each thread that ever asked would fill the memory."""
    threads: set[threading.Thread] = set()
    asked = Readiness({"log": lambda: threads.add(threading.current_thread())})
    for _ in range(20):
        asking = threading.Thread(target=asked.missing)
        asking.start()
        asking.join()
    assert len(threads) == 1


def test_the_process_is_not_named_because_a_part_hangs_later(part: Part) -> None:
    """A balancer would take it out, although another process would do no better."""
    asked = Readiness({PROCESS: lambda: None, "tables": part})
    assert asked.missing() == {**_HANGS, PROCESS: "it was not ready yet"}
    part.go.set()
    wait_until(lambda: asked.missing() == {}, 20, "the answer")
    part.go.clear()
    assert asked.missing() == _HANGS


def test_a_bug_in_a_check_is_not_taken_for_readiness() -> None:
    with pytest.raises(ZeroDivisionError):
        Readiness({"log": lambda: print(1 // 0)}).missing()

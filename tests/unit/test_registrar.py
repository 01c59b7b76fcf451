"""The registrar: what was answered to anyone is known to who asks, and one changes at a time."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from penstock.errors import LogUnavailable
from penstock.registry import Registry
from query_api import registrar as module
from query_api.registrar import Registrar
from schemas.registry import Segment, encode_registered, segment_key
from schemas.topics import Topic
from tests.support.control import InstantControl

PROJECT = "6f0c2f52-5b5a-4a52-9a3b-0d8a63c1f0aa"
MADE = "2026-11-23T07:00:00.000Z"


def segment(number: int = 1, slug: str = "vip") -> Segment:
    return Segment(f"00000000-0000-4000-8000-{number:012x}", PROJECT, "VIP", slug, "", False, "1", MADE, MADE)


@dataclass
class Control:
    """A control topic that is followed only when somebody waits for that, and what was called."""

    registry: Registry = field(default_factory=Registry)
    waiting: list[tuple[str, bytes | None, int]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    ends: int = 0
    holds: threading.Event | None = None

    def elsewhere(self, one: Segment) -> None:
        """Another process publishes it."""
        self.publish(Topic.CONTROL, segment_key(one.id), encode_registered(one))
        self.calls.clear()

    def publish(self, topic: Topic, key: str, value: bytes | None) -> int:
        assert topic is Topic.CONTROL
        self.calls.append("publish")
        self.waiting.append((key, value, self.ends))
        self.ends += 1
        return self.ends - 1

    def sync(self) -> None:
        if self.holds:
            self.holds.wait(5)
        self.calls.append("sync")
        self._apply()

    def wait_for(self, offset: int) -> None:
        self.calls.append(f"wait_for {offset}")
        self._apply()

    def _apply(self) -> None:
        while self.waiting:
            self.registry.apply(*self.waiting.pop(0))


def names(registry: Registry) -> list[str]:
    return [one.slug for one in registry.segments(PROJECT)]


def test_who_reads_knows_what_others_have_made_before() -> None:
    control = Control()
    control.elsewhere(segment())

    async def read() -> list[str]:
        return names(await Registrar(control, control, control.registry).read())

    assert asyncio.run(read()) == ["vip"]


def test_who_changes_knows_what_others_have_made_before() -> None:
    control = Control()
    control.elsewhere(segment())

    async def change() -> list[str]:
        async with Registrar(control, control, control.registry).changing() as registry:
            return names(registry)

    assert asyncio.run(change()) == ["vip"]


def test_what_was_put_or_removed_is_known_when_the_call_returns() -> None:
    control = Control()

    async def work() -> list[list[str]]:
        registrar = Registrar(control, control, control.registry)
        before = names(await registrar.put(segment()))
        await registrar.remove(segment())
        return [before, names(control.registry)]

    assert asyncio.run(work()) == [["vip"], []]
    assert control.calls == ["publish", "wait_for 0", "publish", "wait_for 1"]


def test_one_changes_at_a_time() -> None:
    control = Control()
    steps: list[str] = []

    async def work() -> None:
        registrar = Registrar(control, control, control.registry)

        async def change(name: str) -> None:
            async with registrar.changing():
                steps.append(f"{name} begins")
                await asyncio.sleep(0.02)
                steps.append(f"{name} ends")

        await asyncio.gather(change("a"), change("b"))

    asyncio.run(work())
    assert steps == ["a begins", "a ends", "b begins", "b ends"]


def test_who_reads_does_not_wait_for_who_changes() -> None:
    control = Control()

    async def work() -> None:
        registrar = Registrar(control, control, control.registry)
        async with registrar.changing():
            await asyncio.wait_for(registrar.read(), 5)

    asyncio.run(work())


def test_a_log_that_does_not_answer_is_told_and_holds_up_nobody_after() -> None:
    control = InstantControl(failure=LogUnavailable("away"))

    async def work() -> None:
        registrar = control.registrar()
        for call in (registrar.read(), registrar.put(segment()), registrar.remove(segment())):
            with pytest.raises(LogUnavailable):
                await call
        with pytest.raises(LogUnavailable):
            async with registrar.changing():
                pytest.fail("nothing is known")
        control.failure = None
        async with registrar.changing():
            assert names(await registrar.put(segment())) == ["vip"]

    asyncio.run(work())


def test_a_log_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOG_SECONDS", 0.05)
    control = Control(holds=threading.Event())

    async def work() -> None:
        with pytest.raises(LogUnavailable):
            await Registrar(control, control, control.registry).read()

    try:
        with asyncio.Runner() as runner:
            runner.run(work())
            assert control.holds
            control.holds.set()
    finally:
        assert control.holds
        control.holds.set()

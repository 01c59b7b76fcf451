"""Whom an id stands for: nobody is called unknown before what the log has is stored."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from penstock import contacts as module
from penstock.clickhouse.contract import Parameter, Row
from penstock.clickhouse.progress import Progress
from penstock.contacts import ContactDirectory, Polling, TailEnds
from penstock.errors import LogUnavailable, NotYetVisible, TablesUnavailable
from penstock.eventlog.sqlite import SqliteLog
from schemas.position import Position
from schemas.topics import partition_of

pytestmark = pytest.mark.anyio

PROJECT = "00000000-0000-4000-8000-000000000001"
FIRST = "00000000-0000-5000-8000-000000000000"
SECOND = "00000000-0000-5000-8000-000000000001"


@dataclass
class World:
    """Tables, a log's ends, and whoever waits; what the tables know is `known`, and after a wait `later` too."""

    known: dict[str, str] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=lambda: {0: 5, 1: 0})
    asked: list[Any] = field(default_factory=list)
    waited: list[Position] = field(default_factory=list)
    failure: Exception | None = None

    def select(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[Row]:
        assert threading.current_thread() is not threading.main_thread()
        wanted: Any = (parameters or {})["contacts"]
        self.asked.append(wanted)
        return [[contact, self.known[contact]] for contact in wanted if contact in self.known]

    async def wait_for(self, position: Position, timeout_seconds: float) -> None:
        assert timeout_seconds == 5
        self.waited.append(position)
        if self.failure:
            raise self.failure
        self.known |= self.later

    async def emails(self, *contacts: str) -> dict[str, str]:
        directory = ContactDirectory(self, lambda: self.ends, self.wait_for)
        try:
            return await directory.emails_of(PROJECT, contacts)
        finally:
            directory.close()


async def test_whom_the_tables_know_is_found_at_once() -> None:
    world = World(known={FIRST: "ada@example.com"})
    assert await world.emails(FIRST) == {FIRST: "ada@example.com"}
    assert (world.asked, world.waited) == ([[FIRST]], [])


async def test_whom_they_do_not_know_is_looked_for_again_once_the_log_is_stored() -> None:
    world = World(known={SECOND: "bob@example.com"}, later={FIRST: "ada@example.com"})
    assert partition_of(FIRST, 2) == 0
    assert await world.emails(FIRST, SECOND) == {FIRST: "ada@example.com", SECOND: "bob@example.com"}
    assert (world.asked, world.waited) == ([[FIRST, SECOND], [FIRST]], [{0: 4}])


async def test_only_then_nobody_has_the_id() -> None:
    world = World()
    assert await world.emails(FIRST) == {}
    assert world.waited == [{0: 4}]


async def test_nothing_is_waited_for_in_an_empty_partition() -> None:
    world = World()
    assert await world.emails(SECOND) == {}
    assert world.waited == [{}]


async def test_what_is_not_stored_in_time_leaves_it_open() -> None:
    with pytest.raises(NotYetVisible, match="whether there is such a contact"):
        await World(failure=NotYetVisible("not visible")).emails(FIRST)


async def test_tables_that_take_too_long_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.05)
    held = threading.Event()

    class Slow(World):
        def select(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[Row]:
            held.wait(5)
            return []

    world = Slow()
    directory = ContactDirectory(world, lambda: world.ends, world.wait_for)
    with pytest.raises(TablesUnavailable):
        await directory.emails_of(PROJECT, [FIRST])
    held.set()
    await asyncio.to_thread(directory.close)


async def test_polling_returns_when_the_position_is_stored() -> None:
    said = iter([{}, {0: Progress(0, 1, 1, 3)}, {0: Progress(0, 1, 2, 4)}])
    await Polling(lambda: next(said))({0: 4}, 5)
    assert next(said, None) is None


async def test_however_many_wait_the_tables_are_asked_once_at_a_time() -> None:
    asked = []

    def read() -> Mapping[int, Progress]:
        asked.append(threading.current_thread())
        return {0: Progress(0, 1, 1, len(asked))}

    poll = Polling(read)
    await asyncio.gather(*(poll({0: 3}, 5) for _ in range(20)))
    assert len(asked) <= 6


async def test_polling_gives_up_in_time_also_where_the_tables_hang() -> None:
    held = threading.Event()

    def read() -> Mapping[int, Progress]:
        held.wait(5)
        return {}

    with pytest.raises(NotYetVisible):
        await Polling(read)({0: 0}, 0.05)
    held.set()


async def test_polling_gives_up_in_time() -> None:
    with pytest.raises(NotYetVisible):
        await Polling(dict)({0: 0}, 0.01)


def test_the_ends_of_a_tail_are_those_of_the_log(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, partitions=2)
    log.open()
    ends = TailEnds(log)
    assert ends() == {0: 0, 1: 0}
    log.append_record(1, b"a record")
    assert ends() == {0: 0, 1: 1}
    ends.close()
    assert ends() == {0: 0, 1: 1}, "opened anew"
    ends.close()
    log.close()


def test_a_tail_that_failed_is_opened_anew() -> None:
    class Tail:
        def ends(self) -> dict[int, int]:
            log.asked += 1
            if log.asked == 1:
                raise LogUnavailable("away")
            return {0: 1}

        def close(self) -> None:
            log.open -= 1

    class Log:
        partitions = 1
        asked = 0
        open = 0

        def tail(self, topic: object, starts: Mapping[int, int]) -> Tail:
            self.open += 1
            return Tail()

    log = Log()
    ends = TailEnds(log)  # type: ignore[arg-type]  # only these are called
    with pytest.raises(LogUnavailable):
        ends()
    assert log.open == 0
    assert ends() == ends() == {0: 1}
    assert log.open == 1

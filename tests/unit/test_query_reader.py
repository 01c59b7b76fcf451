"""Reads beside the event loop: a bounded number at a time, a bounded number waiting."""

import asyncio
import threading
from collections.abc import Mapping

import pytest

from penstock.clickhouse.contract import Parameter, Row
from penstock.errors import TablesUnavailable, Unavailable
from penstock.settings import Query, Settings
from penstock.telemetry import Metrics
from query_api import reader as module
from query_api.reader import Reader
from query_api.statements import Statement


class Recorder:
    """Tables that remember what they were asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []

    def select(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[Row]:
        self.asked.append((sql, parameters))
        return [[1]]

    def insert(self, table: str, lines: bytes, *, token: str | None = None) -> None:
        raise NotImplementedError

    def delete(self, table: str, condition: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        raise NotImplementedError

    def execute(self, statement: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        raise NotImplementedError

    def create_database(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def test_a_read_is_bounded_and_measured() -> None:
    tables, metrics = Recorder(), Metrics()
    assert Reader(tables, Settings(), metrics).select(Statement("names", "SELECT 1", {"a": 1})) == [[1]]
    [(sql, values)] = tables.asked
    assert values == {"a": 1}
    assert sql.startswith("SELECT 1 SETTINGS ")
    assert "max_execution_time = 30" in sql
    assert b'penstock_query_seconds_count{query="names"} 1.0' in metrics.render()


def test_statements_are_asked_side_by_side_and_found_in_their_order() -> None:
    together = threading.Barrier(2)

    class Meeting(Recorder):
        def select(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[Row]:
            together.wait(10)
            return [[sql.split()[1]]]

    reader = Reader(Meeting(), Settings(query=Query(threads=1)), Metrics())
    assert reader.select_all([Statement("a", "SELECT 1"), Statement("b", "SELECT 2")]) == [[["1"]], [["2"]]]
    reader.close()


def test_a_statement_that_fails_fails_all_after_the_others_have_ended() -> None:
    ended = threading.Event()

    class Failing(Recorder):
        def select(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[Row]:
            if "SELECT 1" in sql:
                raise TablesUnavailable("gone")
            ended.wait(0.05)
            ended.set()
            return []

    reader = Reader(Failing(), Settings(), Metrics())
    with pytest.raises(TablesUnavailable):
        reader.select_all([Statement("a", "SELECT 1"), Statement("b", "SELECT 2")])
    assert ended.is_set()
    reader.close()


def test_over_the_bounds_reads_are_refused_not_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITING_PER_THREAD", 3)
    monkeypatch.setattr(module, "_MAX_WAIT_SECONDS", 0.05)
    release = threading.Event()

    async def scene() -> list[object]:
        reader = Reader(Recorder(), Settings(query=Query(threads=1)), Metrics())
        tasks = [asyncio.create_task(reader.run(f"project {number}", release.wait)) for number in range(6)]
        await asyncio.sleep(0.01)
        refused_at_once = [task for task in tasks if task.done()]
        await asyncio.sleep(0.1)
        release.set()
        assert len(refused_at_once) == 2
        found: list[object] = list(await asyncio.gather(*tasks, return_exceptions=True))
        assert await reader.run("any", lambda: "free again") == "free again"
        reader.close()
        return found

    found = asyncio.run(scene())
    assert found.count(True) == 1
    assert sum(isinstance(one, Unavailable) for one in found) == 5

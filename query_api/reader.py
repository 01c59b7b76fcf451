"""Runs blocking reads beside the event loop: so many at a time, so many waiting, no more, and projects in turn."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from penstock.clickhouse import Selectable
from penstock.clickhouse.contract import Row
from penstock.settings import Settings
from penstock.telemetry import Metrics
from query_api.statements import Statement
from query_api.turns import Turns

T = TypeVar("T")

_WAITING_PER_THREAD = 64
_MAX_WAIT_SECONDS = 5.0


class Reader:
    """The tables, for coroutines. Each thread has a client of its own, which the gateway keeps."""

    def __init__(self, tables: Selectable, settings: Settings, metrics: Metrics) -> None:
        self._tables = tables
        self._metrics = metrics
        self._settings_clause = (
            f" SETTINGS max_threads = 1, output_format_json_quote_64bit_integers = 0,"
            f" max_execution_time = {_whole_seconds(settings)}"
        )
        threads = settings.query.threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="read")
        self._beside = ThreadPoolExecutor(threads, thread_name_prefix="read-beside")
        self._turns = Turns(threads, max_waiting=threads * _WAITING_PER_THREAD, max_wait_seconds=_MAX_WAIT_SECONDS)

    def select(self, statement: Statement) -> list[Row]:
        """The rows; blocks, so it is for work that `run` does.

        One thread of the engine serves a read: more make a single one no faster (they are short) and many slower.

        Raises:
            TablesUnavailable, TablesRefused: see `Tables`.
        """
        return self.select_from(self._tables, statement)

    def select_from(self, tables: Selectable, statement: Statement) -> list[Row]:
        """The same of other tables than those that are live."""
        started = time.perf_counter()
        try:
            more = f", {statement.settings}" if statement.settings else ""
            return tables.select(statement.sql + self._settings_clause + more, statement.values)
        finally:
            self._metrics.query_seconds.labels(statement.name).observe(time.perf_counter() - started)

    def select_all(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """The rows of each statement; they are asked side by side. See `select`."""
        first, *others = statements
        beside = [self._beside.submit(self.select, other) for other in others]
        try:
            found = self.select(first)
        finally:
            wait(beside)
        return [found, *(one.result() for one in beside)]

    async def run(self, project_id: str, work: Callable[[], T]) -> T:
        """What `work` returns or raises; it runs on one of our threads.

        Raises:
            Unavailable: too many reads wait already, or no thread came free in time.
        """
        async with self._turns.turn(project_id):
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Waits for what runs; nothing may be started afterwards."""
        self._pool.shutdown(cancel_futures=True)
        self._beside.shutdown()


def _whole_seconds(settings: Settings) -> int:
    return max(1, round(settings.clickhouse.query_timeout_seconds))

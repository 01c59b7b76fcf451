"""The embedded form in the test's own process, step by step: nothing runs in the background but the log's commits.

Requests go through the real applications, records through the real writer into chDB. A crash abandons the writer, or a
rebuild, at one of its statements, and the log without closing it, and opens the same directory again. What it cannot show
is a process that really dies: that is the end-to-end tests' and the fault suite's.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from starlette.types import ASGIApp

from consumers.pipeline import Pipeline
from consumers.rebuild import Rebuild
from consumers.sink import LogEnds
from ingest.app import create_app as create_ingest
from ingest.sns.source import make_source
from penstock.auth import KeyRing, new_key
from penstock.clickhouse.generations import Generations, LiveTables
from penstock.clock import SystemClock
from penstock.errors import WriterFenced
from penstock.eventlog import StoredRecord
from penstock.eventlog.sqlite import SqliteLog
from penstock.settings import Settings, Sns, Writer
from penstock.telemetry import Metrics
from query_api import create_app as create_query
from schemas.control import Project, control_key, encode_subject
from schemas.deletion import Deletion
from schemas.position import Position
from schemas.record import pack_deletion
from schemas.topics import Topic
from tests.support.control import InstantControl
from tests.support.faults import Crash, FaultyDatabases
from tests.support.fixtures import drop_generations
from tests.support.requests import KnownContacts, KnownSegments
from tests.support.stored import PROJECT
from tests.support.tables import open_test_tables

_PARTITIONS = 2


@dataclass(frozen=True, slots=True)
class PausedWriter:
    """A writer that has claimed the partitions and then stood still."""

    pipeline: Pipeline
    starts: dict[int, int]


class InProcess:
    """See the module. The caller closes it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._runner = asyncio.Runner()
        self._tables = open_test_tables()
        self._generations = Generations(self._tables)
        self._ring = KeyRing()
        self._ring.is_complete = True
        self._logs: list[SqliteLog] = []
        self._owners = itertools.count()
        self._open()
        self._make_project()

    def close(self) -> None:
        """Ends everything, also what crashes left behind, and drops the tables."""
        for log in self._logs:
            self._runner.run(log.stop())
        self._runner.run(self._reading.aclose())
        self._runner.close()
        drop_generations(self._tables)

    def _open(self) -> None:
        self._log = SqliteLog(self._directory, partitions=_PARTITIONS)
        self._runner.run(self._log.start())
        self._logs.append(self._log)
        ingest = create_ingest(
            Settings(),
            log=self._log,
            authenticate=self._ring,
            clock=SystemClock(),
            metrics=Metrics(),
            checks={},
            sns=make_source(Sns(), httpx.AsyncClient()),
            contacts=KnownContacts(),
            segments=KnownSegments(),
        )
        self._writing = _client(ingest)
        self._show()

    def _show(self) -> None:
        """Lets reads answer from the tables that there are now."""
        live = LiveTables(self._generations)
        query = create_query(
            Settings(),
            live=live,
            markers=self._log,
            contacts=KnownContacts(),
            registrar=InstantControl().registrar(),
            authenticate=self._ring,
            metrics=Metrics(),
            checks={},
        )
        self._reading = _client(query)

    def _make_project(self) -> None:
        """Always the same, as partitions follow from it: what happened can be repeated."""
        project = Project(PROJECT, "test", "2026-01-01T00:00:00.000Z", True)
        key = new_key("secret", PROJECT, project.created_at)
        for subject in (project, key.record):
            self._ring.apply(control_key(subject), encode_subject(subject))
        self._headers = {"Authorization": f"Bearer {key.text}"}

    # --- requests

    def post(self, path: str, body: Any, *, key: str | None = None) -> Any:
        """The `data` of a write's 200."""
        headers = self._headers | ({} if key is None else {"Idempotency-Key": key})
        answer = self._runner.run(self._writing.post(path, json=body, headers=headers))
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def get(self, path: str, **parameters: Any) -> Any:
        """The body of a read's 200."""
        answer = self._runner.run(self._reading.get(path, params=parameters, headers=self._headers))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def listed(self, path: str = "/events", **parameters: Any) -> Iterator[dict[str, Any]]:
        """All events, by following the cursor to its end."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.get(path, cursor=cursor, **parameters)
            yield from page["events"]
            cursor = page["cursor"]

    def delete(self, name: str) -> None:
        """Deletes all events of a name that the log has: the marker alone, as writers here are called one by one."""
        record = pack_deletion(Deletion(str(uuid4()), PROJECT, name), accepted_ms=SystemClock().now_ms())
        self._runner.run(_awaited(self._log.mark, record))

    # --- the writer

    def write(self, max_rows: int = 50_000) -> None:
        """A new writer stores what is left."""
        self.wake(self.pause(max_rows))

    def crash(self, at: int, *, after: bool, max_rows: int = 50_000) -> None:
        """A writer dies at its statement number `at`, before or after that had its effect, and all else with it."""
        with suppress(Crash):
            self.wake(self.pause(max_rows, self._failing(at, after=after)))
        self._open()

    def _failing(self, at: int, *, after: bool) -> Generations:
        return Generations(FaultyDatabases(self._tables, at=at, after=after))

    def pause(self, max_rows: int = 50_000, generations: Generations | None = None) -> PausedWriter:
        """A writer that claims everything and stands still."""
        pipeline = Pipeline(
            Writer(max_rows=max_rows),
            log=self._log,
            for_writing=(generations or self._generations).for_writing,
            clock=SystemClock(),
            metrics=Metrics(),
            owner=f"owner {next(self._owners)}",
        )
        return PausedWriter(pipeline, pipeline.claim(range(_PARTITIONS)))

    def wake(self, paused: PausedWriter) -> None:
        """It goes on where it stood. If another has taken over meanwhile, it stores nothing."""
        with suppress(WriterFenced):
            paused.pipeline.write(self._records(paused.starts), self._ends())

    def _records(self, starts: dict[int, int]) -> list[StoredRecord]:
        tail = self._log.tail(Topic.EVENTS, starts)
        try:
            return tail.poll(timeout_seconds=0, max_bytes=1 << 30)
        finally:
            tail.close()

    def _ends(self) -> LogEnds:
        tail = self._log.tail(Topic.EVENTS, dict.fromkeys(range(_PARTITIONS), 0))
        try:
            return LogEnds(tail.ends(), SystemClock().now_ms())
        finally:
            tail.close()

    # --- the rest

    def restart(self) -> None:
        """A clean end and a new start."""
        self._runner.run(self._logs.pop().stop())
        self._open()

    def rebuild(self) -> None:
        """New tables take the place of the live ones."""
        self._rebuild(self._generations)
        self._show()

    def crash_rebuild(self, at: int, *, after: bool) -> None:
        """A rebuild dies at its statement number `at`, and all else with it; then its hold on the writers runs out."""
        with suppress(Crash):
            self._rebuild(self._failing(at, after=after))
        self._generations.release(self._generations.live().number)
        self._open()

    def _rebuild(self, generations: Generations) -> None:
        Rebuild(
            Writer(),
            log=self._log,
            generations=generations,
            clock=SystemClock(),
            report=lambda _: None,
            grace_seconds=0,
        ).run(only=None)


async def _awaited(mark: Callable[[bytes, int], "asyncio.Future[Position]"], record: bytes) -> Position:
    return await mark(record, SystemClock().now_ms())


def _client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://penstock")

"""What follows the writer, step by step: a log, its tables, a registry, and no thread of ours.

A crash abandons whoever was at work at one of its statements, or at a record that it appends; the next one goes on.
"""

import itertools
import json
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from consumers.pipeline import Pipeline
from consumers.segments.following import Following as SegmentFollowing
from consumers.segments.following import Workplace as SegmentPlace
from consumers.segments.passing import Passing
from consumers.sink import LogEnds
from consumers.stored import Stored
from consumers.webhooks.following import Following as WebhookFollowing
from consumers.webhooks.place import Workplace as WebhookPlace
from consumers.webhooks.planning import Due
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.generations import Generations
from penstock.eventlog.sqlite import SqliteLog
from penstock.settings import Writer
from penstock.telemetry import Metrics
from schemas.erasure import Erasure
from schemas.event import Event, encode_event
from schemas.ids import contact_id
from schemas.record import pack, pack_erasure
from schemas.registry import Segment, SigningSecret, Workflow
from schemas.times import to_wire
from schemas.topics import Topic, partition_of
from tests.support.control import InstantControl
from tests.support.faults import FaultyDatabases, FaultyTables
from tests.support.requests import FrozenClock

NOW_MS = 1_795_417_200_000
PARTITIONS = 2


class FaultyLog:
    """A log whose appends count among the statements of some tables."""

    def __init__(self, log: SqliteLog, statements: FaultyTables) -> None:
        self._log = log
        self._statements = statements
        self.partitions = log.partitions

    def append_record(self, partition: int, record: bytes) -> int:
        """See `EventLog`."""
        offsets: list[int] = []

        def append() -> list[list[object]]:
            offsets.append(self._log.append_record(partition, record))
            return []

        self._statements._run("append", append)
        return offsets[0]


class Behind:
    """See the module. The caller closes it."""

    def __init__(self, tables: ClientTables, directory: Path) -> None:
        self.tables = tables
        self.control = InstantControl()
        self.control.registry.is_complete = True
        self.clock = FrozenClock(NOW_MS)
        self.stored = Stored()
        self.metrics = Metrics()
        self._log = SqliteLog(directory, partitions=PARTITIONS)
        self._log.open()
        self._numbers = itertools.count(1)
        self.begin()
        self.write()  # from then on the partitions are its own

    def close(self) -> None:
        """Closes the log."""
        self._log.close()

    def begin(self) -> None:
        """From now on it is about another project."""
        self.project = str(uuid.uuid4())

    # --- what is there

    def segment(self, slug: str, condition: Any, **more: Any) -> Segment:
        """A tracked segment."""
        made = to_wire(self.clock.ms)
        values = {"tracked": True, "revision": str(next(self._numbers)), "id": str(uuid.uuid4()), **more}
        one = Segment(
            project_id=self.project, name=slug, slug=slug, condition=json.dumps(condition) if condition else "",
            created_at=made, updated_at=made, **values,
        )  # fmt: skip
        self.control.put(one)
        return one

    def workflow(self, event: str, condition: Any = None, **more: Any) -> Workflow:
        """A workflow with one secret."""
        made = to_wire(self.clock.ms)
        one = Workflow(
            id=str(uuid.uuid4()), project_id=self.project, name="W", enabled=True, event_name=event,
            condition=json.dumps(condition) if condition else "", created_at=made, updated_at=made,
            **{"url": "http://127.0.0.1:1/", "secrets": (SigningSecret("whsec_c2VjcmV0"),), **more},
        )  # fmt: skip
        self.control.put(one)
        return one

    def track(self, *events: tuple[str, str, Any]) -> None:
        """Records of events: name, address, data."""
        for name, email, data in events:
            contact = contact_id(self.project, email)
            text = "" if data is None else json.dumps(data)
            event = Event(self.project, str(uuid.uuid4()), name, to_wire(self.clock.ms), contact, email, data=text)
            record = pack([encode_event(event)], derived=False, accepted_ms=self.clock.ms)
            self._log.append_record(partition_of(contact, PARTITIONS), record)

    def erase(self, email: str) -> None:
        """A record that erases a contact."""
        contact = contact_id(self.project, email)
        record = pack_erasure(Erasure(str(uuid.uuid4()), self.project, contact, email), accepted_ms=self.clock.ms)
        self._log.append_record(partition_of(contact, PARTITIONS), record)

    # --- who works

    def write(self) -> None:
        """The writer stores what is left."""
        pipeline = Pipeline(
            Writer(), log=self._log, for_writing=Generations(self.tables).for_writing, clock=self.clock,
            metrics=self.metrics, owner="test",
        )  # fmt: skip
        with closing(pipeline), closing(self._log.tail(Topic.EVENTS, pipeline.claim(range(PARTITIONS)))) as tail:
            records = tail.poll(timeout_seconds=0, max_bytes=1 << 30)
            pipeline.write(records, LogEnds(tail.ends(), self.clock.ms))
            self.stored.note(pipeline.stored_through())

    def _place(self, faulty: FaultyDatabases | None) -> SegmentPlace:
        databases: Any = faulty or self.tables
        log: Any = self._log if faulty is None else FaultyLog(self._log, faulty)
        return SegmentPlace(log, Generations(databases), self.control.registry, self.clock)

    def follow_segments(self, faulty: FaultyDatabases | None = None) -> None:
        """Evaluates what was stored since the last one stated how far it came."""
        SegmentFollowing(self._place(faulty)).step(self.stored.through())

    def pass_segments(self, faulty: FaultyDatabases | None = None) -> None:
        """Compares all contacts with what is due; what that tells is stored as soon as it is waited for."""
        Passing(self._place(faulty), WritingStored(self)).step()

    def plan(self, faulty: FaultyDatabases | None = None) -> list[Due]:
        """The deliveries that are handed over."""
        databases: Any = faulty or self.tables
        follower: Any = self.control
        handed: list[Due] = []
        log: Any = self._log
        place = WebhookPlace(
            log, Generations(databases), self.control.registry, follower, self.stored, self.metrics, self.clock
        )
        WebhookFollowing(place, handed.extend).step(self.stored.through())
        return handed

    def webhook_place(self) -> WebhookPlace:
        """What a dispatcher works with; what it publishes is applied at once."""
        follower: Any = self.control
        log: Any = self.control
        return WebhookPlace(
            log, Generations(self.tables), self.control.registry, follower, self.stored, self.metrics, self.clock
        )

    def steps(self) -> list[tuple[str, str]]:
        """Who entered and left which segment, in the order of the log of each contact: name and address."""
        rows = self.tables.select(
            "SELECT name, email FROM events WHERE project_id = {project:UUID} AND name LIKE 'segment.%'"
            " ORDER BY log_partition, log_offset, log_index",
            {"project": self.project},
        )
        return [(str(name).removeprefix("segment."), str(email)) for name, email in rows]


class WritingStored(Stored):
    """Whoever waits for something to be stored lets the writer store it."""

    def __init__(self, behind: Behind) -> None:
        super().__init__()
        self._behind = behind

    def through(self) -> Any:
        """See `Stored`."""
        return self._behind.stored.through()

    def wait(self, seen: Any, timeout_seconds: float) -> Any:
        """See `Stored`."""
        self._behind.write()
        return self._behind.stored.through()


def ids(due: Sequence[Due]) -> list[str]:
    """The deliveries' ids."""
    return [one.delivery.id for one in due]

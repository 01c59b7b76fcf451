"""A log of what is said of contacts, written by the real writer, and what its tables then hold."""

import json
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from consumers.pipeline import Pipeline
from consumers.sink import LogEnds
from penstock.clickhouse import Tables
from penstock.eventlog import StoredRecord
from penstock.settings import Writer
from penstock.telemetry import Metrics
from schemas.contact_data import folded
from tests.support.people import FIRST_MS, Person, Said, packed, reference
from tests.support.records import stored
from tests.support.requests import FrozenClock
from tests.support.tables import fixed


class Story:
    """A log of one partition, written batch by batch, and what must have become of it.

    One for many tests: each begins a project of its own, as tables of its own would take a second.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.records: list[StoredRecord] = []
        self._lines = 0
        self.begin()

    def begin(self) -> None:
        """From now on it is about another project."""
        self.project = str(uuid.uuid4())
        self.said: list[Said] = []

    def tell(self, *said: Said) -> None:
        """Appends a record; what erases a contact has one for itself."""
        own = [replace(one, project=self.project) for one in said]
        self.records.append(stored(packed(own, 1 + self._lines), len(self.records)))
        self._lines += len(own)
        self.said += own

    def write(self, tables: Tables | None = None, max_rows: int = 50_000) -> None:
        """By a new writer, which goes on where the one before it stopped."""
        pipeline = Pipeline(
            Writer(max_rows=max_rows, max_dead_letter_share=1),
            log=None,  # type: ignore[arg-type] # nothing here becomes a dead letter
            for_writing=fixed(tables or self.tables),
            clock=FrozenClock(FIRST_MS),
            metrics=Metrics(),
            owner="test",
        )
        with closing(pipeline):
            start = pipeline.claim([0])[0]
            pipeline.write(self.records[start:], LogEnds({0: len(self.records)}, FIRST_MS))

    def people(self) -> dict[str, Person]:
        """The contacts that are there."""
        return people_in(self.tables, self.project)

    def check(self) -> None:
        """The tables have what the reference makes of the story."""
        expected = reference(self.said)
        assert self.people() == expected.people
        assert counted_in(self.tables, self.project) == sum(person.events for person in expected.people.values())
        assert members_in(self.tables, self.project) == _members(expected.people)
        sql = "SELECT count() FROM derived_ids WHERE project_id = {project:UUID}"
        remembered = self.tables.select(sql, {"project": self.project})
        assert int(str(remembered[0][0])) == expected.derived


def people_in(tables: Tables, project: str) -> dict[str, Person]:
    """The contacts that are there, with their events."""
    of_project = {"project": project}
    rows = tables.select(
        "SELECT email, toUnixTimestamp64Milli(min(created)), toString(max(said)),"
        " groupArrayIf((toString(at), text), text != '') FROM (SELECT email, min(created_at) AS created,"
        " max(subscription) AS said, max(version) AS at, argMaxMerge(data) AS text FROM contacts"
        " WHERE project_id = {project:UUID} GROUP BY email, shape)"
        " GROUP BY email",
        of_project,
    )
    people = {str(row[0]): _person(row) for row in rows}
    for email, name, data in tables.select(
        "SELECT email, name, data FROM events WHERE project_id = {project:UUID}"
        " ORDER BY log_offset, log_index, name LIKE 'contact.%'",
        of_project,
    ):
        person = people[str(email)]
        person.events += 1
        if str(name).startswith(("contact.", "segment.")):
            person.emitted.append((str(name), json.loads(str(data)) if data else None))
    return people


def members_in(tables: Tables, project: str) -> dict[tuple[str, str], int]:
    """How often each contact changed in each segment, by address and slug; negative where it left it last."""
    sql = (
        "SELECT email, slug, count() * if(argMax(entered, (log_offset, log_index)), 1, -1) FROM memberships"
        " WHERE project_id = {project:UUID} GROUP BY email, slug"
    )
    rows = tables.select(sql, {"project": project})
    return {(str(email), str(slug)): int(str(changes)) for email, slug, changes in rows}


def _members(people: dict[str, Person]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for email, person in people.items():
        for name, _ in person.emitted:
            if name.startswith("segment."):
                _, slug, action = name.split(".")
                changes = abs(found.get((email, slug), 0)) + 1
                found[email, slug] = changes if action == "entry" else -changes
    return found


def _person(row: Sequence[object]) -> Person:
    _, created_ms, said, objects = row
    assert isinstance(objects, list)
    data = folded((int(at), text) for at, text in objects)
    values = {key: json.loads(value) for key, value in data.items()}
    return Person(bool(int(str(said)) & 1), values, int(str(created_ms)) - FIRST_MS)


def counted_in(tables: Tables, project: str) -> int:
    """How many events the counters of each unit, and the other tables, have: the same in all."""
    where = "WHERE project_id = {project:UUID}"
    of_project = {"project": project}
    rows = tables.select(f"SELECT sum(count) FROM event_counts {where} GROUP BY unit_seconds", of_project)
    counts = {int(str(row[0])) for row in rows} or {0}
    for table in ("events_by_name", "events_by_contact"):
        counts |= {int(str(row[0])) for row in tables.select(f"SELECT count() FROM {table} {where}", of_project)}
    assert len(counts) == 1, counts
    return counts.pop()

"""Dead letters that are sent through once more: what is appended, and what the writer then makes of it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.letters import StoredLetter, read_letters
from consumers.pipeline import Pipeline
from consumers.replaying import Outcome, Status, chosen, replay
from consumers.sink import LogEnds
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.migrate import migrate_tables
from penstock.clock import SystemClock
from penstock.errors import StartError
from penstock.eventlog.sqlite import SqliteLog
from penstock.settings import Writer
from penstock.telemetry import Metrics
from schemas.deletion import Deletion
from schemas.erasure import Erasure
from schemas.event import Event
from schemas.record import pack_deletion, pack_erasure, unpack
from tests.support.fixtures import event
from tests.support.logs import stored_records
from tests.support.records import record
from tests.support.tables import fixed

PARTITION = 1


class World:
    """A log of two partitions, the tables, and a writer that is run when a test says so."""

    def __init__(self, tables: ClientTables, directory: Path) -> None:
        self.tables = tables
        self.log = SqliteLog(directory, partitions=2)
        self.log.open()

    def append(self, *events: Event) -> None:
        """A record of events, as ingest appends it."""
        self.log.append_record(PARTITION, record(0, list(events)).value or b"")

    def write(self) -> None:
        """Stores what is in the log and not in the tables."""
        pipeline = Pipeline(
            Writer(), log=self.log, for_writing=fixed(self.tables), clock=SystemClock(), metrics=Metrics(), owner="x"
        )
        starts = pipeline.claim(range(2))
        records = [one for one in stored_records(self.log) if one.offset >= starts[one.partition]]
        pipeline.write(records, LogEnds({}, 0))

    def replay(self, letter: StoredLetter, key: str = "events/1/0") -> Outcome:
        return replay(self.log, self.tables, key, letter, lambda: 1)

    def appended(self) -> int:
        return len(stored_records(self.log))

    def stored(self) -> list[str]:
        return sorted(str(row[0]) for row in self.tables.select("SELECT toString(id) FROM events"))


@pytest.fixture
def world(tables: ClientTables, tmp_path: Path) -> Iterator[World]:
    migrate_tables(tables)
    made = World(tables, tmp_path)
    yield made
    made.log.close()


def whole(*events: Event) -> StoredLetter:
    """A letter of a whole record, which this version can read."""
    return StoredLetter("events", PARTITION, 0, None, "not readable", "", record(0, list(events)).value or b"")


def single(one: Event) -> StoredLetter:
    """A letter of one event, which the tables may take by now."""
    line = unpack(record(0, [one]).value or b"").lines
    return StoredLetter("events", PARTITION, 0, 0, "refused", "", line)


def test_a_whole_record_that_is_readable_by_now_is_stored_in_its_partition(world: World) -> None:
    events = [event(), event(derived=True), event()]
    outcome = world.replay(whole(*events))
    assert outcome == Outcome("events/1/0", Status.REPLAYED, PARTITION, offset=0)
    world.write()
    assert world.stored() == sorted(one.id for one in events)
    assert world.replay(whole(*events)).status is Status.ALREADY_STORED
    assert world.appended() == 1


def test_of_a_record_that_is_partly_stored_only_the_rest_counts(world: World) -> None:
    one, two, bad = event(), event(), event(occurred_at="yesterday")
    world.append(one)
    world.write()
    assert world.replay(whole(one, two, bad)).status is Status.REPLAYED
    world.write()
    assert world.stored() == sorted([one.id, two.id])
    assert list(read_letters(world.log)) == ["events/1/1/2"]  # the refused one is a letter of its own


def test_an_event_whose_retry_was_stored_meanwhile_is_stored(world: World) -> None:
    one = event(derived=True)
    world.append(one)
    world.write()
    assert world.replay(single(one)).status is Status.ALREADY_STORED
    world.tables.delete("events", "id = {id:UUID}", {"id": one.id})
    assert world.replay(single(one)).status is Status.ALREADY_STORED  # what was deleted does not come back
    assert world.appended() == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"nonsense", "the header is not readable"),
        (b"", "the header is not readable"),
        ((record(0, 1).value or b"")[:-3] + b'x"}', "the checksum does not match"),
        (b'{"format":99}\n', "upgrade the consumers"),
        (pack_deletion(Deletion("x", "y", "z"), accepted_ms=1), "ask for it again"),
    ],
)
def test_what_cannot_be_read_stays_what_it_is(world: World, value: bytes, reason: str) -> None:
    outcome = world.replay(StoredLetter("events", PARTITION, 0, None, "not readable", "", value))
    assert outcome.status is Status.REFUSED
    assert reason in outcome.reason
    assert (world.appended(), read_letters(world.log)) == (0, {})


@pytest.mark.parametrize("line", [b"nonsense", b"{}", b'{"log_index":0,"id":"x"}', b'{"log_index":0}'])
def test_what_is_no_event_stays_what_it_is(world: World, line: bytes) -> None:
    outcome = world.replay(StoredLetter("events", PARTITION, 0, 0, "refused", "", line))
    assert outcome.status is Status.REFUSED
    assert outcome.reason
    assert world.appended() == 0


def test_the_letters_of_a_log_are_replayed_once_and_an_unknown_one_is_named(world: World) -> None:
    one, bad = event(), event(occurred_at="yesterday")
    world.append(bad)
    world.log.append_record(0, b"nonsense")
    world.write()
    assert list(chosen(world.log, [])) == ["events/0/0", "events/1/0/0"]
    with pytest.raises(StartError, match="events/9/9"):
        chosen(world.log, ["events/0/0", "events/9/9"])
    letters = chosen(world.log, ["events/1/0/0", "events/1/0/0"])
    assert len(letters) == 1
    mended = StoredLetter("events", PARTITION, 0, 0, "refused", "", single(one).value)
    assert world.replay(mended, "events/1/0/0").status is Status.REPLAYED
    [(key, letter)] = chosen(world.log, ["events/1/0/0"]).items()
    assert world.replay(letter, key) == Outcome(key, Status.ALREADY_REPLAYED, PARTITION, offset=1)
    assert list(chosen(world.log, [])) == ["events/0/0"]


def test_events_of_a_contact_that_was_erased_since_do_not_come_back(world: World) -> None:
    erased, other = event(), event()
    world.append(event())
    erasure = Erasure(event().id, erased.project_id, erased.contact_id, erased.email)
    world.log.append_record(PARTITION, pack_erasure(erasure, accepted_ms=1))
    world.write()
    refused = world.replay(single(erased))
    assert (refused.status, refused.reason) == (Status.REFUSED, "the contact was erased since")
    assert world.replay(whole(erased, other)).status is Status.REPLAYED
    world.write()
    assert other.id in world.stored()
    assert erased.id not in world.stored()
    later = StoredLetter("events", PARTITION, 5, 0, "refused", "", single(erased).value)
    assert world.replay(later, "events/1/5/0").status is Status.REPLAYED


def test_an_event_keeps_the_time_of_its_receipt(world: World) -> None:
    one = event(occurred_at="2020-01-01T00:00:00.000Z")
    world.replay(single(one))
    world.write()
    [[received, derived, stored]] = world.tables.select(
        "SELECT toString(received_at), derived, toUnixTimestamp64Milli(stored_at) FROM events"
    )
    assert (received, bool(derived)) == ("2020-01-01 00:00:00.000", True)
    assert abs(int(str(stored)) - time.time() * 1000) < 60_000

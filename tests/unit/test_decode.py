"""From a record to lines for the table."""

import msgspec
import pytest
from msgspec.structs import replace

from consumers.decode import decode
from schemas.record import EVENTS_FORMAT, NEWEST_FORMAT, MalformedRecord, UnknownFormat, pack, unpositioned
from tests.support.fixtures import event
from tests.support.records import record, stored


def test_lines_get_their_place_and_are_otherwise_as_they_were() -> None:
    events = [event(data='{"a":"x\\ny","log_offset":9}'), event(name='{"b'), event()]
    decoded = decode(record(41, events, partition=5))
    lines = [msgspec.json.decode(line) for line in decoded.lines.split(b"\n")]
    assert decoded.rows == 3
    for index, (line, one) in enumerate(zip(lines, events, strict=True)):
        place = {"log_partition": 5, "log_offset": 41, "log_index": index}
        assert line == {**place, **msgspec.json.decode(msgspec.json.encode(one))}


def test_a_line_without_its_place_is_the_records_own() -> None:
    line = decode(record(41, 1, partition=5)).lines
    assert unpositioned(line).startswith(b'{"log_index":0,"project_id"')


def test_only_derived_ids_are_looked_at() -> None:
    events = [event(), event(derived=True), event(), event(derived=True)]
    found = decode(record(0, events)).derived
    assert {index: mark.id for index, mark in found.items()} == {1: events[1].id, 3: events[3].id}
    assert decode(record(0, 3)).derived == {}


def test_only_events_that_were_received_at_another_time_are_late() -> None:
    escaped = event(data='{"received_at":"2020-01-01T00:00:00.000Z"}')
    same = replace(event(), received_at="2026-11-23T07:00:00.900Z")
    late, derived = (replace(event(derived=one), received_at="2026-11-24T07:00:00.000Z") for one in (False, True))
    found = decode(record(0, [event(), escaped, same, late, derived]))
    assert {index: mark.id for index, mark in found.late.items()} == {3: late.id}
    assert list(found.derived) == [4]
    assert decode(record(0, [event(), escaped])).late == {}


@pytest.mark.parametrize("value", [None, b"", b"{}", b"not json\n{}", b"\xff\xfe\n", b'{"format":0}\n{}', b"\n" * 50])
def test_what_is_no_record_is_malformed(value: bytes | None) -> None:
    with pytest.raises(MalformedRecord):
        decode(stored(value, 0))


@pytest.mark.parametrize("events", [1, 40])  # plain, compressed
def test_a_record_that_was_changed_anywhere_is_malformed(events: int) -> None:
    good = record(0, events).value or b""
    for at in range(0, len(good), 7):
        changed = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        with pytest.raises((MalformedRecord, UnknownFormat)):
            decode(stored(changed, 0))
    with pytest.raises(MalformedRecord):
        decode(stored(good[:-1], 0))


def test_derived_events_that_are_no_json_are_malformed() -> None:
    """The checksum is right, so it was written like this: no reason for the writer to stop."""
    for line in (b"{nonsense", b'{"id":5,"derived":true}', b'{"id":"\xff","derived":true}'):
        with pytest.raises(MalformedRecord):
            decode(stored(pack([line], derived=True, accepted_ms=1), 0))


def test_a_newer_format_is_not_guessed_at() -> None:
    value = (record(0).value or b"").replace(b'"format":%d' % EVENTS_FORMAT, b'"format":%d' % (NEWEST_FORMAT + 1), 1)
    with pytest.raises(UnknownFormat, match="upgrade"):
        decode(stored(value, 0))

"""The formats of the log and of the wire: what goes in comes out, and what was changed is noticed."""

import json
from datetime import timedelta, timezone
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import Event, decode_event, encode_event
from schemas.ids import contact_id, derived_event_id, event_id
from schemas.position import MalformedPosition, from_token, to_token
from schemas.record import MalformedRecord, UnknownFormat, pack, positioned, sizes, unpack
from schemas.times import EPOCH, from_ms, parse_iso, to_ms, to_wire

uuids = st.uuids().map(str)
times = st.integers(0, 253_402_300_799_999)
events = st.builds(
    Event,
    uuids,
    uuids,
    st.text(min_size=1, max_size=255),
    times.map(to_wire),
    uuids,
    st.text(max_size=40),
    received_at=st.one_of(st.just(""), times.map(to_wire)),
    data=st.text(max_size=300),
    email_id=st.text(max_size=10),
    subscribed=st.sampled_from([None, True, False]),
    derived=st.booleans(),
)
batches = st.lists(events, min_size=1, max_size=12)


@given(batches, st.booleans(), times)
def test_a_record_comes_back_whatever_its_events_hold(batch: list[Event], derived: bool, accepted_ms: int) -> None:
    value = pack([encode_event(event) for event in batch], derived=derived, accepted_ms=accepted_ms)
    record = unpack(value)
    assert (record.events, record.derived, record.accepted_ms) == (len(batch), derived, accepted_ms)
    assert [decode_event(line) for line in record.lines.split(b"\n")] == batch
    assert sizes(value) == (len(batch), len(record.lines))


@given(batches, st.integers(0, 1023), st.integers(0, 1 << 40))
def test_every_line_gets_its_own_place(batch: list[Event], partition: int, offset: int) -> None:
    record = unpack(pack([encode_event(event) for event in batch], derived=False, accepted_ms=1))
    found = [json.loads(line) for line in positioned(record, partition, offset).split(b"\n")]
    assert [(line["log_partition"], line["log_offset"], line["log_index"]) for line in found] == [
        (partition, offset, index) for index in range(len(batch))
    ]
    assert [(line["name"], line.get("data", "")) for line in found] == [(event.name, event.data) for event in batch]


@given(batches, st.data())
def test_a_change_of_any_byte_is_noticed(batch: list[Event], data: st.DataObject) -> None:
    value = pack([encode_event(event) for event in batch], derived=False, accepted_ms=1_795_417_200_123)
    at = data.draw(st.one_of(st.integers(0, len(value) - 1), st.integers(0, min(130, len(value) - 1))))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != value[at]))
    with pytest.raises((MalformedRecord, UnknownFormat)):
        unpack(value[:at] + bytes([other]) + value[at + 1 :])


@given(batches, st.data())
def test_a_record_that_was_cut_or_lengthened_is_noticed(batch: list[Event], data: st.DataObject) -> None:
    value = pack([encode_event(event) for event in batch], derived=False, accepted_ms=1)
    with pytest.raises(MalformedRecord):
        unpack(value[: data.draw(st.integers(0, len(value) - 1))])
    with pytest.raises(MalformedRecord):
        unpack(value + data.draw(st.binary(min_size=1, max_size=20)))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_malformed(value: bytes) -> None:
    with pytest.raises((MalformedRecord, UnknownFormat)):
        unpack(value)
    sizes(value)


@given(st.dictionaries(st.integers(0, 99_999), st.integers(0, 9_999_999_999_999_999_999), max_size=20))
def test_a_position_comes_back(position: dict[int, int]) -> None:
    assert from_token(to_token(position)) == position


@given(
    st.one_of(
        st.text(max_size=40),
        st.text("ABCMQwuLjox01234-_", max_size=40),
        st.from_regex(r"MS4w[A-Za-z0-9_-]*", fullmatch=True),
    )
)
def test_any_other_text_is_no_position(token: str) -> None:
    try:
        position = from_token(token)
    except MalformedPosition:
        return
    assert to_token(position) == token


@given(st.uuids(), st.text(max_size=320))
def test_contact_ids_are_uuid5(project: UUID, email: str) -> None:
    assert contact_id(str(project), email) == str(uuid5(project, email))


@given(st.uuids(), st.text(max_size=255))
def test_derived_ids_are_uuid5(contact: UUID, key: str) -> None:
    assert derived_event_id(str(contact), "idempotency", key) == str(uuid5(contact, f"idempotency:{key}"))


@given(st.integers(0, (1 << 48) - 1))
def test_event_ids_are_uuid7(unix_ms: int) -> None:
    text = event_id(unix_ms)
    made = UUID(text)
    assert (str(made), made.version, made.variant, made.int >> 80) == (text, 7, "specified in RFC 4122", unix_ms)


@given(times)
def test_times_come_back(unix_ms: int) -> None:
    assert to_ms(parse_iso(to_wire(unix_ms))) == unix_ms
    assert to_ms(from_ms(unix_ms)) == unix_ms


offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
seconds = st.decimals(-62_135_000_000, 253_402_000_000, places=6).map(
    lambda number: timedelta(microseconds=int(number * 10**6))
)


@given(seconds, offsets)
def test_what_python_writes_as_iso_8601_is_read(since_1970: timedelta, zone: timezone) -> None:
    moment = (EPOCH + since_1970).astimezone(zone)
    assert parse_iso(moment.isoformat()) == moment
    assert parse_iso(moment.isoformat(" ", "milliseconds")) <= moment


@given(st.one_of(st.text(max_size=40), st.text("0123456789-:.,+TZtz ", max_size=32)))
def test_any_other_text_is_a_value_error(text: str) -> None:
    try:
        moment = parse_iso(text)
    except ValueError:
        return
    assert moment.tzinfo is not None
    to_ms(moment)

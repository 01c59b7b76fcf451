"""The record of the log: what the next version must still be able to read, and what no version may take."""

import json
from zlib import crc32

import msgspec
import pytest

from schemas.deletion import Deletion
from schemas.erasure import Erasure
from schemas.event import Event, decode_event, decode_mark, encode_event
from schemas.record import (
    CHANGES_FORMAT,
    DELETION_FORMAT,
    ERASURE_FORMAT,
    EVENTS_FORMAT,
    NEWEST_FORMAT,
    MalformedRecord,
    RemovalRecord,
    UnknownFormat,
    is_erasure,
    is_removal,
    pack,
    pack_deletion,
    pack_erasure,
    pack_replay,
    positioned,
    sizes,
    unpack,
    unpack_deletion,
    unpack_erasure,
)

EVENT = Event(
    "6f0c2f52-5b5a-4a52-9a3b-0d8a63c1f0aa", "0199a0c8-0000-7000-8000-000000000000", "sign\nup",
    "2026-11-23T07:00:00.000Z", "bed0b307-3e97-5a46-9efc-0e4ee5cfd2b3", "ada@example.com", data='{"a":\n"\\u0000"}',
)  # fmt: skip
LINE = encode_event(EVENT)


def test_lines_come_back_in_order_with_their_index() -> None:
    record = unpack(pack([LINE, LINE, LINE], derived=True, accepted_ms=5))
    lines = [json.loads(line) for line in record.lines.split(b"\n")]
    assert (record.events, record.derived, record.accepted_ms) == (3, True, 5)
    assert [line["log_index"] for line in lines] == [0, 1, 2]
    assert [decode_event(line) for line in record.lines.split(b"\n")] == [EVENT] * 3


def test_every_line_is_told_its_place_in_the_log() -> None:
    lines = positioned(unpack(pack([LINE, LINE], derived=False, accepted_ms=5)), 3, 77).split(b"\n")
    found = [json.loads(line) for line in lines]
    assert [(line["log_partition"], line["log_offset"], line["log_index"]) for line in found] == [
        (3, 77, 0),
        (3, 77, 1),
    ]
    assert [line["name"] for line in found] == ["sign\nup"] * 2


def test_members_that_have_their_default_are_left_out() -> None:
    assert json.loads(LINE).keys() == {"project_id", "id", "name", "occurred_at", "contact_id", "email", "data"}


def test_the_mark_of_a_line_tells_whether_its_id_is_derived() -> None:
    assert decode_mark(LINE).derived is False
    assert decode_mark(b'{"id":"x","derived":true,"other":1}').derived is True


def test_lines_that_are_replayed_are_as_they_were_but_for_their_mark() -> None:
    newer = LINE[:-1] + b',"unheard_of":[1.10]}'
    derived = LINE[:-1] + b',"derived":true}'
    lines = unpack(pack([LINE, newer, derived], derived=True, accepted_ms=5)).lines.split(b"\n")
    record = unpack(pack_replay([lines[2], lines[0], lines[1]], accepted_ms=9))
    assert (record.events, record.derived, record.accepted_ms, record.replayed) == (3, True, 9, True)
    assert record.lines.split(b"\n") == [
        b'{"log_index":0,' + derived[1:],
        b'{"log_index":1,' + derived[1:],
        b'{"log_index":2,' + newer[1:-1] + b',"derived":true}',
    ]


def test_a_record_is_not_replayed_unless_it_says_so() -> None:
    value = pack([LINE], derived=True, accepted_ms=5)
    assert b"replayed" not in value
    assert unpack(value).replayed is False


@pytest.mark.parametrize(
    "line", [b"", b"{}", b'{"log_index":0}', b'{"log_index":0,nonsense}', b'{"log_index":0,"id":5}']
)
def test_what_is_no_event_is_not_replayed(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        pack_replay([line], accepted_ms=5)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 100])
def test_few_lines_are_plain_and_many_are_compressed(count: int) -> None:
    value = pack([LINE] * count, derived=False, accepted_ms=5)
    assert (b"ada@example.com" in value) is (count <= 3)
    assert unpack(value).events == count
    assert sizes(value) == (count, len(unpack(value).lines))


def test_the_sizes_of_what_is_no_record_are_one_and_its_length() -> None:
    assert sizes(None) == (1, 0)
    assert sizes(b"garbage") == (1, 7)


def test_a_record_of_format_1_is_readable_for_ever() -> None:
    head = b'{"format":1,"events":1,"derived":true,"accepted_ms":7,"bytes":18,"zstd":false'
    lines = b'{"log_index":0,"x":1}'
    value = b'%b,"crc32":%d}\n%b' % (head, crc32(lines, crc32(head)), lines)
    assert unpack(value).lines == lines


def test_a_newer_format_stops_the_reader_whatever_else_has_changed() -> None:
    newer = b'"format":%d' % (NEWEST_FORMAT + 1)
    value = pack([LINE], derived=False, accepted_ms=5).replace(b'"format":1', newer).replace(b"signup", b"x")
    with pytest.raises(UnknownFormat, match="upgrade"):
        unpack(value)
    with pytest.raises(UnknownFormat, match="upgrade"):
        unpack_deletion(value)
    assert (EVENTS_FORMAT, DELETION_FORMAT, CHANGES_FORMAT, ERASURE_FORMAT) == (1, 2, 3, 4)


DELETION = Deletion("018f2b5e-0000-4000-8000-000000000001", "018f2b5e-0000-4000-8000-000000000002", "ü/\x00")


def test_a_deletion_comes_back_and_is_told_at_a_glance() -> None:
    value = pack_deletion(DELETION, accepted_ms=5)
    assert unpack_deletion(value) == RemovalRecord(DELETION, 5)
    assert is_removal(value)
    assert not is_erasure(value)
    assert not any(map(is_removal, [GOOD, b"", None, b"garbage", b"\xff\n", b"[]\n"]))
    with pytest.raises(MalformedRecord):
        unpack(value)


def test_an_erasure_comes_back_and_is_told_at_a_glance() -> None:
    erasure = Erasure(DELETION.id, DELETION.project_id, "018f2b5e-0000-4000-8000-000000000003", "ü@example.com")
    value = pack_erasure(erasure, accepted_ms=5)
    assert unpack_erasure(value) == RemovalRecord(erasure, 5)
    assert is_removal(value)
    assert is_erasure(value)
    with pytest.raises(MalformedRecord):
        unpack_deletion(value)
    with pytest.raises(MalformedRecord):
        unpack(value)


def test_a_record_says_whether_it_has_changes_of_contacts() -> None:
    with_changes = pack([LINE], derived=False, accepted_ms=5, has_changes=True)
    assert unpack(with_changes).has_changes
    assert not unpack(GOOD).has_changes


def test_what_is_no_deletion_is_refused() -> None:
    value = pack_deletion(DELETION, accepted_ms=5)
    for bad in (value[:-1], value + b" ", value.replace(b'accepted_ms":5', b'accepted_ms":6'), GOOD, b"", b"{}\n"):
        with pytest.raises(MalformedRecord):
            unpack_deletion(bad)


GOOD = pack([LINE], derived=False, accepted_ms=5)


@pytest.mark.parametrize(
    "value",
    [b"", b"\n", b"garbage", b"{}\n{}", b"\xff\xfe\n", GOOD[:-1], GOOD + b"\n", GOOD + GOOD, GOOD.replace(b"\n", b"", 1), GOOD[1:],
     GOOD.replace(b'"format":1', b'"format":0'), GOOD.replace(b'"events":1', b'"events":2'),
     GOOD.replace(b'"derived":false', b'"derived":true'), GOOD.replace(b'"accepted_ms":5', b'"accepted_ms":6')],
)  # fmt: skip
def test_what_is_no_record_or_was_changed_is_malformed(value: bytes) -> None:
    with pytest.raises(MalformedRecord):
        unpack(value)

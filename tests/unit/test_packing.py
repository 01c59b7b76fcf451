"""From requests to records: what shares a record, what does not, and how large one gets."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from penstock.errors import LogOverloaded, LogUnavailable
from penstock.eventlog import Entry
from penstock.eventlog.packing import Append, AppendQueue, PackedRecord, pack_appends
from schemas.record import unpack

_MAX_BYTES = 512 * 1024


def lines_of(record: PackedRecord) -> list[bytes]:
    """The lines of a record without their index."""
    return [b"{" + line.split(b",", 1)[1] for line in unpack(record.value).lines.split(b"\n")]


def entry(partition: int, number: int, size: int = 0, derived: bool = False) -> Entry:
    return Entry(partition, b'{"n":%d,"x":"%b"}' % (number, b"x" * size), derived)


def on_loop(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 20))


def append(entries: list[Entry], accepted_ms: int = 1) -> Append:
    return Append(entries, accepted_ms, asyncio.get_running_loop().create_future())


def test_a_request_of_1000_events_becomes_one_record_for_each_of_6_partitions() -> None:
    async def scenario() -> None:
        one = append([entry(number % 6, number) for number in range(1000)])
        records = pack_appends([one], _MAX_BYTES, 6)
        assert sorted(record.partition for record in records) == list(range(6))
        for record in records:
            assert lines_of(record) == [item.line for item in one.entries if item.partition == record.partition]
        decided = [done for number, record in enumerate(records) for done in record.stored(10 + number)]
        assert decided == [one]
        assert one.position == {record.partition: 10 + number for number, record in enumerate(records)}

    on_loop(scenario())


def test_requests_share_records_and_keep_their_order() -> None:
    async def scenario() -> None:
        appends = [append([entry(number % 2, number)], accepted_ms=number) for number in range(50)]
        records = pack_appends(appends, _MAX_BYTES, 6)
        assert len(records) == 2
        for record in records:
            assert unpack(record.value).accepted_ms == record.partition
            assert record.stored(0) == appends[record.partition :: 2]

    on_loop(scenario())


def test_a_record_is_not_much_larger_than_allowed_and_a_large_event_stands_alone() -> None:
    async def scenario() -> None:
        small = [entry(0, number, 1000) for number in range(2000)]
        large = entry(0, -1, 130 * 1024)
        records = pack_appends([append([*small[:5], large, *small[5:]])], 64 * 1024, 6)
        sizes = [len(unpack(record.value).lines) for record in records]
        assert sizes[1] > 130 * 1024
        assert all(size < 70 * 1024 for index, size in enumerate(sizes) if index != 1)
        assert lines_of(records[1]) == [large.line]
        assert [line for record in records for line in lines_of(record)] == [
            item.line for item in [*small[:5], large, *small[5:]]
        ]

    on_loop(scenario())


def test_a_request_over_several_records_of_a_partition_waits_for_all_and_names_the_last() -> None:
    async def scenario() -> None:
        one = append([entry(3, number, 1000) for number in range(10)])
        records = pack_appends([one], 3000, 6)
        assert len(records) > 3
        for offset, record in enumerate(records[:-1]):
            assert record.stored(offset) == []
        assert records[-1].stored(len(records) - 1) == [one]
        assert one.position == {3: len(records) - 1}

    on_loop(scenario())


def test_one_failed_record_fails_the_request_once_all_are_decided() -> None:
    async def scenario() -> None:
        one = append([entry(0, 0), entry(1, 1)])
        first, second = pack_appends([one], _MAX_BYTES, 6)
        assert first.failed(LogUnavailable("gone")) == []
        assert second.stored(1) == [one]
        assert isinstance(one.error, LogUnavailable)

    on_loop(scenario())


def test_a_record_says_whether_any_of_its_events_is_derived() -> None:
    async def scenario() -> None:
        records = pack_appends([append([entry(0, 0), entry(0, 1, derived=True), entry(1, 2)])], _MAX_BYTES, 6)
        assert [unpack(record.value).derived for record in records] == [True, False]

    on_loop(scenario())


def test_the_queue_is_bounded_in_bytes_until_it_is_answered() -> None:
    async def scenario() -> None:
        queue = AppendQueue(1000)
        future = queue.put([entry(0, 0, 900)], 1)
        with pytest.raises(LogOverloaded):
            queue.put([entry(0, 1, 200)], 1)
        taken = queue.take()
        assert taken is not None
        assert queue.pending_bytes > 900
        queue.answer(taken)
        assert await future == {}
        assert queue.pending_bytes == 0
        queue.put([entry(0, 1, 200)], 1)

    on_loop(scenario())


def test_the_queue_gives_out_what_was_put_before_it_says_that_it_is_closed() -> None:
    async def scenario() -> None:
        queue = AppendQueue(1000)
        queue.put([entry(0, 0)], 1)
        queue.close()
        with pytest.raises(LogUnavailable):
            queue.put([entry(0, 1)], 1)
        taken = queue.take()
        assert taken is not None
        assert len(taken) == 1
        assert queue.take() is None

    on_loop(scenario())


def test_taking_gives_up_after_its_time_and_takes_no_more_than_its_share() -> None:
    async def scenario() -> None:
        queue = AppendQueue(1 << 30)
        assert queue.take(0.01) == []
        for _ in range(30):
            queue.put([entry(0, number) for number in range(1000)], 1)
        taken = queue.take()
        assert taken is not None
        assert len(taken) == 20

    on_loop(scenario())

"""Batches: what is inserted together, and that a range from before a crash is formed again exactly."""

import pytest

from consumers.batch import BatchLimits, LogGap, PartitionBuffer
from schemas.deletion import Deletion
from schemas.erasure import Erasure
from schemas.record import pack_deletion, pack_erasure
from tests.support.records import record, stored

_WIDE = BatchLimits(rows=1000, bytes=1 << 20)


def filled(buffer: PartitionBuffer, offsets: range, events: int = 1) -> PartitionBuffer:
    for offset in offsets:
        buffer.add(record(offset, events))
    return buffer


def span(buffer: PartitionBuffer, limits: BatchLimits = _WIDE) -> tuple[int, int] | None:
    batch = buffer.cut(limits)
    return None if batch is None else (batch.first, batch.last)


def test_a_batch_takes_all_there_is_within_the_limits() -> None:
    buffer = filled(PartitionBuffer(0, 0, None), range(10), events=3)
    assert span(buffer) == (0, 9)
    assert span(buffer, BatchLimits(rows=10, bytes=1 << 20)) == (0, 2)
    assert span(buffer, BatchLimits(rows=1, bytes=1 << 20)) == (0, 0)
    assert span(buffer, BatchLimits(rows=1000, bytes=1)) == (0, 0)
    assert span(PartitionBuffer(0, 0, None)) is None


def test_a_batch_stays_until_it_is_dropped() -> None:
    buffer = filled(PartitionBuffer(0, 5, None), range(5, 10))
    two = BatchLimits(rows=2, bytes=1 << 20)
    for first in (5, 7, 9):
        batch = buffer.cut(two)
        assert batch is not None
        assert batch == buffer.cut(two)
        assert batch.first == first
        buffer.drop(batch)
    assert len(buffer) == 0
    assert buffer.cut(two) is None


def test_erasures_that_stand_together_are_a_batch_and_a_deletion_is_one_alone() -> None:
    erasure = pack_erasure(Erasure("", "", "", ""), accepted_ms=1)
    deletion = pack_deletion(Deletion("", "", ""), accepted_ms=1)
    values = [None, erasure, erasure, deletion, deletion, erasure, None, None, erasure]
    buffer = PartitionBuffer(0, 0, None)
    for offset, value in enumerate(values):
        buffer.add(stored(value, offset) if value else record(offset))
    spans = []
    while batch := buffer.cut(_WIDE):
        spans.append((batch.first, batch.last))
        buffer.drop(batch)
    assert spans == [(0, 0), (1, 2), (3, 3), (4, 4), (5, 5), (6, 7), (8, 8)]


@pytest.mark.parametrize("limits", [BatchLimits(1, 1), BatchLimits(2, 1 << 20), _WIDE])
def test_a_pending_range_is_formed_exactly_whatever_the_limits(limits: BatchLimits) -> None:
    buffer = filled(PartitionBuffer(0, 3, (3, 6)), range(3, 12), events=5)
    batch = buffer.cut(limits)
    assert batch is not None
    assert (batch.first, batch.last) == (3, 6)
    buffer.drop(batch)
    following = buffer.cut(limits)
    assert following is not None
    assert following.first == 7


def test_a_pending_range_waits_until_it_is_complete() -> None:
    buffer = PartitionBuffer(0, 3, (3, 6))
    for offset in range(3, 6):
        buffer.add(record(offset))
        assert buffer.cut(_WIDE) is None
    buffer.add(record(6))
    assert span(buffer) == (3, 6)


def test_records_that_come_again_are_passed_over() -> None:
    buffer = filled(PartitionBuffer(0, 5, None), range(8))
    filled(buffer, range(6, 9))
    assert span(buffer) == (5, 8)


def test_a_gap_is_named_and_takes_nothing() -> None:
    buffer = filled(PartitionBuffer(2, 0, None), range(2))
    with pytest.raises(LogGap) as gap:
        buffer.add(record(3))
    assert (gap.value.partition, gap.value.expected, gap.value.found) == (2, 2, 3)
    filled(buffer, range(2, 4))
    assert span(buffer) == (0, 3)

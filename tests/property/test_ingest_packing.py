"""Packing requests into records: every event is in exactly one record, and every request is answered exactly once."""

import asyncio
import random
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import LogUnavailable
from penstock.eventlog.contract import Entry
from penstock.eventlog.packing import Append, pack_appends
from schemas.record import unpack

requests = st.lists(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.booleans()), min_size=1, max_size=8), max_size=12
)


def append_of(number: int, items: list[tuple[int, int, bool]]) -> Append:
    entries = [
        Entry(partition, b'{"n":%d,"i":%d,"x":"%b"}' % (number, index, b"x" * size), derived)
        for index, (partition, size, derived) in enumerate(items)
    ]
    future: Any = asyncio.Future  # the records never touch it: it is the queue's
    return Append(entries, 1000 + number, future)


@given(requests, st.integers(30, 400))
def test_every_event_is_in_one_record_of_its_partition_in_order(
    work: list[list[tuple[int, int, bool]]], limit: int
) -> None:
    appends = [append_of(number, items) for number, items in enumerate(work)]
    found: dict[int, list[bytes]] = {}
    for record in pack_appends(appends, limit, 6):
        unpacked = unpack(record.value)
        lines = [b"{" + line.partition(b",")[2] for line in unpacked.lines.split(b"\n")]
        found.setdefault(record.partition, []).extend(lines)
        assert len(lines) == 1 or sum(map(len, lines)) <= limit
        assert unpacked.derived is any(
            entry.derived
            for append in appends
            for entry in append.entries
            if entry.line in lines and entry.partition == record.partition
        )
        assert unpacked.accepted_ms == min(append.accepted_ms for append in record.appends)
    expected: dict[int, list[bytes]] = {}
    for append in appends:
        for entry in append.entries:
            expected.setdefault(entry.partition, []).append(entry.line)
    assert found == expected


@given(requests, st.integers(30, 400), st.integers(0, 1 << 30))
def test_every_request_is_decided_once_by_its_last_record(
    work: list[list[tuple[int, int, bool]]], limit: int, seed: int
) -> None:
    appends = [append_of(number, items) for number, items in enumerate(work)]
    records = pack_appends(appends, limit, 6)
    order = list(enumerate(records))
    random.Random(seed).shuffle(order)
    failing = {number for number, _ in order if number % 3 == 0}
    decided: Counter[int] = Counter()
    for number, record in order:
        done = record.failed(LogUnavailable("x")) if number in failing else record.stored(number)
        decided.update(id(append) for append in done)
    assert decided == Counter(id(append) for append in appends)
    for append in appends:
        mine = [number for number, record in order if append in record.appends]
        assert (append.error is not None) is bool(failing & set(mine))
        stored: dict[int, int] = {}
        for number in sorted(set(mine) - failing):
            stored[records[number].partition] = number
        assert append.position == stored

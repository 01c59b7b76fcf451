"""Two of kafka-python's clients that start at the same time."""

import threading
from typing import Any

import pytest
from kafka.protocol.metadata import ApiVersionsResponse
from kafka.protocol.schemas.fields.struct import StructField

import penstock.eventlog.kafka  # noqa: F401 - what is tried: with it, decoders are compiled by one thread at a time

_VERSION = 4
_SECONDS = 1.0


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has decoded no such answer yet."""
    struct = ApiVersionsResponse._struct
    monkeypatch.setattr(struct, "_compiled_encoders", {})
    monkeypatch.setattr(struct, "_data_class", struct._data_class)


def test_an_answer_can_be_decoded_by_two_threads_at_once(monkeypatch: pytest.MonkeyPatch, uncompiled: None) -> None:
    answer = ApiVersionsResponse(version=_VERSION, error_code=0, api_keys=[], throttle_time_ms=0).encode()
    decoded: list[Any] = []
    started = [threading.Event(), threading.Event()]
    compiling = StructField.emit_decode_from

    def decode() -> None:
        decoded.append(ApiVersionsResponse.decode(answer, version=_VERSION))

    first, second = (threading.Thread(target=decode) for _ in range(2))

    def compile_at_the_worst_moment(self: StructField, *arguments: Any, **options: Any) -> None:
        if self is not ApiVersionsResponse._struct:
            compiling(self, *arguments, **options)
        elif threading.current_thread() is first:
            started[0].set()
            started[1].wait(_SECONDS)  # in vain, where the second may not begin
            compiling(self, *arguments, **options)
        else:
            started[1].set()
            first.join()
            compiling(self, *arguments, **options)

    monkeypatch.setattr(StructField, "emit_decode_from", compile_at_the_worst_moment)
    first.start()
    assert started[0].wait(10)
    second.start()
    for thread in (first, second):
        thread.join(10)

    assert [one.error_code for one in decoded] == [0, 0]
    assert ApiVersionsResponse.decode(answer, version=_VERSION).error_code == 0

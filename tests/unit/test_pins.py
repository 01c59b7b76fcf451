"""What was measured of drivers that are pinned: when one of these fails, say what changed before the pin is moved."""

import inspect
from importlib.metadata import version

from faust.streams import Stream
from faust.transport.consumer import Consumer


def test_versions_that_were_looked_at() -> None:
    """Behind them: consumers/faust_member.py, penstock/clickhouse/{gateway,chdb}.py, penstock/eventlog/kafka.

    faust-streaming: run tests/integration/test_consume.py. clickhouse-connect, chdb: tests/contract/test_tables.py, above
    all what a failed statement leaves behind. kafka-python: tests/contract/test_eventlog.py, above all the stuck broker.
    """
    assert version("faust-streaming").startswith("0.15.")
    assert version("clickhouse-connect").startswith("1.12.")
    assert version("chdb").startswith("4.4.")
    assert version("kafka-python").startswith("3.0.")


def test_noack_take_acknowledges_nothing() -> None:
    source = inspect.getsource(Stream.noack_take)
    assert "self.enable_acks = False" in source
    assert "#     await self.ack(event)" in source


def test_the_consumer_keeps_the_offsets_that_are_set_together_with_a_seek() -> None:
    """`consumers.faust_member` sets the committed offset: acknowledged ones are not committed over a gap behind it."""
    assert "_committed_offset" in inspect.getsource(Consumer._new_offset)
    assert "self._read_offset[ensure_TP(partition)]" in inspect.getsource(Consumer.seek)


def test_a_consumer_that_fails_only_says_so() -> None:
    """It crashes its service, which nobody watches but `consumers.writer_app`."""
    source = inspect.getsource(Consumer)
    assert "await self.crash" in source

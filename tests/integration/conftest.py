"""The fixtures of the consumers' suites.

They run on chDB: what they decide depends on no driver. That both drivers do the same is proved by the conformance suite
(`tests/contract/test_tables.py`), by the tests here that ask for `both_tables`, and end to end in the scaled-out form.
"""

from collections.abc import Iterator

import pytest

from penstock.clickhouse.gateway import ClientTables
from tests.support.fixtures import broker, clickhouse, drop, need_chdb
from tests.support.fixtures import tables as both_tables
from tests.support.tables import open_test_tables

__all__ = ["both_tables", "broker", "clickhouse"]


@pytest.fixture
def tables() -> Iterator[ClientTables]:
    """Tables in a database of the test's own that is not made yet."""
    need_chdb()
    found = open_test_tables(migrated=False)
    yield found
    drop(found)

"""Deletes rows, and sees that they are gone.

ClickHouse marks them in the background, once no merge holds their part; who lets it wait for that waits up to a second
longer than needed, as the end of a merge does not wake what waits for it. So the deletion is only ordered, and merges
are "started", which they are already, but which wakes it (of 60 deletions among small inserts: 150 to 190 ms each
before, 23 ms so). And of two deletions at the same time, ClickHouse 26.9 now and then loses one that it lists as done
(one of some thirty in a test that merges a lot), so what counts is that no row is left.
"""

# ruff: noqa: S608 - what callers choose are parameters; only names of ours stand in the text

import time
from collections.abc import Mapping

from penstock.clickhouse.contract import Parameter, Tables
from penstock.errors import TablesUnavailable

_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.1
_DEADLINE_SECONDS = 30.0
"""A merge of large parts may take longer; who waits then asks again."""

_UNDER_WAY = """
SELECT latest_fail_reason FROM system.mutations
WHERE database = currentDatabase() AND table = {table:String} AND NOT is_done
"""


def delete_rows(tables: Tables, conditions: Mapping[str, str], parameters: Mapping[str, Parameter]) -> None:
    """Deletes the rows that meet the condition of their table, as `Tables.delete` does of one table.

    All are ordered before the first is waited for, so several cost little more than one.
    """
    wanted = [(table, where) for table, where in conditions.items() if _has_any(tables, table, where, parameters)]
    for table, where in wanted:
        tables.execute(f"DELETE FROM {table} WHERE {where} SETTINGS lightweight_deletes_sync = 0", parameters)
    for table, where in wanted:
        _wait(tables, table, where, parameters)


def _has_any(tables: Tables, table: str, condition: str, parameters: Mapping[str, Parameter]) -> bool:
    return bool(tables.select(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1", parameters))


def _wait(tables: Tables, table: str, condition: str, parameters: Mapping[str, Parameter]) -> None:
    pause = _PAUSE_SECONDS
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while True:
        under_way = tables.select(_UNDER_WAY, {"table": table})  # before the rows: it may end in between
        if not _has_any(tables, table, condition, parameters):
            return
        if not under_way or time.monotonic() > deadline:
            reasons = "".join(sorted({f": {row[0]}" for row in under_way if row[0]}))
            raise TablesUnavailable(f"A deletion left rows in {table}{reasons}")
        tables.execute(f"SYSTEM START MERGES {table}")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

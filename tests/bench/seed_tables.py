"""Rows for read benchmarks, made by the engine itself: `python -m tests.bench.seed_tables DATA_DIR PROJECT_ID ROWS`.

Forty projects, of which the given one has 60 % of the rows; 20 names, 100,000 people, spread evenly over the last
twelve months. A tenth of the events has derived ids, and a twentieth happened up to 300 days before it was received. The
views fill the other tables, as they do for the writer.
"""

import sys
from pathlib import Path

from penstock.clickhouse.chdb import open_embedded
from penstock.clickhouse.migrate import migrate_tables
from penstock.settings import ClickHouse

_INSERT = """
INSERT INTO events
    (project_id, occurred_at, id, name, contact_id, email, data, derived, received_at, log_partition, log_offset, log_index)
WITH
    now64(3, 'UTC') - toIntervalMillisecond(toInt64((({rows} - number) / {rows}) * 365 * 86400000)) AS received,
    toString(dateTimeToUUIDv7(toDateTime(received))) AS time_ordered,
    number % 10 = 5 AS keyed
SELECT if(number % 10 < 6, toUUID('{project}'), reinterpretAsUUID(toUInt128(number % 40 + 100))),
       if(number % 20 = 3, received - toIntervalSecond(rand(1) % (300 * 86400)), received),
       toUUID(if(keyed, concat(substring(time_ordered, 1, 14), '5', substring(time_ordered, 16)), time_ordered)),
       concat('event ', toString(intHash32(number) % 20)),
       reinterpretAsUUID(sipHash128(intHash64(number) % 100000)),
       concat('user', toString(intHash64(number) % 100000), '@example.com'),
       concat('{{"plan":"pro","amount":', toString(rand() % 10000), ',"path":"/a/b/', toString(rand64()), '"}}'),
       keyed, received, 0, number, 0
FROM numbers({first}, {count})
SETTINGS max_insert_threads = 1
"""

_IDS = """
INSERT INTO {table} (id, log_partition, log_offset, project_id, occurred_at)
SELECT id, log_partition, log_offset, project_id, occurred_at FROM events WHERE {condition}
"""
_BATCHES = """
INSERT INTO batches SELECT 0, number * 1000 + 999, number * 1000, 1 FROM numbers(intDiv({rows}, 1000))
"""
_BLOCK = 1_000_000


def seed(directory: Path, project_id: str, rows: int) -> None:
    """Fills the tables in `directory`."""
    tables = open_embedded(directory, ClickHouse())
    migrate_tables(tables)
    for first in range(0, rows, _BLOCK):
        count = min(_BLOCK, rows - first)
        tables.execute(_INSERT.format(project=project_id, rows=rows, first=first, count=count))
        print(f"{first + count:,} of {rows:,} rows", flush=True)
    tables.execute(_IDS.format(table="derived_ids", condition="derived"))
    tables.execute(_IDS.format(table="late_ids", condition="NOT derived AND occurred_at != received_at"))
    tables.execute(_BATCHES.format(rows=rows))
    tables.close()


if __name__ == "__main__":
    seed(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

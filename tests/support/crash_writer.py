"""Appends events to the SQLite log in a directory for ever, and prints each once it is acknowledged.

`python -m tests.support.crash_writer DIRECTORY`; a test kills it at any moment. A line is `partition offset id`.
"""

import asyncio
import sys
from pathlib import Path

from penstock.eventlog.sqlite import SqliteLog
from tests.support.fixtures import entry, event

_APPENDING = 32


async def _append_for_ever(log: SqliteLog) -> None:
    while True:
        one = event()
        packed = entry(one, log.partitions)
        position = await log.append([packed], 0)
        sys.stdout.write(f"{packed.partition} {position[packed.partition]} {one.id}\n")
        sys.stdout.flush()


async def _main(directory: Path) -> None:
    log = SqliteLog(directory, partitions=6)
    await log.start()
    await asyncio.gather(*[_append_for_ever(log) for _ in range(_APPENDING)])


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))

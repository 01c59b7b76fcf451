"""Puts events into the log, past HTTP: `python -m tests.bench.fill_log PROJECT_ID COUNT`, settings as everywhere."""

import asyncio
import sys
from uuid import UUID

from ingest.accept import Accepted, Caller
from ingest.batch import BatchLimits, accept_body
from penstock.auth import Principal
from penstock.clock import SystemClock
from penstock.errors import LogOverloaded, LogUnavailable
from penstock.opening import make_log
from penstock.settings import load

_LIMITS = BatchLimits(events=1000, event_bytes=65_536)


def _body(start: int) -> bytes:
    events = [
        b'{"event":"order completed","email":"person%d@example.com","data":{"plan":"pro","amount":49.9,"number":%d}}'
        % (number % 5000, number)
        for number in range(start, start + 1000)
    ]
    return b"[" + b",".join(events) + b"]"


async def _fill(project_id: str, count: int) -> None:
    log = make_log(load())
    await log.start()
    while True:
        try:
            partitions = log.partitions
            break
        except LogUnavailable:
            await asyncio.sleep(0.1)
    principal = Principal(UUID(project_id), project_id, "public", enabled=True)
    futures = []
    for start in range(0, count, 1000):
        caller = Caller(principal, SystemClock().now_ms(), partitions)
        outcomes = accept_body(_body(start), b"application/json", caller, None, _LIMITS)
        entries = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
        while True:
            try:
                futures.append(log.append(entries, caller.now_ms))
                break
            except LogOverloaded:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0)
    await asyncio.gather(*futures)
    await log.stop()


if __name__ == "__main__":
    asyncio.run(_fill(sys.argv[1], int(sys.argv[2])))

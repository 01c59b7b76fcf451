"""The operations that commands can ask for, by name: stages' functions, with arguments and results as JSON."""

# ruff: noqa: PLC0415 - commands import this module, and must start quickly

from typing import Any

from penstock.clock import SystemClock
from penstock.errors import StartError
from penstock.operating import Arguments, Operations, Report, Workplace


def trace(workplace: Workplace, arguments: Arguments, report: Report) -> dict[str, Any]:
    """Where the event `id` is, whichever project it belongs to.

    Raises:
        StartError: nothing is known of it.
    """
    from penstock.clickhouse.progress import read_progress
    from query_api.app import stale_after_ms
    from query_api.freshness import age_of
    from query_api.tracing import trace_event, untraceable

    report("Looking for the event")
    now_ms = SystemClock().now_ms()
    tables = workplace.generations.live().tables
    age_ms = age_of(read_progress(tables), now_ms, stale_after_ms(workplace.settings))
    found = trace_event(lambda statement: tables.select(statement.sql, statement.values), arguments["id"])
    if found is None:
        raise StartError(untraceable(arguments["id"], age_ms))
    return found


def replay_dead_letters(workplace: Workplace, arguments: Arguments, report: Report) -> dict[str, Any]:
    """Sends the dead letters `ids` through once more; none named: all that were not yet.

    Raises:
        StartError: one that is named is not there; nothing was done.
        Unavailable: log or tables do not answer; what was done before counts, and to ask again is harmless.
    """
    from consumers.replaying import chosen, replay

    letters = chosen(workplace.log, arguments["ids"])
    tables, outcomes = workplace.generations.live().tables, []
    for number, (key, letter) in enumerate(letters.items(), 1):
        report(f"Dead letter {number} of {len(letters)}")
        outcome = replay(workplace.log, tables, key, letter, SystemClock().now_ms)
        place = {} if outcome.offset is None else {"partition": outcome.partition, "offset": outcome.offset}
        why = {"reason": outcome.reason} if outcome.reason else {}
        outcomes.append({"id": key, "status": str(outcome.status), **why, **place})
    return {"letters": outcomes}


OPERATIONS: Operations = {"trace": trace, "replay dead letters": replay_dead_letters}

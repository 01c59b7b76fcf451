"""The operations that commands can ask for, by name: stages' functions, with arguments and results as JSON."""

from contextlib import closing
from typing import Any

import msgspec

from consumers.rebuild import Rebuild
from consumers.replaying import chosen, replay
from consumers.verification import verify
from penstock.clickhouse.generations import LiveTables
from penstock.clickhouse.progress import read_progress
from penstock.clock import SystemClock
from penstock.errors import StartError
from penstock.eventlog import EventLog
from penstock.eventlog.reading import Reading
from penstock.operating import Arguments, Operations, Report, Workplace
from query_api.app import make_freshness
from query_api.tracing import trace_event, untraceable
from schemas.topics import Topic


def _rebuild(workplace: Workplace, arguments: Arguments, report: Report) -> dict[str, Any]:
    rebuild = Rebuild(
        workplace.settings.writer,
        log=workplace.log,
        generations=workplace.generations,
        clock=SystemClock(),
        report=report,
    )
    return dict(msgspec.to_builtins(rebuild.run(arguments.get("only"))))


def _verify(workplace: Workplace, _: Arguments, report: Report) -> dict[str, Any]:
    found = verify(workplace.log, workplace.generations.live(), report)
    return dict(msgspec.to_builtins(found))


def _trace(workplace: Workplace, arguments: Arguments, report: Report) -> dict[str, Any]:
    report("looking for the event")
    live = LiveTables(workplace.generations)
    progress = read_progress(live.refresh())
    found = trace_event(lambda statement: live.select(statement.sql, statement.values), arguments["id"])
    if found is None:
        ends = _ends(workplace.log)
        freshness = make_freshness(workplace.settings, live, lambda: ends)
        freshness.hear(progress)
        raise StartError(untraceable(arguments["id"], freshness.age_ms()))
    return found


def _ends(log: EventLog) -> dict[int, int]:
    with closing(Reading(log, Topic.EVENTS, range(log.partitions))) as reading:
        return reading.ends()


def _replay_dead_letters(workplace: Workplace, arguments: Arguments, report: Report) -> dict[str, Any]:
    letters = chosen(workplace.log, arguments["ids"])
    tables, outcomes = workplace.generations.live().tables, []
    for number, (key, letter) in enumerate(letters.items(), 1):
        report(f"dead letter {number:,} of {len(letters):,}")
        outcome = replay(workplace.log, tables, key, letter, SystemClock().now_ms)
        outcomes.append(dict(msgspec.to_builtins(outcome)))
    return {"letters": outcomes}


OPERATIONS: Operations = {
    "rebuild": _rebuild,
    "replay dead letters": _replay_dead_letters,
    "trace": _trace,
    "verify": _verify,
}

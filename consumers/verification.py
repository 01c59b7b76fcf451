"""Proves that log, tables and counters agree, or finds every event for which they do not.

It works while the writer writes. Each partition is compared up to what was stored when it began; what comes later is
left alone. A deletion that comes later may have reached some tables and others not, so its name is forgiven what it
lacks, and a contact that is erased later.

The log is read twice: first for what it removes, which must be gone, then for its events. These are added up by
ranges of offsets, and so are the rows of each table, in one statement; only ranges that differ are read again and
compared event by event (`consumers.sums` says why that is enough). Counters are compared with the rows that they count
(`consumers.counted`), and what is wrong with the rows is taken into account. Contacts are folded anew from the log, and
compared one by one (`consumers.contact_comparison`).
"""

import time
from collections.abc import Callable

from consumers.contact_comparison import ContactComparison
from consumers.count_comparison import COUNTER_TABLES, CountComparison
from consumers.counted import Counters
from consumers.findings import Findings, PartitionFound, Verification, totals
from consumers.log_side import LogSide, LogTotals
from consumers.placed import PLACED_TABLES
from consumers.row_comparison import RowComparison
from penstock.clickhouse.generations import Generation
from penstock.clickhouse.progress import NONE, read_progress
from penstock.eventlog import EventLog
from schemas.tables import CONTACTS, DERIVED_IDS, EVENTS


def verify(
    log: EventLog, generation: Generation, report: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> Verification:
    """Compares the log with the tables of a generation. Blocks: reading a long log takes long.

    Args:
        report: is told about once a second how far it is; what it raises ends the work.
        sleep: waits for a batch that may be under way.

    Raises:
        StartError: the log is shorter than the tables, or has lost records.
        LogUnavailable, TablesUnavailable: try again.
    """
    started = time.monotonic()
    tables, findings = generation.tables, Findings()
    progress = read_progress(tables)
    through = {part: progress[part].stored_through if part in progress else NONE for part in range(log.partitions)}
    with LogSide(log, tables, through, report) as side:
        side.expect_whole()
        side.follow_removals()
        rows = RowComparison(tables, side, side.fold(), through, findings, report)
        for table in PLACED_TABLES:
            rows.compare(table)
        ContactComparison(tables, side, through, findings, report).compare()
        CountComparison(Counters(tables, report, sleep), side, through, findings).compare(rows.corrections)
        ends = side.ends()
    partitions = [_partition(number, rows, ends.get(number, 0)) for number in findings.partitions(EVENTS)]
    return _result(generation.number, findings, partitions, time.monotonic() - started)


def _partition(number: int, rows: RowComparison, end: int) -> PartitionFound:
    tally, log = rows.findings.tally(EVENTS, number), rows.folded.totals.get(number, LogTotals())
    return PartitionFound(
        partition=number,
        through=rows.through.get(number, NONE),
        waiting_records=max(0, end - 1 - rows.through.get(number, NONE)),
        in_log=log.in_log,
        dead_letters=log.dead,
        repeated=log.repeated,
        deleted=log.deleted + rows.gone[number],
        emitted=log.emitted,
        stored=tally.stored,
        missing=tally.missing + log.unreadable,
        double=tally.double,
        orphaned=tally.orphaned,
    )


def _result(generation: int, findings: Findings, partitions: list[PartitionFound], seconds: float) -> Verification:
    placed = [table.name for table in PLACED_TABLES if table.name not in (EVENTS, DERIVED_IDS)]
    projections = [findings.projection(name) for name in (*placed, CONTACTS, *COUNTER_TABLES.values())]
    derived_ids = findings.projection(DERIVED_IDS)
    faults = totals([*partitions, *projections, derived_ids])
    return Verification(
        ok=not any(faults.values()),
        generation=generation,
        partitions=partitions,
        projections=projections,
        derived_ids=derived_ids,
        waiting_records=sum(part.waiting_records for part in partitions),
        examples=findings.examples,
        seconds=round(seconds, 3),
        **faults,
    )

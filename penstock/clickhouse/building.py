"""Tables of the next generation: made beside the live ones, filled by a rebuild, put in their place, or dropped."""

# ruff: noqa: S608 - only names of ours and databases that the settings name stand in the text

from dataclasses import dataclass

import msgspec

from penstock.clickhouse.generations import FIRST, Generation, Generations
from penstock.clickhouse.migrate import migrate_tables, repeat_migrations
from schemas.tables import (
    BATCHES,
    CONTACT_CHANGES,
    CONTACT_FACTS,
    CONTACTS,
    DEAD_LETTERS,
    DELETIONS,
    DERIVED_IDS,
    ERASURES,
    EVENT_COUNTS,
    EVENTS,
    EVENTS_BY_CONTACT,
    EVENTS_BY_NAME,
    LATE_IDS,
    MEMBERSHIPS,
    SUBSCRIPTIONS,
    WRITER_CLAIMS,
    WRITER_PROGRESS,
)

PROJECTIONS = (
    EVENTS,
    EVENTS_BY_CONTACT,
    EVENTS_BY_NAME,
    EVENT_COUNTS,
    DERIVED_IDS,
    LATE_IDS,
    CONTACTS,
    SUBSCRIPTIONS,
    MEMBERSHIPS,
    CONTACT_CHANGES,
)
"""What can be rebuilt for itself."""

_VIEWS = {
    f"{table}_view": table
    for table in (
        EVENTS_BY_CONTACT,
        EVENTS_BY_NAME,
        EVENT_COUNTS,
        CONTACTS,
        SUBSCRIPTIONS,
        MEMBERSHIPS,
        CONTACT_CHANGES,
        CONTACT_FACTS,
    )
}
_ALWAYS_FILLED = (EVENTS_BY_CONTACT, EVENTS_BY_NAME, CONTACTS, SUBSCRIPTIONS, MEMBERSHIPS, CONTACT_FACTS)
"""What the writer itself looks at: removals count in them, and contacts decide which events are emitted."""

_WITH_EVENTS = (BATCHES, DEAD_LETTERS)
"""They say how the rows of `events` came about, so they are always those of the same generation."""

_BATCHES_VIEW = "batches_view"
_REMOVALS = (DELETIONS, ERASURES)
_ALL = (*PROJECTIONS, CONTACT_FACTS, *_WITH_EVENTS, *_REMOVALS, WRITER_CLAIMS, WRITER_PROGRESS)

_PLAN = "rebuild_plan"


@dataclass(frozen=True, slots=True)
class Built:
    """Tables that a rebuild fills.

    Attributes:
        only: the one projection that is taken from them; None for all.
        is_resumed: whether an earlier rebuild, which did not come to its end, has filled a part.
    """

    generation: Generation
    only: str | None
    is_resumed: bool


def prepare(generations: Generations, only: str | None) -> Built:
    """Tables for a rebuild: those that an earlier one left unfinished, where it was to do the same, else empty ones."""
    live = generations.live().number
    if live > FIRST:
        drop(generations, live - 1)  # what a rebuild that was interrupted at its very end left behind
    target = generations.get(live + 1)
    if only is None and _is_whole(generations, target):
        return Built(target, None, True)
    drop(generations, target.number)
    migrate_tables(target.tables)
    for view, table in _VIEWS.items():
        if only not in (None, table) and table not in _ALWAYS_FILLED:
            target.tables.execute(f"DROP VIEW {view} SYNC")
    target.tables.execute(f"CREATE TABLE {_PLAN} (only String) ENGINE = MergeTree ORDER BY only")
    target.tables.insert(_PLAN, msgspec.json.encode({"only": only or ""}))
    return Built(target, only, False)


def _is_whole(generations: Generations, target: Generation) -> bool:
    """Whether the target is there and was begun by a rebuild of everything."""
    first = generations.get(FIRST).tables
    sql = "SELECT count() FROM system.tables WHERE database = {database:String} AND name = {plan:String}"
    there = first.select(sql, {"database": generations.database(target.number), "plan": _PLAN})
    return bool(int(str(there[0][0]))) and target.tables.select(f"SELECT only FROM {_PLAN}") == [[""]]


def complete(generations: Generations, built: Built) -> None:
    """Takes the tables that were not rebuilt from the live ones. Nobody may be writing these."""
    if built.only is not None:
        live, target = generations.live(), built.generation.tables
        rebuilt = (EVENTS, *_WITH_EVENTS) if built.only == EVENTS else (built.only,)
        for table in (*PROJECTIONS, *_WITH_EVENTS, *_REMOVALS):
            if table not in rebuilt:
                target.execute(f"TRUNCATE TABLE {table}")
                target.execute(
                    f"ALTER TABLE {table} ATTACH PARTITION tuple() FROM {generations.database(live.number)}.{table}"
                )
        repeat_migrations(target)  # the views
    built.generation.tables.execute(f"DROP TABLE {_PLAN} SYNC")


def drop(generations: Generations, number: int) -> None:
    """Removes a generation that is not live. The first one shares its database with what all generations share."""
    if number != FIRST:
        generations.get(FIRST).tables.execute(f"DROP DATABASE IF EXISTS {generations.database(number)} SYNC")
        return
    for table in (*_VIEWS, _BATCHES_VIEW, *_ALL):
        generations.get(FIRST).tables.execute(f"DROP TABLE IF EXISTS {table} SYNC")

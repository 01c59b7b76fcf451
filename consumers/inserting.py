"""Puts one batch into the tables: its events, what they emit, and their ids; or removes what it says.

What goes in is decided by the batch and what stands before it in the log, so the same call again, after a crash and by
whomever, inserts the same.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace

from consumers.contacts import contact_lines
from consumers.copies import second_copies
from consumers.deadletter import DeadLetter
from consumers.decode import lines_of
from consumers.deletions import delete_before
from consumers.erasures import erase_before
from consumers.mail_numbers import numbered_lines
from consumers.prepared import Prepared, Written, id_line, id_lines, lines_without
from consumers.subscriptions import Place
from penstock.clickhouse.generations import Generation
from penstock.errors import TablesRefused
from schemas.deletion import Deletion
from schemas.erasure import Erasure
from schemas.record import unpositioned
from schemas.tables import CONTACT_FACTS, DERIVED_IDS, EVENTS, EVENTS_PROBE, LATE_IDS

_removing = threading.Lock()
"""See `penstock.clickhouse.removal`."""


class Insertion:
    """The insertion of announced batches into one generation of tables. Partitions may go side by side."""

    def __init__(self, generation: Generation) -> None:
        self._tables = generation.tables
        self._generation = generation.number

    def insert(self, ready: Prepared) -> Written | Prepared:
        """Inserts an announced batch, or removes what it says; the same call again changes nothing.

        Nothing of a batch is inserted before what is dead in it is set aside: once its token is used, the tables take
        no more of it, also not what another version could read.

        Returns:
            The batch itself, with all that is dead in it, where that must be set aside first.

        Raises:
            TablesUnavailable: not known whether it was inserted; insert again.
            TablesRefused: the tables refuse it although every line for itself is good.
        """
        if ready.dead and not ready.is_set_aside:
            return self._with_refused(ready)
        if ready.removal:
            with _removing:
                removed = self._remove(ready, ready.removal)
            return Written(ready.batch, 0, 0, ready.dead, [], removed)
        return self._insert_events(ready)

    def _remove(self, ready: Prepared, removal: Deletion | Sequence[Erasure]) -> int:
        partition, offset = ready.batch.partition, ready.batch.first
        if isinstance(removal, Deletion):
            return delete_before(self._tables, removal, partition, offset)
        return erase_before(self._tables, removal, partition, offset, ready.token(self._generation))

    def _with_refused(self, ready: Prepared) -> Prepared:
        refused = self._refused_events(ready.batch.partition, list(lines_of(ready.records)))
        return replace(ready, dead=[*ready.dead, *refused.values()], refused=refused)

    def _insert_events(self, ready: Prepared) -> Written | Prepared:
        partition, first = ready.batch.partition, ready.batch.first
        repeated = second_copies(self._tables, ready.records, partition, first, ready.refused)
        contacts = contact_lines(self._tables, ready.records, partition, first, repeated | ready.refused.keys())
        dropped = repeated | ready.refused.keys() | contacts.changes
        numbered = numbered_lines(self._tables, ready.records, partition, first, dropped)
        lines = lines_without(ready, dropped | numbered.keys())
        try:
            self._insert_lines(EVENTS, [*lines, *numbered.values(), *contacts.events], ready)
        except TablesRefused:
            if ready.dead or not (found := self._with_refused(ready)).dead:
                raise
            return found
        emitted = [id_line(mark, partition, offset) for offset, mark in contacts.marks]
        derived = id_lines(ready, dropped, lambda record: record.derived)
        self._insert_lines(CONTACT_FACTS, contacts.facts, ready)
        self._insert_lines(DERIVED_IDS, [*derived, *emitted], ready)
        self._insert_lines(LATE_IDS, id_lines(ready, dropped, lambda record: record.late), ready)
        stored = ready.good - len(repeated) - len(contacts.changes) + len(emitted)
        accepted_ms = [decoded.accepted_ms for decoded in ready.records.values()]
        return Written(ready.batch, stored, len(repeated), ready.dead, accepted_ms)

    def _insert_lines(self, table: str, lines: Sequence[bytes], ready: Prepared) -> None:
        if lines:
            self._tables.insert(table, b"\n".join(lines), token=ready.token(self._generation))

    def _refused_events(self, partition: int, events: list[tuple[Place, bytes]]) -> dict[Place, DeadLetter]:
        """Those that the tables cannot read, found by halving: most of a batch is good."""
        number = self._refusal([line for _, line in events])
        if number is None:
            return {}
        if len(events) == 1:
            (offset, index), line = events[0]
            reason = f"the tables refuse the event (ClickHouse code {number})"
            return {(offset, index): DeadLetter(partition, offset, index, reason, unpositioned(line))}
        half = len(events) // 2
        return self._refused_events(partition, events[:half]) | self._refused_events(partition, events[half:])

    def _refusal(self, lines: list[bytes]) -> int | None:
        """ClickHouse's number where it cannot read the lines; stores nothing."""
        try:
            self._tables.insert(EVENTS_PROBE, b"\n".join(lines))
        except TablesRefused as error:
            return error.number
        return None

"""The list of events against the ledger: every acknowledged event once, nothing else but maybes.

Events that penstock emitted have no marker; here they are only told apart, and `contacts` compares them.
"""

from array import array
from collections.abc import Iterable
from datetime import datetime
from random import Random
from typing import Any

from tests.chaos.complaints import Complaints
from tests.chaos.deletions import Deletions, Expected
from tests.chaos.ledger import Ledger
from tests.chaos.life import EMITTED
from tests.chaos.listed import Listed, is_emitted
from tests.chaos.reads import Reads

_SAMPLED_CONTACTS = 25
_SAMPLED_NAMES = 2


class Comparison:
    """One project's."""

    def __init__(self, project: int, ledger: Ledger, deletions: Deletions, complaints: Complaints) -> None:
        self._project = project
        self._ledger = ledger
        self._deletions = deletions
        self._complaints = complaints

    def list_all(self, rows: Iterable[dict[str, Any]]) -> Listed:
        """Looks at the whole list, row by row."""
        listed, seen = Listed(), bytearray(len(self._ledger))
        before = ("9", "")
        for row in rows:
            place = (row["createdAt"], row["id"])
            if place >= before:
                self._complain("order of the list", f"{place} behind {before}")
            before = place
            self._take(row, seen, listed)
        self._expect(seen)
        return listed

    def _take(self, row: dict[str, Any], seen: bytearray, listed: Listed) -> None:
        unix_ms = milliseconds(row["createdAt"])
        if is_emitted(row):
            listed.add(row, unix_ms)
            return
        marker = row["data"].get("marker")
        if not self._ledger.has(marker, self._project, row["name"]):
            self._complain("unknown event", f"{row}")
            return
        listed.add(row, unix_ms)
        seen[marker] = min(seen[marker] + 1, 255)
        if self._ledger.id_of(marker) not in (row["id"], None):
            self._complain("other id", f"{row['id']} listed, {self._ledger.id_of(marker)} acknowledged")
        self._expect_as_sent(row, unix_ms)

    def _expect_as_sent(self, row: dict[str, Any], unix_ms: int) -> None:
        data = row["data"]
        if "late" in data:
            self._complain("a retry replaced the first", row["id"])
        elif data["who"] != row["contact"]["email"] or data.get("at", unix_ms) != unix_ms:
            self._complain("not as sent", f"{row}")

    def _expect(self, seen: bytearray) -> None:
        """Missing, double and undeleted events."""
        for marker in self._ledger.of_project(self._project):
            times = seen[marker]
            if times > 1:
                self._complain("double", f"{self._named(marker)}, {times} times")
            expected = self._deletions.expected(marker)
            if expected is Expected.THERE and not times:
                self._complain("missing", self._named(marker))
            elif expected is Expected.GONE and times:
                self._complain("deleted and still there", self._named(marker))

    def _named(self, marker: int) -> str:
        sent, acknowledged = self._ledger.times(marker)
        name = self._ledger.name_of(marker)[1][:30]
        return f"{self._ledger.id_of(marker)} {name!r} marker {marker} sent {sent:.3f} acknowledged {acknowledged:.3f}"

    def sample(self, reads: Reads, listed: Listed, random: Random) -> None:
        """The lists by contact and by name against the list of all."""
        for contact in self._contacts(listed, random):
            found = [listed.number_of(row) for row in reads.events(f"/events/contact/{contact}")]
            self._expect_same(f"contact {contact}", found, listed.by_contact[contact])
        names = sorted(listed.by_name.keys() - set(EMITTED))
        sampled = random.sample(names, min(_SAMPLED_NAMES, len(names)))
        for name in [*sampled, *(name for name in EMITTED if name in listed.by_name)]:
            found = [listed.number_of(row) for row in reads.events(eventName=name)]
            self._expect_same(f"name {name!r}", found, listed.by_name[name])

    def _contacts(self, listed: Listed, random: Random) -> list[str]:
        """Some of all contacts, and some of those that an event was emitted of."""
        contacts = sorted(listed.owners)
        changed = [contact for contact in contacts if listed.owners[contact].emitted]
        return [
            contact
            for some in (contacts, changed)
            for contact in random.sample(some, min(_SAMPLED_CONTACTS, len(some)))
        ]

    def _expect_same(self, what: str, found: list[int], expected: "array[int]") -> None:
        if found != list(expected):
            missing, more = set(expected) - set(found), set(found) - set(expected)
            text = f"{what}: {len(found)} listed, {len(expected)} in the list of all; markers missing {sorted(missing)[:20]}"
            self._complain("lists differ", f"{text}, more {sorted(more)[:20]}")

    def _complain(self, kind: str, text: str) -> None:
        self._complaints.add(kind, f"project {self._project}: {text}")


def milliseconds(wire: str) -> int:
    """Of an answer's time."""
    return round(datetime.fromisoformat(wire).timestamp() * 1000)

"""The contacts at the end: each that was heard of once, as what was said of it, with the events that this emitted."""

from collections.abc import Iterable
from random import Random
from typing import Any

from tests.chaos.complaints import Complaints
from tests.chaos.deletions import Deletions, Expected
from tests.chaos.drafts import wire_time
from tests.chaos.ledger import Ledger
from tests.chaos.life import Emitted
from tests.chaos.listed import Listed, Owner
from tests.chaos.people import People, Person
from tests.chaos.reads import Reads

_SAMPLED = 25

Row = dict[str, Any]


class Contacts:
    """One project's, against the list of its events, which has been compared with the ledger."""

    def __init__(
        self, project: int, people: People, ledger: Ledger, deletions: Deletions, complaints: Complaints
    ) -> None:
        self._project = project
        self._people = people
        self._ledger = ledger
        self._deletions = deletions
        self._complaints = complaints

    def check(self, reads: Reads, listed: Listed, random: Random) -> None:
        """All of it."""
        found = self.list_all(reads.contacts(), listed)
        self.sample(reads, found, random)

    def list_all(self, rows: Iterable[Row], listed: Listed) -> dict[str, Row]:
        """Looks at the whole list, and at the events that were emitted; returns the list by address."""
        found: dict[str, Row] = {}
        for row in rows:
            if found and row["email"] <= next(reversed(found)):
                self._complain("order of the contacts", f"{row['email']} behind {next(reversed(found))}")
            found[row["email"]] = row
        for person in self._people.told(self._project):
            self._expect_told(person, found.get(person.email))
        for email, row in found.items():
            if self._people.find(self._project, email) is None:
                self._expect_other(row, listed.owners.get(row["id"]))
        for email in self._people.others(self._project):
            if email not in found:
                self._complain("missing contact", email)
        self._expect_emitted(listed)
        return found

    def _expect_told(self, person: Person, row: Row | None) -> None:
        if not person.is_undecided and row != person.contact():
            self._complain("contact differs", f"{person.email}: {row} where {person.contact()} was said")

    def _expect_other(self, row: Row, owner: Owner | None) -> None:
        """Of others nothing is said but by their events, of which those that were deleted by name still count."""
        if not self._people.may_be_there(self._project, row["email"]):
            self._complain("unknown contact", f"{row}")
        elif not (row["subscribed"] and row["data"]["who"] == row["email"] and self._is_last(row, owner)):
            self._complain("contact differs", f"{row} where the list has {owner}")

    def _is_last(self, row: Row, owner: Owner | None) -> bool:
        """Whether the data is that of the latest event, and no event is outside the contact's time."""
        marker = row["data"]["marker"]
        if owner is None:
            return self._may_be_deleted(marker)
        encloses = row["createdAt"] <= wire_time(owner.first_ms) and wire_time(owner.last_ms) <= row["updatedAt"]
        is_its_own = owner.email == row["email"]
        return encloses and is_its_own and (marker in owner.latest or self._may_be_deleted(marker))

    def _may_be_deleted(self, marker: int) -> bool:
        return 0 <= marker < len(self._ledger) and self._deletions.expected(marker) is not Expected.THERE

    # --- what was emitted

    def _expect_emitted(self, listed: Listed) -> None:
        of_told = {person.email: person for person in self._people.told(self._project)}
        found = {owner.email: owner.emitted for owner in listed.owners.values()}
        for email in of_told.keys() | {email for email, rows in found.items() if rows}:
            person = of_told.get(email)
            if person is None or not person.is_undecided:
                self._compare_emitted(email, found.get(email, []), person.life.emitted if person else [])

    def _compare_emitted(self, email: str, rows: list[Row], expected: list[Emitted]) -> None:
        ordered = sorted(expected, key=lambda one: one.at_ms, reverse=True)
        same = len(rows) == len(ordered) and all(map(_is, rows, ordered))
        if not same:
            self._complain("emitted events differ", f"{email}: {rows} where {ordered} must be there")

    # --- the other reads

    def sample(self, reads: Reads, found: dict[str, Row], random: Random) -> None:
        """Single contacts and filtered lists against the list of all."""
        told = {person.id: found.get(person.email) for person in self._people.told(self._project) if person.id}
        rows = {row["id"]: row for row in random.sample(list(found.values()), min(_SAMPLED, len(found)))}
        for contact, row in (rows | told).items():
            self._expect_same(f"contact {contact}", reads.find(f"/contacts/{contact}"), row)
        left = [row for row in found.values() if not row["subscribed"]]
        self._expect_same("contacts that are not subscribed", list(reads.contacts(subscribed="false")), left)
        told_of = [row for email, row in found.items() if email.startswith("told")]
        self._expect_same("contacts by address", list(reads.contacts(search="TOLD")), told_of)

    def _expect_same(self, what: str, shown: Any, listed: Any) -> None:
        if shown != listed:
            self._complain("reads of contacts differ", f"{what}: {shown} where the list has {listed}")

    def _complain(self, kind: str, text: str) -> None:
        self._complaints.add(kind, f"project {self._project}: {text}")


def _is(row: Row, emitted: Emitted) -> bool:
    shown = row["createdAt"], row["name"], row["data"]
    expected = wire_time(emitted.at_ms), emitted.name, emitted.data
    return shown == expected and emitted.id in (None, row["id"])

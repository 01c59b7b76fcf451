"""Compares the contacts of the tables with those that the log makes, one by one, with everything that is said of each.

Data is compared by key: which event set it last, and to what. While the writer writes, a later event may have set it
since: then the log has not said yet what it should be.
"""

# ruff: noqa: S608 - what callers choose are parameters; only names of ours stand in the text

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from consumers.contact_rows import merged_rows
from consumers.findings import Example, Findings
from consumers.log_side import LogSide
from consumers.pace import Pace
from consumers.people import Person
from consumers.subscriptions import Contact, Word
from penstock.clickhouse import Tables
from schemas.contact_data import counting_members
from schemas.tables import CONTACTS

_PAGE = 500
"""Contacts in one statement."""

_ON_PAGE = f"""
project_id = {{project:UUID}} AND email IN
(
    SELECT DISTINCT email FROM {CONTACTS}
    WHERE project_id = {{project:UUID}} AND email > {{after:String}}
    ORDER BY email
    LIMIT {_PAGE}
)
"""

_PROJECTS = f"SELECT DISTINCT toString(project_id) FROM {CONTACTS} ORDER BY 1"

_CONTACTS = f"""
SELECT
    email,
    toString(any(contact)),
    any(log_partition),
    min(first),
    max(last),
    toUnixTimestamp64Milli(min(created)),
    toString(max(said)),
    groupArrayIf((toString(at), text), text != '')
FROM ({merged_rows(condition=_ON_PAGE)})
GROUP BY email
ORDER BY email
"""

_SUBSCRIPTION = ""
"""Stands for the key of what was said of the subscription."""

Version = tuple[int, int, int]
"""When it happened (milliseconds since 1970), the offset, and the index in the record."""

_Facts = dict[tuple[bool, str], tuple[Version, bytes]]
"""What a contact is: by whether it is of its data, and the key, the version and the value."""


@dataclass(frozen=True, slots=True)
class StoredContact:
    """A contact in the tables."""

    contact: Contact
    email: str
    partition: int
    first_offset: int
    last_offset: int
    created_ms: int
    facts: _Facts


@dataclass(slots=True)
class Differences:
    """How a contact differs from what it should be.

    Attributes:
        missing: what the log says and the tables do not.
        orphaned: what the tables say and the log does not.
    """

    missing: list[str] = field(default_factory=list)
    orphaned: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ContactComparison:
    """The comparison of all contacts."""

    tables: Tables
    side: LogSide
    through: Mapping[int, int]
    findings: Findings
    report: Callable[[str], None]

    def compare(self) -> None:
        """Compares them; afterwards `side.people` are gone."""
        for partition in self.through:
            self.findings.tally(CONTACTS, partition)
        pace = Pace(self.report, "comparing contacts", self.side.people.count())
        for page in self._pages():
            self.side.follow_removals()  # only now: who is gone by now is known to go
            for stored in page:
                self._compare(stored)
                self.side.people.forget(stored.contact)
            pace.add(len(page))
        self.side.follow_removals()
        for contact, person in self.side.people.all():
            if not self.side.removals.is_erasing(person.partition, contact):
                self._add(person.partition, contact, Differences(missing=["the contact"]))

    def _pages(self) -> Iterator[list[StoredContact]]:
        for (project,) in self.tables.select(_PROJECTS):
            after = ""
            while rows := self.tables.select(_CONTACTS, {"project": str(project), "after": after}):
                page = [_read(str(project), row) for row in rows]
                after = page[-1].email
                yield page

    def _compare(self, stored: StoredContact) -> None:
        through = self.through.get(stored.partition, -1)
        person = self.side.people.get(stored.contact)
        if self.side.removals.is_erasing(stored.partition, stored.contact):
            return
        if stored.first_offset <= through:
            self.findings.tally(CONTACTS, stored.partition).stored += 1
        self._add(stored.partition, stored.contact, differences(stored, person, through))

    def _add(self, partition: int, contact: Contact, found: Differences) -> None:
        tally = self.findings.tally(CONTACTS, partition)
        tally.missing += bool(found.missing)
        tally.orphaned += bool(found.orphaned)
        for fault in ("missing", "orphaned"):
            for what in getattr(found, fault):
                self.findings.example(Example(f"{fault} in {CONTACTS}: {what}", partition, id=contact[1]))


def differences(stored: StoredContact, person: Person | None, through: int) -> Differences:
    """How a contact differs from what the log says up to the offset `through`. Pure."""
    found = Differences()
    if person is None:
        if stored.first_offset <= through:
            found.orphaned.append("the contact")
        return found
    _compare_events(found, stored, person, through)
    _compare_facts(found, stored, person, through)
    return found


def _compare_events(found: Differences, stored: StoredContact, person: Person, through: int) -> None:
    """Whose contact it is, and between which events."""
    if (stored.email, stored.partition) != (person.email, person.partition):
        found.orphaned.append("its address")
    if stored.first_offset != person.first_offset:
        (found.missing if stored.first_offset > person.first_offset else found.orphaned).append("its first event")
    if stored.last_offset < person.last_offset:
        found.missing.append("its last event")
    if stored.created_ms > person.created_ms:
        found.missing.append("its earliest event")
    if stored.last_offset > through:  # more may be said of it since
        return
    if stored.last_offset > person.last_offset:
        found.orphaned.append("its last event")
    if stored.created_ms < person.created_ms:
        found.orphaned.append("its earliest event")


def _compare_facts(found: Differences, stored: StoredContact, person: Person, through: int) -> None:
    expected = _facts(person)
    for key, (version, value) in expected.items():
        known = stored.facts.get(key)
        if known is None or known[0] < version or (known[0] == version and known[1] != value):
            found.missing.append(_named(key))
        elif known[0] != version and known[0][1] <= through:
            found.orphaned.append(_named(key))
    for key in stored.facts.keys() - expected.keys():
        if stored.facts[key][0][1] <= through:
            found.orphaned.append(_named(key))


def _named(key: tuple[bool, str]) -> str:
    return f"data.{key[1]}" if key[0] else "its subscription"


def _facts(person: Person) -> _Facts:
    return _folded(list(person.data.values()), person.last)


def _folded(objects: Sequence[tuple[Version, str]], last: Word | None) -> _Facts:
    facts: _Facts = {}
    for version, text in sorted(objects):
        facts |= {(True, key): (version, value) for key, value in counting_members(text).items()}
    if last is not None:
        facts[False, _SUBSCRIPTION] = (last.occurred_ms, last.log_offset, last.log_index), b"%d" % last.subscribed
    return facts


def _read(project: str, row: Sequence[object]) -> StoredContact:
    email, contact, partition, first, last, created_ms, said, objects = row
    word = None
    if int(str(said)) > 1:
        word = Word(*_version(int(str(said))), bool(int(str(said)) & 1))
    assert isinstance(objects, list)
    return StoredContact(
        (project, str(contact)),
        str(email),
        int(str(partition)),
        int(str(first)),
        int(str(last)),
        int(str(created_ms)),
        _folded([(_version(int(at)), text) for at, text in objects], word),
    )


def _version(number: int) -> Version:
    """What a version stands for; see the migration that makes them."""
    return number >> 80, (number >> 32) & ((1 << 48) - 1), ((number >> 1) & ((1 << 31) - 1)) - 1

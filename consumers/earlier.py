"""What the tables have of contacts up to a batch: what its lines add to is looked up here, of some contacts at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consumers.copies import parts
from consumers.memberships import Member, Step, member_of, told_membership
from consumers.subscriptions import Contact, Word, contact_of
from penstock.clickhouse import Tables
from penstock.clickhouse.contract import Parameter
from schemas.event import Event

_LOOKUP_CONTACTS = 5_000
"""Contacts in one look-up: bounds the statement's size."""

_STANDING = """
SELECT
    toString(project_id), toString(contact_id),
    (max((toUnixTimestamp64Milli(occurred_at), log_offset, log_index, toUInt8(subscribed))) AS last).1,
    last.2, last.3, last.4
FROM subscriptions
WHERE project_id IN {projects:Array(UUID)} AND contact_id IN {contacts:Array(UUID)}
    AND log_partition = {partition:UInt16} AND log_offset < {offset:UInt64}
GROUP BY project_id, contact_id
"""

_KNOWN = """
SELECT DISTINCT toString(project_id), toString(contact_id) FROM contacts
WHERE (project_id, email) IN
(
    SELECT toUUIDOrZero(contact.1), contact.2
    FROM (SELECT arrayJoin(arrayZip({projects:Array(String)}, {emails:Array(String)})) AS contact)
)
AND first_offset < {offset:UInt64}
"""

_MEMBERSHIPS = """
SELECT
    toString(project_id), toString(contact_id), toString(segment_id), slug,
    (max((log_offset, log_index, toUnixTimestamp64Milli(occurred_at), toUInt8(entered))) AS last).3, last.4
FROM memberships
WHERE project_id IN {projects:Array(UUID)} AND segment_id IN {segments:Array(UUID)} AND slug IN {slugs:Array(String)}
    AND contact_id IN {contacts:Array(UUID)}
    AND log_partition = {partition:UInt16} AND log_offset < {offset:UInt64}
GROUP BY project_id, contact_id, segment_id, slug
"""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the tables have of a partition up to a batch.

    Attributes:
        first: the batch's first offset.
    """

    tables: Tables
    partition: int
    first: int

    def standing(self, said: Iterable[Event]) -> dict[Contact, Word]:
        """What was said last, of those contacts of whom anything was."""
        found = {}
        for some in parts(sorted({contact_of(event) for event in said}), _LOOKUP_CONTACTS):
            values: dict[str, Parameter] = {
                "projects": sorted({project for project, _ in some}),
                "contacts": [contact for _, contact in some],
                "partition": self.partition,
                "offset": self.first,
            }
            for project, contact, *last in self.tables.select(_STANDING, values):
                found[str(project), str(contact)] = _word(last)
        return found

    def memberships(self, told: Iterable[Event]) -> dict[Member, Step]:
        """The last changes of those memberships that something is told of."""
        asked = {member_of(event, change) for event in told if (change := told_membership(event))}
        found = {}
        for some in parts(sorted(asked), _LOOKUP_CONTACTS):
            values: dict[str, Parameter] = {
                "projects": sorted({member.contact[0] for member in some}),
                "contacts": sorted({member.contact[1] for member in some}),
                "segments": sorted({member.segment_id for member in some}),
                "slugs": sorted({member.slug for member in some}),
                "partition": self.partition,
                "offset": self.first,
            }
            for project, contact, segment, slug, occurred_ms, entered in self.tables.select(_MEMBERSHIPS, values):
                member = Member((str(project), str(contact)), str(segment), str(slug))
                found[member] = Step(int(str(occurred_ms)), bool(int(str(entered))))
        return found

    def known(self, asked: Iterable[tuple[Contact, str]]) -> set[Contact]:
        """Those contacts that had an event; their addresses are given, too."""
        found: set[Contact] = set()
        for some in parts(sorted(asked), _LOOKUP_CONTACTS):
            values: dict[str, Parameter] = {
                "projects": [project for (project, _), _ in some],
                "emails": [email for _, email in some],
                "offset": self.first,
            }
            found |= {(str(project), str(contact)) for project, contact in self.tables.select(_KNOWN, values)}
        return found


def _word(last: Sequence[object]) -> Word:
    occurred_ms, offset, index, subscribed = (int(str(value)) for value in last)
    return Word(occurred_ms, offset, index, bool(subscribed))

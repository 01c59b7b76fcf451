"""Answers about contacts: which statements to ask, and the body of their rows. Blocks: it runs on a reader's thread."""

from collections.abc import Iterable
from itertools import groupby

from penstock.clickhouse.contract import Row
from penstock.errors import NotFound
from query_api.contact_fold import Contact, ContactRow, fold
from query_api.contact_params import ContactsRequest
from query_api.contact_queries import contact_rows, next_emails, rows_of_emails
from query_api.contact_results import contact_body, contacts_body
from query_api.reader import Reader

_MORE_AT_ONCE = 4
_MOST_AT_ONCE = 262_144


def contacts(reader: Reader, project_id: str, asked: ContactsRequest) -> bytes:
    """A page of contacts."""
    emails = _emails(reader, project_id, asked)
    page = emails[: asked.limit]
    found = _folded(reader.select(rows_of_emails(project_id, page))) if page else []
    end = page[-1] if page else None
    last = found[-1].email if found else end  # who is erased in between ends no list
    has_more = len(emails) > asked.limit or last != end
    wanted = [one for one in found if asked.subscribed in (None, one.subscribed)]  # that may change in between
    return contacts_body(wanted, last if has_more else None)


def contact(reader: Reader, project_id: str, contact_id: str) -> bytes:
    """One contact.

    Raises:
        NotFound: there is none with this id.
    """
    for one in _folded(reader.select(contact_rows(project_id, contact_id))):
        return contact_body(one)
    raise unknown_contact(contact_id)


def unknown_contact(contact_id: str) -> NotFound:
    """What to say where there is no contact with this id."""
    return NotFound(f"There is no contact {contact_id}")


def _emails(reader: Reader, project_id: str, asked: ContactsRequest) -> list[str]:
    """The addresses on the page, in order, and one more where there is a next page.

    Where few of the contacts are wanted, more and more are looked at at once.
    """
    found: list[str] = []
    after, looked_at = asked.after, asked.limit + 1
    while True:
        last, looked, emails = reader.select(next_emails(project_id, asked, after, looked_at))[0]
        found += emails if isinstance(emails, list) else []
        if len(found) > asked.limit or int(str(looked)) < looked_at:
            return found[: asked.limit + 1]
        after, looked_at = str(last), min(looked_at * _MORE_AT_ONCE, _MOST_AT_ONCE)


def _folded(rows: Iterable[Row]) -> list[Contact]:
    """The contacts of rows that are in the order of their addresses."""
    return [fold(list(own)) for _, own in groupby(map(_row, rows), key=lambda row: row.email)]


def _row(row: Row) -> ContactRow:
    email, contact_id, created_ms, subscription, version, data = map(str, row)
    return ContactRow(email, contact_id, int(created_ms), int(subscription), int(version), data)
